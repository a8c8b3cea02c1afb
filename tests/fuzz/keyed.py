"""Attacks over proper ZeroMQ connections: with a client's key, none, a stranger's, a revoked one, an outsider's.

An outsider has the key of a peer that is no member. Touches ZeroMQ. Each is a generator (attack.py).
"""

from __future__ import annotations

import contextlib
import socket
from random import Random

import msgpack
import zmq

from hfzmq.client.line import Curve
from hfzmq.config import PeerAddress
from hfzmq.secret_files import make_pair
from hfzmq.wire import peers
from hfzmq.wire.requests import digest, encode_request, encode_rows
from tests.fuzz import letters
from tests.fuzz.attack import Turns, attack
from tests.fuzz.target import CLIENT, NO_KEY, OUTSIDER, REVOKED, STRANGER, Target

BURST = 50
PARTS = 4000


class Lines:
    """ZeroMQ connections of one attack, closed in the end."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def open(
        self, key: str, port: int, kind: int = zmq.DEALER, queue: int = BURST, deaf: bool = False
    ) -> zmq.Socket[bytes]:
        """To ``port`` with the pair of this name; sends never wait."""
        made: zmq.Socket[bytes] = self._context.socket(kind)
        made.setsockopt(zmq.LINGER, 0)
        made.setsockopt(zmq.SNDHWM, queue)
        if deaf:
            made.setsockopt(zmq.RCVHWM, 1)
            made.setsockopt(zmq.RCVBUF, 4096)
        made.setsockopt(zmq.RECONNECT_IVL, 50)
        own = make_pair() if key == STRANGER else self._target.keys.get(key)
        if key != NO_KEY and own is not None:
            Curve(own, self._target.server).show(made)
        made.connect(f"tcp://{self._target.host}:{port}")
        return made

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *about: object) -> None:
        self._context.destroy(linger=0)


def put(line: zmq.Socket[bytes], *frames: bytes) -> bool:
    """Send; False where the queue is full (or nobody lets this line in)."""
    try:
        line.send_multipart(frames, zmq.DONTWAIT)
    except zmq.Again:
        return False
    return True


def listen(line: zmq.Socket[bytes]) -> None:
    """Throw away what has come."""
    with contextlib.suppress(zmq.Again):
        for _ in range(2 * BURST):
            line.recv_multipart(zmq.DONTWAIT)


def pressed(target: Target, key: str, port: int, draw: letters.Draw, chance: Random) -> Turns:
    """Send what is drawn, as much as is taken, over lines that are made anew now and then."""
    while True:
        with Lines(target) as lines:
            line = lines.open(key, port)
            for _ in range(20):
                for _ in range(BURST):
                    if not put(line, b"", draw(chance)) if port == target.client_port else not put(line, draw(chance)):
                        line.poll(20)
                        break
                listen(line)
                yield


# ------------------------------------------------------------ with a client's key


@attack("a client's key: msgpack of any shape")
def client_nonsense(target: Target, chance: Random) -> Turns:
    return pressed(target, CLIENT, target.client_port, letters.any_message, chance)


@attack("a client's key: promises of length, deep nesting, a million of nothing")
def client_bombs(target: Target, chance: Random) -> Turns:
    all_ = letters.bombs()
    return pressed(target, CLIENT, target.client_port, lambda draw: draw.choice(all_), chance)


@attack("a client's key: right requests with one thing wrong")
def client_mutations(target: Target, chance: Random) -> Turns:
    right = letters.requests(target.mesh_id)
    return pressed(
        target, CLIENT, target.client_port, lambda draw: letters.mutated_request(draw, draw.choice(right)), chance
    )


@attack("a client's key: frames without envelope, of many parts, of empty parts")
def client_parts(target: Target, chance: Random) -> Turns:
    status = encode_request(target.mesh_id, "status")
    with Lines(target) as lines:
        line = lines.open(CLIENT, target.client_port)
        while True:
            many = chance.choice((1, 500, 5_000, 300_000))
            for parts in ([status], [b"x", status], [b"", b"", status], [b""] * chance.randint(1, many), [b""]):
                put(line, *parts)
            listen(line)
            yield


@attack("a client's key: messages of thousands of parts, each as large as one may be")
def endless_parts(target: Target, chance: Random) -> Turns:
    part = chance.randbytes(64 << 10)
    while True:
        with Lines(target) as lines:
            line = lines.open(CLIENT, target.client_port)
            put(line, *[part] * PARTS)
            line.poll(500)
            yield


@attack("a client's key: questions as fast as they are taken, the cheapest ones")
def flood_of_questions(target: Target, chance: Random) -> Turns:
    tiny = (b"", b"\x80", encode_request(target.mesh_id, "status"), encode_request(target.mesh_id, "members"))
    with Lines(target) as lines:
        crowd = [lines.open(CLIENT, target.client_port, queue=1000) for _ in range(4)]
        while True:
            for line in crowd:
                for _ in range(BURST):
                    put(line, b"", chance.choice(tiny))
                listen(line)
            yield


@attack("a client's key: the largest requests there may be, one behind the other, refused row by row")
def flood_of_large(target: Target, chance: Random) -> Turns:
    rows = encode_rows([[*letters.ROW[:-1], "x" * 900]] * 1000)
    about = {"client": "hostile", "epoch": letters.EPOCH, "seq": 1 << 40, "rows": rows, "digest": digest(rows)}
    request = encode_request(target.mesh_id, "submit", **about)
    with Lines(target) as lines:
        crowd = [lines.open(CLIENT, target.client_port, queue=20) for _ in range(4)]
        while True:
            for line in crowd:
                put(line, b"", request)
                listen(line)
            yield


@attack("a client's key: too large messages, which end the connection")
def too_large(target: Target, chance: Random) -> Turns:
    large = bytes((1 << 20) + 1)
    while True:
        with Lines(target) as lines:
            for key, port in ((CLIENT, target.client_port), (OUTSIDER, target.peer_port)):
                put(lines.open(key, port), b"", large if key == CLIENT else large * 4)
            yield


@attack("a client's key: asks for the largest answers on many lines, and never reads")
def slow_reader(target: Target, chance: Random) -> Turns:
    asked = [encode_request(target.mesh_id, "reports", limit=1000), encode_request(target.mesh_id, "beds")]
    rows = encode_rows([[f"hostile-{number}", *letters.ROW[1:-1], "x" * 60] for number in range(1000)])
    about = {"client": "hostile", "epoch": letters.EPOCH, "seq": 1, "rows": rows, "digest": digest(rows)}
    with Lines(target) as lines:
        crowd = []
        for _ in range(8):
            line = lines.open(CLIENT, target.client_port, queue=0, deaf=True)
            crowd.append(line)
        put(crowd[0], b"", encode_request(target.mesh_id, "submit", **about))
        while True:
            for line in crowd:
                put(line, b"", chance.choice(asked))
            yield


@attack("a client's key: many clients under one name of a connection, each in the other's place")
def stolen_routes(target: Target, chance: Random) -> Turns:
    status = encode_request(target.mesh_id, "status")
    while True:
        with Lines(target) as lines:
            for _ in range(8):
                line = lines.open(CLIENT, target.client_port)
                line.disconnect(f"tcp://{target.host}:{target.client_port}")
                line.setsockopt(zmq.ROUTING_ID, chance.choice((b"one", b"\x01", b"x" * 255)))
                line.connect(f"tcp://{target.host}:{target.client_port}")
                put(line, b"", status)
                yield


# ------------------------------------------------------------ without one that counts


@attack("no key, a stranger's or a revoked one, on all three ports: requests and letters, over and over")
def keyless(target: Target, chance: Random) -> Turns:
    right = letters.requests(target.mesh_id)
    while True:
        with Lines(target) as lines:
            for _ in range(6):
                key, port = chance.choice((NO_KEY, STRANGER, REVOKED)), chance.choice(target.mesh_ports)
                line = lines.open(key, port, zmq.SUB if port == target.beat_port else zmq.DEALER)
                if port == target.beat_port:
                    line.setsockopt(zmq.SUBSCRIBE, chance.randbytes(8))
                else:
                    put(line, b"", msgpack.packb(chance.choice(right)))
            lines.open(CLIENT, target.peer_port)
            lines.open(CLIENT, target.beat_port, zmq.SUB)
            yield


@attack("a real conversation of a client in which somebody on the way changes bytes")
def flipped_bytes(target: Target, chance: Random) -> Turns:
    status = encode_request(target.mesh_id, "status")
    with socket.create_server((target.host, 0)) as here:
        here.setblocking(False)
        while True:
            with Lines(target) as lines, contextlib.ExitStack() as stack:
                line = lines.open(CLIENT, here.getsockname()[1])
                for _ in range(BURST):
                    put(line, b"", status)
                pairs: list[tuple[socket.socket, socket.socket]] = []
                for _ in range(60):
                    with contextlib.suppress(BlockingIOError):
                        inside = stack.enter_context(here.accept()[0])
                        outside = stack.enter_context(socket.create_connection((target.host, target.client_port), 1))
                        pairs += [(inside, outside), (outside, inside)]
                        inside.setblocking(False)
                        outside.setblocking(False)
                    for source, sink in pairs:
                        with contextlib.suppress(OSError):
                            data = bytearray(source.recv(4096))
                            if data and source is not outside and chance.random() < 0.3:
                                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
                            sink.sendall(data)
                    line.poll(2)
                    listen(line)
                    yield


# ------------------------------------------------------------ with the key of a peer that is no member


def _outsider(target: Target, incarnation: bytes = letters.EPOCH, boot: int = 1 << 17) -> peers.Sender:
    return peers.Sender(target.mesh_id, target.outsider, incarnation, boot, target.peer)


@attack("a peer's key that is no member's: messages that are not a leader's, right ones and mutated")
def outsider_letters(target: Target, chance: Random) -> Turns:
    contents = letters.harmless(target.outsider, target.host)
    sender = _outsider(target)
    return pressed(
        target, OUTSIDER, target.peer_port,
        lambda draw: letters.mutated_letter(draw, sender, draw.choice(contents)), chance,
    )  # fmt: skip


@attack("a peer's key that is no member's: msgpack of any shape, bombs, parts")
def outsider_nonsense(target: Target, chance: Random) -> Turns:
    all_ = letters.bombs()
    return pressed(
        target, OUTSIDER, target.peer_port,
        lambda draw: draw.choice(all_) if draw.random() < 0.1 else letters.any_message(draw), chance,
    )  # fmt: skip


@attack("a peer's key that is no member's: a new life with each message, and each lives elsewhere")
def outsider_lives(target: Target, chance: Random) -> Turns:
    def draw(chance: Random) -> bytes:
        host = chance.choice((target.host, "localhost", "a.invalid", "x" * 63, "127.0.0.2"))
        address = PeerAddress(target.outsider, host, *(chance.randrange(1, 65536) for _ in range(3)))
        life = chance.randbytes(16)
        kind = chance.choice((peers.Introduction(address), letters.join_of(address, life)))
        return peers.encode(_outsider(target, life, chance.randrange(1 << 40)), kind)

    return pressed(target, OUTSIDER, target.peer_port, draw, chance)


@attack("a peer's key that is no member's: subscriptions to heartbeats, long ones, and ever more of them")
def outsider_subscriptions(target: Target, chance: Random) -> Turns:
    with Lines(target) as lines:
        line = lines.open(OUTSIDER, target.beat_port, zmq.XSUB, queue=1000, deaf=True)
        while True:
            for _ in range(BURST):
                put(line, b"\x01" + chance.randbytes(chance.choice((0, 8, 30, 400))))
            if chance.random() < 0.02:
                put(line, b"\x01" + chance.randbytes(chance.choice((600, 100_000))))
            yield
