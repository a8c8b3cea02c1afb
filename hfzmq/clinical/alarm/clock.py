"""The log's clock: what a leader stamps its entries with.

Touches no clock: both are handed in. Keeps: stamps never go back, and never stand still. A leader whose wall clock is
behind the log's (the last leader's was ahead) goes on from the log's at the speed of time; were it to stamp its own
time, no limit would run out until it had caught up, and no silent bed would be missed.
"""

from __future__ import annotations


class LogClock:
    """One for a process; its stamps mean something only while this peer leads."""

    def __init__(self) -> None:
        self._ahead_ms = float("-inf")  # of the log's clock before the monotonic one

    def stamp(self, wall_ms: int, monotonic_ms: float, log_ms: int) -> int:
        """Now, Unix ms. ``log_ms``: the latest stamp that is applied here (``Alarms.now_ms``)."""
        self._ahead_ms = max(self._ahead_ms, wall_ms - monotonic_ms, log_ms - monotonic_ms)
        return max(int(self._ahead_ms + monotonic_ms), log_ms)
