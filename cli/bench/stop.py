"""Whoever wants a bench to end: at once, or, where it is worth it, when all that was measured has been read back.

Touches signals, stderr. Must not know: what is measured. Keeps: a second request always ends it at once; that nobody
reads stderr any more (the terminal was closed, the pipe's reader has ended) costs no result.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import click


class Stop:
    """Called now and then: KeyboardInterrupt when somebody has asked for the end."""

    def __init__(self, asked: Callable[[], bool]) -> None:
        self._asked = asked
        self._patient = False  # what was measured is worth being read back

    def __call__(self) -> None:
        """See the class."""
        if self._asked() and not self._patient:
            raise KeyboardInterrupt

    def load_ends(self, asked_for: bool) -> None:
        """Because somebody has asked for it, or by itself. It goes on until all is read back, and tells so whoever asks
        for the end once; twice, and it ends at once. Signals that were ignored stay so."""
        self._patient = True
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.default_int_handler if asked_for else self._tell)
        if asked_for:
            warn("it ends here: what was acknowledged is read back first (Ctrl-C once more: at once)")

    def _tell(self, number: int, frame: FrameType | None) -> None:
        self.load_ends(asked_for=True)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """As long as it lasts, SIGTERM and SIGHUP are asked for like Ctrl-C."""
    from hfzmq.cli.live_screen import stop_signals

    with stop_signals() as asked:
        yield Stop(asked)


def warn(text: str) -> None:
    """Say it on stderr."""
    with suppress(OSError):
        click.echo(text, err=True)
