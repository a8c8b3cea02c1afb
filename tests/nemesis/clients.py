"""Clients that write and read all the time and tell a History everything; each is a thread.

    RawWriter    the bare wire: one request in flight, the same bytes to any peer until ACK, and sometimes once more
    QueueWriter  the product's own ``hfzmq.Client`` with its queue on disk
    Reader       consistent reads, and peeks at any peer's own file

Touches sockets, the disk (queues). Must not know: faults. Keeps: every patient's name is used once; ``pause`` returns
when nothing is in flight any more: what was begun is acknowledged, for a healed mesh must take everything.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import zmq

from hfzmq import Client
from hfzmq.client.line import curve_for
from hfzmq.clinical.report import Report
from hfzmq.config import Config
from hfzmq.errors import WireError
from hfzmq.wire.requests import decode_reply, digest, encode_request, encode_rows
from tests.nemesis.history import History

ROWS_MAX = 4
READ_ROWS = 20
PENDING_MAX = 30
HOUR_MS = 3_600_000
RED_EVERY = 5


def report(patient: str, number: int, wrong_by_ms: int = 0) -> Report:
    """A report of a patient of this name, by a bedside clock that may be wrong: RED, which is an alarm, every fifth;
    AMBER else, which is none yet."""
    now_ms = int(time.time() * 1000) + wrong_by_ms
    probability, tier = (0.7, "RED") if number % RED_EVERY == 0 else (0.4, "AMBER")
    return Report(patient, now_ms, 60.0, 135.0, 1.5, 40.0, 5, probability, tier, 0.8, "m", "")


class Worker:
    """A thread that does ``turn`` again and again while it may."""

    def __init__(self, name: str, seed: int, history: History) -> None:
        self.name = name
        self.history = history
        self.chance = Random(f"{seed} {name}")
        self.failed: BaseException | None = None
        self._may = threading.Event()
        self._idle = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    @property
    def ending(self) -> bool:
        """Whether all waiting must stop."""
        return self._ending.is_set()

    def start(self) -> None:
        """Begin; ``resume`` lets it work."""
        self._thread.start()

    def resume(self) -> None:
        """Work on."""
        self._idle.clear()
        self._may.set()

    def pause(self) -> None:
        """Begin nothing more."""
        self._may.clear()

    def idle(self, within_s: float) -> bool:
        """Wait until all it began is over; whether it was in time."""
        return self._idle.wait(within_s)

    def close(self) -> None:
        """End, whatever is in flight."""
        self._ending.set()
        self._may.set()
        self._thread.join(10)

    def _work(self) -> None:
        try:
            while not self.ending:
                if not self._may.is_set():
                    self.drain()
                    self._idle.set()
                    self._may.wait()
                    continue
                self.turn()
                self._ending.wait(self.chance.uniform(0.005, 0.03))
        except BaseException as error:
            self.failed = error
        finally:
            self.ended()

    def turn(self) -> None:
        """One operation."""
        raise NotImplementedError

    def drain(self) -> None:
        """Wait until all it began is over."""

    def ended(self) -> None:
        """Give back what it holds; called in its own thread."""


class Wire:
    """REQ sockets to all peers; one request at a time."""

    def __init__(self, config: Config, chance: Random) -> None:
        self._config = config
        self._chance = chance
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sockets: dict[int, zmq.Socket[bytes]] = {}
        self.leader: int | None = None

    def somebody(self) -> int:
        """The leader as last heard of, mostly; anybody at all, now and then."""
        if self.leader in self._config.peer_ids and self._chance.random() < 0.7:
            return int(self.leader or 0)
        return self._chance.choice(self._config.peer_ids)

    def ask(self, peer: int, request: bytes) -> dict[str, Any] | None:
        """A peer's answer; None when there is none within a lease."""
        socket = self._sockets.pop(peer, None) or self._connect(peer)
        try:
            socket.send(request, zmq.DONTWAIT)
            reply = decode_reply(socket.recv()) if socket.poll(self._config.timing.lease_ms) else None
        except (zmq.ZMQError, WireError):
            reply = None
        if reply is None:
            socket.close(0)
            if self.leader == peer:
                self.leader = None
            return None
        self._sockets[peer] = socket
        if reply["status"] == "NOT_LEADER":
            self.leader = reply["leader"] or None
        elif reply["status"] == "ACK":
            self.leader = peer
        return reply

    def _connect(self, peer: int) -> zmq.Socket[bytes]:
        address = self._config.peer(peer)
        socket: zmq.Socket[bytes] = self._context.socket(zmq.REQ)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        curve = curve_for(self._config.keys, peer)
        if curve is not None:
            curve.show(socket)
        socket.connect(f"tcp://{address.host}:{address.client_port}")
        return socket

    def close(self) -> None:
        """Close all sockets."""
        self._context.destroy(linger=0)


