"""One measurement: a system is started, loaded for some seconds, stopped and read back; what it did and what it cost.

Touches processes (through a System), /proc. Must not know: how systems are compared or shown. Keeps: a Measured exists
only when every acknowledged report was read back from every disk, exactly once and in order.

    start --> the load warms up --begin: costs are read--> seconds --end: costs are read--> last acks
        --> all hold the same --> stop --> read back
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from hfzmq.cli.bench.load import Spec
from hfzmq.cli.bench.proc import Cost, cost
from hfzmq.cli.bench.readback import Acked
from hfzmq.cli.bench.reports import writers
from hfzmq.cli.bench.systems import LOAD_MODULE, System
from hfzmq.errors import HfzmqError

LOAD = "load"
MIB = 1 << 20
ROOM_BYTES = 64 * MIB  # with less on the disk, that is why

Tick = Callable[[dict[str, Any]], None]


class Workload(NamedTuple):
    """``clients`` with one request of ``batch`` reports under way each."""

    clients: int
    batch: int

    @property
    def name(self) -> str:
        """``64 x 1``: requests under way, reports in each."""
        return f"{self.clients} x {self.batch}"


STANDARD = (Workload(1, 1), Workload(64, 1), Workload(8, 100))


class Terms(NamedTuple):
    """How to measure: so long, after so long a warm-up, with reports on ``beds`` beds."""

    seconds: float = 5.0
    warm_up_s: float = 1.0
    beds: int = 64
    report_bytes: int = 145
    tick_s: float = 0.5


class Figures(NamedTuple):
    """What came out. Rate in reports a second; latency of a request in us; CPU in us a report: of all clients, of all
    peers, of the leader, of one follower; the largest peer's memory; bytes on one disk a report."""

    rate: float
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float
    client_cpu_us: float
    peers_cpu_us: float
    leader_cpu_us: float
    follower_cpu_us: float
    peer_rss_mib: float
    disk_bytes_per_report: float


class Measured(NamedTuple):
    """``reports``: acknowledged within the time that was measured; ``read_back``: found on each disk, all that were
    ever acknowledged; ``elections``: how often the lead changed under load."""

    figures: Figures
    reports: int
    read_back: int
    elections: int


def measure(system: System, workload: Workload, terms: Terms, on_tick: Tick = lambda event: None) -> Measured:
    """Measure a system that is not running yet, and leave nothing of it. HfzmqError when it does not go as it must;
    NotKept when a report is lost, doubled or altered."""
    os.sync()  # what the measurement before has left unwritten is not to be paid for by this one
    try:
        system.start()
        term = system.term()
        run = LoadRun(system, workload, terms)
        before: dict[str, Cost] = {}
        after: dict[str, Cost] = {}
        for event in run.events():
            if event["event"] == "begin":
                before = costs(system)
            elif event["event"] == "end":
                after = costs(system)
            elif event["event"] == "tick":
                on_tick(event)
        leader, elections = system.leader(), system.term() - term
        system.settle()
        disk_bytes = system.read_back(run.ledger)
        stored = sum(one.acked for one in run.ledger)
        figures = _figures(run.done, before, after, leader, disk_bytes / stored if stored else math.nan)
        return Measured(figures, run.done["acked"], stored, elections)
    finally:
        system.close()


class LoadRun:
    """The load's process, started; ``events`` is what it tells, to its end; then ``done`` and ``ledger`` are known."""

    def __init__(self, system: System, workload: Workload, terms: Terms) -> None:
        self._processes, name = system.processes, system.name
        base_ms = time.time_ns() // 1_000_000
        spec = Spec(
            **system.spec,
            name=name,
            clients=workload.clients,
            beds=terms.beds,
            batch=workload.batch,
            report_bytes=terms.report_bytes,
            base_ms=base_ms,
            warm_up_s=terms.warm_up_s,
            seconds=terms.seconds,
            tick_s=terms.tick_s,
        )
        made = writers(name, workload.clients, terms.beds, base_ms, terms.report_bytes)
        system.writes(made)
        self._writers = {writer.name: writer for writer in made}
        path = self._processes.directory / "load.json"
        path.write_text(json.dumps(spec._asdict()), encoding="utf-8")
        self._lines = self._start(path)
        self.done: dict[str, Any] = {}
        self.ledger: list[Acked] = []

    def _start(self, path: Path) -> IO[bytes]:
        process = self._processes.start(LOAD, str(path), piped=True, module=LOAD_MODULE)
        return cast(IO[bytes], process.stdout)

    def events(self) -> Iterator[dict[str, Any]]:
        """HfzmqError when it failed, or ended without a word."""
        for line in self._lines:
            event = json.loads(line)
            if event["event"] == "failed":
                raise self._failed(event["cause"], event["hint"])
            if event["event"] == "done":
                self.done = event
                self.ledger = [Acked(self._writers[name], sent, acked) for name, sent, acked in event["writers"]]
            yield event
        if not self.done:
            raise HfzmqError(f"the load ended by itself: {self._processes.last_words(LOAD, 1) or 'it said nothing'}")

    def _failed(self, cause: str, hint: str) -> HfzmqError:
        free = shutil.disk_usage(self._processes.directory).free
        if free < ROOM_BYTES:
            cause, hint = f"{cause}; the disk has {free // MIB} MiB left", "measure on a larger one: --folder DIR"
        return HfzmqError(f"the load failed: {cause}", hint=hint)


def costs(system: System) -> dict[str, Cost]:
    """Of all its processes and of the load's, now."""
    return {name: cost(system.processes.pid(name)) for name in (*system.peers(), LOAD)}


def _figures(
    done: dict[str, Any], before: dict[str, Cost], after: dict[str, Cost], leader: str, disk_bytes: float
) -> Figures:
    reports = done["acked"]
    if not reports:
        raise HfzmqError("nothing was acknowledged within the time that was measured", hint="give it more: --seconds")
    us = {name: (after[name].cpu_s - before[name].cpu_s) / reports * 1e6 for name in after}
    client_us = us.pop(LOAD)
    followers = [one for name, one in us.items() if name != leader]
    return Figures(
        rate=reports / done["lasted_s"],
        p50_us=done["p50_us"],
        p99_us=done["p99_us"],
        p999_us=done["p999_us"],
        max_us=done["max_us"],
        client_cpu_us=client_us,
        peers_cpu_us=sum(us.values()) if us else math.nan,
        leader_cpu_us=us.get(leader, math.nan),
        follower_cpu_us=sum(followers) / len(followers) if followers else math.nan,
        peer_rss_mib=max((one.rss_bytes for name, one in after.items() if name != LOAD), default=math.nan) / MIB,
        disk_bytes_per_report=disk_bytes,
    )
