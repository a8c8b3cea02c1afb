"""``hfzmq peer ls | add | remove | transfer``: who the members of the mesh are, and how they are changed.

Touches sockets (through client.ask), the terminal for one question, stdout (the result), stderr (what is waited for).
Keeps: a command returns 0 only when the leader says that it is so; an id or a number is never cut; what would leave the
mesh without a majority, or one failure from it, is asked about first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hfzmq.cli.confirm import confirm
from hfzmq.cli.format import json_text, table
from hfzmq.cli.groups import HelpGroup
from hfzmq.cli.options import Seconds, config_option, load_config, output_option
from hfzmq.config import PEER_ID_MAX
from hfzmq.errors import InvalidInput, NoLeader

if TYPE_CHECKING:
    from hfzmq.cli.mesh_view import MeshView
    from hfzmq.cli.peer_change import Changer, Done
    from hfzmq.cli.peer_view import PeerView

INCARNATION_SHOWN = 8
_ID = click.argument("peer", type=click.IntRange(1, PEER_ID_MAX), metavar="ID")
_TIMEOUT = click.option(
    "--timeout",
    "timeout_s",
    type=Seconds(0.1, 86_400),
    default=30,
    show_default=True,
    metavar="S",
    help="Wait so long.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="The result as JSON.")


@click.group(cls=HelpGroup)
def peer() -> None:
    """Who the members of the mesh are, and how they are changed."""


@peer.command("ls")
@config_option
@output_option("table", "json")
@click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
def ls(config_path: str, output: str, as_json: bool) -> None:
    """The members, and the peers that ask to be one.

    Exit 0 when a leader has a quorum, 4 when daemons answer but none leads, 3 when none answers.
    """
    config = load_config(config_path)
    from hfzmq.cli.mesh_view import mesh_view
    from hfzmq.cli.mesh_words import notes
    from hfzmq.cli.status import headline, verdict
    from hfzmq.client.ask import ask_all
    from hfzmq.client.key_faults import sentence

    refusing: dict[int, str] = {}
    served: dict[int, str] = {}
    answers = ask_all(config, "status", refusing=refusing, served=served)
    view = mesh_view(config, answers, refusing=refusing, served=served)
    rows = [_row(view, one) for one in view.peers]
    if as_json or output == "json":
        head = {"mesh": view.mesh, "leader": view.leader, "term": view.term, "founded": view.founded}
        index = view.told.index if view.told else None
        click.echo(json_text({**head, "members_index": index, "waiting_for": list(view.waiting_for), "peers": rows}))
    else:
        click.echo(f"{headline(view)}\n\n{_as_table(rows)}")
    for note in (
        *notes(view),
        *(": ".join(sentence(config.keys, {one: refusing[one]}, config.path)) for one in refusing),
    ):
        click.echo(f"note: {note}", err=True)
    for alarm in view.alarms:
        click.echo(f"ALARM: {alarm}", err=True)
    failure = verdict(view, refusing)
    if failure:
        raise failure


@peer.command("add")
@_ID
@config_option
@_TIMEOUT
@_JSON
def add(peer: int, config_path: str, timeout_s: float, as_json: bool) -> None:
    """Let peer ID in: it must be running and asking. Waits until it has caught up and votes."""
    changer, view = _begin(config_path, "add", peer, timeout_s)
    with _interruptible("peer ls shows whether it was let in"):
        done = changer.bring_about(view)
    _finish(done, f"peer {peer} {'votes already' if done.already else 'votes'}", as_json)


@peer.command("remove")
@_ID
@config_option
@_TIMEOUT
@_JSON
@click.option("--yes", is_flag=True, help="Do not ask, whatever it leaves.")
def remove(peer: int, config_path: str, timeout_s: float, as_json: bool, yes: bool) -> None:
    """Take member ID out of the mesh for good; its daemon stops by itself. Waits until it is out."""
    changer, view = _begin(config_path, "remove", peer, timeout_s)
    from hfzmq.cli.peer_change import no_member, risk_of_removal

    if view.told is not None:
        if view.told.of(peer) is None:
            raise no_member(peer, view)
        risk = risk_of_removal(view, peer)
        if risk and not yes:
            _confirm(risk, f"remove peer {peer} all the same?")
    with _interruptible("peer ls shows whether it was removed"):
        done = changer.bring_about(view)
    _finish(done, f"peer {peer} is no member any more", as_json)


@peer.command("transfer")
@_ID
@config_option
@_TIMEOUT
@_JSON
def transfer(peer: int, config_path: str, timeout_s: float, as_json: bool) -> None:
    """Give the lead to member ID. Waits until it leads."""
    changer, view = _begin(config_path, "transfer", peer, timeout_s)
    from hfzmq.cli.peer_change import led_unseen, no_member

    if view.told is not None:
        member = view.told.of(peer)
        if member is None:
            raise no_member(peer, view)
        if member.role != "voter":
            raise InvalidInput("peer", "a voter", got=f"{peer}, a learner", hint="it votes once it has caught up")
    with _interruptible("status shows who leads"):
        done = changer.bring_about(view)
    if led_unseen(done.view):
        at = done.view.peer(peer).address
        click.echo(f"note: that is what the others say; peer {peer} does not answer here ({at})", err=True)
    lower = [row.id for row in done.view.peers if row.id < peer and row.reachable and row.membership == "voter"]
    if lower:
        click.echo(f"note: the lowest id that is well, peer {lower[0]}, takes the lead back after a while", err=True)
    _finish(done, f"peer {peer} {'leads already' if done.already else 'leads'} in term {done.view.term}", as_json)


# ------------------------------------------------------------ the parts


def _begin(config_path: str, action: str, peer: int, timeout_s: float) -> tuple[Changer, MeshView]:
    """The change to be made, and the mesh as it is; the error for a mesh that cannot change anything now."""
    config = load_config(config_path)
    from hfzmq.cli.mesh_view import unreached
    from hfzmq.cli.peer_change import Changer
    from hfzmq.cli.status import verdict

    changer = Changer(config, action, peer, timeout_s, lambda line: click.echo(line, err=True))
    view = changer.look()
    if not view.answers:
        raise unreached(view)
    if not view.founded:
        raise verdict(view) or NoLeader("the mesh is about to begin", hint="ask again in a moment")
    return changer, view


def _confirm(risk: str, question: str) -> None:
    """Return when the operator wants it all the same."""
    click.echo(f"warning: {risk}", err=True)
    confirm(question, "nothing was changed")


@contextmanager
def _interruptible(where: str) -> Iterator[None]:
    """Ctrl-C ends the waiting, not the change: say so."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"no longer waiting; what was asked for may still come true: hfzmq {where}", err=True)
        raise


