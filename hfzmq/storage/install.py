"""A snapshot becomes this peer's file: judged, made its own, exchanged for the old one.

Touches the disk. Must not know: how the snapshot came. Keeps: until ``exchanged`` has begun nothing has happened to the
peer's own file; what this peer has promised (its votes, the entries that it acknowledged) is never given away for a
snapshot: it keeps its hard state, and a snapshot that its own log already reaches is refused.
"""

from __future__ import annotations

import os
import stat
from contextlib import closing, suppress
from pathlib import Path

import apsw

from hfzmq.core.types import HardState
from hfzmq.errors import DataDirError, InvalidInput
from hfzmq.storage import exchange, tables
from hfzmq.storage.compaction import place_row
from hfzmq.storage.connection import abandon, open_writer
from hfzmq.storage.recovery import Cursor, Recovered, recover
from hfzmq.storage.snapshot import inspect
from hfzmq.storage.tables import AppliedState, Meta


def prepare(
    snapshot: Path, own: apsw.Connection, path: Path, hard_state: HardState, probe: int
) -> tuple[Recovered, Cursor]:
    """Check the file ``snapshot`` and write into it whose it is going to be, synced; what it holds.

    InvalidInput: it cannot be used. DataDirError: it cannot be written to. apsw.Error when the peer's own file, whose
    connection is ``own``, cannot be read."""
    meta = tables.meta_of(own.execute(tables.SELECT_META).fetchone())
    found, cursor = inspect(snapshot, meta.mesh_id)
    _refuse_what_is_known(own, cursor.applied)
    try:
        os.chmod(snapshot, stat.S_IMODE(path.stat().st_mode))
        _make_own(snapshot, meta, hard_state, probe, cursor.root)
    except (apsw.Error, OSError) as error:
        raise DataDirError(
            f"{snapshot}: cannot be made ready: {error}", hint="is there room, and are there rights to write?"
        ) from error
    return found._replace(hard_state=hard_state), cursor


def exchanged(
    snapshot: Path, own: apsw.Connection, path: Path, vfs: str | None
) -> tuple[apsw.Connection, Recovered, Cursor]:
    """Close ``own``, put the prepared ``snapshot`` in the place of ``path``, open that. After any error but ``own``
    must not be written to again: the next start finishes what was promised."""
    with exchange.OPENING:
        with suppress(apsw.BusyError):  # then who opens the old file in the next milliseconds misses its last rows
            own.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        exchange.promise(path, snapshot)
        own.close()
        exchange.finish(path)
        connection = open_writer(path, vfs)
        try:
            return connection, *recover(connection)
        except BaseException:
            abandon(connection)
            raise


def _refuse_what_is_known(own: apsw.Connection, told: AppliedState) -> None:
    state, place = tables.applied_of(own.execute(tables.SELECT_APPLIED).fetchone()), told.place
    applied = state.place
    if state.history and told.history != state.history:
        raise InvalidInput("snapshot", f"of history {state.history.hex()}", got=told.history.hex() or "none")
    if place.index <= applied.index:
        raise InvalidInput("snapshot", f"newer than entry {applied.index}, which is applied here", got=place.index)
    if own.execute(tables.SELECT_PLACE, (place.index,)).fetchone() == place_row(place):
        # Entries after it may have been acknowledged to the leader; they would be gone.
        raise InvalidInput("snapshot", "one that this peer's own log does not reach", got=place.index)


def _make_own(snapshot: Path, meta: Meta, hard_state: HardState, probe: int, root: int) -> None:
    with closing(apsw.Connection(str(snapshot.absolute()), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
        connection.execute("PRAGMA journal_mode = MEMORY").fetchall()  # half of this is thrown away, never mended
        connection.execute("PRAGMA synchronous = FULL").fetchall()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(tables.UPDATE_META, tables.meta_row(meta))
        owned = tables.owned(root, meta.incarnation)
        connection.execute(tables.UPDATE_HARD_STATE, tables.hard_state_row(hard_state, probe, owned))
        connection.execute("COMMIT")
        # What is promised must look like a peer's own file at once: a crash may come before the first connection to it.
        if connection.execute("PRAGMA journal_mode = WAL").get != "wal":
            raise OSError("SQLite will not keep it in WAL mode")
    with snapshot.open("rb") as file:
        os.fsync(file.fileno())
