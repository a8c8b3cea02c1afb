"""What is due next: a heap that may say 'too early', never 'too late'.

Touches nothing. Keeps: each (kind, key) is on the heap once at most, under a time that is not after its true one, so
that hearing a bed costs nothing here; what comes to the top is asked for its true time before it is believed. So what
fires, and in which order (time, kind, key), follows from the true times alone.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush, heapreplace
from typing import Any

SILENCE, STREAK, STEP = 0, 1, 2  # of a bed, of a bed, of an episode

Timer = tuple[int, int, Any]  # (due ms, kind, key)


class Timers:
    """``due_of(kind, key)``: the true time, None when there is nothing to wait for any more."""

    def __init__(self, due_of: Callable[[int, Any], int | None]) -> None:
        self._due_of = due_of
        self._heap: list[Timer] = []
        self._armed: set[tuple[int, Any]] = set()

    def arm(self, kind: int, key: Any) -> None:
        """Wait for this too, if there is anything to wait for. Its time must not have come nearer since the last."""
        if (kind, key) in self._armed:
            return
        due = self._due_of(kind, key)
        if due is not None:
            self._armed.add((kind, key))
            heappush(self._heap, (due, kind, key))

    def first(self, until: float) -> Timer | None:
        """What is truly due first, if that is not after ``until``. What seems to be due later is not looked at."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            due, kind, key = heap[0]
            true = self._due_of(kind, key)
            if true == due:
                return heap[0]
            if true is None:
                self.drop_first()
            else:
                heapreplace(heap, (true, kind, key))
        return None

    def drop_first(self) -> None:
        """The first has fired, or is void."""
        _, kind, key = heappop(self._heap)
        self._armed.discard((kind, key))

    def look_again(self) -> None:
        """Times may have come nearer: other rules are in force."""
        true = [(self._due_of(kind, key), kind, key) for _, kind, key in self._heap]
        self._heap = [(due, kind, key) for due, kind, key in true if due is not None]
        heapify(self._heap)
        self._armed = {(kind, key) for _, kind, key in self._heap}
