"""A run at a bed, shown: as lines on stdout, or on a live screen.

Touches signals, stdout, the terminal. Must not know what the work is. Keeps: the first SIGINT or SIGTERM asks for an
orderly end; with a screen, the work runs in a thread of its own, so that the screen is drawn (and says NOT LIVE)
whatever the work does, and the terminal is given back before anything is said; a terminal that goes away is one more
way to ask for that end.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Protocol

import click
from rich.console import RenderableType

from hfzmq.cli.bedside.output import ProgressLine
from hfzmq.cli.bedside.sources import mono_ms, wall_ms
from hfzmq.cli.bedside.work import Event, Work
from hfzmq.cli.stdout import give_up_lost_terminal
from hfzmq.errors import TimedOut

MakeWork = Callable[[Callable[[Event], None], Callable[[], None]], Work]
"""(tell, turn) -> the work."""


class Book(Protocol):
    """What takes the events down for a screen."""

    def take(self, event: Event, now_ms: int, wall_ms: int) -> None:
        """One event."""

    def turned(self, now_ms: int) -> None:
        """The work is alive."""


def say(words: str) -> None:
    """A remark for the person, beside the data."""
    click.echo(words, err=True)


def in_lines(make: MakeWork, tell: Callable[[Event], None], progress: Callable[[Work], ProgressLine | None]) -> int:
    """Run to the end, telling each event; the exit code."""
    line: list[ProgressLine] = []

    def turn() -> None:
        sys.stdout.flush()
        for one in line:
            one.turn()

    work = make(tell, turn)
    found = progress(work)
    if found is not None:
        line.append(found)
    with stopped_by_signals(work.stop, signal.SIGINT, signal.SIGTERM):
        try:
            work.run()
        finally:
            for one in line:
                one.end()
    sys.stdout.flush()
    _warn_of_refusal(work)
    return 0


def on_screen(
    make: MakeWork,
    book: Book,
    draw: Callable[[int, int, int, int], RenderableType],
    summary_of: Callable[[Event], str],
    on_key: Callable[[Work, str], None] = lambda work, key: None,
    rings: Callable[[], bool] = lambda: False,
) -> int:
    """Run to the end on a live screen, or until a key, Ctrl-C, SIGTERM or SIGHUP; the exit code. ``draw``: (width,
    height, monotonic ms, wall ms) -> the screen. ``on_key``: any other key; ``rings``: whether to ring the bell now."""
    from hfzmq.cli.live_screen import run_screen, stop_signals

    last: list[Event] = []
    ended: list[BaseException] = []

    def tell(event: Event) -> None:
        book.take(event, mono_ms(), wall_ms())
        if event["event"] == "summary":
            last.append(event)

    work = make(tell, lambda: book.turned(mono_ms()))

    def run() -> None:
        try:
            work.run()
        except BaseException as error:  # raised again below, in the thread that can tell somebody
            ended.append(error)

    thread = threading.Thread(target=run, name="work", daemon=True)
    book.turned(mono_ms())
    thread.start()
    with stop_signals() as asked_to_stop:

        def pressed(key: str) -> bool:
            if key:
                on_key(work, key)
            return key not in ("q", "Q", "\x03") and thread.is_alive() and not asked_to_stop()

        try:
            with contextlib.suppress(KeyboardInterrupt):
                run_screen(lambda width, height, now_ms: draw(width, height, now_ms, wall_ms()), pressed, rings)
        finally:
            stopped = thread.is_alive()
            if stopped:
                work.stop()
                with contextlib.suppress(OSError):  # to say it matters less than to end
                    say("waiting for the last acknowledgements ...")
            thread.join()
    give_up_lost_terminal()  # it may go away as late as now, and what was done is done
    if last:
        click.echo(summary_of(last[0]))
    _warn_of_refusal(work)
    if ended and not (stopped and isinstance(ended[0], TimedOut)):
        raise ended[0]
    return 0


def _warn_of_refusal(work: Work) -> None:
    """A run that was told to end says, too, why the mesh took nothing; any other one ends with that error."""
    if work.refused is not None:
        say(f"warning: {work.refused}")
        say(f"hint: {work.refused.hint}")


@contextlib.contextmanager
def stopped_by_signals(stop: Callable[[], None], *numbers: signal.Signals) -> Iterator[None]:
    """The first of these signals asks for an orderly end; the second one does what it did before."""
    before: dict[int, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        stop()
        signal.signal(number, before[number])

    for number in numbers:
        before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, before[number])
