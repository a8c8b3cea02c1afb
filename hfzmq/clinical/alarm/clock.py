"""The log's clock: what a leader stamps its entries with.

Touches no clock: both are handed in. Keeps: stamps never go back, and never stand still. A leader whose wall clock is
behind the log's (the last leader's was ahead) goes on from the log's; were it to stamp its own time, no limit would run
out until it had caught up, and no silent bed would be missed. It goes on a little slower than time, so that the log's
clock is right again one day: an hour too much is gone after four days.
"""

from __future__ import annotations

SLOWER = 0.01  # of each second, while the log's clock is ahead: a limit of 30 s takes 30.3 s then


class LogClock:
    """One for a process. Its stamps mean something only while this peer leads; what ``now`` says, on any."""

    def __init__(self) -> None:
        self._ahead_ms = float("-inf")  # of the log's clock before the monotonic one ...
        self._at_ms = 0.0  # ... at this time of the monotonic one

    def stamp(self, wall_ms: int, monotonic_ms: float, log_ms: int) -> int:
        """Now, Unix ms. ``log_ms``: the latest stamp that is applied here (``Alarms.now_ms``)."""
        self.seen(monotonic_ms, log_ms)
        self._ahead_ms = max(self._ahead_ms, wall_ms - monotonic_ms)
        return max(int(self._ahead_ms + monotonic_ms), log_ms)

    def seen(self, monotonic_ms: float, log_ms: int) -> None:
        """An entry with this stamp, of whoever led, is applied here now."""
        self._ahead_ms = max(self._slowed(monotonic_ms), log_ms - monotonic_ms)
        self._at_ms = monotonic_ms

    def now(self, wall_ms: int, monotonic_ms: float) -> int:
        """What the log's clock shows, as far as it is known here, Unix ms: for how long ago a stamp was. It changes
        nothing: a wall clock that is wrong for a while is of no consequence where it stamps nothing."""
        return max(wall_ms, int(max(self._slowed(monotonic_ms) + monotonic_ms, 0.0)))

    def _slowed(self, monotonic_ms: float) -> float:
        return self._ahead_ms - SLOWER * (monotonic_ms - self._at_ms)
