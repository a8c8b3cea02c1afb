"""Small scope, exhausted: every order of everything for three peers, on the real core.

    python -m tests.simulation.exhaustive --terms 2 --entries 1 --crashes 1 --seconds 60

A state is three peers (replica, disk, writes under way), the messages in flight and the record of what was led and
committed. A transition is one of: a message is delivered (or delivered and kept: a duplicate), the first write of a
peer is synced, a lease runs out, a campaign begins, a leader sends keep-alives, a leader gives up for want of a quorum,
a client asks, a peer crashes and restarts without what was not synced. A message that is never delivered is lost, so
loss needs no transition.

Time is abstracted away: after each step a peer's clocks are set so that no deadline but "the lease has run out" is told
apart; any peer's timer may fire at any time, however its clock runs. That is more than real time allows.
Left out: heartbeats (hints), so also the stagger by id and the hand-over; a campaign's repeated requests within its
round (a duplicate stands for one).

How it is fast: what one peer does with one event depends on that peer alone, so it is run on the real ``Replica`` once
and remembered; a state is a handful of small numbers. Peers are told apart only by where they sit (no heartbeats, no
lower ids), so the six renamings of a state count as one. Messages that no future of their receiver can ever heed are
taken out. That a lease has run out is told with the first step that looks at it. Requests are alike but for their
names.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from tests.provenance import CORE, origin
from tests.simulation.exhaustive_scope import BEGUN, COLD, FOUNDED, STARTS, Result, Scope
from tests.simulation.exhaustive_search import Search

# "Two terms, three entries" is two terms, each with its leader's first entry, and one request.
RESULTS: dict[str, Scope] = {
    "one term, one request": Scope(terms=1, entries=1, asks=1, campaigns=1),
    "founding by all three, one request": Scope(terms=1, entries=1, asks=1, campaigns=1, start=COLD),
    "founding by all three, a crash": Scope(terms=1, entries=0, asks=0, campaigns=1, crashes=1, start=COLD),
    "two terms after a lost no-op": Scope(terms=2, entries=0, asks=0, campaigns=1, start=BEGUN),
    "two terms after a lost no-op, a crash": Scope(terms=2, entries=0, asks=0, campaigns=1, crashes=1, start=BEGUN),
    "prompt disks, two terms after a lost no-op, one request": Scope(
        terms=2, entries=1, asks=1, campaigns=1, start=BEGUN, prompt=True
    ),
    "prompt disks, two terms": Scope(terms=2, entries=0, asks=0, campaigns=2, prompt=True),
    "prompt disks, two terms, one request": Scope(terms=2, entries=1, asks=1, campaigns=2, prompt=True),
}


def row(name: str, scope: Scope, result: Result) -> dict[str, object]:
    """One scope of the results file."""
    told: dict[str, object] = {"name": name, "scope": scope._asdict(), "exhausted": result.frontier == 0}
    told.update((key, value) for key, value in asdict(result).items() if key != "story")
    return {**told, "seconds": round(result.seconds, 1)}


def keep(file: Path, seconds: float) -> bool:
    """Search every scope of ``RESULTS``, each for so long at most, and write what was seen; False on a violation."""
    rows: list[dict[str, object]] = []
    for name, scope in RESULTS.items():
        result = Search(scope).run(seconds)
        click.echo(f"{name}: {result.line()}")
        rows.append(row(name, scope, result))
    told = {
        **origin(CORE),
        "seconds_max": seconds,
        "scopes": rows,
    }
    file.write_text(json.dumps(told, indent=1) + "\n")
    return not any(one["violation"] for one in rows)


@click.command()
@click.option("--terms", default=2, show_default=True)
@click.option("--entries", default=1, show_default=True, help="Requests of clients; each leader adds its first entry.")
@click.option("--asks", type=int, help="How often clients ask; as many as entries by default.")
@click.option("--campaigns", type=int, help="Rounds of pre-votes; as many as terms that are left by default.")
@click.option("--beats", default=0, show_default=True, help="Keep-alives of a leader.")
@click.option("--crashes", default=0, show_default=True)
@click.option("--doubles", default=0, show_default=True, help="Messages delivered twice.")
@click.option("--start", type=click.Choice(STARTS), default=FOUNDED, show_default=True)
@click.option("--prompt", is_flag=True, help="A disk syncs before its peer does anything else.")
@click.option("--seconds", default=60.0, show_default=True, help="At most, for each scope.")
@click.option("--depth-first", is_flag=True)
@click.option("--results", "file", type=click.Path(path_type=Path), help="Search the scopes of RESULTS, and keep it.")
def main(
    terms: int, entries: int, asks: int | None, campaigns: int | None, beats: int, crashes: int, doubles: int,
    start: str, prompt: bool, seconds: float, depth_first: bool, file: Path | None,
) -> None:  # fmt: skip
    """Search a scope; exit 1 if an invariant was broken."""
    if file:
        sys.exit(0 if keep(file, seconds) else 1)
    left = terms - (start == BEGUN)
    scope = Scope(terms, entries, entries if asks is None else asks, left if campaigns is None else campaigns,
                  beats, crashes, doubles, start, prompt)  # fmt: skip
    result = Search(scope, depth_first=depth_first).run(seconds)
    click.echo(f"{scope}\n{result.line()}")
    for number, line in enumerate(result.story, 1):
        click.echo(f"{number:3d}  {line}")
    sys.exit(1 if result.violation else 0)


if __name__ == "__main__":
    main()
