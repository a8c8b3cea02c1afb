"""A risk report: its fields, their units and the ranges outside which it is refused.

Touches nothing. Keeps: one order of fields for the wire, the queue on disk, the log and the screens; one table of
bounds for the client that sends and the daemon that accepts. Refusals name the field, the bound and the next step.

Bounds: what a bedside device or a typist can produce for a living adult; wider than the training range, which the model
checks by itself and flags.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hfzmq.clinical.tiers import TIERS

PATIENT_ID_CHARS_MAX = 64
MODEL_ID_CHARS_MAX = 64
FLAGS_CHARS_MAX = 200
TIMESTAMP_MS_MIN = 946_684_800_000  # 2000-01-01
TIMESTAMP_MS_MAX = 4_102_444_800_000  # 2100-01-01
DAY_MAX = 36_500

DAY_RAW = "day_raw"  # a flag: the raw day sets the tier, because somebody asked for it: waiting clears a RED
MISSING = "missing:"  # a flag: and the name of a vital that nobody gave
# What Python calls printable and no eye can see: it shows nothing, or changes only what stands before it. Unicode's
# Default_Ignorable_Code_Point, as far as it is not refused anyway, then blanks that are none to Unicode.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\u2800\U00013441\U00013442\U00016fe4\U0001d159]"
)
# Flags, for what is missing: the lower ends of the guarded probability and of the study's.
LOWEST, STUDY_LOWEST = "probability_low:", "study_low:"


class Vital(NamedTuple):
    """One of the five inputs: its name, unit, inclusive bounds, and what to ask when the value is outside."""

    name: str
    unit: str
    low: float
    high: float
    hint: str


VITALS = (
    Vital("age", "years", 18, 120, "age in years; this model is for adults"),
    Vital("serum_sodium", "mEq/L", 100, 180, "serum sodium in mEq/L (the same number as mmol/L)"),
    Vital("serum_creatinine", "mg/dL", 0.1, 20, "umol/L? divide by 88.4"),
    Vital("ejection_fraction", "%", 5, 90, "a fraction? multiply by 100"),
    Vital("day", "days", 0, DAY_MAX, "days since the start of follow-up, a whole number"),
)


class Report(NamedTuple):
    """One judged reading, in the order of fields that every part of hfzmq uses.

    ``timestamp`` is Unix milliseconds UTC; the vitals are in the units of VITALS, None where nobody gave one (``flags``
    then has ``missing:`` and its name); ``probability`` sets the tier, ``probability_study`` is the raw-day figure in
    details. With a vital missing both are upper ends: what they are with it at the worse of its 5th and 95th percentile
    in the training set. ``model_id`` names the weights; ``flags`` is a comma-separated list ('' when there is none).
    """

    patient_id: str
    timestamp: int
    age: float | None
    serum_sodium: float | None
    serum_creatinine: float | None
    ejection_fraction: float | None
    day: int | None
    probability: float
    tier: str
    probability_study: float
    model_id: str
    flags: str


class Refusal(NamedTuple):
    """Why a value is not accepted: the field, the bound it broke and what to do."""

    field: str
    bound: str
    hint: str


def is_legible(text: str) -> bool:
    """Whether each character is printable, or one that this Python's Unicode does not know: where it was judged they
    may have had a newer one, and what is in the log must be the same to all."""
    return text.isprintable() or all(one.isprintable() or unicodedata.category(one) == "Cn" for one in text)


def check_patient_id(value: object) -> Refusal | None:
    """None when ``value`` can name a patient of whom something is stored, shown or asked: 1 to 64 printable characters
    without spaces at the ends."""
    if (
        isinstance(value, str)
        and 0 < len(value) <= PATIENT_ID_CHARS_MAX
        and is_legible(value)
        and value.strip() == value
    ):
        return None
    return Refusal("patient_id", f"1 to {PATIENT_ID_CHARS_MAX} printable characters", "a bed or patient identifier")


def check_new_patient_id(value: object) -> Refusal | None:
    """None when ``value`` may name a patient of whom something is to be stored: each of its characters can be seen,
    too. Two ids that look the same, or one that looks like none, would be one bed to whoever reads the board."""
    if (
        isinstance(value, str)
        and 0 < len(value) <= PATIENT_ID_CHARS_MAX
        and value.isprintable()
        and value.strip() == value
        and (value.isascii() or not _UNSEEN.search(value))
    ):
        return None
    refusal = check_patient_id(value)
    if refusal is not None:
        return refusal
    found = (one for one in str(value) if not one.isprintable() or _UNSEEN.match(one))
    unseen = ", ".join(sorted({f"U+{ord(one):04X}" for one in found})[:3])
    bound = f"1 to {PATIENT_ID_CHARS_MAX} characters that can be seen"
    return Refusal("patient_id", bound, f"nobody sees {unseen}: leave it out")


def check_vital(vital: Vital, value: object) -> Refusal | None:
    """None when ``value`` is a finite number (a whole one for ``day``) inside the vital's bounds."""
    whole = vital.name == "day"
    number = type(value) is int or (isinstance(value, float) and not whole)
    if number and vital.low <= value <= vital.high:  # type: ignore[operator]
        return None  # NaN is not between its bounds
    bound = f"{vital.low:g} to {vital.high:g} {vital.unit}"
    if number:
        return Refusal(vital.name, bound, vital.hint)
    return Refusal(vital.name, f"{'a whole number' if whole else 'a number'}, {bound}", vital.hint)


