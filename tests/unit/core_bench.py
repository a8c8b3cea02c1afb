"""One replica on a bench: events go in by hand, effects come out, and its disk syncs when it is told to.

``take`` is one step of the core and leaves the disk alone; ``sync`` lets the disk finish; ``do`` is both. What is sent
is kept in ``outbox`` until ``sent`` takes it out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from random import Random
from typing import TypeVar

from hfzmq.config import Limits, PeerAddress, Timing
from hfzmq.core.contract import (
    Applied,
    Apply,
    Became,
    Change,
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
from hfzmq.core.membership import Member, Membership, bootstrap
from hfzmq.core.messages import AppendReply, AppendRequest, Heartbeat, JoinRequest, Message, VoteReply, VoteRequest
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


def first_peers(*peers: int) -> Membership:
    """A mesh of these that is yet to be founded."""
    return bootstrap(member(peer).address for peer in peers)


class Bench:
    """A replica of ``me`` among ``voters`` (or of a ``membership``), at ``now`` (ms). ``lives``: the incarnations under
    which others speak; b"" for all that are not named."""

    def __init__(
        self,
        me: int = 1,
        voters: tuple[int, ...] = (1, 2, 3),
        *,
        hard_state: HardState = NOBODY,
        log: Sequence[Entry] = (),
        stored: dict[SessionKey, Session] | None = None,
        applied: int = 0,
        state_hash: bytes = bytes(16),
        timing: Timing = TIMING,
        limits: Limits | None = None,
        seed: int = 1,
        membership: Membership | None = None,
        incarnation: bytes = b"",
        base: Place = START,
        lives: dict[int, bytes] | None = None,
        boot: int = 0,
    ) -> None:
        self.now = 0.0
        self.lives = lives or {}
        self.state_hash = state_hash  # of the tables, whatever is applied
        self.replica = Replica(
            member(me, incarnation),
            membership or mesh_of(*voters),
            timing,
            limits or Limits(),
            Random(seed),
            hard_state,
            Log(log, base),
            Sessions(stored),
            applied,
            state_hash,
            self.now,
            boot,
        )
        self.outbox: list[Send] = []
        self.unsynced: list[Persist | Apply] = []
        self.others = tuple(voter for voter in (membership.voters if membership else voters) if voter != me)

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
                effects += self.take(Applied(effect.entries[-1].index, self.state_hash))
        return effects

    def do(self, event: Event) -> list[Effect]:
        """One step, and the disk finishes."""
        return self.take(event) + self.sync()

    def hear(self, sender: int, message: Message, life: bytes | None = None, boot: int = 0) -> list[Effect]:
        """A message comes in and the disk finishes. A vote that names nobody is for this very life."""
        if isinstance(message, VoteReply) and not message.candidate:
            message = replace(message, candidate=self.replica.election.incarnation)
        return self.do(Received(sender, message, self.lives.get(sender, b"") if life is None else life, boot))

    def beat(self, sender: int, heartbeat: Heartbeat, life: bytes | None = None, boot: int = 0) -> list[Effect]:
        """A heartbeat comes in."""
        return self.do(Heard(sender, heartbeat, self.lives.get(sender, b"") if life is None else life, boot))

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

    def would_vote(self, term: int, asked_ms: int | None = None) -> VoteReply:
        """What somebody says who would vote for this peer in ``term``, asked in its present round or ``asked_ms``."""
        election = self.replica.election
        return VoteReply(term, True, True, election.incarnation, election.asked_ms if asked_ms is None else asked_ms)

    # ------------------------------------------------------------ longer ways

    def campaign(self, boot: int = 0) -> int:
        """The lease runs out and a majority would vote (all, where a mesh is founded): a candidate in a new term, which
        is returned."""
        self.wait(max(0.0, self.replica.election.campaign_at_ms(0) - self.now) + 1)
        term = self.replica.term + 1
        if not self.others:
            return term
        assert self.replica.role == "precandidate"
        for voter in self.others[: self.replica.membership.majority]:
            self.hear(voter, self.would_vote(term), boot=boot)
        assert self.replica.role == "candidate"
        return term

    def lead(self) -> list[Effect]:
        """Campaign and win; the no-op is on its own disk but on nobody else's."""
        term = self.campaign()
        effects: list[Effect] = []
        for voter in self.others[: self.replica.membership.majority - 1]:
            effects += self.hear(voter, VoteReply(term, False, True, self.replica.election.incarnation))
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

    def live(self, duration_ms: float, *followers: int, step_ms: float = 100) -> list[Effect]:
        """Time passes while these followers of a leader are heard and answer everything."""
        effects: list[Effect] = []
        until = self.now + duration_ms
        while self.now < until:
            self.now = min(until, self.now + step_ms)
            for follower in followers:
                term = self.replica.term
                effects += self.beat(
                    follower, heartbeat(term, last=self.replica.log.last.index, leader=self.replica.me)
                )
            effects += self.do(Tick())
            effects += self.answer(*followers)
        return effects

    # ------------------------------------------------------------ members

    def change(self, action: str, peer: int, route: object = "operator") -> list[Effect]:
        """An operator asks, and the disk finishes."""
        return self.do(Change(route, action, peer))

    def ask_to_join(self, peer: int, life: bytes) -> list[Effect]:
        """A peer with this incarnation asks to join."""
        return self.hear(peer, JoinRequest(member(peer, life, votes=False)), life)

    def learner(self, peer: int, life: bytes) -> None:
        """A leader lets a peer in, and that has committed."""
        self.ask_to_join(peer, life)
        self.change("add", peer)
        self.lives[peer] = life
        self.answer(*self.others)
        assert peer in self.replica.committed_members.learners


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


def vote(
    term: int, log: Sequence[Entry] = (), *, pre: bool = False, hand_over: bool = False, founders: bytes = b""
) -> VoteRequest:
    """A request for a vote by somebody with that log."""
    return VoteRequest(term, end_of(log), pre, hand_over, founders)


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
