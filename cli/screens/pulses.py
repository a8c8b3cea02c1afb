"""Heart rates on the board: the number where it can be believed, else the verdict in its place.

Touches nothing. Must not know: the mesh. Keeps: a number is whole; one that nobody can believe is not shown as a rate,
its verdict stands there instead, never in a calm colour; an old one says how old it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from rich.text import Text

from hfzmq.cli.format import number, printable
from hfzmq.cli.pulse_view import Pulse
from hfzmq.cli.screens.alarm_words import NO_ALARMS, OfBeds, bed_cell
from hfzmq.cli.screens.canvas import flow, text
from hfzmq.cli.screens.words import STALE_AFTER_MS, duration
from hfzmq.clinical.heart_rate import PHYSIOLOGICAL

CELLS_LEAST = 4  # that a bed takes, with the gap
UNBELIEVABLE = "✕"
STYLES = {"valid": "", PHYSIOLOGICAL: "bold black on yellow"}
NOT_BELIEVED = "bold black on white"


def is_old(pulse: Pulse, now_ms: int) -> bool:
    """Whether it was measured longer ago than STALE_AFTER_MS."""
    return now_ms - pulse.heard_at_ms > STALE_AFTER_MS


def pulse_words(pulse: Pulse, now_ms: int) -> str:
    """``72``, ``131 high``, ``✕ sensor off``; with its age when that is more than STALE_AFTER_MS."""
    anomaly = printable((pulse.verdict.anomaly or pulse.verdict.status).replace("_", " "))
    if pulse.is_valid and pulse.value is not None:
        said = number(pulse.value)
    elif pulse.verdict.status == PHYSIOLOGICAL and pulse.value is not None:
        said = f"{number(pulse.value)} {anomaly}"
    else:
        said = f"{UNBELIEVABLE} {anomaly}"
    return f"{said}, {duration(now_ms - pulse.heard_at_ms)} ago" if is_old(pulse, now_ms) else said


def pulse_text(pulse: Pulse | None, now_ms: int, live: bool) -> Text:
    """The cell of a bed; empty when no heart rate of it is stored."""
    if pulse is None:
        return text("")
    style = STYLES.get(pulse.verdict.status, NOT_BELIEVED)
    return text(pulse_words(pulse, now_ms), "dim" if is_old(pulse, now_ms) or not live else style)


def pulse_lines(
    pulses: Iterable[Pulse], width: int, height: int, now_ms: int, live: bool, alarms: OfBeds = NO_ALARMS
) -> list[Text]:
    """Lines of ``width`` cells about beds of which nothing but a heart rate is known; what is not valid and fresh comes
    first. At most ``height`` lines, 1 at least; what does not fit is counted. An open alarm (``alarms``, by patient)
    stands behind the rate, and its bed first."""
    found = sorted(
        pulses,
        key=lambda pulse: (pulse.patient_id not in alarms, is_old(pulse, now_ms), pulse.is_valid, pulse.patient_id),
    )
    if not found:
        return []
    title = text("HR bpm, no risk report:", "bold dim")
    shown = [_segments(pulse, width - 2, now_ms, live, alarms) for pulse in found[: height * width // CELLS_LEAST + 1]]

    def first(count: int) -> list[Text]:
        rest = len(found) - count
        more = [text(f"+{rest} more", "bold")] if rest else []
        return flow([title, *chain.from_iterable(shown[:count]), *more], width, indent=2)

    low, high = 0, len(shown)  # as many as fit, with the count of the rest
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(first(middle)) <= height else (low, middle - 1)
    if low:
        return first(low)
    return [text(f"HR of {len(found)} beds")]  # fits 40 columns; only where there is one line and names are long


def _segments(pulse: Pulse, width: int, now_ms: int, live: bool, alarms: OfBeds) -> list[Text]:
    """The bed and its rate as one piece; as two where one would have to be broken."""
    name = text(printable(pulse.patient_id), "" if live else "dim")
    rate = pulse_text(pulse, now_ms, live)
    alarm = bed_cell(alarms.get(pulse.patient_id, ()))
    if alarm.plain:
        rate.append(" ").append_text(alarm)
    if name.cell_len + 1 + rate.cell_len > width:
        return [name, rate]
    return [name.append(" ").append_text(rate)]
