"""One replica on a bench: events go in by hand, effects come out, and its disk syncs when it is told to.

``take`` is one step of the core and leaves the disk alone; ``sync`` lets the disk finish; ``do`` is both. What is sent
is kept in ``outbox`` until ``sent`` takes it out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from random import Random
from typing import TypeVar

from hfzmq.config import Limits, PeerAddress, Timing
from hfzmq.core.contract import (
    Applied,
    Apply,
    Became,
    Effect,
    Event,
    Heard,
    Persist,
    Persisted,
    Proposal,
    Propose,
    Received,
    Reply,
    Send,
    Tick,
)
from hfzmq.core.log import Log
from hfzmq.core.membership import Member, Membership
from hfzmq.core.messages import AppendReply, AppendRequest, Heartbeat, Message, VoteReply, VoteRequest
from hfzmq.core.replica import Replica
from hfzmq.core.sessions import Session, SessionKey, Sessions
from hfzmq.core.types import BATCH, NOOP, START, Entry, HardState, Origin, Place, chained

TIMING = Timing(lease_ms=1000, heartbeat_ms=100, handover_settle_ms=2000)
LEASE = TIMING.lease_ms
NOBODY = HardState(0, 0)

Some = TypeVar("Some", bound=Effect)
Spoken = TypeVar("Spoken", bound=Message)


def member(peer: int, incarnation: bytes = b"", votes: bool = True) -> Member:
    """A peer as the tests know it: unless said otherwise a voter, and nobody ever lost a disk."""
    return Member(PeerAddress(peer, f"peer-{peer}", 7000, 7001, 7002), incarnation, votes)


def mesh_of(*voters: int) -> Membership:
    """A founded mesh of these voters."""
    return Membership(0, tuple(member(voter) for voter in voters))


class Bench:
    """A replica of ``me`` among ``voters``, at ``now`` (ms)."""

    def __init__(
        self,
        me: int = 1,
        voters: tuple[int, ...] = (1, 2, 3),
        *,
        hard_state: HardState = NOBODY,
        log: Sequence[Entry] = (),
        stored: dict[SessionKey, Session] | None = None,
        applied: int = 0,
        timing: Timing = TIMING,
        limits: Limits | None = None,
        seed: int = 1,
    ) -> None:
        self.now = 0.0
        self.replica = Replica(
            member(me),
            mesh_of(*voters),
            timing,
            limits or Limits(),
            Random(seed),
            hard_state,
            Log(log),
            Sessions(stored),
            applied,
            bytes(16),
            self.now,
        )
        self.outbox: list[Send] = []
        self.unsynced: list[Persist | Apply] = []
        self.others = tuple(voter for voter in voters if voter != me)

    # ------------------------------------------------------------ events

    def take(self, event: Event) -> list[Effect]:
        """One step; what it wants written waits in ``unsynced``."""
        effects = self.replica.step(self.now, event)
        self.outbox += only(Send, effects)
        self.unsynced += [effect for effect in effects if isinstance(effect, (Persist, Apply))]
        return effects

    def sync(self) -> list[Effect]:
        """The disk finishes everything, also what follows from it."""
        effects: list[Effect] = []
        while self.unsynced:
            effect = self.unsynced.pop(0)
            if isinstance(effect, Persist):
                effects += self.take(Persisted(effect.token))
            else:
                effects += self.take(Applied(effect.entries[-1].index, bytes(16)))
        return effects

    def do(self, event: Event) -> list[Effect]:
        """One step, and the disk finishes."""
        return self.take(event) + self.sync()

    def hear(self, sender: int, message: Message) -> list[Effect]:
        """A message comes in and the disk finishes."""
        return self.do(Received(sender, message))

    def beat(self, sender: int, heartbeat: Heartbeat) -> list[Effect]:
        """A heartbeat comes in."""
        return self.do(Heard(sender, heartbeat))

    def wait(self, duration_ms: float) -> list[Effect]:
        """Time passes at once; then one Tick."""
        self.now += duration_ms
        return self.do(Tick())

    def propose(self, *proposals: Proposal) -> list[Effect]:
        """Clients ask and the disk finishes."""
        return self.do(Propose(proposals))

    # ------------------------------------------------------------ what was sent

    def sent(self, kind: type[Spoken], to: int | None = None) -> list[Spoken]:
        """The messages of one kind since they were last asked for, in order; they leave the outbox."""
        found: list[Spoken] = []
        rest: list[Send] = []
        for effect in self.outbox:
            if isinstance(effect.message, kind) and to in (None, effect.to):
                found.append(effect.message)
            else:
                rest.append(effect)
        self.outbox = rest
        return found

    def said(self, kind: type[Spoken], to: int | None = None) -> Spoken:
        """The only message of one kind."""
        (message,) = self.sent(kind, to)
        return message

    # ------------------------------------------------------------ longer ways

    def campaign(self) -> int:
        """The lease runs out and a majority would vote: a candidate in a new term, which is returned."""
        self.wait(max(0.0, self.replica.election.campaign_at_ms(0) - self.now) + 1)
        term = self.replica.term + 1
        assert self.replica.role == "precandidate"
        for voter in self.others[: len(self.others) // 2 + 1]:
            self.hear(voter, VoteReply(term, True, True))
        assert self.replica.role == "candidate"
        return term

    def lead(self) -> list[Effect]:
        """Campaign and win; the no-op is on its own disk but on nobody else's."""
        term = self.campaign()
        effects: list[Effect] = []
        for voter in self.others[: (len(self.others) + 1) // 2]:
            effects += self.hear(voter, VoteReply(term, False, True))
        assert self.replica.role == "leader"
        return effects

    def answer(self, *followers: int) -> list[Effect]:
        """These followers take every append that was sent to them and answer at once, until nothing is left."""
        effects: list[Effect] = []
        while True:
            mail = [send for send in self.outbox if send.to in followers and isinstance(send.message, AppendRequest)]
            if not mail:
                return effects
            self.outbox = [send for send in self.outbox if send not in mail]
            for send in mail:
                request = send.message
                assert isinstance(request, AppendRequest)
                match = request.prev.index + len(request.entries)
                effects += self.hear(send.to, AppendReply(request.term, True, match, request.round))

    def serve(self) -> None:
        """Lead, with everybody caught up."""
        self.lead()
        self.answer(*self.others)
        assert self.replica.serves


def only(kind: type[Some], effects: Iterable[Effect]) -> list[Some]:
    """The effects of one kind."""
    return [effect for effect in effects if isinstance(effect, kind)]


def changes(effects: Iterable[Effect]) -> list[tuple[str, int, int]]:
    """(role, term, leader) of each Became."""
    return [(effect.role, effect.term, effect.leader) for effect in only(Became, effects)]


def statuses(effects: Iterable[Effect]) -> list[tuple[object, str]]:
    """(route, status) of each Reply."""
    return [(effect.route, effect.status) for effect in only(Reply, effects)]


def log_of(*terms: int) -> list[Entry]:
    """A log with an entry of each term; its bodies differ by their place."""
    entries: list[Entry] = []
    for term in terms:
        entries.append(chained(end_of(entries), term, NOOP, None, b"%d" % len(entries)))
    return entries


def end_of(entries: Sequence[Entry]) -> Place:
    """The place of the last entry."""
    return Place(entries[-1].index, entries[-1].term, entries[-1].chain) if entries else START


def append(
    term: int, entries: Sequence[Entry], after: int = 0, commit: int = 0, number: int = 1, upto: int | None = None
) -> AppendRequest:
    """What a leader with the log ``entries`` sends from ``after`` on, up to ``upto``."""
    return AppendRequest(term, end_of(entries[:after]), tuple(entries[after:upto]), commit, number)


def origin(seq: int, client: str = "bed-1", text: bytes = b"") -> Origin:
    """The identity of a request."""
    digest = hashlib.blake2b(text or b"%d" % seq, digest_size=16).digest()
    return Origin(client, hashlib.blake2b(client.encode(), digest_size=16).digest(), seq, digest)


def ask(seq: int, client: str = "bed-1", route: object = None, text: bytes = b"") -> Proposal:
    """A client's request; its route is (client, seq) unless given."""
    return Proposal(route if route is not None else (client, seq), origin(seq, client, text), text or b"%d" % seq)


def batch(before: Place, term: int, seq: int, client: str = "bed-1", text: bytes = b"") -> Entry:
    """The entry of a request."""
    return chained(before, term, BATCH, origin(seq, client, text), text or b"%d" % seq)


def vote(term: int, log: Sequence[Entry] = (), *, pre: bool = False, hand_over: bool = False) -> VoteRequest:
    """A request for a vote by somebody with that log."""
    return VoteRequest(term, end_of(log), pre, hand_over)


def heartbeat(term: int, role: str = "follower", **other: object) -> Heartbeat:
    """A heartbeat that says nothing else but that all is well."""
    values: dict[str, object] = {
        "leader": 0,
        "commit": 0,
        "applied": 0,
        "durable": 0,
        "last": 0,
        "fsync_age_ms": 0,
        "quorum_age_ms": 0,
        "hears": (1, 2, 3, 4, 5),
        "willing": True,
        "state_hash": bytes(16),
    }
    return Heartbeat(term=term, role=role, **(values | other))  # type: ignore[arg-type]
