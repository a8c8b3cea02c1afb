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
from typing import Any, NamedTuple

import click

from tests.powercuts import bugs as storage
from tests.provenance import CORE, CORE_PLANTED, PRODUCT, ROOT, STORAGE, STORAGE_PLANTED, provenance
from tests.simulation import bugs as core

RESULTS = ROOT / "docs" / "results"
CORES = str(os.cpu_count() or 1)
HOLDS, SHORT, NOT_RUN, FAILS = "holds", "short", "not run", "FAILS"
OTHER_SOURCES = "; of other sources"
Figures = dict[str, Any]


class Step(NamedTuple):
    """One row of the table. ``runs``: what its results are made of (provenance.py); ``figures``: what they say, in
    words; ``sound``: whether nothing is broken; ``full``: whether as much was run as the proof asks for."""

    layer: str
    name: str
    file: str
    runs: tuple[str, ...]
    command: tuple[str, ...]
    small: tuple[str, ...]  # the same, for a first look; empty: it has none
    figures: Callable[[Figures], str]
    sound: Callable[[Figures], bool]
    full: Callable[[Figures], bool]


def _of_last_core(told: Figures) -> Figures:
    """The sums of the storms that ran on the newest core, clean, and of all others before it: what an earlier core did
    says nothing for this one, but a violation there is told. A violation under an earlier simulator counts unless the
    newest one, of a clean tree, has run the same storm and found nothing: then a rule of the simulator was wrong."""
    clean = [one for one in told["runs"] if not one["dirty"]]
    last = (clean or told["runs"])[-1]
    newest = [one for one in clean if one["source"] == last["source"]]
    names = ("storms", "counted", "acks", "faults", "violations", "rules", "before", "mended")
    sums: Figures = dict.fromkeys(names, 0)
    for one in told["runs"]:
        if one["dirty"] or _core_of(one) != _core_of(last):
            sums["before"] += one["storms"]
            sums["mended"] += len(one["violations"])
            continue
        for name in ("storms", "counted", "acks", "faults"):
            sums[name] += one[name]
        again = [run for run in newest if one["source"] != last["source"] and _size_of(run) == _size_of(one)]
        cleared = sum(any(_ran(run, broken["seed"]) for run in again) for broken in one["violations"])
        sums["rules"] += cleared
        sums["violations"] += len(one["violations"]) - cleared
    return sums


def _core_of(run: Figures) -> str:
    return str(run.get("core", run["source"]))


def _size_of(run: Figures) -> tuple[object, ...]:
    """The same seed at another size is another storm."""
    return run.get("peers"), run.get("chaos_leases")


def _ran(run: Figures, seed: int) -> bool:
    """Whether ``run`` holds a storm of that seed, and no violation in it."""
    held = any(first <= seed <= last for first, last in run["seeds"])
    return held and all(one["seed"] != seed for one in run["violations"])


