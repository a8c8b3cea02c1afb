"""``hfzmq serve``: the one arrow from the command line to the daemon.

Touches the command line; the daemon does the rest. Must not know how a daemon works.
"""

from __future__ import annotations

from pathlib import Path

import click

from hfzmq.cli.http_address import read_address, resolved
from hfzmq.cli.options import config_option, load_config, log_level_option
from hfzmq.config import PEER_ID_MAX


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
@click.option(
    "--log-format",
    type=click.Choice(("human", "json"), case_sensitive=False),
    envvar="HFZMQ_LOG_FORMAT",
    show_envvar=True,
    help="How a line looks.  [default: human on a terminal, else json]",
)
@click.option(
    "--log-dir",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="HFZMQ_LOG_DIR",
    show_envvar=True,
    metavar="DIR",
    help="Also into hfzmq-N.general.log, .error.log, .warning.log and .info.log there.",
)
@click.option(
    "--http",
    callback=read_address,
    envvar="HFZMQ_HTTP",
    show_envvar=True,
    metavar="HOST[:PORT]",
    help="Answer /healthz, /readyz and /metrics there.  [port: the client port + 3; default: nowhere]",
)
@click.option("--join", "joins", is_flag=True, help="Join a mesh that exists; never found one.")
def serve(
    peer_id: int,
    config_path: str,
    data_dir: Path,
    log_level: str | None,
    log_format: str | None,
    log_dir: Path | None,
    http: tuple[str, int | None] | None,
    joins: bool,
) -> int:
    """Run one daemon in the foreground, until SIGTERM."""
    config = load_config(config_path, peer_id)
    where = resolved(http, config, peer_id) if http else None
    from hfzmq.daemon.logs import LogSettings
    from hfzmq.daemon.serving import HttpAddress  # heavy, and only here
    from hfzmq.daemon.serving import serve as run_daemon

    logs = LogSettings(log_level or config.log_level, log_format or "", log_dir)
    return run_daemon(config, peer_id, data_dir, logs, joins, HttpAddress(*where) if where else None)
