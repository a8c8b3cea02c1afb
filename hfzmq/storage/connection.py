"""The one writing connection: opened with the settings that durability rests on, each read back; errors in words.

Touches the disk. Must not know: the tables. Keeps: a connection that ``open_writer`` returns is in WAL mode, syncs each
commit unless it is told not to (``sync_commits``), and checkpoints only when told.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

import apsw

from hfzmq.errors import DataDirError
from hfzmq.storage.directory import may

BUSY_MS = 20  # nobody else writes; only a checkpoint may wait so long for readers

STATEMENTS_KEPT = 512  # each row of an executemany takes a place; with 100 a turn of 32 entries parsed most anew

NO_SPACE = "no space left on the disk"

# name, what is set, what must be read back
PRAGMAS: tuple[tuple[str, str, object], ...] = (
    ("synchronous", "FULL", 2),  # first: it also guards the change to WAL. NORMAL loses commits with the power
    ("journal_mode", "WAL", "wal"),
    ("wal_autocheckpoint", "0", 0),  # by hand: checkpoint.py
    ("foreign_keys", "OFF", 0),
    ("busy_timeout", str(BUSY_MS), BUSY_MS),
)


def open_writer(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open or make the file; apsw.Error when SQLite cannot, DataDirError when a setting does not hold."""
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection = apsw.Connection(str(path.absolute()), flags=flags, vfs=vfs, statementcachesize=STATEMENTS_KEPT)
    try:
        for name, value, expected in PRAGMAS:
            connection.execute(f"PRAGMA {name} = {value}").fetchall()
            found = connection.execute(f"PRAGMA {name}").get
            if found != expected:
                raise DataDirError(
                    f"{path}: SQLite will not keep {name} = {value}, it says {found}",
                    hint="the data directory must be on a local disk that supports SQLite's WAL mode",
                )
    except BaseException:
        abandon(connection)
        raise
    return connection


def sync_commits(connection: apsw.Connection, sync: bool) -> None:
    """Whether each commit from here on is synced. One that is not is synced with the next that is, or with a
    checkpoint; what a power cut leaves of the WAL is its beginning, so that it takes the latest commits first. Outside
    a transaction. apsw.Error."""
    name, value, expected = PRAGMAS[0]
    # SQLite carries this PRAGMA out while it compiles it: a statement out of a cache would do nothing.
    connection.execute(f"PRAGMA {name} = {value if sync else 'NORMAL'}", can_cache=False)
    if sync and connection.execute(f"PRAGMA {name}", can_cache=False).get != expected:
        raise apsw.SQLError(f"SQLite will not go back to {name} = {value}")


def abandon(connection: apsw.Connection) -> None:
    """Close without another write: no checkpoint, whose syncs would be the second try that is forbidden, and which
    would mix what is damaged into what is not."""
    with suppress(apsw.Error):  # whoever called is raising the error that matters
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.close(True)


def disk_hint(path: Path) -> str:
    """What to look at where a disk failed."""
    return f"is there room (df -h {path.parent}), may a file grow (ulimit -f)? else the disk: dmesg -T"


def refusal(error: Exception, path: Path) -> DataDirError:
    """What stands behind an error of SQLite or the system while the file at ``path`` was opened, and what to do."""
    code = getattr(error, "errno", None)
    if isinstance(error, apsw.FullError) or code in (errno.ENOSPC, errno.EDQUOT):
        return DataDirError(f"{path}: {NO_SPACE}", hint=f"make room, then start it again: df -h {path.parent}")
    if isinstance(error, apsw.ReadOnlyError) or code == errno.EROFS:
        return DataDirError(f"{path}: read-only", hint="the daemon needs a data directory that it may write to")
    if code in (errno.EACCES, errno.EPERM) or isinstance(error, apsw.PermissionsError):
        return _no_rights(path)
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return DataDirError(f"{path.parent}: not a directory", hint="give a directory: --data-dir DIR")
    if isinstance(error, IsADirectoryError) or path.is_dir():
        return DataDirError(f"{path}: a directory stands where the file belongs", hint="move it aside")
    if isinstance(error, apsw.CantOpenError) and path.exists() and not may(path, os.R_OK | os.W_OK):
        return _no_rights(path)
    if isinstance(error, apsw.NotADBError):
        return DataDirError(
            f"{path}: not a database", hint="a file of another program? give another --data-dir; else move it aside"
        )
    if isinstance(error, apsw.CorruptError):
        return DataDirError(f"{path}: damaged: {error}", hint="not a file of hfzmq? give another --data-dir")
    if isinstance(error, apsw.BusyError):
        return DataDirError(f"{path}: another program is writing to it", hint="close it, then start again")
    why = getattr(error, "strerror", None) or error  # of the system's errors without their number and path
    return DataDirError(f"{path}: {why}", hint=disk_hint(path))


def _no_rights(path: Path) -> DataDirError:
    return DataDirError(
        f"{path}: permission denied",
        hint=f"who runs the daemon needs rights to read and write the directory and its files: ls -la {path.parent}",
    )
