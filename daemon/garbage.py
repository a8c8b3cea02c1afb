"""When Python looks for garbage that points at itself: while nobody waits.

    start: what is there stays for ever --> young garbage, as it comes --> all of it, in an idle moment, EVERY_MS apart
                                                                   `--> or under load, OVERDUE_MS after the last time

Why. What is out of use goes at once, by its count; only cycles need a search, and the daemon makes few. A search
through everything meets each entry of the log in memory (40,000 entries: 25 to 35 ms), and Python would begin it in the
middle of a request.

Touches the process's garbage collector. Must not know: what the loop does. Keeps: memory is bounded under any load.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

EVERY_MS = 60_000.0
OVERDUE_MS = 600_000.0
YOUNG = 2_000, 5  # new objects until they are searched; such searches until those that were left are
NEVER = 1_000_000  # searches of the middle generation until Python looks through everything by itself


def settle() -> None:
    """The daemon has begun: what it has made so far stays, and is never searched again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*YOUNG, NEVER)


class Garbage:
    """``collect``: look through everything that was made since ``settle``. Times are monotonic, in ms."""

    def __init__(self, now_ms: float, collect: Callable[[], object] = gc.collect) -> None:
        self._collect = collect
        self._collected_ms = now_ms

    def turn(self, now_ms: float, idle: bool) -> None:
        """To be called often; ``idle``: nobody waits."""
        if now_ms - self._collected_ms >= (EVERY_MS if idle else OVERDUE_MS):
            self._collect()
            self._collected_ms = now_ms
