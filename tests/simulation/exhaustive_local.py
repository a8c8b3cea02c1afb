"""One peer of an exhaustive search: the real replica and its disk, how it is copied, and what makes two of them equal.

A local state is free of clocks: after each step the clocks are set so that no deadline but "the lease has run out" is
told apart. Requests to join are put off for ever: the members stay as they begin.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field, replace
from random import Random
from types import MethodType
from typing import Any, NamedTuple

from hfzmq.core.agreement import Agreement
from hfzmq.core.applying import Applying
from hfzmq.core.campaign import Campaign
from hfzmq.core.changes import Changes
from hfzmq.core.contract import Apply, Persist, Proposal, Reply
from hfzmq.core.election import Election
from hfzmq.core.handover import HandOver
from hfzmq.core.journal import Journal
from hfzmq.core.leadership import Leadership
from hfzmq.core.liveness import Liveness
from hfzmq.core.log import Log
from hfzmq.core.membership import Members
from hfzmq.core.memory import Memory
from hfzmq.core.messages import Message
from hfzmq.core.pending import Pending
from hfzmq.core.promises import Promises
from hfzmq.core.replica import Replica
from hfzmq.core.replication import Followers, Progress
from hfzmq.core.sessions import Sessions
from hfzmq.core.standing import Standing
from hfzmq.core.types import Origin
from hfzmq.settings import Timing
from tests.simulation.disk import Disk

LEASE_MS = 1000
TIMING = Timing(lease_ms=LEASE_MS, heartbeat_ms=100)
PARTS = (
    Replica, Election, Log, Promises, Sessions, Liveness, HandOver, Campaign, Applying, Leadership, Followers, Progress,
    Pending, Journal, Members, Standing, Agreement, Changes, Memory,
)  # fmt: skip
LIFE = b"the same of all "  # the incarnation: peers are told apart only by where they sit


class NoChance(Random):
    """Every jitter is the same: any order of timers is explored anyhow."""

    def uniform(self, a: float, b: float) -> float:
        """Always the most."""
        return b


CHANCE = NoChance(0)


@dataclass
class Local:
    """One peer, seen from itself, with its clock."""

    replica: Replica
    disk: Disk
    writes: tuple[Persist | Apply, ...] = ()
    now: float = 0.0
    sends: list[tuple[int, Message]] = field(default_factory=list)  # of the last step: (1 or 2 seats on, message)
    acks: list[Reply] = field(default_factory=list)  # of the last step
    led: int = 0  # the term that the last step began to lead
    wrong: str = ""


class Facts(NamedTuple):
    """What the search wants to know of a local state."""

    term: int
    role: str
    expired: bool
    writes: bool
    disk_term: int
    commit: int
    log: tuple[tuple[int, bytes], ...]  # (term, chain) of each entry
    disk_log: tuple[tuple[int, bytes], ...]


class Done(NamedTuple):
    """What a local step leads to."""

    local: int
    sends: tuple[tuple[int, int], ...]
    acks: tuple[tuple[int, int, int], ...]  # (request, index, term)
    led: int
    wrong: str


def request(number: int) -> Proposal:
    """What the client ``number`` asks, always the same."""
    return Proposal(number, Origin(f"c{number}", b"e" * 16, 1, bytes([number]) * 16), b"%d" % number)


def copied(value: Any, known: dict[int, Any]) -> Any:
    """A clone of a part of the core: what may change is copied, what is frozen is shared."""
    if isinstance(value, PARTS):
        if id(value) not in known:
            clone = known[id(value)] = object.__new__(type(value))
            names = Progress.__slots__ if isinstance(value, Progress) else value.__dict__
            for name in names:
                setattr(clone, name, copied(getattr(value, name), known))
        return known[id(value)]
    if isinstance(value, OrderedDict):
        return value.copy()
    if isinstance(value, dict):
        return {key: copied(one, known) for key, one in value.items()}
    if isinstance(value, list):
        return [copied(one, known) for one in value]
    if isinstance(value, (set, deque)):
        return type(value)(value)
    if isinstance(value, MethodType):
        return MethodType(value.__func__, copied(value.__self__, known))
    return value


def settle(replica: Replica, now: float) -> None:
    """Forget how long ago things were, but whether the lease has run out."""
    election, promises, standing = replica.election, replica._promises, replica._standing
    standing._ask_at_ms, standing._heeded_ms = float("inf"), now
    election.asked_ms = 0
    if election.lease_until_ms <= now:
        election.lease_until_ms = now
    else:
        election.lease_until_ms = now + LEASE_MS
    promises.synced_ms = promises._waiting_since_ms = now
    if replica.leading:
        for progress in replica.leading.followers.progress.values():
            progress.acked_ms = now
            progress.sent_ms = max(progress.sent_ms, now - TIMING.heartbeat_ms)


def key_of(local: Local) -> Any:
    """Everything that can ever matter, free of clocks and of absolute tokens."""
    replica, disk = local.replica, local.disk
    election, promises, log, applying = replica.election, replica._promises, replica.log, replica._applying
    assert not replica.liveness._last
    assert replica.hand_over.transfer is None
    token = promises._token
    leads: Any = None
    if replica.leading:
        leading, pending = replica.leading, replica.leading._pending
        followers = leading.followers
        leads = (
            leading._noop, followers.round, tuple(followers._round_sent_ms),
            tuple(
                (peer, p.match, p.next, p.probing, tuple(p.inflight), p.refused_next, p.sent_ms - local.now,
                 p.acked_round)
                for peer, p in followers.progress.items()
            ),
            tuple((at, tuple(waiting)) for at, waiting in pending._waiting.items()), tuple(pending._queued),
            pending._uncommitted_bytes, leading._round_wanted, leading._forced_round, tuple(pending._unconfirmed),
        )  # fmt: skip
    return (
        election.role, election.term, election.vote, election.leader, election.hand_over, election._voted_for,
        tuple(sorted(election.grants)),
        election.lease_until_ms <= local.now, replica.commit, applying.index, applying.handed_out, applying._repeats,
        tuple(entry.chain for entry in log.after(0, 1 << 30)), log.durable,
        tuple((number - token, upto) for number, upto in log._pending),
        promises._synced - token, promises._written,
        tuple((number - token, to, message) for number, to, message in promises._held),
        leads, tuple(sorted(replica.sessions._stored.items())), tuple(sorted(replica.sessions._pending.items())),
        tuple(replace(one, token=one.token - token) if isinstance(one, Persist) else one for one in local.writes),
        disk.hard_state, tuple(entry.chain for entry in disk.log), disk.applied, disk.state_hash, tuple(disk.rows),
    )  # fmt: skip
