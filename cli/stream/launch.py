"""From options to a running stream: source, client, and where its events go.

Touches files. Must not know how anything is generated, sent or drawn.
"""

from __future__ import annotations

import math
import queue
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from hfzmq.cli.bedside.output import ProgressLine, json_line
from hfzmq.cli.bedside.seldom import seldom_words
from hfzmq.cli.bedside.show import MakeWork, in_lines, on_screen, say
from hfzmq.cli.bedside.sources import Source
from hfzmq.cli.bedside.stdin_source import StdinSource
from hfzmq.cli.bedside.work import Event, Work
from hfzmq.cli.options import load_config
from hfzmq.cli.stream.generator import Generator, patient_names
from hfzmq.cli.stream.lines import from_json
from hfzmq.cli.stream.live import LiveSource
from hfzmq.cli.stream.output import summary_of, tell_in_text
from hfzmq.cli.stream.replay import ReplaySource
from hfzmq.cli.stream.run import Stream
from hfzmq.cli.stream.status import Reach, StreamBook
from hfzmq.cli.stream.tally import Tally
from hfzmq.client import ReadingsClient
from hfzmq.client.queue_types import Places
from hfzmq.clinical.alarm.settings import rules_of as alarm_rules_of
from hfzmq.clinical.heart_rate import rules_of
from hfzmq.config import Config
from hfzmq.errors import InvalidInput
from hfzmq.secret_files import BEDSIDE_KEY

if TYPE_CHECKING:
    from rich.console import RenderableType

RATE_HZ = 1.0
SHARE = Fraction(1, 5)
LATE_S = 1.0  # the generator may end so much later than the duration says: its readings are given out a little late


class Settings(NamedTuple):
    """What the options said, checked. ``source`` None: the generator. ``total``: readings it makes, None: no end."""

    config: Config
    source: str | None
    patients: int
    rate_hz: float
    share: Fraction
    seed: int
    total: int | None
    finite: bool
    duration_s: float | None
    speed: float
    batch_rows: int
    output: str
    screen: bool
    queue_dir: str | None
    client_id: str | None
    from_start: bool


def settings_of(
    *,
    config_path: str,
    source: str | None,
    patients: int | None,
    rate_hz: float | None,
    share: Fraction | None,
    seed: int | None,
    count: int | None,
    duration_s: float | None,
    speed: float | None,
    fast: bool,
    from_start: bool,
    batch_rows: int,
    headless: bool,
    **other: Any,
) -> Settings:
    """Settings from the command's options; UsageError, ConfigError, InvalidInput."""
    if source is not None:
        made_up = {"patients": patients, "rate": rate_hz, "invalid": share, "seed": seed, "count": count}
        for option, value in made_up.items():
            if value is not None:
                raise click.UsageError(f"--{option} is for made-up readings, and not for --source")
    replays = source not in (None, "-")
    for option, given in (("speed", speed is not None), ("fast", fast), ("from-start", from_start)):
        if given and not replays:
            raise click.UsageError(f"--{option} is for a file: --source FILE")
    if fast and speed:
        raise click.UsageError("--fast and --speed: one of them")
    config = load_config(config_path, key=BEDSIDE_KEY)
    if batch_rows > config.limits.batch_rows_max:
        bound = f"1 to {config.limits.batch_rows_max}"
        raise InvalidInput(
            "--batch",
            bound,
            got=batch_rows,
            hint=f"no more than limits.batch_rows_max in {config.path}, the same for all peers",
        )
    number = config.heart_rate.patients if patients is None else patients
    rate = RATE_HZ if rate_hz is None else rate_hz
    in_time = None if duration_s is None or source is not None else max(1, int(duration_s * number * rate + 1e-6))
    totals = [total for total in (count, in_time) if total is not None]
    return Settings(
        config,
        source,
        number,
        rate,
        SHARE if share is None else share,
        SystemRandom().getrandbits(32) if seed is None else seed,
        min(totals) if totals else None,
        count is not None,
        duration_s if source is not None or duration_s is None else duration_s + LATE_S,
        0.0 if fast else 1.0 if speed is None else speed,
        batch_rows,
        from_start=from_start,
        **other,
    )


