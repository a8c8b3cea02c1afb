"""Who is let in at all: ZeroMQ asks here about each new connection's key (ZAP, RFC 27) before a message passes.

    handshake --> [ROUTER inproc://zeromq.zap.01] --domain, key--> 200 and the key as User-Id, or 400

Touches one inproc socket. Must not know: what is said later. Keeps: fails closed: whatever is not a CURVE key in force
with a role for that very socket gets 400, and while nobody serves this socket nobody gets in at all (the sockets
enforce their domain); it is bound before any socket that asks here.
"""

from __future__ import annotations

from collections import Counter

import zmq
from zmq.utils import z85

from hfzmq.access import PEER, ROLES
from hfzmq.daemon.keyring import Keyring

ADDRESS = "inproc://zeromq.zap.01"
PEERS, BEATS, CLIENTS = b"peers", b"beats", b"clients"  # domains
ALLOWED = {PEERS: (PEER,), BEATS: (PEER,), CLIENTS: ROLES}
REQUESTS_A_TURN = 64
VERSION, CURVE = b"1.0", b"CURVE"
KEY_BYTES = 32


class Zap:
    """Answers for one context, by ``keyring``; for the loop's thread."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keyring: Keyring, counters: Counter[str]) -> None:
        self._keyring = keyring
        self._counters = counters
        self.socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(ADDRESS)

    def serve(self) -> None:
        """Answer who waits, as many as a turn allows."""
        for _ in range(REQUESTS_A_TURN):
            try:
                frames = self.socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            if len(frames) >= 4:
                self.socket.send_multipart([*frames[:2], *self._answer(frames[2:])], zmq.DONTWAIT)

    def _answer(self, request: list[bytes]) -> list[bytes]:
        """To [version, request id, domain, address, identity, mechanism, credentials ...]."""
        key = ""
        if request[0] == VERSION and len(request) == 7 and request[5] == CURVE and len(request[6]) == KEY_BYTES:
            key = z85.encode(request[6]).decode()
        role = self._keyring.role_of(key) if key else None
        if role is None or role not in ALLOWED.get(request[2], ()):
            self._counters["connection_refused_key"] += 1
            return [VERSION, request[1], b"400", b"no key in force for this port", b"", b""]
        return [VERSION, request[1], b"200", b"OK", key.encode(), b""]
