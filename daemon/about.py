"""What a peer says about itself and about the mesh: the answers to ``status`` and ``members``.

Touches nothing but the sizes of the files on disk. Must not know: sockets, requests. Keeps: every number is of the
moment it is asked for, none is remembered here.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import hfzmq
from hfzmq.access import AccessList
from hfzmq.config import Config, PeerAddress
from hfzmq.core.membership import Member
from hfzmq.core.replica import Replica
from hfzmq.daemon.beginning import others_here
from hfzmq.daemon.gate import Gate
from hfzmq.storage import Store, aside, walscan
from hfzmq.storage.directory import disk_free_bytes
from hfzmq.wire import members
from hfzmq.wire.access import told_access
from hfzmq.wire.same_settings import told_settings

UNANSWERING_LEASES = 5  # a leader sends to each member several times a lease


class About:
    """Reads off the parts of one daemon. ``clock_ms``: monotonic; ``wall_clock_ms``: Unix time, for people."""

    def __init__(
        self,
        config: Config,
        replica: Replica,
        store: Store,
        gate: Gate,
        counters: Counter[str],
        clock_ms: Callable[[], float],
        wall_clock_ms: Callable[[], int],
    ) -> None:
        self._config = config
        self._file = {peer.id: peer for peer in config.peers}
        self._replica = replica
        self._store = store
        self._gate = gate
        self._counters = counters
        self._clock_ms = clock_ms
        self._wall_clock_ms = wall_clock_ms
        self._started_ms = clock_ms()
        self._settings = told_settings(config)  # in force until the next start, whatever the file says by then
        self.in_force: Callable[[], AccessList] | None = None  # the keys; None where there are none
        self.fsync_ms = 0.0  # of the last commit
        self.log_ahead_ms: Callable[[], int] = lambda: 0  # the log's clock before this machine's
        self.scrubs: Callable[[], int] = lambda: 0  # how often the whole file was looked through for rot
        self.events: deque[tuple[int, str]] = deque(maxlen=20)  # what has happened, with wall clock milliseconds

    def staleness(self) -> dict[str, Any]:
        """Who answers a read, how old what it says may be (None where that cannot be known), up to where it knows that
        entries are committed, and the log's clock: how long ago a stamp in the answer was."""
        now, replica = self._clock_ms(), self._replica
        stale: int | None = None
        if replica.leading:
            quorum_age = now - replica.leading.followers.quorum_ms(now)
            stale = 0 if quorum_age < self._config.timing.lease_ms else int(quorum_age)
        elif replica.election.hears_leader(now) and replica.leader:
            stale = max(1, int(now - (replica.election.lease_until_ms - self._config.timing.lease_ms)))
        said = replica.liveness.last_of(replica.leader)
        return {
            "peer": replica.me,
            "stale_ms": stale,
            "commit": max(replica.commit, said[1].commit if said else 0),
            "log_now_ms": self._wall_clock_ms() + self.log_ahead_ms(),
        }

    def members_index(self) -> int:
        """How new the list of members is."""
        return self._replica.committed_members.index

    def members(self) -> dict[str, Any]:
        """What docs/protocol.md promises under ``members``."""
        replica = self._replica
        asking = replica.leading.changes.asking(self._clock_ms()) if replica.leading else ()
        waiting = [(member, last_ms / 1000) for member, _, last_ms in asking]
        told = {"index": self.members_index(), **members.told(replica.committed_members, waiting, self._where)}
        return told if self.in_force is None else {**told, **members.told_keys(self.in_force().keys_of_peers())}

    def keys(self) -> dict[str, Any]:
        """What docs/protocol.md promises under ``keys``."""
        return told_access(self.in_force() if self.in_force else AccessList(), self._replica.applied)

    def addresses(self) -> list[PeerAddress]:
        """Where the members are: the first peers as this machine's peers.yaml says, whoever joined later as it said."""
        return [self._where(one) for one in self._replica.membership.members]

    def other_peers(self) -> list[int]:
        """The ids of all members but this peer."""
        return [one.peer for one in self._replica.membership.members if one.peer != self._replica.me]

    def address_of(self, peer: int) -> PeerAddress | None:
        """Where a member is."""
        return next((address for address in self.addresses() if address.id == peer), None)

    def _where(self, member: Member) -> PeerAddress:
        return member.address if member.joined else self._file.get(member.peer, member.address)

    def refused_peers(self) -> list[int]:
        """Ids under which somebody speaks that is no member, and does not (or must not) ask to be one."""
        now, removed = self._clock_ms(), self._replica.membership.removed
        alive = self._replica.liveness.alive(now)
        heard = self._gate.strangers(now)
        return sorted(
            {life[0] for life, asks in heard.items() if life not in removed and (not asks or life[0] in alive)}
        )

    def replaced(self) -> list[int]:
        """Ids of voters that were lately heard with another disk than the one that they voted with."""
        voters = self._replica.membership.voters
        return sorted({peer for peer, _ in self._gate.strangers(self._clock_ms()) if peer in voters})

    def other_histories(self) -> list[int]:
        """Ids of peers that were lately heard with another history of this mesh: nothing of theirs is taken in."""
        return sorted(self._gate.other_histories(self._clock_ms()))

    def unanswering(self) -> list[int]:
        """Ids of members whose heartbeats this leader hears, and who have long answered nothing that it sent them: they
        fall behind, and look well. Who takes a snapshot in is excused."""
        now, leading = self._clock_ms(), self._replica.leading
        if leading is None:
            return []
        alive, since_ms = self._replica.liveness.alive(now), now - UNANSWERING_LEASES * self._config.timing.lease_ms
        progress = leading.followers.progress.items()
        return [peer for peer, one in progress if peer in alive and not one.pulls and one.acked_ms < since_ms]

    def status(self) -> dict[str, Any]:
        """What docs/protocol.md promises under ``status``."""
        now, replica = self._clock_ms(), self._replica
        hears = []
        for member in replica.membership.members:
            last = replica.liveness.last_of(member.peer)
            if last and member.peer != replica.me:
                at, beat = last
                age = int(now - at)
                hears.append([member.peer, age, beat.role, beat.term, beat.last, beat.applied, beat.state_hash.hex()])
        about_members = self.members()
        return {
            "id": replica.me,
            "mesh": self._config.mesh_name,
            "role": replica.role,
            "term": replica.term,
            "leader": replica.known_leader(now),
            "serves": replica.serves,
            "quorum": replica.liveness.hears_majority(now, replica.membership),
            "last_index": replica.log.last.index,
            "last_term": replica.log.last.term,
            "commit_index": replica.commit,
            "applied_index": replica.applied,
            "durable_index": replica.log.durable,
            "state_hash": replica.state_hash.hex(),
            "reports": self._store.reports_stored,
            "readings": self._store.readings_stored.by_status(),
            "alerts": self._store.readings_stored.by_category(),
            "version": hfzmq.__version__,
            "boot": self._store.identity.boot_no,
            "uptime_ms": int(now - self._started_ms),
            "fsync_ms": round(self.fsync_ms, 3),
            "now_ms": self._wall_clock_ms(),
            "log_ahead_ms": self.log_ahead_ms(),
            "db_bytes": self._store.size_bytes(),
            "wal_bytes": walscan.size_of(self._store.path),
            "disk_free_bytes": disk_free_bytes(self._store.path.parent),
            "files_aside": aside.count(self._store.path),
            "others_files": others_here(self._store),
            "hears": hears,
            "refused_peers": self.refused_peers(),
            "replaced": self.replaced(),
            "history": self._store.history.hex() or None,
            "other_histories": self.other_histories(),
            "unanswering": self.unanswering(),
            "differs": list(replica.agreement.differs),
            "counters": dict(self._counters),
            "events": [list(event) for event in self.events],
            "members_index": about_members.pop("index"),
            **about_members,
            "amnesia": self._store.amnesia,
            "incarnation": self._store.identity.incarnation.hex(),
            "scrubs": self.scrubs(),
            "settings": self._settings,
        }
