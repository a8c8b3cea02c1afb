"""The tables of a client's queue: made, and brought up from those of an earlier hfzmq.

Touches the database that it is handed. Keeps: a queue of an earlier hfzmq is changed in one transaction, and no row of
it is touched; an earlier hfzmq refuses a queue that this one has opened, for it would not keep the checksums.
"""

from __future__ import annotations

import os
from typing import Any

import apsw

from hfzmq.client.queue_mark import Mark
from hfzmq.client.queue_sums import meta_is_sound, seal_meta
from hfzmq.client.traffic import REPORTS, Traffic
from hfzmq.wire.requests import EPOCH_BYTES

SCHEMA_VERSION = 3
APPLICATION_ID = 0x68667A71  # 'hfzq'

_SCHEMA = """
CREATE TABLE meta(
    one INTEGER PRIMARY KEY CHECK (one = 1), client_id TEXT NOT NULL, mesh_id BLOB NOT NULL, epoch BLOB NOT NULL,
    next_seq INTEGER NOT NULL, alone_until INTEGER NOT NULL) STRICT;
CREATE TABLE rows(id INTEGER PRIMARY KEY, row BLOB NOT NULL) STRICT;
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

# Under which op the rows go out. Up to version 2 a queue of reports had no such table, and was of version 1.
_OP = "CREATE TABLE IF NOT EXISTS op(one INTEGER PRIMARY KEY CHECK (one = 1), op TEXT NOT NULL) STRICT"

# With version 3 came checksums, and the count of transactions that the mark is held against.
_GUARDED = """
ALTER TABLE meta ADD COLUMN crc INTEGER;
ALTER TABLE rows ADD COLUMN crc INTEGER;
ALTER TABLE in_flight ADD COLUMN crc INTEGER;
ALTER TABLE refused_whole ADD COLUMN crc INTEGER;
ALTER TABLE sources ADD COLUMN crc INTEGER;
CREATE TABLE counted(
    one INTEGER PRIMARY KEY CHECK (one = 1), identity BLOB NOT NULL, last_id INTEGER NOT NULL, writes INTEGER NOT NULL)
    STRICT;
"""

# Came later: made where it is missing.
_LATER = "CREATE TABLE IF NOT EXISTS members(one INTEGER PRIMARY KEY CHECK (one = 1), told BLOB NOT NULL) STRICT"

# How far the queue is. A row that is put says it by its id, so that the way in costs no write more; each other
# transaction is counted, and keeps the last id, for it may have taken that row away.
_COUNTED = """
SELECT identity, max(last_id, coalesce((SELECT max(id) FROM rows), 0)), writes FROM counted
"""
COUNT = "UPDATE counted SET last_id = ?, writes = ?"


_NOBODYS = Mark(b"", 0, 0)


def version_of(db: apsw.Connection) -> int:
    """0: there are no tables yet."""
    version: int = db.execute("PRAGMA user_version").get
    return version


def make(db: apsw.Connection, client_id: str, mesh_id: bytes, traffic: Traffic) -> None:
    """The tables of a new queue, in one transaction."""
    with db:
        db.execute(_SCHEMA)
        db.execute("INSERT INTO meta VALUES (1, ?, ?, ?, 1, 0)", (client_id, mesh_id, os.urandom(EPOCH_BYTES)))
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        _guard(db, traffic.op, 0)


def bring_up(db: apsw.Connection) -> None:
    """What is missing in a queue that an earlier hfzmq has made."""
    if version_of(db) < SCHEMA_VERSION:
        with db:
            _guard(db, op_of(db), db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'rows'").get or 0)
    db.execute(_LATER)


def is_sound(db: apsw.Connection) -> bool:
    """Whether the row that says whose queue it is, and what comes next, is the one that was written."""
    return version_of(db) < SCHEMA_VERSION or meta_is_sound(db)


def op_of(db: apsw.Connection) -> str:
    """Under which op the rows go out."""
    op: str = REPORTS.op if version_of(db) < 2 else db.execute("SELECT op FROM op").get
    return op


def mark_of(db: apsw.Connection) -> Mark | None:
    """What the mark of this queue would say; None: it has no tables. One that was never counted is nobody's."""
    version = version_of(db)
    if version == 0:
        return None
    if version < SCHEMA_VERSION:
        return _NOBODYS
    found: list[Any] = db.execute(_COUNTED).fetchall()
    return Mark(*found[0]) if found else _NOBODYS


def _guard(db: apsw.Connection, op: str, last_id: int) -> None:
    db.execute(_OP)
    db.execute("INSERT OR IGNORE INTO op VALUES (1, ?)", (op,))
    db.execute(_GUARDED)
    db.execute("INSERT INTO counted VALUES (1, ?, ?, 1)", (os.urandom(16), last_id))
    seal_meta(db)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
