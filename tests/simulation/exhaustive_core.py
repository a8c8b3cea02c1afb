"""The steps of single peers, each run on the real core once and remembered: what one peer does with one event depends
on that peer alone.

Every peer sees itself as 1, the next one as 2 and the one before as 3, so that a step counts for all three seats, and
its mirror image is made along with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hfzmq.core.contract import (
    ACK,
    LEADER,
    Applied,
    Apply,
    Became,
    Effect,
    Event,
    Persist,
    Persisted,
    Propose,
    Received,
    Reply,
    Send,
    Tick,
)
from hfzmq.core.log import Log
from hfzmq.core.membership import Member, Membership
from hfzmq.core.messages import AppendReply, Message, VoteReply, VoteRequest
from hfzmq.core.replica import Replica
from hfzmq.core.sessions import Sessions
from hfzmq.core.types import NOOP, START, HardState, chained
from hfzmq.settings import Limits
from tests.simulation.disk import Disk, address, first_peers
from tests.simulation.exhaustive_local import (
    CHANCE,
    LEASE_MS,
    LIFE,
    TIMING,
    Done,
    Facts,
    Local,
    copied,
    key_of,
    request,
    settle,
)
from tests.simulation.exhaustive_scope import BEGUN, COLD, PEERS, Move

ME, VOTERS = 1, (1, 2, 3)
MYSELF = Member(address(ME), LIFE)
BOUND = Membership(0, tuple(Member(address(peer), LIFE) for peer in VOTERS))


class Machine:
    """Local states and local steps, each run on the real core once."""

    def __init__(self, prompt: bool = False) -> None:
        self._prompt = prompt
        self._ids: dict[Any, int] = {}
        self._locals: list[Local] = []
        self.facts: list[Facts] = []
        self._mirrors: dict[int, int] = {}
        self._done: dict[tuple[int, Move], Done] = {}
        self.messages: list[Message] = []
        self._message_ids: dict[Message, int] = {}

    # ------------------------------------------------------------ the door

    def start(self, how: str) -> tuple[int, int, int]:
        """The three peers at the start of a scope."""
        if how == BEGUN:
            return self._begun()
        fresh = self._intern(self._born(Disk(membership=first_peers(VOTERS) if how == COLD else BOUND)))
        self._mirrors[fresh] = fresh
        return fresh, fresh, fresh

    def _begun(self) -> tuple[int, int, int]:
        """After a term 1 in which all voted for the first, whose no-op reached nobody."""
        noop = chained(START, 1, NOOP, None, b"")
        first = self._intern(self._born(Disk(HardState(1, ME), [noop], membership=BOUND)))
        second, third = (self._intern(self._born(Disk(HardState(1, vote), membership=BOUND))) for vote in (3, 2))
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
        if self._prompt or move[0] in ("sync", "crash"):
            disk = replace(disk, log=list(disk.log), sessions=dict(disk.sessions), rows=list(disk.rows))
        if move[0] == "crash":
            after = self._born(disk)
            settle(after.replica, after.now)
        else:
            after = Local(copied(before.replica, {}), disk, before.writes, before.now)
            try:
                self._act(after, move)
                while self._prompt and after.writes:
                    self._sync(after)
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
            Replica(MYSELF, disk.membership, TIMING, Limits(), CHANCE, disk.hard_state, Log(disk.log),
                    Sessions(disk.sessions), disk.applied, disk.state_hash, 0.0),
            disk,
        )  # fmt: skip
        self._take(local, Tick())
        return local

    def _act(self, local: Local, move: Move) -> None:
        kind, election = move[0], local.replica.election
        if kind == "take":
            self._take(local, Received(ME + move[1], self.messages[move[2]], LIFE))
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
        settle(local.replica, local.now)

    def _carry_out(self, local: Local, effect: Effect) -> None:
        disk = local.disk
        if isinstance(effect, Send):
            message = effect.message
            if isinstance(message, VoteRequest):
                message = replace(message, asked_ms=0)  # any round's answer counts here: more than can be, and no clock
            local.sends.append((effect.to - ME, message))
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
        key = key_of(local)
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


def _mirrored(move: Move) -> Move:
    return ("take", PEERS - move[1], move[2]) if move[0] == "take" else move