def _finish(done: Done, sentence: str, as_json: bool) -> None:
    from hfzmq.cli.peer_change import as_value

    click.echo(json_text(as_value(done)) if as_json else sentence)


def _row(view: MeshView, one: PeerView) -> dict[str, Any]:
    """One line of ``peer ls``."""
    ages = [age for row in view.peers for peer_id, age in row.hears if peer_id == one.id and row.reachable]
    asks = view.told.asks(one.id) if view.told and one.membership == "asking" else None
    if asks is not None:
        ages.append(round(asks.since_s * 1000))
    return {
        "id": one.id,
        "address": one.address,
        "role": _role(view, one),
        "incarnation": one.incarnation,
        "trails_leader_by": one.trails_leader_by,
        "last_heard_ms": min(ages, default=None),
        "answers": one.reachable,
        "problem": one.problem,
    }


def _role(view: MeshView, one: PeerView) -> str:
    if one.id == view.leader:
        return "leader"
    if one.membership in ("none", "other_history"):
        return "no member" if one.membership == "none" else "another history"
    if not view.founded:
        return "first peer"
    return one.membership or one.role or ""


def _as_table(rows: list[dict[str, Any]]) -> str:
    heads = ("id", "address", "role", "incarnation", "behind leader", "last heard")
    return table(
        heads,
        [
            (
                row["id"],
                row["address"],
                row["role"] if row["answers"] else f"{row['role']}, away: {row['problem']}".lstrip(", "),
                row["incarnation"][:INCARNATION_SHOWN],
                row["trails_leader_by"],
                "" if row["last_heard_ms"] is None and row["answers"] else _ago(row["last_heard_ms"]),
            )
            for row in rows
        ],
    )


def _ago(age_ms: int | None) -> str:
    if age_ms is None:
        return "never"
    if age_ms < 60_000:
        return f"{age_ms / 1000:.1f} s ago"
    from hfzmq.cli.screens.words import duration

    return f"{duration(age_ms)} ago"
