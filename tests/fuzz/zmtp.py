"""ZMTP 3 by hand: greetings and frames, right ones and wrong ones, as bytes.

Touches a socket of this process's own, to record a real hello. Must not know: who is attacked.
"""

from __future__ import annotations

import socket

import zmq

from hfzmq.client.line import Curve
from hfzmq.key_section import OwnKey

GREETING_BYTES = 64
MORE, LONG, COMMAND = 1, 2, 4
SIGNATURE = b"\xff" + bytes(7) + b"\x01\x7f"
HELLO_WITHIN_S = 5.0


def greeting(mechanism: bytes = b"CURVE", major: int = 3, minor: int = 1, as_server: int = 0) -> bytes:
    """The first 64 bytes of a connection."""
    return SIGNATURE + bytes((major, minor)) + mechanism.ljust(20, b"\0")[:20] + bytes((as_server,)) + bytes(31)


def frame(body: bytes, flags: int = 0) -> bytes:
    """``body`` as one frame."""
    if flags & LONG or len(body) > 255:
        return head(len(body), flags) + body
    return bytes((flags, len(body))) + body


def head(declared: int, flags: int = 0) -> bytes:
    """The head of a long frame that says it has so many bytes."""
    return bytes((flags | LONG,)) + declared.to_bytes(8, "big")


def command(name: bytes, data: bytes = b"") -> bytes:
    """A command."""
    return frame(bytes((len(name),)) + name + data, COMMAND)


def recorded_hello(own: OwnKey, server: str) -> bytes:
    """What a real client says first to the holder of ``server``, which takes it for genuine: nothing else is needed."""
    with socket.create_server(("127.0.0.1", 0)) as here, zmq.Context() as context:
        client = context.socket(zmq.DEALER)
        client.setsockopt(zmq.LINGER, 0)
        Curve(own, server).show(client)
        client.connect(f"tcp://127.0.0.1:{here.getsockname()[1]}")
        here.settimeout(HELLO_WITHIN_S)
        inside, _ = here.accept()
        with inside:
            inside.settimeout(HELLO_WITHIN_S)
            inside.sendall(greeting(as_server=1))
            taken = b""
            while len(taken) < GREETING_BYTES + 2 or len(taken) < GREETING_BYTES + 2 + taken[GREETING_BYTES + 1]:
                taken += inside.recv(4096)
        client.close()
        return taken[GREETING_BYTES:]
