"""Faults with a plot: each brings about a moment that chance hardly ever does, and in which one rule alone protects.

Keeps: nothing that a real mesh could not meet. An operator may move the lead, a machine's clock may run slow (no rule
of safety uses time), a peer may be cut off at the worst moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hfzmq.core.contract import Tick

if TYPE_CHECKING:
    from tests.simulation.peer import Peer
    from tests.simulation.storm import Storm

WATCH_MS = 1.0
SLOW = 0.4  # a clock's rate, at most


class Strikes:
    """Of one storm."""

    def __init__(self, storm: Storm) -> None:
        self._storm = storm
        self._world = storm.world
        self._network = storm.network
        self._peers = storm.peers
        self._lease_ms = next(iter(storm.peers.values())).timing.lease_ms

    def kinds(self) -> list[Callable[[], None]]:
        """The faults that a storm may draw from."""
        many = [self.old_friend, self.old_friend] if len(self._peers) > 3 else []
        return [self.left_behind, self.left_behind, self.given_up, self.slow_clock, self.slow_clock, *many]

    # ------------------------------------------------------------ the plots

    def left_behind(self) -> None:
        """The lead is moved, and who had it never hears of it: for most of a lease it goes on believing it leads."""
        pair = self._leader_and_another()
        if pair:
            old, new = pair
            self._world.note("left behind", old.number, new.number)
            self._give_away(old, new.number)
            self._when(lambda: _term(new) > _term(old) > 0, 400.0, lambda: self._part(old, new))

    def _part(self, old: Peer, new: Peer) -> None:
        rng = self._world.rng
        self._cut_off({old.number})
        self._take_sides(old, new)
        self._later(rng.uniform(300, 1500), self._network.mend)

    def given_up(self) -> None:
        """The lead is moved to one that dies before it is told: whoever leads must go on with its work."""
        pair = self._leader_and_another()
        if not pair:
            return
        old, new = pair
        life, term = old.life, _term(old)
        self._world.note("given up", old.number, new.number)
        self._give_away(old, new.number)
        assert old.replica is not None
        transfer = old.replica.hand_over.transfer
        new.crash()
        self._world.after(self._world.rng.uniform(500, 4000), new.power_on)

        def look() -> None:
            replica = old.replica
            if old.life != life or old.paused or replica is None or replica.term != term or transfer is None:
                return
            now = replica.hand_over.transfer
            waited_ms = old.clock() - transfer.since_ms  # by its own clock, which may run slow
            if replica.leading and now and now.since_ms == transfer.since_ms and waited_ms > 1.5 * self._lease_ms:
                self._storm.invariants.fail(f"I10 peer {old.number} still waits to be relieved by {new.number}")

        self._world.after(2.5 * self._lease_ms / old.clock_rate, look)

    def slow_clock(self) -> None:
        """The leader's clock runs at a third, and it is cut off: others lead long before it knows."""
        rng, world = self._world.rng, self._world
        pair = self._leader_and_another()
        if not pair or world.now + 8 * self._lease_ms > self._storm.chaos_ms:
            return
        old, new = pair
        rate = old.clock_rate
        if rate < SLOW:
            return  # it is slow already
        world.note("slow clock", old.number)
        self._run_clock_at(old, rng.uniform(0.15, SLOW))
        self._later(rng.uniform(0, 300), lambda: self._cut_off({old.number}))
        for delay in (900, 1300):
            self._later(rng.uniform(delay, delay + 400), lambda: self._take_sides(old, new))
        self._later(rng.uniform(2000, 4500), self._network.mend)

        def repaired() -> None:
            old.crash()
            old.clock_rate = rate
            old.power_on()

        world.after(rng.uniform(4500, 6000), repaired)

    def old_friend(self) -> None:
        """A leader and one follower alone together: what they agree on is overwritten later, while the follower may be
        slow to write; then the leader leads again, and hears what the follower said before."""
        rng = self._world.rng
        pair = self._leader_and_another()
        if not pair:
            return
        old, friend = pair
        self._world.note("old friend", old.number, friend.number)
        self._cut_off({old.number, friend.number})
        for client in self._storm.clients.values():
            client.prefer(old.number)
        apart_ms = rng.uniform(1100, 2200)
        if rng.random() < 0.6:
            friend.stall(self._world.now + apart_ms + rng.uniform(-300, 900))
        self._later(apart_ms, lambda: self._reunite(old, friend))

    def _reunite(self, old: Peer, friend: Peer) -> None:
        rng = self._world.rng
        self._network.mend()
        if rng.random() < 0.5:
            for number in self._peers:
                self._network.cut(number, friend.number)

        def back() -> None:
            for peer in self._peers.values():
                if peer is not old and peer.up and peer.replica and peer.replica.serves:
                    self._give_away(peer, old.number)

        for _ in range(3):
            self._later(rng.uniform(20, 800), back)
        self._later(rng.uniform(800, 2500), self._network.mend)

    # ------------------------------------------------------------ what they are made of

    def _leader_and_another(self) -> tuple[Peer, Peer] | None:
        leaders = [
            one for one in self._peers.values() if one.up and not one.paused and one.replica and one.replica.serves
        ]
        if not leaders or not hasattr(leaders[0].replica, "hand_over"):
            return None  # the textbook bully knows no such thing: it stands the other faults only
        leader = self._world.rng.choice(leaders)
        others = [one for one in self._peers.values() if one is not leader and one.up and not one.paused]
        return (leader, self._world.rng.choice(others)) if others else None

    def _give_away(self, leader: Peer, target: int) -> None:
        """As an operator may."""
        replica = leader.replica
        assert replica is not None
        replica.hand_over.stop()
        replica.hand_over.begin(leader.clock(), target)
        replica.hand_over.trust(target)  # an operator's wish is no flapping
        leader.take(Tick())

    def _run_clock_at(self, peer: Peer, rate: float) -> None:
        peer.clock_offset = peer.clock() - self._world.now * rate
        peer.clock_rate = rate
        peer.take(Tick())

    def _cut_off(self, some: set[int]) -> None:
        self._network.split(some, set(self._peers) - some)

    def _take_sides(self, old: Peer, new: Peer) -> None:
        rng = self._world.rng
        for client in self._storm.clients.values():
            client.prefer(old.number if rng.random() < 0.5 else new.number)

    def _later(self, delay: float, action: Callable[[], None]) -> None:
        self._world.after(delay, self._unless_over, action)

    def _unless_over(self, action: Callable[[], None]) -> None:
        if self._world.now < self._storm.chaos_ms:
            action()

    def _when(self, condition: Callable[[], bool], within_ms: float, action: Callable[[], None]) -> None:
        """Act in the very moment."""

        def look(left_ms: float) -> None:
            if condition():
                self._unless_over(action)
            elif left_ms > 0:
                self._world.after(WATCH_MS, look, left_ms - WATCH_MS)

        look(within_ms)


def _term(peer: Peer) -> int:
    return peer.replica.term if peer.replica else 0
