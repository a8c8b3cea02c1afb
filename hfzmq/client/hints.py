"""Tells a peer the last reading of each bed: the newest only, without waiting, without caring whether it arrived.

Touches one DEALER socket. Must not know: the queue, acknowledgements. Keeps: never blocks; holds one reading for each
patient (10,000 patients at most, the longest unheard go); a reading leaves when its message was handed to a connection.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import zmq

from hfzmq.clinical.report import Report
from hfzmq.wire.requests import SEEN_ROWS_MAX, encode_request, encode_rows

BEDS_MAX = 10_000
_REPLY_BYTES_MAX = 1 << 16


class Hints:
    """``seen`` may be called from any thread; ``flush`` and ``close`` belong to the one that owns the sockets."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], mesh_id: bytes, bytes_max: int) -> None:
        self._context = context
        self._mesh_id = mesh_id
        self._rows_max = max(1, min(SEEN_ROWS_MAX, bytes_max // 2048))  # a row is far smaller than 2 KiB
        self._mutex = threading.Lock()
        self._latest: dict[str, Report] = {}
        self._socket: zmq.Socket[bytes] | None = None
        self._peer: tuple[str, int] | None = None

    def seen(self, reports: Iterable[Report]) -> None:
        """Remember the last reading of each bed, to be told with the next flush."""
        with self._mutex:
            for report in reports:
                self._latest.pop(report.patient_id, None)
                self._latest[report.patient_id] = report
            while len(self._latest) > BEDS_MAX:
                del self._latest[next(iter(self._latest))]

    def flush(self, host: str, port: int) -> bool:
        """Tell the peer at ``host:port`` what is new, as far as that goes without waiting. True: nothing is left."""
        with self._mutex:
            rows = list(self._latest.values())[: self._rows_max]
            left = len(self._latest) - len(rows)
        if not rows:
            return True
        try:
            socket = self._connected(host, port)
            while socket.poll(0):
                socket.recv_multipart(zmq.NOBLOCK)  # the answers to earlier hints
            socket.send_multipart([b"", encode_request(self._mesh_id, "seen", beds=encode_rows(rows))], zmq.NOBLOCK)
        except zmq.ZMQError:
            return False  # not connected yet, or its buffers are full: the next flush tells what is newest then
        with self._mutex:
            for report in rows:
                if self._latest.get(report.patient_id) is report:
                    del self._latest[report.patient_id]
        return left == 0

    def close(self) -> None:
        """Drop the connection. May be called twice."""
        if self._socket is not None:
            self._socket.close(linger=0)
            self._socket = None

    def _connected(self, host: str, port: int) -> zmq.Socket[bytes]:
        if self._socket is None or self._peer != (host, port):
            self.close()
            self._socket = self._context.socket(zmq.DEALER)
            for option, value in (
                (zmq.LINGER, 0),
                (zmq.IMMEDIATE, 1),
                (zmq.SNDHWM, 8),
                (zmq.MAXMSGSIZE, _REPLY_BYTES_MAX),
                (zmq.IPV6, int(":" in host)),
            ):
                self._socket.setsockopt(option, value)
            self._peer = (host, port)
            name = f"[{host.strip('[]')}]" if ":" in host else host
            self._socket.connect(f"tcp://{name}:{port}")
        return self._socket
