"""python -m tests.fuzz --minutes 5: hostile traffic on every port of three real daemons, and whether anybody noticed.

Every attack in turn, on the leader and on a follower, a few seconds each, and all at once; round after round until the
time is over. Exit code 0: no daemon ended or complained, memory and descriptors stayed within the limits of trial.py,
honest clients were acknowledged all the time, each report is stored once and in order, and nobody was elected. Else 1,
and the seed is printed.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import click

from tests.fuzz import trial
from tests.fuzz.field import Field
from tests.fuzz.gauge import Gauge, sample
from tests.fuzz.honest import Writer
from tests.fuzz.striker import ATTACKS
from tests.fuzz.trial import Result, Trial
from tests.provenance import PRODUCT, origin

WRITERS = 3
WARM_UP_S = 5.0
CALM_S = 10.0
NO_LEADER_S = 60.0
CALM, TOGETHER = "calm", "all together"
AT_ONCE = 4  # processes of attacks at a time: more would measure this machine's cores and not the daemons


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--minutes", default=5.0, show_default=True, help="How long to go on; each attack is on once at least.")
@click.option("--seconds", default=4.0, show_default=True, help="How long one attack goes on.")
@click.option("--seed", default=1, show_default=True, help="What is drawn; times differ, these are real processes.")
@click.option("--attacks", "wanted", help="Only these, by name, with commas between.")
@click.option("--lease-ms", default=1000, show_default=True)
@click.option("--results", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures here.")
@click.option("--keep", is_flag=True, help="Keep logs and databases although nothing was wrong.")
@click.option("--list", "listing", is_flag=True, help="Show the attacks and leave.")
def main(
    minutes: float, seconds: float, seed: int, wanted: str | None, lease_ms: int, results: Path | None, keep: bool,
    listing: bool,
) -> None:  # fmt: skip
    """Attack real daemons for a while, and see whether honest clients notice."""
    names = wanted.split(",") if wanted else list(ATTACKS)
    unknown = [name for name in names if name not in ATTACKS]
    if unknown:
        raise click.BadParameter(
            f"unknown: {', '.join(unknown)}; there are: {', '.join(ATTACKS)}", param_hint="--attacks"
        )
    if listing:
        for name in names:
            click.echo(f"{name:24s} {ATTACKS[name].says}")
        return
    folder = Path(tempfile.mkdtemp(prefix="hfzmq-fuzz-"))
    click.echo(f"seed {seed}, output in {folder}", err=True)
    with Field(folder, lease_ms) as field:
        found, wrong, acked = _all(field, names, seed, seconds, minutes * 60)
    figures = _figures(found, wrong, acked, names, seed, seconds, minutes, lease_ms)
    _print(figures)
    if results:
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_text(json.dumps(figures, indent=2) + "\n")
    if figures["wrong"]:
        click.echo(f"WRONG, with seed {seed}; logs and databases are in {folder}", err=True)
    elif not keep:
        shutil.rmtree(folder)
    sys.exit(1 if figures["wrong"] else 0)


def _all(
    field: Field, names: Sequence[str], seed: int, seconds: float, duration_s: float
) -> tuple[list[Result], list[str], int]:
    """The results, what was wrong with the whole, and how many reports were acknowledged."""
    writers = [Writer(field.honest_config, f"honest-{number}") for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    pids = {number: process.pid for number, process in field.processes.items()}
    found: list[Result] = []
    stopped: list[str] = []
    warm: dict[int, float] = {}
    with Gauge(pids) as gauge:
        time.sleep(WARM_UP_S)
        tried = Trial(field, writers, gauge, seed)
        until = time.monotonic() + duration_s
        for number, (at_once, leads, last_of_round) in enumerate(_plan(names, Random(seed))):
            try:
                leader = field.wait_for_leader(within_s=NO_LEADER_S)
            except AssertionError as error:
                stopped = [f"it ended there: {error}"]
                break
            peer = leader if leads else max(set(field.config.peer_ids) - {leader})
            result = tried.run(at_once, peer, CALM_S if not at_once else seconds)
            found.append(result)
            click.echo(f"{number:4d} {_line(result)}", err=True)
            for word in result.wrong:
                click.echo(f"     WRONG: {word}", err=True)
            if any("ended with" in word for word in result.wrong):
                break  # there is nothing left to attack
            if last_of_round:
                warm = warm or _resident(pids)
                if time.monotonic() >= until:
                    break
        grown = {number: mib - warm.get(number, mib) for number, mib in _resident(pids).items()}
    for writer in writers:
        writer.end()
    wrong = [
        f"peer {number} keeps {mib:.0f} MiB more than after the first round"
        for number, mib in grown.items()
        if mib > trial.RSS_KEPT_MIB
    ]
    wrong += [writer.wrong for writer in writers if writer.wrong]
    return found, stopped + wrong + _read_back(field, writers), sum(len(writer.acks) for writer in writers)


def _plan(names: Sequence[str], chance: Random) -> Iterator[tuple[list[str], bool, bool]]:
    """Who attacks at once, whether the leader, and whether that ends a round; for ever."""
    while True:
        yield [], True, False
        for name in chance.sample(list(names), len(names)):
            for leads in (True, False):
                yield [name], leads, False
        yield chance.sample(list(names), min(AT_ONCE, len(names))), True, False
        yield chance.sample(list(names), min(AT_ONCE, len(names))), False, True


def _resident(pids: dict[int, int]) -> dict[int, float]:
    return {number: found.rss_mib for number, pid in pids.items() if (found := sample(pid))}


def _read_back(field: Field, writers: Sequence[Writer]) -> list[str]:
    """What the daemons' files say of what was acknowledged."""
    try:
        rows = field.assert_equal_rows()
    except AssertionError as error:
        return [f"files: {error}"[:300]]
    return [word for writer in writers if (word := writer.misses(rows))]


