"""How long a steady writer waits when the leader gets kill -9: a measurement, not a test.

python -m tests.system.failover --times 20 --results docs/results/failover.json
"""

from __future__ import annotations

import itertools
import json
import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click

from hfzmq import Client
from hfzmq.client.ledger import Event
from hfzmq.clinical.report import Report
from tests.provenance import PRODUCT, origin
from tests.system.mesh import Mesh, wait_for


class Writer:
    """Submits a report every 20 ms and keeps the moments of their acknowledgements."""

    def __init__(self, mesh: Mesh) -> None:
        self.acks: list[float] = []
        self.client = Client(mesh.config, "writer", mesh.folder / "queue", self._event)
        self._submitted = 0

    def _event(self, event: Event) -> None:
        if event["event"] == "ack":
            self.acks.append(time.monotonic())

    def write_until(self, acks: int) -> None:
        """Go on until there are so many acknowledgements."""

        def enough() -> bool:
            self._submitted += 1
            now_ms = int(time.time() * 1000)
            self.client.submit(Report("bed", now_ms, 70.0, 131.0, 2.0, 30.0, 5, 0.7, "RED", 0.8, "m", ""))
            return len(self.acks) >= acks

        wait_for(f"{acks} acknowledgements", enough, 30)


def gap_ms(mesh: Mesh, writer: Writer) -> float:
    """Kill the leader; the longest silence around it; then bring it back."""
    writer.write_until(len(writer.acks) + 20)
    leader = mesh.wait_for_leader()
    first = len(writer.acks) - 1
    mesh.kill(leader)
    writer.write_until(len(writer.acks) + 20)
    moments = writer.acks[first:]
    mesh.start(leader)
    mesh.wait_until_equal()
    return max(later - earlier for earlier, later in itertools.pairwise(moments)) * 1000


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of them do not exceed."""
    return sorted(values)[math.ceil(len(values) * share) - 1]


@click.command()
@click.option("--times", default=20, show_default=True, help="How many kills.")
@click.option("--results", type=click.Path(path_type=Path), help="Write the figures here.")
def main(times: int, results: Path | None) -> None:
    """Kill the leader of a mesh of three again and again."""
    gaps = []
    with tempfile.TemporaryDirectory() as folder, Mesh(Path(folder)) as mesh:
        writer = Writer(mesh)
        for number in range(times):
            gaps.append(round(gap_ms(mesh, writer)))
            click.echo(f"kill {number + 1:3d}: {gaps[-1]} ms", err=True)
        writer.client.wait(30)
        writer.client.close()
        rows = len(mesh.assert_equal_rows())
    figures = {
        "what": "longest silence between two acknowledgements of a steady writer, leader killed with SIGKILL",
        "command": f"python -m tests.system.failover --times {times}",
        **origin(PRODUCT),
        "lease_ms": 1000,
        "kills": times,
        "reports_acknowledged": len(writer.acks),
        "reports_stored": rows,
        "gap_ms": {"p50": statistics.median(gaps), "p99": percentile(gaps, 0.99), "all": gaps},
    }
    text = json.dumps(figures, indent=2) + "\n"
    if results:
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_text(text)
    click.echo(text)


if __name__ == "__main__":
    main()
