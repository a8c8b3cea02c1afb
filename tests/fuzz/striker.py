"""python -m tests.fuzz.striker TARGET.json --seed 1 --seconds 5 NAME ...: these attacks, one after the other.

A process of its own, so that honest clients are not slowed by the work of drawing nonsense. A line on stdout when each
begins and when it ends, so that whoever started this knows what is on.
"""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import click

from tests.fuzz import keyed, raw, target
from tests.fuzz.attack import ATTACKS, Attack

__all__ = ["ATTACKS", "keyed", "raw", "strike"]


def strike(attack: Attack, on: target.Target, seed: int, seconds: float) -> int:
    """Let it go on for so long; how many turns it had."""
    work = attack.work(on, Random(f"{seed} {attack.name}"))
    until, turns = time.monotonic() + seconds, 0
    try:
        for _ in work:
            turns += 1
            if time.monotonic() >= until:
                break
    finally:
        work.close()
    return turns


@click.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.argument("names", nargs=-1, required=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--seconds", default=5.0, show_default=True)
def main(path: Path, names: tuple[str, ...], seed: int, seconds: float) -> None:
    """Attack."""
    on = target.load(path)
    for name in names:
        click.echo(f"begin {name}")
        turns = strike(ATTACKS[name], on, seed, seconds)
        click.echo(f"end {name} {turns}")


if __name__ == "__main__":
    main()
