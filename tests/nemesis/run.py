"""python -m tests.nemesis --minutes 10: faults drawn from a seed, on real daemons with real clients, and a verdict.

Exit code 0: nothing was lost, doubled, reordered or wrong in any other way the checker knows; 1: something was.
The output folder keeps history.jsonl, the daemons' logs and databases, and the results as JSON.
"""

from __future__ import annotations

import collections
import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import click

from tests.nemesis.episodes import Episode, Nemesis
from tests.nemesis.faults import MEMBERS, NETWORK, Fault, all_faults, why_not
from tests.nemesis.history import History
from tests.nemesis.world import FILES_MIB, World
from tests.provenance import PRODUCT, origin

HOLD_S = (1.0, 8.0)
LONG_HOLD_S = (10.0, 30.0)
LONG_SHARE = 0.1
TOGETHER_SHARE = 0.25


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--minutes", default=10.0, show_default=True, help="How long to go on drawing faults.")
@click.option("--seed", type=int, help="Draw the same faults again (times differ: these are real processes).")
@click.option("--faults", "wanted", help="Only these, by name, with commas between.")
@click.option("--peers", default=5, show_default=True, type=click.IntRange(3, 9))
@click.option("--only-loopback", is_flag=True, help="No namespaces, even where they could be had.")
@click.option("--direct", is_flag=True, help="No relays between peers: the kernel's faults alone.")
@click.option("--results", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures here.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Where history, logs and files go.")
@click.option(
    "--bug", default="", help="Plant this bug of tests/simulation/bugs.py in every daemon: it should be found."
)
@click.option("--list", "listing", is_flag=True, help="Show the faults and leave.")
def main(
    minutes: float, seed: int | None, wanted: str | None, peers: int, only_loopback: bool, direct: bool,
    results: Path | None, out: Path | None, bug: str, listing: bool,
) -> None:  # fmt: skip
    """Hurt a real mesh for a while, and see whether it keeps its word."""
    faults = all_faults()
    names = wanted.split(",") if wanted else list(faults)
    unknown = [name for name in names if name not in faults]
    if unknown:
        raise click.BadParameter(
            f"unknown: {', '.join(unknown)}; there are: {', '.join(faults)}", param_hint="--faults"
        )
    if listing:
        for name in names:
            click.echo(f"{name:28s} {faults[name].says}")
        return
    seed = Random().randrange(1 << 31) if seed is None else seed
    out = out or Path(tempfile.mkdtemp(prefix="hfzmq-nemesis-"))
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise click.BadParameter(f"{out} is not empty", param_hint="--out")
    signal.signal(signal.SIGTERM, _interrupt)  # so that everything is cleaned up
    click.echo(f"seed {seed}, output in {out}", err=True)
    with (
        History(out / "history.jsonl") as history,
        World(out, peers, only_loopback, direct, bug, int(FILES_MIB + 10 * minutes)) as world,
    ):
        skipped = {name: reason for name in names if (reason := why_not(faults[name], world))}
        able = [faults[name] for name in names if name not in skipped]
        with Nemesis(world, history, seed) as nemesis:
            episodes = _go_on(nemesis, able, minutes * 60, Random(f"draw {seed}"))
        figures = _figures(world, history, episodes, skipped, seed, minutes)
    _print(figures)
    for path in filter(None, (results, out / "results.json")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=2) + "\n")
    sys.exit(1 if figures["violations"] else 0)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _go_on(nemesis: Nemesis, able: Sequence[type[Fault]], duration_s: float, draw: Random) -> list[Episode]:
    """Each fault once, in any order, then whatever comes, until the time is over."""
    episodes: list[Episode] = []
    until = time.monotonic() + duration_s
    waiting: list[type[Fault]] = []
    while able and time.monotonic() < until:
        waiting = waiting or draw.sample(list(able), len(able))
        faults = [waiting.pop()]
        if faults[0].kind not in (NETWORK, MEMBERS) and draw.random() < TOGETHER_SHARE:
            links = [fault for fault in able if fault.kind == NETWORK]
            faults += draw.sample(links, min(1, len(links)))
        hold_s = draw.uniform(*(LONG_HOLD_S if draw.random() < LONG_SHARE else HOLD_S))
        hold_s = max([hold_s, *(fault.hold_s for fault in faults)])
        episode = nemesis.run(faults, hold_s)
        episodes.append(episode)
        click.echo(_line(episode), err=True)
        for violation in episode.violations:
            click.echo(f"    VIOLATION {violation.kind}: {violation.story}", err=True)
        if nemesis.world.bug and episode.violations:
            break  # found
        if any(violation.kind == "not healed" for violation in episode.violations):
            break  # all that follows would be about this
    return episodes


