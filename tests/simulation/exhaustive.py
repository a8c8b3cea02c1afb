"""Small scope, exhausted: every order of everything for three peers, on the real core.

    python -m tests.simulation.exhaustive --terms 2 --entries 1 --crashes 1 --seconds 60

A state is three peers (replica, disk, writes under way), the messages in flight and the record of what was led and
committed. A transition is one of: a message is delivered (or delivered and kept: a duplicate), the first write of a
peer is synced, a lease runs out, a campaign begins, a leader sends keep-alives, a leader gives up for want of a quorum,
a client asks, a peer crashes and restarts without what was not synced. A message that is never delivered is lost, so
loss needs no transition.

Time is abstracted away: after each step a peer's clocks are set so that no deadline but "the lease has run out" is told
apart; any peer's timer may fire at any time, however its clock runs. That is more than real time allows.
Left out: heartbeats (hints), so also the stagger by id and the hand-over; a campaign's repeated requests within its
round (a duplicate stands for one).

How it is fast: what one peer does with one event depends on that peer alone, so it is run on the real ``Replica`` once
and remembered; a state is a handful of small numbers. Peers are told apart only by where they sit (no heartbeats, no
lower ids), so the six renamings of a state count as one. Messages that no future of their receiver can ever heed are
taken out.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from types import MethodType
from typing import Any, NamedTuple

import click

from hfzmq.config import Limits, Timing
from hfzmq.core.applying import Applying
from hfzmq.core.campaign import Campaign
from hfzmq.core.contract import (
    ACK,
    CANDIDATE,
    LEADER,
    Applied,
    Apply,
    Became,
    Effect,
    Event,
    Persist,
    Persisted,
    Proposal,
    Propose,
    Received,
    Reply,
    Send,
    Tick,
)
from hfzmq.core.election import Election
from hfzmq.core.handover import HandOver
from hfzmq.core.leadership import Leadership
from hfzmq.core.liveness import Liveness
from hfzmq.core.log import Log
from hfzmq.core.messages import AppendReply, AppendRequest, Message, TimeoutNow, VoteReply, VoteRequest
from hfzmq.core.pending import Pending
from hfzmq.core.promises import Promises
from hfzmq.core.replica import Replica
from hfzmq.core.replication import Followers, Progress
from hfzmq.core.sessions import Sessions
from hfzmq.core.types import NOOP, START, HardState, Membership, Origin, chained
from tests.simulation.peer import Disk

PEERS = 3
ME, VOTERS = 1, (1, 2, 3)  # every peer sees itself as 1, the next one as 2 and the one before as 3
LEASE_MS = 1000
TIMING = Timing(lease_ms=LEASE_MS, heartbeat_ms=100)
PARTS = (
    Replica, Election, Log, Promises, Sessions, Liveness, HandOver, Campaign, Applying, Leadership, Followers, Progress,
    Pending,
)  # fmt: skip


class Scope(NamedTuple):
    """The bounds. All counts are of the whole mesh, over the whole of a run."""

    terms: int = 2  # nobody campaigns beyond this term
    entries: int = 1  # requests of clients, beside the no-op of each term
    asks: int = 1  # how often clients ask (more than entries: a request comes again)
    campaigns: int = 2  # rounds of pre-votes
    beats: int = 0  # keep-alives
    crashes: int = 0
    doubles: int = 0  # messages delivered twice
    begun: bool = False  # term 1 is over: all voted for peer 1, whose no-op is on its own disk alone


class Left(NamedTuple):
    """What of the scope is left."""

    asked: tuple[int, ...]
    asks: int
    campaigns: int
    beats: int
    crashes: int
    doubles: int


class State(NamedTuple):
    """Small numbers: the peers' local states, flights, who led each term (-1: nobody), the committed chains."""

    peers: tuple[int, ...]
    flights: tuple[int, ...]  # (message * 9 + source * 3 + target), rising
    led: tuple[int, ...]
    committed: tuple[bytes, ...]
    left: Left


Move = tuple[Any, ...]  # (kind, peer, ...)


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
    if isinstance(value, dict):
        return {key: copied(one, known) for key, one in value.items()}
    if isinstance(value, (list, set, deque)):
        return type(value)(value)
    if isinstance(value, MethodType):
        return MethodType(value.__func__, copied(value.__self__, known))
    return value


