"""Heart rates from a seed: plausible ones, and exactly the configured share of others.

Touches nothing: the timestamps come in. Must not know: clocks, the mesh. Keeps: the same seed and settings give the
same readings, save the timestamps; and the share is kept exactly, not on average:

- after n readings that make up whole blocks of BLOCK (and at the end, if that was announced) there are exactly
  round(n * share) invalid ones, half up;
- the kinds of the invalid ones take turns, in the order of KINDS: of m invalid readings, kind number k (from 0) has
  (m + 5 - k) // 6. So 10,000 readings with a share of 0.2 have 8,000 valid, 334 high, 334 low, 333 each of sensor_off,
  impossible, future and corrupted;
- within a block, the seed decides which readings are the invalid ones, and which of them is of which kind.

A patient's valid rates wander around a rate of their own, inside the valid range, by whole beats.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from random import Random

from hfzmq.clinical.heart_rate import NO_VALUE, Reading
from hfzmq.config import HeartRate

BLOCK = 100
HIGH, LOW, SENSOR_OFF, IMPOSSIBLE, FUTURE, CORRUPTED = (
    "high",
    "low",
    "sensor_off",
    "impossible",
    "future",
    "corrupted",
)
KINDS = (HIGH, LOW, SENSOR_OFF, IMPOSSIBLE, FUTURE, CORRUPTED)

AHEAD_MS = 365 * 86_400_000  # of a reading from the future: it stays one, however long the mesh is away
_NO_VALUES = tuple(sorted(int(value) for value in NO_VALUE))
_IMPOSSIBLE = (301, 511, 999, 1023, 65_535, -2, -50)  # beyond any device, and none of the 'no value' numbers
_JUNK = ("HR=?", "7O bpm", "72;73", "E04 LEADS OFF", '{"hr": 7', "##", "0x48", "12,5", "<hr/>")

_PULL = 0.1  # back to the patient's own rate, each reading
_DRIFT = 1.5  # beats a minute


class Generator:
    """See the module. ``share``: of the invalid ones, 0 to 1; ``total``: how many readings it will be asked for, if
    that is known, so that a last part of a block is exact too. Endless otherwise (and beyond)."""

    def __init__(
        self,
        patients: Sequence[str],
        settings: HeartRate,
        share: Fraction,
        seed: int | None = None,
        total: int | None = None,
    ) -> None:
        self._rng = Random(seed)
        self._settings = settings
        self._share = share
        self._total = total
        self._made = 0
        self._invalid = 0  # planned so far
        self._plan: deque[str | None] = deque()  # of the block that is under way: None is valid
        self._patients = [_Patient(name, settings, Random(self._rng.getrandbits(64))) for name in patients]

    def next(self, timestamp: int) -> Reading:
        """The next reading, of the next patient in turn, measured at ``timestamp`` (Unix ms)."""
        if not self._plan:
            self._plan_block()
        patient = self._patients[self._made % len(self._patients)]
        self._made += 1
        kind = self._plan.popleft()
        rate = patient.rate()  # it goes on beating, whatever the device says
        return self._reading(patient.patient_id, timestamp, rate, kind)

    def _plan_block(self) -> None:
        left = BLOCK if self._total is None or self._total <= self._made else self._total - self._made
        size = min(BLOCK, left)
        due = quota(self._made + size, self._share)
        plan: list[str | None] = [KINDS[number % len(KINDS)] for number in range(self._invalid, due)]
        plan += [None] * (size - len(plan))
        self._rng.shuffle(plan)
        self._invalid = due
        self._plan.extend(plan)

    def _reading(self, patient: str, timestamp: int, rate: int, kind: str | None) -> Reading:
        limits, rng = self._settings, self._rng
        if kind == HIGH:
            return Reading(patient, timestamp, rng.randint(limits.valid_max + 1, limits.invalid_max), "")
        if kind == LOW:
            return Reading(patient, timestamp, rng.randint(limits.invalid_min, limits.valid_min - 1), "")
        if kind == SENSOR_OFF:
            return Reading(patient, timestamp, rng.choice(_NO_VALUES), "")
        if kind == IMPOSSIBLE:
            return Reading(patient, timestamp, rng.choice(_IMPOSSIBLE), "")
        if kind == FUTURE:
            return Reading(patient, timestamp + AHEAD_MS, rate, "")
        if kind == CORRUPTED:
            return Reading(patient, timestamp, None, rng.choice(_JUNK))
        return Reading(patient, timestamp, rate, "")


def quota(readings: int, share: Fraction) -> int:
    """How many of so many readings are invalid: ``readings * share``, rounded half up."""
    return int(readings * share + Fraction(1, 2))


def patient_names(count: int) -> list[str]:
    """P-001, P-002, ..."""
    return [f"P-{place + 1:03d}" for place in range(count)]


class _Patient:
    def __init__(self, patient_id: str, settings: HeartRate, rng: Random) -> None:
        self.patient_id = patient_id
        self._low, self._high = settings.valid_min, settings.valid_max
        self._rng = rng
        spread = (self._high - self._low) / 5  # nobody is at home at an edge
        self._home = self._now = rng.uniform(self._low + spread, self._high - spread)

    def rate(self) -> int:
        self._now += _PULL * (self._home - self._now) + self._rng.gauss(0, _DRIFT)
        self._now = min(float(self._high), max(float(self._low), self._now))
        return round(self._now)
