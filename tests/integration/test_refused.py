"""Connections that ZeroMQ gives up for good are noticed and made anew; those that it tries again are left to it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

import pytest
import zmq

from hfzmq.client.line import Curve
from hfzmq.daemon import refused
from hfzmq.daemon.refused import Refused
from hfzmq.secret_files import make_pair
from tests.fuzz.zmtp import command, greeting, head

WITHIN_S = 20.0
HTTP = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" + b"x" * 200


class Other:
    """Somebody else at a peer's port, who says ``words`` to all who come, and ends; ``came``: how many did."""

    def __init__(self, words: bytes) -> None:
        self.came = 0
        self._words = words
        self._here = socket.create_server(("127.0.0.1", 0))
        self._here.settimeout(0.1)
        self.where = f"tcp://127.0.0.1:{self._here.getsockname()[1]}"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Other:
        self._thread.start()
        return self

    def __exit__(self, *about: object) -> None:
        self._over.set()
        self._thread.join(5)
        self._here.close()

    def _work(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(OSError):
                inside, _ = self._here.accept()
                self.came += 1
                with inside:
                    inside.settimeout(1)
                    if self._words:
                        inside.sendall(self._words)
                        while inside.recv(4096):
                            pass


def watched(other: Other, kind: int, enough: Callable[[int], bool]) -> int:
    """Connect to ``other`` and make anew what is due, until ``enough(times)`` or the time is over; how many times."""
    own, server, times = make_pair(), make_pair(), 0
    with zmq.Context() as context:
        line = context.socket(kind)
        line.setsockopt(zmq.LINGER, 0)
        line.setsockopt(zmq.RECONNECT_IVL, 50)
        line.setsockopt(zmq.IPV6, 1)  # as a daemon's: from the second try on ZeroMQ writes the address in another way
        Curve(own, server.public).show(line)
        watch = Refused()
        watch.watch("it", line)
        line.connect(other.where)
        until = time.monotonic() + WITHIN_S
        while time.monotonic() < until and not enough(times):
            for name, endpoint in watch.look(time.monotonic() * 1000):
                assert (name, endpoint) == ("it", other.where)
                line.disconnect(endpoint)
                line.connect(endpoint)
                times += 1
            line.poll(20)
        line.disable_monitor()
        watch.close()
        line.close()
    return times


@pytest.mark.parametrize("kind", [zmq.SUB, zmq.DEALER])
@pytest.mark.parametrize(
    "words",
    [HTTP, greeting(b"NULL", as_server=1), greeting(as_server=1) + command(b"hello"), greeting() + head(1 << 62, 4)],
    ids=["HTTP", "plain", "another-command", "too-large"],
)
def test_who_met_something_else_at_a_peer_s_port_comes_again_and_again(kind: int, words: bytes) -> None:
    with Other(words) as other:
        assert watched(other, kind, lambda times: times >= 2 and other.came >= 2) >= 2
        assert other.came >= 2


@pytest.mark.parametrize("kind", [zmq.SUB, zmq.DEALER])
def test_what_zeromq_tries_again_by_itself_is_left_to_it(kind: int) -> None:
    until = time.monotonic() + 3 * refused.RETRY_MS / 1000
    with Other(b"") as other:
        assert watched(other, kind, lambda times: time.monotonic() > until) == 0
        assert other.came > 3


def test_a_host_s_name_is_one_connection_however_zeromq_writes_it() -> None:
    with Other(b"") as other, zmq.Context() as context:
        line = context.socket(zmq.DEALER)
        line.setsockopt(zmq.LINGER, 0)
        line.setsockopt(zmq.RECONNECT_IVL, 50)
        line.setsockopt(zmq.IPV6, 1)
        where = other.where.replace("127.0.0.1", "localhost")
        watch = Refused()
        watch.watch(2, line, where)
        line.connect(where)
        until = time.monotonic() + 2 * refused.RETRY_MS / 1000
        while time.monotonic() < until:
            assert watch.look(time.monotonic() * 1000) == []
            line.poll(20)
        assert other.came > 3
        assert {endpoint for _, endpoint in watch.why} <= {where}
        watch.drain(2)
        line.disable_monitor()
        watch.close()
        line.close()
