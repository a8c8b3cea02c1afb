"""What an attack is: a name, a sentence, and a generator that does a little harm each time it is asked to go on.

Touches sockets (its own). Must not know: daemons, verdicts. Keeps: whatever an attack draws comes from the Random it is
given; its connections are closed when it ends, however it ends; that the other side hangs up is no error but the point.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterator
from random import Random
from typing import NamedTuple

from tests.fuzz.target import Target

CONNECT_S = 1.0
SEND_S = 0.25

Turns = Generator[None, None, None]
Work = Callable[[Target, Random], Turns]


class Attack(NamedTuple):
    """``needs_http``: it is about the port for health and metrics."""

    name: str
    says: str
    work: Work
    needs_http: bool = False


ATTACKS: dict[str, Attack] = {}


def attack(says: str, *, needs_http: bool = False) -> Callable[[Work], Work]:
    """Enter a generator under its own name."""

    def enter(work: Work) -> Work:
        name = work.__name__
        ATTACKS[name] = Attack(name, says, work, needs_http)
        return work

    return enter


def dial(target: Target, port: int) -> socket.socket | None:
    """A TCP connection; None where nobody lets it in (a shut door)."""
    try:
        made = socket.create_connection((target.host, port), timeout=CONNECT_S)
    except OSError:
        return None
    made.settimeout(SEND_S)
    return made


def say(to: socket.socket, data: bytes) -> bool:
    """Send; False when the other side has hung up, or takes no more."""
    try:
        to.sendall(data)
    except OSError:
        return False
    return True


class Crowd:
    """The newest ``most`` connections; older ones are closed as others come."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: deque[socket.socket] = deque()

    def add(self, one: socket.socket | None) -> None:
        """Keep it."""
        if one is not None:
            self._open.append(one)
        while len(self._open) > self._most:
            self._open.popleft().close()

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *about: object) -> None:
        while self._open:
            with contextlib.suppress(OSError):
                self._open.popleft().close()


@contextlib.contextmanager
def dialled(target: Target, port: int) -> Iterator[socket.socket | None]:
    """``dial``, closed in the end."""
    made = dial(target, port)
    try:
        yield made
    finally:
        if made is not None:
            made.close()
