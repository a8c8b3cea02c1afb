"""The ward's live picture: the last reading of each bed, GREEN ones too, as clients tell it.

Touches the monotonic clock it is handed. Hints: in memory only, bounded, lost with the process. A board takes the
newest over all peers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hfzmq.clinical.report import Report

BEDS_MAX = 10_000
OVERTAKEN_WITHIN_MS = 10_000


class Ward:
    """``clock()`` is any monotonic clock in milliseconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._beds: dict[str, tuple[float, Report]] = {}

    def take(self, rows: Sequence[Report]) -> None:
        """Keep the newest reading of each patient; the bed that was silent longest makes room.

        An earlier stamp than the known one was overtaken on its way, unless the known one has not been bettered for
        long: then a clock was wrong, and must not freeze the bed."""
        now = self._clock()
        for row in rows:
            known = self._beds.get(row.patient_id)
            if known is None or row.timestamp >= known[1].timestamp or now - known[0] > OVERTAKEN_WITHIN_MS:
                self._beds.pop(row.patient_id, None)
                self._beds[row.patient_id] = (now, row)  # at the end: the first is always the one told longest ago
        while len(self._beds) > BEDS_MAX:
            del self._beds[next(iter(self._beds))]

    def rows(self, since_ms: int | None) -> list[tuple[int, Report]]:
        """(age in ms, reading) of each bed, only of those heard within ``since_ms`` where it is given."""
        now = self._clock()
        aged = [(int(now - at), row) for at, row in self._beds.values()]
        return aged if since_ms is None else [(age, row) for age, row in aged if age <= since_ms]
