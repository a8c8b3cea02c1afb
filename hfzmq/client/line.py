"""A line to one peer: a REQ socket, and the monitor that says at once when the other end is gone.

Touches one ZeroMQ socket. Must not know: what is asked, whom to ask next. One request at a time.

    connecting --send(frame)--> waiting for a connection --> sent --> reply
         |                             |                      |
         +--------- refused, reset, closed by the other side -+-----> lost (for good: make a new line)

Why a monitor: a killed process's kernel closes its connections at once, and only the monitor shows that; a REQ socket
by itself just stays silent. Why IMMEDIATE: a message queued for a peer that is away would reach its next life.
"""

from __future__ import annotations

import errno
import itertools
import struct
import time
from collections.abc import Callable
from typing import NamedTuple

import zmq

from hfzmq.key_section import Keys, OwnKey

REPLY_BYTES_MAX = 64 << 20  # an answer about a whole ward; a peer is trusted more than a client

AUTH, SERVER, MECHANISM = "auth", "server", "mechanism"  # it refuses our key; has another one; one of the two is plain

_RECONNECT_MS = 60_000  # never: the first failure ends a line
_GONE = (
    zmq.Event.DISCONNECTED
    | zmq.Event.CLOSED
    | zmq.Event.CONNECT_RETRIED
    | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
    | zmq.Event.HANDSHAKE_FAILED_AUTH
)
_numbers = itertools.count(1)


class Curve(NamedTuple):
    """The pair to speak with, and the public key of the peer that is spoken to."""

    own: OwnKey
    server: str

    def show(self, socket: zmq.Socket[bytes]) -> None:
        """Before it connects."""
        socket.setsockopt(zmq.CURVE_SERVERKEY, self.server.encode())
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self.own.public.encode())
        socket.setsockopt(zmq.CURVE_SECRETKEY, self.own.secret.encode())


def curve_for(keys: Keys | None, peer: int) -> Curve | None:
    """What a connection to ``peer`` takes; None where there are no keys. KeyError: none is known for that peer."""
    return curves_for(keys, peer)[0]


def curves_for(keys: Keys | None, peer: int) -> list[Curve | None]:
    """``curve_for``, and behind it those for the keys that ``peer`` may still serve with. KeyError as there."""
    if keys is None:
        return [None]
    servers = keys.keys_of(peer)
    if keys.own is None or not servers:
        raise KeyError(peer)
    return [Curve(keys.own, server) for server in servers]


class Line:
    """See the module. ``lost``: this line will never carry a reply again. ``curve``: what it shows, to whom (None: no
    keys). ``fault``: why the other side would not have it, as far as that is known; one of AUTH, SERVER, MECHANISM."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], host: str, port: int, curve: Curve | None = None
    ) -> None:
        self.lost = False
        self.fault = ""
        self._pending: bytes | None = None
        self._sent = False
        self._socket = context.socket(zmq.REQ)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.setsockopt(zmq.MAXMSGSIZE, REPLY_BYTES_MAX)
        self._socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        if curve is not None:
            curve.show(self._socket)
        self._monitor = self._socket.get_monitor_socket(_GONE, f"inproc://hfzmq-line-{next(_numbers)}")
        self._monitor.setsockopt(zmq.LINGER, 0)
        try:
            if ":" in host:
                self._socket.setsockopt(zmq.IPV6, 1)
                host = f"[{host.strip('[]')}]"
            self._socket.connect(f"tcp://{host}:{port}")
        except zmq.ZMQError:
            self.lost = True

    def send(self, frame: bytes) -> None:
        """Put one request on its way; nothing may be under way."""
        assert self._pending is None, "one request in flight"
        assert not self._sent, "one request in flight"
        self._pending = frame

    def reply(self) -> bytes | None:
        """Do what can be done without waiting: the reply if it is here, else None (see ``lost`` then)."""
        if self.lost:
            return None
        answer = self._exchange()
        if answer is None and self._monitor.poll(0):
            self.lost = True
            self.fault = _fault(self._monitor.recv_multipart(zmq.NOBLOCK)[0])
            return self._exchange()  # what came before the end still counts
        return answer

    def register(self, poller: zmq.Poller) -> None:
        """Have ``poller`` return when ``reply`` may have something new to say."""
        poller.register(self._socket, zmq.POLLOUT if self._pending is not None else zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)

    def close(self) -> None:
        """Drop the connection and whatever is under way. May be called twice."""
        self.lost = True
        if not self._socket.closed:
            self._socket.disable_monitor()
            self._monitor.close(linger=0)
            self._socket.close(linger=0)

    def _exchange(self) -> bytes | None:
        try:
            if self._pending is not None:
                self._socket.send(self._pending, zmq.NOBLOCK)
                self._pending, self._sent = None, True
            if not self._sent:
                return None
            parts = self._socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None
        except zmq.ZMQError:
            self.lost = True
            return None
        self._sent = False
        return parts[0] if len(parts) == 1 else b""  # b'' is no reply of the protocol


def _fault(event: bytes) -> str:
    """What the first thing that went wrong on a line says about keys."""
    number, value = struct.unpack("=hi", event)
    if number == int(zmq.Event.HANDSHAKE_FAILED_AUTH):
        return AUTH
    if number == int(zmq.Event.HANDSHAKE_FAILED_PROTOCOL):
        return MECHANISM
    if number == int(zmq.Event.HANDSHAKE_FAILED_NO_DETAIL) and value == errno.EPIPE:
        return SERVER
    return ""


def wait(lines: list[Line], deadline: float, stopped: Callable[[], bool] = lambda: False) -> None:
    """Return when one of ``lines`` may have news, at ``deadline`` (monotonic, seconds), or soon after ``stopped``."""
    poller = zmq.Poller()
    for line in lines:
        if not line.lost:
            line.register(poller)
    while not stopped():
        left = deadline - time.monotonic()
        if left <= 0 or poller.poll(min(int(left * 1000) + 1, _SLICE_MS)):
            return


_SLICE_MS = 50  # how late a stop may be noticed
