"""This peer's connections to the others: a DEALER to speak to each, one subscription to hear all their heartbeats.

Touches ZeroMQ. Must not know: what the bytes mean, who connects to this peer (sockets, entrance). Keeps: a send never
blocks, and what cannot be sent is dropped and counted; a DEALER holds nothing for a dead peer's next life; with a
``keyring`` a connection is made only for a key that is in force, and made anew where the other side would not have it.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable

import zmq

from hfzmq.config import Config, PeerAddress
from hfzmq.daemon import curve
from hfzmq.daemon.clocks import monotonic_ms
from hfzmq.daemon.keyring import Keyring
from hfzmq.daemon.refused import Refused
from hfzmq.daemon.socket_options import DONTWAIT, HEARTBEAT_QUEUE_MESSAGES, bracketed, common

SEND_QUEUE_MESSAGES = 64
BEAT_BYTES_MAX = 4096
KNOWN_MAX = 128  # peers that are spoken to, members or not
MOVES_EVERY_MS = 1000  # so often at most somebody who is no member is believed to be elsewhere now
BEATS = "beats"  # the name of the subscription among the watched

log = logging.getLogger("hfzmq.sockets")


class Links:
    """To the peers of ``config`` at first, then to whom ``connect`` and ``acquaint`` name."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], config: Config, me: int, counters: Counter[str],
        keyring: Keyring | None,
    ) -> None:  # fmt: skip
        self._context = context
        self._me = me
        self._bytes_max = config.limits.peer_message_bytes_max
        self._counters = counters
        self._keyring = keyring
        self._dealers: dict[int, zmq.Socket[bytes]] = {}
        self._refused = Refused()
        self._addresses: dict[int, PeerAddress] = {}  # of whom this peer speaks to
        self._listening: dict[int, PeerAddress] = {}  # of whom it hears the heartbeats
        self._acquainted_ms: dict[int, float] = {}  # when, with those who are no members
        self._shown: dict[int, str] = {}  # the keys that they were expected to serve with
        self.beats_in = context.socket(zmq.SUB)
        common(self.beats_in)
        self.beats_in.setsockopt(zmq.RCVHWM, 8 * HEARTBEAT_QUEUE_MESSAGES)
        self.beats_in.setsockopt(zmq.MAXMSGSIZE, BEAT_BYTES_MAX)
        self.beats_in.setsockopt(zmq.SUBSCRIBE, b"")
        if keyring is not None:
            self._refused.watch(BEATS, self.beats_in)
        self.connect(config.peers)

    def connect(self, peers: Iterable[PeerAddress]) -> None:
        """Speak and listen to these, and to nobody else; whoever has left can still be told so. A connection stays as
        long as the key that it was made for is in force, also when there is a newer one: a peer serves with the newer
        one from its next start on."""
        wanted = {peer.id: peer for peer in peers if peer.id != self._me and self._can_show(peer.id)}
        changed = {peer for peer, key in self._shown.items() if self._peer_of(key) != peer}
        for peer, address in list(self._listening.items()):
            if wanted.get(peer) != address or peer in changed:
                self.beats_in.disconnect(_beats_of(address))
                del self._listening[peer]
        for peer in changed & self._dealers.keys():
            self._close_dealer(peer)
            self._addresses.pop(peer, None)
        for peer, address in wanted.items():
            if self._addresses.get(peer) != address:
                self._close_dealer(peer)
                self._addresses[peer] = address
                self._dealers[peer] = self._dealer(address)
            if peer not in self._listening:
                self._listen_to(address)
                self._listening[peer] = address

    def acquaint(self, address: PeerAddress) -> None:
        """Be able to answer somebody who is no member as far as this peer knows; of these a bounded number."""
        if address.id == self._me or address.id in self._listening or self._addresses.get(address.id) == address:
            return
        if address.id not in self._addresses and len(self._addresses) >= KNOWN_MAX:
            return
        now_ms = monotonic_ms()
        if not self._can_show(address.id) or now_ms - self._acquainted_ms.get(address.id, -math.inf) < MOVES_EVERY_MS:
            return
        self._acquainted_ms[address.id] = now_ms
        self._close_dealer(address.id)
        self._addresses[address.id] = address
        self._dealers[address.id] = self._dealer(address)

    def renew(self, peer: int) -> None:
        """A peer was judged dead: its DEALER goes with everything that waits in it; its heartbeats too."""
        address = self._addresses.get(peer)
        if address is None:
            return  # it has no key any more
        self._close_dealer(peer)
        self._dealers[peer] = self._dealer(address)
        if peer in self._listening:
            self.beats_in.disconnect(_beats_of(address))
            self._listen_to(address)

    def make_refused_anew(self, now_ms: float) -> None:
        """Try again where the other side would not have this peer: its key may have been issued by now."""
        known = set(self._refused.why)
        for name, endpoint in self._refused.look(now_ms):
            if name == BEATS:
                for address in self._listening.values():
                    if _beats_of(address) == endpoint:
                        self.beats_in.disconnect(endpoint)
                        self._listen_to(address)
            elif isinstance(name, int) and name in self._dealers:
                self._close_dealer(name)
                self._dealers[name] = self._dealer(self._addresses[name])
        for key in set(self._refused.why) - known:
            log.warning("%s does not let this peer in: %s", key[1], self._refused.why[key])

    def shut_out(self) -> tuple[tuple[int, str], ...]:
        """(peer, why) of those that this one speaks to and that would not have it."""
        return tuple(sorted((name, why) for (name, _), why in self._refused.why.items() if name in self._dealers))

    def send(self, peer: int, frame: bytes) -> None:
        """To one peer, or nowhere."""
        if len(frame) > self._bytes_max:
            self._counters["peer_message_too_large"] += 1
            return
        dealer = self._dealers.get(peer)
        if dealer is None:
            self._counters["peer_message_to_nobody"] += 1
            return
        try:
            dealer.send(frame, DONTWAIT)
        except zmq.Again:
            self._counters["peer_message_not_sent"] += 1

    def close(self, linger_ms: int) -> None:
        """Close everything, giving what was sent last so long to leave."""
        self._refused.close()
        for dealer in self._dealers.values():
            dealer.close(linger_ms)
        self.beats_in.close(0)

    # ------------------------------------------------------------ keys

    def _key_of(self, peer: int) -> str | None:
        return None if self._keyring is None else self._keyring.in_force.key_of(peer)

    def _peer_of(self, key: str) -> int:
        return 0 if self._keyring is None else self._keyring.peer_of(key)

    def _can_show(self, peer: int) -> bool:
        """Whether there is a key by which ``peer`` is known; always without keys."""
        return self._keyring is None or self._key_of(peer) is not None

    def _show(self, socket: zmq.Socket[bytes], peer: int) -> None:
        key = self._key_of(peer)
        if self._keyring is not None and key is not None:
            curve.show(socket, self._keyring.own, key)
            self._shown[peer] = key

    # ------------------------------------------------------------ construction

    def _dealer(self, peer: PeerAddress) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        common(socket)
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.SNDHWM, SEND_QUEUE_MESSAGES)
        self._show(socket, peer.id)
        endpoint = f"tcp://{bracketed(peer.host)}:{peer.peer_port}"
        if self._keyring is not None:
            self._refused.watch(peer.id, socket, endpoint)
        socket.connect(endpoint)
        return socket

    def _close_dealer(self, peer: int) -> None:
        dealer = self._dealers.pop(peer, None)
        if dealer is not None:
            if self._keyring is not None:
                self._refused.drain(peer)
                dealer.disable_monitor()
                self._refused.forget(peer)
            dealer.close(0)

    def _listen_to(self, address: PeerAddress) -> None:
        self._show(self.beats_in, address.id)
        self.beats_in.connect(_beats_of(address))


def _beats_of(peer: PeerAddress) -> str:
    return f"tcp://{bracketed(peer.host)}:{peer.beat_port}"
