"""Backups: one file that holds all that a mesh has stored at one moment, checked before it gets its name.

Touches the disk: a peer's file to read, the backup to write. Must not know: meshes that run, who asks. Keeps: a file
under the name that was asked for is whole, synced, and was counted row by row, both as it was copied and as it became;
nothing is ever written over; it names no peer, so that put in a peer's place by hand it is refused, instead of being
taken for a disk that has forgotten.

    peer's file --SQLite's online backup, of one moment--> NAME.copy --recount--> (--the log's tail, if asked for-->)
                                              --snapshot--> NAME.part --recount, sync, link--> NAME

The peer may run and write meanwhile: it is read from this process through a connection that cannot write, in one read
transaction; what holds that back is the daemon's checkpoint, for as long as the copying takes.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import time_ns
from typing import NamedTuple

import apsw

from hfzmq.core.membership import Membership
from hfzmq.core.types import Place
from hfzmq.errors import DataDirError, InvalidInput, NotFound
from hfzmq.storage import directory, log_tail, snapshot, tables
from hfzmq.storage.checksums import Damaged
from hfzmq.storage.connection import NO_SPACE
from hfzmq.storage.directory import FILE_MODE
from hfzmq.storage.forgotten import Looking
from hfzmq.storage.recount import counts_of, recount
from hfzmq.storage.snapshot import NOBODY, sync_and_hash
from hfzmq.storage.tables import APPLICATION_ID, SCHEMA_VERSION, AppliedState, Meta

PAGES_A_STEP = 2_000  # 8 MB
BUSY_MS = 2_000

Progress = Callable[[str, float], None]
"""Called with what is being done (COPYING, CHECKING) and which share of it is, 0 to 1."""

COPYING, CHECKING = "copying", "checking"
COPIES_MAX = 3  # of the database that are on the disk at once while a backup is made
_ANOTHER = "was it copied whole? compare its sha256; else use another one, or take it again: hfzmq backup FILE"


class Backup(NamedTuple):
    """What a backup holds. ``place``: the last entry in its tables. ``at_ms``: when it was made, Unix ms;
    ``stored_ms``: the log's clock, 0 for none. ``sessions``: clients that the mesh knows. ``rows``: by table.
    ``revoked``: public keys that the mesh has put out of force. ``digest``: SHA-256 of the whole file, 32 bytes: what a
    restored mesh is founded on. ``tail_entries``: how many at its end the peer did not know to be committed (log_tail),
    ``forgotten``: what the peer's file had once held and does not, '' for nothing (forgotten.py); both are told by
    whoever made it, the file does not say."""

    path: Path
    mesh_id: bytes
    place: Place
    state_hash: bytes
    at_ms: int
    stored_ms: int
    members: Membership
    sessions: int
    rows: dict[str, int]
    revoked: frozenset[str]
    size_bytes: int
    digest: bytes
    tail_entries: int = 0
    forgotten: str = ""


def make(
    db_path: Path,
    to: Path,
    progress: Progress = lambda _what, _share: None,
    opened: Callable[[], None] = lambda: None,
    *,
    tail: bool = False,
) -> Backup:
    """Back the peer's file at ``db_path`` up into ``to``, a new file; ``opened`` is called as soon as that file is
    open. ``tail``: with what stands in its log beyond what it knew to be committed. NotFound: there is no such file;
    InvalidInput: there is something already, or no file of a peer; DataDirError: what is there is damaged, or the disk
    refuses. All leave nothing behind."""
    refuse_existing(to)
    if not _is_file(db_path):
        hint = f"which is it? ls {db_path.parent}; it is DIR/hfzmq_<id>.db of its --data-dir"
        if not db_path.exists():
            raise NotFound(f"{db_path}: no such file", hint=hint)
        raise InvalidInput("--db", "the file of a peer, and this is no file", got=str(db_path), hint=hint)
    copy, part = to.with_name(to.name + ".copy"), to.with_name(to.name + ".part")
    try:
        _new(copy)
        try:
            looking = Looking(db_path)

            def is_open() -> None:
                looking.held()
                opened()

            _copy(db_path, copy, progress, is_open, tail)
            progress(CHECKING, 0.0)
            with closing(apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
                connection.execute("PRAGMA journal_mode = DELETE").fetchall()  # it has no WAL to wait for
                found = recount(connection)
                meta = tables.meta_of(connection.execute(tables.SELECT_META).fetchone())
                forgotten = looking.said(meta, *found)
                tail_entries = log_tail.take_in(connection, *found) if tail else 0
            progress(CHECKING, 0.4)
            snapshot.make(copy, part)
            _stamp(part)
            progress(CHECKING, 0.7)
            made = verify(part)
            name(part, to)
            progress(CHECKING, 1.0)
            return made._replace(path=to, tail_entries=tail_entries, forgotten=forgotten)
        finally:
            for path in (copy, part):
                for side in ("", "-wal", "-shm", "-journal"):
                    path.with_name(path.name + side).unlink(missing_ok=True)
    except Damaged as damage:
        raise DataDirError(
            f"{db_path}: damaged, not backed up: {damage}", hint="back up another peer; hfzmq doctor looks at this one"
        ) from None
    except FileExistsError as error:
        left = error.filename2 or error.filename
        raise DataDirError(
            f"{left}: exists already", hint="another backup runs, or was killed: then remove it"
        ) from None
    except (apsw.Error, OSError) as error:
        if isinstance(error, apsw.FullError) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            hint = f"make room, or give another disk: df -h {to.parent}; up to {COPIES_MAX} times {db_path} is needed"
            raise DataDirError(f"{to}: no backup was made: {NO_SPACE}", hint=hint) from None
        why = getattr(error, "strerror", None) or error
        hint = f"is there such a directory, room in it, the right to write? ls -ld {to.parent}; df -h {to.parent}"
        raise DataDirError(f"{to}: no backup was made: {why}", hint=hint) from None


def verify(path: Path) -> Backup:
    """What the backup at ``path`` holds, everything in it counted anew. DataDirError when it must not be used,
    NotFound when it is not there, InvalidInput when it is no backup."""
    if not _is_file(path):
        if not path.exists():
            raise NotFound(f"{path}: no such file", hint="a backup is made by: hfzmq backup FILE")
        hint = "that is no regular file; what comes through a pipe must be written to a file first"
        if path.is_dir():
            hint = f"that is a directory; which file in it? ls {path}"
        raise InvalidInput("backup", "a file that hfzmq backup made", got=str(path), hint=hint)
    size_bytes, digest = sync_and_hash(path)
    try:
        with closing(apsw.Connection(_frozen(path), flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)) as found:
            meta = _whose(found, path)
            recovered, cursor = recount(found)
    except (Damaged, apsw.Error, UnicodeDecodeError) as error:
        raise DataDirError(f"{path}: damaged: {error}", hint=_ANOTHER) from None
    applied: AppliedState = cursor.applied
    if recovered.log.last != applied.place or recovered.log.base != applied.place or not applied.place.index:
        raise DataDirError(f"{path}: its log is not where its tables are", hint=_ANOTHER)
    return Backup(
        path, meta.mesh_id, applied.place, applied.state_hash, meta.created_at, applied.alarms.now_ms,
        recovered.membership, len(recovered.sessions), counts_of(applied), cursor.alarms.keys.revoked,
        size_bytes, digest,
    )  # fmt: skip


def refuse_existing(to: Path) -> None:
    """InvalidInput when there is something where a backup is to be."""
    if os.path.lexists(to):  # where nobody may look it cannot be made, either: that is told then
        raise InvalidInput(
            "--to",
            "a file that does not exist yet",
            got=str(to),
            hint="a backup is never overwritten: give each a name of its own",
        )


def _is_file(path: Path) -> bool:
    """DataDirError where this user may not look for it."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except PermissionError:
        hint = f"its directory is for another user: be that one (the daemon's), or root; ls -ld {path.parent}"
        raise DataDirError(f"{path}: permission denied", hint=hint) from None
    except OSError:
        return False


