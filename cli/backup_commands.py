"""``hfzmq backup`` and ``hfzmq backup verify``: all that a mesh has stored, in one file that was counted.

Touches a peer's file to read, the backup's to write, stdout (what it holds), stderr (progress). Must not know: SQLite,
peers that run. Keeps: exit 0 only when the file under the name that was asked for is whole and checked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hfzmq.cli.format import counted, json_text, thousands
from hfzmq.cli.options import output_option

if TYPE_CHECKING:
    from hfzmq.storage.backup import Backup

QUICK_S = 1.0  # what takes longer shows progress


class _BackupGroup(click.Group):
    """``backup --db F --to F`` does it; ``backup verify F`` looks; neither shows the help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        return super().parse_args(ctx, args)


@click.group(cls=_BackupGroup, invoke_without_command=True)
@click.option("--db", type=click.Path(path_type=Path), metavar="FILE", help="A peer's file; the peer may run.")
@click.option("--to", type=click.Path(path_type=Path), metavar="FILE", help="The backup; must not exist yet.")
@output_option("table", "json")
@click.pass_context
def backup(ctx: click.Context, db: Path | None, to: Path | None, output: str) -> None:
    """One file with all that the mesh has stored, of one moment, counted row by row.

    On a peer's machine: hfzmq backup --db DIR/hfzmq_1.db --to FILE. The peer goes on meanwhile. Check a backup again
    with hfzmq backup verify FILE; bring it back with hfzmq restore.
    """
    if ctx.invoked_subcommand is not None:
        if db or to:
            raise click.UsageError("--db and --to make a backup; verify takes a FILE", ctx)
        return
    if db is None or to is None:
        raise click.UsageError("--db FILE and --to FILE are needed", ctx)
    from hfzmq.storage.backup import make

    began = time.monotonic()
    with shown() as progress:
        made = make(db, to, progress)
    _print(made, output, f"backed up {db}", time.monotonic() - began)


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
    """For ``make``: says on stderr how far it is, once it has taken longer than a second."""
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
        f"made         {utc(found.at_ms)}" + (f"; the log's clock {utc(found.stored_ms)}" if found.stored_ms else ""),
        f"rows         {rows}",
        f"sessions     {thousands(found.sessions)}",
        f"file         {found.path}, {thousands(found.size_bytes)} bytes",
        f"sha256       {found.digest.hex()}",
    ]


def utc(at_ms: int) -> str | None:
    """Unix ms as ISO 8601; None for 0."""
    if not at_ms:
        return None
    return datetime.fromtimestamp(at_ms / 1000, timezone.utc).isoformat(timespec="milliseconds")


def _print(found: Backup, output: str, what: str, took_s: float) -> None:
    if output == "json":
        click.echo(json_text(as_json(found)))
        return
    reports = counted(found.rows["risk_reports"], "report")
    click.echo(f"{what}: {reports} until entry {found.place.index}, in {took_s:.1f} s")
    click.echo("\n".join(lines(found)))
