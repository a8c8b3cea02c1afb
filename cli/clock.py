"""The clock that screens tell ages by.

Touches the system's clocks. Keeps: it never goes back, whoever sets the time of day, and it does not stand still while
the machine sleeps (where the system has such a clock): what was new when a lid was closed is old when it is opened.
"""

from __future__ import annotations

import time

_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def age_clock_ms() -> int:
    """Now, in ms since some moment. No other clock's times belong beside it, ``time.monotonic`` not either."""
    return time.clock_gettime_ns(_CLOCK) // 1_000_000
