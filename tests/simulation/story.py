"""Stories: a mesh's life in lines that a person can read, replayed step by step on the real core.

    python -m tests.simulation.story tests/simulation/scenarios/*.story     tell them; --trace shows every event
    python -m tests.simulation.with_bug "the vote is not saved" tests.simulation.story FILE...

A file begins with its title and what it tells, as comments; then ``mesh N`` and one line a step. ``bug: NAME`` in a
comment, once or more, names a planted bug that must break the story. ``player.STEPS`` lists the steps. At the end of
each story everything is healed and must converge; that needs no line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click

from tests.simulation.player import Player, Unreadable

SCENARIOS = Path(__file__).parent / "scenarios"


class Story(NamedTuple):
    """A file: its title, the planted bugs that break it, and its steps without comments."""

    title: str
    bugs: tuple[str, ...]
    steps: tuple[str, ...]


def parse(text: str) -> Story:
    """Read a story; ValueError for one without a title or a mesh."""
    comments = [line.lstrip("# ").rstrip() for line in text.splitlines() if line.startswith("#")]
    steps = [line.split("#")[0].strip() for line in text.splitlines()]
    steps = [line for line in steps if line]
    bugs = tuple(line.removeprefix("bug:").strip() for line in comments if line.startswith("bug:"))
    if not comments or not steps or not steps[0].startswith("mesh "):
        raise Unreadable("a story begins with a title, and its first step is: mesh N")
    return Story(comments[0], bugs, tuple(steps))


def tell(steps: tuple[str, ...], show: Callable[[str], None] | None = None) -> str | None:
    """What a story breaks; None when every invariant holds and all its expectations are met. ``show`` is told each step
    and every event of it."""
    player, told = Player(), 0
    for step in (*steps, ""):
        try:
            player.play(step) if step else player.finish()
        except Unreadable:
            raise
        except Exception as error:
            return player.broken(error)
        finally:
            if show:
                trace = player.stage.world.trace
                show("\n".join([f"--- {step or 'the end: all is healed and converges'}", *trace[told:]]))
                told = len(trace)
    return None


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--trace", is_flag=True, help="Every event.")
def main(files: tuple[Path, ...], trace: bool) -> None:
    """Tell stories; exit 1 if one breaks anything."""
    bad = 0
    for file in files:
        try:
            story = parse(file.read_text())
            broken = tell(story.steps, click.echo if trace else None)
        except Unreadable as error:
            raise click.ClickException(f"{file}: {error}") from error
        bad += broken is not None
        click.echo(f"{file.stem}: {story.title}: {broken or 'ok'}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
