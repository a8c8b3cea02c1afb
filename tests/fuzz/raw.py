"""Attacks by who has no key: bytes on TCP, at the three ports of the mesh and at the one for health and metrics.

Touches TCP. Each is a generator (attack.py).
"""

from __future__ import annotations

import socket
from random import Random

from hfzmq.secret_files import make_pair
from tests.fuzz import zmtp
from tests.fuzz.attack import Crowd, Turns, attack, dial, dialled, say
from tests.fuzz.target import STRANGER, Target
from tests.fuzz.zmtp import COMMAND, LONG, MORE, command, frame, greeting, head

CHUNK = 64 << 10
HELD = 200  # connections that are held open
BIG = 24 << 20  # more than any port may take in one frame


@attack("random bytes")
def random_bytes(target: Target, chance: Random) -> Turns:
    while True:
        with dialled(target, chance.choice(target.mesh_ports)) as line:
            for _ in range(chance.randrange(1, 4)):
                if line is None or not say(line, chance.randbytes(chance.choice((1, 9, 64, 65, 1000, CHUNK)))):
                    break
                yield
        yield


@attack("a greeting that stops anywhere, with or without a few bytes changed, and whatever comes after")
def broken_greeting(target: Target, chance: Random) -> Turns:
    while True:
        said = bytearray(greeting(major=chance.choice((0, 1, 2, 3, 3, 3, 4, 255)), minor=chance.randrange(3)))
        for _ in range(chance.randrange(3)):
            said[chance.randrange(len(said))] = chance.randrange(256)
        said = said[: chance.randrange(len(said) + 1)] + chance.randbytes(chance.choice((0, 0, 5, 300)))
        with dialled(target, chance.choice(target.mesh_ports)) as line:
            if line is not None:
                say(line, bytes(said))
            yield


@attack("a greeting of an older ZMTP, which knows no keys, and then messages")
def old_protocol(target: Target, chance: Random) -> Turns:
    unversioned = b"\x01\x00" + b"\x06\x00hello"
    second = zmtp.SIGNATURE + b"\x01\x05" + b"\x00\x00" + b"\x00\x05hello"
    first = zmtp.SIGNATURE + b"\x00\x05" + b"\x00\x00" + b"\x00\x05hello"
    while True:
        with dialled(target, chance.choice(target.mesh_ports)) as line:
            if line is not None:
                say(line, chance.choice((unversioned, second, first)))
                say(line, b"\x00\x05hello" * chance.randrange(100))
            yield


@attack("a greeting that never ends, a byte at a time, on many connections")
def endless_greeting(target: Target, chance: Random) -> Turns:
    lines: list[tuple[socket.socket, int]] = []
    try:
        while True:
            lines = [(line, at + 1) for line, at in lines if say(line, greeting()[at % 63 : at % 63 + 1])]
            line = dial(target, chance.choice(target.mesh_ports)) if len(lines) < HELD else None
            if line is not None:
                lines.append((line, 0))
            yield
    finally:
        for line, _ in lines:
            line.close()


@attack("connections that say nothing, or half of a handshake, and stay")
def half_handshake(target: Target, chance: Random) -> Turns:
    own = target.keys[STRANGER]
    hello = zmtp.recorded_hello(own, target.server)
    with Crowd(HELD) as crowd:
        while True:
            line = dial(target, chance.choice(target.mesh_ports))
            if line is not None:
                say(line, chance.choice((b"", greeting(), greeting() + hello, greeting() + hello[:100])))
            crowd.add(line)
            yield


@attack("another mechanism than CURVE, and messages as if that were all")
def wrong_mechanism(target: Target, chance: Random) -> Turns:
    ready = command(b"READY", b"\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00")
    while True:
        mechanism = chance.choice((b"NULL", b"PLAIN", b"GSSAPI", b"CURVE", b"curve", b"", chance.randbytes(20)))
        with dialled(target, chance.choice(target.mesh_ports)) as line:
            if line is not None:
                say(line, greeting(mechanism, as_server=chance.randrange(2)))
                say(line, ready + frame(b"", MORE) + frame(chance.randbytes(50)))
            yield


