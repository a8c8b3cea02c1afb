"""Events become lines: JSON for machines, a sentence for people.

Touches stdout and stderr. Keeps: stdout carries events only, one line each; what a person wrote wrongly is said on
stderr, and in both what may have been stored wrongly; a line is out as soon as the loop has a quiet moment.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from hfzmq.cli import marks
from hfzmq.cli.alarm_view import HERE
from hfzmq.cli.alarms.words import CAUSE_BADGES, doubt_words
from hfzmq.cli.bedside.alarms import MEASURED
from hfzmq.cli.format import printable
from hfzmq.cli.screens.words import TIER_BADGES, duration, risk, tier_badge
from hfzmq.client.ledger import MESH, QUEUE
from hfzmq.clinical.report import low_of
from hfzmq.clinical.tiers import GREEN
from hfzmq.config import Thresholds

Event = dict[str, Any]

ODD_LINES = ("went_on", "leapt")  # of a file
SAID_ON_STDERR = ("rejected", *ODD_LINES)
LINE_CHARS_SHOWN = 100


def json_line(event: Event) -> None:
    """One line of JSON. What stdout's encoding has no letter for is escaped. A value that is new is for screens."""
    if event.get("what") == MEASURED:
        return
    line = json.dumps(event, ensure_ascii=False, allow_nan=False)
    try:
        line.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # half a letter, as a device may send it; a file's name that is no text
        line = json.dumps(event, allow_nan=False)
    sys.stdout.write(line + "\n")
    if event["event"] in ODD_LINES:
        click.echo(link_sentence(event), err=True)


def text_lines(thresholds: Thresholds) -> Callable[[Event], None]:
    """Tells events as sentences, those that matter."""

    def tell(event: Event) -> None:
        sentence = sentence_of(event, thresholds)
        if sentence:
            clock = datetime.now().strftime("%H:%M:%S")
            click.echo(f"{clock} {sentence}", err=event["event"] in SAID_ON_STDERR)

    return tell


def sentence_of(event: Event, thresholds: Thresholds) -> str:
    """What a person reads of an event; '' for what is none of their business (readings, GREEN, the way to the disk)."""
    kind = event["event"]
    patient = printable(str(event.get("patient") or ""))
    if kind == "risk" and event["tier"] != GREEN:
        high = event["probability"]
        low = low_of(high, ",".join(event["flags"]))
        said = f"{patient} {tier_badge(event['tier'], low, high, thresholds)} {risk(low, high, thresholds)}"
        return ", ".join((said, *marks.words(event["flags"])))
    if kind == "ack":
        return f"{patient} acknowledged: seq {event['seq']}, index {event['index']}, {event['elapsed_ms']} ms"
    if kind == "alarm":
        return alarm_sentence(event, thresholds)
    return summary_of(event) if kind == "summary" else link_sentence(event)


def alarm_sentence(event: Event, thresholds: Thresholds) -> str:
    """What a person reads of the bed's own alarm."""
    what, patient = event["what"], printable(event["patient"])
    if what == MEASURED:
        return ""
    doubt = doubt_words(event["value"], event["note"], thresholds)
    named = f"{CAUSE_BADGES[event['cause']]} {doubt}".rstrip()
    if what == "sounding":
        return f"ALARM AT {patient}: {named} - the mesh is away, call somebody"
    words = {"returned": "over", "recurred": "again"}.get(what, what)
    if what == "acknowledged":
        words = "seen here" if event["by"] == HERE else "the mesh tells of it"
    return f"alarm at {patient}: {named} {words}"


def link_sentence(event: Event) -> str:
    """What a person reads of an event that has to do with the link or with something refused; '' for any other."""
    kind = event["event"]
    patient = printable(str(event.get("patient") or ""))
    if kind == "rejected":
        place = f"{event['source']}:{event['line']}: " if "line" in event else ""
        place += f"peer {event['peer']}: " if "peer" in event else ""
        if event["field"] == "seq" and event.get("by") in (MESH, QUEUE) and not patient:  # no row was rejected
            return printable(f"a new session: {event['hint']}")
        hint = f" ({event['hint']})" if event["hint"] else ""
        return printable(f"{patient + ' ' if patient else ''}rejected: {place}{event['field']}: {event['bound']}{hint}")
    if kind == "went_on":
        before, now = _end_of(event["before"]), _end_of(event["now"])
        return printable(
            f"warning: {event['source']}:{event['line']}: this line had no end when it was read, and {before!r} was "
            f"taken; it has gone on, and {now!r} is taken now, too: what was stored before stays"
        )
    if kind == "leapt":
        return printable(
            f"warning: {event['source']}:{event['line']}: this line's time is {duration(event['ahead_ms'])} after that "
            "of the line before it (a clock that was wrong?); neither it nor any other such line is waited for"
        )
    if kind == "connected":
        leader = "nobody leads" if event["leader"] is None else f"peer {event['leader']} leads"
        return f"connected to peer {event['peer']}, {leader}"
    if kind == "disconnected":
        why = f": {event['why']}" if event.get("why") else ""
        hint = f" ({event['hint']})" if event.get("hint") else ""
        return printable(f"not connected: {event['link']}{why}{hint}")
    if kind == "refused":
        return printable(f"{event['why']} (since {day_and_time(event['since'])}): {event['hint']}")
    return ""


def _end_of(line: str) -> str:
    return line if len(line) <= LINE_CHARS_SHOWN else "..." + line[3 - LINE_CHARS_SHOWN :]


def refused_words(event: Event) -> str:
    """Of a summary: that the key was refused to the end, and since when; '' for nothing."""
    since = event.get("refused_since")
    return "" if since is None else f"; key refused since {day_and_time(since)}"


def day_and_time(wall_ms: int) -> str:
    """Unix ms as this machine's local time, to the second."""
    return datetime.fromtimestamp(wall_ms / 1000).strftime("%Y-%m-%d %H:%M:%S")


def summary_of(event: Event) -> str:
    """The last line of a run."""
    tiers = ", ".join(f"{event[tier.lower()]} {tier}" for tier in TIER_BADGES)
    return (
        f"{event['readings']} readings: {tiers}; {event['submitted']} submitted, {event['acked']} acknowledged, "
        f"{event['rejected']} rejected, {event['pending']} waiting on disk; {event['elapsed_s']:.1f} s"
        f"{refused_words(event)}"
    )


class ProgressLine:
    """Says on stderr how far a long run is: over and over in one line of a terminal, else every 5 s."""

    def __init__(self, words: Callable[[], str]) -> None:
        self._words = words
        self._overwrite = sys.stderr.isatty() and not sys.stdout.isatty()
        self._every_s = 0.5 if self._overwrite else 5.0
        self._due = time.monotonic() + 1.0
        self._open = False

    def turn(self) -> None:
        """Say it if it is time."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + self._every_s
        click.echo(("\r\x1b[K" if self._overwrite else "") + self._words(), nl=not self._overwrite, err=True)
        self._open = self._overwrite

    def end(self) -> None:
        """Leave the terminal's line."""
        if self._open:
            click.echo(err=True)
            self._open = False
