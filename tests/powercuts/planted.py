"""Bugs planted on purpose: power cuts and rot that find none of them prove nothing by finding nothing in the real code.

``python -m tests.powercuts.planted`` plants each of ``bugs.BUGS``, runs seeds until a promise breaks, and prints how
many cuts or damages that took; ``--results docs/results/planted_storage.json`` keeps it.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import click

from tests.planting import look_for
from tests.powercuts.bugs import BUGS, OPEN, Bug
from tests.provenance import STORAGE_PLANTED, origin

SEEDS_MAX = 100
SECONDS_MAX = 600


class Found(NamedTuple):
    """What found a bug: the seed, after how many cuts or damages of whole seeds (seed None: not found), and how."""

    bug: Bug
    seed: int | None
    tried: int
    violation: str | None
    seconds: float


def find(bug: Bug, seeds_max: int = SEEDS_MAX) -> Found:
    """Run seeds with the bug in until one finds it."""
    began = time.monotonic()
    told = look_for("tests.powercuts.planting", bug.name, "0", str(seeds_max), seconds_max=SECONDS_MAX)
    seconds = time.monotonic() - began
    if told is None:
        return Found(bug, None, 0, None, seconds)
    return Found(bug, told["seed"], told["tried"], told["violation"], seconds)


def results(all_found: Iterable[Found]) -> dict[str, object]:
    """The file: date, commit, cores, one row a bug, and the median number of cuts or damages to find one."""
    rows = list(all_found)
    took = [found.tried for found in rows if found.seed is not None]
    return {
        **origin(STORAGE_PLANTED),
        "planted": len(rows),
        "found": len(took),
        "median_tried": statistics.median(took) if took else None,
        "most_tried": max(took, default=None),
        "open": [bug.name for bug in OPEN],
        "bugs": [
            {
                "name": found.bug.name,
                "by": found.bug.by,
                "file": found.bug.file,
                "seed": found.seed,
                "tried": found.tried,
                "violation": (found.violation or "")[:200],
            }
            for found in rows
        ],
    }


@click.command()
@click.option("--only", default="", help="Only bugs with this in their name.")
@click.option("--seeds", "seeds_max", default=SEEDS_MAX, show_default=True, help="Seeds at most for each bug.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes.")
@click.option("--results", "file", type=click.Path(path_type=Path), help="Keep what was found here, as JSON.")
def main(only: str, seeds_max: int, jobs: int, file: Path | None) -> None:
    """Plant each bug and say what found it; exit 1 where one was not found."""
    bugs = [bug for bug in BUGS if only in bug.name]
    rows = []
    with ThreadPoolExecutor(jobs) as pool:
        for found in pool.map(lambda bug: find(bug, seeds_max), bugs):
            rows.append(found)
            verdict = "NOT FOUND    " if found.seed is None else f"{found.tried:5d} {found.bug.by:4s}   "
            click.echo(f"{verdict} {found.seconds:5.1f} s  {found.bug.name}: {(found.violation or '')[:80]}")
    told = results(rows)
    click.echo(f"{told['found']} of {told['planted']} found, median {told['median_tried']} cuts or damages")
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(told, indent=1) + "\n")
    sys.exit(0 if told["found"] == told["planted"] else 1)


if __name__ == "__main__":
    main()
