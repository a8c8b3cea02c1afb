"""Run storms: ``python -m tests.simulation --seed 17 [--trace]`` or ``--seeds 0-999``; see ``campaign`` for many.

``--peers 5 --chaos-leases 100`` runs storms of the size that a campaign counts.
"""

from __future__ import annotations

import sys
import time

import click

from tests.simulation.sized import DRAWN, Size, replay, storm


@click.command()
@click.option("--seed", type=int, help="One seed.")
@click.option("--seeds", default="0-299", show_default=True, help="FIRST-LAST, when no --seed is given.")
@click.option("--peers", default=DRAWN.peers, show_default=True, type=click.IntRange(0), help="0: each seed draws it.")
@click.option("--chaos-leases", default=DRAWN.chaos_leases, show_default=True, type=click.IntRange(3))
@click.option("--first", "first_only", is_flag=True, help="Stop at the first violation.")
@click.option("--trace", is_flag=True, help="Every event of it.")
def main(seed: int | None, seeds: str, peers: int, chaos_leases: int, first_only: bool, trace: bool) -> None:
    """Run storms; exit 1 if an invariant was broken."""
    size = Size(peers, chaos_leases)
    first, last = (seed, seed) if seed is not None else map(int, seeds.split("-"))
    began, events, bad, done = time.perf_counter(), 0, 0, 0
    for number in range(first, last + 1):
        outcome = storm(number, size, trace).run()
        done += 1
        events += outcome.events
        if trace:
            click.echo("\n".join(outcome.trace))
        if outcome.violation or first == last:
            click.echo(outcome.line())
        if outcome.violation:
            bad += 1
            click.echo(f"replay it: {replay(number, size)}")
            if first_only:
                break
    seconds = time.perf_counter() - began
    click.echo(f"{done} storms, {bad} with a violation, {events / seconds:,.0f} events/s", err=True)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
