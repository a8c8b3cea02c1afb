"""What it costs a write that a patient's reports are found: ``python -m tests.reads.writing``.

Stores of the product, each with another way to find them, take the same reports in turn: 16 entries with one report
each in an Apply, of 64 beds, as a mesh does with 64 clients. Told are the CPU of the Apply, and the pages that it
writes into the WAL, which do not depend on the machine. It takes a minute, and wants an idle machine.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import click

from hfzmq.cli.format import table
from hfzmq.core.contract import Apply, Persist
from hfzmq.core.types import BATCH, Entry, Origin, Place, chained
from hfzmq.storage import Store
from hfzmq.wire.body import encode_body
from hfzmq.wire.requests import digest, encode_rows
from tests.integration.storage_world import mesh
from tests.provenance import origin
from tests.reads.ward import BEGAN_MS, EPOCH, Ward, fill

RUNS = ("hfzmq", "tests/reads")
SINGLES, BEDS, FILLED, APPLIES = 16, 64, 120_000, 128
WARD = Ward(BEDS)

Way = Callable[[Store], None]


def _as_it_is(store: Store) -> None:
    pass


def _plain(store: Store) -> None:
    _without(store)
    store._connection.execute("CREATE INDEX risk_reports_by_patient ON risk_reports (patient_id)")


def _without(store: Store) -> None:
    store._connection.execute("DROP INDEX risk_reports_by_patient")
    store._connection.execute("DROP INDEX risk_reports_by_tier")


WAYS: dict[str, Way] = {
    "as it is: a patient's reports and each tier are found": _as_it_is,
    "a patient's reports are found, of any tier": _plain,
    "nothing is found": _without,
}


class Round(NamedTuple):
    """Of one report: CPU of the Apply in us, the median and the mean; pages of the WAL."""

    median_us: float
    mean_us: float
    pages: float


class Peer:
    """A store that is written to as a peer's is, one Apply after another."""

    def __init__(self, directory: Path, way: Way) -> None:
        fill(directory, WARD, FILLED)
        self.store = Store.open(directory, 1, mesh())
        way(self.store)
        self._last = self.store.recovered.log.last
        self._told = self.store.reports_stored

    def round(self) -> Round:
        """So many Applies."""
        took, pages = [], 0
        for _ in range(APPLIES):
            entries = tuple(self._entry() for _ in range(SINGLES))
            self.store.write([Persist(self._last.index, None, None, entries)])
            before, began = self._pages(), time.thread_time()
            self.store.write([Apply(entries, (True,) * SINGLES)])
            took.append((time.thread_time() - began) / SINGLES * 1e6)
            pages += self._pages() - before
        return Round(statistics.median(took), statistics.mean(took), pages / APPLIES / SINGLES)

    def _entry(self) -> Entry:
        number, bed = divmod(self._told, BEDS)
        self._told += 1
        rows = encode_rows([WARD.reports(number)[bed]])
        source = Origin(f"bed-{bed}", EPOCH, number + 1, digest(rows))
        entry = chained(self._last, 1, BATCH, source, encode_body(BEGAN_MS + self._told * 150, rows))
        self._last = Place(entry.index, entry.term, entry.chain)
        return entry

    def _pages(self) -> int:
        return self.store._connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)[0]


def measured(rounds: int, folder: Path) -> dict[str, dict[str, float]]:
    """Of each way the quietest round's CPU, and the pages."""
    with ExitStack() as open_stores:
        peers = {name: Peer(folder / str(number), way) for number, (name, way) in enumerate(WAYS.items())}
        for peer in peers.values():
            open_stores.callback(peer.store.close)
        told: dict[str, list[Round]] = {name: [] for name in peers}
        for _ in range(rounds):
            for name, peer in peers.items():
                told[name].append(peer.round())
    return {
        name: {
            "median_us": round(min(one.median_us for one in of_way), 2),
            "mean_us": round(min(one.mean_us for one in of_way), 2),
            "wal_pages": round(statistics.mean(one.pages for one in of_way), 3),
        }
        for name, of_way in told.items()
    }


@click.command()
@click.option("--rounds", default=12, show_default=True, type=click.IntRange(1))
@click.option("--results", type=click.Path(path_type=Path), help="Keep what was found here, as JSON.")
def main(rounds: int, results: Path | None) -> None:
    """Measure all ways in turn, and tell what each costs a report."""
    with tempfile.TemporaryDirectory() as folder:
        ways = measured(rounds, Path(folder))
    told: dict[str, Any] = {
        "what": f"what an Apply of {SINGLES} x 1 reports of {BEDS} beds costs, a report; CPU: of the quietest round",
        "command": f"python -m tests.reads.writing --rounds {rounds}",
        **origin(RUNS),
        "load_average_1min": round(os.getloadavg()[0], 2),
        "ways": ways,
    }
    click.echo(
        table(("way", "median us", "mean us", "WAL pages"), [(name, *one.values()) for name, one in ways.items()])
    )
    if results:
        results.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
