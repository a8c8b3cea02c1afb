"""How an alarm is said: its sign, its value with the unit, whether anybody has seen it. Shared by every screen.

Touches nothing. Keeps: colour is never the only signal; a probability is shown as everywhere (``words.probability``), a
heart rate in full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rich.text import Text

from hfzmq.cli.alarm_view import Alarm
from hfzmq.cli.alarms.words import CAUSE_BADGES, LATCHED
from hfzmq.cli.alarms.words import value_words as risk_or_note
from hfzmq.cli.format import printable
from hfzmq.cli.screens.canvas import text
from hfzmq.cli.screens.words import rates
from hfzmq.clinical.alarm.types import AMBER, CAUSES, RED
from hfzmq.config import Thresholds

OfBeds = Mapping[str, Sequence[Alarm]]
NO_ALARMS: OfBeds = MappingProxyType({})
UNSEEN_WORDS = "not seen"


def value_words(alarm: Alarm, thresholds: Thresholds) -> str:
    """``risk 0.72``, ``? 0.03-0.66``, ``132 bpm high``, ``low, 35-152 bpm, last 72``; '' where there is none. A note
    that only repeats the cause is left out; what raised it is never read as a word about the last value."""
    cause, value, note = alarm.cause, alarm.value, alarm.note
    if cause in (RED, AMBER):
        return risk_or_note(cause, value, note, thresholds)
    told = "" if note in ("", cause) else printable(note)
    if value is None:
        return told
    said = rates(value, alarm.least, alarm.most)
    if alarm.least == value == alarm.most:
        return f"{said} {told}".rstrip()
    return ", ".join(filter(None, (told, said)))


def seen_words(alarm: Alarm) -> str:
    """``not seen``, ``cause over, not seen``, ``seen by ann``."""
    if alarm.unseen:
        return LATCHED if alarm.is_over else UNSEEN_WORDS
    return f"seen by {printable(alarm.seen_by)}" if alarm.seen_by else "seen"


def counted(alarms: Sequence[Alarm]) -> str:
    """``2 RED, 1 AMBER not seen; 1 RED seen``."""
    parts = []
    for unseen, word in ((True, UNSEEN_WORDS), (False, "seen")):
        causes = [alarm.cause for alarm in alarms if alarm.unseen == unseen]
        counts = ", ".join(f"{causes.count(one)} {CAUSE_BADGES[one].word}" for one in CAUSES if one in causes)
        parts += [f"{counts} {word}"] if counts else []
    return "; ".join(parts)


def bed_cell(alarms: Sequence[Alarm]) -> Text:
    """The alarms of one bed, for its row: the signs of those that nobody has seen, then of the seen ones."""
    found = text("")
    for unseen, word in ((True, UNSEEN_WORDS), (False, "seen")):
        these = [alarm for alarm in alarms if alarm.unseen == unseen]
        if not these:
            continue
        found.append(" " if found.plain else "")
        for alarm in these:
            badge = CAUSE_BADGES[alarm.cause]
            found.append(badge.sign, badge.style if unseen else "")
        found.append(f" {word}", "bold" if unseen else "dim")
    return found
