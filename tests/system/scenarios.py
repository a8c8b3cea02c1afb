"""``hfzmq scenario run`` with its rounds kept in a results file: ``python -m tests.system.scenarios --repeat 5``."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from hfzmq.cli.scenario.round import PASSED
from tests.provenance import PRODUCT, ROOT, origin


def passed(rounds: list[dict[str, Any]]) -> int:
    """How many of the rounds that ``hfzmq scenario run --json`` told of passed."""
    return sum(one["verdict"] == PASSED for one in rounds)


@click.command()
@click.option("--repeat", default=5, show_default=True, type=click.IntRange(1), help="Rounds of each.")
@click.option("--duration", "duration_s", default=60, show_default=True, help="Seconds of the long-running one.")
@click.option("--only", help="A scenario's name; all of them by default.")
@click.option("--results", "file", type=click.Path(path_type=Path), help="Keep the rounds here, as JSON.")
def main(repeat: int, duration_s: int, only: str | None, file: Path | None) -> None:
    """Run every scenario on real processes so often in a row; exit 1 unless all pass."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hfzmq", "scenario", "run", *([only] if only else ["--all"]),
                   "--repeat", str(repeat), "--duration", str(duration_s), "--out", folder, "--json"]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    rounds: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    for one in rounds:
        one.pop("folder", None)  # it is gone
    told = {
        **origin(PRODUCT),
        "command": f"python -m tests.system.scenarios --repeat {repeat} --duration {duration_s}",
        "repeat": repeat,
        "rounds": len(rounds),
        "passed": passed(rounds),
        "each": rounds,
    }
    click.echo(f"{told['passed']} of {told['rounds']} rounds passed")
    if file:
        file.write_text(json.dumps(told, indent=1) + "\n")
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
