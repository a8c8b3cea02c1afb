"""What systemd does at the other end of NOTIFY_SOCKET: it listens."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path
from types import TracebackType


class Manager:
    """Hears a daemon's words. ``folder``: its socket is a file there; None: it has an abstract name."""

    def __init__(self, folder: Path | None = None, watchdog_ms: int = 0) -> None:
        self.words: list[str] = []
        self.heard_at: list[float] = []
        self._watchdog_ms = watchdog_ms
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        name = str(folder / "notify") if folder else f"@hfzmq-test-{os.getpid()}-{time.monotonic_ns()}"
        self._socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self.name = name

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._socket.close()

    @property
    def environment(self) -> dict[str, str]:
        """For the process that is to speak."""
        watchdog = {"WATCHDOG_USEC": str(self._watchdog_ms * 1000)} if self._watchdog_ms else {}
        return {**os.environ, "NOTIFY_SOCKET": self.name, **watchdog}

    def hear(self) -> list[str]:
        """All datagrams so far, in their order."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.words.append(self._socket.recv(4096).decode())
                self.heard_at.append(time.monotonic())
        return self.words

    def count(self, word: str) -> int:
        """How many datagrams hold the line ``word`` so far."""
        return sum(word in one.split("\n") for one in self.hear())
