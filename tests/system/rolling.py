"""A rolling restart of all peers under load: how long a steady writer waits at each of them. A measurement, no test.

python -m tests.system.rolling --rounds 10 --results docs/results/rolling.json

One round is what an operator does for an upgrade: the followers first, the leader last; each is stopped with SIGTERM,
started again, and left until all peers hold the same. The gap of a restart is the longest silence between two
acknowledgements of a writer that always has something to send, from just before SIGTERM until the mesh is whole again.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from hfzmq import Client
from hfzmq.client.ledger import Event
from hfzmq.clinical.report import Report
from hfzmq.config import Timing
from tests.provenance import PRODUCT, origin
from tests.system.failover import percentile
from tests.system.mesh import Mesh, wait_for

PACE_S = 0.005
BEDS = 6
LEAD, FOLLOW, BACK = "leader stopped", "follower stopped", "lead handed back"
TARGET_MS = 250


class Writer(threading.Thread):
    """Submits a report every PACE_S, whatever is acknowledged; ``acks``: when each acknowledgement came, in order."""

    def __init__(self, mesh: Mesh) -> None:
        super().__init__(daemon=True)
        self.acks: list[float] = []
        self.submitted = 0
        self.first_ms = time.time_ns() // 1_000_000
        self.errors: list[str] = []
        self._config = mesh.config
        self._queue = mesh.folder / "writer"
        self._over = threading.Event()

    def _event(self, event: Event) -> None:
        if event["event"] == "ack":
            self.acks.append(time.monotonic())
        elif event["event"] == "rejected":
            self.errors.append(str(event))

    def run(self) -> None:
        try:
            with Client(self._config, "writer", self._queue, self._event) as client:
                while not self._over.wait(PACE_S):
                    self.submitted += 1
                    client.submit(self._report())
                client.wait(60)
        except BaseException as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    def _report(self) -> Report:
        """Of one of a ward's beds; its stamp says which one it is."""
        bed = f"bed-{self.submitted % BEDS}"
        return Report(bed, self.first_ms + self.submitted, 70.0, 131.0, 2.0, 30.0, 5, 0.5, "AMBER", 0.5, "m", "")

    def assert_stored(self, rows: Sequence[Sequence[Any]]) -> None:
        """The reports of a peer: each that was submitted once, in order."""
        found = [row[2] - self.first_ms for row in rows]
        assert found == list(range(1, self.submitted + 1)), "lost, doubled or out of order"

    def go_on(self, count: int = 20) -> None:
        """Wait for so many acknowledgements more."""
        wanted = len(self.acks) + count
        wait_for(f"{wanted} acknowledgements", lambda: self.errors or len(self.acks) >= wanted, 60)

    def longest_ms(self, since: int) -> float:
        """The longest silence from the acknowledgement with this number on."""
        moments = self.acks[since:]
        return max(later - earlier for earlier, later in itertools.pairwise(moments)) * 1000

    def end(self) -> None:
        """Stop, when everything is acknowledged."""
        self._over.set()
        self.join(90)


class Gap(NamedTuple):
    """``what``: one of LEAD, FOLLOW, BACK; ``peer``: who was restarted, or given the lead back."""

    what: str
    peer: int
    ms: float


def restart(mesh: Mesh, writer: Writer, peer: int) -> Gap:
    """SIGTERM, start, until all are equal."""
    was = LEAD if mesh.leader() == peer else FOLLOW
    writer.go_on()
    since = len(writer.acks) - 1
    assert mesh.terminate(peer) == 0, mesh.log(peer)
    writer.go_on()
    mesh.start(peer)
    wait_for(f"peer {peer} is back", lambda: len(mesh.status()) == len(mesh.config.peer_ids))
    wait_for("a quorum of all", lambda: all(one["leader"] for one in mesh.status().values()))
    writer.go_on()
    return Gap(was, peer, writer.longest_ms(since))


def one_round(mesh: Mesh, writer: Writer) -> list[Gap]:
    """All peers, the leader last; then the lead goes back to the lowest id by itself."""
    leader = mesh.wait_for_leader()
    gaps = [restart(mesh, writer, peer) for peer in (*(set(mesh.config.peer_ids) - {leader}), leader)]
    since = len(writer.acks) - 1
    lowest = min(mesh.config.peer_ids)
    mesh.peer("transfer", lowest)
    writer.go_on()
    return [*gaps, Gap(BACK, lowest, writer.longest_ms(since))]


def figures(gaps: list[Gap]) -> dict[str, dict[str, object]]:
    """By what was done."""
    found = {}
    for what in (LEAD, FOLLOW, BACK):
        values = [round(gap.ms, 1) for gap in gaps if gap.what == what]
        found[what] = {"p50": statistics.median(values), "p99": percentile(values, 0.99), "all": values}
    return found


@click.command()
@click.option("--rounds", default=10, show_default=True, help="How often all peers are restarted.")
@click.option("--results", type=click.Path(path_type=Path), help="Write the figures here.")
def main(rounds: int, results: Path | None) -> None:
    """Restart all peers of a mesh of three, one after the other, under load."""
    gaps: list[Gap] = []
    with tempfile.TemporaryDirectory() as folder, Mesh(Path(folder), timing=Timing()) as mesh:
        writer = Writer(mesh)
        writer.start()
        writer.go_on(100)
        since = len(writer.acks)
        writer.go_on(500)
        at_rest_ms = writer.longest_ms(since)
        for number in range(rounds):
            made = one_round(mesh, writer)
            gaps += made
            told = ", ".join(f"{gap.what} {gap.ms:.0f} ms" for gap in made)
            click.echo(f"round {number + 1}: {told}", err=True)
        writer.end()
        mesh.wait_until_equal()
        writer.assert_stored(mesh.assert_equal_rows())
    assert not writer.errors, writer.errors
    found = {
        "what": "longest silence between acknowledgements of a steady writer; all peers restarted in turn (SIGTERM)",
        "command": f"python -m tests.system.rolling --rounds {rounds}",
        **origin(PRODUCT),
        "lease_ms": Timing().lease_ms,
        "target_p99_ms": TARGET_MS,
        "rounds": rounds,
        "reports_acknowledged": len(writer.acks),
        "client_errors": len(writer.errors),
        "load_average_1min": round(os.getloadavg()[0], 1),  # who else was using the cores
        "longest_at_rest_ms": round(at_rest_ms, 1),
        "gap_ms": figures(gaps),
    }
    text = json.dumps(found, indent=2) + "\n"
    if results:
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_text(text)
    click.echo(text)


if __name__ == "__main__":
    main()
