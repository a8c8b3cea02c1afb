"""A simulated bedside client: Lazy Pirate with a queue that never forgets.

Some are nosy: they ask aside, of peers that a sane client would not ask, just when an answer is most likely to be stale
or wrong: right after an acknowledgement elsewhere, and right after somebody has begun to lead.
"""

from __future__ import annotations

import hashlib
from random import Random
from typing import TYPE_CHECKING

from hfzmq.core.contract import ACK, BUSY, CONFLICT, GAP, LEADER, NOT_LEADER, READ, Proposal, ReadIndex, Reply
from hfzmq.core.types import Origin

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.peer import Peer
    from tests.simulation.world import Network, World

TIMEOUT_MS = 1000.0
FAR_AHEAD = 1_000_000
PEEKS_MS = (3.0, 20.0, 150.0, 800.0)  # so soon, at most, a nosy client asks whoever has begun to lead


class Probe:
    """Hears the answer to what must not be stored."""

    def __init__(self, client: Client, origin: Origin) -> None:
        self.name = client.name
        self._invariants = client.invariants
        self._origin = origin

    def answered(self, peer: int, request: int, reply: Reply) -> None:
        """The answer."""
        self._invariants.probed(peer, self._origin, reply)


class Aside:
    """A question beside the request under way. ``seq`` 0: a read, which must show all up to ``floor``."""

    def __init__(self, client: Client, seq: int, floor: int) -> None:
        self.name = client.name
        self._client = client
        self._seq = seq
        self._floor = floor

    def answered(self, peer: int, request: int, reply: Reply) -> None:
        """The answer: true, whoever it is from and whenever it comes."""
        self._client.check(peer, reply, self._seq, self._floor)
        if reply.status == ACK:
            self._client.peek_elsewhere(peer)


