"""The bed's own alarms on its screen: loud while the mesh is away, a line while it is there.

Touches nothing. Must not know: who raised them. Keeps: no id and no age is ever cut; the most urgent first; what does
not fit is counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from hfzmq.cli.alarm_view import Alarm
from hfzmq.cli.alarms.words import CAUSE_BADGES
from hfzmq.cli.format import printable
from hfzmq.cli.screens.alarm_words import counted
from hfzmq.cli.screens.canvas import prose
from hfzmq.cli.screens.words import duration

ALARMS_SHOWN = 3


def alarm_lines(alarms: Sequence[Alarm], away: bool, one_bed: bool, now_ms: int, width: int) -> list[Text]:
    """``alarms``: by urgency. ``one_bed``: there is but one, which needs no name."""
    found: list[Text] = []
    for alarm in alarms[:ALARMS_SHOWN]:
        loud = away and alarm.unseen
        where = "this bed" if one_bed else printable(alarm.patient_id)
        what = f"{CAUSE_BADGES[alarm.cause]} since {duration(now_ms - alarm.raised_at_ms)}"
        if loud:
            over = ", over now" if alarm.is_over else ""
            said = f"ALARM AT {'THIS BED' if one_bed else where}: {what}{over} - the mesh is away, call somebody"
        elif away:
            said = f"alarm at {where}: {what}, seen here - the mesh is away"
        else:
            said = f"alarm at {where}: {what}, the mesh is there and tells of its own"
        found += prose(said, width, "bold white on red" if loud else "bold" if away else "")
    rest = alarms[ALARMS_SHOWN:]
    if rest:
        loud = away and any(alarm.unseen for alarm in rest)
        found += prose(f"+{len(rest)} more: {counted(rest)}", width, "bold white on red" if loud else "bold")
    return found
