"""What keys do to a daemon's sockets: servers ask for one, connections show one, a message names the one it came with.

Touches options of sockets. Must not know: who may do what. Keeps: a server's options are set before it binds, a
connection's before it connects (ZeroMQ copies them at that moment, so one SUB can speak to several servers).

The key of a message is read off that message each time. To remember it by the routing id would be wrong: a client may
choose its own routing id, also the one that somebody with more rights has just given up.
"""

from __future__ import annotations

from typing import Protocol, cast

import zmq

from hfzmq.daemon.socket_options import DONTWAIT
from hfzmq.key_section import OwnKey

USER_ID = "User-Id"
PARTS_MAX = 4_096  # an honest message has two or three; a million take longer to read than a lease
HANDSHAKE_MS = 5_000  # who has not shown a key by then holds no descriptor any longer


class Endless(Exception):
    """A message of more than PARTS_MAX parts: the rest of it is still in the socket, which is of no use any more."""


class _Told(Protocol):
    def get(self, name: str) -> object:
        """A property of the message's connection; zmq.ZMQError when there is none."""


def serve(socket: zmq.Socket[bytes], own: OwnKey, domain: bytes) -> None:
    """Let nobody in whom ZAP has not let in, asked under ``domain``. Before it binds."""
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, own.public.encode())
    socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret.encode())
    socket.setsockopt(zmq.ZAP_DOMAIN, domain)
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)


def show(socket: zmq.Socket[bytes], own: OwnKey, server: str) -> None:
    """Show ``own`` to the holder of the public key ``server``, and to nobody else. Before it connects."""
    socket.setsockopt(zmq.CURVE_SERVERKEY, server.encode())
    socket.setsockopt(zmq.CURVE_PUBLICKEY, own.public.encode())
    socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret.encode())


def take(socket: zmq.Socket[bytes], keyed: bool) -> tuple[list[bytes], str]:
    """A message of a ROUTER and the key it came with, '' for none. zmq.Again when there is no message; Endless."""
    frames = [socket.recv(DONTWAIT)]
    first = part = socket.recv(DONTWAIT, copy=False)
    frames.append(part.bytes)
    while part.more:
        if len(frames) == PARTS_MAX:
            raise Endless
        part = socket.recv(DONTWAIT, copy=False)
        frames.append(part.bytes)
    if not keyed:
        return frames, ""
    try:
        return frames, str(cast(_Told, first).get(USER_ID))
    except zmq.ZMQError:
        return frames, ""
