"""A network of its own for a mesh: each peer in a Linux network namespace, all of them on one bridge.

    this process: bridge 10.x.y.254 --- veth ... veth --- eth0 10.x.y.N in the namespace of peer N

Touches the kernel's network (root needed, see means.py). Must not know: daemons, ZeroMQ. Keeps: ``close`` takes
everything away again; what a killed run left behind is swept away by the next one, for the names hold its process id.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import re
import socket
import string
import subprocess
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import TypeVar

from tests.nemesis.means import run

PREFIX = "hz"
CLONE_NEWNET = 0x40000000
NAMESPACES = Path("/run/netns")
T = TypeVar("T")


class Network:
    """Namespaces and links for ``peers``; ``address(n)`` is where peer n listens."""

    def __init__(self, peers: Iterable[int]) -> None:
        sweep()
        self.peers = tuple(peers)
        self._bridge = f"{PREFIX}{os.getpid()}{next(_letters)}"
        self._net = _free_net()
        self._cut: set[tuple[int, int]] = set()
        try:
            run("ip", "link", "add", self._bridge, "type", "bridge")
            run("ip", "addr", "add", f"{self._net}.254/24", "dev", self._bridge)
            run("ip", "link", "set", self._bridge, "up")
            for number in self.peers:
                self._add(number)
        except BaseException:
            self.close()
            raise

    def _add(self, number: int) -> None:
        name, end = self.name(number), self._end(number)
        run("ip", "netns", "add", name)
        run("ip", "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "link", "set", end, "master", self._bridge)
        run("ip", "link", "set", end, "up")
        run("ip", "-n", name, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "link", "set", "eth0", "up")

    def name(self, number: int) -> str:
        """The namespace of a peer."""
        return f"{self._bridge}-{number}"

    def _end(self, number: int) -> str:
        return f"{self._bridge}v{number}"

    def address(self, number: int) -> str:
        """The IPv4 address of a peer."""
        return f"{self._net}.{number}"

    def command(self, number: int) -> list[str]:
        """What to put before a command so that it runs as peer ``number``'s machine."""
        return ["ip", "netns", "exec", self.name(number)]

    # ------------------------------------------------------------ faults

    def link(self, number: int, up: bool) -> None:
        """Plug or pull a peer's cable, at the switch: the peer itself sees its card and its routes stay."""
        run("ip", "link", "set", self._end(number), "up" if up else "down")

    def blackhole(self, source: int, target: int) -> None:
        """What ``source`` sends to ``target`` vanishes, acknowledgements of TCP too; the other way stays open."""
        run("ip", "-n", self.name(source), "route", "replace", "blackhole", f"{self.address(target)}/32")
        self._cut.add((source, target))

    def mend(self) -> None:
        """Every cable in, every way open."""
        for number in self.peers:
            self.link(number, up=True)
        for source, target in sorted(self._cut):
            run("ip", "-n", self.name(source), "route", "delete", "blackhole", f"{self.address(target)}/32")
        self._cut.clear()

    # ------------------------------------------------------------ sockets of this process in there

    def listener(self, number: int) -> socket.socket:
        """A listening socket on 127.0.0.1 inside a peer's namespace, any port."""
        return _inside(self.name(number), lambda: socket.create_server(("127.0.0.1", 0)))

    def stream(self, number: int) -> socket.socket:
        """An unconnected TCP socket inside a peer's namespace."""
        return _inside(self.name(number), lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))

    def datagrams(self, number: int) -> socket.socket:
        """An unconnected UDP socket inside a peer's namespace."""
        return _inside(self.name(number), lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

    def close(self) -> None:
        """Remove everything; twice is harmless."""
        _remove(self._bridge)


def _inside(name: str, make: Callable[[], T]) -> T:
    """What ``make`` returns in a namespace; a socket stays where it was made, whichever thread uses it."""
    made: list[T] = []
    failed: list[OSError] = []

    def work() -> None:
        try:
            with (NAMESPACES / name).open() as handle:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(handle.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            made.append(make())
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=work)  # a thread of its own: it cannot forget to come back
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


def sweep() -> None:
    """Remove what runs that are dead by now have left behind."""
    found = {match.group(1, 2) for match in map(_NAME.match, _names()) if match}
    for bridge, process in found:
        if not Path("/proc", process).exists():
            _remove(bridge)


_NAME = re.compile(rf"({PREFIX}(\d+)[a-z])([-v]\d+)?$")
_letters = itertools.cycle(string.ascii_lowercase)  # a process may have several networks


def _names() -> list[str]:
    namespaces = [path.name for path in NAMESPACES.iterdir()] if NAMESPACES.is_dir() else []
    return namespaces + [path.name for path in Path("/sys/class/net").iterdir()]


def _remove(bridge: str) -> None:
    for name in _names():
        if name.startswith(bridge + "-"):
            _quietly("ip", "netns", "delete", name)
    # A namespace goes when its last process and socket do; its cable is pulled out here at once.
    for name in _names():
        if name.startswith(bridge + "v"):
            _quietly("ip", "link", "delete", name)
    _quietly("ip", "link", "delete", bridge)


def _quietly(*words: object) -> None:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        run(*words)


def _free_net() -> str:
    """The first three numbers of a /24 that no route of this machine touches."""
    routes = subprocess.run(["ip", "-4", "route"], capture_output=True, text=True, check=False).stdout
    chance = Random()
    while True:
        net = f"10.{chance.randrange(64, 250)}.{chance.randrange(250)}"
        if not re.search(rf"\b10\.{net.split('.')[1]}\.", routes):
            return net