def _figures(
    world: World, history: History, episodes: list[Episode], skipped: dict[str, str], seed: int, minutes: float
) -> dict[str, Any]:
    events = history.events()
    ops = collections.Counter((event["op"], event["type"]) for event in events)
    by_name: dict[str, list[Episode]] = {}
    for episode in episodes:
        by_name.setdefault("+".join(episode.faults), []).append(episode)
    return {
        "what": "faults on real daemons with real clients; every acknowledged report looked for in every peer's file",
        "command": f"python -m tests.nemesis --minutes {minutes:g} --seed {seed} --peers {len(world.peers)}",
        **origin(PRODUCT),
        "network": "namespaces" if world.net else "loopback",
        "links": "relays" if world.proxy else "direct",
        "keys": world.config.keys is not None,
        "bug": world.bug or None,
        "lease_ms": world.config.timing.lease_ms,
        "episodes": len(episodes),
        "requests_sent": ops["submit", "invoke"],
        "requests_acknowledged": len(
            {(e["process"], e["seq"]) for e in events if (e["op"], e["type"]) == ("submit", "ok")}
        ),
        "consistent_reads": ops["read", "ok"],
        "snapshots_taken": sum(world.log(number).count("has taken a snapshot") for number in world.peers),
        "violations": [violation._asdict() for episode in episodes for violation in episode.violations],
        "faults": {
            name: {
                "times": len(those),
                "held_s": round(sum(one.held_s for one in those), 1),
                "acks": sum(one.acks for one in those),
                "longest_gap_s": max(one.longest_gap_s for one in those),
                "healed_s": max(one.healed_s for one in those),
                "violations": sum(len(one.violations) for one in those),
            }
            for name, those in sorted(by_name.items())
        },
        "skipped": skipped,
    }


def _line(episode: Episode) -> str:
    return (
        f"{episode.began_s:7.1f} s  {'+'.join(episode.faults):30s} held {episode.held_s:5.1f} s  "
        f"acks {episode.acks:5d}  "
        f"gap {episode.longest_gap_s:5.2f} s  healed in {episode.healed_s:5.2f} s  "
        f"{'ok' if not episode.violations else 'WRONG'}  {episode.story}"
    )


def _print(figures: dict[str, Any]) -> None:
    click.echo(f"{'fault':45s} {'times':>5s} {'held s':>7s} {'acks':>6s} {'gap s':>6s} {'healed s':>8s}  wrong")
    for name, told in figures["faults"].items():
        click.echo(
            f"{name:45s} {told['times']:5d} {told['held_s']:7.1f} {told['acks']:6d} {told['longest_gap_s']:6.2f} "
            f"{told['healed_s']:8.2f}  {told['violations']}"
        )
    for name, reason in figures["skipped"].items():
        click.echo(f"{name:45s} skipped: {reason}")
    click.echo(
        f"{figures['requests_acknowledged']} of {figures['requests_sent']} requests acknowledged, "
        f"{figures['consistent_reads']} consistent reads, {len(figures['violations'])} violations"
    )
