"""The clients' door: shut while few descriptors are left, and who is in stays in."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hfzmq.daemon import door
from hfzmq.daemon.door import RESERVE, RESERVE_OF_PEERS, SLACK, Door

KNOCK_S = 0.3


@pytest.fixture
def here() -> Iterator[Door]:
    """A door of this process, which is told how many descriptors are open."""
    one = Door("127.0.0.1", 0)
    yield one
    one.close()


def knock(one: Door) -> bool:
    """Whether it is open to who comes now."""
    with contextlib.closing(socket.socket()) as who:
        who.settimeout(KNOCK_S)
        try:
            who.connect(("127.0.0.1", one.port))
        except TimeoutError:
            return False
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="needs socket filters")
def test_it_is_shut_when_few_are_left_and_opens_when_there_are_some_more_than_that(
    here: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0
    monkeypatch.setattr(os, "listdir", lambda path: [""] * count)
    here._limit = 1000
    for count, shut in (
        (10, False),
        (1000 - RESERVE, False),
        (1000 - RESERVE + 1, True),
        (1000 - RESERVE - SLACK + 1, True),  # not at once, or it would swing
        (1000 - RESERVE - SLACK, False),
        (1000 - RESERVE + 1, True),
    ):
        here._count_at_ms = 0.0
        here.look(1.0, came=0)
        assert here.shut is shut, count
        assert knock(here) is not shut


@pytest.mark.skipif(sys.platform != "linux", reason="needs socket filters")
def test_who_is_in_is_not_cut_off(here: Door) -> None:
    with socket.create_connection(("127.0.0.1", here.port), timeout=1) as outside:
        inside, _ = here._listening.accept()
        here._set(True)
        assert not knock(here)
        outside.sendall(b"still here")
        inside.settimeout(1)
        assert inside.recv(100) == b"still here"
        inside.sendall(b"good")
        assert outside.recv(100) == b"good"
        inside.close()


@pytest.mark.skipif(sys.platform != "linux", reason="needs socket filters")
def test_the_peers_doors_are_shut_later_than_the_clients_and_opened_sooner(
    here: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0
    monkeypatch.setattr(os, "listdir", lambda path: [""] * count)
    peers = Door("127.0.0.1", 0, "peers", RESERVE_OF_PEERS, 16)
    here.inner = (peers,)
    here._limit = 1000
    for free, shut in (
        (RESERVE, (False, False)),
        (RESERVE - 1, (True, False)),
        (RESERVE_OF_PEERS, (True, False)),
        (RESERVE_OF_PEERS - 1, (True, True)),
        (RESERVE_OF_PEERS + SLACK, (True, False)),
        (RESERVE + SLACK, (False, False)),
    ):
        count = 1000 - free
        here._count_at_ms = 0.0
        here.look(1.0, came=0)
        assert (here.shut, peers.shut) == shut, free
        assert (knock(here), knock(peers)) == (not shut[0], not shut[1])
    peers.close()


def test_those_who_came_are_counted_between_two_looks_at_the_descriptors(
    here: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    real = os.listdir

    def listdir(path: str) -> list[str]:
        looks.append(path)
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)
    here._limit = 100_000
    for _ in range(50):
        here.look(1.0, came=1)
    assert len(looks) == 1, "it counts all descriptors for each client"
    here.look(1.0, came=100_000)
    assert len(looks) == 2
    assert not here.shut, "what it believes was not so"


def test_without_a_limit_there_is_nothing_to_look_at(here: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "listdir", lambda path: pytest.fail("it looked"))
    here._limit = resource.RLIM_INFINITY
    here.look(1.0, came=1_000_000)
    assert not here.shut


def test_a_port_that_is_taken_is_an_error_and_nothing_is_left_open(here: Door) -> None:
    before = len(os.listdir(door.DESCRIPTORS))
    with pytest.raises(OSError, match="in use"):
        Door("127.0.0.1", here.port)
    assert len(os.listdir(door.DESCRIPTORS)) == before


@pytest.mark.parametrize(
    ("soft", "hard", "words"),
    [
        (100, 200, "HfzmqError this process may open 200 files only; at least 384 are needed"),
        (100, 500, "500 this process may open 500 files: it serves some 292 clients at once"),
        (100, 2000, "2000 "),
    ],
)
def test_a_process_takes_all_descriptors_that_it_may_have_and_says_when_they_are_few(
    soft: int, hard: int, words: str
) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < hard:
        pytest.skip(f"may open {most} files only")
    script = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "import io, logging, sys; said = io.StringIO(); logging.basicConfig(stream=said, format='%(message)s')\n"
        "from hfzmq.daemon import door\n"
        "try: got = str(door.make_room()); assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == int(got)\n"
        "except Exception as error: got = f'{type(error).__name__} {error}'\n"
        "sys.stdout.write(f'{got} {said.getvalue()}')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout.startswith(words), done
