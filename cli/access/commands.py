"""``hfzmq keys init | issue | revoke | update | show``: who may speak to the mesh.

Touches the command line, stdout (what was made, what is in force), stderr (what to do next). Keeps: a secret key is
never printed; what a command says is in force is what the file, or the mesh, then says.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hfzmq.access import NAME_RULE, PEER, ROLES, fingerprint, is_key, is_name, name_of_peer
from hfzmq.cli.confirm import confirm
from hfzmq.cli.format import json_text, table
from hfzmq.cli.groups import HelpGroup
from hfzmq.cli.options import NO_KEY, Seconds, config_only_option, config_option, load_config, output_option
from hfzmq.config import PEER_ID_MAX
from hfzmq.errors import InvalidInput, KeysError
from hfzmq.secret_files import directory_of

if TYPE_CHECKING:
    from hfzmq.cli.access.shown import Row

_DIRECTORY = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the secret keys lie.  [default: keys/ beside the file of --config]",
)
_OFFLINE = click.option("--offline", is_flag=True, help="Into peers.yaml alone; the mesh is not asked.")
_TIMEOUT = click.option(
    "--timeout", "timeout_s", type=Seconds(0.1, 3600), default=10, show_default=True, metavar="S", help="Wait so long."
)


@click.group(cls=HelpGroup)
def keys() -> None:
    """Who may speak to the mesh: make, issue, revoke and show keys."""


@keys.command()
@config_only_option
@_DIRECTORY
def init(config_path: str, directory: Path | None) -> None:
    """Make a key for each peer, one for an admin and one for a client, and add the public ones to peers.yaml.

    A secret key that is there already is kept, so that what was interrupted can be run again.
    """
    from hfzmq.cli.access.files import initialise

    made = initialise(config_path, directory or directory_of(config_path))
    click.echo(table(("secret key", "role", "fingerprint", ""), [list(one) for one in made]))
    click.echo(
        f"the public keys are in {config_path}: every machine gets that file, and its own secret key alone\n"
        "next: hfzmq serve --id 1 --data-dir DIR",
        err=True,
    )


@keys.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="client: submit and read; admin: everything.")
@click.option("--id", "peer", type=click.IntRange(1, PEER_ID_MAX), metavar="N", help="With --role peer: which one.")
@_OFFLINE
@config_option
@_DIRECTORY
@_TIMEOUT
def issue(
    name: str, role: str, peer: int | None, offline: bool, config_path: str, directory: Path | None, timeout_s: float
) -> None:
    """Make a key called NAME here, and tell the mesh (with an admin's key) that it is in force."""
    if not is_name(name):
        raise InvalidInput("NAME", NAME_RULE, got=name, hint="such as: hfzmq keys issue bed-9 --role client")
    if (role == PEER) is not (peer is not None):
        raise click.UsageError("--id N goes with --role peer: whose key it is going to be")
    from hfzmq.cli.access.files import is_there, issue_into_file, secret_of

    where = (directory or directory_of(config_path)) / f"{name}.secret"
    if offline:
        own = issue_into_file(config_path, where, name, role, peer or 0)
        click.echo(f"{where}: {role} {name}, {fingerprint(own.public)}, in {config_path}")
        click.echo("next: the same file on every machine, then SIGHUP to each daemon", err=True)
        return
    config = load_config(config_path)
    from hfzmq.cli.access.mesh import Mesh

    mesh = Mesh(config, timeout_s)
    mesh.check_issue(name, role)
    was_there = is_there(where)
    own = secret_of(where, name, role)
    try:
        told = mesh.issue(own, role, name, peer or 0)
    except (KeysError, InvalidInput):  # refused for good; after any other failure the same is run again
        if not was_there:
            where.unlink(missing_ok=True)
        raise
    click.echo(f"{where}: {role} {name}, {fingerprint(own.public)}, in force ({told})")
    if role != PEER:
        click.echo(f"next: bring {where} and {config_path} to where it is used (--key FILE)", err=True)
    else:
        click.echo(
            f"next: bring {where} to peer {peer}'s machine as keys/peer-{peer}.secret, and {config_path}; restart that "
            "peer, or start a new one with --join",
            err=True,
        )


class _NamesAKey(click.Command):
    """A public key may begin with a dash, and is no option then."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click."""
        named = [word for word in args if word.startswith("-") and is_key(word)]
        if named and "--" not in args:
            args = [*(word for word in args if word not in named), "--", *named]
        return super().parse_args(ctx, args)


@keys.command(cls=_NamesAKey)
@click.argument("who", metavar="NAME|KEY")
@_OFFLINE
@config_option
@_TIMEOUT
@click.option("--last-admin", is_flag=True, help="Also the only admin's key; nobody can then issue or revoke any more.")
@click.option("--yes", is_flag=True, help="Do not ask, also where a peer is cut off by it.")
def revoke(who: str, offline: bool, config_path: str, timeout_s: float, last_admin: bool, yes: bool) -> None:
    """Put a key out of force, for ever, on all peers. NAME as in hfzmq keys show, or the public key itself."""
    if not is_name(who) and not is_key(who):
        raise InvalidInput("NAME|KEY", "a name, or a public key of 40 characters", got=who)
    from hfzmq.cli.mesh_words import issue_for

    if offline:
        from hfzmq.cli.access.files import revoke_in_file, to_revoke

        key, cut = to_revoke(config_path, who, last_admin)
        if cut and not yes:
            _ask_to_cut_off(who, cut, "by each daemon that rereads this file")
        revoke_in_file(config_path, key)
        click.echo(f"{fingerprint(key)} is revoked in {config_path}")
        if cut:
            click.echo(f"next: a new key for peer {cut}, or nobody lets it in: {issue_for(cut)} --offline", err=True)
        click.echo("next: the same line on every machine, then SIGHUP to each daemon", err=True)
        return
    config = load_config(config_path)
    from hfzmq.cli.access.files import lists_for
    from hfzmq.cli.access.mesh import Mesh

    mesh = Mesh(config, timeout_s)
    cut = mesh.cuts_off(who)
    if cut and not yes:
        _ask_to_cut_off(who, cut, "at once")
    key, told = mesh.revoke(who, last_admin)
    click.echo(f"{fingerprint(key)} is revoked ({told})")
    for line in mesh.applied_words(key):
        click.echo(line)
    own = config.keys.own if config.keys is not None else None
    if own is not None and own.public == key:
        click.echo(f"next: put its secret away, so that no command takes it: mv {own.path} {own.path}.old", err=True)
    peer = lists_for(config, key)
    if peer and not cut and not mesh.needs_a_key(peer):
        click.echo(
            f"next: peer {peer} is no member: take it out of {config_path} on every machine (its lines under peers and "
            f"keys.peers), and put its secret away",
            err=True,
        )
    elif peer:
        click.echo(
            f"next: {config_path} still lists this key for peer {peer}: hfzmq keys update --config {config_path}, on "
            f"every machine"
            + (
                f"; but first a new one for it: {issue_for(peer)}, brought there, and peer {peer} restarted" * bool(cut)
            ),
            err=True,
        )


def _ask_to_cut_off(who: str, peer: int, how: str) -> None:
    warning = f"warning: {who} is the one key of peer {peer}: it is cut off {how}, until it has a new one"
    click.echo(warning, err=True)
    confirm(f"revoke {who}?", "nothing was changed")


@keys.command()
@config_option
@_TIMEOUT
@click.option("--yes", is_flag=True, help="Do not ask, also where a key is replaced that no peer knows.")
def update(config_path: str, timeout_s: float, yes: bool) -> None:
    """Write into peers.yaml the public key that each peer serves with, as the mesh says.

    For every machine, after a peer got a new key through the mesh: who starts anew, and who asks one peer alone, knows
    the peers' keys from this file.
    """
    config = load_config(config_path)
    from hfzmq.cli.access.files import update_file
    from hfzmq.cli.access.mesh import Mesh

    served = Mesh(config, timeout_s).peer_keys()
    if served.doubtful and not yes:
        for peer in served.doubtful:
            click.echo(
                f"{config_path} lists a key for peer {peer} that no peer knows: was it issued with --offline, and is "
                f"not in use yet? then bring its secret to peer {peer}'s machine and this file to all, and restart it",
                err=True,
            )
        confirm("put the key that it serves with in the place of that one?", "nothing was changed")
    changed = update_file(config_path, served.keys)
    for peer, key, before in changed:
        click.echo(
            f"{config_path}: peer {peer}: {fingerprint(key)}" + (f", was {fingerprint(before)}" if before else "")
        )
    if changed:
        click.echo("next: the same on every machine, or bring this file there; then SIGHUP to each daemon", err=True)
    elif not (served.unknown or served.waiting or served.cut_off):
        click.echo(f"{config_path} lists the keys that the peers serve with")
    for peer in served.cut_off:
        raise KeysError(
            f"peer {peer} has no key in force: nobody lets it in",
            hint=f"hfzmq keys issue {name_of_peer(peer)}-new --role peer --id {peer}, bring it to its machine as "
            f"keys/{name_of_peer(peer)}.secret, restart it; then this once more",
        )
    for peer in served.waiting:
        raise KeysError(
            f"peer {peer} still serves with an older key than the mesh has for it",
            hint=f"bring the new secret to its machine as keys/{name_of_peer(peer)}.secret, restart it; then this once "
            "more",
        )
    for peer in served.unknown:
        raise KeysError(
            f"peer {peer} serves with a key that nobody who answers knows",
            hint=f"is its key the newer? on its machine: hfzmq keys issue {name_of_peer(peer)} --role peer --id {peer} "
            "--offline writes that of its own secret into its peers.yaml; then bring that file here. Is the one that "
            f"{config_path} lists the newer? bring that secret to its machine, and restart it",
        )


@keys.command()
@config_option
@_DIRECTORY
@output_option("table", "json")
@click.option("--offline", is_flag=True, help="By peers.yaml alone; the mesh is not asked.")
def show(config_path: str, directory: Path | None, output: str, offline: bool) -> None:
    """Which keys there are, what they may do, where that stands, and which secret keys lie here."""
    config = load_config(config_path, key=NO_KEY)
    from hfzmq.cli.access.shown import rows_of

    rows, notes = rows_of(config, directory or directory_of(config_path), offline)
    if output == "json":
        click.echo(json_text([row._asdict() for row in rows]))
    else:
        click.echo(table(_HEAD, [_cells(row) for row in rows]))
    for note in notes:
        click.echo(f"note: {note}", err=True)


_HEAD = ("name", "role", "in force", "from", "fingerprint", "secret key", "mode")


def _cells(row: Row) -> list[object]:
    name, role = row.name or "(no longer listed)", row.role or "not known"
    in_force = row.in_force.upper() if row.revoked else row.in_force
    return [name, role, in_force, row.source, row.fingerprint, row.secret, row.mode]