@attack("frames that say they have more bytes than there are in the world")
def huge_declared(target: Target, chance: Random) -> Turns:
    sizes = (1 << 20, (1 << 20) + 1, (4 << 20) + 1, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
    with Crowd(HELD // 4) as crowd:
        while True:
            line = dial(target, chance.choice(target.mesh_ports))
            if line is not None:
                flags = chance.choice((0, MORE, COMMAND, COMMAND | MORE, 0xF8))
                say(line, greeting() + head(chance.choice(sizes), flags) + chance.randbytes(100))
            crowd.add(line)
            yield


@attack("one frame after the greeting that goes on and on")
def endless_frame(target: Target, chance: Random) -> Turns:
    dirt = chance.randbytes(CHUNK)
    while True:
        with dialled(target, chance.choice(target.mesh_ports)) as line:
            sent = 0
            ok = line is not None and say(
                line, greeting() + head(1 << chance.choice((25, 30, 33)), chance.choice((0, COMMAND)))
            )
            while ok and line is not None and sent < BIG:
                ok = say(line, dirt)
                sent += len(dirt)
                yield
        yield


@attack("as large a handshake as a port takes, all but the last byte, on many connections")
def large_and_unfinished(target: Target, chance: Random) -> Turns:
    dirt = bytes(1 << 20)
    with Crowd(HELD // 4) as crowd:
        while True:
            line = dial(target, target.peer_port)
            if line is not None:
                say(line, greeting() + head((4 << 20), COMMAND))
                for _ in range(4):
                    say(line, dirt[:-1])
            crowd.add(line)
            yield


@attack("a genuine hello of a stranger again and again, as it is and with a byte changed, and what should come later")
def replayed_hello(target: Target, chance: Random) -> Turns:
    hello = zmtp.recorded_hello(make_pair(), target.server)
    while True:
        said = bytearray(hello)
        if chance.random() < 0.5:
            said[chance.randrange(len(said))] ^= 1 << chance.randrange(8)
        after = (b"", bytes(said), command(b"INITIATE", chance.randbytes(300)), command(b"MESSAGE", b"x" * 40))
        with dialled(target, chance.choice(target.mesh_ports)) as line:
            if line is not None:
                say(line, greeting() + bytes(said) + chance.choice(after))
            yield


@attack("thousands of frames and commands of no or one byte before any handshake")
def tiny_frames(target: Target, chance: Random) -> Turns:
    kinds = (b"\x00\x00", b"\x01\x00", b"\x04\x00", b"\x04\x01\x00", b"\x00\x01x", bytes((LONG,)) + bytes(8))
    while True:
        with dialled(target, chance.choice(target.mesh_ports)) as line:
            if line is not None:
                say(line, greeting(chance.choice((b"CURVE", b"NULL"))) + chance.choice(kinds) * 5000)
            yield


@attack("connections that come and go at once")
def come_and_go(target: Target, chance: Random) -> Turns:
    while True:
        for _ in range(20):
            line = dial(target, chance.choice(target.mesh_ports))
            if line is not None:
                line.close()
        yield


@attack("HTTP that is none: endless lines and heads, odd methods, a byte at a time, nothing at all", needs_http=True)
def broken_http(target: Target, chance: Random) -> Turns:
    said = (
        b"GET /metrics HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * CHUNK,
        b"GET /" + b"a" * CHUNK + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 2000 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"A" * CHUNK,
        b"HEAD /readyz\r\n\r\n",
        b"GET http://[::/ HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\r\n" * 3000,
        b"",
    )
    with Crowd(12) as crowd:
        while True:
            line = dial(target, target.http_port)
            if line is not None:
                words = chance.choice((*said, chance.randbytes(2000)))
                say(line, words[: chance.randrange(len(words) + 1)] if chance.random() < 0.3 else words)
            crowd.add(line)
            yield
