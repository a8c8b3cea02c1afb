"""What each thread of a process has cost, from Linux's /proc.

Touches /proc, reading only. Keeps: it is the kernel's own count, so that what a sampler adds by stopping the process is
not in it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

LOOP, CARRIERS, OTHERS = "loop", "zmq", "others"  # the main thread; ZeroMQ's own; all else
_CARRIER = "ZMQbg/"
_UTIME, _STIME = 11, 12  # of the fields after the name in /proc/PID/stat


class Thread(NamedTuple):
    """``name``: as the kernel has it; ``cpu_s``: since it began."""

    name: str
    cpu_s: float


def threads(pid: int) -> dict[int, Thread]:
    """Those of a process that live now, by their ids."""
    found: dict[int, Thread] = {}
    for folder in Path(f"/proc/{pid}/task").iterdir():
        try:
            head, _, rest = (folder / "stat").read_text().rpartition(")")
        except OSError:
            continue  # it has ended
        fields = rest.split()
        ticks = int(fields[_UTIME]) + int(fields[_STIME])
        found[int(folder.name)] = Thread(head.partition("(")[2], ticks / os.sysconf("SC_CLK_TCK"))
    return found


def spent_s(pid: int, before: Mapping[int, Thread], after: Mapping[int, Thread]) -> dict[str, float]:
    """CPU seconds between two looks, of LOOP, CARRIERS and OTHERS; what ended in between is not counted."""
    spent = dict.fromkeys((LOOP, CARRIERS, OTHERS), 0.0)
    for tid, thread in after.items():
        kind = LOOP if tid == pid else CARRIERS if thread.name.startswith(_CARRIER) else OTHERS
        spent[kind] += thread.cpu_s - before.get(tid, Thread("", 0.0)).cpu_s
    return spent