def check_vitals(values: Sequence[object]) -> Refusal | None:
    """None when each of the five is good (see ``check_vital``) or None, which is 'not measured', and at least one says
    something of the patient (a day alone does not); else the first refusal."""
    given = 0
    for vital, value in zip(VITALS, values, strict=True):
        if value is None:
            continue
        refusal = check_vital(vital, value)
        if refusal is not None:
            return refusal
        given += vital.name != "day"
    if not given:
        return Refusal(VITALS[0].name, "at least one value of the patient", "without any there is nothing to judge")
    return None


def missing_flags(values: Sequence[object]) -> tuple[str, ...]:
    """``missing:NAME`` for each of the five vitals that is None."""
    return tuple(MISSING + vital.name for vital, value in zip(VITALS, values, strict=True) if value is None)


def low_flag(probability_low: float, name: str = LOWEST) -> str:
    """The flag (LOWEST, STUDY_LOWEST) that carries the lower end of a probability: rounded down, so that it promises
    less."""
    return f"{name}{math.floor(probability_low * 1_000_000) / 1_000_000:.6f}"


def low_of(probability: float, flags: str) -> float:
    """The lower end of a report's guarded probability, by its ``flags``: ``probability`` itself where nothing is
    missing that it reads, 0 where something is and nobody says what the lower end is."""
    return _low_of(probability, flags, LOWEST)


def is_range(probability: float, flags: str) -> bool:
    """Whether ``probability`` is but the upper end of what it may be, because a value is missing."""
    return low_of(probability, flags) < probability


def study_low_of(probability_study: float, flags: str) -> float:
    """The same of the study's probability."""
    return _low_of(probability_study, flags, STUDY_LOWEST)


def _low_of(probability: float, flags: str, name: str) -> float:
    if name not in flags and MISSING not in flags:  # nearly always, and at once
        return probability
    names = flags.split(",")
    if low_flag(probability, name) in names:  # rounded down: only the day is missing, there is one number
        return probability
    for flag in names:
        if flag.startswith(name):
            try:
                low = float(flag[len(name) :])
            except ValueError:
                break
            return low if 0.0 <= low <= probability else 0.0
    return 0.0 if any(flag.startswith(MISSING) for flag in names) else probability


def check_row(row: object, check_id: Callable[[object], Refusal | None] = check_new_patient_id) -> Refusal | None:
    """None when ``row`` (a list or tuple) is a report in the order of ``Report``; otherwise the first refusal.
    ``check_id``: ``check_patient_id`` for what is stored already."""
    if not isinstance(row, (list, tuple)) or len(row) != len(Report._fields):
        return Refusal("row", f"an array of {len(Report._fields)} fields", "order: " + ", ".join(Report._fields))
    refusal = check_id(row[0])
    if refusal:
        return refusal
    if not _is_int(row[1]) or not TIMESTAMP_MS_MIN <= row[1] <= TIMESTAMP_MS_MAX:
        return Refusal("timestamp", "Unix milliseconds UTC, 2000 to 2100", "seconds? multiply by 1000")
    refusal = check_vitals(row[2:7])
    if refusal:
        return refusal
    for name, value in (("probability", row[7]), ("probability_study", row[9])):
        if not isinstance(value, float) or not math.isfinite(value) or not 0.0 <= value <= 1.0:
            return Refusal(name, "a float, 0 to 1", "what the model returned, not a percentage")
    if row[8] not in TIERS:
        return Refusal("tier", "one of " + ", ".join(TIERS), "upper case")
    for name, value, most in (("model_id", row[10], MODEL_ID_CHARS_MAX), ("flags", row[11], FLAGS_CHARS_MAX)):
        if not isinstance(value, str) or len(value) > most or not is_legible(value):
            return Refusal(name, f"text of at most {most} printable characters", "'' when there is none")
    for flag in missing_flags(row[2:7]) if None in row[2:7] else ():
        if flag not in row[11].split(","):
            return Refusal(flag[len(MISSING) :], f"a number, or none and {flag} among the flags", "was it forgotten?")
    return None


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
