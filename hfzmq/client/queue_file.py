"""The file of a client's queue: made, locked, checked and opened; what is in it is queue.py's business.

Touches one directory. Keeps: one process at a time (flock on ``queue.lock``: SQLite's own locks lie on queue.db and
must not be disturbed); one client, one mesh and one kind of traffic for ever; the pragmas that durability rests on are
read back; the file and its directory entries are synced before the first row is accepted; a queue that has forgotten
what it accepted is refused, and left as it is.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from pathlib import Path
from typing import Any

import apsw

from hfzmq.client import queue_mark, queue_schema
from hfzmq.client.queue_connection import ASIDE, Connection
from hfzmq.client.traffic import REPORTS, Traffic
from hfzmq.errors import DataDirError, HfzmqError
from hfzmq.wire.requests import CLIENT_CHARS_MAX

_FULL = (errno.ENOSPC, errno.EDQUOT)


def open_queue_file(directory: Path, client_id: str | None, mesh_id: bytes, traffic: Traffic = REPORTS) -> Connection:
    """Open or make ``directory/queue.db`` for ``traffic``; DataDirError says why not, and what to do."""
    try:
        _make_directory(directory)
        lock = locked(directory)
    except OSError as error:
        if error.errno in _FULL:
            raise _refusal(error, directory) from None
        raise DataDirError(
            f"cannot use the queue directory {directory}: {error.strerror}", hint="give another one: --queue DIR"
        ) from None
    try:
        db = _opened(directory / "queue.db")
        try:
            return Connection(db, lock, directory, _identity(db, directory, client_id, mesh_id, traffic))
        except BaseException:
            db.close()
            raise
    except HfzmqError:
        os.close(lock)
        raise
    except (apsw.Error, OSError, UnicodeDecodeError) as error:
        os.close(lock)
        raise _refusal(error, directory) from None


def _refusal(error: Exception, directory: Path) -> DataDirError:
    """What stands behind an error of SQLite or the system while the queue was opened: what waits in it may be whole."""
    path = directory / "queue.db"
    if isinstance(error, apsw.FullError) or getattr(error, "errno", None) in _FULL:
        hint = f"make room, then run the same again; what waits in it is kept: df -h {directory.parent}"
        return DataDirError(f"cannot open the queue {path}: no space left on the disk", hint=hint)
    aside = ASIDE
    if isinstance(error, apsw.IOError):  # SQLite's word for a full disk, too, where it maps the file
        aside = f"is there room (df -h {directory.parent}), may a file grow (ulimit -f)? else {ASIDE}"
    return DataDirError(f"cannot open the queue {path}: {error}", hint=aside)


def _make_directory(directory: Path) -> None:
    """Make ``directory`` (readable by its owner alone: it holds patients' data) and sync the entries above it."""
    missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in missing:
        _sync_directory(folder.parent)


def locked(directory: Path) -> int:
    """The descriptor that holds the lock; DataDirError when another process holds it. OSError."""
    lock = os.open(directory / "queue.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise DataDirError(
            f"the queue in {directory} is in use by another client process",
            hint="does it run already? a second one needs a queue of its own: --client-id NAME, or --queue DIR",
        ) from None
    return lock


def _opened(path: Path) -> apsw.Connection:
    mark = queue_mark.read(path.parent)
    if not path.exists():
        _refuse_what_is_lost(path.parent, mark, None)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite gives the WAL the same rights
    db = apsw.Connection(str(path))
    try:
        db.set_busy_timeout(0)
        if queue_schema.version_of(db) > queue_schema.SCHEMA_VERSION:
            raise DataDirError(f"{path} was written by a newer hfzmq", hint="upgrade hfzmq on this machine")
        _refuse_what_is_lost(path.parent, mark, queue_schema.mark_of(db))
        journal = db.execute("PRAGMA journal_mode = WAL").get
        db.execute("PRAGMA synchronous = FULL")
        synchronous = db.execute("PRAGMA synchronous").get
        if (journal, synchronous) != ("wal", 2):
            raise DataDirError(
                f"{path}: SQLite keeps journal_mode {journal}, synchronous {synchronous}; wal and 2 (FULL) are needed",
                hint="a queue needs a local disk with file locks, no network share",
            )
    except BaseException:
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)  # what the WAL still has stays there, for a look
        db.close()
        raise
    return db


def _refuse_what_is_lost(directory: Path, mark: queue_mark.Mark | None, found: queue_mark.Mark | None) -> None:
    """DataDirError when the queue has lost something of what its mark says."""
    lost = queue_mark.lost(mark, found)
    if lost:
        raise DataDirError(
            f"the queue in {directory} is damaged: {lost}; what waited there may be lost, or be sent a second time",
            hint=f"keep the directory for a look: hfzmq queue show {directory}; begin a new queue: --queue DIR",
        )


def _identity(db: apsw.Connection, directory: Path, client_id: str | None, mesh_id: bytes, traffic: Traffic) -> str:
    """The file's client id; a new file is given one, its epoch and its tables in one transaction."""
    if queue_schema.version_of(db) == 0:
        queue_schema.make(db, client_id or default_client_id(), mesh_id, traffic)
        _sync_directory(directory)
    if not queue_schema.is_sound(db):
        what = "its row of 'meta' is not what was written"
        raise DataDirError(f"the queue in {directory} is damaged: {what}", hint=ASIDE)
    op = queue_schema.op_of(db)
    if op != traffic.op:
        raise DataDirError(
            f"the queue in {directory} is not for {traffic.word}: what waits in it goes out as {op!r}",
            hint="reports (hfzmq client) and heart rates (hfzmq stream) each need a queue of their own: --queue DIR",
        )
    meta: list[Any] = db.execute("SELECT client_id, mesh_id FROM meta").fetchall()
    owner, mesh = meta[0]
    if mesh != mesh_id:
        raise DataDirError(
            f"the queue in {directory} belongs to another mesh ({mesh.hex()})",
            hint="another mesh needs another queue: --queue DIR; restored from a backup of that one: hfzmq queue move",
        )
    if client_id is not None and client_id != owner:
        raise DataDirError(
            f"the queue in {directory} belongs to the client {owner!r}, not to {client_id!r}",
            hint=f"--client-id {owner}, or another --queue DIR",
        )
    queue_schema.bring_up(db)
    return str(owner)


def default_client_id() -> str:
    """This machine's name, fit to be a client id."""
    name = "".join(letter for letter in socket.gethostname() if letter.isprintable() and letter != " ")
    return name[:CLIENT_CHARS_MAX] or "bedside"


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
