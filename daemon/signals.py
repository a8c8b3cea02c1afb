"""Signals as something to poll: SIGTERM, SIGINT and SIGHUP become names that the loop reads.

Touches the process's signal handlers, while it is entered. Keeps: nothing is done inside a handler.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from types import FrameType, TracebackType

HANDLED = {signal.SIGTERM: "TERM", signal.SIGINT: "INT", signal.SIGHUP: "HUP"}


class Signals:
    """``fd`` is readable when a signal has come."""

    def __init__(self) -> None:
        self._reading, self._writing = socket.socketpair()
        self._reading.setblocking(False)
        self._writing.setblocking(False)
        self.fd = self._reading.fileno()
        self._before: dict[signal.Signals, object] = {}
        self._before_fd = -1

    def __enter__(self) -> Signals:
        for number in HANDLED:
            self._before[number] = signal.signal(number, self._nothing)
        self._before_fd = signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        signal.set_wakeup_fd(self._before_fd)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._reading.close()
        self._writing.close()

    def read(self) -> list[str]:
        """The signals since the last time."""
        with contextlib.suppress(BlockingIOError):
            return [HANDLED[signal.Signals(number)] for number in self._reading.recv(64) if number in HANDLED]
        return []

    def _nothing(self, number: int, frame: FrameType | None) -> None:
        """The wake-up descriptor has been written already."""