class Machine:
    """Local states and local steps, each run on the real core once."""

    def __init__(self) -> None:
        self._ids: dict[Any, int] = {}
        self._locals: list[Local] = []
        self.facts: list[Facts] = []
        self._mirrors: dict[int, int] = {}
        self._done: dict[tuple[int, Move], Done] = {}
        self.messages: list[Message] = []
        self._message_ids: dict[Message, int] = {}
        self.start = self._intern(self._born(Disk()))
        self._mirrors[self.start] = self.start

    # ------------------------------------------------------------ the door

    def begun(self) -> tuple[int, int, int]:
        """The peers after a term 1 in which all voted for the first, whose no-op reached nobody."""
        noop = chained(START, 1, NOOP, None, b"")
        first = self._intern(self._born(Disk(HardState(1, ME), [noop])))
        second, third = (self._intern(self._born(Disk(HardState(1, vote)))) for vote in (3, 2))
        self._mirrors.update({first: first, second: third, third: second})
        return first, second, third

    def step(self, local: int, move: Move) -> Done:
        """What a peer does; remembered. Its mirror image is made along with it."""
        done = self._done.get((local, move))
        if done is None:
            done = self._run(local, move)
            image = self._run(self._mirrors[local], _mirrored(move))
            self._mirrors.setdefault(done.local, image.local)
            self._mirrors.setdefault(image.local, done.local)
        return done

    def mirror(self, local: int) -> int:
        """The local state with its two neighbours exchanged."""
        return self._mirrors[local]

    # ------------------------------------------------------------ steps on the real core

    def _run(self, local: int, move: Move) -> Done:
        if (local, move) in self._done:
            return self._done[local, move]
        before = self._locals[local]
        disk = before.disk
        if move[0] in ("sync", "crash"):
            disk = Disk(disk.hard_state, list(disk.log), disk.applied, disk.state_hash, dict(disk.sessions),
                        list(disk.rows))  # fmt: skip
        if move[0] == "crash":
            after = self._born(disk)
        else:
            after = Local(copied(before.replica, {}), disk, before.writes, before.now)
            try:
                self._act(after, move)
            except AssertionError as error:
                after.wrong = f"the core stops: {error}"
        if after.replica.term < before.disk.hard_state.term:
            after.wrong = "I6 the term goes back"
        if move[0] != "crash" and (
            after.replica.commit < before.replica.commit or after.replica.applied < before.replica.applied
        ):
            after.wrong = "I6 commit or applied goes back"
        done = Done(
            self._intern(after),
            tuple((seats, self._message(message)) for seats, message in after.sends),
            tuple((reply.route, reply.index, reply.term) for reply in after.acks),
            after.led,
            after.wrong,
        )
        self._done[local, move] = done
        return done

    def _born(self, disk: Disk) -> Local:
        local = Local(
            Replica(ME, Membership(0, VOTERS), TIMING, Limits(), CHANCE, disk.hard_state, Log(disk.log),
                    Sessions(disk.sessions), disk.applied, disk.state_hash, 0.0),
            disk,
        )  # fmt: skip
        self._take(local, Tick())
        return local

    def _act(self, local: Local, move: Move) -> None:
        kind, election = move[0], local.replica.election
        if kind == "take":
            self._take(local, Received(ME + move[1], self.messages[move[2]]))
        elif kind == "ask":
            self._take(local, Propose((request(move[1]),)))
        elif kind == "sync":
            self._sync(local)
        else:
            if kind == "expire":
                local.now = election.lease_until_ms
            elif kind == "campaign":
                local.now = election.campaign_at_ms(0)
            elif kind == "beat":
                local.now += TIMING.heartbeat_ms
            elif kind == "give up":
                local.now += LEASE_MS
            else:
                raise ValueError(kind)
            self._take(local, Tick())

    def _sync(self, local: Local) -> None:
        effect, local.writes = local.writes[0], local.writes[1:]
        disk = local.disk
        before = disk.hard_state
        if isinstance(effect, Persist) and effect.truncate_from is not None and effect.truncate_from <= disk.applied:
            local.wrong = "I6 an applied entry is dropped"
        disk.write(effect)
        after = disk.hard_state
        if after.term < before.term:
            local.wrong = "I6 the term goes back on disk"
        if before.vote and after.term == before.term and after.vote != before.vote:
            local.wrong = f"I2 two votes in term {after.term}"
        stored = [(key, seq) for key, seq, _ in disk.rows]
        if len(set(stored)) != len(stored):
            local.wrong = "I4 a request is stored twice"
        done = Persisted(effect.token) if isinstance(effect, Persist) else Applied(disk.applied, disk.state_hash)
        self._take(local, done)

    def _take(self, local: Local, event: Event) -> None:
        for effect in local.replica.step(local.now, event):
            self._carry_out(local, effect)
        _settle(local.replica, local.now)

    def _carry_out(self, local: Local, effect: Effect) -> None:
        disk = local.disk
        if isinstance(effect, Send):
            local.sends.append((effect.to - ME, effect.message))
            local.wrong = local.wrong or _promised_too_much(disk, effect)
        elif isinstance(effect, (Persist, Apply)):
            local.writes += (effect,)
        elif isinstance(effect, Reply) and effect.status == ACK:
            local.acks.append(effect)
        elif isinstance(effect, Became) and effect.role == LEADER:
            local.led = effect.term

    # ------------------------------------------------------------ names for what is equal

    def _message(self, message: Message) -> int:
        number = self._message_ids.setdefault(message, len(self.messages))
        if number == len(self.messages):
            self.messages.append(message)
        return number

    def _intern(self, local: Local) -> int:
        key = _key(local)
        number = self._ids.setdefault(key, len(self._locals))
        if number == len(self._locals):
            replica, disk = local.replica, local.disk
            self._locals.append(replace(local, sends=[], acks=[], led=0, wrong=""))
            self.facts.append(
                Facts(
                    replica.term, replica.role, replica.election.lease_until_ms <= local.now, bool(local.writes),
                    disk.hard_state.term, replica.commit,
                    tuple((entry.term, entry.chain) for entry in replica.log.after(0, 1 << 30)),
                    tuple((entry.term, entry.chain) for entry in disk.log),
                )
            )  # fmt: skip
        return number


