"""The textbook bully in the very storms that the real core must stand: it loses what it has acknowledged.

    python -m tests.simulation.textbook --seeds 0-99

Two kinds: ``all alive`` acknowledges when every peer that the leader believes alive has synced the entry too,
``written`` when the leader has. Changes of members are left out, for it knows no such thing; weather, other faults,
disks and clients are the storm's own, and so is the count at the end.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import click

from tests.provenance import CORE, origin
from tests.simulation import storm as storms
from tests.simulation.invariants import Invariants
from tests.simulation.losses import Losses, losses
from tests.simulation.sized import DRAWN, Size
from tests.simulation.textbook_peer import ALL_ALIVE, KINDS, TextbookPeer

if TYPE_CHECKING:
    from hfzmq.core.contract import Reply
    from tests.simulation.client import Client


class Onlooker(Invariants):
    """Lets everything pass; what came of it is counted at the end."""

    def acked(self, client: Client, peer: int, reply: Reply, seq: int) -> None:
        """Only counted."""
        self.acks += 1

    def read(self, peer: int, reply: Reply, floor: int) -> None:
        """Not looked at."""

    def probed(self, *told: Any) -> None:
        """Not looked at: it does not know that a client may be confused."""

    def majority_serves(self, *told: Any) -> None:
        """Not asked for."""

    def settled(self) -> bool:
        """All clients are done and all peers hold the same."""
        first, *rest = (peer.disk.rows for peer in self.peers.values())
        return all(client.done for client in self.clients.values()) and all(rows == first for rows in rest)

    def healed(self) -> None:
        """Not asked for."""


def textbook_storm(seed: int, kind: str = ALL_ALIVE, size: Size = DRAWN, tracing: bool = False) -> storms.Storm:
    """The storm of a seed with textbook peers in it, not run yet."""
    peer = type("TextbookPeer", (TextbookPeer,), {"kind": kind})
    with mock.patch.object(storms, "Peer", peer), mock.patch.object(storms, "Invariants", Onlooker):
        chaos_ms = float(size.chaos_leases * storms.TIMING.lease_ms)
        storm = storms.Storm(seed, tracing, chaos_ms=chaos_ms, peers=size.peers, members=False)
    for client in storm.clients.values():
        client.probes = 0.0  # nothing that is not meant: what a confused client may do is not held against it
    return storm


class Lost(NamedTuple):
    """What a kind lost in the storm of a seed."""

    seed: int
    losses: Losses


def run(seed: int, kind: str = ALL_ALIVE, size: Size = DRAWN) -> Lost:
    """The storm of a seed; raises RuntimeError when the storm itself fails, which would count for nothing."""
    storm = textbook_storm(seed, kind, size)
    outcome = storm.run()
    if outcome.violation:
        raise RuntimeError(f"seed {seed}: {outcome.violation}")
    return Lost(seed, losses(storm))


def results(seeds: tuple[int, int], kinds: dict[str, list[Lost]]) -> dict[str, object]:
    """The file."""
    told: dict[str, object] = {**origin(CORE), "seeds": list(seeds)}
    for kind, rows in kinds.items():
        bad = [row for row in rows if row.losses.any]
        told[kind] = {
            "storms": len(rows),
            "storms_that_lost": sum(1 for row in rows if row.losses.lost),
            "first_seed_that_lost": next((row.seed for row in rows if row.losses.lost), None),
            **{name: sum(getattr(row.losses, name) for row in rows) for name in Losses._fields},
            "seeds": {str(row.seed): row.losses._asdict() for row in bad},
        }
    return told


@click.command()
@click.option("--seeds", default="0-99", show_default=True, help="FIRST-LAST.")
@click.option("--results", "file", type=click.Path(path_type=Path), help="Keep what was found here, as JSON.")
def main(seeds: str, file: Path | None) -> None:
    """Say at which seeds the textbook bully loses, and how much; exit 1 if it lost nothing, for then the storms are
    too calm."""
    first, last = map(int, seeds.split("-"))
    kinds: dict[str, list[Lost]] = {}
    for kind in KINDS:
        rows = kinds[kind] = []
        for seed in range(first, last + 1):
            rows.append(run(seed, kind))
            lost = rows[-1].losses
            if lost.any:
                click.echo(
                    f"{kind:9s}  seed {seed:4d}  of {lost.acked:4d} acknowledged {lost.lost:4d} lost, {lost.gone:4d} "
                    f"nowhere at all; {lost.doubled:3d} doubled, {lost.disordered:3d} out of order"
                )
        total = sum(row.losses.lost for row in rows)
        storms_bad = sum(1 for row in rows if row.losses.lost)
        click.echo(f"{kind}: {storms_bad} of {len(rows)} storms lost {total} acknowledged requests")
    if file:
        file.write_text(json.dumps(results((first, last), kinds), indent=1) + "\n")
    sys.exit(0 if all(any(row.losses.lost for row in rows) for rows in kinds.values()) else 1)


if __name__ == "__main__":
    main()
