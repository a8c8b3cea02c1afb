"""python -m tests.profile: what leader and follower spend their time on, at each of the bench's workloads.

A mesh of three daemons, one without keys, and the bare sketch, in turn, each under the bench's load; py-spy looks at
the leader and one follower so many times a second. Without keys there is no CURVE: the difference is what it costs.
Needs Linux, and to be allowed to look into other processes (root will do). The machine is to be idle otherwise.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hfzmq.cli.bench.measure import STANDARD, Terms, Workload
from hfzmq.cli.bench.place import machine, on_disk
from hfzmq.cli.bench.systems import SYSTEMS, system_of
from hfzmq.errors import HfzmqError
from tests.profile.document import markdown
from tests.profile.record import Plan, py_spy, record
from tests.profile.sums import figures
from tests.provenance import BENCHED, origin

NAMES = {one.name: one for one in STANDARD}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", type=click.IntRange(1, 600), default=20, show_default=True, help="Look for so long.")
@click.option("--rate", type=click.IntRange(1, 1000), default=50, show_default=True, help="So many times a second.")
@click.option("--workload", "names", type=click.Choice(list(NAMES)), multiple=True, help="Only this one.")
@click.option("--system", "systems", type=click.Choice(SYSTEMS), multiple=True, help="Only this one.")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Leave py-spy's stacks there.")
@click.option("--results", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures here.")
def main(
    seconds: int, rate: int, names: tuple[str, ...], systems: tuple[str, ...], keep: Path | None, results: Path | None
) -> None:
    """Look at leader and follower under each workload, and say which part takes what."""
    workloads = [NAMES[name] for name in names] or list(STANDARD)
    try:
        told = _all(workloads, systems or SYSTEMS, seconds, rate, keep)
    except HfzmqError as error:
        raise click.ClickException(f"{error}" + (f"; {error.hint}" if error.hint else "")) from None
    click.echo(markdown(told))
    if results:
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def _all(
    workloads: Sequence[Workload], systems: Sequence[str], seconds: int, rate_hz: int, keep: Path | None
) -> dict[str, Any]:
    spy, terms = py_spy(), Terms()
    made = {one: origin(BENCHED)[one] for one in ("date", "commit", "dirty", "source", "python", "cores")}
    found: dict[str, dict[str, Any]] = {}
    with on_disk(None) as (place, disk), tempfile.TemporaryDirectory(prefix="hfzmq-profile-") as away:
        if keep:
            keep.mkdir(parents=True, exist_ok=True)
        plan = Plan(spy, rate_hz, seconds, keep or Path(away))
        for workload in workloads:
            for system in systems:
                click.echo(f"{workload.name}, {system} ...", err=True)
                name = f"{workload.name}-{system}".replace(" ", "")
                running = system_of(system, place, lambda: None)
                recorded = record(running, workload, terms, plan, name)
                found.setdefault(workload.name, {})[system] = figures(recorded)
    return {
        "what": "what the loop of leader and follower does under the bench's load, by py-spy; CPU in us a report",
        "command": _command(workloads, systems, seconds, rate_hz),
        **made,
        "load_average_1min": round(os.getloadavg()[0], 2),
        "py_spy": _version(spy),
        **{key: value for key, value in machine().items() if key in ("zmq", "sqlite", "processor")},
        **disk,
        "seconds": seconds,
        "rate_hz": rate_hz,
        "beds": terms.beds,
        "report_bytes": terms.report_bytes,
        "workloads": found,
    }


def _command(workloads: Sequence[Workload], systems: Sequence[str], seconds: int, rate_hz: int) -> str:
    words = [f"python -m tests.profile --seconds {seconds} --rate {rate_hz}"]
    if len(workloads) < len(STANDARD):
        words += [f'--workload "{one.name}"' for one in workloads]
    if len(systems) < len(SYSTEMS):
        words += [f'--system "{one}"' for one in systems]
    return " ".join(words)


def _version(spy: str) -> str:
    return subprocess.run([spy, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
