"""The daemon's two clocks: one for timers, one for people.

Touches the machine's clocks. Keeps: no timer hangs on a clock that somebody may set.
"""

from __future__ import annotations

import time


def monotonic_ms() -> float:
    """For timers, in milliseconds; it means something within one machine only, until that starts anew."""
    return time.monotonic() * 1000


def wall_clock_ms() -> int:
    """Unix milliseconds UTC; for people, never for timeouts."""
    return time.time_ns() // 1_000_000
