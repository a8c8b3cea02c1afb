"""Faults of the network that cut: pulled cables, routes that swallow, partitions of every shape.

    by cable, by route   the kernel's own, in namespaces (Network)
    by relay             whole messages of peers, anywhere (Proxy)

Touches the World only. Must not know: clients, which reach every peer all the while, save one whose cable is out.
"""

from __future__ import annotations

import subprocess
import time

from tests.nemesis.faults import MEMBERS, NETWORK, PROXY, Fault
from tests.nemesis.faults_members import COMMAND_S
from tests.nemesis.launch import command
from tests.nemesis.means import NETNS, PEER_COMMAND
from tests.nemesis.weather import DEAF
from tests.system.mesh import wait_for

Ways = list[tuple[int, int]]


class NetworkFault(Fault):
    """A fault of links; ``stop`` mends them all."""

    kind = NETWORK
    hold_s = 2.5

    def deafen(self, ways: Ways) -> None:
        """Messages on these ways are lost, by routes or by relays, as chance will have it."""
        if self.world.net and (self.world.proxy is None or self.chance.random() < 0.5):
            for source, target in ways:
                self.world.net.blackhole(source, target)
        elif self.world.proxy:
            self.world.proxy.weather(ways, DEAF)

    def both(self, one: list[int], other: list[int]) -> Ways:
        """All ways between two groups."""
        return self.world.ways(one, other) + self.world.ways(other, one)

    def stop(self) -> None:
        """All is well again."""
        if self.world.net:
            self.world.net.mend()
        if self.world.proxy:
            self.world.proxy.mend()


# ------------------------------------------------------------ cables and routes


class LinkDown(NetworkFault):
    """The leader's cable is pulled out: it is cut off from peers and clients."""

    name, says, needs = (
        "link_down_leader",
        "a leader without a cable is replaced, and follows when it is back",
        (NETNS,),
    )

    def start(self) -> str:
        """See the class."""
        leader = self.leader()
        assert self.world.net is not None
        self.world.net.link(leader, up=False)
        return f"cable of {leader}"


class LinkDownMinority(NetworkFault):
    """The cables of a minority are pulled out."""

    name, says, needs = "link_down_minority", "a minority without cables is not missed", (NETNS,)

    def start(self) -> str:
        """See the class."""
        hurt = self.minority()
        assert self.world.net is not None
        for number in hurt:
            self.world.net.link(number, up=False)
        return f"cables of {hurt}"


class LinkFlaps(NetworkFault):
    """The leader's cable goes out and in, for less and more than a lease."""

    name, says, needs = "link_flaps", "a cable that goes in and out loses nothing", (NETNS,)
    hold_s = 4.0

    def start(self) -> str:
        """See the class."""
        self._hurt, self._up, self._next = self.leader(), True, 0.0
        return f"cable of {self._hurt}, in and out"

    def tick(self) -> None:
        """In or out."""
        if time.monotonic() >= self._next:
            assert self.world.net is not None
            self._up = not self._up
            self.world.net.link(self._hurt, self._up)
            self._next = time.monotonic() + self.chance.uniform(0.2, 1.4)


class Blackhole(NetworkFault):
    """A route in the leader's namespace swallows what it sends to each other peer; it still hears them."""

    name, says, needs = "blackhole_from_leader", "a leader that nobody hears is replaced", (NETNS,)

    def start(self) -> str:
        """See the class."""
        leader = self.leader()
        assert self.world.net is not None
        for source, target in self.world.ways([leader], self.world.peers):
            self.world.net.blackhole(source, target)
        return f"nothing of {leader} arrives"


class BlackholeTo(NetworkFault):
    """Routes of the others swallow what they send to the leader; they still hear it."""

    name, says, needs = "blackhole_to_leader", "a leader that hears nobody steps down", (NETNS,)

    def start(self) -> str:
        """See the class."""
        leader = self.leader()
        assert self.world.net is not None
        for source, target in self.world.ways(self.world.peers, [leader]):
            self.world.net.blackhole(source, target)
        return f"nothing arrives at {leader}"


# ------------------------------------------------------------ partitions


class MuteLeader(NetworkFault):
    """Every message of the leader to other peers is lost, on live connections."""

    name, says, needs = "mute_leader", "a leader whose messages are lost one way is replaced", (PROXY,)

    def start(self) -> str:
        """See the class."""
        leader = self.leader()
        assert self.world.proxy is not None
        self.world.proxy.weather(self.world.ways([leader], self.world.peers), DEAF)
        return f"{leader} is mute"


class DeafLeader(NetworkFault):
    """Every message to the leader is lost, on live connections."""

    name, says, needs = "deaf_leader", "a leader that is deaf stops acknowledging", (PROXY,)

    def start(self) -> str:
        """See the class."""
        leader = self.leader()
        assert self.world.proxy is not None
        self.world.proxy.weather(self.world.ways(self.world.peers, [leader]), DEAF)
        return f"{leader} is deaf"


