"""The file of a client's queue: made, locked, checked and opened; what is in it is queue.py's business.

Touches one directory. Keeps: one process at a time (flock on ``queue.lock``: SQLite's own locks lie on queue.db and
must not be disturbed); one client, one mesh and
one kind of traffic for ever; the pragmas that durability rests on are read back; the file
and its directory entries are synced before the first row is accepted.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from pathlib import Path
from typing import Any

import apsw

from hfzmq.client.traffic import REPORTS, Traffic
from hfzmq.errors import DataDirError, HfzmqError
from hfzmq.wire.requests import CLIENT_CHARS_MAX, EPOCH_BYTES

_FULL = (errno.ENOSPC, errno.EDQUOT)
SCHEMA_VERSION = 2
APPLICATION_ID = 0x68667A71  # 'hfzq'

_SCHEMA = """
CREATE TABLE meta(
    one INTEGER PRIMARY KEY CHECK (one = 1), client_id TEXT NOT NULL, mesh_id BLOB NOT NULL, epoch BLOB NOT NULL,
    next_seq INTEGER NOT NULL, alone_until INTEGER NOT NULL) STRICT;
CREATE TABLE rows(id INTEGER PRIMARY KEY AUTOINCREMENT, row BLOB NOT NULL) STRICT;
CREATE TABLE in_flight(
    one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, digest BLOB NOT NULL, rows BLOB NOT NULL,
    count INTEGER NOT NULL, last_id INTEGER NOT NULL) STRICT;
CREATE TABLE refused_whole(
    one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, digest BLOB NOT NULL, rows BLOB NOT NULL,
    count INTEGER NOT NULL, last_id INTEGER NOT NULL, tried INTEGER NOT NULL) STRICT;
CREATE TABLE dead_letters(
    id INTEGER PRIMARY KEY AUTOINCREMENT, row BLOB NOT NULL, field TEXT NOT NULL, bound TEXT NOT NULL,
    hint TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE sources(
    prefix BLOB PRIMARY KEY, bytes_read INTEGER NOT NULL, lines INTEGER NOT NULL, at_ms INTEGER NOT NULL) STRICT;
"""

# A queue of reports is of version 1 for ever. Any other says which op its rows go out under, and is of version 2, so
# that an hfzmq that knows reports only refuses it, instead of sending readings as reports.
_OP = "CREATE TABLE op(one INTEGER PRIMARY KEY CHECK (one = 1), op TEXT NOT NULL) STRICT"

# Came later: made where it is missing, and an older hfzmq passes it over.
_LATER = "CREATE TABLE IF NOT EXISTS members(one INTEGER PRIMARY KEY CHECK (one = 1), told BLOB NOT NULL) STRICT"


class Connection:
    """An open queue file and the lock on it."""

    def __init__(self, db: apsw.Connection, lock: int, directory: Path, client_id: str) -> None:
        self.db = db
        self.directory = directory
        self.client_id = client_id
        self._lock: int | None = lock

    def close(self) -> None:
        """Close the file, then give the lock up. May be called twice."""
        self.db.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def open_queue_file(directory: Path, client_id: str | None, mesh_id: bytes, traffic: Traffic = REPORTS) -> Connection:
    """Open or make ``directory/queue.db`` for ``traffic``; DataDirError says why not, and what to do."""
    try:
        _make_directory(directory)
        lock = _locked(directory)
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
    except (apsw.Error, OSError) as error:
        os.close(lock)
        raise _refusal(error, directory) from None


def _refusal(error: Exception, directory: Path) -> DataDirError:
    """What stands behind an error of SQLite or the system while the queue was opened: what waits in it may be whole."""
    path = directory / "queue.db"
    if isinstance(error, apsw.FullError) or getattr(error, "errno", None) in _FULL:
        hint = f"make room, then run the same again; what waits in it is kept: df -h {directory.parent}"
        return DataDirError(f"cannot open the queue {path}: no space left on the disk", hint=hint)
    aside = "keep the directory for a look; give a new one: --queue DIR"
    if isinstance(error, apsw.IOError):  # SQLite's word for a full disk, too, where it maps the file
        aside = f"is there room (df -h {directory.parent}), may a file grow (ulimit -f)? else {aside}"
    return DataDirError(f"cannot open the queue {path}: {error}", hint=aside)


def _make_directory(directory: Path) -> None:
    """Make ``directory`` (readable by its owner alone: it holds patients' data) and sync the entries above it."""
    missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in missing:
        _sync_directory(folder.parent)


def _locked(directory: Path) -> int:
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
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite gives the WAL the same rights
    db = apsw.Connection(str(path))
    try:
        db.set_busy_timeout(0)
        version = db.execute("PRAGMA user_version").get
        if version > SCHEMA_VERSION:
            raise DataDirError(f"{path} was written by a newer hfzmq", hint="upgrade hfzmq on this machine")
        journal = db.execute("PRAGMA journal_mode = WAL").get
        db.execute("PRAGMA synchronous = FULL")
        synchronous = db.execute("PRAGMA synchronous").get
        if (journal, synchronous) != ("wal", 2):
            raise DataDirError(
                f"{path}: SQLite keeps journal_mode {journal}, synchronous {synchronous}; wal and 2 (FULL) are needed",
                hint="a queue needs a local disk with file locks, no network share",
            )
    except BaseException:
        db.close()
        raise
    return db


def _identity(db: apsw.Connection, directory: Path, client_id: str | None, mesh_id: bytes, traffic: Traffic) -> str:
    """The file's client id; a new file is given one, its epoch and its tables in one transaction."""
    if db.execute("PRAGMA user_version").get == 0:
        name = client_id or default_client_id()
        with db:
            db.execute(_SCHEMA)
            db.execute("INSERT INTO meta VALUES (1, ?, ?, ?, 1, 0)", (name, mesh_id, os.urandom(EPOCH_BYTES)))
            if traffic != REPORTS:
                db.execute(_OP)
                db.execute("INSERT INTO op VALUES (1, ?)", (traffic.op,))
            version = 1 if traffic == REPORTS else 2
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}")
        _sync_directory(directory)
    db.execute(_LATER)
    op = REPORTS.op if db.execute("PRAGMA user_version").get == 1 else db.execute("SELECT op FROM op").get
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
