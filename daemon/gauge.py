"""What a daemon shows of itself to health checks and Prometheus: one immutable value, of one moment.

Touches the file system's counts of its disk, when asked to read. Must not know: HTTP, Prometheus. Keeps: made by the
loop's thread alone, read by any; no patient's id is in it.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from hfzmq.clinical.alarm.machine import Alarms
from hfzmq.clinical.alarm.types import CAUSES, NORMAL, UNSEEN
from hfzmq.core.replica import Replica
from hfzmq.storage import Store
from hfzmq.storage.checkpoint import PAGE_BYTES

Counts = tuple[tuple[str, int], ...]


class OpenAlarms(NamedTuple):
    """Of one cause: how many are not over, how many of these nobody has seen, since when the oldest of those (Unix ms,
    0: there is none)."""

    cause: str
    open: int
    unseen: int
    unseen_since_ms: int


class Syncs(NamedTuple):
    """Transactions, each with one sync: how many took at most ``BOUNDS_S`` (and, last, longer), and all of them."""

    counts: tuple[int, ...]
    seconds: float


class Gauge(NamedTuple):
    """All numbers of one daemon. Indexes are of the log; ``leader`` 0: none is known; ``trails``: entries that the
    leader has and this peer has not applied, None where no leader is heard; ``heard``: other members heard within a
    lease."""

    mesh: str
    peer: int
    version: str
    role: str
    term: int
    leader: int
    serves: bool
    quorum: bool
    last: int
    commit: int
    applied: int
    durable: int
    trails: int | None
    founded: bool
    votes: bool
    voters: int
    learners: int
    others: int
    heard: int
    reports: int
    readings: Counts
    alerts: Counts
    events: Counts
    syncs: Syncs
    wal_bytes: int
    database_bytes: int
    free_bytes: int | None
    alarms: tuple[OpenAlarms, ...]
    differs: tuple[int, ...]
    refused: tuple[int, ...]
    amnesia: str | None
    door_shut: bool
    scrubs: int
    holders: tuple[tuple[int, int], ...] = ()  # (peer, its last entry) of others that hold data
    replaced: tuple[int, ...] = ()  # voters that were heard with another disk than the one that they voted with
    other_histories: tuple[int, ...] = ()  # peers that were heard with another history of the mesh
    shut_out: tuple[tuple[int, str], ...] = ()  # (peer, why) of those that do not let this one in
    log_ahead_ms: int = 0  # the log's clock before this machine's
    reads: bool = True  # whether the thread that answers reads is there


def read(
    now_ms: float,
    status: dict[str, Any],
    replica: Replica,
    store: Store,
    alarms: tuple[OpenAlarms, ...],
    syncs: Syncs,
    door_shut: bool,
) -> Gauge:
    """The present moment. ``status``: what the peer says of itself over the wire."""
    membership = replica.membership
    alive = replica.liveness.alive(now_ms)
    others = [one.peer for one in membership.members if one.peer != replica.me]
    leader = int(status["leader"] or 0)
    trails: int | None = None
    if leader == replica.me:
        trails = replica.log.last.index - replica.applied
    elif leader and (last := replica.liveness.last_of(leader)):
        trails = max(0, last[1].last - replica.applied)
    return Gauge(
        mesh=status["mesh"],
        peer=replica.me,
        version=status["version"],
        role=status["role"],
        term=status["term"],
        leader=leader,
        serves=status["serves"],
        quorum=status["quorum"],
        last=status["last_index"],
        commit=status["commit_index"],
        applied=status["applied_index"],
        durable=status["durable_index"],
        trails=trails,
        founded=membership.founded,
        votes=replica.me in membership.voters,
        voters=len(membership.voters),
        learners=len(membership.learners),
        others=len(others),
        heard=sum(1 for peer in others if peer in alive),
        reports=status["reports"],
        readings=tuple(status["readings"].items()),
        alerts=tuple(status["alerts"].items()),
        events=tuple(sorted(status["counters"].items())),
        syncs=syncs,
        wal_bytes=store.wal_pages * PAGE_BYTES,
        database_bytes=status["db_bytes"],
        free_bytes=_free_bytes(store),
        alarms=alarms,
        differs=tuple(status["differs"]),
        refused=tuple(status["refused_peers"]),
        amnesia=status["amnesia"],
        door_shut=door_shut,
        scrubs=status["scrubs"],
        holders=tuple((row[0], row[4]) for row in status["hears"] if row[4]),
        replaced=tuple(status["replaced"]),
        other_histories=tuple(status["other_histories"]),
        log_ahead_ms=status["log_ahead_ms"],
    )


def open_alarms(alarms: Alarms) -> tuple[OpenAlarms, ...]:
    """Counted; every cause, in the order of CAUSES."""
    found = {cause: [0, 0, 0] for cause in CAUSES}
    for episode in alarms.episodes():
        if episode.state != NORMAL:
            count = found[episode.cause]
            count[0] += 1
            if episode.state in UNSEEN:
                count[1] += 1
                count[2] = min(count[2] or episode.raised_at_ms, episode.raised_at_ms)
    return tuple(OpenAlarms(cause, *count) for cause, count in found.items())


def _free_bytes(store: Store) -> int | None:
    try:
        disk = os.statvfs(store.path.parent)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize
