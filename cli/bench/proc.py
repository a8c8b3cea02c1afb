"""What a process of this machine costs: CPU, memory, descriptors; what others took of its CPUs. From Linux's /proc.

Touches /proc, reading only. Keeps: what cannot be known is NaN or None, never 0.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import NamedTuple

_UTIME, _STIME = 11, 12  # of the fields after the name in /proc/PID/stat
_STEAL = 8  # of the fields of /proc/stat's first line, the name among them


class Cost(NamedTuple):
    """``cpu_s``: all threads, since the process began; ``rss_bytes``: now; ``descriptors``: open ones."""

    cpu_s: float
    rss_bytes: float
    descriptors: float


UNKNOWN = Cost(math.nan, math.nan, math.nan)


def cost(pid: int) -> Cost:
    """Of a process; UNKNOWN when there is none, or no /proc."""
    folder = Path(f"/proc/{pid}")
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[_UTIME]) + int(fields[_STIME])
        pages = int((folder / "statm").read_text().split()[1])
        descriptors = len(os.listdir(folder / "fd"))
    except (OSError, ValueError, IndexError):
        return UNKNOWN
    return Cost(ticks / os.sysconf("SC_CLK_TCK"), float(pages * os.sysconf("SC_PAGE_SIZE")), float(descriptors))


def stolen_s() -> float:
    """CPU seconds, of all CPUs since the machine started, in which one of them had work and its host let others run
    (proc(5): steal); NaN where nobody counts them."""
    try:
        ticks = int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[_STEAL])
    except (OSError, ValueError, IndexError):
        return math.nan
    return ticks / os.sysconf("SC_CLK_TCK")


def size(*paths: Path) -> int:
    """Bytes of those files that are there."""
    return sum(path.stat().st_size for path in paths if path.exists())
