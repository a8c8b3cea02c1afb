"""Growth: what becomes of rate and latency as one thing grows, and all others stay where they are.

Touches processes (through the systems). Must not know: screens, files of results. Keeps: along an axis only that one
thing differs; all points of an axis are measured in turn, in one run, for machines differ from hour to hour.

The common middle: a new mesh of three peers, the workloads 64 x 1 and 8 x 100, reports of the usual length. A client
has one bed at least: along the clients' axis they share as many beds as there are clients in the end.
"""

from __future__ import annotations

import secrets
import statistics
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from hfzmq.cli.bench.compare import short, summary
from hfzmq.cli.bench.grown import Growing, Grown, GrownSystem
from hfzmq.cli.bench.measure import MIB, STANDARD, Measured, Terms, Workload, measure
from hfzmq.cli.bench.reports import REPORT_BYTES, bounds
from hfzmq.cli.bench.systems import PEERS, WRITERS, MeshSystem, System
from hfzmq.cli.format import thousands
from hfzmq.errors import DataDirError
from hfzmq.storage.directory import disk_free_bytes

AXES = {  # what grows, and what a step of it is called
    "peers": "peers",
    "clients": "clients with one report a request",
    "bytes": "bytes a report",
    "stored": "reports stored",
}
STORED, ROWS_MAX = "stored", 10**6
PEERS_STEPS = (3, 5, 7)
CLIENTS_STEPS = (1, 10, 100, 1000)
BYTES_STEPS = (REPORT_BYTES, 300, 600)  # between the shortest and the longest
STORED_STEPS = (10**3, 10**4, 10**5, 10**6, 10**7)
MIDDLE = STANDARD[1:]  # 64 x 1, 8 x 100
FILLING = 0.6  # of the time that a point takes, if it is filled
DISK_BYTES = 450 * PEERS  # a stored report, on all disks, with room to spare: about 345 on each while the log has it


class Point(NamedTuple):
    """One measurement: ``value`` is where on the axis it stands. ``beds``: 0 for as many as are asked for."""

    value: int
    workload: Workload
    peers: int = PEERS
    report_bytes: int = REPORT_BYTES
    stored: int = 0
    beds: int = 0


class Found(NamedTuple):
    """What a point's rounds have measured; ``grown`` where the mesh was filled before."""

    measured: list[Measured]
    grown: list[Grown]


class Run(NamedTuple):
    """How to measure: on a disk in ``place``; ``tick`` is called several times a second and may raise to end all."""

    place: Path
    rounds: int
    terms: Terms
    lease_ms: int
    tick: Callable[[], None]


def points(axis: str, rows_max: int) -> tuple[Point, ...]:
    """Of an axis, rising; of stored reports up to ``rows_max``, that size included."""
    if axis == "clients":
        return tuple(Point(count, Workload(count, 1), beds=max(CLIENTS_STEPS)) for count in CLIENTS_STEPS)
    if axis == "peers":
        return tuple(Point(count, workload, peers=count) for count in PEERS_STEPS for workload in MIDDLE)
    if axis == "bytes":
        least, most = bounds(WRITERS)
        weights = (least, *BYTES_STEPS, most)
        return tuple(Point(weight, workload, report_bytes=weight) for weight in weights for workload in MIDDLE)
    sizes = (*(size for size in STORED_STEPS if size < rows_max), rows_max)
    return tuple(Point(size, workload, stored=size) for size in sizes for workload in MIDDLE)


def refuse_small_disk(place: Path, rows_max: int) -> None:
    """DataDirError where the disk has no room for so many reports."""
    free_bytes = disk_free_bytes(place)
    if free_bytes < rows_max * DISK_BYTES:
        raise DataDirError(
            f"{thousands(rows_max)} reports on {PEERS} disks need up to {rows_max * DISK_BYTES / 1e9:.1f} GB, and "
            f"{free_bytes / 1e9:.1f} GB are free",
            hint="fewer: --rows-max N; or another disk: --folder DIR",
        )


def stages(axis: str, along: Sequence[Point]) -> dict[str, str]:
    """What a progress bar calls each step."""
    return {_stage(axis, point): f"{thousands(point.value)} {AXES[axis]}" for point in along}


def grow(axis: str, along: Sequence[Point], run: Run, say: Callable[[str, float], None]) -> dict[str, Any]:
    """Measure all points of an axis; its part of the results file. HfzmqError and NotKept as with ``measure``."""
    found = {point: Found([], []) for point in along}
    steps = [list(step) for _, step in groupby(along, key=lambda point: point.value)]
    growing = Growing(run.place, run.tick, run.lease_ms)
    try:
        for number in range(run.rounds):
            for step in steps:
                name = _stage(axis, step[0])
                for place, point in enumerate(step):
                    done, all_of_it = number * len(step) + place, run.rounds * len(step)

                    def told(share: float, name: str = name, done: int = done, all_of_it: int = all_of_it) -> None:
                        say(name, (done + min(share, 0.95)) / all_of_it)

                    _measure(point, run, growing, found[point], told)
                say(name, (number + 1) / run.rounds)
    finally:
        growing.close()
    return {
        "seconds": run.terms.seconds,
        "rounds": run.rounds,
        "points": [_told(point, found[point], point.beds or run.terms.beds) for point in along],
    }


def _measure(point: Point, run: Run, growing: Growing, found: Found, told: Callable[[float], None]) -> None:
    terms = run.terms._replace(report_bytes=point.report_bytes, beds=point.beds or run.terms.beds)
    filled = FILLING if point.stored else 0.0
    told(0.0)
    if point.stored:
        beds, weight = terms.beds, point.report_bytes
        system: System = growing.holding(point.stored, beds, weight, lambda share: told(share * filled))
    else:
        new = run.place / f"mesh-{secrets.token_hex(4)}"
        system = MeshSystem(new, True, run.tick, run.lease_ms, point.peers)

    def on_tick(event: dict[str, Any]) -> None:
        run.tick()
        told(filled + (1 - filled) * event["at_s"] / terms.seconds)

    found.measured.append(measure(system, point.workload, terms, on_tick))
    if isinstance(system, GrownSystem):
        found.grown.append(system.grown)


def _told(point: Point, found: Found, beds: int) -> dict[str, Any]:
    told = {
        "value": point.value,
        "workload": point.workload.name,
        "peers": point.peers,
        "report_bytes": point.report_bytes,
        "beds": beds,
        **summary(found.measured),
    }
    if found.grown:
        told |= {
            "stored": int(statistics.median(one.stored for one in found.grown)),
            "start_s": round(statistics.median(one.start_s for one in found.grown), 2),
            "disk_mib": short(statistics.median(one.disk_bytes for one in found.grown) / MIB),
        }
    return told


def _stage(axis: str, point: Point) -> str:
    return f"{axis} {point.value}"
