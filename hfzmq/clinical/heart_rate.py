"""Heart-rate readings: whether a number can be believed, and why not. How ill somebody is, is another question (tiers).

Touches nothing: the time comes in. Must not know: alarms, the mesh. Keeps: every reading gets exactly one verdict,
whatever its value is, for a reading is stored and never refused; a device's 'no value' number is never taken for a
rate; the order of VERDICTS is what the log stores, so that it only grows.

    no number, a payload  -> corrupted / unparsable         0, -1, -100, -999 -> invalid_system / sensor_off
    no number, none       -> invalid_system / missing       other nonsense    -> invalid_system / impossible
    stamp of tomorrow     -> invalid_system / future        outside the range -> invalid_physiological / high, low
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from hfzmq.clinical.report import TIMESTAMP_MS_MAX, TIMESTAMP_MS_MIN, Refusal, check_new_patient_id
from hfzmq.config import HeartRate

VALID, PHYSIOLOGICAL, SYSTEM, CORRUPTED = "valid", "invalid_physiological", "invalid_system", "corrupted"
STATUSES = (VALID, PHYSIOLOGICAL, SYSTEM, CORRUPTED)

NO_VALUE = frozenset((0.0, -1.0, -100.0, -999.0))  # what devices send while they measure nothing
POSSIBLE_MAX = 300.0  # beats a minute: no device means more

RAW_CHARS_MAX = 1000

_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?", re.ASCII)
_DIGITS_MAX = 400  # beyond them only infinity is left
_NOTHING = frozenset(("", "null", "none", "na", "n/a", "nil"))


class Verdict(NamedTuple):
    """Whether a reading can be believed (``status``, of STATUSES), and what is wrong with it: None when it is valid."""

    status: str
    anomaly: str | None


# A verdict's number in the log is its place in here. Append only.
VERDICTS = (
    Verdict(VALID, None),
    Verdict(PHYSIOLOGICAL, "high"),
    Verdict(PHYSIOLOGICAL, "low"),
    Verdict(SYSTEM, "sensor_off"),
    Verdict(SYSTEM, "impossible"),
    Verdict(SYSTEM, "future"),
    Verdict(SYSTEM, "missing"),
    Verdict(CORRUPTED, "unparsable"),
)
_VALID, _HIGH, _LOW, _SENSOR_OFF, _IMPOSSIBLE, _FUTURE, _MISSING, _UNPARSABLE = VERDICTS

# The category of the row in heartbeat_alerts that a reading of this status gets; a valid one gets none.
CATEGORY_OF = {
    PHYSIOLOGICAL: "physiological_anomaly",
    SYSTEM: "system_anomaly",
    CORRUPTED: "data_corruption",
}
CATEGORIES = tuple(CATEGORY_OF.values())


class HeartRateRules(NamedTuple):
    """The range of valid rates, ends included, in beats a minute; and how far a reading's stamp may be ahead of the
    leader's clock, in ms (clocks at beds are not set by anybody)."""

    valid_min: float = 50
    valid_max: float = 120
    future_ms: int = 5_000


class Reading(NamedTuple):
    """A heart rate as it is sent. ``timestamp``: Unix ms UTC; ``value``: beats a minute, None when there is no number;
    ``raw_payload``: what the device gave, '' when that was the number and nothing else."""

    patient_id: str
    timestamp: int
    value: float | None
    raw_payload: str


def rules_of(settings: HeartRate) -> HeartRateRules:
    """The rules that a configuration sets."""
    return HeartRateRules(settings.valid_min, settings.valid_max, settings.future_ms)


def judge(value: object, timestamp_ms: int, now_ms: int, rules: HeartRateRules, raw_payload: str = "") -> Verdict:
    """The verdict on a reading that was measured at ``timestamp_ms`` and came at ``now_ms`` (the leader's clock; both
    Unix ms). What is said of the number stands before what is said of the clock, where both make it unbelievable."""
    if type(value) not in (int, float):  # a bool is none
        nothing = value is None and raw_payload.strip().lower() in _NOTHING
        return _MISSING if nothing else _UNPARSABLE
    if value in NO_VALUE:
        return _SENSOR_OFF
    if not 0 < value <= POSSIBLE_MAX:  # type: ignore[operator]  # NaN is not between them either
        return _IMPOSSIBLE
    if timestamp_ms > now_ms + rules.future_ms:
        return _FUTURE
    if value > rules.valid_max:  # type: ignore[operator]
        return _HIGH
    return _LOW if value < rules.valid_min else _VALID  # type: ignore[operator]


def number_of(value: object) -> float | None:
    """What is stored of a value: a finite float, None for whatever is none. The payload keeps the rest."""
    if type(value) not in (int, float):
        return None
    try:
        found = float(value)  # type: ignore[arg-type]
    except OverflowError:
        return None
    return found + 0.0 if math.isfinite(found) else None  # SQLite knows no NaN, nobody a negative zero


BLANKS = " \t\r\n"  # what stands around a number in a file; str.strip takes more than float does


def parse_value(payload: str) -> float | None:
    """The number in a device's or a CSV's text: plain decimal digits, blanks around them; None when it is none.

    ``nan`` and ``inf``, however signed, come back as such, so that they are judged as numbers that cannot be. A comma,
    a unit, a second number: None, for guessing would be worse."""
    text = payload.strip(BLANKS)
    if len(text) <= _DIGITS_MAX and _NUMBER.fullmatch(text):
        return float(text)
    word = text.lower().lstrip("+-")
    if word == "nan":
        return math.nan
    if word in ("inf", "infinity"):
        return -math.inf if text.startswith("-") else math.inf
    return None


def check_reading(row: object) -> Refusal | None:
    """None when ``row`` (a list or tuple in the order of ``Reading``) can be stored, whatever its value is."""
    if not isinstance(row, (list, tuple)) or len(row) != len(Reading._fields):
        return Refusal("row", f"an array of {len(Reading._fields)} fields", "order: " + ", ".join(Reading._fields))
    refusal = check_new_patient_id(row[0])
    if refusal:
        return refusal
    if type(row[1]) is not int or not TIMESTAMP_MS_MIN <= row[1] <= TIMESTAMP_MS_MAX:
        return Refusal("timestamp", "Unix milliseconds UTC, 2000 to 2100", "seconds? multiply by 1000")
    if not isinstance(row[3], str) or len(row[3]) > RAW_CHARS_MAX:
        return Refusal("raw_payload", f"text of at most {RAW_CHARS_MAX} characters", "'' when there is none")
    return None
