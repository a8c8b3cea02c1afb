"""A port that others connect to: its door, the socket behind it, and the monitor that says who came in.

    door (listens, as long as the daemon runs) --a descriptor of the same--> socket --ACCEPTED--> monitor
                                                 `------- renewed: all who are in are put out, and may come back

Touches one port. Must not know: who may come in, what is said. Keeps: the port stays this process's while the socket is
made anew; the poller it is handed knows the socket and the monitor that are in use, and no others.
"""

from __future__ import annotations

import contextlib
import ctypes
import secrets
from collections.abc import Callable

import zmq

from hfzmq.daemon.door import Door

ENTRANCES_A_TURN = 256


def scatter_routing_ids() -> None:
    """Have ZeroMQ number connections from a place that nobody can guess; before a ROUTER is made.

    It counts up from C's ``rand()``, which nobody seeds: the same place in every process. A client that has given
    itself the number which comes next makes the ROUTER abort the process when the next one connects (libzmq 4.3.5,
    ``add_out_pipe``; 2^32 places)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).srand(ctypes.c_uint(secrets.randbits(32)))


class Entrance:
    """``make()``: a socket that is all but bound. ``reads``: it is read from, so that ``poller`` should tell of it.
    ``monitor``: readable when somebody was let in."""

    def __init__(
        self, door: Door, where: str, make: Callable[[], zmq.Socket[bytes]], poller: zmq.Poller, reads: bool = True
    ) -> None:
        """``where``: an endpoint of the port that ``door`` listens on. zmq.ZMQError."""
        self._door = door
        self._where = where
        self._make = make
        self._poller = poller
        self._reads = reads
        self._open()

    def _open(self) -> None:
        self.socket = self._make()
        self.socket.setsockopt(zmq.USE_FD, self._door.hand_over())
        try:
            self.socket.bind(self._where)
        except zmq.ZMQError:
            self.socket.close(0)
            raise
        self.monitor = self.socket.get_monitor_socket(zmq.EVENT_ACCEPTED)
        self.monitor.setsockopt(zmq.LINGER, 0)
        self._poller.register(self.monitor, zmq.POLLIN)
        if self._reads:
            self._poller.register(self.socket, zmq.POLLIN)

    def came(self) -> int:
        """How many were let in since the last time, as far as a turn has time to count."""
        for count in range(ENTRANCES_A_TURN):
            try:
                self.monitor.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return count
        return ENTRANCES_A_TURN

    def renew(self) -> None:
        """Everybody out; what they have said and was not read is forgotten. Who comes again is let in."""
        self.close(0)
        self._open()

    def close(self, linger_ms: int) -> None:
        """Give the last answers so long to leave. The door stays."""
        if self._reads:
            self._poller.unregister(self.socket)
        self._poller.unregister(self.monitor)
        self.socket.disable_monitor()
        self.monitor.close(0)
        self.socket.close(linger_ms)
