"""``make proof``: every layer of the proof at full size, one after the other, and one table of what came out.

Each step is a command that anybody can run alone; it adds to its own file under docs/results/, and the table is read
from those files (``--table`` prints it without running anything). A step that fails does not stop the next ones.

    A storms  B small scopes  C machine  D power cuts, rot  E nemesis  F planted bugs  G textbook bully  H scenarios
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"
CORES = str(os.cpu_count() or 1)
Figures = dict[str, Any]


class Step(NamedTuple):
    """One row of the table. ``figures``: what its results say, in words; ``holds``: whether that is as it should be."""

    layer: str
    name: str
    file: str
    command: tuple[str, ...]
    small: tuple[str, ...]  # the same, for a first look
    figures: Callable[[Figures], str]
    holds: Callable[[Figures], bool]
    environment: tuple[tuple[str, str], ...] = ()


def _storms(told: Figures) -> str:
    sums = told["totals_of_clean_runs"]
    return (
        f"{sums['storms']:,} storms, {sums['acks']:,} acks, {sums['faults']:,} faults, {sums['violations']} violations"
    )


def _scopes(told: Figures) -> str:
    done = [scope for scope in told["scopes"] if scope["exhausted"]]
    states = sum(scope["states"] for scope in told["scopes"])
    return f"{len(done)} of {len(told['scopes'])} scopes exhausted, {states:,} states"


def _planted(told: Figures) -> str:
    open_ones = len(told.get("open", ()))
    return f"{told['found']} of {told['planted']} found" + (f", {open_ones} more listed as open" if open_ones else "")


def _textbook(told: Figures) -> str:
    lost = [f"{one['lost']:,} acks in {one['storms_that_lost']} of {one['storms']} storms" for one in _kinds(told)]
    return "loses " + "; ".join(lost)


def _kinds(told: Figures) -> list[Figures]:
    return [value for value in told.values() if isinstance(value, dict)]


def _nemesis(told: Figures) -> str:
    return (
        f"{told['episodes']} faults on real processes, {told['requests_acknowledged']:,} acks, "
        f"{len(told['violations'])} violations, {len(told['skipped'])} kinds skipped"
    )


STEPS = (
    Step("A", "storms", "storms.json", ("-m", "tests.simulation.campaign", "--compiled", "--storms", "20000"),
         ("-m", "tests.simulation.campaign", "--storms", "20"),
         _storms, lambda told: told["totals_of_clean_runs"]["violations"] == 0),
    Step("B", "small scopes", "exhaustive.json",
         ("-m", "tests.simulation.exhaustive", "--results", "docs/results/exhaustive.json"), (),
         _scopes, lambda told: not any(scope["violation"] for scope in told["scopes"])),
    Step("C", "machine", "", ("-m", "pytest", "-q", "tests/simulation/test_machine.py"),
         ("-m", "pytest", "-q", "tests/simulation/test_machine.py"), lambda told: "stories made up and checked",
         lambda told: True, (("HFZMQ_MACHINE_EXAMPLES", "3000"),)),
    Step("D", "power cuts", "powercuts.json",
         ("-m", "tests.powercuts", "--cuts", "50000", "--rot", "20000", "--jobs", CORES,
          "--results", "docs/results/powercuts.json"),
         ("-m", "tests.powercuts", "--cuts", "500", "--rot", "500", "--jobs", CORES,
          "--results", "docs/results/powercuts.json"),
         lambda told: f"{told['cuts']:,} cuts, {told['cuts_that_broke_a_promise']} broke a promise; "
                      f"{told['damages']:,} damages, {told['damages_lost_silently']} lost silently",
         lambda told: told["cuts_that_broke_a_promise"] == told["damages_lost_silently"] == 0),
    Step("E", "nemesis", "nemesis.json",
         ("-m", "tests.nemesis", "--minutes", "10", "--results", "docs/results/nemesis.json"),
         ("-m", "tests.nemesis", "--minutes", "1", "--results", "docs/results/nemesis.json"),
         _nemesis, lambda told: not told["violations"]),
    Step("F", "planted in the core", "planted.json",
         ("-m", "tests.simulation.planted", "--jobs", CORES, "--results", "docs/results/planted.json"), (),
         _planted, lambda told: bool(told["found"] == told["planted"])),
    Step("F", "planted in storage", "planted_storage.json",
         ("-m", "tests.powercuts.planted", "--jobs", CORES, "--results", "docs/results/planted_storage.json"), (),
         _planted, lambda told: bool(told["found"] == told["planted"])),
    Step("G", "textbook bully", "textbook.json",
         ("-m", "tests.simulation.textbook", "--results", "docs/results/textbook.json"), (), _textbook,
         lambda told: all(one["lost"] for one in _kinds(told))),
    Step("H", "scenarios, five times", "",
         ("-m", "hfzmq", "scenario", "run", "--all", "--repeat", "5", "--json"),
         ("-m", "hfzmq", "scenario", "run", "leader-failure", "--json"),
         lambda told: "each of the nine, on real processes", lambda told: True),
)  # fmt: skip


class Ran(NamedTuple):
    """How a step ended: seconds and whether its command said all is well; None: it was not run now."""

    seconds: float
    well: bool


def run(step: Step, small: bool) -> Ran | None:
    """Run a step's command; its lines go where this process's go."""
    words = step.small if small else step.command
    if not words:
        return None
    click.echo(f"--- {step.layer}  {step.name}: python {' '.join(words)}", err=True)
    began = time.monotonic()
    environment = {**os.environ, **dict(step.environment if not small else ())}
    done = subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, check=False)
    return Ran(time.monotonic() - began, done.returncode == 0)


def row(step: Step, ran: Ran | None) -> tuple[str, bool]:
    """One line of the table, and whether it is as it should be."""
    took = "not run now" if ran is None else f"{ran.seconds:8.0f} s"
    if not step.file:
        return (_line(step, "-", took, "", True), True) if ran is None else (
            _line(step, "", took, step.figures({}), ran.well), ran.well)  # fmt: skip
    path = RESULTS / step.file
    if not path.exists():
        return _line(step, "-", took, "no results yet", False), False
    told = json.loads(path.read_text())
    last = told["runs"][-1] if "runs" in told else told
    origin = f"{last.get('date', '')} {str(last.get('commit', ''))[:8]}"
    well = step.holds(told) and (ran is None or ran.well)
    return _line(step, origin, took, step.figures(told), well), well


def _line(step: Step, origin: str, took: str, figures: str, well: bool) -> str:
    verdict = "holds" if well else "FAILS"
    return f"{step.layer}  {step.name:22} {verdict:5}  {took:>11}  {origin:19}  {figures}"


@click.command()
@click.option("--table", "only_table", is_flag=True, help="Run nothing; print what the results say.")
@click.option("--small", is_flag=True, help="A first look: small sizes, and what has none is left out.")
@click.option("--only", default="", help="Only these layers, by letter: ABF.")
def main(only_table: bool, small: bool, only: str) -> None:
    """Run every layer of the proof at full size and print one table; exit 1 where something does not hold."""
    steps = [step for step in STEPS if not only or step.layer in only.upper()]
    rows = [row(step, None if only_table else run(step, small)) for step in steps]
    click.echo("\n".join(line for line, _ in rows))
    sys.exit(0 if all(well for _, well in rows) else 1)


if __name__ == "__main__":
    main()
