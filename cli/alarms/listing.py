"""``hfzmq alarms ls``: alarms by urgency, or the history of one, from a peer or a file.

Touches stdout (data only), stderr (how fresh it is) and the wall clock, for ages. Keeps: no number and no id is ever
cut; machines get what is stored, in full and in Unix ms; people get words, local times with their zone, and what is
most urgent first.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from hfzmq.cli.alarms import words
from hfzmq.cli.alarms.rows import episodes_of, journal_of, sent_of
from hfzmq.cli.format import local_time
from hfzmq.cli.layout import as_text, folded, laid_out, stacked, terminal_width
from hfzmq.cli.options import load_config
from hfzmq.cli.page_command import check_patient, say_freshness, show_for_machines, source_of
from hfzmq.cli.page_source import ALARM_EVENTS, ALARMS, Filter, Page, Source, Table, read_all, read_last
from hfzmq.clinical.alarm.types import RETURNED, Episode
from hfzmq.config import Thresholds
from hfzmq.errors import NotFound

Where = tuple[str, Path | None, int | None, bool]  # --config, --db, --peer, --consistent

HISTORY_HEADS = ("line", "time", "what happened")


def show_alarms(
    ctx: click.Context,
    where: Where,
    patient: str | None,
    state: str | None,
    last: int | None,
    output: str,
    width: int | None,
) -> None:
    """Alarms of a patient, in a state, the newest ``last``; None: of any, all. ``width`` as in ``laid_out``."""
    check_patient(patient)
    source = source_of(ctx, ALARMS, *where)
    wanted = Filter(patient, state)
    pages = iter((read_last(source, last, wanted),)) if last else read_all(source, 0, wanted)
    first = _freshness_said(pages, where[1], ALARMS)
    if output != "table":
        show_for_machines(_with_lists(_joined(first, pages), output), output)
        return
    episodes = sorted(
        (one for page in _joined(first, pages) for one in episodes_of(page.fields, page.rows)), key=words.urgency
    )
    if not episodes:
        click.echo("no alarm is open" if state == "open" and patient is None else "no alarm fits", err=True)
        return
    now_ms, thresholds = _now_ms(first), _thresholds(where)
    head, blocks = laid_out(words.HEADS, [words.alarm_cells(one, now_ms, thresholds) for one in episodes], width)
    if _coloured():
        blocks = [
            [click.style(line, **_style(one)) for line in block]  # type: ignore[arg-type]
            for one, block in zip(episodes, blocks, strict=True)
        ]
    click.echo(as_text(head, blocks))
    if any(one.state == RETURNED for one in episodes):
        click.echo(folded(f"note: {words.LATCHED_WORDS}: hfzmq alarms ack ID", terminal_width(sys.stderr)), err=True)


def show_history(ctx: click.Context, where: Where, alarm: int, output: str, width: int | None) -> None:
    """What happened to one alarm. NotFound: there is none of this id."""
    source = source_of(ctx, ALARM_EVENTS, *where)
    pages = read_all(source, 0, Filter(None, alarm))
    first = _freshness_said(pages, where[1], ALARM_EVENTS)
    if not first.rows:
        raise NotFound(f"there is no alarm {alarm}", hint="which there are: hfzmq alarms ls --all")
    if output != "table":
        show_for_machines(_joined(first, pages), output)
        return
    lines = [one for page in _joined(first, pages) for one in journal_of(page.fields, page.rows)]
    about = _of_alarm(source_of(ctx, ALARMS, *where), alarm)
    if about:
        now_ms = _now_ms(first)
        click.echo("\n".join(stacked(words.HEADS, words.alarm_cells(about, now_ms, _thresholds(where)), width)) + "\n")
    cells = [(str(one.id), local_time(one.at_ms), words.event_words(one.what, one.detail)) for one in lines]
    click.echo(as_text(*laid_out(HISTORY_HEADS, cells, width)))


def _now_ms(page: Page) -> int:
    """By the log's clock, which the stamps are of; said where it is not this machine's."""
    now_ms, note = words.log_clock(page.log_now_ms, time.time_ns() // 1_000_000)
    if note:
        click.echo(folded(note, terminal_width(sys.stderr)), err=True)
    return now_ms


def _thresholds(where: Where) -> Thresholds:
    """Of the mesh's file; a database has none."""
    return Thresholds() if where[1] is not None else load_config(where[0]).thresholds


def _of_alarm(source: Source, alarm: int) -> Episode | None:
    page = source.page(alarm - 1, None, 1, Filter())
    return next((one for one in episodes_of(page.fields, page.rows) if one.id == alarm), None)


def _freshness_said(pages: Iterator[Page], db: Path | None, table: Table) -> Page:
    first = next(pages)
    say_freshness(first, db, table)
    return first


def _joined(first: Page, rest: Iterable[Page]) -> Iterator[Page]:
    yield first
    yield from rest


def _with_lists(pages: Iterable[Page], output: str) -> Iterator[Page]:
    """What was delivered and what has failed, as a list where the format has lists."""
    for page in pages:
        rows = [list(row) for row in page.rows]
        for at in [at for at, name in enumerate(page.fields) if name in ("sent", "failing")]:
            for row in rows:
                labels = sent_of(str(row[at]))
                row[at] = " ".join(labels) if output == "csv" else list(labels)
        yield page._replace(rows=rows)


def _coloured() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _style(episode: Episode) -> dict[str, object]:
    if episode.state == "normal":
        return {"dim": True}
    colour = {"RED": "red", "AMBER": "yellow", "HEART_RATE": "magenta"}.get(episode.cause)
    return {"fg": colour, "bold": words.urgency(episode).seen == 0}
