"""A bedside client of stories: it asks when it is told to, goes where it is pointed, and never forgets what is unsent.

Unlike ``client.Client`` it draws nothing and thinks of nothing by itself: a story says each request it has.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from hfzmq.core.contract import ACK, BUSY, CONFLICT, GAP, NOT_LEADER, READ, Proposal, ReadIndex, Reply
from hfzmq.core.types import Origin

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.peer import Peer
    from tests.simulation.world import Network, World

TIMEOUT_MS = 1000.0
RETRY_MS = 100.0


class Bed:
    """Sends its requests one after the other, each again and again until it is acknowledged."""

    def __init__(
        self, name: str, world: World, network: Network, peers: dict[int, Peer], invariants: Invariants
    ) -> None:
        self.name = name
        self.world = world
        self.network = network
        self.peers = peers
        self.invariants = invariants
        self.epoch = hashlib.blake2b(name.encode(), digest_size=16).digest()
        self.total = 0
        self.seq = 1
        self.patient = False  # it keeps to the peer that it was pointed at
        self._target = min(peers)
        self._request = 0
        self._asked: dict[int, tuple[int, int]] = {}  # request -> (seq, or 0 for a read; floor of the read)
        self._busy = False

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

    # ------------------------------------------------------------ what a story tells it

    def ask(self, peer: int = 0) -> None:
        """One more request is due; with a peer: ask there, at once, and keep to it."""
        self.total += 1
        if peer:
            self._target, self.patient = peer, True
        if peer or not self._busy:
            self._send()

    def retry(self, peer: int) -> None:
        """Ask this peer for what is due, at once."""
        self._target = peer
        if not self.done:
            self._send()

    def read(self, peer: int = 0) -> None:
        """One consistent read, asked once."""
        request = self._number((0, self.invariants.last_acked_index))
        target = peer or self._target
        self.network.send(self.name, target, self.peers[target].asked, ReadIndex((self, request)))

    # ------------------------------------------------------------ what it does by itself

    def answered(self, peer: int, request: int, reply: Reply) -> None:
        """An answer. A late one must be true like any other, but moves nothing."""
        seq, floor = self._asked[request]
        if reply.status == ACK:
            self.invariants.acked(self, peer, reply, seq)  # type: ignore[arg-type]
        elif reply.status == READ:
            self.invariants.read(peer, reply, floor)
        if seq == 0 or seq != self.seq or request != self._request:
            if seq and seq == self.seq and reply.status == ACK:
                self._kept()
            return
        if reply.status == ACK:
            self._kept()
        elif reply.status in (CONFLICT, GAP):
            self.invariants.fail(f"I4 {self.name} was told {reply.status} for {reply.seq}: {reply}")
        else:
            if not self.patient:
                hinted = reply.status == NOT_LEADER and reply.leader in self.peers and reply.leader != peer
                self._target = reply.leader if hinted else self._target if reply.status == BUSY else self._next()
            self.world.after(RETRY_MS, self._again, request)

    def _kept(self) -> None:
        self.seq += 1
        self._busy = False
        if not self.done:
            self._send()

    def _send(self) -> None:
        self._busy = True
        request = self._request = self._number((self.seq, 0))
        proposal = Proposal((self, request), self.origin(self.seq), self.body(self.seq))
        self.network.send(self.name, self._target, self.peers[self._target].asked, proposal)
        self.world.after(TIMEOUT_MS, self._timed_out, request)

    def _number(self, asked: tuple[int, int]) -> int:
        request = len(self._asked) + 1
        self._asked[request] = asked
        return request

    def _timed_out(self, request: int) -> None:
        if request == self._request and self._busy:
            if not self.patient:
                self._target = self._next()
            self._send()

    def _again(self, request: int) -> None:
        if request == self._request and self._busy:
            self._send()

    def _next(self) -> int:
        numbers = sorted(self.peers)
        return numbers[(numbers.index(self._target) + 1) % len(numbers)]
