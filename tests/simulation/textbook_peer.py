"""A peer of the textbook bully, in the place of a real one in a storm: the same plug, clock and disk, another mind.

    follower --the lowest id that it hears is itself--> leader --a lower id is heard--> follower

No terms, no votes, no quorum. Whoever leads is copied by all it hears; a follower drops what the leader does not have.
It keeps what is written, never answers before its own sync, and knows a request that comes again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hfzmq.core.contract import (
    ACK,
    FOLLOWER,
    LEADER,
    NOT_LEADER,
    READ,
    Became,
    Effect,
    Proposal,
    ReadIndex,
    Reply,
    Send,
)
from hfzmq.core.messages import AppendReply, AppendRequest
from hfzmq.core.types import BATCH, START, Entry, Place, chained

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfzmq.settings import Timing
    from tests.simulation.losses import Row
    from tests.simulation.world import Network, World

ALL_ALIVE, WRITTEN = "all alive", "written"
KINDS = (ALL_ALIVE, WRITTEN)
BATCH_MAX = 20  # entries of one append
CATCH_UP_MS = 2.0  # an answer brings the next append no sooner, or doubled answers would double without end


def place(log: list[Entry], index: int) -> Place:
    """Where a log stands at ``index``."""
    return Place(index, 0, log[index - 1].chain) if index else START


class Bully:
    """What a peer knows while it runs: its log, whom it has heard, whom it waits for."""

    def __init__(self, log: list[Entry], now: float) -> None:
        self.entries = list(log)
        self.durable = len(log)
        self.heard: dict[int, float] = {}
        self.since = now
        self.leading: bool = False
        self.matches: dict[int, int] = {}  # follower -> up to where it has synced what this leader has
        self.sent_at: dict[int, float] = {}
        self.waiting: list[tuple[int, Proposal]] = []  # (index, request)

    @property
    def serves(self) -> bool:
        """Leading is enough for it."""
        return self.leading


class Disk:
    """What is synced: the log, and so the rows."""

    def __init__(self) -> None:
        self.log: list[Entry] = []

    @property
    def rows(self) -> list[Row]:
        """As the loss checker wants them."""
        return [(one.origin.session, one.origin.seq, one.origin.digest) for one in self.log if one.origin]


class TextbookPeer:
    """``kind``: when it acknowledges."""

    kind = ALL_ALIVE

    def __init__(self, number: int, world: World, network: Network, invariants: Any, *rest: Any) -> None:
        self.number = number
        self.world = world
        self.network = network
        self.timing: Timing = next(part for part in rest if hasattr(part, "lease_ms"))
        self.others: dict[int, TextbookPeer] = {}
        self.disk = Disk()
        self.sync_ms = (0.05, 1.0)
        self.clock_rate = 1.0
        self.life = 0
        self.up = self.paused = self.dead = False
        self.halted = ""  # it never is
        self.replica: Bully | None = None
        self.ambush: Callable[[Any, list[Effect]], None] | None = None
        self._inbox: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._writing: list[tuple[int, int, tuple[Entry, ...]]] = []  # (write number, keep, then add)
        self._writes = 0
        self._promised: list[tuple[int, int, AppendReply]] = []  # (write number, to, reply)
        self._disk_free_at = 0.0

    # ------------------------------------------------------------ power

    def start(self) -> None:
        """From what the disk holds."""
        self.life += 1
        self.up, self.paused = True, False
        self._inbox, self._writing, self._promised = [], [], []
        self._disk_free_at = self.world.now
        self.replica = Bully(self.disk.log, self.world.now)
        self.world.note("start", self.number)
        self._beat(self.life)

    def power_on(self) -> None:
        """Start, if it is not running and not dead."""
        if not self.up and not self.dead:
            self.start()

    def crash(self) -> None:
        """Part of what was being written may have reached the disk."""
        if self.up:
            for _, keep, entries in self._writing[: self.world.rng.randint(0, len(self._writing))]:
                self.disk.log[keep:] = entries
            self.up, self.replica = False, None
            self.life += 1
            self.world.note("crash", self.number)

    def wipe(self) -> None:
        """A new disk."""
        self.crash()
        self.disk = Disk()

    def pause(self) -> None:
        """SIGSTOP."""
        self.paused = self.up

    def resume(self) -> None:
        """SIGCONT."""
        if self.paused:
            self.paused = False
            waiting, self._inbox = self._inbox, []
            for action, arguments in waiting:
                self._take(action, *arguments)

    def stall(self, until: float) -> None:
        """The disk finishes nothing before then."""
        self._disk_free_at = max(self._disk_free_at, until)

    # ------------------------------------------------------------ what comes in

    def _take(self, action: Callable[..., None], *arguments: Any) -> None:
        if self.paused:
            self._inbox.append((action, arguments))
        elif self.up:
            action(*arguments)

    def asked(self, request: Any) -> None:
        """A client's request came in."""
        if isinstance(request, (Proposal, ReadIndex)):
            self._take(self._on_request, request)

    def _beat(self, life: int) -> None:
        if life != self.life:
            return
        self.world.after(self.timing.heartbeat_ms * self.clock_rate, self._beat, life)
        if not self.paused:
            for number, peer in self.others.items():
                if number != self.number:
                    self.network.send(self.number, number, peer._take, peer._on_beat, self.number)
            self._who_leads()
            if self._me.leading:
                self._replicate(self._alive())

    @property
    def _me(self) -> Bully:
        assert self.replica is not None
        return self.replica

    def _alive(self) -> list[int]:
        lease = self.timing.lease_ms * self.clock_rate
        return [number for number, at in self._me.heard.items() if self.world.now - at < lease]

    def _who_leads(self) -> int:
        """The lowest that is heard; itself, once it has listened for a lease. That is the whole election."""
        me = self._me
        lowest = min([self.number, *self._alive()])
        if lowest == self.number and self.world.now - me.since < self.timing.lease_ms * self.clock_rate:
            return 0
        if (lowest == self.number) != me.leading:
            me.leading = not me.leading
            me.matches = {}
            waiting, me.waiting = me.waiting, []
            role = LEADER if me.leading else FOLLOWER
            self.world.note("became", self.number, role, lowest)
            away = [Reply(one.route, NOT_LEADER, leader=lowest) for _, one in waiting]
            self._say([*away, Became(role, 0, lowest, "the lowest that is heard")])
        return lowest

    def _on_beat(self, sender: int) -> None:
        self._me.heard[sender] = self.world.now
        self._who_leads()

    def _on_request(self, request: Proposal | ReadIndex) -> None:
        leader = self._who_leads()
        me = self._me
        if not me.leading:
            self._say([Reply(request.route, NOT_LEADER, leader=leader)])
        elif isinstance(request, ReadIndex):
            self._say([Reply(request.route, READ, index=len(me.entries))])
        else:
            index = next((one.index for one in me.entries if _same(one, request)), 0)
            if not index:
                entry = chained(place(me.entries, len(me.entries)), 0, BATCH, request.origin, request.body)
                index = entry.index
                self._write(index - 1, (entry,))
            me.waiting.append((index, request))
            self._replicate(self._alive())
            self._acknowledge()

    # ------------------------------------------------------------ the log

    def _replicate(self, followers: list[int]) -> None:
        me = self._me
        for number in followers:
            me.sent_at[number] = self.world.now
            at = min(me.matches.get(number, len(me.entries)), len(me.entries))
            entries = tuple(me.entries[at : at + BATCH_MAX])
            self._say([Send(number, AppendRequest(0, place(me.entries, at), entries, 0, 0))])

    def _on_append(self, sender: int, request: AppendRequest) -> None:
        me = self._me
        if sender > self.number:
            return  # the lower id leads
        at = request.prev.index
        if at > len(me.entries) or place(me.entries, at) != request.prev:
            self._promise(sender, AppendReply(0, False, min(len(me.entries), at - 1), 0))
            return
        news = [one for one in request.entries if place(me.entries, min(one.index, len(me.entries))).chain != one.chain]
        if news:
            self._write(news[0].index - 1, tuple(request.entries[news[0].index - at - 1 :]))
        self._promise(sender, AppendReply(0, True, at + len(request.entries), 0))

    def _on_reply(self, sender: int, reply: AppendReply) -> None:
        me = self._me
        if me.leading and reply.match <= len(me.entries):
            before = me.matches.get(sender, -1)
            me.matches[sender] = reply.match if not reply.accepted else max(before, reply.match)
            self._acknowledge()
            behind = not reply.accepted or before < me.matches[sender] < len(me.entries)
            if behind and self.world.now - me.sent_at.get(sender, 0.0) >= CATCH_UP_MS:
                self._replicate([sender])

    def _acknowledge(self) -> None:
        me = self._me
        sure = me.durable
        if self.kind == ALL_ALIVE:
            sure = min([sure, *(me.matches.get(number, 0) for number in self._alive())])
        ready = [one for one in me.waiting if one[0] <= sure]
        me.waiting = [one for one in me.waiting if one[0] > sure]
        self._say([Reply(one.route, ACK, seq=one.origin.seq, index=index) for index, one in ready])

    # ------------------------------------------------------------ the disk

    def _write(self, keep: int, entries: tuple[Entry, ...]) -> None:
        me = self._me
        me.entries[keep:] = entries
        me.durable = min(me.durable, keep)
        self._writes += 1
        self._writing.append((self._writes, keep, entries))
        self._disk_free_at = max(self._disk_free_at, self.world.now) + self.world.rng.uniform(*self.sync_ms)
        self.world.at(self._disk_free_at, self._written, self.life, self._writes)

    def disk_recovers(self) -> None:
        """The disk is fast from now on, also with what it has been told to write already."""
        self.sync_ms = (0.05, 1.0)
        self._disk_free_at = self.world.now
        for number, _, _ in self._writing if self.up else ():
            self._disk_free_at += self.world.rng.uniform(*self.sync_ms)
            self.world.at(self._disk_free_at, self._written, self.life, number)

    def _written(self, life: int, number: int) -> None:
        if life != self.life:
            return
        if self.world.now < self._disk_free_at and number == self._writes:
            self.world.at(self._disk_free_at, self._written, life, number)
            return
        while self._writing and self._writing[0][0] <= number:
            _, keep, entries = self._writing.pop(0)
            self.disk.log[keep:] = entries
        self._take(self._on_written, number)

    def _on_written(self, number: int) -> None:
        me = self._me
        if not self._writing:
            me.durable = len(me.entries)
        ready = [Send(to, reply) for write, to, reply in self._promised if write <= number]
        self._promised = [one for one in self._promised if one[0] > number]
        self._say(ready)
        self._acknowledge()

    def _promise(self, to: int, reply: AppendReply) -> None:
        if self._writing:
            self._promised.append((self._writes, to, reply))
        else:
            self._say([Send(to, reply)])

    def _say(self, effects: list[Any]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                peer = self.others[effect.to]
                take = peer._on_append if isinstance(effect.message, AppendRequest) else peer._on_reply
                self.network.send(self.number, effect.to, peer._take, take, self.number, effect.message)
            elif isinstance(effect, Reply):
                client, request = effect.route
                self.network.send(self.number, client.name, client.answered, self.number, request, effect)
        if self.ambush and effects:
            self.ambush(self, effects)


def _same(entry: Entry, request: Proposal) -> bool:
    return entry.origin is not None and entry.origin == request.origin