class Client:
    """Sends ``total`` requests one after the other; now and then a consistent read instead."""

    def __init__(
        self, name: str, world: World, network: Network, peers: dict[int, Peer], invariants: Invariants, total: int
    ) -> None:
        self.name = name
        self.world = world
        self.network = network
        self.peers = peers
        self.invariants = invariants
        self.rng = Random(world.rng.getrandbits(32))
        self.epoch = hashlib.blake2b(name.encode(), digest_size=16).digest()
        self.total = total
        self.seq = 1
        self.think_ms = 50.0
        self._request = 0
        self._target = self.rng.choice(list(peers))
        self._backoff_ms = 100.0
        self.timeout_ms = self.rng.choice((TIMEOUT_MS, TIMEOUT_MS, 250.0))
        self.wanders = self.rng.choice((0.0, 0.05, 0.3))  # so often it asks whom it likes
        self.probes = self.rng.choice((0.0, 0.05))  # so often it sends what must not be stored
        self.nosy = self.rng.choice((0.0, 0.1, 0.5))  # so often it asks aside
        if self.nosy:
            world.listen("became", self._became)
        self._thinking = False
        self._quiet_until = 0.0
        self._asked: dict[int, tuple[int, int]] = {}  # request -> (seq, or 0 for a read; floor of the read)

    def __repr__(self) -> str:
        return self.name

    @property
    def done(self) -> bool:
        """Whether everything was acknowledged."""
        return self.seq > self.total

    def body(self, seq: int) -> bytes:
        """What this client says under ``seq``, always the same."""
        return b"%s:%d" % (self.name.encode(), seq)

    def origin(self, seq: int) -> Origin:
        """The request's identity, always the same."""
        return Origin(self.name, self.epoch, seq, hashlib.blake2b(self.body(seq), digest_size=16).digest())

    def ask(self) -> None:
        """Send the request that is due, under a new number, so that a late answer to an old one is not mistaken."""
        self._thinking = False
        if self.done:
            return
        if self.world.now < self._quiet_until:
            self._think(self._quiet_until - self.world.now)
            return
        self._request += 1
        route = (self, self._request)
        if self.wanders and self.rng.random() < self.wanders:
            self._target = self.rng.choice(list(self.peers))
        if self.probes and self.seq > 1 and self.rng.random() < self.probes:
            self._probe()
        if self.rng.random() < 0.25:
            self._asked[self._request] = (0, self.invariants.last_acked_index)
            self.network.send(self.name, self._target, self.peers[self._target].asked, ReadIndex(route))
        else:
            self._asked[self._request] = (self.seq, 0)
            proposal = Proposal(route, self.origin(self.seq), self.body(self.seq))
            self.network.send(self.name, self._target, self.peers[self._target].asked, proposal)
        self.world.after(self.timeout_ms, self._timed_out, self._request)

    def answered(self, peer: int, request: int, reply: Reply) -> None:
        """An answer. A late one must be true like any other, but moves nothing."""
        self.check(peer, reply, *self._asked[request])
        if request != self._request:
            return
        if reply.status == ACK:
            self.seq += 1
            self._next(0.0 if self.rng.random() < 0.5 else self.rng.expovariate(1 / self.think_ms))
            self.peek_elsewhere(peer)
        elif reply.status == READ:
            self._next(0.0)
        elif reply.status == NOT_LEADER and reply.leader in self.peers and reply.leader != peer:
            self._target = reply.leader
            self._retry(20.0)
        else:
            if reply.status != BUSY:
                self._rotate()
            self._retry(self._backoff_ms)

    def check(self, peer: int, reply: Reply, seq: int, floor: int) -> None:
        """Whether what a peer says can be so. ``seq``: of the request that it answers, 0 for a read from ``floor``."""
        if reply.status == ACK:
            self.invariants.acked(self, peer, reply, seq)
        elif reply.status == READ:
            self.invariants.read(peer, reply, floor)
        elif reply.status == CONFLICT or (reply.status == GAP and reply.expected <= seq):
            # When it was sent all before it were acknowledged. A late copy may find the mesh further on, never behind.
            self.invariants.fail(f"I4 peer {peer} tells {self.name} {reply.status} for {seq}: {reply}")

    # ------------------------------------------------------------ asking aside

    def peek_elsewhere(self, peer: int) -> None:
        """Something was acknowledged by ``peer``: what do the others say now?"""
        if self.nosy and self.rng.random() < self.nosy:
            for number in self.peers:
                if number != peer and self.rng.random() < 0.5:
                    self._peek(number)

    def _became(self, peer: int, role: str, *rest: object) -> None:
        if role == LEADER and self.rng.random() < self.nosy:
            for most_ms in PEEKS_MS:
                self.world.after(self.rng.uniform(0, most_ms), self._peek, peer)

    def _peek(self, peer: int) -> None:
        if self.done or self.world.now < self._quiet_until or self.rng.random() < 0.6:
            aside, question = Aside(self, 0, self.invariants.last_acked_index), None
        else:
            aside, question = Aside(self, self.seq, 0), self.origin(self.seq)
        route = (aside, 0)
        event = Proposal(route, question, self.body(self.seq)) if question else ReadIndex(route)
        self.network.send(self.name, peer, self.peers[peer].asked, event)

    # ------------------------------------------------------------

    def _next(self, delay: float) -> None:
        self._backoff_ms = 100.0
        self._request += 1  # nothing is in flight
        self._think(delay)

    def _retry(self, delay: float) -> None:
        self._backoff_ms = min(self._backoff_ms * 1.5, 1000.0)
        self._request += 1
        self._think(delay * self.rng.uniform(0.5, 1.5))

    def _think(self, delay: float) -> None:
        self._thinking = True
        self.world.after(delay, self._thought, self._request)

    def _thought(self, request: int) -> None:
        if self._thinking and request == self._request:
            self.ask()

    def prefer(self, peer: int) -> None:
        """Ask this peer next, and now if nothing is under way."""
        self._target = peer
        if self._thinking:
            self._think(self.rng.uniform(0, 20))

    def hush(self, span_ms: float) -> None:
        """Ask nothing more for so long."""
        self._quiet_until = self.world.now + span_ms

    def hurry(self) -> None:
        """No long thoughts any more, not even the one it is at."""
        self.think_ms = min(self.think_ms, 50.0)
        if self._thinking:
            self._think(50.0)

    def _probe(self) -> None:
        """What must never be stored: another text under a seq that was acknowledged, or a seq from far ahead."""
        seq = self.seq - 1 if self.rng.random() < 0.5 else self.seq + FAR_AHEAD
        origin = Origin(self.name, self.epoch, seq, b"not the one again")
        proposal = Proposal((Probe(self, origin), 0), origin, b"not to be stored")
        self.network.send(self.name, self._target, self.peers[self._target].asked, proposal)

    def _timed_out(self, request: int) -> None:
        if request == self._request:
            self._rotate()
            self._retry(self._backoff_ms)

    def _rotate(self) -> None:
        numbers = sorted(self.peers)
        self._target = numbers[(numbers.index(self._target) + 1) % len(numbers)]
