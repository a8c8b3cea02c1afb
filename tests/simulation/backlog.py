"""A backlog of very many entries: a peer that missed them all is brought back by a snapshot while the leader serves on.

    python -m tests.simulation.backlog --entries 1000000     writes docs/results/backlog.json

Touches simulated disks; the cores are the real ones, and the invariants are checked at every step. Entries are small
and come many at once, so that a million of them take minutes; what they are on a real disk is tested with 200,000
reports in tests/integration/test_transfer.py.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

from hfzmq.core.contract import ACK, Proposal, Propose, Reply
from hfzmq.core.types import Origin
from tests.provenance import CORE, origin
from tests.simulation.stage import LEASE_MS, Stage
from tests.simulation.storm import LIMITS

RESULT = Path(__file__).resolve().parents[2] / "docs" / "results" / "backlog.json"
BATCH = 500  # requests of one turn
EVERY_MS = 50.0
TRANSFER_MS = 900.0  # so long the snapshot is on its way


class BackIn(NamedTuple):
    """How a peer came back. ``back_ms``: simulated, from its start until it had all; ``appended_afterwards``: entries
    that it was sent one by one; ``real_s``: what the whole run took."""

    entries: int
    entries_keep: int
    snapshots: int
    appended_afterwards: int
    back_ms: float
    acked_meanwhile: int
    slowest_ack_ms: float
    equal: bool
    real_s: float


class Flood:
    """A client that sends very much, many requests at once; each is answered once."""

    name = "flood"
    done = True

    def __init__(self, total: int) -> None:
        self.total = total
        self.epoch = hashlib.blake2b(b"flood", digest_size=16).digest()
        self.acked = 0

    def body(self, seq: int) -> bytes:
        """What is said under ``seq``."""
        return b"%d" % seq

    def origin(self, seq: int) -> Origin:
        """The request's identity."""
        return Origin(self.name, self.epoch, seq, hashlib.blake2b(self.body(seq), digest_size=16).digest())

    def answered(self, peer: int, request: int, reply: Reply) -> None:
        """An answer: nothing but acknowledgements, in their order."""
        assert reply.status == ACK, reply
        assert reply.seq == self.acked + 1, reply
        self.acked = reply.seq


def far_behind(entries: int, entries_keep: int) -> BackIn:
    """Peer 3 is away while ``entries`` entries are stored; then it starts, and a client asks on."""
    began = time.monotonic()
    stage = Stage(3)
    for peer in stage.peers.values():
        peer.limits = LIMITS._replace(
            append_bytes_max=1 << 20, uncommitted_bytes_max=8 << 20, inflight_bytes_max=8 << 20,
            log_entries_keep=entries_keep,
        )  # fmt: skip
        peer.transfer_ms = (TRANSFER_MS, TRANSFER_MS)
    stage.begin()
    flood = Flood(entries)
    stage.clients[flood.name] = flood  # type: ignore[assignment]
    stage.peers[3].crash()
    while flood.acked < entries:
        first = flood.acked + 1
        wishes = tuple(
            Proposal((flood, 0), flood.origin(seq), flood.body(seq))
            for seq in range(first, min(first + BATCH, entries + 1))
        )
        stage.peers[1].take(Propose(wishes))
        assert stage.until(lambda: flood.acked == first + len(wishes) - 1, LEASE_MS), flood.acked  # noqa: B023
        stage.world.trace.clear()
    installed: list[int] = []
    stage.world.listen("install", lambda peer, index: installed.append(peer))
    leader, away = stage.peers[1], stage.peers[3]
    away.start()
    started, acks, slowest_ms = stage.world.now, 0, 0.0
    while away.disk.applied < leader.disk.applied and stage.world.now < started + 30 * LEASE_MS:
        asked = stage.world.now
        stage.client("c1").ask()
        assert stage.until(lambda: stage.client("c1").done, LEASE_MS, 1.0)
        slowest_ms, acks = max(slowest_ms, stage.world.now - asked), acks + 1
        stage.wait(EVERY_MS)
    back_ms = stage.world.now - started
    snapshot_at = away.disk.base.index
    stage.finish()
    return BackIn(
        entries, entries_keep, installed.count(3), away.disk.last - snapshot_at, back_ms, acks, slowest_ms,
        away.disk.rows == leader.disk.rows and len(away.disk.rows) == entries + acks,
        round(time.monotonic() - began, 1),
    )  # fmt: skip


def main() -> int:
    """Run it once and write what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--keep", type=int, default=20_000, help="log_entries_keep; the default of the daemon")
    asked = parser.parse_args()
    found = far_behind(asked.entries, asked.keep)
    told = {**origin(CORE), **found._asdict()}
    RESULT.write_text(json.dumps(told, indent=1) + "\n")
    sys.stdout.write(RESULT.read_text())
    return 0 if found.equal and found.snapshots else 1


if __name__ == "__main__":
    sys.exit(main())
