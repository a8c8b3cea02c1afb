"""The loop that keeps a board on the terminal: draw, wait for a key, draw again.

Touches the terminal and the clock. Must not know who polls or what a board shows. Keeps: it draws by itself several
times a second whatever the feeder does, so a hung feeder is seen as NOT LIVE; the terminal is given back however it
ends; a terminal that goes away ends the screen, and nothing else.
"""

from __future__ import annotations

import signal
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console, RenderableType
from rich.live import Live

from hfzmq.cli.board_feed import now_ms
from hfzmq.cli.keys import Keys
from hfzmq.cli.stdout import CannotWrite, give_up_lost_terminal

FRAME_S = 0.2

Draw = Callable[[int, int, int], RenderableType]  # width, height, now_ms
OnKey = Callable[[str], bool]  # '' when no key; False ends the screen


def run_screen(draw: Draw, on_key: OnKey, rings: Callable[[], bool] = lambda: False) -> None:
    """Show ``draw`` full screen until ``on_key`` says False; ring the terminal's bell whenever ``rings`` says True."""
    try:
        _shown(draw, on_key, rings)
    except (OSError, CannotWrite, termios.error):
        if not give_up_lost_terminal():
            raise


def _shown(draw: Draw, on_key: OnKey, rings: Callable[[], bool]) -> None:
    console = Console()
    with Keys() as keys:
        first = draw(console.width, console.height, now_ms())
        with Live(first, console=console, screen=True, auto_refresh=False, redirect_stderr=False) as live:
            while on_key(keys.wait(FRAME_S)):
                live.update(draw(console.width, console.height, now_ms()), refresh=True)
                if rings():
                    console.bell()


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """SIGTERM and SIGHUP are asked for instead of ending the process, so that whoever runs can clean up; SIGINT raises
    KeyboardInterrupt as ever and can be asked for, too: where the interpreter swallows what is raised (in a hook of a
    fork, in a finalizer), whoever asks still learns of it."""
    got: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        got.append(number)
        if number == signal.SIGINT:
            raise KeyboardInterrupt

    numbers = [signal.SIGTERM, signal.SIGHUP]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell's background job ignores it
        numbers.append(signal.SIGINT)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield lambda: bool(got)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
