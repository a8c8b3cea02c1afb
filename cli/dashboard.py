"""``hfzmq dashboard``: the live board; one frame with ``--once``; plain lines where there is no terminal.

Touches the terminal, stdout, and one file with ``--export``. Keeps: the board is drawn by this thread, fed by another.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hfzmq.cli.options import Seconds, config_option, load_config

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hfzmq.cli.board_feed import BoardFeed, BoardStatus

KEYS = "a acknowledge the alarm on top  q quit"
FIRST_POLL_S = 5.0
PLAIN_WIDTH, PLAIN_HEIGHT = 100, 1000
PICTURE_WIDTH, PICTURE_HEIGHT = 120, 40


@click.command()
@config_option
@click.option("--interval", type=Seconds(0.1, 60), default=0.5, show_default=True, metavar="S", help="Poll so often.")
@click.option("--once", is_flag=True, help="Print one frame and end.")
@click.option("--mute", is_flag=True, help="No bell when a RED is raised that nobody has seen.")
@click.option("--export", type=click.Path(path_type=Path), metavar="FILE.svg", hidden=True)
def dashboard(config_path: str, interval: float, once: bool, mute: bool, export: Path | None) -> None:
    """The live board of the alarms, the mesh and the beds.

    With --once, exit 3 when no daemon answers, 7 when those that run do not accept this key.

    Keys: a acknowledges the alarm on top, in your login name; q ends.
    """
    config = load_config(config_path)
    from hfzmq.cli.board_feed import BoardFeed
    from hfzmq.cli.mesh_view import unreached
    from hfzmq.cli.terminal import on_terminal

    feed = BoardFeed(config, interval).start()
    try:
        if export is not None:
            feed.first_poll(FIRST_POLL_S)
            export.write_text(picture(feed.latest), encoding="utf-8")
        elif once:
            feed.first_poll(FIRST_POLL_S)
            status = feed.latest
            print_frame(status)
            if feed.error is not None:
                raise feed.error
            if not status.mesh.answers:
                raise unreached(status.mesh)
        elif on_terminal():
            _live(feed, mute)
        else:
            _plain(feed, max(interval, 1.0))
    finally:
        feed.close()


def picture(status: BoardStatus, story: Sequence[str] = ()) -> str:
    """The board as SVG."""
    from rich.console import Console

    from hfzmq.cli.board_feed import now_ms
    from hfzmq.cli.screens.board import board

    console = Console(
        width=PICTURE_WIDTH, file=io.StringIO(), record=True, force_terminal=True, color_system="truecolor"
    )
    console.print(board(status, PICTURE_WIDTH, PICTURE_HEIGHT, now_ms(), story=story))
    return console.export_svg(title="hfzmq dashboard")


def print_frame(status: BoardStatus) -> None:
    """One frame on stdout, as wide as the terminal is, as high as it takes."""
    from rich.console import Console

    from hfzmq.cli.board_feed import now_ms
    from hfzmq.cli.screens.board import board

    if status.polled_at_ms is None:
        status = status._replace(failure=status.failure or "no peer answered")
    console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else PLAIN_WIDTH)
    console.print(board(status, console.width, PLAIN_HEIGHT, now_ms(), keys=""))


def _live(feed: BoardFeed, mute: bool) -> None:
    from hfzmq.cli.acknowledge import AcknowledgeDesk, login_name
    from hfzmq.cli.bell import Bell
    from hfzmq.cli.board_feed import now_ms
    from hfzmq.cli.live_screen import run_screen, stop_signals
    from hfzmq.cli.screens.board import board

    desk, bell = AcknowledgeDesk(lambda: feed.config, login_name(), feed.hurry), Bell(mute)
    drawn = feed.latest  # what the person sees: a key is about this, whatever has come in since

    def draw(width: int, height: int, at_ms: int) -> RenderableType:
        nonlocal drawn
        drawn = feed.latest
        desk.drew(drawn.alarms.top, at_ms)
        return board(drawn, width, height, at_ms, KEYS, ack=desk.latest(at_ms))

    with stop_signals() as stopped:

        def on_key(key: str) -> bool:
            if key in ("a", "A"):
                desk.press(drawn.alarms.top, now_ms())
            return key not in ("q", "Q") and not stopped()

        run_screen(draw, on_key, lambda: bell.rings(drawn.alarms))


def _plain(feed: BoardFeed, interval_s: float) -> None:
    from hfzmq.cli.board_feed import now_ms
    from hfzmq.cli.keys import Keys
    from hfzmq.cli.live_screen import stop_signals
    from hfzmq.cli.screens.plain import plain_line

    feed.first_poll(FIRST_POLL_S)
    with stop_signals() as stopped:
        while not stopped():
            click.echo(plain_line(feed.latest, now_ms()))
            sys.stdout.flush()
            Keys().wait(interval_s)
