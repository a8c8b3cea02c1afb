"""A stage for stories: the simulated mesh with nothing left to chance, moved by one short line at a time.

Every message takes one millisecond, every write to a disk half of one, every clock runs true, until a line says
otherwise. ``STEPS`` in ``player`` lists the lines. The invariants are checked at every step of every peer: a line
raises ``Violation`` when one is broken by what it lets happen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from hfzmq.core.replica import Replica
from tests.simulation.bed import Bed
from tests.simulation.invariants import Invariants
from tests.simulation.operator import Operator
from tests.simulation.peer import Peer
from tests.simulation.storm import LIMITS, TIMING
from tests.simulation.violation import Violation
from tests.simulation.world import Network, Weather, World

LEASE_MS = TIMING.lease_ms
PATIENCE_MS = 5 * LEASE_MS  # so long ``await`` waits
HEAL_MS = 30 * LEASE_MS  # so long a healed mesh may take until all is settled
CALM_MS = 4 * LEASE_MS  # and so long it must then stay so
SYNC_MS = 0.5


class Even(Random):
    """No chance: always the middle, the least, never. Seeds that are drawn for others differ."""

    def uniform(self, a: float, b: float) -> float:
        """The middle."""
        return (a + b) / 2

    def randint(self, a: int, b: int) -> int:
        """The least: of what was being written nothing reaches the disk."""
        return a

    def random(self) -> float:
        """Whatever is less than certain does not happen."""
        return 1 - 1e-9


class Still(World):
    """A world without chance."""

    def __init__(self) -> None:
        super().__init__(1, tracing=True)
        self.rng: Random = Even(1)


class Wires(Network):
    """Links that remember the last thing of each kind that was said on them, so that it can be said again."""

    def __init__(self, world: World) -> None:
        super().__init__(world, Weather(delay_least_ms=1.0, delay_most_ms=1.0))
        self._said: dict[tuple[Any, Any, str], tuple[Callable[..., None], tuple[Any, ...]]] = {}
        self._times: Counter[tuple[Any, Any, str]] = Counter()

    def send(self, source: Any, target: Any, deliver: Callable[..., None], *arguments: Any) -> None:
        """Remember and send."""
        for one in arguments:
            key = (source, target, type(one).__name__)
            self._said[key] = (deliver, arguments)
            self._times[key] += 1
        super().send(source, target, deliver, *arguments)

    def said(self, source: Any, target: Any, kind: str) -> int:
        """How often something of this kind was said on this link so far, delivered or not."""
        return self._times[source, target, kind]

    def again(self, source: Any, target: Any, kind: str) -> None:
        """The last of its kind on this link arrives once more, now."""
        if self.said(source, target, kind):
            deliver, arguments = self._said[source, target, kind]
            super().send(source, target, deliver, *arguments)


class Stage:
    """A mesh of ``peers`` that nobody has started yet, and clients that come when they are named."""

    def __init__(self, peers: int) -> None:
        self.world = Still()
        self.network = Wires(self.world)
        self.invariants = Invariants(peers)
        voters = self._voters = tuple(range(1, peers + 1))
        self.peers = {
            number: Peer(number, self.world, self.network, self.invariants, voters, TIMING, LIMITS) for number in voters
        }
        self.clients: dict[str, Bed] = {}
        self.invariants.peers, self.invariants.clients = self.peers, self.clients  # type: ignore[assignment]
        for peer in self.peers.values():
            self._set_up(peer)
        self.operator = Operator(self.world, self.network, self.peers, self.invariants)

    def _set_up(self, peer: Peer) -> None:
        peer.others, peer.sync_ms, peer.clock_offset = self.peers, (SYNC_MS, SYNC_MS), 0.0

    def begin(self) -> None:
        """All start together; time passes until the lowest id serves."""
        for peer in self.peers.values():
            peer.start()
        if not self.until(lambda: self.leaders() == [1] and self.invariants.membership is not None, PATIENCE_MS, 1.0):
            raise Violation("I10 a mesh that begins has no leader")

    def finish(self) -> None:
        """All is healed and must converge."""
        self.heal()
        self.until(self.invariants.settled, 2 * HEAL_MS, 20.0)
        self.wait(CALM_MS)
        self.invariants.healed()

    # ------------------------------------------------------------ time

    def wait(self, duration_ms: float) -> None:
        """Let time pass."""
        self.world.run_until(self.world.now + duration_ms)

    def until(self, condition: Callable[[], bool], within_ms: float, step_ms: float = 0.25) -> bool:
        """Let time pass until something is true; False when it does not become so."""
        end = self.world.now + within_ms
        while not condition():
            if self.world.now >= end:
                return False
            self.wait(step_ms)
        return True

    # ------------------------------------------------------------ what is so

    def replicas(self) -> Iterator[tuple[int, Replica]]:
        """Of the peers that run."""
        for number, peer in self.peers.items():
            if peer.replica is not None and not peer.paused:
                yield number, peer.replica

    def leaders(self) -> list[int]:
        """Who serves."""
        return [number for number, replica in self.replicas() if replica.serves]

    def latest_term_led(self) -> int:
        """The latest term in which anybody began to lead."""
        return max(self.invariants.leader_of, default=0)

    def client(self, name: str) -> Bed:
        """A client; it comes when it is first named."""
        if name not in self.clients:
            self.clients[name] = Bed(name, self.world, self.network, self.peers, self.invariants)
        return self.clients[name]

    # ------------------------------------------------------------ what is done

    def heal(self) -> None:
        """Everything is well from now on."""
        self.world.note("heal")
        self.operator.calm()
        self.network.mend()
        for peer in self.peers.values():
            peer.resume()
            peer.disk_recovers()
            peer.sync_ms = (SYNC_MS, SYNC_MS)
            peer.power_on()
        for client in self.clients.values():
            client.patient = False

    def crash(self, peer: int, late: bool = False) -> None:
        """Pull the plug. ``late``: all that was being written reaches the disk, though nobody is told."""
        plug = self.peers[peer]
        if late and plug.up:
            for effect in plug._unsynced:
                plug._sync(effect)
            plug._unsynced = []
        plug.crash()

    def join(self, number: int) -> None:
        """A machine that is no member starts, and the operator has it added; one that was removed has lost its disk."""
        if number not in self.peers:
            self.peers[number] = Peer(
                number, self.world, self.network, self.invariants, self._voters, TIMING, LIMITS
            )  # fmt: skip
            self._set_up(self.peers[number])
        self.operator.invite(number)

    def may_lose(self, number: int) -> bool:
        """Whether a mesh can survive the loss of this disk: those that are left make a majority, whichever change of
        members wins."""
        peer = self.peers[number]
        return not peer.halted and not self.operator._wishes and self.operator.may_lose(peer)

    def links(self, text: str) -> list[tuple[Any, Any]]:
        """``1->2``, ``1<->2`` or ``c1->2``: one link or two."""
        both = "<->" in text
        source, target = (_end(name) for name in text.split("<->" if both else "->"))
        for end in (source, target):
            if isinstance(end, int) and end not in self.peers:
                raise ValueError(f"there is no peer {end}")
        return [(source, target), (target, source)] if both else [(source, target)]

    def weather(self, link: tuple[Any, Any], delay_ms: float = 1.0, double: float = 0.0) -> None:
        """One link is slow, or says everything twice."""
        self.network.link_weather[link] = Weather(0.0, double, delay_ms, delay_ms)


def _end(name: str) -> Any:
    name = name.strip()
    return int(name) if name.isdigit() else name