def launch(settings: Settings) -> int:
    """Run a stream to its end; the exit code. Every error is an HfzmqError."""
    source, replay = _source(settings)
    events: queue.Queue[Event] = queue.Queue()
    try:
        with ReadingsClient(
            settings.config, settings.client_id, settings.queue_dir, events.put, batch_rows=settings.batch_rows
        ) as client:
            tail = _place_in_file(settings, client, replay) if replay is not None else None
            if client.earlier and not settings.screen:
                say(f"{client.earlier} readings of an earlier run wait in {client.queue.directory}; they go first")
            doubt = _doubt(settings)
            if doubt:
                say(f"warning: {doubt}")
            tally = Tally(rules_of(settings.config.heart_rate), client.earlier)

            def stream(tell: Callable[[Event], None], turn: Callable[[], None]) -> Stream:
                return Stream(
                    client,
                    tally,
                    source,
                    tell,
                    events=events,
                    tail=tail,
                    duration_s=settings.duration_s,
                    turn=turn,
                    details=settings.output == "jsonl",
                    facts={"seed": settings.seed} if settings.source is None else {},
                )

            if settings.screen:
                return _on_screen(settings, client, replay, tally, stream, doubt)
            return _in_lines(settings, client, replay, stream)
    finally:
        source.close()


def _source(settings: Settings) -> tuple[Source, ReplaySource | None]:
    if settings.source == "-":
        return StdinSource(sys.stdin.fileno(), parse=from_json), None
    if settings.source is not None:
        replay = ReplaySource(Path(settings.source), settings.speed, settings.batch_rows)
        return replay, replay
    names = patient_names(settings.patients)
    generator = Generator(names, settings.config.heart_rate, settings.share, settings.seed, settings.total)
    per_second = settings.patients * settings.rate_hz
    live = LiveSource(generator, per_second, settings.batch_rows, settings.total, finite=settings.finite)
    return live, None


def _doubt(settings: Settings) -> str:
    """What is to be said of how seldom a bed has a rate that can be believed; '' for nothing."""
    if settings.source is not None:
        return ""
    believed_hz = settings.rate_hz * float(1 - settings.share)
    interval_s = 1 / believed_hz if believed_hz else math.inf
    return seldom_words(alarm_rules_of(settings.config), interval_s, patient_names(settings.patients), "--rate")


def _place_in_file(settings: Settings, client: ReadingsClient, replay: ReplaySource) -> Places:
    """Go on where an earlier run of this queue stopped; the stored places that the next ones replace."""
    if settings.from_start:
        return replay.skip_nothing(client.queue.sources(all_again=True))
    tail = replay.resume(client.queue.sources())
    if replay.resumed is not None:
        say(
            f"{replay.path}: going on after line {replay.resumed.lines}: an earlier run has read what stands before "
            "(--from-start: all again)"
        )
    return tail


# ---------------------------------------------------------------------------------------------------- lines or a screen


def _in_lines(settings: Settings, client: ReadingsClient, replay: ReplaySource | None, make: MakeWork) -> int:
    def progress(work: Work) -> ProgressLine:
        def words() -> str:
            where = "" if replay is None else f"{replay.path}: line {replay.lines} ({_percent(replay)} %), "
            counts, state = work.counts, client.state
            return (
                f"{where}{counts['readings']} readings, {counts['acked']} acknowledged, {counts['rejected']} rejected, "
                f"{state.pending} waiting"
            )

        return ProgressLine(words)

    return in_lines(make, json_line if settings.output == "jsonl" else tell_in_text, progress)


def _on_screen(
    settings: Settings, client: ReadingsClient, replay: ReplaySource | None, tally: Tally, make: MakeWork, doubt: str
) -> int:
    from hfzmq.cli.screens.stream import stream as draw

    def reach() -> Reach | None:
        if replay is None:
            return None
        return Reach(str(replay.path), replay.bytes_read, max(replay.bytes_max, replay.bytes_read), replay.lines)

    name = f"{settings.patients} patients, seed {settings.seed}" if settings.source is None else "stdin"
    book = StreamBook(client.client_id, "" if replay is not None else name, tally, reach, doubt)

    def drawn(width: int, height: int, now_ms: int, wall_ms: int) -> RenderableType:
        return draw(book.snapshot(client.state, now_ms, wall_ms), width, height)

    return on_screen(make, book, drawn, summary_of)


def _percent(replay: ReplaySource) -> int:
    return min(100, 100 * replay.bytes_read // max(replay.bytes_max, 1))
