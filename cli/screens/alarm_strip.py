"""The strip of open alarms on top of the board: the most urgent first, and a count of what does not fit.

Touches nothing. Must not know: who polls, how an alarm is acknowledged. Keeps: an id, a value and an age are never cut
(columns give way, then lines stack); the alarm on top is always shown; shown and counted alarms are all alarms; what is
not live, or comes from a mesh in which nothing new can be raised, says so; nothing is said to be seen before the mesh
has said so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text

from hfzmq.cli.alarm_view import Alarm, AlarmView
from hfzmq.cli.alarms.words import CAUSE_BADGES, LATCHED_WORDS
from hfzmq.cli.format import counted as count_of
from hfzmq.cli.format import printable
from hfzmq.cli.screens.alarm_words import counted, seen_words, value_words
from hfzmq.cli.screens.canvas import Column, box, columns, flow, inside, prose, text
from hfzmq.cli.screens.words import duration
from hfzmq.clinical.alarm.types import RED
from hfzmq.config import Thresholds

LINES_MIN = 3  # the strip's share of a screen, where it needs so much
INDENT = 2
_PARTS = re.compile(r"(?<=,) |(?<=\d-)")
SHARE = 3  # and no more than a third of it, where other things need room


class Acknowledging(NamedTuple):
    """What has become of the key that acknowledges: which episode, what to say of it; ``asking``: the mesh has not
    answered yet."""

    episode: int
    words: str
    asking: bool
    failed: bool = False


VALUE = 2  # its place in a row
# Cause, bed, value, since, seen, step, id; without heads, for each cell says what it is.
_COLUMNS = (*[Column("")] * 3, Column("", right=True), Column(""), Column(""), Column("", right=True, spare=1))


def strip_lines(
    view: AlarmView,
    thresholds: Thresholds,
    width: int,
    height: int,
    now_ms: int,
    *,
    live: bool,
    serves: bool,
    ack: Acknowledging | None = None,
) -> list[Text]:
    """The strip in ``width`` columns; [] when no alarm is open and there is nothing to say. ``height``: of the screen.
    ``live``: the board's own word. ``serves``: whether anybody leads a quorum."""
    said = _doubts(view, inside(width), now_ms, live, serves)
    said += [] if ack is None else prose(ack.words, inside(width), _ack_style(ack))
    if not view.alarms and not said:
        return []
    room = max(LINES_MIN, height // SHARE) - len(box("", said, width))
    content = _fitting(view, thresholds, inside(width), room, now_ms, live, ack)
    if any(alarm.is_over for alarm in view.alarms):
        latched = prose(LATCHED_WORDS, inside(width), "dim")
        said += latched if len(content) + len(latched) <= room else []  # the alarms come first
    return box(_title(view), [*content, *said], width, _frame(view, live))


def header_words(view: AlarmView) -> Text:
    """For the board's header, where there is no strip."""
    return (
        text("no open alarm", "dim")
        if view.told_at_ms is not None and not view.alarms and not view.unreadable
        else text("")
    )


def _title(view: AlarmView) -> str:
    unseen = sum(alarm.unseen for alarm in view.alarms)
    return f"alarms: {len(view.alarms)}{'+' if view.cut else ''} open, {unseen} not seen"


def _frame(view: AlarmView, live: bool) -> str:
    if not live or any(alarm.unseen and alarm.cause == RED for alarm in view.alarms):
        return "bold red"
    return "bold yellow" if any(alarm.unseen for alarm in view.alarms) else "cyan"


def _doubts(view: AlarmView, width: int, now_ms: int, live: bool, serves: bool) -> list[Text]:
    found = []
    if not live and view.told_at_ms is not None:
        old = duration(now_ms - view.told_at_ms)
        found += prose(f"NOT LIVE: the alarms as of {old} ago, there may be others by now", width, "bold red")
    elif not serves and view.told_at_ms is not None:
        found += prose("no quorum: the mesh raises no alarm now, look at the beds", width, "bold white on red")
    if view.unreadable:
        one = count_of(view.unreadable, "alarm")
        found += prose(f"{one} cannot be read by this version: hfzmq alarms ls", width, "bold red")
    if view.cut:
        found += prose(f"there may be more than {len(view.alarms)}: hfzmq alarms ls", width, "bold red")
    return found


def _ack_style(ack: Acknowledging) -> str:
    return "bold white on red" if ack.failed else "bold black on yellow" if ack.asking else "bold green"


def _fitting(
    view: AlarmView, thresholds: Thresholds, width: int, room: int, now_ms: int, live: bool, ack: Acknowledging | None
) -> list[Text]:
    rows = [_cells(alarm, thresholds, now_ms, live, ack) for alarm in view.alarms]
    blocks = _blocks(rows[: max(1, room)], width)
    found: list[Text] = []
    for shown in range(len(blocks), 0, -1):
        found = [line for block in blocks[:shown] for line in block]
        rest = view.alarms[shown:]
        found += _rest(rest, width)
        if len(found) <= room:
            break
    return found  # with the alarm on top at least, however low the screen is


def _blocks(rows: Sequence[list[Text]], width: int) -> list[list[Text]]:
    if not rows:
        return []
    table = columns(_COLUMNS, rows, width)
    if table is not None:
        return [[line] for line in table[1]]
    return [flow(_foldable(cells, width - INDENT), width, INDENT) for cells in rows]


def _foldable(cells: Sequence[Text], room: int) -> list[Text]:
    """The cells, the value in parts where it has no room in one line: a number stays whole."""
    value = cells[VALUE]
    parts = [value] if value.cell_len <= room else [text(part, str(value.style)) for part in _PARTS.split(value.plain)]
    return [*cells[:VALUE], *parts, *cells[VALUE + 1 :]]


def _rest(rest: Sequence[Alarm], width: int) -> list[Text]:
    if not rest:
        return []
    loud = any(alarm.unseen and alarm.cause == RED for alarm in rest)
    return prose(f"+{len(rest)} more: {counted(rest)}", width, "bold white on red" if loud else "bold")


def _cells(alarm: Alarm, thresholds: Thresholds, now_ms: int, live: bool, ack: Acknowledging | None) -> list[Text]:
    badge = CAUSE_BADGES[alarm.cause]
    loud = alarm.unseen and live
    waits = ack is not None and ack.asking and ack.episode == alarm.id
    seen = "acknowledging ..." if waits else seen_words(alarm)
    return [
        text(str(badge), badge.style if loud else "bold red" if alarm.cause == RED else "dim"),
        text(printable(alarm.patient_id), "bold" if loud else ""),
        text(value_words(alarm, thresholds), "" if loud else "dim"),
        text(f"since {duration(now_ms - alarm.raised_at_ms)}", "" if loud else "dim"),
        text(seen, "bold" if alarm.unseen else "dim"),
        text(f"step {alarm.step}" if alarm.step else "", "bold" if alarm.step > 1 else "dim"),
        text(f"#{alarm.id}", "dim"),
    ]
