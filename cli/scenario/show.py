"""How rounds are shown while they run: a live table on a terminal, plain lines without one, JSON lines for machines.

Touches stdout and stderr. Must not know how a round is run. Keeps: stdout carries the table (or the JSON lines) only;
without a terminal each step is a line on stderr; the live numbers are read when they are drawn, several times a second.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from hfzmq.cli.format import json_line, printable
from hfzmq.cli.scenario.round import Result, Round, as_json
from hfzmq.cli.scenario.stage import Stage
from hfzmq.cli.scenario.table import Line, head, injected_text, line_text, round_lines, wrapped

FRAMES_A_SECOND = 4


class Show(Protocol):
    """What is told of the rounds."""

    def begin(self, this: Round) -> None:
        """A round begins."""

    def stage(self, stage: Stage) -> None:
        """It has a stage."""

    def step(self, words: str) -> None:
        """It goes on."""

    def end(self, result: Result) -> None:
        """It has ended."""


class Lines:
    """Plain lines. ``as_jsonl``: a JSON object for each round instead of the table."""

    def __init__(self, rounds: int, as_jsonl: bool) -> None:
        self._rounds = rounds
        self._as_jsonl = as_jsonl
        self._this: Round | None = None
        self._last = ""
        if not as_jsonl:
            click.echo(head(rounds))

    def begin(self, this: Round) -> None:
        """See Show."""
        self._this = this
        self.step("begins")

    def stage(self, stage: Stage) -> None:
        """See Show."""

    def step(self, words: str) -> None:
        """See Show."""
        assert self._this is not None
        if words != self._last:
            at = datetime.now().strftime("%H:%M:%S")
            where = f"{self._this.scenario.name} {self._this.number}/{self._this.of}"
            click.echo(f"{at} {where}: {printable(words)}", err=True)
        self._last = words

    def end(self, result: Result) -> None:
        """See Show."""
        click.echo(json_line(as_json(result)) if self._as_jsonl else "\n".join(round_lines(result)))


class Table:
    """The live table: finished rounds above, the running one beneath, redrawn until it has ended."""

    def __init__(self, rounds: int, console: Console) -> None:
        self._rounds = rounds
        self._console = console
        self._this: Round | None = None
        self._stage: Stage | None = None
        self._step = ""
        self._began = 0.0
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[Table]:
        """Within it the running round is drawn."""
        self._print([head(self._rounds)])
        self._live = Live(
            get_renderable=self.draw, console=self._console, refresh_per_second=FRAMES_A_SECOND, transient=True
        )
        with self._live:
            yield self

    def begin(self, this: Round) -> None:
        """See Show."""
        self._this, self._stage, self._step, self._began = this, None, "begins", time.monotonic()

    def stage(self, stage: Stage) -> None:
        """See Show."""
        self._stage = stage

    def step(self, words: str) -> None:
        """See Show."""
        self._step = words

    def end(self, result: Result) -> None:
        """See Show."""
        self._this = self._stage = None
        if self._live is not None:
            self._live.refresh()  # nothing of it may stand beneath its own verdict
        self._print(round_lines(result, self._console.width))

    def draw(self) -> Text:
        """The running round as it is now."""
        this, stage = self._this, self._stage
        if this is None:
            return Text("", end="")
        acked, gap_ms = (None, None) if stage is None else (stage.acks.count, stage.acks.longest_gap_ms)
        line = Line(this.scenario.name, f"{this.number}/{this.of}", acked, gap_ms, None, None, None, "runs")
        lines = [line_text(line, self._rounds)]
        if stage is not None and stage.injected:
            lines += wrapped(injected_text([one.words for one in stage.injected]), self._console.width)
        elapsed_s = int(time.monotonic() - self._began)
        lines += wrapped(f"{elapsed_s} s: {self._step}", self._console.width)
        return Text("\n".join(lines))

    def _print(self, lines: list[str]) -> None:
        for line in lines:
            self._console.print(Text(line))
