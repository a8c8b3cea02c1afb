"""Bugs planted on purpose: a storm that finds none of them proves nothing by finding nothing in the real code.

``python -m tests.simulation.planted`` plants each of ``bugs.BUGS``, runs storms until an invariant breaks, and prints
how many it took; ``--results docs/results/planted.json`` keeps it.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import click

from tests.planting import look_for
from tests.provenance import CORE_PLANTED, origin
from tests.simulation.bugs import BUGS, OPEN, Bug

SEEDS_MAX = 60
SECONDS_MAX = 900


class Found(NamedTuple):
    """What found a bug: the seed, how many storms that took (None: not found), and what was broken."""

    bug: Bug
    seed: int | None
    storms: int | None
    violation: str | None
    seconds: float


def find(bug: Bug, seeds_max: int = SEEDS_MAX) -> Found:
    """Run storms with the bug in until one finds it. Not found within the time is not found."""
    began = time.monotonic()
    told = look_for("tests.simulation.planting", bug.name, str(bug.first_seed), str(seeds_max), seconds_max=SECONDS_MAX)
    seconds = time.monotonic() - began
    if told is None or told["seed"] is None:
        return Found(bug, None, None, None, seconds)
    return Found(bug, told["seed"], told["seed"] - bug.first_seed + 1, told["violation"], seconds)


def results(all_found: Iterable[Found], seeds_max: int) -> dict[str, object]:
    """The file: date, commit, cores, one row a bug, and the median number of storms to find one."""
    rows = list(all_found)
    took = [found.storms for found in rows if found.storms is not None]
    return {
        **origin(CORE_PLANTED),
        "seeds_max": seeds_max,
        "planted": len(rows),
        "found": len(took),
        "median_storms": statistics.median(took) if took else None,
        "most_storms": max(took, default=None),
        "open": [bug.name for bug in OPEN],
        "bugs": [
            {
                "name": found.bug.name,
                "file": found.bug.file,
                "first_seed": found.bug.first_seed,
                "seed": found.seed,
                "storms": found.storms,
                "violation": found.violation,
            }
            for found in rows
        ],
    }


def table(told: dict[str, Any]) -> str:
    """The results as docs/simulation.md shows them."""
    lines = [
        f"From [results/planted.json](results/planted.json): {told['date']}, commit {told['commit'][:12]}, "
        f"{told['cores']} cores. Found {told['found']} of {told['planted']};",
        f"median {told['median_storms']:g} storms, most {told['most_storms']}.",
        "",
        "| bug | file | storms | from seed | broken |",
        "|---|---|---|---|---|",
    ]
    for bug in told["bugs"]:
        broken = re.split(r"[ :]", bug["violation"] or "")[0]
        broken = broken if re.fullmatch(r"I\d+", broken) else "the core raised" if broken else "NOT FOUND"
        lines.append(f"| {bug['name']} | {Path(bug['file']).name} | {bug['storms']} | {bug['first_seed']} | {broken} |")
    return "\n".join(lines)


@click.command()
@click.option("--table", "file_shown", type=click.Path(path_type=Path), help="Run nothing; print this results file.")
@click.option("--only", default="", help="Only bugs with this in their name.")
@click.option("--seeds", "seeds_max", default=SEEDS_MAX, show_default=True, help="Storms at most for each bug.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1, 64), help="Processes.")
@click.option("--results", "file", type=click.Path(path_type=Path), help="Keep what was found here, as JSON.")
def main(file_shown: Path | None, only: str, seeds_max: int, jobs: int, file: Path | None) -> None:
    """Plant each bug and say which seed found it; exit 1 where one was not found."""
    if file_shown:
        click.echo(table(json.loads(file_shown.read_text())))
        return
    bugs = [bug for bug in BUGS if only in bug.name]
    rows = []
    with ThreadPoolExecutor(jobs) as pool:
        for found in pool.map(lambda bug: find(bug, seeds_max), bugs):
            rows.append(found)
            verdict = "NOT FOUND  " if found.storms is None else f"{found.storms:4d} storms"
            start = f" (from seed {found.bug.first_seed})" if found.bug.first_seed else ""
            click.echo(f"{verdict}{start} {found.seconds:5.1f} s  {found.bug.name}: {(found.violation or '')[:70]}")
    told = results(rows, seeds_max)
    click.echo(f"{told['found']} of {told['planted']} found, median {told['median_storms']} storms")
    if file:
        file.write_text(json.dumps(told, indent=1) + "\n")
    sys.exit(0 if told["found"] == told["planted"] else 1)


if __name__ == "__main__":
    main()
