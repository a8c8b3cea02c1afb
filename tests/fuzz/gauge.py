"""What daemons cost while they are attacked: memory, descriptors, processor time, a few times a second.

Touches /proc. Must not know: who attacks.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

EVERY_S = 0.2
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


class Sample(NamedTuple):
    """Of one process at one moment (monotonic). ``cpu_s``: used since it began."""

    at_s: float
    rss_mib: float
    descriptors: int
    cpu_s: float


def sample(pid: int) -> Sample | None:
    """As it is now; None when it is gone."""
    about = Path(f"/proc/{pid}")
    try:
        pages = int((about / "statm").read_text().split()[1])
        fields = (about / "stat").read_text().rsplit(")", 1)[1].split()
        count = len(os.listdir(about / "fd"))
    except (OSError, IndexError):
        return None
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS
    return Sample(time.monotonic(), pages * _PAGE / (1 << 20), count, cpu_s)


class Gauge:
    """Watches processes by peer number until it is closed; ``samples`` of each, in order."""

    def __init__(self, pids: Mapping[int, int]) -> None:
        self.samples: dict[int, list[Sample]] = {number: [] for number in pids}
        self._pids = dict(pids)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="gauge", daemon=True)

    def __enter__(self) -> Gauge:
        self._thread.start()
        return self

    def __exit__(self, *about: object) -> None:
        self._over.set()
        self._thread.join(5)

    def within(self, number: int, since_s: float, until_s: float) -> list[Sample]:
        """The samples of a peer from one moment to another."""
        return [one for one in self.samples[number] if since_s <= one.at_s <= until_s]

    def _work(self) -> None:
        while not self._over.wait(EVERY_S):
            for number, pid in self._pids.items():
                found = sample(pid)
                if found is not None:
                    self.samples[number].append(found)
