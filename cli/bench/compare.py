"""Systems against each other: all workloads, in rounds, the systems taking turns; medians, and ratios to the sketch.

Touches processes (through measure). Must not know: screens. Keeps: what is compared was measured in
the same run, one right after the other, for machines differ and the same machine differs from hour to hour; a ratio is
the median of the rounds' own ratios.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hfzmq.cli.bench.measure import Figures, Measured, Terms, Workload, measure
from hfzmq.cli.bench.systems import SKETCH, System

DIGITS = 3  # of a figure that are told: the next round has others


class Plan(NamedTuple):
    """What to measure, how often."""

    workloads: tuple[Workload, ...]
    systems: tuple[str, ...]
    rounds: int
    terms: Terms


Found = dict[tuple[Workload, str], list[Measured]]
Say = Callable[[str, float], None]


def stages(plan: Plan) -> dict[str, str]:
    """What a progress bar calls each stage."""
    return {_stage(one, system): f"{one.name}, {system}" for one in plan.workloads for system in plan.systems}


def run(plan: Plan, make: Callable[[str], System], tick: Callable[[], None], say: Say) -> Found:
    """All of it; each round begins with another system, so that none always follows the same one.

    ``make``: a system that is not running yet, by its name; ``tick`` is called several times a second and may raise to
    end all; ``say`` gets a stage's share."""
    found: Found = {(one, system): [] for one in plan.workloads for system in plan.systems}
    for number in range(plan.rounds):
        for workload in plan.workloads:
            for system in (*plan.systems[number % len(plan.systems) :], *plan.systems[: number % len(plan.systems)]):
                stage = _stage(workload, system)
                say(stage, number / plan.rounds)

                def on_tick(event: dict[str, Any], stage: str = stage, number: int = number) -> None:
                    tick()
                    say(stage, (number + min(0.95, event["at_s"] / plan.terms.seconds)) / plan.rounds)

                made = measure(make(system), workload, plan.terms, on_tick)
                found[workload, system].append(made)
                say(stage, (number + 1) / plan.rounds)
    return found


def section(plan: Plan, found: Found) -> dict[str, Any]:
    """The part of the results file, without where it comes from."""
    return {
        "seconds": plan.terms.seconds,
        "rounds": plan.rounds,
        "beds": plan.terms.beds,
        "report_bytes": plan.terms.report_bytes,
        "workloads": [_workload(one, plan.systems, found) for one in plan.workloads],
    }


def _workload(workload: Workload, systems: Sequence[str], found: Found) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": workload.name,
        "clients": workload.clients,
        "batch": workload.batch,
        "systems": {system: summary(found[workload, system]) for system in systems},
    }
    if SKETCH in systems:
        sketch = found[workload, SKETCH]
        others = [system for system in systems if system != SKETCH]
        told["ratio_to_sketch"] = {system: ratios(found[workload, system], sketch) for system in others}
    return told


def summary(rounds: Sequence[Measured]) -> dict[str, Any]:
    """Of several rounds of one workload on one system: medians, the rates of each, what was counted in all."""
    return {
        **{name: short(value) for name, value in medians(rounds).items()},
        "rates": [short(one.figures.rate) for one in rounds],
        "reports": sum(one.reports for one in rounds),
        "read_back": sum(one.read_back for one in rounds),
        "elections": sum(one.elections for one in rounds),
    }


def medians(rounds: Sequence[Measured]) -> dict[str, float]:
    """Of each figure."""
    return {name: statistics.median(getattr(one.figures, name) for one in rounds) for name in Figures._fields}


def ratios(ours: Sequence[Measured], theirs: Sequence[Measured]) -> dict[str, float]:
    """Of each figure: the median of the rounds' ours / theirs."""
    return {
        name: short(
            statistics.median(
                getattr(mine.figures, name) / (getattr(other.figures, name) or float("nan"))
                for mine, other in zip(ours, theirs, strict=True)
            )
        )
        for name in Figures._fields
    }


def short(value: float) -> float:
    """With DIGITS significant digits, and whole from there on."""
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded == rounded and abs(rounded) >= 10 ** (DIGITS - 1) else rounded


def _stage(workload: Workload, system: str) -> str:
    return f"{workload.name} {system}"
