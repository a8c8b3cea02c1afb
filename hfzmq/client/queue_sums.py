"""Checksums in a client's queue: of each row that waits, and of the few rows that say what comes next.

Touches nothing but the database that it is handed. Keeps: the checksum of a row that waits covers its id too, so that a
row in another one's place is found; NULL stands for a row from before there were checksums, which is believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any
from zlib import crc32

import apsw

from hfzmq.errors import WireError
from hfzmq.wire.rows import pack_row

_SELECT_META = "SELECT client_id, mesh_id, epoch, next_seq, alone_until FROM meta"


def row_sum(row_id: int, row: bytes) -> int:
    """Of a packed row that waits."""
    return crc32(row, row_id)


def summed(packed: Sequence[bytes], first_id: int) -> Iterator[tuple[int, bytes, int]]:
    """(id, row, checksum) of packed rows that wait from ``first_id`` on."""
    return zip(count(first_id), packed, map(crc32, packed, count(first_id)))  # as many as are packed


def is_row(row_id: object, row: object, told: object) -> bool:
    """Whether a row that waits is the one that was put, by the checksum that is ``told`` for it."""
    if type(row_id) is not int or type(row) is not bytes:
        return False
    return told is None or told == row_sum(row_id, row)


def sum_of(*values: object) -> int:
    """Of a row of plain values."""
    return crc32(pack_row(values))


def are(told: object, *values: object) -> bool:
    """Whether these are the values whose checksum is ``told``."""
    try:
        return told is None or told == sum_of(*values)
    except WireError:  # rotten beyond what can be packed
        return False


def seal_meta(db: apsw.Connection) -> None:
    """To be called in each transaction that changes the row of ``meta``."""
    db.execute("UPDATE meta SET crc = ?", (sum_of(*_meta(db)),))


def meta_is_sound(db: apsw.Connection) -> bool:
    """Whether the row of ``meta`` is there, and as it was written."""
    told: list[Any] = db.execute("SELECT crc FROM meta").fetchall()
    return len(told) == 1 and are(told[0][0], *_meta(db))


def _meta(db: apsw.Connection) -> tuple[Any, ...]:
    found: list[Any] = db.execute(_SELECT_META).fetchall()
    return tuple(found[0])
