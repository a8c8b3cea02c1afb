"""How much memory this process has, and whether somebody makes it grow: then all connections are made anew.

    lowest since the last time --ROOM_BYTES more, and what the log may take--> too much --SETTLE_MS--> begins anew

Why: ZeroMQ bounds how many messages wait and how large a frame is, but neither how many frames a message has, nor how
many handshakes of a megabyte each are under way, nor what somebody subscribes to. All of that goes with the sockets.

Touches /proc/self, and the C library's free memory. Where there is no such file nothing is ever too much.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
from collections.abc import Callable

from hfzmq.config import Limits
from hfzmq.core.journal import WAIT_FOR

ROOM_BYTES = 256 << 20
LOOK_MS = 200
SETTLE_MS = 2000  # until what was dropped is given back
MIB = 1 << 20
STATM = "/proc/self/statm"


def own_bytes() -> int:
    """Memory that is this process's alone; 0 where that cannot be known."""
    try:
        with open(STATM, "rb") as file:
            _, resident, shared, *_ = map(int, file.read().split())
    except (OSError, ValueError):
        return 0
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


def give_back() -> None:
    """Have the C library return what it holds free (glibc keeps it otherwise); nothing where it cannot."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class Weight:
    """``measure()``: bytes. ``grown_mib``: by how much it was too much, last time."""

    def __init__(self, limits: Limits, measure: Callable[[], int] = own_bytes) -> None:
        self._room = ROOM_BYTES + WAIT_FOR[1] * limits.log_bytes_keep + 2 * limits.uncommitted_bytes_max
        self._measure = measure
        self._lowest = math.inf
        self._look_at_ms = -math.inf
        self._settles = False
        self.grown_mib = 0

    def is_too_much(self, now_ms: float) -> bool:
        """Whether everything that others hold here has to go; once, and then not before that was seen to help."""
        if now_ms < self._look_at_ms:
            return False
        self._look_at_ms = now_ms + LOOK_MS
        if self._settles:
            self._settles = False
            self._lowest = math.inf
            give_back()
        weighs = self._measure()
        self._lowest = min(self._lowest, weighs)
        if weighs - self._lowest <= self._room:
            return False
        self.grown_mib = int(weighs - self._lowest) // MIB
        self._settles = True
        self._look_at_ms = now_ms + SETTLE_MS
        return True
