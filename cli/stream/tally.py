"""How many readings of each verdict were read, acknowledged, refused, and wait.

Touches nothing. Keeps: rows are answered in the order in which they were queued, so that each answer finds the verdict
of its row; what an earlier run had left in the queue is counted by itself, for its verdicts are not known here.

The verdict counted is the one that the mesh must come to: by the configuration's range and this machine's clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from hfzmq.clinical.heart_rate import STATUSES, VERDICTS, HeartRateRules, Reading, Verdict, judge


class Count(NamedTuple):
    """Readings of one verdict."""

    read: int = 0
    acked: int = 0
    rejected: int = 0

    @property
    def pending(self) -> int:
        """On this machine's disk, not yet answered."""
        return self.read - self.acked - self.rejected


class Tally:
    """See the module. ``earlier``: rows of earlier runs, which are answered first."""

    def __init__(self, rules: HeartRateRules, earlier: int) -> None:
        self._rules = rules
        self._waiting: deque[Verdict] = deque()
        self._earlier = Count(earlier)
        self._counts: dict[Verdict, Count] = {}

    def expect(self, reading: Reading, now_ms: int) -> Verdict:
        """The verdict that a reading must get when the mesh has it at ``now_ms`` (Unix ms)."""
        return judge(reading.value, reading.timestamp, now_ms, self._rules, reading.raw_payload)

    def queued(self, verdicts: Sequence[Verdict]) -> None:
        """So many readings of these verdicts are on disk."""
        for verdict in verdicts:
            found = self.of(verdict)
            self._counts[verdict] = found._replace(read=found.read + 1)
        self._waiting.extend(verdicts)

    def answered(self, *, acked: bool) -> None:
        """The oldest row that waits is stored, or refused for good."""
        field = "acked" if acked else "rejected"
        if self._earlier.pending:
            self._earlier = _one_more(self._earlier, field)
        elif self._waiting:
            verdict = self._waiting.popleft()
            self._counts[verdict] = _one_more(self.of(verdict), field)

    def of(self, verdict: Verdict) -> Count:
        """The count of one verdict."""
        return self._counts.get(verdict, Count())

    def of_status(self, status: str) -> Count:
        """The count of all verdicts of a status."""
        found = [count for verdict, count in self._counts.items() if verdict.status == status]
        return Count(*map(sum, zip(*found, strict=True))) if found else Count()

    @property
    def earlier(self) -> Count:
        """The rows that an earlier run had left in the queue."""
        return self._earlier

    def table(self) -> dict[str, dict[str, int]]:
        """For each status, and ``status/anomaly``: read, acked, rejected, pending. Every status is there, and every
        anomaly that was read."""
        found = {status: _shown(self.of_status(status)) for status in STATUSES}
        for verdict in VERDICTS:
            if verdict.anomaly is not None and verdict in self._counts:
                found[f"{verdict.status}/{verdict.anomaly}"] = _shown(self.of(verdict))
        return found


def _one_more(count: Count, field: str) -> Count:
    return count._replace(acked=count.acked + 1) if field == "acked" else count._replace(rejected=count.rejected + 1)


def _shown(count: Count) -> dict[str, int]:
    return {**count._asdict(), "pending": count.pending}
