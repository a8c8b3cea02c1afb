"""Tells a peer the last reading of each bed: the newest only, without waiting for its answer, save at the very end.

Touches one DEALER socket and the monotonic clock. Must not know: the queue, acknowledgements. Keeps: ``flush`` never
blocks, ``finish`` for as long as it may; holds one reading for each patient (10,000 patients at most, the longest
unheard go); what one peer does not answer within a second is told to the next one if there is a change of peers in
that time, and nothing newer is known. Nothing older than FRESH_S: a board takes a hint's arrival for its age, and the
mesh for a sign of life. ``stuck_s`` says when it is time for another peer.

    seen -> latest --flush--> told --answer--> gone        told --another peer is asked--> latest --FRESH_S--> gone
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import zmq

from hfzmq.client.line import Curve
from hfzmq.clinical.report import Report
from hfzmq.wire.requests import SEEN_ROWS_MAX, encode_request, encode_rows

BEDS_MAX = 10_000
_REPLY_BYTES_MAX = 1 << 16
_ANSWER_S = 1.0
FRESH_S = 5.0  # longer than a failover, and half of what a board calls STALE


class Seen(NamedTuple):
    """A reading, and when it was judged (monotonic s)."""

    at_s: float
    report: Report


class Hints:
    """``seen`` may be called from any thread; the rest belongs to the one that owns the sockets."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        mesh_id: bytes,
        bytes_max: int,
        curve_of: Callable[[str, int], Curve | None] = lambda host, port: None,
    ) -> None:
        """``curve_of(host, port)``: what a connection to there takes; KeyError: it is not known."""
        self._curve_of = curve_of
        self._context = context
        self._mesh_id = mesh_id
        self._rows_max = max(1, min(SEEN_ROWS_MAX, bytes_max // 2048))  # a row is far smaller than 2 KiB
        self._mutex = threading.Lock()
        self._latest: dict[str, Seen] = {}
        self._socket: zmq.Socket[bytes] | None = None
        self._peer: tuple[str, int] | None = None
        self._told: deque[tuple[float, list[Seen]]] = deque()  # (when, rows) of each message that is not answered
        self._stuck_since: float | None = None  # something was to be taken, or answered, and was not

    def seen(self, reports: Iterable[Report]) -> None:
        """Remember the last reading of each bed, to be told with the next flush."""
        now = time.monotonic()
        with self._mutex:
            for report in reports:
                self._latest.pop(report.patient_id, None)
                self._latest[report.patient_id] = Seen(now, report)
            while len(self._latest) > BEDS_MAX:
                del self._latest[next(iter(self._latest))]

    def flush(self, host: str, port: int) -> bool:
        """Tell the peer at ``host:port`` what is new, as far as that goes without waiting. True: nothing is left."""
        while self._told and self._told[0][0] < time.monotonic() - _ANSWER_S:
            self._told.popleft()
        if self._peer != (host, port):
            self.close()
            self._take_back()
            self._peer = (host, port)
            self._stuck_since = None
        with self._mutex:
            self._forget_old()
            rows = list(self._latest.values())[: self._rows_max]
            left = len(self._latest) - len(rows)
        try:
            while self._socket is not None and self._socket.poll(0):
                self._socket.recv_multipart(zmq.NOBLOCK)
                if self._told:
                    self._told.popleft()
                self._stuck_since = self._told[0][0] if self._told else None
            if not rows:
                return True
            socket = self._connected(host, port)
            beds = encode_rows([one.report for one in rows])
            socket.send_multipart([b"", encode_request(self._mesh_id, "seen", beds=beds)], zmq.NOBLOCK)
        except (zmq.ZMQError, KeyError):
            self._stuck_since = self._stuck_since or time.monotonic()
            return False  # not connected yet, or its buffers are full: the next flush tells what is newest then
        self._told.append((time.monotonic(), rows))
        self._stuck_since = self._stuck_since or self._told[-1][0]
        with self._mutex:
            for one in rows:
                if self._latest.get(one.report.patient_id) is one:
                    del self._latest[one.report.patient_id]
        return left == 0

    @property
    def stuck_s(self) -> float:
        """For how long the peer has not taken, or not answered, what it is told."""
        return 0.0 if self._stuck_since is None else time.monotonic() - self._stuck_since

    def finish(self, peers: Sequence[tuple[str, int]], within_s: float) -> None:
        """Have all that is left answered, by the first of ``peers`` (host, port) that does so; each has its share of
        ``within_s`` and leaves what it does not need. Never fails: after that time the rest is given up."""
        until = time.monotonic() + within_s
        for place, (host, port) in enumerate(peers):
            share_until = time.monotonic() + max(0.0, until - time.monotonic()) / (len(peers) - place)
            while self._latest or self._told:
                all_sent = self.flush(host, port)
                left_ms = int((share_until - time.monotonic()) * 1000)
                if left_ms <= 0 or self._socket is None:
                    break
                self._socket.poll(left_ms, zmq.POLLIN if all_sent else zmq.POLLIN | zmq.POLLOUT)

    def close(self) -> None:
        """Drop the connection. May be called twice."""
        if self._socket is not None:
            self._socket.close(linger=0)
            self._socket = None

    def _take_back(self) -> None:
        """What was told and not answered is to be told again, where nothing newer is."""
        newest = {one.report.patient_id: one for _, rows in self._told for one in rows}
        self._told.clear()
        with self._mutex:
            self._latest = newest | self._latest

    def _forget_old(self) -> None:
        oldest = time.monotonic() - FRESH_S
        for patient in [one.report.patient_id for one in self._latest.values() if one.at_s < oldest]:
            del self._latest[patient]

    def _connected(self, host: str, port: int) -> zmq.Socket[bytes]:
        if self._socket is None:
            curve = self._curve_of(host, port)
            self._socket = self._context.socket(zmq.DEALER)
            for option, value in (
                (zmq.LINGER, 0),
                (zmq.IMMEDIATE, 1),
                (zmq.SNDHWM, 8),
                (zmq.MAXMSGSIZE, _REPLY_BYTES_MAX),
                (zmq.IPV6, int(":" in host)),
            ):
                self._socket.setsockopt(option, value)
            if curve is not None:
                curve.show(self._socket)
            name = f"[{host.strip('[]')}]" if ":" in host else host
            self._socket.connect(f"tcp://{name}:{port}")
        return self._socket
