"""The numbers of a daemon in Prometheus's words: names, units and help in one place (docs/operations/monitoring.md).

Touches /proc of this process, when asked. Must not know: HTTP, the loop. Keeps: a registry of its own; no label holds
what a patient or a client chose, so that there are never more series than the code names; what is not known has no
sample rather than a wrong one.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import apsw
import zmq
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from hfzmq.core.contract import CANDIDATE, FOLLOWER, LEADER, PRECANDIDATE
from hfzmq.daemon.gauge import Gauge
from hfzmq.daemon.vitals import BOUNDS_S, Vitals

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ROLES = (FOLLOWER, PRECANDIDATE, CANDIDATE, LEADER)
PROC_TCP = ("/proc/self/net/tcp", "/proc/self/net/tcp6")
ESTABLISHED = "01"

PLAIN: tuple[tuple[str, str, Callable[[Gauge], float | int | None]], ...] = (
    ("hfzmq_term", "The term of this peer.", lambda g: g.term),
    ("hfzmq_leader_id", "Who leads, as far as this peer knows; 0: nobody is known to.", lambda g: g.leader),
    ("hfzmq_serves", "1 while this peer leads and takes reports in.", lambda g: g.serves),
    ("hfzmq_quorum", "1 while this peer and those that it hears are a majority.", lambda g: g.quorum),
    ("hfzmq_founded", "0 until the mesh has begun.", lambda g: g.founded),
    ("hfzmq_votes", "1 while this peer is a voter.", lambda g: g.votes),
    ("hfzmq_voters", "Members of the mesh that vote.", lambda g: g.voters),
    ("hfzmq_learners", "Members of the mesh that do not vote yet.", lambda g: g.learners),
    ("hfzmq_peers_heard", "Other members heard within a lease.", lambda g: g.heard),
    ("hfzmq_peers_other", "Other members.", lambda g: g.others),
    ("hfzmq_peers_refused", "Peers that are heard, and are no members.", lambda g: len(g.refused)),
    ("hfzmq_peers_differing", "Peers with another state at an equal applied index: a divergence.",
     lambda g: len(g.differs)),
    ("hfzmq_peers_other_history", "Peers with another history of this mesh: begun anew, and an old disk is back.",
     lambda g: len(g.other_histories)),
    ("hfzmq_log_last_index", "The last entry of this peer's log.", lambda g: g.last),
    ("hfzmq_log_commit_index", "The last entry known to be on a majority.", lambda g: g.commit),
    ("hfzmq_log_applied_index", "The last entry in this peer's tables.", lambda g: g.applied),
    ("hfzmq_log_durable_index", "The last entry on this peer's synced disk.", lambda g: g.durable),
    ("hfzmq_trails_leader_by", "Entries that the leader has and this peer has not applied.", lambda g: g.trails),
    ("hfzmq_reports_stored", "Risk reports in this peer's tables.", lambda g: g.reports),
    ("hfzmq_wal_bytes", "Pages in use of the write-ahead log of the database.", lambda g: g.wal_bytes),
    ("hfzmq_database_bytes", "The database file.", lambda g: g.database_bytes),
    ("hfzmq_disk_free_bytes", "Room on the data directory's disk.", lambda g: g.free_bytes),
    ("hfzmq_amnesia", "1 when this start has set damaged or lost files aside.", lambda g: g.amnesia is not None),
    ("hfzmq_log_clock_ahead_seconds", "How far the log's clock is ahead of this machine's: a leader's once was.",
     lambda g: g.log_ahead_ms / 1000),
    ("hfzmq_door_shut", "1 while no more clients are let in for want of descriptors.", lambda g: g.door_shut),
)  # fmt: skip


class Exposition(Collector):
    """What ``/metrics`` says of the daemon whose ``vitals`` these are. For any thread."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        self._client_port = vitals.client_port
        self._build = {
            "python": platform.python_version(),
            "libzmq": zmq.zmq_version(),
            "sqlite": apsw.sqlite_lib_version(),
        }

    def text(self) -> bytes:
        """All of it, in the text format that every Prometheus reads."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked of anybody before the first scrape."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        vitals = self._vitals
        yield GaugeMetricFamily(
            "hfzmq_turn_age_seconds", "How long ago a turn of the loop ended.", vitals.turn_age_ms() / 1000
        )
        yield GaugeMetricFamily(
            "hfzmq_disk_silent_seconds", "Since when the disk owes an answer.", vitals.writing_ms() / 1000
        )
        yield GaugeMetricFamily("hfzmq_taking_snapshot", "1 while a snapshot is taken in.", int(vitals.excused()))
        yield GaugeMetricFamily("hfzmq_stopping", "1 once this peer was asked to stop.", int(vitals.stopping))
        clients = client_sockets(self._client_port)
        if clients is not None:
            yield GaugeMetricFamily("hfzmq_client_sockets", "Connections at the clients' port.", clients)
        gauge = vitals.gauge
        if gauge is not None:
            yield from _of(gauge, self._build)


def _of(gauge: Gauge, build: dict[str, str]) -> Iterator[Metric]:
    yield InfoMetricFamily("hfzmq_build", "What runs here.", {"version": gauge.version, **build})
    yield InfoMetricFamily("hfzmq_peer", "Who runs here.", {"mesh": gauge.mesh, "peer": str(gauge.peer)})
    roles = [(role, int(role == gauge.role)) for role in ROLES]
    yield _labelled("hfzmq_role", "1 for the role that this peer has.", "role", roles)
    for name, what, value_of in PLAIN:
        value = value_of(gauge)
        if value is not None:
            yield GaugeMetricFamily(name, what, value)
    yield _labelled("hfzmq_readings_stored", "Heart rates in this peer's tables.", "status", gauge.readings)
    yield _labelled("hfzmq_alerts_stored", "Alerts of heart rates in its tables.", "category", gauge.alerts)
    yield _labelled(
        "hfzmq_alarms_open", "Alarms that are not over.", "cause", [(one.cause, one.open) for one in gauge.alarms]
    )
    yield _labelled(
        "hfzmq_alarms_unseen", "Alarms that nobody has acknowledged.", "cause",
        [(one.cause, one.unseen) for one in gauge.alarms],
    )  # fmt: skip
    now = time.time() + gauge.log_ahead_ms / 1000  # alarms have the log's stamps
    waiting = [(one.cause, max(0.0, now - one.unseen_since_ms / 1000) if one.unseen else 0.0) for one in gauge.alarms]
    yield _labelled("hfzmq_alarms_unseen_seconds", "How long the oldest of those has waited.", "cause", waiting)
    events = CounterMetricFamily("hfzmq_events", "What has happened since this start, by kind.", labels=["event"])
    for event, count in gauge.events:
        events.add_metric([event], count)
    yield events
    yield CounterMetricFamily("hfzmq_scrubs", "How often all of the file was looked through for rot.", gauge.scrubs)
    yield _syncs(gauge)


def _labelled(name: str, what: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(name, what, labels=[label])
    for key, value in values:
        family.add_metric([key], value)
    return family


def _syncs(gauge: Gauge) -> Metric:
    buckets, total = [], 0
    for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), gauge.syncs.counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return HistogramMetricFamily(
        "hfzmq_sync_seconds", "Transactions, each with one sync.", buckets, gauge.syncs.seconds
    )


def client_sockets(port: int) -> int | None:
    """Established connections at our ``port``; None where the kernel does not tell (not Linux)."""
    found = 0
    for path in PROC_TCP:
        try:
            lines = Path(path).read_text("ascii").splitlines()[1:]
        except OSError:
            if path == PROC_TCP[0]:
                return None
            continue
        here = f":{port:04X}"
        for line in lines:
            words = line.split(maxsplit=4)
            found += words[1].endswith(here) and words[3] == ESTABLISHED
    return found
