"""What was measured, as lines for people.

Touches nothing. Must not know: how it was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hfzmq.cli.format import table, thousands

FIGURES = {
    "reports/s": "rate",
    "p50 us": "p50_us",
    "p99 us": "p99_us",
    "clients CPU us": "client_cpu_us",
    "peers CPU us": "peers_cpu_us",
    "peer MiB": "peer_rss_mib",
    "disk bytes": "disk_bytes_per_report",
}
LEGEND = "CPU and bytes on one disk: a report; of all clients, of all peers; MiB: memory of the largest peer"


def lines(name: str, told: Mapping[str, Any]) -> list[str]:
    """Of one section of the results file."""
    if name.startswith("failover"):
        return _failover(told)
    return _long(told) if name == "long" else _speed(told)


def _speed(told: Mapping[str, Any]) -> list[str]:
    rows: list[tuple[object, ...]] = []
    read_back = 0
    for workload in told["workloads"]:
        for system, figures in workload["systems"].items():
            rows.append((workload["name"], system, *(figures[key] for key in FIGURES.values())))
            read_back += figures["read_back"]
        for system, ratio in workload.get("ratio_to_sketch", {}).items():
            rows.append((workload["name"], f"{system} / sketch", *(ratio[key] for key in FIGURES.values())))
    return [
        table(("workload", "system", *FIGURES), rows),
        LEGEND,
        f"{thousands(read_back)} acknowledged reports, each read back from every disk exactly once",
    ]


def _failover(told: Mapping[str, Any]) -> list[str]:
    gap = told["gap_ms"]
    return [
        f"{told['kills']} times kill -9 of the leader, lease {told['lease_ms']} ms: "
        f"longest gap between acks p50 {gap['p50']:g} ms, max {gap['max']:g} ms",
        f"{thousands(told['read_back'])} acknowledged reports, each read back from every disk exactly once",
    ]


def _long(told: Mapping[str, Any]) -> list[str]:
    return [
        table(told["columns"], told["samples"]),
        f"{told['verdict']}" + "".join(f"\n  {fault}" for fault in told["not_flat"]),
        f"{thousands(told['read_back'])} acknowledged reports, each read back exactly once; "
        f"elections under load: {told['elections']}",
    ]
