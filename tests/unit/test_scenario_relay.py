"""Links that can be cut: what passes, what does not, and what comes late."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from hfzmq.cli.scenario.relay import HELD_BYTES_MAX, Links

WITHIN_S = 10.0
QUIET_S = 0.3


@pytest.fixture
def links() -> Iterator[Links]:
    made = Links()
    yield made
    made.close()
    made.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(WITHIN_S)
        yield made


def joined(links: Links, listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Peer 1's end and peer 2's end of a connection that 1 opened."""
    port = links.add(1, 2, listener.getsockname()[1])
    links.start()
    near = socket.create_connection(("127.0.0.1", port), WITHIN_S)
    far, _ = listener.accept()
    far.settimeout(WITHIN_S)
    return near, far


def received(end: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        more = end.recv(count - len(data))
        assert more, "closed"
        data += more
    return bytes(data)


def assert_quiet(end: socket.socket) -> None:
    end.settimeout(QUIET_S)
    with pytest.raises(TimeoutError):
        end.recv(1)
    end.settimeout(WITHIN_S)


def test_what_is_sent_passes_both_ways(links: Links, listener: socket.socket) -> None:
    near, far = joined(links, listener)
    near.sendall(b"there")
    assert received(far, 5) == b"there"
    far.sendall(b"back")
    assert received(near, 4) == b"back"


def test_a_cut_link_passes_nothing_closes_nothing_and_delivers_late(links: Links, listener: socket.socket) -> None:
    near, far = joined(links, listener)
    links.split({1}, {2, 3})
    near.sendall(b"late")
    far.sendall(b"too")
    assert_quiet(far)
    assert_quiet(near)
    links.mend()
    assert received(far, 4) == b"late"
    assert received(near, 3) == b"too"


def test_a_connection_made_over_a_cut_link_comes_about_when_it_is_mended(links: Links, listener: socket.socket) -> None:
    port = links.add(1, 2, listener.getsockname()[1])
    links.start()
    links.split({2}, {1})
    near = socket.create_connection(("127.0.0.1", port), WITHIN_S)
    near.sendall(b"hello")
    listener.settimeout(QUIET_S)
    with pytest.raises(TimeoutError):
        listener.accept()
    links.mend()
    listener.settimeout(WITHIN_S)
    far, _ = listener.accept()
    far.settimeout(WITHIN_S)
    assert received(far, 5) == b"hello"


def test_a_link_within_a_group_goes_on(links: Links, listener: socket.socket) -> None:
    near, far = joined(links, listener)
    links.split({1, 2}, {3, 4, 5})
    near.sendall(b"still")
    assert received(far, 5) == b"still"


def test_who_closes_one_end_closes_the_other(links: Links, listener: socket.socket) -> None:
    near, far = joined(links, listener)
    near.close()
    assert far.recv(1) == b""


def test_a_refused_connection_is_closed_and_the_next_one_passes(links: Links) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    door = links.add(1, 2, port)
    links.start()
    with socket.create_connection(("127.0.0.1", door), WITHIN_S) as near:
        assert near.recv(1) == b""
    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.settimeout(WITHIN_S)
        again = socket.create_connection(("127.0.0.1", door), WITHIN_S)
        again.sendall(b"x")
        far, _ = listener.accept()
        assert received(far, 1) == b"x"


def test_more_than_the_relay_holds_arrives_whole_and_in_order(links: Links, listener: socket.socket) -> None:
    near, far = joined(links, listener)
    data = bytes(range(251)) * (24 * HELD_BYTES_MAX // 251)  # more than all buffers on the way take together
    sender = threading.Thread(target=near.sendall, args=(data,), daemon=True)
    sender.start()
    first = received(far, 1000)
    assert sender.is_alive()
    links.split({1}, {2})
    links.mend()
    assert first + received(far, len(data) - 1000) == data
    sender.join(WITHIN_S)
