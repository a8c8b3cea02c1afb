"""``hfzmq backup`` and ``hfzmq backup verify``: all that a mesh has stored, in one file that was counted.

Touches sockets (or, with --db, a peer's file to read), the backup's file to write, stdout (what it holds), stderr
(progress). Must not know: SQLite, how it comes here. Keeps: exit 0 only when the file under the name that was asked for
is whole and checked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hfzmq.cli.format import counted, json_text, thousands
from hfzmq.cli.options import config_option, given, load_config, output_option
from hfzmq.config import PEER_ID_MAX

if TYPE_CHECKING:
    from hfzmq.storage.backup import Backup

FORGETFUL = "the backup holds what is left; were hfzmq_N.db-wal and hfzmq_N.mark copied with it? is there another peer?"
QUICK_S = 1.0  # what takes longer shows progress


class _BackupGroup(click.Group):
    """``backup FILE`` is ``backup --to FILE``; ``backup verify F`` looks; without a word it shows the help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        if not ctx.resilient_parsing:
            args = self._named(ctx, list(args))
        return super().parse_args(ctx, args)

    def _named(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The first word that is neither an option nor a command is the file; options may stand behind it, too."""
        _, rest, _ = self.make_parser(ctx).parse_args(list(args))
        if not rest or rest[0] in self.commands:
            return args
        if rest[0] == "restore":
            raise click.UsageError("a backup is brought back with hfzmq restore; to name one so: ./restore", ctx)
        before, behind = args[: len(args) - len(rest)], rest[1:]
        if before[-1:] == ["--"]:
            before.pop()
        if any(word == "--to" or word.startswith("--to=") for word in before + behind):
            raise click.UsageError(f"--to and {rest[0]}: which of them is the backup?", ctx)
        named = [*before, f"--to={rest[0]}", *behind]
        _, more, _ = self.make_parser(ctx).parse_args(list(named))
        if more and more[0] not in self.commands:
            raise click.UsageError(f"{rest[0]} and {more[0]}: a backup is one new file, which of them is it?", ctx)
        return named


@click.group(cls=_BackupGroup, invoke_without_command=True, subcommand_metavar="[FILE | verify FILE]")
@click.option("--to", type=click.Path(path_type=Path), metavar="FILE", help="The backup; must not exist yet.")
@click.option(
    "--peer", type=click.IntRange(1, PEER_ID_MAX), metavar="N", help="From this peer.  [default: a follower that fits]"
)
@click.option(
    "--db", type=click.Path(path_type=Path), metavar="FILE", help="From a peer's own file here; the peer may run."
)
@config_option
@output_option("table", "json")
@click.pass_context
def backup(
    ctx: click.Context, to: Path | None, peer: int | None, db: Path | None, config_path: str, output: str
) -> None:
    """One file with all that the mesh has stored, of one moment, counted row by row.

    Over the mesh, from any machine with an admin's key: hfzmq backup FILE. On a peer's machine: hfzmq backup --db
    DIR/hfzmq_1.db --to FILE. The mesh goes on meanwhile. Check a backup again with hfzmq backup verify FILE; bring it
    back with hfzmq restore.
    """
    if ctx.invoked_subcommand is not None:
        if db or to or peer:
            raise click.UsageError("--db, --peer and --to make a backup; verify takes a FILE", ctx)
        return
    if to is None:
        raise click.UsageError("which file? hfzmq backup FILE, or with --db: --to FILE", ctx)
    began = time.monotonic()
    if db is None:
        _take(config_path, to, peer, output, began)
        return
    if peer is not None or given(ctx, "config_path"):
        raise click.UsageError("--db reads a file: leave --config and --peer out", ctx)
    from hfzmq.storage.backup import make

    with shown() as progress:
        made = make(db, to, progress, tail=True)
    if made.forgotten:
        click.echo(f"warning: {db} may lack what it once held: {made.forgotten}; {FORGETFUL}", err=True)
    more = {"tail_entries": made.tail_entries, "forgotten": made.forgotten}
    _print(made, output, f"backed up {db}", time.monotonic() - began, more)


def _take(config_path: str, to: Path, peer: int | None, output: str, began: float) -> None:
    config = load_config(config_path)
    from hfzmq.client.backup_take import take

    with shown() as progress:
        taken = take(config, to, peer, progress, lambda line: click.echo(line, err=True))
    tail_entries = taken.backup.tail_entries
    more = {"peer": taken.peer, "acknowledged_index": taken.acknowledged, "tail_entries": tail_entries}
    _print(taken.backup, output, f"backed up from peer {taken.peer}", time.monotonic() - began, more)


@backup.command("verify")
@click.argument("file", type=click.Path(path_type=Path))
@output_option("table", "json")
def verify(file: Path, output: str) -> None:
    """Count everything in a backup anew. Exit 0 when it can be restored from."""
    from hfzmq.storage.backup import verify as look

    began = time.monotonic()
    _print(look(file), output, f"whole: {file}", time.monotonic() - began)


@contextmanager
def shown() -> Iterator[Callable[[str, float], None]]:
    """For a ``Progress``: says on stderr how far it is, once it has taken longer than a second."""
    began = time.monotonic()
    told: dict[str, int] = {}

    def say(what: str, share: float) -> None:
        tenth = int(share * 10)
        if time.monotonic() - began > QUICK_S and told.get(what, -1) < tenth:
            told[what] = tenth
            click.echo(f"{what}: {tenth * 10} %", err=True)

    yield say


def as_json(found: Backup) -> dict[str, Any]:
    """The documented JSON value."""
    return {
        "file": str(found.path),
        "mesh_id": found.mesh_id.hex(),
        "applied_index": found.place.index,
        "term": found.place.term,
        "state_hash": found.state_hash.hex(),
        "made_at": utc(found.at_ms),
        "stored_until": utc(found.stored_ms),
        "rows": found.rows,
        "sessions": found.sessions,
        "members": [member.peer for member in found.members.members],
        "bytes": found.size_bytes,
        "sha256": found.digest.hex(),
    }


def lines(found: Backup) -> list[str]:
    """For people."""
    rows = ", ".join(f"{name} {thousands(count)}" for name, count in found.rows.items())
    members = ", ".join(str(member.peer) for member in found.members.members)
    return [
        f"mesh         {found.mesh_id.hex()}, members {members}",
        f"until entry  {found.place.index} of term {found.place.term}, state {found.state_hash.hex()}",
        *_tail_line(found),
        f"made         {utc(found.at_ms)}" + (f"; the log's clock {utc(found.stored_ms)}" if found.stored_ms else ""),
        f"rows         {rows}",
        f"sessions     {thousands(found.sessions)}",
        f"file         {found.path}, {thousands(found.size_bytes)} bytes",
        f"sha256       {found.digest.hex()}",
    ]


def _tail_line(found: Backup) -> list[str]:
    if not found.tail_entries:
        return []
    last = "the last entry was" if found.tail_entries == 1 else f"the last {thousands(found.tail_entries)} entries were"
    return [f"not known    {last} in that peer's log, not known to be committed; what of it was acknowledged is kept"]


def utc(at_ms: int) -> str | None:
    """Unix ms as ISO 8601; None for 0."""
    if not at_ms:
        return None
    return datetime.fromtimestamp(at_ms / 1000, timezone.utc).isoformat(timespec="milliseconds")


def _print(found: Backup, output: str, what: str, took_s: float, more: Mapping[str, object] | None = None) -> None:
    if output == "json":
        click.echo(json_text({**as_json(found), **(more or {})}))
        return
    reports = counted(found.rows["risk_reports"], "report")
    click.echo(f"{what}: {reports} until entry {found.place.index}, in {took_s:.1f} s")
    click.echo("\n".join(lines(found)))
