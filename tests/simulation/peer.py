"""A simulated peer: the real core, a disk that forgets what was not synced, a clock that drifts, and a power plug.

up --crash--> down --restart--> up        up --pause--> paused --resume--> up (and all that waited comes at once)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from hfzmq.config import Limits, Timing
from hfzmq.core.contract import (
    Applied,
    Apply,
    Became,
    Effect,
    Event,
    Heard,
    Persist,
    Persisted,
    Propose,
    Publish,
    ReadIndex,
    Received,
    Reply,
    Send,
    Tick,
)
from hfzmq.core.log import Log
from hfzmq.core.messages import AppendRequest, Heartbeat, Message, TimeoutNow
from hfzmq.core.replica import Replica
from hfzmq.core.sessions import Session, SessionKey, Sessions
from hfzmq.core.types import Entry, HardState, Membership

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.world import Network, World


@dataclass
class Disk:
    """What is synced. Rows are (session, seq, digest), in the order in which they were stored."""

    hard_state: HardState = field(default_factory=lambda: HardState(0, 0))
    log: list[Entry] = field(default_factory=list)
    applied: int = 0
    state_hash: bytes = bytes(16)
    sessions: dict[SessionKey, Session] = field(default_factory=dict)
    rows: list[tuple[SessionKey, int, bytes]] = field(default_factory=list)

    def write(self, effect: Persist | Apply) -> None:
        """One transaction."""
        if isinstance(effect, Persist):
            if effect.hard_state:
                self.hard_state = effect.hard_state
            if effect.truncate_from is not None:
                del self.log[effect.truncate_from - 1 :]
            self.log.extend(effect.entries)
            return
        for entry, fresh in zip(effect.entries, effect.fresh, strict=True):
            assert entry.index == self.applied + 1
            self.applied = entry.index
            self.state_hash = hashlib.blake2b(self.state_hash + entry.chain + bytes([fresh]), digest_size=16).digest()
            if fresh and entry.origin:
                key, seq, digest = entry.origin.session, entry.origin.seq, entry.origin.digest
                self.sessions[key] = Session(seq, digest, entry.term, entry.index)
                self.rows.append((key, seq, digest))


class Peer:
    """One machine of the mesh."""

    def __init__(
        self, number: int, world: World, network: Network, invariants: Invariants, voters: tuple[int, ...],
        timing: Timing, limits: Limits,
    ) -> None:  # fmt: skip
        self.number = number
        self.world = world
        self.network = network
        self.invariants = invariants
        self.voters = voters
        self.timing = timing
        self.limits = limits
        self.others: dict[int, Peer] = {}
        self.disk = Disk()
        self.sync_ms = (0.05, 1.0)
        self.clock_rate = 1.0
        self.clock_offset = world.rng.uniform(0, 1e6)
        self.life = 0
        self.up = False
        self.paused = False
        self.dead = False  # it does not start before this is taken back
        self.replica: Replica | None = None
        self._waiting: list[Event] = []
        self._unsynced: list[Persist | Apply] = []
        self._disk_free_at = 0.0
        self._wake_at = 0.0
        self.synced_at = 0.0  # when the core was last told of a sync
        self.ambush: Callable[[Peer, list[Effect]], None] | None = None

    # ------------------------------------------------------------ power

    def start(self) -> None:
        """Begin a new life from what the disk holds."""
        self.life += 1
        self.up, self.paused = True, False
        self._waiting, self._unsynced = [], []
        self._disk_free_at = self.synced_at = self.world.now
        disk = self.disk
        self.replica = Replica(
            self.number,
            Membership(0, self.voters),
            self.timing,
            self.limits,
            Random(self.world.rng.getrandbits(32)),
            disk.hard_state,
            Log(disk.log),
            Sessions(disk.sessions),
            disk.applied,
            disk.state_hash,
            self.clock(),
        )
        self.world.note("start", self.number)
        self._wake_at = float("inf")
        self.take(Tick())

    def power_on(self) -> None:
        """Start, if it is not running and not dead."""
        if not self.up and not self.dead:
            self.start()

    def crash(self) -> None:
        """Pull the plug: some of what was being written may have reached the disk, unreported; the rest is gone."""
        if not self.up:
            return
        for effect in self._unsynced[: self.world.rng.randint(0, len(self._unsynced))]:
            self._sync(effect)
        self.up = False
        self.replica = None
        self.life += 1
        self.world.note("crash", self.number)

    def pause(self) -> None:
        """SIGSTOP."""
        self.paused = self.up
        self.world.note("pause", self.number)

    def resume(self) -> None:
        """SIGCONT: whatever waited in the sockets is read now."""
        if self.paused:
            self.paused = False
            waiting, self._waiting = self._waiting, []
            self.world.note("resume", self.number)
            for event in waiting:
                self.take(event)
            self.take(Tick())

    def clock(self) -> float:
        """This machine's monotonic clock, in its own milliseconds."""
        return self.clock_offset + self.world.now * self.clock_rate

    # ------------------------------------------------------------ loop

    def take(self, event: Event) -> None:
        """One event into the core; its effects into the world."""
        if not self.up:
            return
        if self.paused:
            self._waiting.append(event)
            return
        assert self.replica is not None
        if isinstance(event, (Persisted, Applied)):
            self.synced_at = self.world.now
        effects = self.replica.step(self.clock(), event)
        self.invariants.stepped(self, effects)
        for effect in effects:
            self._carry_out(effect)
        self._plan_wake()
        if self.ambush:
            self.ambush(self, effects)

    def _plan_wake(self) -> None:
        assert self.replica is not None
        local = self.replica.wake_at_ms(self.clock())
        when = max((local - self.clock_offset) / self.clock_rate, self.world.now + 0.5)
        if when < self._wake_at or self._wake_at <= self.world.now:
            self._wake_at = when
            self.world.at(when, self._wake, self.life, when)

    def _wake(self, life: int, when: float) -> None:
        if life == self.life and when == self._wake_at:
            self._wake_at = float("inf") if not self.paused else when
            self.take(Tick())

    def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, Send):
            receive, message = self.others[effect.to].receive, effect.message
            self.network.send(self.number, effect.to, receive, self.number, message)
            if not isinstance(message, AppendRequest):
                for _ in range(4 if isinstance(message, TimeoutNow) else 1):  # it is rare, and should be ignored
                    self.network.echo(self.number, effect.to, receive, self.number, message)
        elif isinstance(effect, Publish):
            for number, peer in self.others.items():
                if number != self.number:
                    self.network.send(self.number, number, peer.hear, self.number, effect.heartbeat)
        elif isinstance(effect, (Persist, Apply)):
            self._submit(effect)
        elif isinstance(effect, Reply):
            client, request = effect.route
            self.world.note("reply", self.number, effect.status, client.name, effect.seq, effect.index)
            self.network.send(self.number, client.name, client.answered, self.number, request, effect)
        elif isinstance(effect, Became):
            self.world.note("became", self.number, effect.role, effect.term, effect.leader, effect.why)

    def receive(self, sender: int, message: Message) -> None:
        """A message came in."""
        self.take(Received(sender, message))

    def hear(self, sender: int, heartbeat: Heartbeat) -> None:
        """A heartbeat came in."""
        self.take(Heard(sender, heartbeat))

    def asked(self, proposal: Any) -> None:
        """A client's request came in."""
        self.take(proposal if isinstance(proposal, ReadIndex) else Propose((proposal,)))

    # ------------------------------------------------------------ disk

    def stall(self, until: float) -> None:
        """The disk finishes nothing before then."""
        self._disk_free_at = max(self._disk_free_at, until)

    def _submit(self, effect: Persist | Apply) -> None:
        self._unsynced.append(effect)
        self._disk_free_at = max(self._disk_free_at, self.world.now) + self.world.rng.uniform(*self.sync_ms)
        self.world.at(self._disk_free_at, self._synced, self.life, effect)

    def _synced(self, life: int, effect: Persist | Apply) -> None:
        if life != self.life or not self._unsynced or self._unsynced[0] is not effect:
            return
        if self.world.now < self._disk_free_at and effect is self._unsynced[-1]:
            self.world.at(self._disk_free_at, self._synced, life, effect)  # stalled meanwhile
            return
        self._unsynced.pop(0)
        self._sync(effect)
        if isinstance(effect, Persist):
            self.take(Persisted(effect.token))
        else:
            self.take(Applied(self.disk.applied, self.disk.state_hash))

    def _sync(self, effect: Persist | Apply) -> None:
        before = self.disk.hard_state
        self.disk.write(effect)
        self.invariants.synced(self, effect, before)
