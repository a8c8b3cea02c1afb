"""A storm: one seed draws a mesh, its weather and its faults; chaos, then heal, then everything must converge.

Each seed draws its own mix, so that some storms have only crashes and others every fault at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from hfzmq.config import Limits, Timing
from tests.simulation.client import Client
from tests.simulation.invariants import Invariants, Violation
from tests.simulation.peer import Peer
from tests.simulation.world import Network, Weather, World

TIMING = Timing(lease_ms=1000, heartbeat_ms=100, handover_settle_ms=2000)
LIMITS = Limits(append_bytes_max=600, inflight_appends_max=4, uncommitted_bytes_max=4000)
HEAL_MS = 30 * TIMING.lease_ms


@dataclass(frozen=True)
class Outcome:
    """What a storm did; ``violation`` is None when every invariant held."""

    seed: int
    peers: int
    events: int
    faults: int
    acks: int
    leaders: int
    fingerprint: int
    violation: str | None
    trace: tuple[str, ...] = ()

    def line(self) -> str:
        """One line for a person."""
        verdict = self.violation or "ok"
        return (
            f"seed {self.seed:6d}  peers {self.peers}  events {self.events:6d}  faults {self.faults:3d}  "
            f"acks {self.acks:4d}  leaders {self.leaders:3d}  print {self.fingerprint:08x}  {verdict}"
        )


class Storm:
    """A mesh, clients and faults, all drawn from one seed."""

    def __init__(
        self, seed: int, tracing: bool = False, chaos_ms: float = 20_000, peers: int = 0, clients: int = -1
    ) -> None:
        self.seed = seed
        self.world = World(seed, tracing)
        rng = self.world.rng
        count = peers or rng.choice((3, 3, 5))
        self.chaos_ms = chaos_ms
        self.network = Network(self.world, Weather())
        self.invariants = Invariants(count)
        voters = tuple(range(1, count + 1))
        self.peers = {
            number: Peer(number, self.world, self.network, self.invariants, voters, TIMING, LIMITS) for number in voters
        }
        self.clients = {
            name: Client(name, self.world, self.network, self.peers, self.invariants, rng.randint(10, 120))
            for name in (f"c{number}" for number in range(rng.randint(1, 6) if clients < 0 else clients))
        }
        self.invariants.peers, self.invariants.clients = self.peers, self.clients
        for peer in self.peers.values():
            peer.others = self.peers
            peer.clock_rate = rng.choice((1.0, 1.0, rng.uniform(0.9, 1.1)))
            peer.sync_ms = (0.05, rng.choice((0.2, 1.0, 30.0, 200.0)))
            self.world.after(rng.uniform(0, 500), peer.start)
        for client in self.clients.values():
            client.think_ms = chaos_ms / client.total
            self.world.after(rng.uniform(0, 1000), client.ask)
        self.faults = 0
        kinds = [self._crash, self._power_cut, self._pause, self._split, self._one_way, self._isolate, self._bridge,
                 self._stall, self._flaky, self._weather]  # fmt: skip
        self._kinds = rng.sample(kinds, rng.randint(1, len(kinds)))
        self._pace_ms = rng.choice((200.0, 500.0, 1500.0))

    def run(self) -> Outcome:
        """Chaos, heal, check."""
        violation = None
        try:
            self.world.after(1500, self._next_fault)
            self.world.run_until(self.chaos_ms)
            self.heal()
            self.world.run_until(self.chaos_ms + HEAL_MS)
            self.invariants.healed()
        except Violation as error:
            violation = str(error)
        return Outcome(
            self.seed,
            len(self.peers),
            self.world.events,
            self.faults,
            self.invariants.acks,
            self.invariants.leader_changes,
            self.world.fingerprint,
            violation,
            tuple(self.world.trace),
        )

    def heal(self) -> None:
        """Everything is well from now on."""
        self.world.note("heal")
        self.network.mend()
        self.network.weather = Weather()
        for client in self.clients.values():
            client.think_ms = min(client.think_ms, 50.0)  # so that all can be done in the time that is left
        for peer in self.peers.values():
            peer.resume()
            peer.sync_ms = (0.05, 1.0)
            peer.power_on()

    # ------------------------------------------------------------ faults

    def _next_fault(self) -> None:
        if self.world.now < self.chaos_ms - 100:
            self.faults += 1
            self.world.rng.choice(self._kinds)()
            self.world.after(self.world.rng.expovariate(1 / self._pace_ms), self._next_fault)

    def _any_peer(self) -> Peer:
        leaders = [peer for peer in self.peers.values() if peer.replica and peer.replica.leading]
        rng = self.world.rng
        return rng.choice(leaders) if leaders and rng.random() < 0.5 else rng.choice(list(self.peers.values()))

    def _crash(self) -> None:
        peer = self._any_peer()
        if peer.up:
            peer.crash()
            self.world.after(self.world.rng.choice((50.0, 500.0, 3000.0)), peer.power_on)

    def _power_cut(self) -> None:
        self.world.note("power cut")
        for peer in self.peers.values():
            peer.crash()
            self.world.after(self.world.rng.uniform(10, 1500), peer.power_on)

    def _flaky(self) -> None:
        peer = self._any_peer().number
        self.network.make_flaky(peer, self.world.rng.uniform(0.3, 0.9))
        self.world.note("flaky", peer)
        self._mend_later()

    def _pause(self) -> None:
        peer = self._any_peer()
        peer.pause()
        self.world.after(self.world.rng.uniform(100, 5000), peer.resume)

    def _mend_later(self) -> None:
        self.world.after(self.world.rng.uniform(200, 5000), self.network.mend)

    def _split(self) -> None:
        numbers = list(self.peers)
        self.world.rng.shuffle(numbers)
        at = self.world.rng.randint(1, len(numbers) - 1)
        self.world.note("split", numbers[:at], numbers[at:])
        clients = set(self.clients)
        side = {client for client in self.clients if self.world.rng.random() < 0.5}  # in order: a set has none
        self.network.split(set(numbers[:at]) | side, set(numbers[at:]) | (clients - side))
        self._mend_later()

    def _one_way(self) -> None:
        peer = self._any_peer().number
        deaf = self.world.rng.random() < 0.5
        self.world.note("deaf" if deaf else "mute", peer)
        for other in self.peers:
            self.network.cut(*((other, peer) if deaf else (peer, other)))
        self._mend_later()

    def _isolate(self) -> None:
        peer = self._any_peer().number
        self.world.note("isolate", peer)
        self.network.split({peer}, set(self.peers) - {peer})
        self._mend_later()

    def _bridge(self) -> None:
        numbers = list(self.peers)
        self.world.rng.shuffle(numbers)
        middle = len(numbers) // 2
        self.world.note("bridge", numbers[:middle], numbers[middle], numbers[middle + 1 :])
        self.network.split(set(numbers[:middle]), set(numbers[middle + 1 :]))
        self._mend_later()

    def _stall(self) -> None:
        peer = self._any_peer()
        self.world.note("stall", peer.number)
        peer.stall(self.world.now + self.world.rng.uniform(100, 3000))

    def _weather(self) -> None:
        rng = self.world.rng
        slow = rng.choice((2.0, 20.0, 400.0))
        self.network.weather = Weather(rng.choice((0.0, rng.uniform(0, 0.3))), rng.choice((0.0, rng.uniform(0, 0.5))),
                                       0.2, slow)  # fmt: skip
        self.world.note("weather", self.network.weather)


def run(seed: int, tracing: bool = False) -> Outcome:
    """The storm of a seed."""
    return Storm(seed, tracing).run()
