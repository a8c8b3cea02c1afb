"""``hfzmq status``: every peer by its own word, who leads, and an exit code that scripts can use.

Touches sockets (through client.ask), stdout, stderr. Keeps: the rows are printed whatever the exit code; no number is
broken in two by a narrow terminal; JSON has the keys that others script against, and freely more.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import click

from hfzmq.cli.format import cell, csv_line, json_text, listed, table, width_of
from hfzmq.cli.history_view import APART_HINT
from hfzmq.cli.layout import as_text, folded, stacked, terminal_width
from hfzmq.cli.mesh_view import MeshView, mesh_view, unreached
from hfzmq.cli.mesh_words import (
    LINK_HINT,
    answering,
    best_informed,
    bid_for_restored,
    heart_rates,
    key_troubles,
    not_begun,
    notes,
    only_copy,
    unheard,
    unknown_holders,
)
from hfzmq.cli.options import config_option, load_config, output_option, peer_option
from hfzmq.cli.peer_view import PeerView
from hfzmq.errors import MeshUnavailable, NoLeader

PEER_KEYS = (
    "id",
    "role",
    "term",
    "last_index",
    "commit_index",
    "applied_index",
    "trails_leader_by",
    "reachable",
    "state_hash",
    "version",
    "reports",
    "readings",
    "alerts",
    "fsync_ms",
    "uptime_ms",
    "boot",
    "refused_peers",
    "address",
    "problem",
    "membership",
    "incarnation",
    "amnesia",
)
JSON_KEYS = (*PEER_KEYS, "listed_address", "hears", "differs", "counters", "history", "other_histories")
TABLE_KEYS = (
    ("peer", "id"),
    ("role", "role"),
    ("term", "term"),
    ("last", "last_index"),
    ("commit", "commit_index"),
    ("applied", "applied_index"),
    ("behind leader", "trails_leader_by"),
    ("reports", "reports"),
    ("heart rates", "readings_total"),
    ("alerts", "alerts_total"),
    ("fsync ms", "fsync_ms"),
    ("state hash", "state_hash"),
    ("version", "version"),
    ("address", "address"),
)


@click.command()
@config_option
@peer_option
@output_option("table", "json", "csv")
def status(config_path: str, peer: int | None, output: str) -> None:
    """Who leads, who is behind, who is away.

    Exit 0 when a leader has a quorum, 4 when daemons answer but none leads, 3 when none answers.
    """
    from hfzmq.client.ask import ask_all, knowing
    from hfzmq.client.key_faults import sentence

    config = knowing(load_config(config_path), peer)
    refusing: dict[int, str] = {}
    served: dict[int, str] = {}
    answers = ask_all(config, "status", only=peer, refusing=refusing, served=served)
    view = mesh_view(config, answers, peer, refusing, served)
    if output == "json":
        click.echo(json_text(as_json(view)))
    elif output == "csv":
        click.echo(csv_line(PEER_KEYS))
        for row in view.peers:
            click.echo(csv_line(_csv_values(row)))
    else:
        click.echo(as_table(view, terminal_width()))
    for alarm in view.alarms:
        click.echo(f"ALARM: {alarm}", err=True)
    for refused, fault in refusing.items():
        cause, hint = sentence(config.keys, {refused: fault}, config.path)
        click.echo(f"note: {cause}: {hint}", err=True)
    failure = verdict(view, refusing)
    if failure:
        raise failure


def as_json(view: MeshView) -> dict[str, Any]:
    """The documented JSON value."""
    return {
        "mesh": view.mesh,
        "leader": view.leader,
        "term": view.term,
        "quorum": view.quorum,
        "founded": view.founded,
        "members_index": view.told.index if view.told else None,
        "waiting_for": list(view.waiting_for),
        "peers": [{key: getattr(row, key) for key in JSON_KEYS} for row in view.peers],
        "asking": [one._asdict() for one in view.told.asking] if view.told else [],
        "mismatches": [{"applied_index": m.applied_index, "state_hashes": dict(m.hashes)} for m in view.mismatches],
    }


def _csv_values(row: PeerView) -> list[object]:
    values = [getattr(row, key) for key in PEER_KEYS]
    return [_flat(value) for value in values]


def _flat(value: object) -> object:
    if isinstance(value, dict):
        return " ".join(f"{key}={one}" for key, one in value.items())
    return " ".join(map(str, value)) if isinstance(value, tuple) else value


def as_table(view: MeshView, width: int | None = None) -> str:
    """One line about the mesh, then one row a peer; a peer without an answer says so in its role. ``width``: of the
    terminal (None: any); where the table is wider, each peer by itself, one value a line: no number is broken."""
    rows: list[list[object]] = []
    for row in view.peers:
        values = [getattr(row, key) for _, key in TABLE_KEYS]
        values[1] = row.standing
        rows.append(values)
    heads = [name for name, _ in TABLE_KEYS]
    peers = table(heads, rows)
    if width is not None and max(map(width_of, peers.split("\n"))) > width:
        peers = as_text([], [stacked(heads, list(map(cell, row)), width) for row in rows]) + "\n"
    lines = [headline(view), "", peers]
    chief = best_informed(view)
    told = heart_rates(chief) if chief else ""
    lines += [f"peer {chief.id}: {told}"] if chief and told else []
    lines += [f"note: {note}" for note in notes(view)]
    lines += [f"!!! ALARM: {alarm}" for alarm in view.alarms]
    return "\n".join(one if one is peers else folded(one, width) for one in lines)


def headline(view: MeshView) -> str:
    """The mesh in one line: name, leader, term, quorum, how many answer."""
    leads = "no leader" if view.leader is None else f"peer {view.leader} leads"
    term = "" if view.term is None else f" in term {view.term}"
    believed = "as the one peer asked says" if view.asked_one else answering(view)
    return ", ".join(
        filter(
            None,
            (
                f"mesh {view.mesh}: {leads}{term}",
                f"quorum {'yes' if view.quorum else 'no'}",
                believed,
                not_begun(view),
            ),
        )
    )


def verdict(view: MeshView, refusing: Container[int] = ()) -> MeshUnavailable | None:
    """None when a leader has a quorum; otherwise the error that says what is missing. ``refusing``: who runs, and would
    not have our key: it need not be started."""
    if view.serves:
        return None
    if not view.answers:
        return unreached(view)
    unknown = unknown_holders(view, refusing)
    if unknown:
        return NoLeader(unknown, hint="do as the note says, and leave its disk alone until then")
    if view.histories:
        return NoLeader(f"{answering(view)}, and none leads a quorum", hint=APART_HINT)
    if view.restoring:
        return NoLeader(
            f"the mesh has not begun: {not_begun(view)}",
            hint=bid_for_restored(view),
        )
    if not view.founded:
        return NoLeader(
            f"the mesh has not begun: {not_begun(view).removeprefix('not begun: ')}",
            hint=f"start {listed(view.waiting_for)}: hfzmq serve --id N --config {view.file} --data-dir DIR"
            if view.waiting_for
            else "hfzmq status again in a moment",
        )
    cause, hint = only_copy(view)
    if cause:
        return NoLeader(cause, hint=hint)
    troubles = key_troubles(view)
    if troubles:
        cause = "; ".join(what for what, _ in troubles)
        return NoLeader(f"{answering(view)}, and none leads a quorum: {cause}", hint=troubles[0][1])
    broken = unheard(view)
    if broken:
        return NoLeader(f"{answering(view)}, {', '.join(broken)}, and none leads a quorum", hint=LINK_HINT)
    return NoLeader(
        f"{answering(view)}, and none leads a quorum",
        hint="an election takes a second or two; a majority of the peers must be up and hear each other",
    )
