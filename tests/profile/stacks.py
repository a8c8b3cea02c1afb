"""What py-spy writes with ``--format raw``, one stack a line: ``frame;frame;frame 12``, the outermost frame first.

    thread (17809): MainThread;run (hfzmq/daemon/node.py:175);Poller.poll (zmq/sugar/poll.py:106);poll (libc.so.6) 12

Touches nothing. Keeps: no line is passed over; what is none of these raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

PRODUCT = "hfzmq/"
MAIN = "MainThread"

_THREAD = re.compile(r"thread \((\w+)\)(?:: (.*))?$")
_FRAME = re.compile(r"(.+) \((.+?)(?::\d+)?\)$")


class Frame(NamedTuple):
    """A function, and the file as py-spy tells it; of the product, ``module`` is the path below hfzmq/ without its
    end. Functions have their own name alone: not their class's, and of what is made inside them the outer one's."""

    function: str
    file: str
    module: str

    @property
    def is_python(self) -> bool:
        """False for C."""
        return self.file.endswith(".py")


class Stack(NamedTuple):
    """``looks`` have found the thread ``tid``, called ``thread``, there."""

    tid: int
    thread: str
    frames: tuple[Frame, ...]
    looks: int


def read(text: str) -> list[Stack]:
    """All of a file. ValueError: it is none of py-spy's, or was not made with --threads."""
    return [_stack(line) for line in text.splitlines() if line]


def _stack(line: str) -> Stack:
    frames, _, count = line.rpartition(" ")
    first, *rest = frames.split(";")
    thread = _THREAD.match(first)
    if thread is None or not count.isdigit():
        raise ValueError(f"no stack of py-spy's: {line[:80]}")
    return Stack(int(thread[1], 0), thread[2] or "", tuple(_frames(rest)), int(count))


def _frames(told: list[str]) -> Iterator[Frame]:
    for one in told:
        found = _FRAME.match(one)
        function, file = (found[1], found[2]) if found else (one, "")
        if file.endswith(".py"):
            function = function.partition(".<locals>")[0].rpartition(".")[2]
        is_product = file.startswith(PRODUCT) and file.endswith(".py")
        yield Frame(function, file, file[len(PRODUCT) : -len(".py")].removesuffix("/__init__") if is_product else "")
