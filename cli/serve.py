"""``hfzmq serve``: the one arrow from the command line to the daemon.

Touches the command line; the daemon does the rest. Must not know how a daemon works.
"""

from __future__ import annotations

from pathlib import Path

import click

from hfzmq.cli.options import config_option, load_config, log_level_option
from hfzmq.config import PEER_ID_MAX
from hfzmq.secret_files import PEER_KEY


@click.command()
@click.option(
    "--id", "peer_id", type=click.IntRange(1, PEER_ID_MAX), required=True, metavar="N", help="Which peer this one is."
)
@config_option
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="Where its database lives; made when missing.",
)
@log_level_option
@click.option("--join", "joins", is_flag=True, help="Join a mesh that exists; never found one.")
def serve(peer_id: int, config_path: str, data_dir: Path, log_level: str | None, joins: bool) -> int:
    """Run one daemon in the foreground, until SIGTERM."""
    config = load_config(config_path, peer_id, key=PEER_KEY)
    from hfzmq.daemon.node import serve as run_daemon  # heavy, and only here

    return run_daemon(config, peer_id, data_dir, log_level or config.log_level, joins)
