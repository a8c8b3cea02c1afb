"""The clients of a bench, in a process of their own: each keeps one request under way, all of them on one thread.

    python -m hfzmq.cli.bench.load SPEC.json          what happens goes to stdout, one JSON object a line:

    ready -> begin (after the warm-up) -> tick ... tick -> end -> done, when all that was sent is acknowledged
    SIGTERM, after begin: end comes now
    failed, at any time, instead of what would follow

Touches sockets, stdout, the clock. Must not know: processes, disks, what is compared. Keeps: every client has a
connection of its own, as on a ward; what is not answered in time, or answered by one that does not lead, is sent again
as the same bytes to whoever leads; ``done`` says of each writer how far it was acknowledged, and that is all of it.

One ROUTER carries all connections (ZMQ_CONNECT_ROUTING_ID names each), for a Poller over a thousand sockets would
measure the Poller.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import zmq

from hfzmq.cli.bench.histogram import Histogram
from hfzmq.cli.bench.reports import writers
from hfzmq.cli.bench.speak import ACKED, AGAIN, MeshSpeaker, Session, SketchSpeaker, Speaker
from hfzmq.config import load
from hfzmq.errors import HfzmqError
from hfzmq.secret_files import BEDSIDE_KEY, with_own_key

SILENT_S = 3.0  # whoever has answered nobody for so long is not waited for
LOST_S = 20.0  # nor for one answer for so long: with 2,000 clients a turn takes a while, on a machine that is busy
LOOK_EVERY_S = 0.25
FIRST_ACKS_WITHIN_S = LAST_ACKS_WITHIN_S = 60.0
DRAIN_MAX = 4096
BUSY_REST_S = 0.02


class Spec(NamedTuple):
    """What to do. ``config``: a peers.yaml, or ``port``: the sketch's; ``name``: what the writers are called;
    ``tick_s``: how often a tick is told; ``key``: a file with the secret key to speak with, '' for the usual one."""

    config: str
    port: int
    name: str
    clients: int
    beds: int
    batch: int
    report_bytes: int
    base_ms: int
    warm_up_s: float
    seconds: float
    tick_s: float
    key: str = ""


class Load:
    """See the module."""

    def __init__(self, spec: Spec, speaker: Speaker, tell: Callable[[dict[str, Any]], None]) -> None:
        self._spec = spec
        self._speaker = speaker
        self._tell = tell
        made = writers(spec.name, spec.clients, spec.beds, spec.base_ms, spec.report_bytes)
        self._sessions = {b"%d" % number: Session(writer) for number, writer in enumerate(made)}
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None
        self._acked = 0
        self._moves = -1  # how often it had to look for another leader
        self._connected_at = self._heard_at = 0.0
        self._busy: list[bytes] = []  # whose request is to be sent again, at ``_rested_at``
        self._rested_at = 0.0
        self._interval, self._whole = Histogram(), Histogram()
        self._ended = False  # the time that is measured, before it was over

    def run(self) -> None:
        """All of it."""
        spec = self._spec
        for session in self._sessions.values():
            self._speaker.next_request(session, spec.batch)
            session.since = time.monotonic()
        self._connect()
        self._tell({"event": "ready"})
        self._warm_up()
        self._interval = Histogram()
        began, before = time.monotonic(), self._acked
        signal.signal(signal.SIGTERM, self._end)
        self._tell({"event": "begin", "acked": self._acked})
        tick = began
        while (now := time.monotonic()) < began + spec.seconds and not self._ended:
            acked = self._acked
            self._work(min(now + spec.tick_s, began + spec.seconds))
            self._tell_tick(began, time.monotonic() - tick, self._acked - acked)
            tick = time.monotonic()
        lasted_s, acked = time.monotonic() - began, self._acked - before
        self._tell({"event": "end"})
        self._finish()
        self._whole.merge(self._interval)  # who waits at the end waits, too
        made = [[one.writer.name, one.sent, one.acked] for one in self._sessions.values()]
        us = {name: round(self._whole.percentile(share), 1) for name, share in SHARES.items()}
        told = {"event": "done", "acked": acked, "lasted_s": round(lasted_s, 3), "writers": made, "moves": self._moves}
        self._tell({**told, **us, "max_us": round(self._whole.most, 1)})

    def _warm_up(self) -> None:
        """So long as asked for, and until everybody was answered once: a thousand handshakes take seconds."""
        began = time.monotonic()
        self._work(began + self._spec.warm_up_s)
        while any(not session.acked for session in self._sessions.values()):
            if time.monotonic() > began + FIRST_ACKS_WITHIN_S:
                raise HfzmqError(f"not everybody was answered within {FIRST_ACKS_WITHIN_S:g} s")
            self._work(time.monotonic() + LOOK_EVERY_S)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._ended = True

    def close(self) -> None:
        """Let go of all connections."""
        self._context.destroy(linger=0)

    def _tell_tick(self, began: float, lasted_s: float, acked: int) -> None:
        interval, self._interval = self._interval, Histogram()
        self._whole.merge(interval)
        if lasted_s < self._spec.tick_s / 2:  # the last one: too short to be compared with the others
            return
        us = {name: round(interval.percentile(share), 1) if interval.count else None for name, share in SHARES.items()}
        at_s, rate = round(time.monotonic() - began, 3), round(acked / lasted_s, 1)
        told = {"event": "tick", "at_s": at_s, "acked": self._acked, "rate": rate}
        self._tell({**told, **us, "max_us": round(interval.most, 1)})

    # ------------------------------------------------------------ requests and answers

    def _connect(self) -> None:
        """To whoever leads, one connection for each writer; all that is under way goes out again."""
        if self._socket is not None:
            self._socket.close(0)
        where = self._speaker.where()
        socket: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RCVHWM, 0)
        if where.curve is not None:
            where.curve.show(socket)
        host = f"[{where.host}]" if ":" in where.host else where.host
        socket.setsockopt(zmq.IPV6, ":" in where.host)
        for name in self._sessions:
            socket.setsockopt(zmq.CONNECT_ROUTING_ID, name)
            socket.connect(f"tcp://{host}:{where.port}")
        self._socket = socket
        self._connected_at = time.monotonic()
        self._moves += 1
        self._busy.clear()
        for name, session in self._sessions.items():
            if session.acked < session.sent:
                self._send(name, session)

    def _send(self, name: bytes, session: Session) -> None:
        assert self._socket is not None
        self._socket.send_multipart((name, b"", session.frame), zmq.DONTWAIT)

    def _work(self, until: float, go_on: bool = True) -> None:
        """Take answers and send what comes next (``go_on``), until then; or until nothing is under way, or nothing more
        is to come next."""
        look = time.monotonic() + LOOK_EVERY_S
        while (now := time.monotonic()) < until and not (go_on and self._ended):
            assert self._socket is not None
            due = self._rested_at - now if self._busy else LOOK_EVERY_S
            if self._socket.poll(max(0, int(min(due, until - now) * 1000))) and not self._take_answers(go_on):
                self._connect()
            if self._busy and time.monotonic() >= self._rested_at:
                names, self._busy = self._busy, []
                for name in names:
                    self._send(name, self._sessions[name])
            if now >= look:
                look = now + LOOK_EVERY_S
                under_way = [one.since for one in self._sessions.values() if one.acked < one.sent]
                if not under_way:
                    return
                waited_s = now - max(min(under_way), self._connected_at)
                if waited_s > LOST_S or now - max(self._heard_at, self._connected_at) > SILENT_S:
                    self._connect()

    def _take_answers(self, go_on: bool) -> bool:
        """What has come in; False: it leads no more."""
        assert self._socket is not None
        sessions, speaker, batch, interval = self._sessions, self._speaker, self._spec.batch, self._interval
        for _ in range(DRAIN_MAX):
            try:
                frames = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return True
            self._heard_at = time.monotonic()
            name = frames[0]
            session = sessions[name]
            said = speaker.verdict(session, frames[-1])
            if said == ACKED:
                interval.add((time.monotonic() - session.since) * 1e6)
                session.acked = session.sent
                self._acked += batch
                if go_on:
                    speaker.next_request(session, batch)
                    session.since = time.monotonic()
                    self._send(name, session)
            elif said == AGAIN:
                if not self._busy:
                    self._rested_at = time.monotonic() + BUSY_REST_S
                self._busy.append(name)
            else:
                return False
        return True

    def _finish(self) -> None:
        """Wait for the last answers."""
        until = time.monotonic() + LAST_ACKS_WITHIN_S
        self._work(until, go_on=False)
        missing = [one.writer.name for one in self._sessions.values() if one.acked < one.sent]
        if missing:
            raise HfzmqError(f"{len(missing)} requests were not acknowledged within {LAST_ACKS_WITHIN_S:g} s")


SHARES = {"p50_us": 0.5, "p99_us": 0.99, "p999_us": 0.999}


def main(path: str) -> int:
    """Carry out the spec in a file; the exit code."""
    spec = Spec(**json.loads(Path(path).read_text(encoding="utf-8")))

    def tell(event: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()

    try:
        if spec.config:
            config = with_own_key(load(spec.config), BEDSIDE_KEY, os.environ, spec.key or None)
            speaker: Speaker = MeshSpeaker(config)
        else:
            speaker = SketchSpeaker(spec.port)
        run = Load(spec, speaker, tell)
        try:
            run.run()
        finally:
            run.close()
    except HfzmqError as error:
        tell({"event": "failed", "cause": str(error), "hint": error.hint, "exit_code": error.exit_code})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
