"""The ward's live picture: the last reading of each bed, GREEN ones too, as clients tell it.

Touches the monotonic clock it is handed. Hints: in memory only, bounded, lost with the process. A board takes the
newest over all peers. Keeps: what another peer passed on is as old as that one says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from hfzmq.clinical.report import Report

BEDS_MAX = 10_000
OVERTAKEN_WITHIN_MS = 10_000


class Heard(NamedTuple):
    """The newest of one bed: when it was told, the reading, how many came before, whether another peer passed it on."""

    at_ms: float
    row: Report
    arrival: int
    passed_on: bool


class Ward:
    """``clock()`` is any monotonic clock in milliseconds. ``arrivals``: how many readings were taken."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._beds: dict[str, Heard] = {}
        self.arrivals = 0

    def take(self, rows: Sequence[Report]) -> None:
        """What a client has told: keep the newest reading of each patient; the bed that was silent longest makes room.

        An earlier stamp than the known one was overtaken on its way, unless the known one has not been bettered for
        long: then a clock was wrong, and must not freeze the bed."""
        self._take([(0, row) for row in rows], passed_on=False)

    def take_passed_on(self, aged: Sequence[tuple[int, Report]]) -> None:
        """Likewise, what a client has told another peer: (age in ms, reading)."""
        self._take(aged, passed_on=True)

    def _take(self, aged: Sequence[tuple[int, Report]], *, passed_on: bool) -> None:
        now = self._clock()
        for age_ms, row in aged:
            at_ms, known = now - age_ms, self._beds.get(row.patient_id)
            stamp = row.timestamp - known.row.timestamp if known else 1
            again = stamp == 0 and not passed_on  # from a client it is fresh; from a peer it only came back
            if known is None or stamp > 0 or again or at_ms - known.at_ms > OVERTAKEN_WITHIN_MS:
                self._beds.pop(row.patient_id, None)
                self.arrivals += 1  # and at the end: the first is always the one that came in longest ago
                self._beds[row.patient_id] = Heard(at_ms, row, self.arrivals, passed_on)
        while len(self._beds) > BEDS_MAX:
            del self._beds[next(iter(self._beds))]

    def rows(self, since_ms: int | None) -> list[tuple[int, Report]]:
        """(age in ms, reading) of each bed, only of those heard within ``since_ms`` where it is given."""
        now = self._clock()
        aged = [(int(now - heard.at_ms), heard.row) for heard in self._beds.values()]
        return aged if since_ms is None else [(age, row) for age, row in aged if age <= since_ms]

    def news(self, after: int, within_ms: int, *, passed_on: bool) -> list[tuple[int, Report]]:
        """Likewise of the beds whose newest came in after so many ``arrivals``, and was told within so long. With those
        that other peers passed on, or without."""
        now, found = self._clock(), []
        for heard in reversed(self._beds.values()):
            if heard.arrival <= after:
                break
            if now - heard.at_ms <= within_ms and (passed_on or not heard.passed_on):
                found.append((int(now - heard.at_ms), heard.row))
        return found[::-1]