def name(part: Path, to: Path) -> None:
    """Give the backup in ``part``, whole and synced, its name; ``part`` may keep the other one. OSError
    (FileExistsError: somebody was quicker)."""
    try:
        os.link(part, to)  # unlike a rename it overwrites nothing
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _new(to)  # a memory stick: the name is ours before anything is put in its place
        os.replace(part, to)
    directory.sync(to.parent)


_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)  # what file systems without hard links say


def _new(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, FILE_MODE))


def _copy(db_path: Path, copy: Path, progress: Progress, opened: Callable[[], None], tail: bool) -> None:
    with closing(apsw.Connection(str(db_path.absolute()), flags=apsw.SQLITE_OPEN_READONLY)) as source:
        source.set_busy_timeout(BUSY_MS)
        source.execute("BEGIN")  # the copy is of this moment, however long it takes
        _whose_peer(source, db_path, tail)
        opened()
        with (
            closing(apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READWRITE)) as target,
            target.backup("main", source, "main") as copying,
        ):
            while not copying.done:
                copying.step(PAGES_A_STEP)
                progress(COPYING, 1 - copying.remaining / max(1, copying.page_count))


def _whose_peer(source: apsw.Connection, path: Path, tail: bool) -> None:
    wanted = "DIR/hfzmq_<id>.db of a peer's --data-dir"
    try:
        if source.execute("PRAGMA application_id").get != APPLICATION_ID:
            raise InvalidInput("--db", "the file of a peer", got=str(path), hint=wanted)
    except apsw.NotADBError:
        raise InvalidInput("--db", "the file of a peer", got=str(path), hint=wanted) from None
    _check_version(source, path)
    meta = tables.meta_of(source.execute(tables.SELECT_META).fetchone())
    if meta.incarnation == NOBODY:
        raise InvalidInput("--db", "the file of a peer, no backup", got=str(path), hint=f"hfzmq backup verify {path}")
    place = tables.applied_of(source.execute(tables.SELECT_APPLIED).fetchone()).place
    if not (place.index or (tail and source.execute("SELECT max(idx) FROM log").get)):
        raise DataDirError(
            f"{path}: holds nothing, not backed up",
            hint=f"has its mesh begun? hfzmq status; was it copied without {path.name}-wal?",
        )


