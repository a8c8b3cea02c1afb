"""Snapshots: a file that holds a peer's tables at its applied index, for another peer to go on from.

Touches the disk, beside the daemon's own file. Must not know: who wants one, how it travels. Keeps: a snapshot is a
whole file of hfzmq, of one moment, whose log is empty and begins after what its tables hold; it names no peer, so that
nobody takes another's promises for its own; what ``inspect`` lets pass was checked row by row.

    make: source --VACUUM INTO--> raw copy --wipe--> --inspect, sync, hash--> Snapshot
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import apsw

from hfzmq.core.membership import Membership
from hfzmq.core.types import CONFIG, HardState, Place
from hfzmq.errors import DataDirError, InvalidInput
from hfzmq.storage import exchange, tables
from hfzmq.storage.checksums import Damaged
from hfzmq.storage.directory import DIRECTORY_MODE, FILE_MODE
from hfzmq.storage.recovery import Cursor, Recovered, recover
from hfzmq.storage.tables import APPLICATION_ID, SCHEMA_VERSION, STATE_START, Meta, SessionSum

HASHED_BYTES = 1 << 20  # at a time
NOBODY = bytes(16)
SLACK = 8  # a copy of which more than one page in so many is free is copied once more


class Snapshot(NamedTuple):
    """``place``: the last entry in the tables. ``sha256``: of the whole file, 32 bytes. ``tail_entries``: of a backup,
    see there."""

    path: Path
    place: Place
    size_bytes: int
    sha256: bytes
    tail_entries: int = 0


def make(db_path: Path, into: Path, opened: Callable[[], None] = lambda: None) -> Snapshot:
    """Write a snapshot of the file at ``db_path`` to ``into``, synced; slow, so not for the loop's process (see apart).
    ``opened`` is called as soon as the file is open.

    The file may be in use: its one writer goes on meanwhile. Anything that fails (apsw.Error, OSError, HfzmqError)
    leaves nothing behind."""
    raw = into.with_name(into.name + "-raw")
    into.parent.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    try:
        for path in (raw, into):
            _empty(path)
        with exchange.OPENING:
            source = apsw.Connection(str(db_path.absolute()), flags=apsw.SQLITE_OPEN_READONLY)
            source.execute("SELECT count(*) FROM meta").fetchall()  # its files are open from here on
        opened()
        with closing(source):
            source.execute("VACUUM INTO ?", (str(raw),)).fetchall()
        with closing(apsw.Connection(str(raw), flags=apsw.SQLITE_OPEN_READWRITE)) as copy:
            place, mesh_id = _wipe(copy)
            pages, free = copy.execute("PRAGMA page_count").get, copy.execute("PRAGMA freelist_count").get
            if free * SLACK > pages:
                copy.execute("VACUUM INTO ?", (str(into),)).fetchall()
        if into.stat().st_size == 0:
            os.rename(raw, into)
        inspect(into, mesh_id)
        return Snapshot(into, place, *sync_and_hash(into))
    except BaseException:
        into.unlink(missing_ok=True)
        raise
    finally:
        raw.unlink(missing_ok=True)


def sync_and_hash(path: Path) -> tuple[int, bytes]:
    """(size in bytes, SHA-256) of a file, after it was synced. OSError."""
    whole, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        os.fsync(file.fileno())
        while block := file.read(HASHED_BYTES):
            whole.update(block)
            size += len(block)
    return size, whole.digest()


def inspect(path: Path, mesh_id: bytes) -> tuple[Recovered, Cursor]:
    """What the snapshot at ``path`` holds, each row checked; InvalidInput('snapshot', why) when it cannot be used."""
    try:
        with closing(apsw.Connection(str(path.absolute()), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            return _inspected(connection, mesh_id)
    except (Damaged, DataDirError, apsw.Error, UnicodeDecodeError) as error:
        raise InvalidInput("snapshot", f"damaged: {error}") from None


def _inspected(connection: apsw.Connection, mesh_id: bytes) -> tuple[Recovered, Cursor]:
    if connection.execute("PRAGMA application_id").get != APPLICATION_ID:
        raise Damaged("not a file of hfzmq")
    version = connection.execute("SELECT schema_version FROM meta").get
    if version != SCHEMA_VERSION:
        raise InvalidInput("snapshot", f"schema {SCHEMA_VERSION}", got=version)
    meta = tables.meta_of(connection.execute(tables.SELECT_META).fetchone())
    if meta.mesh_id != mesh_id:
        raise InvalidInput("snapshot", f"mesh {mesh_id.hex()}", got=meta.mesh_id.hex())
    recovered, cursor = recover(connection, rows_max=None)
    place = cursor.applied.place
    if recovered.log.base != place or recovered.log.last != place:
        raise Damaged(f"its log runs from {recovered.log.base.index} to {recovered.log.last.index}")
    if place.index == 0 or cursor.applied.state_hash == STATE_START:
        raise Damaged("nothing is applied")
    if recovered.membership.index > place.index:
        raise Damaged(f"members of {recovered.membership.index}, {place.index} are applied")
    return recovered, cursor


def _wipe(copy: apsw.Connection) -> tuple[Place, bytes]:
    """Leave the tables and nothing of the peer that they are from; (the applied place, the mesh's id)."""
    copy.execute("PRAGMA journal_mode = OFF").fetchall()  # a copy that fails is thrown away
    copy.execute("PRAGMA synchronous = OFF").fetchall()
    applied = tables.applied_of(copy.execute(tables.SELECT_APPLIED).fetchone())
    place = applied.place
    members = _members_at(copy, place.index)
    meta = tables.meta_of(copy.execute(tables.SELECT_META).fetchone())
    sessions = SessionSum(dict(map(tables.session_of, copy.execute(tables.SELECT_SESSIONS))))
    root = tables.root_of(applied, tables.cut_crc(place, members), place, sessions)
    nobody = Meta(meta.mesh_id, 0, NOBODY, 0, NOBODY, 0)
    copy.execute("BEGIN")
    copy.execute("DELETE FROM log")
    for statement, row in (
        (tables.UPDATE_LOG_BASE, tables.log_base_row(place)),
        (tables.UPDATE_MEMBERSHIP, tables.membership_row(members)),
        (tables.UPDATE_HARD_STATE, tables.hard_state_row(HardState(0, 0), 0, tables.owned(root, NOBODY))),
        (tables.UPDATE_META, tables.meta_row(nobody)),
    ):
        copy.execute(statement, row)
    copy.execute("COMMIT")
    return place, meta.mesh_id


def _members_at(copy: apsw.Connection, index: int) -> Membership:
    base = tables.membership_of(copy.execute(tables.SELECT_MEMBERSHIP).fetchone())
    row = copy.execute(tables.SELECT_CONFIG, (CONFIG, index)).fetchone()
    if row is None or row[0] <= base.index:  # the waste below the log's base may still hold an older one
        return base
    entry = tables.entry_of(row)
    return tables.members_of(entry)


def _empty(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))
