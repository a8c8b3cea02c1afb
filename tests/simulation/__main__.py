"""Run storms: ``python -m tests.simulation --seed 17 [--trace]`` or ``--seeds 0-999``."""

from __future__ import annotations

import sys
import time

import click

from tests.simulation.storm import run


@click.command()
@click.option("--seed", type=int, help="One seed.")
@click.option("--seeds", default="0-299", show_default=True, help="FIRST-LAST, when no --seed is given.")
@click.option("--first", "first_only", is_flag=True, help="Stop at the first violation.")
@click.option("--trace", is_flag=True, help="Every event of it.")
def main(seed: int | None, seeds: str, first_only: bool, trace: bool) -> None:
    """Run storms; exit 1 if an invariant was broken."""
    first, last = (seed, seed) if seed is not None else map(int, seeds.split("-"))
    began, events, bad = time.perf_counter(), 0, 0
    for number in range(first, last + 1):
        outcome = run(number, trace)
        events += outcome.events
        if trace:
            click.echo("\n".join(outcome.trace))
        if outcome.violation or first == last:
            click.echo(outcome.line())
        if outcome.violation:
            bad += 1
            click.echo(f"replay it: python -m tests.simulation --seed {number} --trace")
            if first_only:
                break
    seconds = time.perf_counter() - began
    click.echo(f"{last - first + 1} storms, {bad} with a violation, {events / seconds:,.0f} events/s", err=True)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