def _storms(told: Figures) -> str:
    sums = _of_last_core(told)
    rules = f", {sums['rules']} of the simulator's rules mended and their seeds run again" if sums["rules"] else ""
    return (
        f"{sums['storms']:,} storms, {sums['acks']:,} acks, {sums['faults']:,} faults, {sums['violations']} violations"
        f"{rules} (earlier cores: {sums['before']:,} storms, {sums['mended']} violations)"
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


def _machine(told: Figures) -> str:
    outcome = f"one breaks: {told['broken']}" if told["broken"] else "none breaks"
    return f"{told['stories']:,} stories made up, {outcome}"


def _scenarios(told: Figures) -> str:
    return f"{told['passed']} of {told['rounds']} rounds passed, {told['repeat']} in a row of each"


def _kept(module: str, file: str, *options: str) -> tuple[str, ...]:
    return ("-m", module, *options, "--results", f"docs/results/{file}")


def _cuts(cuts: int, rot: int) -> tuple[str, ...]:
    return _kept("tests.powercuts", "powercuts.json", "--cuts", str(cuts), "--rot", str(rot), "--jobs", CORES)


STORMS, CUTS, ROT, STORIES, NEMESIS_MINUTES, ROUNDS, SCENARIOS = 20_000, 50_000, 20_000, 3_000, 10, 5, 9
TEXTBOOK_STORMS = 100
SCOPE_S = 4 * 3600  # at most, of one scope: the largest took 45 minutes, and most of 20 GB
STEPS = (
    Step("A", "storms", "storms.json", CORE,
         ("-m", "tests.simulation.campaign", "--compiled", "--storms", str(STORMS)),
         ("-m", "tests.simulation.campaign", "--storms", "20"),
         _storms, lambda told: bool(_of_last_core(told)["violations"] == 0),
         lambda told: bool(_of_last_core(told)["counted"] >= STORMS)),
    Step("B", "small scopes", "exhaustive.json", CORE,
         _kept("tests.simulation.exhaustive", "exhaustive.json", "--seconds", str(SCOPE_S)), (),
         _scopes, lambda told: not any(scope["violation"] for scope in told["scopes"]),
         lambda told: all(scope["exhausted"] for scope in told["scopes"])),
    Step("C", "machine", "machine.json", CORE,
         _kept("tests.simulation.machine", "machine.json", "--examples", str(STORIES), "--seed", "1"),
         ("-m", "tests.simulation.machine", "--examples", "100"),
         _machine, lambda told: not told["broken"], lambda told: bool(told["stories"] >= STORIES)),
    Step("D", "power cuts", "powercuts.json", STORAGE, _cuts(CUTS, ROT), _cuts(500, 500),
         lambda told: f"{told['cuts']:,} cuts, {told['cuts_that_broke_a_promise']} broke a promise; "
                      f"{told['damages']:,} damages, {told['damages_lost_silently']} lost silently",
         lambda told: told["cuts_that_broke_a_promise"] == told["damages_lost_silently"] == 0,
         lambda told: told["cuts"] >= CUTS and told["damages"] >= ROT),
    Step("E", "nemesis", "nemesis.json", PRODUCT,
         _kept("tests.nemesis", "nemesis.json", "--minutes", str(NEMESIS_MINUTES)),
         ("-m", "tests.nemesis", "--minutes", "1"), _nemesis, lambda told: not told["violations"],
         lambda told: f"--minutes {NEMESIS_MINUTES}" in told["command"] and not told["skipped"]),
    Step("F", "planted in the core", "planted.json", CORE_PLANTED,
         _kept("tests.simulation.planted", "planted.json", "--jobs", CORES), (),
         _planted, lambda told: bool(told["found"] == told["planted"]), lambda told: told["planted"] >= len(core.BUGS)),
    Step("F", "planted in storage", "planted_storage.json", STORAGE_PLANTED,
         _kept("tests.powercuts.planted", "planted_storage.json", "--jobs", CORES), (),
         _planted, lambda told: bool(told["found"] == told["planted"]),
         lambda told: told["planted"] >= len(storage.BUGS)),
    Step("G", "textbook bully", "textbook.json", CORE, _kept("tests.simulation.textbook", "textbook.json"), (),
         _textbook, lambda told: all(one["lost"] for one in _kinds(told)),
         lambda told: all(one["storms"] >= TEXTBOOK_STORMS for one in _kinds(told))),
    Step("H", "scenarios", "scenarios.json", PRODUCT,
         _kept("tests.system.scenarios", "scenarios.json", "--repeat", str(ROUNDS)),
         ("-m", "tests.system.scenarios", "--repeat", "1", "--only", "leader-failure"), _scenarios,
         lambda told: bool(told["passed"] == told["rounds"]),
         lambda told: told["repeat"] >= ROUNDS and told["rounds"] >= ROUNDS * SCENARIOS),
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
    done = subprocess.run([sys.executable, *words], cwd=ROOT, check=False)
    return Ran(time.monotonic() - began, done.returncode == 0)


def row(step: Step, ran: Ran | None) -> tuple[str, str]:
    """One line of the table, and its verdict: ``holds``; ``short``: nothing broken, but less was run than the proof
    asks for; ``not run``; ``FAILS``. Results that are not of this tree say so: of several runs the last one counts."""
    took = "not run now" if ran is None else f"{ran.seconds:8.0f} s"
    path = RESULTS / step.file
    if not path.exists():
        return _line(step, "-", took, "no results yet", NOT_RUN), NOT_RUN
    told = json.loads(path.read_text())
    last = told["runs"][-1] if "runs" in told else told
    origin = f"{last.get('date', last.get('last_date', ''))} {str(last.get('commit', ''))[:8]}"
    well = step.sound(told) and (ran is None or ran.well)
    verdict = FAILS if not well else HOLDS if step.full(told) else SHORT
    figures = step.figures(told) + ("" if last.get("source") == provenance(step.runs).source else OTHER_SOURCES)
    return _line(step, origin, took, figures, verdict), verdict


def _line(step: Step, origin: str, took: str, figures: str, verdict: str) -> str:
    return f"{step.layer}  {step.name:18} {verdict:7}  {took:>11}  {origin:19}  {figures}"


@click.command()
@click.option("--table", "only_table", is_flag=True, help="Run nothing; print what the results say.")
@click.option("--small", is_flag=True, help="A first look: small sizes, and what has none is left out.")
@click.option("--only", default="", help="Only these layers, by letter: ABF.")
def main(only_table: bool, small: bool, only: str) -> None:
    """Run every layer of the proof at full size and print one table; exit 1 unless all of it holds (with --small:
    unless nothing fails)."""
    steps = [step for step in STEPS if not only or step.layer in only.upper()]
    rows = [row(step, None if only_table else run(step, small)) for step in steps]
    click.echo("\n".join(line for line, _ in rows))
    verdicts = {verdict for _, verdict in rows}
    sys.exit(FAILS in verdicts if small else verdicts != {HOLDS})


if __name__ == "__main__":
    main()
