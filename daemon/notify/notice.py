"""A notice: what people are told of an alarm, in words, and marked so that a receiver can drop doubles.

Touches nothing. Must not know: how it is delivered. Keeps: every number has its unit, every time its zone, and every
notice says which episode and step it is, of which mesh, and that this is not a medical device.
"""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import NamedTuple

from hfzmq.clinical.alarm.notes import Note, read_note
from hfzmq.clinical.alarm.types import AMBER, HEART_RATE, NO_DATA, RED
from hfzmq.clinical.tiers import UNKNOWN, tier_of
from hfzmq.config import Thresholds

CAUSES = {  # what is said of a cause, in short and at length; another cause speaks for itself
    RED: ("RED", "RED: high risk"),
    AMBER: ("AMBER", "AMBER: raised risk; hydrate and measure again"),
    HEART_RATE: ("HEART RATE", "heart rate outside its limits"),
    NO_DATA: ("NO DATA", "NO DATA: the bed is silent"),
}
DISCLAIMER = "Research software, not a medical device."


class Notice(NamedTuple):
    """What goes to a channel. (episode_id, step, mesh) mark it: the same marks again are the same notice again."""

    episode_id: int
    step: int  # of escalation, 1 to STEPS_MAX of the rules
    patient_id: str
    cause: str
    title: str  # one line
    body: str
    mesh: str = ""


class Delivered(NamedTuple):
    """How a notice fared on a channel: delivered (``ok``), given up, or, not ``over``, failed for the first time and
    tried again. ``why`` says what was wrong, without secrets; ``tries``: how many there were."""

    episode_id: int
    step: int
    channel: str
    ok: bool
    at_ms: int  # Unix milliseconds UTC, by this machine's clock
    why: str
    tries: int = 1
    over: bool = True


Key = tuple[int, int, str]
"""(episode_id, step, channel): what is delivered once."""


def words(
    mesh: str,
    episode_id: int,
    step: int,
    patient_id: str,
    cause: str,
    since_ms: int,
    *,
    thresholds: Thresholds | None = None,
    probability: float | None = None,
    note: str = "",
    heart_rates_bpm: tuple[float, float, float] | None = None,
    missing: str = "",
    unseen_ms: int | None = None,
    written_ms: int | None = None,
) -> Notice:
    """The notice of an episode's step; ``since_ms`` and ``written_ms``, now, are Unix milliseconds UTC: a notice may
    wait for its channel, and its numbers are of the moment when it was written. What is None is not mentioned.
    ``note``: of the probability, see ``clinical.alarm.notes``. ``heart_rates_bpm``: the lowest, the highest and the
    last while it lasted: the last alone may be a good one. ``missing``: of a bed that is silent, what."""
    short, long = CAUSES.get(cause, (cause, cause))
    lines = [f"{short}: {missing}" if missing else long]
    if probability is not None:
        lines += _risk_lines(probability, read_note(note), thresholds or Thresholds())
    if heart_rates_bpm is not None:
        lines.append(_rates_line(*heart_rates_bpm))
    lines += [f"Patient: {patient_id}", f"Since: {_utc(since_ms)}", f"Mesh: {mesh}"]
    if unseen_ms is not None:
        lines.append(f"Unacknowledged for: {unseen_ms // 1000} s")
    if written_ms is not None:
        lines.append(f"Written: {_utc(written_ms)}")
    lines += [f"Mark: {mark(episode_id, step)} (with the same mark it is the same notice again)", DISCLAIMER]
    title = _one_line(f"{short} {patient_id} [{mark(episode_id, step)}]")
    return Notice(episode_id, step, patient_id, cause, title, "\n".join(map(_one_line, lines)), mesh)


def _rates_line(least: float, most: float, last: float) -> str:
    if least == most == last:
        return f"Heart rate: {last!r} BPM"
    return f"Heart rate: {least!r} to {most!r} BPM, last {last!r} BPM"


def mark(episode_id: int, step: int) -> str:
    """``hfzmq episode 42 step 1``."""
    return f"hfzmq episode {episode_id} step {step}"


def _risk_lines(value: float, told: Note, thresholds: Thresholds) -> list[str]:
    high = _probability(value, thresholds)
    if told.tier != UNKNOWN:
        found = [f"Probability: {high}"]
    elif told.low is None:
        found = [f"Probability: not known, up to {high}"]
    else:
        found = [f"Probability: not known, {_probability(told.low, thresholds)} to {high}: a value is missing"]
    return [*found, "RAW DAY: the tier is by the raw day of follow-up"] if told.raw_day else found


def _probability(value: float, thresholds: Thresholds) -> str:
    # More than two digits only where two would round it into another tier: 0.5996 is AMBER and not 0.60.
    if not math.isfinite(value):
        return "no value"
    for digits in range(2, 8):
        shown = f"{value:.{digits}f}"
        if tier_of(float(shown), thresholds) == tier_of(value, thresholds):
            return shown
    return repr(value)


def _utc(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms // 1000, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def _one_line(text: str) -> str:
    # A mail's subject, a log's line: whatever a patient is called, it stays one.
    return "".join(sign if sign.isprintable() else "?" for sign in text)
