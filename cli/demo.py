"""``hfzmq demo``: peers, patients and a leader that dies, on this machine, with a verdict at the end.

Touches the command line and a temporary directory; demo_run does the rest. Keeps: no temporary file stays behind.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import click

from hfzmq.cli.options import SECONDS_MAX, Seconds


@click.command()
@click.option("--peers", type=click.IntRange(1, 9), default=3, show_default=True, metavar="N", help="How many daemons.")
@click.option(
    "--patients", type=click.IntRange(1, 200), default=6, show_default=True, metavar="N", help="How many beds."
)
@click.option(
    "--duration",
    type=Seconds(1, SECONDS_MAX),
    metavar="S",
    help="End by itself after so long.  [default without a terminal: 30]",
)
@click.option("--headless", is_flag=True, help="Plain lines instead of the board.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep databases and logs here.  [default: a temporary directory]",
)
def demo(peers: int, patients: int, duration: float | None, headless: bool, data_dir: Path | None) -> int:
    """Peers, patients and a leader that dies, on this machine.

    On the board, k kills the leader (it comes back after 5 s) and q quits. Without a terminal the same story is told in
    plain lines. At the end the peers' files are read: exit 0 if every acknowledged report is in each exactly once.
    """
    from hfzmq.cli.demo_run import Demo
    from hfzmq.cli.terminal import on_terminal

    directory = data_dir or Path(tempfile.mkdtemp(prefix="hfzmq-demo-"))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        well = Demo(directory, peers, patients).run(on_terminal() and not headless, duration)
    finally:
        if data_dir is None:
            shutil.rmtree(directory, ignore_errors=True)
    if data_dir is not None:
        click.echo(f"databases and logs are in {directory}", err=True)
    return 0 if well else 1
