"""When the lines of a recording are due: at its own speed, by the times that stand in it.

Touches a monotonic clock, which is handed in. Must not know: files, readings. Keeps: a line earlier than the one before
it is due at once; nobody waits for a line that is more than GAP_S away from the one before it, be it that a device's
clock was dead or that nobody recorded; when the next line is near to that one, the recording goes on from there, and
when it is not, from where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable

GAP_S = 600.0  # in the recording; where it is replayed faster than it was recorded, of waiting


class Pace:
    """``speed``: 2.0 is twice as fast as it was recorded, 0 as fast as it goes. ``leap_ms``: how far the line that was
    asked about last is ahead of the one before it, where it is not waited for; else 0."""

    def __init__(self, speed: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._speed = speed
        self._clock = clock
        self._far_ms = GAP_S * 1000 * max(1.0, speed)
        self._began: tuple[float, int] | None = None  # when a line was given out, and its timestamp: the others follow
        self._last = 0  # the timestamp of the line before, or of the last one that was near to its neighbour
        self._stray: tuple[float, int] | None = None  # the line before, as ``_began``, where it was far away
        self.leap_ms = 0

    def early_s(self, timestamp: int) -> float:
        """How long before a line of this time (Unix ms) is due, in seconds; 0 or less: it is. The same line may be
        asked about again."""
        self.leap_ms = 0
        if not self._speed:
            return 0.0
        now = self._clock()
        if self._began is None:
            self._began, self._last = (now, timestamp), timestamp
        if abs(timestamp - self._last) > self._far_ms:
            before, self._stray = self._stray, (now, timestamp)
            if before is None or abs(timestamp - before[1]) > self._far_ms:
                self.leap_ms = max(0, timestamp - self._last)
                return 0.0
            self._began = before
        self._last, self._stray = timestamp, None
        began, first = self._began
        return began + (timestamp - first) / 1000 / self._speed - now
