"""What a client's queue keeps beside the rows that wait: dead letters, how far each source was read, the members.

Touches the database that it is handed; whoever calls holds the transaction. Keeps: of a source either the place
that was written is known, or it is said that none is; dead letters and sources are bounded, the oldest go. Which are
the oldest, the order of writing says (rowid), and no clock, which may be set back.
"""

from __future__ import annotations

from typing import Any

import apsw

from hfzmq.client.queue_sums import are, sum_of
from hfzmq.client.queue_types import DeadLetter, Places, Progress
from hfzmq.errors import WireError
from hfzmq.wire.members import Told, recall, remember
from hfzmq.wire.rows import pack_row, unpack_rows

DEAD_LETTERS_MAX = 100_000
SOURCES_MAX = 100_000  # of a queue; a file that is forgotten would be submitted again


def bury(db: apsw.Connection, row: object, field: str, bound: str, hint: str, now_ms: int) -> DeadLetter:
    """Make a row, as it was unpacked, a dead letter."""
    values = list(row) if isinstance(row, list) else [row]
    letter = DeadLetter(0, values, field[:200], bound[:200], hint[:200], now_ms)
    db.execute(
        "INSERT INTO dead_letters(row, field, bound, hint, at_ms) VALUES (?, ?, ?, ?, ?)",
        (pack_row(values), *letter[2:]),
    )
    letter_id = db.last_insert_rowid()
    db.execute("DELETE FROM dead_letters WHERE id <= ?", (letter_id - DEAD_LETTERS_MAX,))
    return letter._replace(id=letter_id)


def dead_letters(db: apsw.Connection, limit: int) -> list[DeadLetter]:
    """The newest first."""
    found: list[Any] = db.execute(
        "SELECT id, row, field, bound, hint, at_ms FROM dead_letters ORDER BY id DESC LIMIT ?", (limit,)
    ).fetchall()
    return [DeadLetter(row_id, values_of(row), *rest) for row_id, row, *rest in found]


def values_of(row: object) -> list[Any]:
    """The values of a packed row; of one that is rotten beyond that, what stands there."""
    try:
        items: object = unpack_rows(b"\x91" + row)[0] if isinstance(row, bytes) else row
    except WireError:
        items = row
    return items if isinstance(items, list) else [items]


def move_sources(db: apsw.Connection, before: Places, after: Places, now_ms: int) -> None:
    """A source was read from one place to the other. Beyond SOURCES_MAX the places written longest ago are forgotten,
    never one of ``after``."""
    db.executemany("DELETE FROM sources WHERE prefix = ?", [(place.prefix,) for place in before])
    db.executemany(
        "INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?, ?)", [(*place, now_ms, sum_of(*place)) for place in after]
    )
    db.execute(
        "DELETE FROM sources WHERE rowid <= (SELECT rowid FROM sources ORDER BY rowid DESC LIMIT 1 OFFSET ?)",
        (max(SOURCES_MAX, len(after)),),
    )


def sources(db: apsw.Connection) -> tuple[list[Progress], bool]:
    """How far each source was read, the longest prefix first; and whether that of another one is not known any more."""
    found: list[Any] = db.execute(
        "SELECT prefix, bytes_read, lines, crc FROM sources ORDER BY bytes_read DESC"
    ).fetchall()
    sound = [Progress(*place) for *place, told in found if are(told, *place)]
    return sound, len(sound) < len(found)


def keep_sources(db: apsw.Connection, known: list[Progress], now_ms: int) -> None:
    """Forget all but these. Each is written anew: what is rotten may stand in the index, too."""
    db.execute("DELETE FROM sources")
    move_sources(db, (), tuple(known), now_ms)


def members(db: apsw.Connection) -> Told | None:
    """The members of the mesh as last remembered."""
    found: list[Any] = db.execute("SELECT told FROM members").fetchall()
    try:
        return recall(found[0][0]) if found else None
    except WireError:  # by a later version, or damaged: the file of peers is still there
        return None


def remember_members(db: apsw.Connection, told: Told) -> None:
    """Keep a newer list, in place of the last."""
    db.execute("INSERT OR REPLACE INTO members VALUES (1, ?)", (remember(told),))
