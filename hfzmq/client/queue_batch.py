"""What a client's queue sends next: the rows that wait, checked one by one; the batch in flight, as it was.

Touches the database that it is handed, reading only. Must not know: who writes. Keeps: no row goes into a batch whose
checksum does not match its bytes; a batch in flight comes back with the bytes that may have been sent, or not at all.

    rows:      [rotten, rotten] [sound, sound, sound] [rotten] sound ...
                to be buried     the next batch        ends it
    in flight: its own copy of the rows fits its digest -> that;  else the rows that wait fit it -> these;  else: lost
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import apsw

from hfzmq.client.queue_sums import are, is_row, meta_is_sound, sum_of
from hfzmq.client.queue_types import Batch
from hfzmq.errors import WireError
from hfzmq.wire.requests import digest
from hfzmq.wire.rows import count_rows, join_rows

_HEAD_BYTES = 5  # of a packed array, at most
_SELECT_ROWS = "SELECT id, row, crc FROM rows ORDER BY id LIMIT ?"


class Damaged(Exception):
    """Something is not what was written, and it is no row that could be put aside; says what."""


class Lost(Exception):
    """The batch in flight under ``seq`` is not what it was, and cannot be made up from the rows that wait."""

    def __init__(self, seq: int) -> None:
        super().__init__(seq)
        self.seq = seq


class Oldest(NamedTuple):
    """``rotten``: (id, what stands there as the row) of those that stand before the sound ones; ``batch``: of these, as
    many as are to be sent together, None where there is none."""

    rotten: list[tuple[int, object]]
    batch: Batch | None


def oldest(db: apsw.Connection, rows_max: int, bytes_max: int) -> Oldest:
    """The next batch: at most ``rows_max`` rows and ``bytes_max`` packed bytes (but one row at least)."""
    epoch, seq, alone_until = _session(db)
    rotten: list[tuple[int, object]] = []
    packed: list[bytes] = []
    size, last_id = _HEAD_BYTES, 0
    for row_id, row, told in cast(Iterable[Any], db.execute(_SELECT_ROWS, (rows_max,))):
        if row_id <= last_id:
            raise Damaged("its rows are not in their order")
        if not is_row(row_id, row, told):
            if packed:
                break
            rotten.append((row_id, row))
            last_id = row_id
            continue
        size += len(row)
        if packed and (size > bytes_max or last_id <= alone_until):
            break
        packed.append(row)
        last_id = row_id
    if not packed:
        return Oldest(rotten, None)
    rows = join_rows(packed)
    return Oldest(rotten, Batch(epoch, seq, digest(rows), rows, len(packed), last_id))


def batch_sum(seq: int, batch_digest: bytes, count: int, last_id: int) -> int:
    """The checksum of a batch on the disk, beside its rows, which are covered by the digest."""
    return sum_of(seq, batch_digest, count, last_id)


def in_flight(db: apsw.Connection) -> Batch | None:
    """The batch that is under way, None when there is none. Lost: which bytes were sent cannot be told any more."""
    found: list[Any] = db.execute("SELECT seq, digest, rows, count, last_id, crc FROM in_flight").fetchall()
    if not found:
        return None
    epoch, due, _ = _session(db)
    seq, told_digest, rows, count, last_id, told = found[0]
    if are(told, seq, told_digest, count, last_id) and type(rows) is bytes and digest(rows) == told_digest:
        return Batch(epoch, seq, told_digest, rows, count, last_id)
    for number in {count, _promised(rows)}:
        again = _waiting(db, number) if type(number) is int and number > 0 else None
        if again is not None and (digest(again[0]) == told_digest or again[0] == rows):
            return Batch(epoch, due, digest(again[0]), again[0], number, again[1])
    raise Lost(due)


def refused_whole(db: apsw.Connection, seq: int) -> tuple[Any, ...] | None:
    """(digest, rows, count, last_id, crc) of the batch that was refused whole under ``seq`` and not tried again since;
    None: there is none, or it is not what it was."""
    found: list[Any] = db.execute(
        "SELECT digest, rows, count, last_id, crc FROM refused_whole WHERE seq = ? AND tried = 0", (seq,)
    ).fetchall()
    if not found:
        return None
    told_digest, rows, count, last_id, told = found[0]
    sound = are(told, seq, told_digest, count, last_id) and type(rows) is bytes and digest(rows) == told_digest
    return tuple(found[0]) if sound else None


def _session(db: apsw.Connection) -> tuple[bytes, int, int]:
    """(epoch, next seq, up to which row each is sent alone)."""
    if not meta_is_sound(db):
        raise Damaged("its row of 'meta' is not what was written")
    found: list[Any] = db.execute("SELECT epoch, next_seq, alone_until FROM meta").fetchall()
    epoch, seq, alone_until = found[0]
    return epoch, seq, alone_until


def _waiting(db: apsw.Connection, number: int) -> tuple[bytes, int] | None:
    """The ``number`` oldest rows as one array, and the id of the last; None: there are not so many that are sound."""
    found: list[Any] = db.execute(_SELECT_ROWS, (number,)).fetchall()
    if len(found) != number or not all(is_row(*one) for one in found):
        return None
    return join_rows([row for _, row, _ in found]), found[-1][0]


def _promised(rows: object) -> int:
    """How many rows a batch says that it has."""
    try:
        return count_rows(rows) if isinstance(rows, bytes) else 0
    except WireError:
        return 0
