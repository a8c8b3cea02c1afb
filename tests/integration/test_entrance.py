"""A port's socket made anew: the port stays ours, and who was in comes back and is heard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
import zmq

from hfzmq.cli.processes import free_addresses
from hfzmq.config import Config
from hfzmq.daemon.curve import PARTS_MAX
from hfzmq.daemon.door import Door
from hfzmq.daemon.entrance import Entrance
from hfzmq.daemon.sockets import Sockets

WITHIN_MS = 5000


class World:
    """An entrance on a port of its own, and a client that reconnects soon."""

    def __init__(self) -> None:
        self.context = zmq.Context()
        self.poller = zmq.Poller()
        self.door = Door("127.0.0.1", 0)
        self.where = f"tcp://127.0.0.1:{self.door.port}"
        self.entrance = Entrance(self.door, self.where, lambda: self.context.socket(zmq.ROUTER), self.poller)
        self.client: zmq.Socket[bytes] = self.context.socket(zmq.DEALER)
        self.client.setsockopt(zmq.RECONNECT_IVL, 20)
        self.client.setsockopt(zmq.IMMEDIATE, 1)
        self.client.setsockopt(zmq.SNDTIMEO, WITHIN_MS)
        self.client.connect(self.where)

    def hears(self, word: bytes) -> set[bytes]:
        """Say it until the poller tells of it (what is said while nobody is connected is lost); all that was heard."""
        heard: set[bytes] = set()
        for _ in range(WITHIN_MS // 50):
            self.client.send(word)
            if self.entrance.socket.poll(50) and self.entrance.socket in dict(self.poller.poll(0)):
                heard.add(self.entrance.socket.recv_multipart()[-1])
            if word in heard:
                return heard
        raise AssertionError("nobody is heard")


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.door.close()
    made.context.destroy(linger=0)


def test_who_was_put_out_comes_back_and_is_heard_and_counted_again(world: World) -> None:
    for _ in range(3):
        world.hears(b"hello")
        assert world.entrance.came() == 1
        assert world.entrance.came() == 0
        world.entrance.renew()
        assert len(world.poller.sockets) == 2, "the poller still knows a closed socket"
    with pytest.raises(OSError, match="in use"):
        Door("127.0.0.1", world.door.port)


def test_what_was_said_and_not_read_is_forgotten(world: World) -> None:
    world.client.send(b"old")
    assert world.entrance.socket.poll(WITHIN_MS)
    world.entrance.renew()
    assert world.hears(b"new") == {b"new"}


def test_a_message_without_end_is_left_and_who_has_sent_it_is_heard_again() -> None:
    counters: Counter[str] = Counter()
    address = free_addresses(1)
    sockets = Sockets(Config("ward", bytes(16), address), 1, counters)
    try:
        with zmq.Context() as context, context.socket(zmq.DEALER) as client:
            client.setsockopt(zmq.LINGER, 0)
            client.setsockopt(zmq.RECONNECT_IVL, 20)
            client.connect(f"tcp://127.0.0.1:{address[0].client_port}")
            client.send_multipart([b""] * PARTS_MAX)  # and the routing id
            assert sockets.clients.poll(WITHIN_MS)
            with pytest.raises(zmq.Again):
                sockets.take(sockets.clients)
            assert counters["message_of_too_many_parts"] == 1
            for _ in range(WITHIN_MS // 50):  # what is said while nobody is connected may be lost
                client.send_multipart([b"x"] * (PARTS_MAX - 1))
                if sockets.clients.poll(50):
                    break
            frames, key = sockets.take(sockets.clients)
            assert (len(frames), key) == (PARTS_MAX, "")
    finally:
        sockets.close()