def _whose(found: apsw.Connection, path: Path) -> Meta:
    try:
        is_ours = found.execute("PRAGMA application_id").get == APPLICATION_ID
    except apsw.NotADBError:
        is_ours = False
    if not is_ours:
        hint = "is it the right file? one is made by: hfzmq backup --db FILE --to FILE"
        raise InvalidInput("backup", "a file that hfzmq backup made", got=str(path), hint=hint)
    _check_version(found, path)
    meta = tables.meta_of(found.execute(tables.SELECT_META).fetchone())
    if meta.incarnation != NOBODY:
        raise InvalidInput(
            "backup",
            "a file that hfzmq backup made",
            got=str(path),
            hint=f"this is the own file of peer {meta.peer_id}: hfzmq backup --db {path} --to FILE",
        )
    return meta


def _check_version(found: apsw.Connection, path: Path) -> None:
    version = found.execute("SELECT schema_version FROM meta").get
    if version != SCHEMA_VERSION:
        raise DataDirError(
            f"{path}: schema {version}, this hfzmq knows {SCHEMA_VERSION}",
            hint="use the hfzmq that wrote it (hfzmq --version on that machine)",
        )


def _stamp(part: Path) -> None:
    """Say in the file itself when it was made."""
    with closing(apsw.Connection(str(part), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
        connection.execute("PRAGMA journal_mode = MEMORY").fetchall()
        meta = tables.meta_of(connection.execute(tables.SELECT_META).fetchone())
        row = tables.meta_row(meta._replace(created_at=time_ns() // 1_000_000))
        connection.execute(tables.UPDATE_META, row)


def _frozen(path: Path) -> str:
    """As a URI: nobody writes to it, so that no file beside it is looked for or made."""
    return f"{path.absolute().as_uri()}?immutable=1"
