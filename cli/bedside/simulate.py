"""Simulated patients: a ward that looks like one, from a seed.

Touches the clock, for the timestamps. Keeps: the ranges of the product (age 50-85 years, sodium 125-145 mEq/L,
creatinine 0.8-2.5 mg/dL, ejection fraction 20-65 %, a day count); a patient keeps an age and drifts slowly around a
severity of their own; severities are spread over the ward, so that every tier occurs; the same seed gives the same
readings (save the timestamps).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hfzmq.cli.bedside.readings import Reading
from hfzmq.cli.bedside.sources import Chunk, wall_ms

READINGS_A_DAY = 30  # simulated days pass quickly enough to be seen
_DRIFT = 0.05  # of severity, each reading
_PULL = 0.15  # back to the patient's own severity


class SimulatedPatient:
    """One patient; ``severity`` from 0 (well) to 1 (gravely ill) is where they drift around."""

    def __init__(self, patient_id: str, severity: float, rng: Random) -> None:
        self.patient_id = patient_id
        self._rng = rng
        self._home = self._now = severity
        self._age = round(min(85.0, max(50.0, 52 + 30 * severity + rng.uniform(-4, 4))))
        self._start_day = rng.randint(4, 200)
        self._taken = 0

    def reading(self, timestamp: int) -> Reading:
        """The next one."""
        rng = self._rng
        self._now += _PULL * (self._home - self._now) + rng.gauss(0, _DRIFT)
        self._now = min(1.0, max(0.0, self._now))
        ill = self._now
        sodium = min(145.0, max(125.0, 143 - 17 * ill + rng.gauss(0, 0.4)))
        creatinine = min(2.5, max(0.8, 0.85 + 1.6 * ill + rng.gauss(0, 0.04)))
        fraction = min(65.0, max(20.0, 62 - 41 * ill + rng.gauss(0, 0.8)))
        day = self._start_day + self._taken // READINGS_A_DAY
        self._taken += 1
        return Reading(
            self.patient_id, timestamp, self._age, round(sodium, 1), round(creatinine, 2), round(fraction), day
        )


class SimulateSource:
    """One reading of each patient, every ``interval_s``; ends after ``count`` of each (None: never)."""

    finite = False
    batch = False

    def __init__(self, patients: Sequence[str], interval_s: float, count: int | None, seed: int | None) -> None:
        rng = Random(seed)
        self.interval_s = interval_s
        self._left = count
        self._last_ms = 0
        shares = [(place + 0.5) / len(patients) for place in range(len(patients))]
        rng.shuffle(shares)
        self._patients = [
            SimulatedPatient(name, share, Random(rng.getrandbits(64)))
            for name, share in zip(patients, shares, strict=True)
        ]

    def read(self, wait_s: float) -> Chunk | None:
        """One reading of each patient, at once."""
        if self._left is not None:
            if self._left <= 0:
                return None
            self._left -= 1
        self._last_ms = now = max(wall_ms(), self._last_ms + 1)  # a patient has one reading at a time
        return Chunk(tuple(patient.reading(now) for patient in self._patients))

    def close(self) -> None:
        """Nothing is open."""
