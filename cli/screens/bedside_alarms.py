"""The bed's own alarms on its screen: loud while the mesh is away, a line while it is there.

Touches nothing. Must not know: who raised them. Keeps: no id and no age is ever cut; the most urgent first; what does
not fit is counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from hfzmq.cli.alarm_view import Alarm
from hfzmq.cli.alarms.words import CAUSE_BADGES, doubt_words
from hfzmq.cli.format import printable
from hfzmq.cli.screens.alarm_words import counted
from hfzmq.cli.screens.canvas import prose
from hfzmq.cli.screens.words import duration
from hfzmq.config import Thresholds

ALARMS_SHOWN = 3


def alarm_lines(
    alarms: Sequence[Alarm],
    away: bool,
    one_bed: bool,
    now_ms: int,
    width: int,
    *,
    connected: bool,
    thresholds: Thresholds,
) -> list[Text]:
    """``alarms``: by urgency. ``away``: the mesh has been for long; ``connected``: it is there now (neither: nobody
    knows as yet). ``one_bed``: there is but one, which needs no name."""
    found: list[Text] = []
    for alarm in alarms[:ALARMS_SHOWN]:
        loud = away and alarm.unseen
        where = "" if one_bed else f" at {printable(alarm.patient_id)}"
        doubt = doubt_words(alarm.value, alarm.note, thresholds)
        named = f"{CAUSE_BADGES[alarm.cause]} {doubt}".rstrip()
        what = f"{named} for {duration(now_ms - alarm.raised_at_ms)}"
        if loud:
            over = ", over now" if alarm.is_over else ""
            said = f"ALARM{where.replace(' at ', ' AT ', 1)}: {what}{over} - mesh away, call somebody"
        elif away:
            said = f"alarm{where}: {what}, seen here, mesh away"
        elif connected:
            said = f"alarm{where}: {what}, the mesh is there"
        else:
            said = f"alarm{where}: {what}, looking for the mesh"
        found += prose(said, width, "bold white on red" if loud else "" if connected and not away else "bold")
    rest = alarms[ALARMS_SHOWN:]
    if rest:
        loud = away and any(alarm.unseen for alarm in rest)
        found += prose(f"+{len(rest)} more: {counted(rest)}", width, "bold white on red" if loud else "bold")
    return found
