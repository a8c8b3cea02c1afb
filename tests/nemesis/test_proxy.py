"""The relay hurts whole messages and nothing else: real ZeroMQ sockets talk through it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import zmq

from tests.nemesis.proxy import LISTENS, TALKS, Proxy
from tests.nemesis.weather import CALM, DEAF, Air, Weather
from tests.nemesis.zmtp import GREETING_BYTES, Piece, Splitter
from tests.system.mesh import wait_for

GREETING = b"\xff" + bytes(8) + b"\x7f\x03" + bytes(GREETING_BYTES - 11)
WAY = [(1, 2)]


class Link:
    """A DEALER that talks to a ROUTER through a relay."""

    def __init__(self) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.router = self.context.socket(zmq.ROUTER)
        port = self.router.bind_to_random_port("tcp://127.0.0.1")
        self.proxy = Proxy()
        relayed = self.proxy.add(1, 2, ("127.0.0.1", port), TALKS)
        self.proxy.start()
        self.dealer = self.context.socket(zmq.DEALER)
        self.dealer.setsockopt(zmq.RECONNECT_IVL, 20)
        self.dealer.connect(f"tcp://127.0.0.1:{relayed}")
        self.say(b"first")
        assert self.hear(1) == [b"first"]

    def say(self, *messages: bytes) -> None:
        """Send."""
        for message in messages:
            self.dealer.send(message)

    def hear(self, count: int, within_ms: int = 3000) -> list[bytes]:
        """``count`` messages, or fewer after a while."""
        heard: list[bytes] = []
        while len(heard) < count and self.router.poll(within_ms):
            heard.append(self.router.recv_multipart()[-1])
        return heard


@pytest.fixture
def link() -> Iterator[Link]:
    link = Link()
    yield link
    link.proxy.close()
    link.context.destroy(linger=0)


NUMBERS = [b"%d" % number for number in range(200)]


def test_in_calm_weather_everything_arrives_once_and_in_order_large_messages_too(link: Link) -> None:
    large = [os.urandom(size) for size in (0, 255, 256, 70_000, 3_000_000)]
    link.say(*NUMBERS, *large)
    assert link.hear(len(NUMBERS) + len(large)) == NUMBERS + large


def test_lost_messages_leave_the_connection_alive_and_the_others_whole(link: Link) -> None:
    link.proxy.weather(WAY, Weather(loss=0.5))
    link.say(*NUMBERS)
    heard = link.hear(len(NUMBERS), 300)
    assert 40 < len(heard) < 160
    assert heard == [number for number in NUMBERS if number in set(heard)]
    link.proxy.mend()
    link.say(b"calm")
    assert link.hear(1) == [b"calm"]


def test_a_deaf_way_lets_answers_pass_the_other_way(link: Link) -> None:
    link.say(b"who am I")
    me = link.router.recv_multipart()[0]
    link.proxy.weather(WAY, DEAF)
    link.say(b"unheard")
    link.router.send_multipart([me, b"heard"])
    assert link.dealer.poll(3000)
    assert link.dealer.recv() == b"heard"
    assert link.hear(1, 200) == []


def test_doubled_messages_come_twice(link: Link) -> None:
    link.proxy.weather(WAY, Weather(echo=1.0, echo_s=0.05))
    link.say(*NUMBERS)
    assert sorted(link.hear(2 * len(NUMBERS))) == sorted(NUMBERS * 2)


def test_shuffled_messages_overtake_each_other_and_all_arrive(link: Link) -> None:
    link.proxy.weather(WAY, Weather(shuffle_s=0.1))
    link.say(*NUMBERS)
    heard = link.hear(len(NUMBERS))
    assert heard != NUMBERS
    assert sorted(heard) == sorted(NUMBERS)


def test_an_echo_reaches_the_next_connection(link: Link) -> None:
    link.proxy.weather(WAY, Weather(echo=1.0, echo_s=0.8))
    link.say(*NUMBERS[:50])
    assert set(link.hear(50)) == set(NUMBERS[:50])
    link.proxy.reset(WAY)
    link.proxy.weather(WAY, CALM)
    link.say(b"new life")
    heard = link.hear(100, 1500)
    assert b"new life" in heard
    assert set(heard) - {b"new life"}, "no echo came late"


def test_a_stalled_way_holds_everything_and_connects_anew_when_mended(link: Link) -> None:
    link.proxy.stall(WAY)
    link.say(b"stuck")
    assert link.hear(1, 200) == []
    link.proxy.mend()

    def through() -> bool:
        link.say(b"again")
        return b"again" in link.hear(1, 50)

    wait_for("the new connection", through)


def test_weather_on_a_publisher_hurts_what_it_says_and_not_who_subscribes() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    publisher = context.socket(zmq.PUB)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    proxy = Proxy()
    relayed = proxy.add(1, 2, ("127.0.0.1", port), LISTENS)
    proxy.start()
    proxy.weather([(1, 2)], DEAF)  # peer 1 only subscribes here: it is peer 2 who speaks
    hearer = context.socket(zmq.SUB)
    hearer.setsockopt(zmq.SUBSCRIBE, b"")
    hearer.connect(f"tcp://127.0.0.1:{relayed}")

    def heard() -> bool:
        publisher.send(b"beat")
        return bool(hearer.poll(50))

    wait_for("a heartbeat", heard)
    proxy.weather([(2, 1)], DEAF)
    while hearer.poll(200):
        hearer.recv()
    publisher.send(b"lost")
    assert not hearer.poll(200)
    proxy.close()
    context.destroy(linger=0)


@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_a_stream_is_split_at_messages_however_it_is_cut(cut: int) -> None:
    command = b"\x04\x05ready"
    short, long = b"\x00\x03abc", b"\x02" + (300).to_bytes(8, "big") + bytes(300)
    several = b"\x01\x01a" + b"\x03" + (2).to_bytes(8, "big") + b"bb" + b"\x00\x00"
    stream = GREETING + command + short + long + several + short
    splitter = Splitter()
    pieces = [piece for at in range(0, len(stream), cut) for piece in splitter.feed(stream[at : at + cut])]
    assert b"".join(piece.data for piece in pieces) == stream
    assert [piece for piece in pieces if piece.message] == [Piece(data, True) for data in (short, long, several, short)]
    assert b"".join(piece.data for piece in pieces if not piece.message) == GREETING + command


def test_the_same_seed_gives_the_same_weather() -> None:
    def landed(seed: str) -> list[bytes]:
        air = Air(seed)
        air.weather = Weather(loss=0.3, echo=0.3, echo_s=1.0, shuffle_s=0.5)
        for number in range(100):
            air.take(number * 0.01, b"%d" % number)
        return air.landed(1000.0)

    assert landed("a") == landed("a") != landed("b")
