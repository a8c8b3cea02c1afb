"""A storm: one seed draws a mesh, its weather and its faults; chaos, then heal, then everything must converge.

Each seed draws its own mix, so that some storms have only crashes and others every fault at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hfzmq.core.contract import ACK, LEADER, Became, Effect, Reply, Send
from hfzmq.core.messages import AppendReply, AppendRequest, TimeoutNow, VoteReply
from hfzmq.settings import Limits, Timing
from tests.simulation.ailments import Ailments
from tests.simulation.client import Client
from tests.simulation.invariants import Invariants
from tests.simulation.operator import Operator
from tests.simulation.peer import Peer
from tests.simulation.strikes import Strikes
from tests.simulation.violation import Violation
from tests.simulation.world import Network, Weather, World

TIMING = Timing(lease_ms=1000, heartbeat_ms=100, handover_settle_ms=2000)
LIMITS = Limits(append_bytes_max=600, inflight_appends_max=4, uncommitted_bytes_max=4000)
HEAL_MS = 30 * TIMING.lease_ms
HALF_MS = 10 * TIMING.lease_ms  # so long a quorum is well while the others are not
CALM_MS = 4 * TIMING.lease_ms


# How often a storm strikes right after something has happened.
AMBUSHES = {
    "lead": (0.3, 0.8),
    "vote": (0.1, 0.5),
    "append": (0.005, 0.02),
    "ack of an append": (0.003, 0.01),
    "ack": (0.01, 0.03),
    "hand-over": (0.4, 0.8),
}


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
        self, seed: int, tracing: bool = False, chaos_ms: float = 20_000, peers: int = 0, clients: int = -1,
        members: bool = True,
    ) -> None:  # fmt: skip
        """``members`` False: they do not change, whatever the seed says; for those who do not know how."""
        self.seed = seed
        self.world = World(seed, tracing)
        rng = self.world.rng
        count = peers or rng.choice((3, 3, 5))
        self.chaos_ms = chaos_ms
        self.network = Network(self.world, Weather())
        self.invariants = Invariants(count)
        voters = tuple(range(1, count + 1))
        timing = TIMING if clients >= 0 else TIMING._replace(handover_settle_ms=rng.choice((2000, 2000, 100)))
        limits = LIMITS if clients >= 0 else LIMITS._replace(log_entries_keep=rng.choice((3, 10, 20_000)))
        newcomer = rng.choice((0, 0, 1, count + 1)) if clients < 0 else 0  # a peer that may join; the lowest would lead
        newcomer *= members
        if newcomer == 1:
            voters = tuple(range(2, count + 2))
        self.peers = {
            number: Peer(number, self.world, self.network, self.invariants, voters, timing, limits) for number in voters
        }
        if newcomer:
            joins = Peer(newcomer, self.world, self.network, self.invariants, voters, timing, limits)
            joins.dead = True
            self.peers = dict(sorted({**self.peers, newcomer: joins}.items()))
        self.clients = {
            name: Client(name, self.world, self.network, self.peers, self.invariants, rng.randint(10, 100))
            for name in (f"c{number}" for number in range(rng.choice((1, 2, 3, 4, 6, 12)) if clients < 0 else clients))
        }
        self.invariants.peers, self.invariants.clients = self.peers, self.clients
        self.operator = Operator(self.world, self.network, self.peers, self.invariants)
        self.operator.uninvited = [newcomer] if newcomer else []
        for peer in self.peers.values():
            peer.others = self.peers
            peer.clock_rate = rng.choice((1.0, 1.0, rng.uniform(0.9, 1.1)))
            peer.sync_ms = (0.05, rng.choice((0.2, 1.0, 30.0, 200.0, 600.0)))
            self.world.after(rng.uniform(0, 500), peer.power_on)
        for client in self.clients.values():
            client.think_ms = rng.choice((chaos_ms / client.total, chaos_ms / client.total, 20.0))
            self.world.after(rng.uniform(0, 1000), client.ask)
        self.faults = 0
        self.chaos_over = False
        kinds = [self._crash, self._power_cut, self._pause, self._split, self._one_way, self._isolate, self._bridge,
                 self._stall, self._flaky, self._weather, self._link, self._figure_8, self._figure_8]  # fmt: skip
        strikes = Strikes(self)
        plots = strikes.kinds()
        kinds += plots
        staged = clients < 0 and rng.random() < 0.3  # plots alone, and time for each: other faults' ends spoil them
        self._kinds = plots if staged else rng.sample(kinds, rng.randint(1, len(kinds)))
        self._pace_ms = 2500.0 if staged else rng.choice((200.0, 500.0, 1500.0))
        changes = [self.operator.wipe, self.operator.remove, self.operator.add, self.operator.transfer]
        self._members_change = clients < 0 and rng.random() < 0.5 and members
        if self._members_change:
            changes += strikes.of_members()
            self._kinds = self._kinds + rng.sample(changes, rng.randint(1, len(changes))) * rng.choice((1, 1, 3))
        self.network.echoes = 0.0 if clients >= 0 else rng.choice((0.0, 0.0, 0.3, 0.9))
        self._ambushes = {kind: rng.choice(AMBUSHES[kind]) for kind in rng.sample(list(AMBUSHES), rng.randint(0, 3))}
        if clients < 0 and members:
            self._members_change |= strikes.begin()
            Ailments(self).begin()
        if self._ambushes and clients < 0:
            for peer in self.peers.values():
                peer.ambush = self._ambush

    def run(self) -> Outcome:
        """Chaos, heal, check."""
        violation = None
        try:
            self.world.after(1500, self._next_fault)
            self.world.run_until(self.chaos_ms)
            if self.world.rng.random() < 0.3 and not self._members_change and self.invariants.membership:
                self._heal_half()
            self.heal()
            end = self.world.now + HEAL_MS * (2 if self._members_change else 1)
            while self.world.now < end:
                self.world.run_until(min(end, self.world.now + 200))
                if self.invariants.settled():
                    self.world.run_until(min(end, self.world.now + CALM_MS))
                    if self.invariants.settled():
                        break  # and not by chance, a moment before somebody came back
            self.invariants.healed()
        except Violation as error:
            violation = str(error)
        except Exception as error:  # the core has raised: that peer's process is gone
            violation = f"the core raised {type(error).__name__}: {error}"
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
        self.chaos_over = True
        self.operator.calm()
        self.network.mend()
        self.network.weather = Weather()
        self.network.echoes = 0.0
        for client in self.clients.values():
            client.wanders = 0.0
            client.hurry()  # so that all can be done in the time that is left
        for number, peer in self.peers.items():
            peer.resume()
            peer.disk_recovers()
            peer.dead = number in self.operator.uninvited
            peer.power_on()
        if self._members_change:
            self.operator.correct()
        if self._members_change and self.world.rng.random() < 0.7:
            for number, peer in self.peers.items():
                if peer.halted:
                    self.operator.invite(number)

    def _heal_half(self) -> None:
        """A quorum is well; the others are dead, deaf, mute or cut off, and must not be able to disturb it."""
        rng = self.world.rng
        numbers = list(self.peers)
        rng.shuffle(numbers)
        ill = numbers[: rng.randint(1, (len(numbers) - 1) // 2)]
        well = [number for number in self.peers if number not in ill]
        how = rng.choice(("dead", "deaf", "mute", "cut off", "half deaf", "half deaf"))
        self.heal()
        term, latest_term = max(self.invariants.leader_of, default=0), self.invariants.latest_term
        self.world.note("half", ill, how)
        if rng.random() < 0.5:
            for client in self.clients.values():
                client.hush(HALF_MS + CALM_MS)  # whoever is cut off does not even fall behind
        for number in ill:
            if how == "dead":
                self.peers[number].crash()
                self.peers[number].dead = True
            for other in well[:-1] if how == "half deaf" else ():
                self.network.cut(other, number)
            for other in self.peers:
                if how in ("deaf", "cut off"):
                    self.network.cut(other, number)
                if how in ("mute", "cut off"):
                    self.network.cut(number, other)
        if how == "half deaf":
            well = list(self.peers)  # it may lead
        self.world.run_until(self.world.now + HALF_MS)
        self.invariants.majority_serves(well)
        changes = self.invariants.unprompted
        self.world.run_until(self.world.now + CALM_MS)
        self.invariants.majority_serves(well)
        if self.invariants.unprompted != changes:
            self.invariants.fail(f"I10 the {how} {ill} disturb the well {well}")
        forgotten = latest_term > max(self.invariants.leader_of, default=0)
        self.heal()
        self.world.run_until(self.world.now + CALM_MS)
        # Each of them once: one that was handed the lead and could not say that it took it returns with a later term;
        # so does one that voted in a term that no other disk holds, before, while nobody was well.
        fair = len(ill) if forgotten or self.invariants.handed_to(ill, term) else 0
        if self.invariants.unprompted - changes > fair:
            self.invariants.fail(f"I10 the {how} {ill} depose the leader when they return")

    # ------------------------------------------------------------ faults

    def _unless_over(self, action: Callable[[], None]) -> None:
        if not self.chaos_over:
            action()

    def _ambush(self, peer: Peer, effects: list[Effect]) -> None:
        """Strike right after a peer has said or become something."""
        if self.chaos_over or not effects:
            return
        rng = self.world.rng
        for effect in effects:
            chance = self._ambushes.get(_kind(effect), 0.0)
            if chance and rng.random() < chance:
                self.faults += 1
                if _kind(effect) == "hand-over" and rng.random() < 0.6:
                    self.world.after(rng.uniform(1, 8), self._leave_behind, peer)
                else:
                    self.world.after(rng.choice((0.0, rng.uniform(0, 5), rng.uniform(0, 100))), self._strike, peer)
                return

    def _strike(self, peer: Peer) -> None:
        if self.chaos_over:
            return
        rng = self.world.rng
        how = rng.choice(("crash", "crash", "pause", "stall", "cut off", "cut off", "almost"))
        self.world.note("strike", how, peer.number)
        if how == "crash" and peer.up:
            peer.crash()
            self.world.after(rng.choice((5.0, 100.0, 1500.0)), peer.power_on)
        elif how == "pause":
            peer.pause()
            self.world.after(rng.uniform(500, 3000), peer.resume)
        elif how == "stall":
            peer.stall(self.world.now + rng.uniform(100, 2000))
        elif how in ("cut off", "almost"):
            friend = rng.choice(list(self.peers)) if how == "almost" else 0  # it still reaches one
            self.network.split({peer.number}, set(self.peers) - {peer.number, friend})
            self.world.after(rng.choice((300.0, 1500.0, 2500.0)), self._unless_over, self.network.mend)

    def _leave_behind(self, peer: Peer) -> None:
        """Whoever has just given the lead away does not hear that it was taken; clients may still ask it."""
        if self.chaos_over:
            return
        rng = self.world.rng
        self.world.note("left behind", peer.number)
        self.network.split({peer.number}, set(self.peers) - {peer.number})
        for client in self.clients.values():
            if rng.random() < 0.7:
                self.world.after(rng.uniform(30, 600), client.prefer, peer.number)
        self.world.after(1500, self._unless_over, self.network.mend)

    def _figure_8(self) -> None:
        """A leader that reaches few or nobody for a moment, takes requests in, and then dies or comes back."""
        rng = self.world.rng
        leaders = [peer for peer in self.peers.values() if peer.replica and peer.replica.leading]
        if not leaders:
            return
        peer = rng.choice(leaders)
        friends = set(rng.sample(list(self.peers), rng.randint(0, len(self.peers) // 2 - 1)))
        self.world.note("figure 8", peer.number, sorted(friends))
        self.network.split({peer.number}, set(self.peers) - {peer.number} - friends)
        if rng.random() < 0.6:
            for client in self.clients.values():
                client.prefer(peer.number)
        after = rng.uniform(5, 900)
        if rng.random() < 0.7:
            self.world.after(after, self._unless_over, peer.crash)
            self.world.after(after + rng.uniform(500, 3000), peer.power_on)
        self.world.after(after + rng.uniform(0, 1500), self._unless_over, self.network.mend)

    def _link(self) -> None:
        """One direction of one link has weather of its own."""
        rng = self.world.rng
        source, target = rng.sample(list(self.peers), 2)
        self.network.link_weather[(source, target)] = weather = Weather(
            rng.choice((0.0, 0.3, 0.8)),
            rng.choice((0.0, 0.5)),
            0.2,
            rng.choice((2.0, 100.0, 1500.0)),
            rng.choice((0.0, 0.2)),
        )
        self.world.note("link", source, target, weather)
        self._mend_later()

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
        self.world.after(self.world.rng.uniform(200, 5000), self._unless_over, self.network.mend)

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
                                       0.2, slow, rng.choice((0.0, 0.0, rng.uniform(0, 0.3))))  # fmt: skip
        self.world.note("weather", self.network.weather)


def _kind(effect: Effect) -> str:
    if isinstance(effect, Send):
        message = effect.message
        if isinstance(message, VoteReply):
            return "vote" if message.granted and not message.pre else ""
        if isinstance(message, AppendRequest):
            return "append" if message.entries else ""
        if isinstance(message, AppendReply):
            return "ack of an append"
        return "hand-over" if isinstance(message, TimeoutNow) else ""
    if isinstance(effect, Became):
        return "lead" if effect.role == LEADER else ""
    return "ack" if isinstance(effect, Reply) and effect.status == ACK else ""


def run(seed: int, tracing: bool = False) -> Outcome:
    """The storm of a seed."""
    return Storm(seed, tracing).run()
