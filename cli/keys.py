"""Single key presses from a terminal, without Enter and without an echo.

Touches the terminal's settings (termios) and gives them back. Must not know what a key does. Keeps: ctrl-c still raises
KeyboardInterrupt; where there is no terminal, no key is ever pressed and waiting is only waiting; one that goes away is
a q.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from types import TracebackType
from typing import Any


class Keys:
    """``with Keys() as keys: keys.wait(0.1)``."""

    def __init__(self, fd: int | None = None) -> None:
        self._fd = _stdin_fd() if fd is None else fd
        self._before: list[Any] | None = None

    def __enter__(self) -> Keys:
        if self._fd is not None and os.isatty(self._fd):
            self._before = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None and self._fd is not None:
            with contextlib.suppress(termios.error, OSError):  # it is gone, and needs nothing back
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
            self._before = None

    def wait(self, seconds: float) -> str:
        """The next key, or '' when none was pressed for so long. Keys that send several bytes give their first."""
        if self._before is None or self._fd is None:
            time.sleep(seconds)
            return ""
        ready, _, _ = select.select([self._fd], [], [], seconds)
        if not ready:
            return ""
        try:
            pressed = os.read(self._fd, 64)
        except OSError:
            pressed = b""
        if not pressed:  # the terminal is gone
            return "q"
        return chr(pressed[0]) if pressed[0] < 128 else ""


def _stdin_fd() -> int | None:
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # no stdin, or not a real file
        return None
