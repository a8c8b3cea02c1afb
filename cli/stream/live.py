"""The generator as a source: each patient measured at a steady rate, from now on.

Touches the clocks. Must not know: the mesh. Keeps: reading number n of the run (from 0) is measured n / (patients *
rate) seconds after the start, and stamped so; it is given out when a batch is full or LINGER_S after it was measured,
whichever comes first; a machine that slept or hung for longer than LATE_S has measured nothing in that time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from hfzmq.cli.bedside.sources import Chunk, wall_ms
from hfzmq.cli.stream.generator import Generator

LINGER_S = 0.25
LATE_S = 10.0


class LiveSource:
    """See the module. ``per_second``: readings of all patients together; ``total``: it ends after so many (None:
    never). ``batch_rows``: of a chunk, at most; ``finite``: whether the work is done only when all of it is
    acknowledged."""

    batch = False
    interval_s = 0.0

    def __init__(
        self,
        generator: Generator,
        per_second: float,
        batch_rows: int,
        total: int | None,
        *,
        finite: bool = False,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self.finite = finite
        self._generator = generator
        self._per_second = per_second
        self._batch_rows = batch_rows
        self._left = total
        self._clock = clock
        self._now_ms = now_ms
        self._began: tuple[float, int] | None = None  # both clocks at number 0 of what follows
        self._made = 0  # since then

    def read(self, wait_s: float) -> Chunk | None:
        """A batch when it is full or old enough; empty when neither is so within ``wait_s``."""
        if self._left == 0:
            return None
        now = self._clock()
        if self._began is None or now - self._due_at(0) > LATE_S:
            self._began, self._made = (now, self._now_ms()), 0
        most = self._batch_rows if self._left is None else min(self._batch_rows, self._left)
        full_at, old_at = self._due_at(most - 1), self._due_at(0) + LINGER_S
        if now < full_at and now < old_at:
            time.sleep(max(0.0, min(wait_s, full_at - now, old_at - now)))
            return Chunk()
        count = most
        while now < self._due_at(count - 1):
            count -= 1
        items = tuple(self._generator.next(self._stamp(number)) for number in range(count))
        self._made += count
        if self._left is not None:
            self._left -= count
        return Chunk(items)

    def close(self) -> None:
        """Nothing is open."""

    def _due_at(self, number: int) -> float:
        """When the reading ``number`` after those that were made is measured."""
        assert self._began is not None
        return self._began[0] + (self._made + number) / self._per_second

    def _stamp(self, number: int) -> int:
        assert self._began is not None
        return self._began[1] + int((self._made + number) * 1000 / self._per_second)
