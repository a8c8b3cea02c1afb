"""A simulated peer: the real core, a disk that forgets what was not synced, a clock that drifts, and a power plug.

up --crash--> down --restart--> up        up --pause--> paused --resume--> up (and all that waited comes at once)
down --wipe--> down, with another incarnation and an empty disk        up --told that it was removed--> halted
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from hfzmq.core.contract import (
    Applied,
    Apply,
    Became,
    Change,
    Compact,
    Effect,
    Event,
    Fetch,
    Halt,
    Heard,
    Installed,
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
from hfzmq.core.membership import Member
from hfzmq.core.messages import AppendRequest, Heartbeat, Message, TimeoutNow
from hfzmq.core.replica import Replica
from hfzmq.core.sessions import Sessions
from hfzmq.settings import Limits, Timing
from tests.simulation.disk import Disk, address, first_incarnation, first_peers

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.world import Network, World


Write = Persist | Apply | Compact
FETCH_TIMEOUT_MS = 1000.0


class Peer:
    """One machine of the mesh. ``voters``: what its peers.yaml says."""

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
        self.disk = Disk(membership=first_peers(voters))
        self.incarnation = first_incarnation(number)
        self.halted = ""  # why it was told to stop
        self.sync_ms = (0.05, 1.0)
        self.clock_rate = 1.0
        self.clock_offset = world.rng.uniform(0, 1e6)
        self.life = 0
        self.up = False
        self.paused = False
        self.dead = False  # it does not start before this is taken back
        self.replica: Replica | None = None
        self._waiting: list[Event] = []
        self._unsynced: list[Write] = []
        self._fetching_until = 0.0
        self.transfer_ms = (1.0, 300.0)
        self._disk_free_at = 0.0
        self._full_until = 0.0
        self._sync_fails = False
        self._lone: Callable[[], None] | None = None  # takes back the Apply that was written last, if no sync followed
        self._wake_at = 0.0
        self.synced_at = 0.0  # when the core was last told of a sync
        self.ambush: Callable[[Peer, list[Effect]], None] | None = None

    # ------------------------------------------------------------ power

    def start(self) -> None:
        """Begin a new life from what the disk holds."""
        self.life += 1
        self.up, self.paused = True, False
        self._waiting, self._unsynced = [], []
        self._fetching_until = 0.0
        self._disk_free_at = self.synced_at = self.world.now
        disk = self.disk
        self.replica = Replica(
            Member(address(self.number), self.incarnation),
            disk.membership,
            self.timing,
            self.limits,
            Random(self.world.rng.getrandbits(32)),
            disk.hard_state,
            Log(disk.log, disk.base),
            Sessions(disk.sessions),
            disk.applied,
            disk.state_hash,
            self.clock(),
            self.life,
            self.voters,
        )
        self.world.note("start", self.number)
        self._wake_at = float("inf")
        self.take(Tick())

    def power_on(self) -> None:
        """Start, if it is not running and not dead, and there is room on its disk for what a start writes."""
        if not self.up and not self.dead and not self.halted and self.world.now >= self._full_until:
            self.start()

    def crash(self) -> None:
        """Pull the plug: some of what was being written may have reached the disk, unreported; the rest is gone, and
        where nothing did, an Apply that was reported, too: alone it is not synced."""
        if not self.up:
            return
        reached = self.world.rng.randint(0, len(self._unsynced))
        if self._lone and not reached:
            self.world.note("takes back", self.number)
            self._lone()
        self._lone = None
        for effect in self._unsynced[:reached]:
            self._sync(effect)
        self.up = False
        self.replica = None
        self.life += 1
        self.world.note("crash", self.number)

    def wipe(self) -> None:
        """The disk is lost; what starts here next is another incarnation."""
        self.crash()
        self.invariants.graves[(self.number, self.incarnation)] = self.disk
        self.disk = Disk(membership=first_peers(self.voters))
        self.incarnation = b"%d.%d" % (self.number, int(self.incarnation.split(b".")[1]) + 1)
        self.halted = ""
        self.world.note("wipe", self.number, self.incarnation)

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
            if self.halted:
                return
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
            if effect.to not in self.others:
                return
            receive, message = self.others[effect.to].receive, effect.message
            said = (self.number, message, self.incarnation, self.life)
            self.network.send(self.number, effect.to, receive, *said)
            if not isinstance(message, AppendRequest):
                for _ in range(4 if isinstance(message, TimeoutNow) else 1):  # it is rare, and should be ignored
                    self.network.echo(self.number, effect.to, receive, *said)
        elif isinstance(effect, Publish):
            self._lone = None  # it is synced before others are shown it
            beat = (self.number, effect.heartbeat, self.incarnation, self.life)
            for number, peer in self.others.items():
                if number != self.number:
                    self.network.send(self.number, number, peer.hear, *beat)
        elif isinstance(effect, (Persist, Apply, Compact)):
            self._submit(effect)
        elif isinstance(effect, Fetch):
            self._fetch(effect.source)
        elif isinstance(effect, Reply):
            client, request = effect.route
            self.world.note("reply", self.number, effect.status, client.name, effect.seq, effect.index)
            self.network.send(self.number, client.name, client.answered, self.number, request, effect)
        elif isinstance(effect, Became):
            self.world.note("became", self.number, effect.role, effect.term, effect.leader, effect.why)
        elif isinstance(effect, Halt):
            self.world.note("halt", self.number, effect.why)
            self.invariants.halts(self, effect)
            self.crash()
            self.halted = effect.why

    def receive(self, sender: int, message: Message, incarnation: bytes, boot: int) -> None:
        """A message came in."""
        self.take(Received(sender, message, incarnation, boot))

    def hear(self, sender: int, heartbeat: Heartbeat, incarnation: bytes, boot: int) -> None:
        """A heartbeat came in."""
        self.take(Heard(sender, heartbeat, incarnation, boot))

    def asked(self, wish: Any) -> None:
        """A client's or an operator's request came in."""
        self.take(wish if isinstance(wish, (ReadIndex, Change)) else Propose((wish,)))

    # ------------------------------------------------------------ snapshots

    def _fetch(self, source: int) -> None:
        """Pull a snapshot, one at a time; the way back may fail like any other."""
        if self.world.now >= self._fetching_until and source in self.others:
            self._fetching_until = self.world.now + FETCH_TIMEOUT_MS
            self.network.send(self.number, source, self.others[source].pulled, self, self.life)

    def pulled(self, by: Peer, life: int) -> None:
        """Another peer pulls a snapshot from this one."""
        if self.up and not self.paused:
            taken = self.disk.snapshot()
            self.world.after(self.world.rng.uniform(*self.transfer_ms), self._hand_over_snapshot, by, life, taken)

    def _hand_over_snapshot(self, by: Peer, life: int, snapshot: Disk) -> None:
        self.network.send(self.number, by.number, by.install, life, snapshot)

    def install(self, life: int, snapshot: Disk) -> None:
        """A snapshot is here, whole: take it in once nothing is being written."""
        if life != self.life or not self.up:
            return
        if self._unsynced or self.paused:
            self.world.after(5.0, self.install, life, snapshot)
            return
        self._fetching_until = 0.0
        assert self.replica is not None
        if self.replica.wants(snapshot.base):
            self.world.note("install", self.number, snapshot.base.index)
            self._lone = None
            self.disk.install(snapshot)
            self.take(Installed(snapshot.base, snapshot.membership, dict(snapshot.sessions), snapshot.state_hash))

    # ------------------------------------------------------------ disk

    def stall(self, until: float) -> None:
        """The disk finishes nothing before then."""
        self._disk_free_at = max(self._disk_free_at, until)

    def fill_disk(self, until: float) -> None:
        """No write is taken before then; it is started again when there is room."""
        self.world.note("full", self.number)
        self._full_until = until
        self.world.at(until, self.power_on)

    def fail_sync(self) -> None:
        """The next sync says that it failed."""
        self.world.note("failing sync", self.number)
        self._sync_fails = True

    def _ails(self) -> bool:
        """Whether a write fails now; then this daemon has ended."""
        if self.world.now < self._full_until:
            self._unsynced = []  # what is refused for want of room is not written in part
        elif not self._sync_fails:
            return False
        self._sync_fails = False
        self.crash()
        self.world.after(self.world.rng.uniform(5, 1500), self.power_on)
        return True

    def _submit(self, effect: Write) -> None:
        self._unsynced.append(effect)
        self._disk_free_at = max(self._disk_free_at, self.world.now) + self.world.rng.uniform(*self.sync_ms)
        self.world.at(self._disk_free_at, self._synced, self.life, effect)

    def disk_recovers(self) -> None:
        """The disk is well and fast from now on, also with what it has been told to write already."""
        self._full_until, self._sync_fails = 0.0, False
        self.sync_ms = (0.05, 1.0)
        self._disk_free_at = self.world.now
        for effect in self._unsynced if self.up else ():
            self._disk_free_at += self.world.rng.uniform(*self.sync_ms)
            self.world.at(self._disk_free_at, self._synced, self.life, effect)

    def _synced(self, life: int, effect: Write) -> None:
        if life != self.life or not self._unsynced or self._unsynced[0] is not effect:
            return
        if self.world.now < self._disk_free_at and effect is self._unsynced[-1]:
            self.world.at(self._disk_free_at, self._synced, life, effect)  # stalled meanwhile
            return
        if self._ails():
            return
        self._unsynced.pop(0)
        self._sync(effect)
        if isinstance(effect, Persist):
            self.take(Persisted(effect.token))
        elif isinstance(effect, Apply):
            self.take(Applied(self.disk.applied, self.disk.state_hash))

    def _sync(self, effect: Write) -> None:
        before = self.disk.hard_state
        alone = (
            isinstance(effect, Apply) and self._lone is None
        )  # never two in a row: the second is synced, with the first
        self._lone = self.disk.undo(effect) if alone and isinstance(effect, Apply) else None
        self.disk.write(effect)
        self.invariants.synced(self, effect, before)
