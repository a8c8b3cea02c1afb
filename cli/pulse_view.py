"""The last stored heart rate of each bed, from all peers' answers to ``beds``, poll after poll.

Touches nothing: answers come in. Must not know: sockets, screens. Keeps: ids are equal on every peer, so the highest is
the newest; an older answer never replaces a newer one; a reading is never made to look younger than it is: it was
measured when it says so, and before it came in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from hfzmq.cli.bed_view import BEDS_MAX
from hfzmq.clinical.heart_rate import STATUSES, VALID, Verdict
from hfzmq.clinical.report import check_patient_id


class Pulse(NamedTuple):
    """A bed's last stored heart rate. ``value``: beats a minute, None where no number came; ``heard_at_ms``: this
    machine's monotonic clock when it was measured, by the peer's and the bed's wall clocks; when the leader took it in,
    where that was earlier (a bed's clock may be ahead)."""

    patient_id: str
    value: float | None
    verdict: Verdict
    reading_id: int
    heard_at_ms: int

    @property
    def is_valid(self) -> bool:
        """Whether the number can be believed and is in its range."""
        return self.verdict.status == VALID


Pulses = Mapping[str, Pulse]


def merge_pulses(known: Pulses, answers: Iterable[Mapping[str, Any] | None], now_ms: int) -> dict[str, Pulse]:
    """``known``, by patient, brought up to date by peers' answers that came at ``now_ms`` (monotonic). What is no
    reading is left out. At most BEDS_MAX: the ones measured longest ago go."""
    merged = dict(known)
    for answer in answers:
        if answer is None or answer.get("status") != "OK":
            continue
        for pulse in _pulses_of(answer, now_ms):
            before = merged.get(pulse.patient_id)
            if before is None or pulse.reading_id > before.reading_id:
                merged[pulse.patient_id] = pulse
            elif pulse.reading_id == before.reading_id:
                merged[pulse.patient_id] = before._replace(heard_at_ms=min(before.heard_at_ms, pulse.heard_at_ms))
    if len(merged) > BEDS_MAX:
        newest = sorted(merged.values(), key=lambda pulse: pulse.heard_at_ms, reverse=True)
        merged = {pulse.patient_id: pulse for pulse in newest[:BEDS_MAX]}
    return merged


def _pulses_of(answer: Mapping[str, Any], now_ms: int) -> Iterable[Pulse]:
    wall_ms, told = answer.get("now_ms"), answer.get("readings")
    if type(wall_ms) is not int or not isinstance(told, (list, tuple)):
        return
    log_ms = answer.get("log_now_ms")
    clocks = wall_ms, log_ms if type(log_ms) is int else wall_ms  # an older daemon tells its own alone
    for item in told:
        pulse = _pulse(item, clocks, now_ms)
        if pulse is not None:
            yield pulse


def _pulse(item: Any, clocks: tuple[int, int], now_ms: int) -> Pulse | None:
    if not isinstance(item, (list, tuple)) or len(item) != 2 or type(item[0]) is not int:
        return None
    row = item[1]
    if not isinstance(row, (list, tuple)) or len(row) != 6:
        return None
    patient, timestamp, value, status, anomaly, created_at = row
    if check_patient_id(patient) is not None or status not in STATUSES:
        return None
    if type(timestamp) is not int or type(created_at) is not int:
        return None
    if not (value is None or (type(value) in (int, float) and math.isfinite(value))):
        return None
    if not (anomaly is None or (isinstance(anomaly, str) and anomaly.isprintable())):
        return None
    if status == VALID and value is None:
        return None
    wall_ms, log_ms = clocks
    age_ms = max(0, wall_ms - timestamp, log_ms - created_at)  # by the clock that each was stamped with
    return Pulse(patient, value, Verdict(status, anomaly), item[0], now_ms - age_ms)
