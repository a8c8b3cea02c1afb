"""Whoever guesses how ZeroMQ numbers the next connection can abort the process; its begin must be nobody's guess."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import sys
from pathlib import Path

import zmq

from tests.system.mesh import ROOT, Mesh, wait_for

FIRST_CONNECTION = """
import zmq
from hfzmq.daemon.entrance import scatter_routing_ids
scatter_routing_ids()
context = zmq.Context()
router, dealer = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
dealer.connect(f"tcp://127.0.0.1:{router.bind_to_random_port('tcp://127.0.0.1')}")
dealer.send(b"")
print(router.recv_multipart()[0].hex())
"""
SOCKETS, CONNECTIONS = 4, 150


def unseeded(sockets: int) -> list[int]:
    """Where these many ROUTERs begin to count in a process in which nobody has seeded C's ``rand()``."""
    c = ctypes.CDLL(None)
    c.srand(1)
    begins = []
    for _ in range(sockets):
        low, high = c.rand(), c.rand()
        begins.append((high << 31 | low) & 0xFFFFFFFF)
    c.srand(int.from_bytes(os.urandom(4), "big"))
    return begins


def test_connections_are_numbered_from_another_place_in_each_process() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", FIRST_CONNECTION], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(3)
    }
    assert len(told) == 3


def test_who_takes_the_numbers_that_would_come_next_does_not_end_a_daemon(tmp_path: Path) -> None:
    with Mesh(tmp_path, peers=1, keyed=False) as mesh, zmq.Context() as context:
        here = mesh.config.peer(1)
        lines = []
        for begin in unseeded(SOCKETS):
            for count in range(CONNECTIONS):
                line = context.socket(zmq.DEALER)
                line.setsockopt(zmq.LINGER, 0)
                line.setsockopt(zmq.ROUTING_ID, b"\0" + struct.pack(">I", (begin + count) & 0xFFFFFFFF))
                line.connect(f"tcp://{here.host}:{here.client_port}")
                lines.append(line)
        wait_for("all are in", lambda: len(os.listdir(f"/proc/{mesh.processes[1].pid}/fd")) > len(lines))
        for _ in range(20):
            assert mesh.status()[1]["role"] == "leader"
        assert mesh.processes[1].poll() is None
        for line in lines:
            line.close()