class Split(NetworkFault):
    """A minority with the leader in it is cut off from the majority."""

    name, says = "split_minority_holds_leader", "the majority goes on, the leader among the few acknowledges nothing"

    def start(self) -> str:
        """See the class."""
        few = self.minority(self.leader())
        self.deafen(self.both(few, self.world.others(*few)))
        return f"{few} | {self.world.others(*few)}"


class Bridge(NetworkFault):
    """Two halves hear nothing of each other; one peer hears and is heard by all."""

    name, says = "bridge_partition", "two halves with one peer between them never have two who acknowledge"

    def start(self) -> str:
        """See the class."""
        middle = self.chance.choice(self.world.peers)
        rest = self.world.others(middle)
        self.chance.shuffle(rest)
        one, other = sorted(rest[: len(rest) // 2]), sorted(rest[len(rest) // 2 :])
        self.deafen(self.both(one, other))
        return f"{one} - {middle} - {other}"


class Ring(NetworkFault):
    """Everybody hears a majority, and each another one (with three peers: one link is cut)."""

    name, says = "majority_ring", "where each sees another majority, nothing is acknowledged twice or lost"

    def start(self) -> str:
        """See the class."""
        ring = self.chance.sample(self.world.peers, len(self.world.peers))
        count, reach = len(ring), len(ring) // 4 if len(ring) > 3 else 1
        near = {
            (ring[at], ring[(at + step) % count])
            for at in range(count if count > 3 else count - 1)
            for step in range(1, reach + 1)
        }
        near |= {(target, source) for source, target in near}
        self.deafen([way for way in self.world.ways(ring, ring) if way not in near])
        return f"ring {ring}"


class OneWay(NetworkFault):
    """Each ordered pair of peers is cut with a chance of one in three."""

    name, says = "one_way_cuts", "links that are cut one way, anywhere, lose nothing"

    def start(self) -> str:
        """See the class."""
        ways = [way for way in self.world.ways(self.world.peers, self.world.peers) if self.chance.random() < 1 / 3]
        self.deafen(ways)
        return " ".join(f"{source}>{target}" for source, target in ways)


class Laggard(NetworkFault):
    """The lowest id that follows is cut off until it trails; then its links are mended and the leader dies at once: the
    one who would lead by its id must not, for it has not got everything."""

    name, says, hold_s = "laggard", "a low id with an old log is not elected over those who know more", 4.0
    trails = 10  # entries

    def start(self) -> str:
        """See the class."""
        self._hurt = min(self.world.others(self.leader()))
        self._struck = False
        self.deafen(self.both([self._hurt], self.world.peers))
        return f"{self._hurt} trails, then the leader dies"

    def tick(self) -> None:
        """The moment when it trails."""
        if self._struck:
            return
        peers = self.world.status()
        leader = self.world.leader()
        if leader and leader != self._hurt and self._hurt in peers:
            trail = peers[leader]["commit_index"] - peers[self._hurt]["last_index"]
            if trail >= self.trails:
                self._struck = True
                self.world.excused.add(leader)
                super().stop()
                self.world.stop(leader)


class SlowLeaderCutOff(NetworkFault):
    """A leader whose clock runs at a third of its pace is cut off: by its own clock it still leads, and answers whoever
    asks, when the others have long begun to acknowledge under another one. No rule of safety may rest on a clock."""

    name, says = "slow_clock_leader", "a leader whose clock is slow, cut off, answers no consistent read"
    kind, hold_s = MEMBERS, 4.0  # by itself: it needs the lead for a moment
    needs = (PEER_COMMAND,)  # by itself it would be trusted late, after a run in which it flapped
    rate, leads_within_s = 0.3, 60.0

    def start(self) -> str:
        """See the class."""
        self._hurt = self.world.peers[0]
        self._commands: list[subprocess.Popen[bytes]] = []
        self._restart(self.rate)
        wait_for("the lead", self._is_given_the_lead, self.leads_within_s)
        self.deafen(self.both([self._hurt], self.world.peers))
        return f"{self._hurt} at {self.rate:g} of its pace, and alone"

    def stop(self) -> None:
        """Right again, by a restart."""
        super().stop()
        for one in self._commands:
            one.wait(COMMAND_S)
        self._restart(1.0)

    def _is_given_the_lead(self) -> bool:
        if self.world.leader() == self._hurt:
            return True
        if all(one.poll() is not None for one in self._commands):
            words = command("peer", "transfer", self._hurt, "--config", self.world.path, "--timeout", 5)
            self._commands.append(self.world.helper(words))
        return False

    def _restart(self, rate: float) -> None:
        self.world.excused.add(self._hurt)
        self.world.stop(self._hurt)
        self.world.rates = {} if rate == 1.0 else {self._hurt: rate}
        self.world.start(self._hurt)
