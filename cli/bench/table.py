"""What was measured, as lines for people.

Touches nothing. Must not know: how it was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from hfzmq.cli.bench.compare import short
from hfzmq.cli.format import table, thousands

FIGURES = {
    "reports/s": "rate",
    "p50 ms": "p50_us",
    "p99 ms": "p99_us",
    "clients CPU us": "client_cpu_us",
    "peers CPU us": "peers_cpu_us",
    "peer MiB": "peer_rss_mib",
    "disk bytes": "disk_bytes_per_report",
}
LEGEND = (
    "p50, p99: how long a request waits for its answer, at 8 x 100 one of 100 reports; CPU us: of one report, all "
    "clients together, all peers together; peer MiB: memory of the largest peer; disk bytes: of one report, on one "
    "peer's disk"
)
RATIO_LEGEND = "In a row '/ sketch' more than 1 is better for reports/s, and worse in all other columns"
GROWTH_FIGURES = {
    "reports/s": "rate",
    "p50 ms": "p50_us",
    "p99 ms": "p99_us",
    "leader CPU us": "leader_cpu_us",
    "peers CPU us": "peers_cpu_us",
    "peer MiB": "peer_rss_mib",
    "disk bytes": "disk_bytes_per_report",
}
STORED_FIGURES = {"stored before": "stored", "disk MiB": "disk_mib", "start s": "start_s"}
GROWTH_LEGEND = (
    "p50, p99: how long a request waits for its answer; CPU us: of one report, of the leader, of all peers together; "
    "peer MiB, disk MiB: memory and folder of the largest peer; disk bytes: of one report, on one peer's disk; start "
    "s: until a peer that was stopped answers again"
)
AXIS_HEADS = {"peers": "peers", "clients": "clients", "bytes": "bytes a report", "stored": "reports stored"}


class GrowthTable(NamedTuple):
    """The table of one axis."""

    heads: list[str]
    rows: list[list[Any]]
    read_back: int


def growth_tables(told: Mapping[str, Any]) -> Iterator[tuple[str, GrowthTable]]:
    """Of each axis that was measured, by its name."""
    for axis, head in AXIS_HEADS.items():
        if axis in told:
            points = told[axis]["points"]
            figures = GROWTH_FIGURES | (STORED_FIGURES if axis == "stored" else {})
            rows = [[one["value"], one["workload"], *cells(one, figures)] for one in points]
            yield axis, GrowthTable([head, "workload", *figures], rows, sum(one["read_back"] for one in points))


def cells(told: Mapping[str, Any], figures: Mapping[str, str]) -> list[Any]:
    """What stands under the heads ``figures``: as it was measured, waits in ms."""
    return [short(told[key] / 1000) if head.endswith(" ms") else told[key] for head, key in figures.items()]


def lines(name: str, told: Mapping[str, Any]) -> list[str]:
    """Of one section of the results file."""
    if name.startswith("failover"):
        return _failover(told)
    if name == "growth":
        return _growth(told)
    return _long(told) if name == "long" else _speed(told)


def _speed(told: Mapping[str, Any]) -> list[str]:
    rows: list[tuple[object, ...]] = []
    has_ratios = False
    for workload in told["workloads"]:
        for system, figures in workload["systems"].items():
            rows.append((workload["name"], system, *cells(figures, FIGURES)))
        for system, ratio in workload.get("ratio_to_sketch", {}).items():
            rows.append((workload["name"], f"{system} / sketch", *(ratio[key] for key in FIGURES.values())))
            has_ratios = True
    return [
        table(("workload", "system", *FIGURES), rows),
        LEGEND + f". {RATIO_LEGEND}" * has_ratios,
        f"acknowledged reports, each read back from every disk exactly once: {counted_back(told)}",
    ]


def counted_back(told: Mapping[str, Any]) -> str:
    """How many reports of each system were read back, in words."""
    found: dict[str, int] = {}
    for workload in told["workloads"]:
        for system, figures in workload["systems"].items():
            found[system] = found.get(system, 0) + figures["read_back"]
    return ", ".join(f"{thousands(count)} of {system}" for system, count in found.items())


def _failover(told: Mapping[str, Any]) -> list[str]:
    gap = told["gap_ms"]
    return [
        f"{told['kills']} times kill -9 of the leader, lease {told['lease_ms']} ms: "
        f"longest gap between acks p50 {gap['p50']:g} ms, max {gap['max']:g} ms",
        f"{thousands(told['read_back'])} acknowledged reports, each read back from every disk exactly once",
    ]


def _growth(told: Mapping[str, Any]) -> list[str]:
    found = [grown for _, grown in growth_tables(told)]
    read_back = sum(one.read_back for one in found)
    return [
        *(table(one.heads, one.rows) + "\n" for one in found),
        GROWTH_LEGEND,
        f"{thousands(read_back)} acknowledged reports, each read back from every disk exactly once",
    ]


def minutes(told: Mapping[str, float]) -> str:
    """How long a long run was, and how long it was to be where that differs."""
    lasted, asked = told["seconds"] / 60, told.get("asked_s", told["seconds"]) / 60
    return f"{lasted:.3g} minutes" + f" (ended early, {asked:.3g} were asked for)" * (lasted < asked)


def _long(told: Mapping[str, Any]) -> list[str]:
    return [
        table(told["columns"], told["samples"]),
        f"{minutes(told)}: {told['verdict']}" + "".join(f"\n  {fault}" for fault in told["not_flat"]),
        f"{thousands(told['read_back'])} acknowledged reports, each read back exactly once; "
        f"elections under load: {told['elections']}",
    ]
