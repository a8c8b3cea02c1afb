"""A word to systemd: READY, STATUS, WATCHDOG, RELOADING, STOPPING; to nobody where it did not ask for any.

Touches one datagram socket, never waits for it. Must not know: what the daemon does. Keeps: a word that cannot be sent
is counted and forgotten; children do not inherit the invitation.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping

SOCKET, WATCHDOG, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


class SdNotify:
    """Speaks to ``address`` (a path, or an abstract name after ``@``; "" for nobody). ``watchdog_ms``: without a
    ``WATCHDOG=1`` for so long the manager ends this process; 0 where it does not watch."""

    def __init__(self, address: str = "", watchdog_ms: float = 0.0) -> None:
        self.watchdog_ms = watchdog_ms
        self.unsent = 0
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    @classmethod
    def of(cls, environ: MutableMapping[str, str]) -> SdNotify:
        """As the manager has said in ``environ`` (such as ``os.environ``); its words are taken out of it."""
        address, usec, pid = (environ.pop(name, "") for name in (SOCKET, WATCHDOG, WATCHDOG_PID))
        mine = pid in ("", str(os.getpid())) and usec.isascii() and usec.isdigit()
        return cls(address if address.startswith(("/", "@")) else "", int(usec) / 1000 if mine else 0.0)

    @property
    def listens(self) -> bool:
        """Whether anybody does."""
        return self._socket is not None

    def say(self, *words: str) -> None:
        """``READY=1`` and the like, in one datagram; never waits."""
        if self._socket is None:
            return
        try:
            self._socket.sendto("\n".join(words).encode(), self._address)
        except OSError:
            self.unsent += 1

    def reloading(self) -> None:
        """To be followed by ``READY=1``; the stamp is what systemd from 253 on orders them by."""
        self.say("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def close(self) -> None:
        """Say no more. Twice is harmless."""
        if self._socket:
            self._socket.close()
            self._socket = None
