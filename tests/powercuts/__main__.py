"""``python -m tests.powercuts --cuts N`` or ``--rot N``: how many promises a disk can make the storage break.

Each seed is a peer's history of its own and replays; ``--results FILE`` adds what was run to a file, and the next run
goes on with the seeds after it. Exit 1 where a promise was broken.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click

from tests.powercuts.seeds import outcomes, tasks_of
from tests.provenance import STORAGE, origin

PROGRESS_S = 5.0


def read_results(file: Path | None) -> list[dict[str, Any]]:
    """The runs that the file tells of."""
    return list(json.loads(file.read_text())["runs"]) if file and file.exists() else []


def write_results(file: Path, runs: list[dict[str, Any]]) -> None:
    """Every run, and the sums."""
    told = {
        "cuts": sum(run["count"] for run in runs if run["kind"] == "cuts"),
        "cuts_that_broke_a_promise": sum(run["violations"] for run in runs if run["kind"] == "cuts"),
        "damages": sum(run["count"] for run in runs if run["kind"] == "rot"),
        "damages_lost_silently": sum(run["violations"] for run in runs if run["kind"] == "rot"),
        "runs": runs,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(told, indent=1) + "\n")


@click.command()
@click.option("--cuts", "cut_count", default=0, help="So many power cuts.")
@click.option("--rot", "rot_count", default=0, help="So many damages to a killed peer's files.")
@click.option("--seed", "first", type=int, help="The first seed; else the one after the last in --results, or 0.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes.")
@click.option("--results", "file", type=click.Path(path_type=Path), help="Add what was run to this JSON file.")
def main(cut_count: int, rot_count: int, first: int | None, jobs: int, file: Path | None) -> None:
    """Cut the power, or let files rot, and see what is lost."""
    broken = 0
    for kind, total in (("cuts", cut_count), ("rot", rot_count)):
        if total:
            broken += _run(kind, total, first, jobs, file)
    sys.exit(1 if broken else 0)


def _run(kind: str, total: int, first: int | None, jobs: int, file: Path | None) -> int:
    runs = read_results(file)
    if first is None:
        first = 1 + max((run["last_seed"] for run in runs if run["kind"] == kind), default=-1)
    tasks = tasks_of(kind, total, first)
    began = told = time.monotonic()
    done, violations = 0, []
    ends: Counter[str] = Counter()
    for _, count, broken, how in outcomes(tasks, jobs):
        done += count
        violations += broken
        ends += how
        for one in broken:
            click.echo(f"seed {one.seed}, life {one.life}, call {one.call}: {one.what}")
        now = time.monotonic()
        if now - told >= PROGRESS_S:
            told, rate = now, done / (now - began)
            click.echo(f"{done} of {total} {kind}, {len(violations)} broken, {rate:.0f} a second", err=True)
    seconds = time.monotonic() - began
    click.echo(f"{done} {kind} from seed {first} to {tasks[-1][1]}: {len(violations)} broken promises, {seconds:.0f} s")
    for end in sorted(ends):
        click.echo(f"  {end}: {ends[end]}")
    if file:
        run = {
            "kind": kind,
            "first_seed": first,
            "last_seed": tasks[-1][1],
            "count": done,
            "violations": len(violations),
            "what": [one._asdict() for one in violations[:20]],
            "ends": dict(sorted(ends.items())),
            "seconds": round(seconds, 1),
            "jobs": jobs,
            **origin(STORAGE),
        }
        write_results(file, [*read_results(file), run])
    return len(violations)


if __name__ == "__main__":
    main()
