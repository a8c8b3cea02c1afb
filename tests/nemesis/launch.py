"""``hfzmq`` as the nemesis starts it: with relays in its ways, clocks that can be wrong and, where asked for, a bug.

    python -m tests.nemesis.launch LINKS CLOCKS serve --id 1 ...

A ``-`` in place of LINKS or CLOCKS leaves them alone, for commands. A mesh in namespaces of its own is plain, as one on
the loopback may be: relays lose, double and hold back whole messages, and CURVE takes that for an attack.

LINKS is JSON: an endpoint to connect to -> the relay that stands for it. All peers keep the same peers.yaml with their
real addresses, which are what the mesh replicates, and yet each speaks through relays of its own.

CLOCKS holds two doubles: seconds to add to the wall clock (read at each look, so that it jumps while the daemon runs)
and the rate of the monotonic clock (read once, at the start). Stands in for libfaketime, which is not everywhere: all
of hfzmq reads clocks through the module ``time``. The environment variable HFZMQ_NEMESIS_BUG names a bug of
tests/simulation/bugs.py: a run that finds nothing says little unless it finds those. Touches only its own process,
before hfzmq is imported.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import sys
import time
from pathlib import Path

import zmq

BUG_VARIABLE = "HFZMQ_NEMESIS_BUG"
FORMAT = struct.Struct("dd")


def command(*words: object) -> list[str]:
    """The command line of hfzmq for the operator of a nemesis's mesh."""
    return [sys.executable, "-m", "tests.nemesis.launch", "-", "-", *map(str, words)]


def write_clocks(path: Path, wall_s: float = 0.0, rate: float = 1.0) -> None:
    """Set a daemon's clocks; the file is changed in place, for the daemon has it mapped."""
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.write(FORMAT.pack(wall_s, rate))


def shift(path: Path) -> None:
    """Replace this process's clocks."""
    with path.open("rb") as file:
        shared = mmap.mmap(file.fileno(), FORMAT.size, access=mmap.ACCESS_READ)
    rate = FORMAT.unpack(shared)[1]
    wall_ns, monotonic = time.time_ns, time.monotonic
    began = monotonic()

    def time_ns() -> int:
        return wall_ns() + int(FORMAT.unpack(shared)[0] * 1e9)

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9
    if rate != 1.0:
        time.monotonic = lambda: began + (monotonic() - began) * rate


def reroute(path: Path) -> None:
    """Let every ZeroMQ socket of this process connect to relays instead."""
    links: dict[str, str] = json.loads(path.read_text())
    for name in ("connect", "disconnect"):
        real = getattr(zmq.Socket, name)
        setattr(zmq.Socket, name, lambda self, endpoint, real=real: real(self, links.get(endpoint, endpoint)))


def plant(name: str) -> None:
    """Put a bug into this process's copy of the core. ValueError: there is none of this name."""
    from tests import planting
    from tests.simulation.bugs import BUGS, OPEN

    found = [bug for bug in (*BUGS, *OPEN) if bug.name == name]
    if not found:
        raise ValueError(f"no bug is called {name!r}: see tests/simulation/bugs.py")
    planting.plant(found[0])


def trust_the_namespaces() -> None:
    """Whatever address they have, nobody from outside comes in there."""
    from hfzmq import key_section

    key_section.is_loopback = lambda host: True


if __name__ == "__main__":
    if sys.argv[1] != "-":
        reroute(Path(sys.argv[1]))
    if sys.argv[2] != "-":
        shift(Path(sys.argv[2]))
    trust_the_namespaces()
    if os.environ.get(BUG_VARIABLE):
        plant(os.environ[BUG_VARIABLE])
    from hfzmq.cli.main import main

    sys.exit(main(sys.argv[3:]))
