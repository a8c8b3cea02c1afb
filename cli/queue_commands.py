"""``hfzmq queue show | move``: what waits on a client's disk, and giving it to a restored mesh.

Touches a client's queue directory, stdout. Must not know: sockets. Keeps: a queue that a client has open is left alone.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hfzmq.cli.format import counted, json_text
from hfzmq.cli.groups import HelpGroup
from hfzmq.cli.options import NO_KEY, config_only_option, load_config, output_option
from hfzmq.errors import InvalidInput

if TYPE_CHECKING:
    from hfzmq.client.queue_move import QueueFacts


@click.group(cls=HelpGroup)
def queue() -> None:
    """What a client keeps on its disk for the mesh. Stop the client first."""


@queue.command("show")
@click.argument("directory", type=click.Path(path_type=Path))
@output_option("table", "json")
def show(directory: Path, output: str) -> None:
    """Whose queue it is, and how much waits in it."""
    from hfzmq.client.queue_move import look

    _print(look(directory), output)


@queue.command("move")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--from", "from_mesh", required=True, metavar="MESH_ID", help="The mesh that the backup is of, in hex.")
@config_only_option
@output_option("table", "json")
def move(directory: Path, from_mesh: str, config_path: str, output: str) -> None:
    """Give a queue to the mesh that was restored from a backup of its own mesh.

    What waits is sent there once, whatever the old mesh had of it. Never for a mesh of other patients.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{32}", from_mesh):
        raise InvalidInput(
            "--from", "a mesh id, 32 hex digits", got=from_mesh, hint="hfzmq backup verify FILE prints it"
        )
    config = load_config(config_path, key=NO_KEY)
    from hfzmq.client.queue_move import move as give

    _print(give(directory, bytes.fromhex(from_mesh), config), output)


def _print(facts: QueueFacts, output: str) -> None:
    if output == "json":
        click.echo(json_text({**facts._asdict(), "directory": str(facts.directory), "mesh_id": facts.mesh_id.hex()}))
        return
    sent = f", {facts.in_flight} of them under way with number {facts.next_seq}" if facts.in_flight else ""
    dead = f"; {counted(facts.dead_letters, 'dead letter')}" if facts.dead_letters else ""
    click.echo(
        f"{facts.directory}: client {facts.client_id}, mesh {facts.mesh_id.hex()}, {facts.traffic}: "
        f"{counted(facts.rows, 'row')} wait for the mesh{sent}{dead}"
    )
    if facts.lost:
        click.echo(
            f"damaged: {facts.lost}; no client takes it as it is. To send what it still has, some of it perhaps a "
            f"second time: rm {facts.directory}/queue.mark, then start the client again"
        )
