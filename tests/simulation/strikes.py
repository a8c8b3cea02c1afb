"""Faults with a plot: each brings about a moment that chance hardly ever does, and in which one rule alone protects.

Keeps: nothing that a real mesh could not meet. An operator may move the lead, a machine's clock may run slow (no rule
of safety uses time), a peer may be cut off at the worst moment.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from hfzmq.core.contract import ADD, REMOVE, Tick
from tests.simulation.disk import Disk, first_peers
from tests.simulation.world import Weather

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

    def of_members(self) -> list[Callable[[], None]]:
        """The faults that a storm may draw from where members change."""
        return [self.half_a_change, self.half_a_change, self.second_thoughts]

    def begin(self) -> bool:
        """Some storms begin badly (then True: members change). Drawn apart, so that the others are what they were."""
        rng = Random(f"how {self._storm.seed} begins")
        how = rng.random()
        if how < 0.1:
            self._another_list(rng)
        elif how < 0.2:
            self._founder_lost(rng)
        return how < 0.2

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
        if transfer is None:
            return
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

    # ------------------------------------------------------------ of the members

    def half_a_change(self) -> None:
        """A change of members is appended, and its leader cut off or gone before it commits; others may change theirs
        meanwhile, and the first change is dropped, or was forgotten."""
        rng, operator = self._world.rng, self._storm.operator
        self._world.note("half a change")
        rng.choice((operator.remove, operator.remove, operator.wipe, operator.add))()

        def changing() -> list[Peer]:
            return [
                one for one in self._peers.values()
                if one.up and one.replica and one.replica.leading and one.replica.membership.founded
                and one.replica.membership.index > max(1, one.replica.commit)
            ]  # fmt: skip

        def strike() -> None:
            for leader in changing():
                friends = set(rng.sample(list(self._peers), rng.randint(0, (len(self._peers) - 1) // 2)))
                self._world.note("strike half a change", leader.number, sorted(friends))
                if rng.random() < 0.7:
                    self._cut_off({leader.number} | friends)
                for number in {leader.number} | friends:
                    if rng.random() < 0.4:
                        self._later(rng.uniform(0, 300), self._peers[number].crash)
                        self._world.after(rng.uniform(300, 1000), self._peers[number].power_on)
            self._later(rng.uniform(100, 1500), operator.remove if rng.random() < 0.5 else operator.add)
            self._later(rng.uniform(1200, 4000), self._network.mend)

        self._when(lambda: bool(changing()), 6000.0, strike)

    def second_thoughts(self) -> None:
        """A peer that its leader does not reach is removed, slowly, while it asks whether it still belongs; then it is
        to be added again, as it is."""
        pair = self._leader_and_another()
        if not pair:
            return
        leader, other = pair
        rng, operator = self._world.rng, self._storm.operator
        self._world.note("second thoughts", leader.number, other.number)
        self._network.cut(leader.number, other.number)

        def removed() -> bool:
            replica = leader.replica
            return bool(replica and replica.leading and other.number not in replica.voters)

        def slowly() -> None:
            for one in self._peers.values():
                one.stall(self._world.now + rng.uniform(300, 700))

        def remove() -> None:
            operator.wish(REMOVE, other.number)
            operator.wish(ADD, other.number)
            self._when(removed, 3000.0, slowly)

        self._later(rng.uniform(1800, 2600), remove)
        self._later(rng.uniform(5500, 7000), self._network.mend)

    # ------------------------------------------------------------ of the beginning

    def _another_list(self, rng: Random) -> None:
        """Some peers.yaml name fewer first peers, not all of whom agree: nobody may found a mesh until that is put
        right, with empty disks."""
        voters = sorted(one.number for one in self._peers.values() if not one.dead)
        few = tuple(voters[: len(voters) // 2 + 1])
        wrong = few[: rng.randint(1, len(few) - 1)]  # the lowest campaigns first
        self._world.note("another list", few, wrong)
        for number in wrong:
            peer = self._peers[number]
            peer.voters, peer.disk = few, Disk(membership=first_peers(few))

        def put_right() -> None:
            for number in wrong:
                peer = self._peers[number]
                peer.voters = tuple(voters)
                peer.wipe()
                peer.power_on()

        self._world.after(rng.uniform(2500, 5000), put_right)

    def _founder_lost(self, rng: Random) -> None:
        """Whoever founds the mesh loses its disk in that moment, and comes back mute, hearing what was said to its life
        before: it may want to lead the very same term."""
        after = rng.choice((0.0, rng.uniform(0, 3), rng.uniform(0, 30)))

        def founding(peer: int, role: str, *rest: object) -> None:
            if role == "leader" and not lost and self._storm.invariants.membership is None:
                lost.append(peer)
                self._world.after(after, lose, self._peers[peer])

        def lose(peer: Peer) -> None:
            if self._storm.invariants.membership is not None:
                return  # too late: others have it
            if not self._storm.operator.may_lose(peer):
                return  # others who voted for it have lost theirs a moment ago
            peer.wipe()
            for number in self._peers:
                self._network.cut(peer.number, number)
            peer.power_on()
            for delay in (rng.uniform(1000, 1800), rng.uniform(2200, 4000)):
                self._world.after(delay, self._network.mend)

        lost: list[int] = []
        self._network.echoes = rng.choice((0.0, 0.9))
        if rng.random() < 0.7:  # it must ask again and again, so that much is said that may come late
            first = min(number for number, one in self._peers.items() if not one.dead)
            for number in self._peers:
                self._network.link_weather[(number, first)] = Weather(0.0, 0.0, 150.0, 450.0, 0.0)
        self._world.listen("became", founding)

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
        if target not in replica.voters:
            return  # an operator would be refused
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
