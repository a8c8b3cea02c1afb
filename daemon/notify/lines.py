"""Messages over a socket between two processes of one machine: one JSON map a line, never waited for.

Touches a socket. Must not know: what the messages say. Keeps: neither side ever waits for the other; what the other has
not taken yet is kept here; ``over`` is set once the other has gone.
"""

from __future__ import annotations

import json
import selectors
import socket
from collections.abc import Iterable
from typing import Any

RECEIVE_BYTES = 65_536

Message = dict[str, Any]


class Lines:
    """One end of a stream socket, which it takes over and makes non-blocking."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._out = bytearray()
        self._in = bytearray()
        self.over = False
        sock.setblocking(False)

    def fileno(self) -> int:
        """For a selector: readable when ``pull`` has something, writable when ``flush`` can do something."""
        return self._sock.fileno()

    @property
    def waiting(self) -> bool:
        """Whether something is still to be flushed."""
        return bool(self._out) and not self.over

    def push(self, message: Message) -> None:
        """Send it, as far as the other takes it at once; ``flush`` sends the rest."""
        self._out += json.dumps(message).encode() + b"\n"
        self.flush()

    def flush(self) -> None:
        """Send on what waits."""
        try:
            while self._out and not self.over:
                del self._out[: self._sock.send(self._out)]
        except BlockingIOError:
            pass
        except OSError:
            self.over = True

    def pull(self) -> list[Message]:
        """Every message that has come; a half one waits for its other half, and is nothing if that never comes."""
        try:
            while not self.over:
                data = self._sock.recv(RECEIVE_BYTES)
                self._in += data
                self.over = not data
        except BlockingIOError:
            pass
        except OSError:
            self.over = True
        *whole, rest = self._in.split(b"\n")
        self._in = rest
        return [json.loads(line) for line in whole]

    def close(self) -> None:
        """The other end sees it as the end."""
        self.over = True
        self._sock.close()


def wait_for(lines: Iterable[Lines], wait_ms: float) -> None:
    """Until one of them can be read, or written where something waits, or ``wait_ms`` (perhaps infinity) is over."""
    with selectors.PollSelector() as selector:  # unlike epoll's it is nothing that a fork could share
        for one in lines:
            selector.register(one, selectors.EVENT_READ | (selectors.EVENT_WRITE if one.waiting else 0))
        selector.select(max(0.0, wait_ms) / 1000 if wait_ms < float("inf") else None)