def _promised_too_much(disk: Disk, effect: Send) -> str:
    """What leaves must be on the sender's disk."""
    message = effect.message
    if isinstance(message, AppendReply):
        if message.accepted and message.match > len(disk.log):
            return f"I3 append {message.match} is acknowledged with {len(disk.log)} on disk"
        if message.term > disk.hard_state.term:
            return f"I3 an answer in term {message.term} before it is on disk"
    elif isinstance(message, VoteReply) and message.granted and not message.pre:
        if disk.hard_state != HardState(message.term, effect.to):
            return f"I2 a vote in term {message.term} is given that is not on disk"
    elif isinstance(message, VoteRequest) and not message.pre and disk.hard_state.vote != ME:
        return "I2 a campaign before one's own vote is on disk"
    return ""


def _settle(replica: Replica, now: float) -> None:
    """Forget how long ago things were, but whether the lease has run out."""
    election, promises = replica.election, replica._promises
    if election.lease_until_ms <= now:
        election.lease_until_ms = now
    else:
        election.lease_until_ms = now + LEASE_MS
    promises.synced_ms = promises._waiting_since_ms = now
    if replica.leading:
        for progress in replica.leading.followers.progress.values():
            progress.acked_ms = now
            progress.sent_ms = max(progress.sent_ms, now - TIMING.heartbeat_ms)


def _key(local: Local) -> Any:
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
        election.role, election.term, election.vote, election.leader, election.hand_over, frozenset(election._grants),
        election.lease_until_ms <= local.now, replica.commit, applying.index, applying.handed_out, applying._repeats,
        tuple(entry.chain for entry in log.after(0, 1 << 30)), log.durable,
        tuple((number - token, upto) for number, upto in log._pending),
        promises._synced - token, promises._written,
        tuple((number - token, to, message) for number, to, message in promises._held),
        leads, tuple(sorted(replica.sessions._stored.items())), tuple(sorted(replica.sessions._pending.items())),
        tuple(replace(one, token=one.token - token) if isinstance(one, Persist) else one for one in local.writes),
        disk.hard_state, tuple(entry.chain for entry in disk.log), disk.applied, disk.state_hash, tuple(disk.rows),
    )  # fmt: skip


def _mirrored(move: Move) -> Move:
    return ("take", PEERS - move[1], move[2]) if move[0] == "take" else move