class RawWriter(Worker):
    """See the module. A retry goes to anybody, so that peers without a right to acknowledge are asked to."""

    def __init__(self, name: str, seed: int, history: History, config: Config) -> None:
        super().__init__(name, seed, history)
        self._config = config
        self._wire = Wire(config, self.chance)
        self._epoch = os.urandom(16)
        self._seq = 0

    def turn(self) -> None:
        """One batch, until it is acknowledged."""
        self._seq += 1
        patients = [f"{self.name}/{self._seq}/{n}" for n in range(self.chance.randint(1, ROWS_MAX))]
        wrong_by_ms = self.chance.choice((0, 0, -HOUR_MS, HOUR_MS))
        rows = encode_rows([report(patient, self._seq, wrong_by_ms) for patient in patients])
        request = encode_request(
            self._config.mesh_id, "submit", client=self.name, epoch=self._epoch, seq=self._seq,
            rows=rows, digest=digest(rows),
        )  # fmt: skip
        self.history.add(self.name, "invoke", "submit", seq=self._seq, patients=patients)
        while not self.ending and not self._send(request):
            self._ending.wait(self.chance.uniform(0.01, 0.1))
        if self.chance.random() < 0.05:
            self._send(request)  # an answer that was lost: it must be the same again, and stored once

    def _send(self, request: bytes) -> bool:
        peer = self._wire.somebody()
        reply = self._wire.ask(peer, request)
        status = reply["status"] if reply else "no answer"
        if reply and status == "ACK":
            self.history.add(
                self.name, "ok", "submit", seq=self._seq, peer=peer, term=reply["term"], index=reply["index"]
            )
            return True
        self.history.add(self.name, "info", "submit", seq=self._seq, peer=peer, status=status)
        return False

    def ended(self) -> None:
        """Close the sockets."""
        self._wire.close()


class Reader(Worker):
    """See the module."""

    def __init__(self, name: str, seed: int, history: History, config: Config) -> None:
        super().__init__(name, seed, history)
        self._config = config
        self._wire = Wire(config, self.chance)

    def turn(self) -> None:
        """One read, asked once."""
        consistent = self.chance.random() < 0.7
        op = "read" if consistent else "peek"
        peer = self._wire.somebody() if consistent else self.chance.choice(self._config.peer_ids)
        request = encode_request(
            self._config.mesh_id, "reports", before_id=0, limit=READ_ROWS, consistent=consistent or None
        )
        self.history.add(self.name, "invoke", op)
        reply = self._wire.ask(peer, request)
        if reply and reply["status"] == "OK":
            fields = reply["fields"]
            at, patient = fields.index("id"), fields.index("patient_id")
            if consistent:
                self._wire.leader = peer
            self.history.add(self.name, "ok", op, peer=peer, rows=[[row[at], row[patient]] for row in reply["rows"]])
        else:
            self.history.add(self.name, "info", op, peer=peer, status=reply["status"] if reply else "no answer")
            self._ending.wait(0.05)

    def ended(self) -> None:
        """Close the sockets."""
        self._wire.close()


class QueueWriter(Worker):
    """See the module."""

    def __init__(self, name: str, seed: int, history: History, config: Config, queue: Path) -> None:
        super().__init__(name, seed, history)
        self._client = Client(config, name, queue, self._told, seed=seed)
        self._number = 0

    def turn(self) -> None:
        """One report onto the queue, if the queue is not too long already."""
        if self._client.state.pending >= PENDING_MAX:
            return
        self._number += 1
        patient = f"{self.name}/{self._number}"
        self.history.add(self.name, "invoke", "submit", seq=self._number, patients=[patient])
        self._client.submit(report(patient, self._number))

    def _told(self, event: dict[str, Any]) -> None:
        if event["event"] == "ack":
            number = int(event["patient"].rsplit("/", 1)[1])
            self.history.add(self.name, "ok", "submit", seq=number, peer=0, term=event["term"], index=event["index"])
        elif event["event"] == "rejected":
            self.history.add(self.name, "info", "submit", seq=self._number, peer=0, status="REFUSED")

    def drain(self) -> None:
        """Until the queue is empty."""
        while not self.ending and self._client.state.pending:
            self._ending.wait(0.02)

    def ended(self) -> None:
        """Close the client."""
        self._client.close()


class Clients:
    """All of them: ``raw`` RawWriters, ``queued`` QueueWriters and ``readers``."""

    def __init__(self, config: Config, history: History, folder: Path, seed: int, raw: int, queued: int, readers: int):
        self.workers: list[Worker] = [RawWriter(f"raw-{n}", seed, history, config) for n in range(raw)]
        self.workers += [Reader(f"reader-{n}", seed, history, config) for n in range(readers)]
        self.workers += [QueueWriter(f"queue-{n}", seed, history, config, folder / f"queue-{n}") for n in range(queued)]

    def __enter__(self) -> Clients:
        for worker in self.workers:
            worker.start()
        return self

    def __exit__(self, *about: object) -> None:
        for worker in self.workers:
            worker.close()

    def resume(self) -> None:
        """All work on."""
        for worker in self.workers:
            worker.resume()

    def pause(self, within_s: float) -> list[str]:
        """Nothing is in flight any more; the names of those who did not come to an end in time."""
        for worker in self.workers:
            worker.pause()
        until = time.monotonic() + within_s
        return [worker.name for worker in self.workers if not worker.idle(max(0.0, until - time.monotonic()))]

    def failures(self) -> Iterable[str]:
        """Clients that ended by an error of their own."""
        return [f"{worker.name}: {worker.failed!r}" for worker in self.workers if worker.failed]
