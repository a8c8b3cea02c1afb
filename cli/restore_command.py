"""``hfzmq restore``: the file of a first peer of a new mesh, made from a backup.

Touches sockets (does that mesh run already?), a backup to read, a new data directory, stdout. Must not know: SQLite.
Keeps: a mesh that runs is never restored into; nothing that exists is overwritten.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hfzmq.cli.format import json_text, thousands
from hfzmq.cli.options import config_option, load_config, output_option
from hfzmq.config import PEER_ID_MAX, Config
from hfzmq.errors import InvalidInput
from hfzmq.secret_files import PEER_KEY

if TYPE_CHECKING:
    from hfzmq.storage.restore import RestoredPeer

ASKED_MS = 1500


@click.command()
@click.argument("backup", type=click.Path(path_type=Path))
@config_option
@click.option(
    "--id", "peer_id", type=click.IntRange(1, PEER_ID_MAX), required=True, metavar="N", help="Which peer this one is."
)
@click.option(
    "--data-dir", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Empty, or not there yet."
)
@output_option("table", "json")
def restore(backup: Path, config_path: str, peer_id: int, data_dir: Path, output: str) -> None:
    """Found a new mesh on a BACKUP: make the file of one of its first peers.

    Run it once for each first peer, with the same BACKUP and the same new peers.yaml (its mesh.id must be a new one:
    hfzmq config init). Then start all of them: the mesh begins when all have been up together once. Clients keep their
    queues: hfzmq queue move.
    """
    config = load_config(config_path, peer_id, key=PEER_KEY)
    from hfzmq.storage.backup import verify
    from hfzmq.storage.restore import restore as bring_back

    _refuse_a_mesh_that_lives(config, verify(backup).place.index)
    made = bring_back(backup, config, peer_id, data_dir)
    if output == "json":
        click.echo(json_text(as_json(made, config, peer_id)))
    else:
        click.echo("\n".join(_lines(made, config, peer_id, data_dir, config_path)))


def as_json(made: RestoredPeer, config: Config, peer_id: int) -> dict[str, Any]:
    """The documented JSON value."""
    return {
        "file": str(made.path),
        "mesh": config.mesh_name,
        "mesh_id": config.mesh_id.hex(),
        "peer": peer_id,
        "incarnation": made.incarnation.hex(),
        "from_mesh_id": made.backup.mesh_id.hex(),
        "applied_index": made.backup.place.index,
        "state_hash": made.state_hash.hex(),
        "term": made.term,
        "rows": made.backup.rows,
        "sha256": made.backup.digest.hex(),
    }


def _lines(made: RestoredPeer, config: Config, peer_id: int, data_dir: Path, config_path: str) -> list[str]:
    others = [one for one in config.peer_ids if one != peer_id]
    then = f"; likewise peers {', '.join(map(str, others))}, from the same backup" if others else ""
    old = made.backup.mesh_id.hex()
    return [
        f"peer {peer_id} of mesh {config.mesh_name}: {thousands(made.backup.rows['risk_reports'])} reports until entry "
        f"{made.backup.place.index}, in {made.path}",
        f"start it: hfzmq serve --id {peer_id} --config {config_path} --data-dir {data_dir}{then}",
        f"then each client's queue: hfzmq queue move DIR --from {old} --config {config_path}",
    ]


def _refuse_a_mesh_that_lives(config: Config, until: int) -> None:
    """A peer that is restored into it would be set aside at its start; tell now."""
    from hfzmq.client.ask import ask_all

    for peer_id, answer in ask_all(config, "status", timeout_ms=ASKED_MS).items():
        told = (answer or {}).get("peer")
        last = told.get("last_index") if isinstance(told, dict) else None
        if isinstance(last, int) and last > until:
            raise InvalidInput(
                "mesh.id",
                f"a mesh that has not begun; peer {peer_id} holds entry {last} of it, the backup ends with {until}",
                hint="a peer that has lost its disk needs no backup: start it with an empty --data-dir, it is brought "
                "up by the others",
            )
