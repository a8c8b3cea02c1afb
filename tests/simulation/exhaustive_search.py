"""The search: every move from every state, each state once, breadth first or depth first; the rules that look at more
than one peer; and the story of what broke one."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from hfzmq.core.contract import CANDIDATE, LEADER
from hfzmq.core.messages import AppendReply, AppendRequest, Message, VoteReply, VoteRequest
from tests.simulation.exhaustive_core import Machine
from tests.simulation.exhaustive_local import Done, Facts, request
from tests.simulation.exhaustive_scope import (
    BEGUN,
    LINKS,
    PEERS,
    RENAMINGS,
    SEATS,
    Left,
    Move,
    Result,
    Scope,
    State,
)


class Search:
    """Breadth first, so that the first story of a violation is a shortest one; or depth first. ``lazy``: that a lease
    has run out is told together with the first thing that looks at it (a campaign, a request for a vote), and not by
    itself: whatever happens in between comes out the same."""

    def __init__(self, scope: Scope, symmetric: bool = True, depth_first: bool = False, lazy: bool = True) -> None:
        self.scope = scope
        self._lazy = lazy
        self.machine = Machine(scope.prompt)
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
        peers, led_before = self.machine.start(scope.start), (-1,) * (scope.terms + 1)
        if scope.start == BEGUN:
            led_before = (-1, 0, *led_before[2:])
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
            if self._lazy and self._may_expire(state, link % 3) and self._looks_at_lease(message):
                yield ("take late", link % 3, link // 3, message, flight)
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
                if left.asks:  # requests differ in name alone: the first of them is asked first
                    known = sum(1 for times in left.asked if times)
                    yield from (("ask", seat, number) for number in range(min(known + 1, scope.entries)))
            elif not self._lazy and self._may_expire(state, seat):
                yield ("expire", seat)
            elif left.campaigns and facts.term < scope.terms:
                yield ("campaign", seat)
            if left.crashes:
                yield ("crash", seat)

    def _may_expire(self, state: State, seat: int) -> bool:
        facts = self.machine.facts[state.peers[seat]]
        return facts.role == "follower" and not facts.expired

    def _looks_at_lease(self, message: int) -> bool:
        return isinstance(self.machine.messages[message], VoteRequest)

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
        before = state.peers[seat]
        if kind == "take late" or (kind == "campaign" and self._may_expire(state, seat)):
            before = self.machine.step(before, ("expire",)).local
        if kind in ("take", "take late", "take twice"):
            local = ("take", (move[2] - seat) % PEERS, move[3])
            if kind != "take twice":
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
        done = self.machine.step(before, local)
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
            # One that wins an earlier term late, when a later one is led already, owes nothing to that one.
            latest = all(who < 0 for who in led[done.led + 1 :])
            if latest and tuple(chain for _, chain in mine.log[: len(committed)]) != committed:
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
        if kind in ("take", "take late", "take twice"):
            message = self.machine.messages[move[3]]
            how = {"take": "takes", "take late": "takes, its lease over,", "take twice": "takes, once more to come,"}[
                kind
            ]
            return f"peer {peer} {how} from {names[move[2]]}: {_short(message)}"
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
    if not isinstance(message, (AppendRequest, VoteRequest)):
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