# A renaming: (seats turned by, mirrored). Seat i becomes (i + turn) or (turn - i).
RENAMINGS = tuple((turn, mirrored) for mirrored in (False, True) for turn in range(PEERS))
SEATS = {(t, m): tuple((t - i if m else i + t) % PEERS for i in range(PEERS)) for t, m in RENAMINGS}
LINKS = {
    name: tuple(seats[link // PEERS] * PEERS + seats[link % PEERS] for link in range(PEERS * PEERS))
    for name, seats in SEATS.items()
}


@dataclass
class Result:
    """What a search saw. ``frontier`` is how many states were seen but not gone on from: 0 means exhausted."""

    states: int
    moves: int
    depth: int
    frontier: int
    locals: int
    seconds: float
    violation: str = ""
    story: tuple[str, ...] = ()
    acked: int = 0  # states in which a request was acknowledged
    led: int = 0  # the latest term that had a leader

    def line(self) -> str:
        """One line for a person."""
        end = "exhausted" if not self.frontier else f"NOT exhausted, {self.frontier:,} states wait"
        return (
            f"states {self.states:,}  moves {self.moves:,}  depth {self.depth}  peers' states {self.locals:,}  "
            f"acks {self.acked:,}  terms led {self.led}  {self.seconds:.1f} s  {end}  "
            f"{self.violation or 'no violation'}"
        )


class Search:
    """Breadth first, so that the first story of a violation is a shortest one; or depth first."""

    def __init__(self, scope: Scope, symmetric: bool = True, depth_first: bool = False) -> None:
        self.scope = scope
        self.machine = Machine()
        self._renamings = RENAMINGS if symmetric else RENAMINGS[:1]
        self._depth_first = depth_first
        self._acked = 0
        self._dead: dict[tuple[int, int, int], bool] = {}

    def run(self, seconds: float = 1e9) -> Result:
        """Go on until nothing is left, time is over or an invariant is broken."""
        gc.disable()  # millions of tuples that stay: looking through them again and again is most of the time
        try:
            return self._run(seconds)
        finally:
            gc.enable()

    def _run(self, seconds: float) -> Result:
        began = time.monotonic()
        scope = self.scope
        left = Left(
            (0,) * scope.entries, scope.asks, scope.campaigns, scope.beats, scope.crashes, scope.doubles
        )  # fmt: skip
        peers, led_before = (self.machine.start,) * PEERS, (-1,) * (scope.terms + 1)
        if scope.begun:
            peers, led_before = self.machine.begun(), (-1, 0, *led_before[2:])
        first = State(peers, (), led_before, (), left)
        parents: dict[State, tuple[State, Move, tuple[int, bool]] | None] = {first: None}
        waiting: deque[tuple[State, int]] = deque([(first, 0)])
        moves = depth = led = 0
        violation = ""
        story: tuple[str, ...] = ()
        while waiting and not violation:
            state, deep = waiting.pop() if self._depth_first else waiting.popleft()
            if moves % 64 == 0 and time.monotonic() - began > seconds:
                waiting.append((state, deep))
                break
            depth = max(depth, deep)
            for move in self.moves(state):
                moves += 1
                if self._is_idle(state, move):
                    continue
                after, wrong = self.after(state, move)
                if wrong:
                    violation, story = wrong, self._story(parents, state, move)
                    break
                named, renaming = self.canonical(after)
                if named not in parents:
                    parents[named] = (state, move, renaming)
                    waiting.append((named, deep + 1))
                    led = max(led, max((term for term, who in enumerate(named.led) if who >= 0), default=0))
        return Result(
            len(parents), moves, depth, len(waiting), len(self.machine.facts), time.monotonic() - began, violation,
            story, self._acked, led,
        )  # fmt: skip

    # ------------------------------------------------------------ moves

    def moves(self, state: State) -> Iterator[Move]:
        """All that may happen next."""
        scope, left = self.scope, state.left
        for flight in dict.fromkeys(state.flights):
            message, link = divmod(flight, 9)
            yield ("take", link % 3, link // 3, message, flight)
            if left.doubles:
                yield ("take twice", link % 3, link // 3, message, flight)
        for seat in range(PEERS):
            facts = self.machine.facts[state.peers[seat]]
            if facts.writes:
                yield ("sync", seat)
            if facts.role == LEADER:
                yield ("give up", seat)
                if left.beats:
                    yield ("beat", seat)
                if left.asks:
                    yield from (("ask", seat, number) for number in range(scope.entries))
            elif facts.role == "follower" and not facts.expired:
                yield ("expire", seat)
            elif left.campaigns and facts.term < scope.terms:
                yield ("campaign", seat)
            if left.crashes:
                yield ("crash", seat)

    def _is_idle(self, state: State, move: Move) -> bool:
        """Whether a peer does nothing about a message: as good as never delivered."""
        if move[0] not in ("take", "take twice"):
            return False
        seat = move[1]
        done = self.machine.step(state.peers[seat], ("take", (move[2] - seat) % PEERS, move[3]))
        return done.local == state.peers[seat] and not done.sends and not done.wrong

    def after(self, state: State, move: Move) -> tuple[State, str]:
        """The state that a move leads to, and what is wrong with it."""
        kind, seat = move[0], move[1]
        flights, left = list(state.flights), state.left
        local: Move = (kind,)
        if kind in ("take", "take twice"):
            local = ("take", (move[2] - seat) % PEERS, move[3])
            if kind == "take":
                flights.remove(move[4])
            else:
                left = left._replace(doubles=left.doubles - 1)
        elif kind == "ask":
            local = ("ask", move[2])
            asked = tuple(n + (number == move[2]) for number, n in enumerate(left.asked))
            left = left._replace(asks=left.asks - 1, asked=asked)
        elif kind in ("campaign", "beat", "crash"):
            name = {"campaign": "campaigns", "beat": "beats", "crash": "crashes"}[kind]
            left = left._replace(**{name: getattr(left, name) - 1})
        done = self.machine.step(state.peers[seat], local)
        peers = (*state.peers[:seat], done.local, *state.peers[seat + 1 :])
        flights += [message * 9 + seat * 3 + (seat + seats) % PEERS for seats, message in done.sends]
        led, committed, wrong = self._judge(state, peers, seat, done)
        kept = sorted(flight for flight in flights if not self._is_dead(peers, flight))
        return State(peers, tuple(kept), led, committed, left), wrong

    def _judge(
        self, state: State, peers: tuple[int, ...], seat: int, done: Done
    ) -> tuple[tuple[int, ...], tuple[bytes, ...], str]:
        """The rules of ``invariants.Invariants`` that look at more than one peer."""
        wrong, led, committed = done.wrong, state.led, state.committed
        facts = self.machine.facts
        mine = facts[done.local]
        if mine.commit > len(committed):
            for index in range(len(committed), mine.commit):
                entry = mine.log[index]
                holders = sum(1 for peer in peers if facts[peer].disk_log[index : index + 1] == (entry,))
                if holders <= PEERS // 2:
                    wrong = wrong or f"I3 entry {index + 1} is committed and on the disks of {holders}"
            committed = committed + tuple(chain for _, chain in mine.log[len(committed) : mine.commit])
        if any(chain != kept for (_, chain), kept in zip(mine.log[: mine.commit], committed, strict=False)):
            wrong = wrong or "I5 another entry is committed"
        if done.led:
            if led[done.led] not in (-1, seat):
                wrong = wrong or f"I2 term {done.led} has two leaders"
            led = (*led[: done.led], seat, *led[done.led + 1 :])
            if tuple(chain for _, chain in mine.log[: len(committed)]) != committed:
                wrong = wrong or f"I6 the leader of term {done.led} lacks what is committed"
        for other in peers:
            for (term, chain), (term_there, chain_there) in zip(mine.log, facts[other].log, strict=False):
                if term == term_there and chain != chain_there:
                    wrong = wrong or "I5 the same place, another entry"
        for number, index, _ in done.acks:
            self._acked += 1
            if index > len(committed):
                wrong = wrong or "I9 an entry is acknowledged that is not committed"
            elif not self._is_at(done.local, number, index):
                wrong = wrong or "I1 another entry is acknowledged"
        return led, committed, wrong

    def _is_at(self, local: int, number: int, index: int) -> bool:
        return self.machine._locals[local].replica.log.entry_at(index).origin == request(number).origin

    def _is_dead(self, peers: tuple[int, ...], flight: int) -> bool:
        message, link = divmod(flight, 9)
        key = (message, peers[link // 3], peers[link % 3])
        dead = self._dead.get(key)
        if dead is None:
            facts = self.machine.facts
            dead = _never_heeded(self.machine.messages[message], facts[key[1]], facts[key[2]], self.scope.terms)
            self._dead[key] = dead
        return dead

    # ------------------------------------------------------------ names

    def canonical(self, state: State) -> tuple[State, tuple[int, bool]]:
        """The least of the renamings of a state, and which one it is."""
        best, how = state, self._renamings[0]
        for name in self._renamings[1:]:
            seats, links = SEATS[name], LINKS[name]
            peers = [0] * PEERS
            for seat, local in enumerate(state.peers):
                peers[seats[seat]] = self.machine.mirror(local) if name[1] else local
            if tuple(peers) > best.peers:
                continue
            flights = tuple(sorted(flight - flight % 9 + links[flight % 9] for flight in state.flights))
            led = tuple(seats[who] if who >= 0 else who for who in state.led)
            renamed = State(tuple(peers), flights, led, state.committed, state.left)
            if renamed < best:
                best, how = renamed, name
        return best, how

    def _story(self, parents: dict[State, Any], state: State, last: Move) -> tuple[str, ...]:
        """The moves from the start, by the names that the peers had at the start."""
        steps: list[tuple[Move, tuple[int, bool]]] = [(last, RENAMINGS[0])]
        at = parents[state]
        while at:
            steps.append((at[1], at[2]))
            at = parents[at[0]]
        names = list(range(1, PEERS + 1))
        lines = []
        for move, renaming in reversed(steps):
            lines.append(self._told(move, names))
            names = [names[SEATS[renaming].index(seat)] for seat in range(PEERS)]
        return tuple(lines)

    def _told(self, move: Move, names: list[int]) -> str:
        kind, peer = move[0], names[move[1]]
        if kind in ("take", "take twice"):
            message = self.machine.messages[move[3]]
            return f"peer {peer} {kind}s from {names[move[2]]}: {_short(message)}".replace("twices", "twice")
        return f"peer {peer}: {kind} {' '.join(map(str, move[2:]))}".rstrip()


def _never_heeded(message: Message, source: Facts, target: Facts, terms: int) -> bool:
    """Whether no future of the two peers gives a message any effect. A term on disk never goes back."""
    if isinstance(message, VoteReply):
        if message.term > target.disk_term:
            return False
        return message.pre or not message.granted or (target.role, target.term) != (CANDIDATE, message.term)
    if isinstance(message, AppendReply):
        leads = target.role in (CANDIDATE, LEADER) and target.term == message.term
        return message.term <= target.disk_term and not leads
    if isinstance(message, TimeoutNow):
        return False
    # A request that can only be refused, and whose refusal can only be ignored: both are in the last term for good.
    if not source.disk_term == target.disk_term == terms:
        return False
    if isinstance(message, AppendRequest):
        return message.term < terms and source.role not in (CANDIDATE, LEADER)
    return message.term < terms or message.pre


def _short(message: Message) -> str:
    if isinstance(message, VoteRequest):
        return f"VoteRequest(term {message.term}, log {message.last.term}/{message.last.index}, pre {message.pre})"
    if isinstance(message, AppendRequest):
        held = [f"{entry.term}/{entry.index}" for entry in message.entries]
        return f"AppendRequest(term {message.term}, after {message.prev.term}/{message.prev.index}, {held})"
    return str(message)


@click.command()
@click.option("--terms", default=2, show_default=True)
@click.option("--entries", default=1, show_default=True, help="Requests of clients; each leader adds its no-op.")
@click.option("--asks", type=int, help="How often clients ask; as many as entries by default.")
@click.option("--campaigns", type=int, help="Rounds of pre-votes; as many as terms by default.")
@click.option("--beats", default=0, show_default=True, help="Keep-alives of a leader.")
@click.option("--crashes", default=0, show_default=True)
@click.option("--doubles", default=0, show_default=True, help="Messages delivered twice.")
@click.option("--begun", is_flag=True, help="Begin after a term 1 whose no-op reached its leader's disk alone.")
@click.option("--seconds", default=60.0, show_default=True)
@click.option("--depth-first", is_flag=True)
def main(
    terms: int, entries: int, asks: int | None, campaigns: int | None, beats: int, crashes: int, doubles: int,
    begun: bool, seconds: float, depth_first: bool,
) -> None:  # fmt: skip
    """Search a scope; exit 1 if an invariant was broken."""
    scope = Scope(terms, entries, entries if asks is None else asks, terms - begun if campaigns is None else campaigns,
                  beats, crashes, doubles, begun)  # fmt: skip
    result = Search(scope, depth_first=depth_first).run(seconds)
    click.echo(f"{scope}\n{result.line()}")
    for number, line in enumerate(result.story, 1):
        click.echo(f"{number:3d}  {line}")
    sys.exit(1 if result.violation else 0)


if __name__ == "__main__":
    main()
