"""The file that campaigns add to: which seeds were run on which source at which size, and what they did in all.

Keeps: a storm is counted once for a source; the file is replaced whole or not at all; what a dirty tree ran is kept
apart and is not in the totals.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

from tests.provenance import Provenance, today
from tests.simulation.sized import Size, Told, replay

SUMS = ("storms", "counted", "events", "faults", "acks", "leader_changes", "lease_times")

Ranges = list[list[int]]
"""First and last of each run of seeds, rising, with gaps between them."""


def add_seed(ranges: Ranges, seed: int) -> None:
    """Put one seed in, joining what touches."""
    low, high = 0, len(ranges)
    while low < high:
        middle = (low + high) // 2
        if ranges[middle][0] <= seed:
            low = middle + 1
        else:
            high = middle
    if low and seed <= ranges[low - 1][1]:
        raise ValueError(f"seed {seed} is there already")
    before = low > 0 and ranges[low - 1][1] == seed - 1
    after = low < len(ranges) and ranges[low][0] == seed + 1
    if before and after:
        ranges[low - 1][1] = ranges.pop(low)[1]
    elif before:
        ranges[low - 1][1] = seed
    elif after:
        ranges[low][0] = seed
    else:
        ranges.insert(low, [seed, seed])


def unused(used: Iterable[Ranges], first: int, number: int) -> Iterator[int]:
    """The next ``number`` seeds from ``first`` on that none of ``used`` has."""
    taken = sorted(pair for ranges in used for pair in ranges)

    def free() -> Iterator[int]:
        at = first
        for low, high in taken:
            yield from range(at, low)
            at = max(at, high + 1)
        yield from count(at)

    return islice(free(), number)


class Tally:
    """The file in memory. ``file`` None: nothing is kept. ``core``: a digest of the core alone: storms that ran under a
    simulator that has changed since are storms of the same core."""

    def __init__(self, file: Path | None, made: Provenance, size: Size, compiled: bool = False, core: str = "") -> None:
        self._file = file
        self._size = size
        self._runs: list[dict[str, Any]] = []
        if file is not None and file.exists():
            self._runs = json.loads(file.read_text())["runs"]
        key = {**made._asdict(), **size._asdict(), "compiled": compiled, "core": core}
        del key["cores"]
        mine = [run for run in self._runs if all(run.get(name) == value for name, value in key.items())]
        self._mine = mine[0] if mine else {
            **key, "cores": made.cores, "first_date": today(), "last_date": today(), "seeds": [],
            **dict.fromkeys(SUMS, 0), "seconds": 0.0, "prints": 0, "violations": [],
        }  # fmt: skip
        if not mine:
            self._runs.append(self._mine)

    def next_seeds(self, first: int | None, number: int) -> Iterator[int]:
        """Seeds to run: from ``first`` on what this source has not run; None: what no source has run at this size."""
        if first is not None:
            return unused([self._mine["seeds"]], first, number)
        return unused([run["seeds"] for run in self._runs if self._of_size(run)], 0, number)

    def add(self, told: Told) -> None:
        """One storm more."""
        mine = self._mine
        add_seed(mine["seeds"], told.seed)
        sums = (1, told.counts, told.events, told.faults, told.acks, told.leaders, told.lease_times)
        for name, value in zip(SUMS, sums, strict=True):
            mine[name] += int(value)
        # The order of seeds does not matter: runs of the same seeds on different machines and Pythons can be compared.
        mine["prints"] = (mine["prints"] + zlib.crc32(b"%d %d" % (told.seed, told.fingerprint))) % (1 << 32)
        mine["last_date"] = today()
        if told.violation:
            mine["violations"].append(
                {"seed": told.seed, "violation": told.violation, "replay": replay(told.seed, self._size)}
            )

    def spent(self, seconds: float) -> None:
        """So much real time more."""
        self._mine["seconds"] = round(self._mine["seconds"] + seconds, 1)

    def save(self) -> None:
        """Replace the file."""
        if self._file is None:
            return
        clean = [run for run in self._runs if not run["dirty"]]
        totals = {name: sum(run[name] for run in clean) for name in SUMS}
        totals["violations"] = sum(len(run["violations"]) for run in clean)
        text = json.dumps({"totals_of_clean_runs": totals, "runs": self._runs}, indent=1)
        aside = self._file.with_name(self._file.name + ".new")
        with aside.open("w") as out:
            out.write(text + "\n")
            out.flush()
            os.fsync(out.fileno())
        os.replace(aside, self._file)

    def _of_size(self, run: dict[str, Any]) -> bool:
        return all(run[name] == value for name, value in self._size._asdict().items())
