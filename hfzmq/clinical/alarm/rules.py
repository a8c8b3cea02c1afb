"""What a site may set about its alarms: thresholds, persistence, limits, escalation.

Touches nothing. Keeps: rules that exist passed ``check_rules``; every on-threshold lies above its off-threshold. The
rules in force are part of the replicated state (an entry sets them), so that peers with different files do not diverge.

What is on is decided by a report's probability against these rules, not by the tier that the bedside shows (which has
thresholds of its own), but for UNKNOWN: it counts as its upper end and never ends anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from hfzmq.clinical.report import Refusal, check_patient_id

DAY_MS = 86_400_000
READINGS_MAX = 60
STEPS_MAX = 8
EXPECTED_MAX = 10_000
AWAY_MS_MIN = 3_000


class Expected(NamedTuple):
    """A bed that has to be heard even if it never was. ``silent_ms`` 0: the limit of all beds."""

    patient_id: str
    silent_ms: int = 0


class AlarmRules(NamedTuple):
    """``*_ms`` 0 and ``*_readings`` 0 mean: not by this; where there are both, the one that comes first decides."""

    red_on: float = 0.60  # RED from here
    red_off: float = 0.55  # and until below here
    red_readings: int = 1  # so many reports in a row, none of them below red_off
    amber_on: float = 0.30
    amber_off: float = 0.25
    amber_ms: int = 15_000  # AMBER or above for so long, without one below amber_off
    amber_readings: int = 2  # or so many
    amber_window: int = 3  # of the last so many
    rate_readings: int = 3  # so many heart rates outside the valid range in a row
    rate_ms: int = 10_000  # or none inside it for so long (two readings at least)
    rate_back_readings: int = 3  # so many inside it end the cause
    gap_ms: int = 30_000  # a streak stands still beyond so long without a reading
    silent_ms: int = 30_000  # NO_DATA when nothing believable was taken in for so long
    away_ms: int = 15_000  # a log without any stamp for so long: the mesh was away, silence counts from its return
    steps_ms: tuple[int, ...] = (0, 60_000, 180_000)  # the escalation's steps, from the moment of raising
    notice_steps: int = 1  # of them for AMBER, which is a notice
    expected: tuple[Expected, ...] = ()  # sorted by patient_id, each once


DEFAULT_RULES = AlarmRules()

_SHARES = ("red_on", "red_off", "amber_on", "amber_off")
_COUNTS = {  # name -> (least, most)
    "red_readings": (1, READINGS_MAX),
    "amber_readings": (0, READINGS_MAX),
    "amber_window": (1, READINGS_MAX),
    "rate_readings": (0, READINGS_MAX),
    "rate_back_readings": (1, READINGS_MAX),
    "notice_steps": (0, STEPS_MAX),
    "amber_ms": (0, DAY_MS),
    "rate_ms": (0, DAY_MS),
    "gap_ms": (1, DAY_MS),
    "silent_ms": (1, DAY_MS),
    "away_ms": (AWAY_MS_MIN, DAY_MS),
}


def check_rules(rules: AlarmRules) -> Refusal | None:
    """None when ``rules`` can be in force; otherwise the first field that cannot, its bound and what to do."""
    for name in _SHARES:
        value = getattr(rules, name)
        if type(value) not in (int, float) or not math.isfinite(value) or not 0.0 < value <= 1.0:
            return Refusal(name, "a number above 0, at most 1", "a probability, not a percentage")
    for name, (least, most) in _COUNTS.items():
        value = getattr(rules, name)
        if type(value) is not int or not least <= value <= most:
            return Refusal(name, f"a whole number, {least} to {most}", "milliseconds" if name.endswith("_ms") else "")
    for tier in ("red", "amber"):
        if not getattr(rules, f"{tier}_off") < getattr(rules, f"{tier}_on"):
            return Refusal(f"{tier}_off", f"below {tier}_on", "apart, so that jitter on the threshold raises once")
    if rules.amber_on > rules.red_on:
        return Refusal("amber_on", "at most red_on", "AMBER is the lower tier")
    if rules.amber_readings > rules.amber_window:
        return Refusal("amber_readings", "at most amber_window", "so many of the last so many")
    for name in ("amber", "rate"):
        if not getattr(rules, f"{name}_ms") and not getattr(rules, f"{name}_readings"):
            return Refusal(f"{name}_readings", f"not 0 together with {name}_ms", "1: at once")
    return _check_steps(rules.steps_ms) or _check_expected(rules.expected)


def _check_steps(steps: Any) -> Refusal | None:
    good = isinstance(steps, tuple) and len(steps) <= STEPS_MAX
    good = good and all(type(one) is int and 0 <= one <= DAY_MS for one in steps)
    if good and all(a < b for a, b in pairwise(steps)):
        return None
    return Refusal("steps_ms", f"at most {STEPS_MAX} rising whole numbers, 0 to {DAY_MS}", "such as 0, 60000, 180000")


def _check_expected(expected: Any) -> Refusal | None:
    if not isinstance(expected, tuple) or len(expected) > EXPECTED_MAX:
        return Refusal("expected", f"at most {EXPECTED_MAX} beds", "a list of patient ids, or a map to their limits")
    last = ""
    for one in expected:
        if not isinstance(one, tuple) or len(one) != 2:
            return Refusal("expected", "pairs of patient_id and limit in ms", "limit 0: silent_ms")
        refusal = check_patient_id(one[0])
        if refusal:
            return refusal._replace(field="expected")
        if type(one[1]) is not int or not 0 <= one[1] <= DAY_MS:
            return Refusal("expected", f"limits of 0 to {DAY_MS} ms", "limit 0: silent_ms")
        if one[0] <= last:
            return Refusal("expected", "sorted, each bed once", f"look at {one[0]}")
        last = one[0]
    return None


def to_mapping(rules: AlarmRules) -> dict[str, Any]:
    """The rules as JSON can carry them; ``from_mapping`` gives them back."""
    plain = rules._asdict()
    return {**plain, "steps_ms": list(rules.steps_ms), "expected": [list(one) for one in rules.expected]}


def from_mapping(mapping: Any) -> AlarmRules | Refusal:
    """Rules out of a plain mapping; what it leaves out is as in DEFAULT_RULES. A Refusal when they cannot be.

    ``expected`` is a list of ids, a list of [id, limit in ms], or a map of id to limit in ms."""
    if not isinstance(mapping, Mapping):
        return Refusal("alarms", "a map", "such as red_on: 0.6")
    for name in mapping:
        if name not in AlarmRules._fields:
            return Refusal(str(name)[:40], "no rule of alarms", "known: " + ", ".join(AlarmRules._fields))
    values = dict(mapping)
    if "steps_ms" in values and isinstance(values["steps_ms"], (list, tuple)):
        values["steps_ms"] = tuple(values["steps_ms"])
    if "expected" in values:
        expected = _expected(values["expected"])
        if expected is None:
            return Refusal("expected", "a list of patient ids, or a map to their limits in ms", "limit 0: silent_ms")
        values["expected"] = expected
    rules = AlarmRules(**values)
    return check_rules(rules) or rules


def _expected(given: Any) -> tuple[Expected, ...] | None:
    if isinstance(given, Mapping):
        given = list(given.items())
    if not isinstance(given, (list, tuple)):
        return None
    pairs = [(one, 0) if isinstance(one, str) else one for one in given]
    if not all(isinstance(one, (list, tuple)) and len(one) == 2 and isinstance(one[0], str) for one in pairs):
        return None
    return tuple(Expected(*one) for one in sorted(pairs, key=lambda one: one[0]))
