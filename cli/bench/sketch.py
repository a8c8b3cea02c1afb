"""The yardstick of ``hfzmq bench --baseline``: what sockets and SQLite take to store each report once on three disks.

Three processes: a leader takes each request, sends it to two followers, stores its rows, syncs, and acknowledges once
one follower has synced them too. Rows stand on all three disks, in one order. That is all: no log from which
anybody could catch up, no index, no terms, no elections, no chain, no sessions, no checks, no keys, no recovery; a
doubled request is stored twice, and whoever dies stays dead.
It is to be as fast as pyzmq and sqlite3 can honestly be made, so that nothing measured against it is flattered:

    poll --> drain every client --> one message to each follower --> one transaction, one sync --> answer what a
             follower has synced        follower: drain --> one transaction, one sync --> one number back (cumulative)

Touches sockets and one SQLite file. It is no part of the product: nothing of hfzmq is imported, and it alone names
msgpack outside of hfzmq/wire. Frames of a request: ``tag``, rows (a msgpack array of arrays of 12 fields); the answer
repeats the tag, so that a connection may have any number of requests under way.

    python -m hfzmq.cli.bench.sketch follower PORT FILE
    python -m hfzmq.cli.bench.sketch leader PORT FILE PORT_OF_FOLLOWER PORT_OF_FOLLOWER
"""

from __future__ import annotations

import signal
import sqlite3
import struct
import sys
from collections import deque
from itertools import chain
from types import FrameType

import msgpack
import zmq

DRAIN_MAX = 1024  # requests that go into one transaction at most
LOOK_MS = 200  # how soon SIGTERM is noticed
COLUMNS = 12
NUMBER = struct.Struct(">Q")
# What a report is, and an id that says in which order they came; the product's own columns are left out.
CREATE = """CREATE TABLE IF NOT EXISTS risk_reports (id INTEGER PRIMARY KEY, patient_id TEXT, timestamp INTEGER,
    age REAL, serum_sodium REAL, serum_creatinine REAL, ejection_fraction REAL, day INTEGER, probability REAL,
    tier TEXT, probability_study REAL, model_id TEXT, flags TEXT)"""
INSERT = f"INSERT INTO risk_reports VALUES (NULL{', ?' * COLUMNS})"

Frames = list[bytes]
stopped: list[int] = []  # by which signal


class Disk:
    """One SQLite file; what ``store`` has returned for is synced."""

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._pragma("synchronous", "FULL", 2)
        self._pragma("journal_mode", "WAL", "wal")
        self._database.execute(CREATE)

    def _pragma(self, name: str, value: str, expected: object) -> None:
        self._database.execute(f"PRAGMA {name} = {value}")
        (found,) = self._database.execute(f"PRAGMA {name}").fetchone()
        if found != expected:
            raise SystemExit(f"SQLite will not keep {name} = {value}: it says {found}")

    def store(self, requests: bytes) -> None:
        """The rows of requests that follow one another, in one transaction: each is an array of rows."""
        unpacker = msgpack.Unpacker(max_buffer_size=0)
        unpacker.feed(requests)
        self._database.execute("BEGIN")
        self._database.executemany(INSERT, chain.from_iterable(unpacker))
        self._database.execute("COMMIT")

    def close(self) -> None:
        self._database.close()


def drain(socket: zmq.Socket[bytes], most: int = DRAIN_MAX) -> list[Frames]:
    """What has come in, without waiting."""
    found: list[Frames] = []
    try:
        for _ in range(most):
            found.append(socket.recv_multipart(zmq.DONTWAIT))
    except zmq.Again:
        pass
    return found


def follow(context: zmq.Context[zmq.Socket[bytes]], port: int, disk: Disk) -> None:
    """Store what the leader sends, and say up to which number it is synced."""
    leader = context.socket(zmq.ROUTER)
    leader.set(zmq.RCVHWM, 0)
    leader.bind(f"tcp://127.0.0.1:{port}")
    while not stopped:
        if leader.poll(LOOK_MS):
            messages = drain(leader)
            disk.store(b"".join(message[2] for message in messages))
            leader.send_multipart(messages[-1][:2])


def lead(context: zmq.Context[zmq.Socket[bytes]], port: int, disk: Disk, followers: list[int]) -> None:
    """Take requests in, send them on, store them, and answer what is on two disks."""
    clients = context.socket(zmq.ROUTER)
    clients.set(zmq.RCVHWM, 0)
    clients.set(zmq.SNDHWM, 0)
    clients.bind(f"tcp://127.0.0.1:{port}")
    poller = zmq.Poller()
    poller.register(clients, zmq.POLLIN)
    peers = []
    for follower in followers:
        peer = context.socket(zmq.DEALER)
        peer.set(zmq.SNDHWM, 0)
        peer.connect(f"tcp://127.0.0.1:{follower}")
        poller.register(peer, zmq.POLLIN)
        peers.append(peer)
    waiting: deque[tuple[int, list[Frames]]] = deque()
    number = synced = 0
    while not stopped:
        ready = dict(poller.poll(LOOK_MS))
        if clients in ready:
            requests = drain(clients)
            number += 1
            rows = b"".join(request[2] for request in requests)
            for peer in peers:
                peer.send_multipart((NUMBER.pack(number), rows), zmq.DONTWAIT)
            disk.store(rows)
            waiting.append((number, requests))
        for peer in peers:
            if peer in ready:
                (upto,) = NUMBER.unpack(drain(peer)[-1][0])
                synced = max(synced, upto)
        while waiting and waiting[0][0] <= synced:
            for request in waiting.popleft()[1]:
                clients.send_multipart(request[:2], zmq.DONTWAIT)


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM."""

    def end(number: int, frame: FrameType | None) -> None:
        stopped.append(number)

    signal.signal(signal.SIGTERM, end)
    role, port, path, *followers = arguments
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    disk = Disk(path)
    try:
        if role == "leader":
            lead(context, int(port), disk, [int(follower) for follower in followers])
        else:
            follow(context, int(port), disk)
    finally:
        context.destroy(linger=0)
        disk.close()


if __name__ == "__main__":
    main(sys.argv[1:])
