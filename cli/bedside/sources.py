"""What every source of readings has in common.

Touches nothing. A source is read by one thread; it never raises for a bad line (that is an item, Refused), only when it
cannot be read at all.
"""

from __future__ import annotations

import time
from typing import NamedTuple, Protocol

from hfzmq.cli.bedside.readings import Leapt, Reading, Refused, WentOn
from hfzmq.cli.clock import age_clock_ms
from hfzmq.client.queue_types import Places
from hfzmq.clinical import heart_rate

CHUNK_LINES = 200


Parsed = Reading | heart_rate.Reading | Refused
"""A bed's vitals, a heart rate, or a line that is neither."""
Item = Parsed | WentOn | Leapt
"""What a line says, or what is to be said of the line that comes next."""


class Chunk(NamedTuple):
    """What was read in one go; ``places``: how far the source is read after it (None: it has no memory)."""

    items: tuple[Item, ...] = ()
    places: Places | None = None


class Source(Protocol):
    """Readings, chunk after chunk."""

    interval_s: float
    """Between two chunks; 0: as fast as it goes."""
    finite: bool
    """Whether it ends by itself: then the work is done when all of it is acknowledged."""
    batch: bool
    """Whether it is brought in as fast as the mesh takes it: no bed that measures on."""

    def read(self, wait_s: float) -> Chunk | None:
        """The next chunk, empty when nothing came within ``wait_s``; None at the end."""

    def close(self) -> None:
        """Let go of what was opened."""


def mono_ms() -> int:
    """The monotonic clock in ms, as all screens count it."""
    return age_clock_ms()


def wall_ms() -> int:
    """Unix milliseconds UTC."""
    return time.time_ns() // 1_000_000