# ------------------------------------------------------------ figures


def _figures(
    found: list[Result], wrong: list[str], acked: int, names: Sequence[str], seed: int, seconds: float,
    minutes: float, lease_ms: int,
) -> dict[str, Any]:  # fmt: skip
    return {
        "what": "hostile traffic on every port of three real daemons with keys; honest clients' acks meanwhile",
        "command": f"python -m tests.fuzz --minutes {minutes:g} --seconds {seconds:g} --seed {seed}",
        **origin(PRODUCT),
        "lease_ms": lease_ms,
        "attacks": len(names),
        "trials": len(found),
        "attacked_s": round(sum(one.seconds for one in found if one.name != CALM), 1),
        "reports_acknowledged": acked,
        "limits": {
            "rss_room_mib": trial.RSS_ROOM_MIB,
            "rss_kept_mib": trial.RSS_KEPT_MIB,
            "descriptors_kept": trial.DESCRIPTORS_KEPT,
            "ack_max_leases": trial.SILENCE_LEASES,
        },
        "wrong": [*wrong, *(f"{one.name} on peer {one.peer}: {word}" for one in found for word in one.wrong)],
        "by_attack": {name: _summary([one for one in found if one.name == name]) for name in _names(found)},
    }


def _names(found: list[Result]) -> list[str]:
    return sorted({one.name for one in found}, key=lambda name: (name != CALM, name))


def _summary(those: list[Result]) -> dict[str, Any]:
    """Of one attack: the middle p50, and the worst of everything else."""
    return {
        "times": len(those),
        "seconds": round(sum(one.seconds for one in those), 1),
        "turns": sum(one.turns for one in those),
        "acks": sum(one.acks for one in those),
        "ack_p50_ms": sorted(one.ack_p50_ms for one in those)[len(those) // 2],
        "ack_p99_ms": max(one.ack_p99_ms for one in those),
        "ack_max_ms": max(one.ack_max_ms for one in those),
        "cpu_cores": max(one.cpu for one in those),
        "rss_grown_mib": round(max(one.rss_top_mib - one.rss_before_mib for one in those), 1),
        "descriptors_grown": max(one.descriptors_top - one.descriptors_before for one in those),
        "put_out": sum(one.put_out for one in those),
        "wrong": sum(len(one.wrong) for one in those),
    }


def _line(one: Result) -> str:
    return (
        f"{one.name:32s} on {one.peer}{' (leads)' if one.leads else '':8s} {one.turns:7d} turns  acks {one.acks:4d}  "
        f"p50 {one.ack_p50_ms:5.0f}  p99 {one.ack_p99_ms:5.0f} ms  cpu {one.cpu:4.2f}  "
        f"rss {one.rss_before_mib:4.0f} {one.rss_top_mib:4.0f} {one.rss_after_mib:4.0f} MiB  "
        f"files {one.descriptors_before:3d} {one.descriptors_top:3d} {one.descriptors_after:3d}  "
        f"{'WRONG' if one.wrong else 'ok'}"
    )


def _print(figures: dict[str, Any]) -> None:
    click.echo(
        f"{'attack':34s} {'times':>5s} {'acks':>6s} {'p50 ms':>7s} {'p99 ms':>7s} {'max ms':>7s} {'cores':>6s} "
        f"{'+ MiB':>6s} {'+ files':>7s} {'put out':>7s}  wrong"
    )
    for name, told in figures["by_attack"].items():
        click.echo(
            f"{name:34s} {told['times']:5d} {told['acks']:6d} {told['ack_p50_ms']:7.0f} {told['ack_p99_ms']:7.0f} "
            f"{told['ack_max_ms']:7.0f} {told['cpu_cores']:6.2f} {told['rss_grown_mib']:6.0f} "
            f"{told['descriptors_grown']:7d} {told['put_out']:7d}  {told['wrong']}"
        )
    for word in figures["wrong"]:
        click.echo(f"WRONG: {word}")
    click.echo(
        f"{figures['trials']} trials, {figures['attacked_s']:.0f} s under attack, "
        f"{figures['reports_acknowledged']} reports acknowledged, {len(figures['wrong'])} wrong"
    )
