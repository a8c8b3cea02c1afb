"""What a process of this machine costs: CPU, memory, descriptors, from Linux's /proc.

Touches /proc, reading only. Keeps: what cannot be known is NaN or None, never 0.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import NamedTuple

_UTIME, _STIME = 11, 12  # of the fields after the name in /proc/PID/stat


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


def size(*paths: Path) -> int:
    """Bytes of those files that are there."""
    return sum(path.stat().st_size for path in paths if path.exists())
