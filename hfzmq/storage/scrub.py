"""The slow look at everything, while the daemon runs: rot is found before a row is shown, sent on, or needed.

Touches the disk, reading only, on a connection of its own, for the thread that answers queries: it never makes the
writer wait, and reads what a reader would. Must not know: what happens when something is found (the caller has
``Store.distrust``). Keeps: each step is one short read transaction over a bounded number of rows and bytes; what
another thread writes, cuts or exchanges between two steps is never taken for damage.

    small rows --> sessions --> beds --> keys --> log --> for each table: rows, and that the indexes find them -->
        ^                                                              indexes, and that their rows exist --.
        `------------------------------------- one more pass -----------------------------------------------'
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import apsw

from hfzmq.core.types import Place, chained
from hfzmq.errors import DiskFailed
from hfzmq.storage import access_book, alarm_rows, exchange, tables
from hfzmq.storage.checksums import Damaged
from hfzmq.storage.numbered import TABLES, Index, Numbered

ROWS_A_STEP = 200  # about 2 ms
BYTES_A_STEP = 256 << 10  # of the log, whose rows may be large: about 2 ms, too
BUSY_MS = 20

_SESSIONS = (
    "SELECT client, epoch, seq, digest, term, idx, crc FROM sessions WHERE (client, epoch) > (?, ?) "
    "ORDER BY client, epoch LIMIT ?"
)
_BEDS = "SELECT * FROM alarm_beds WHERE patient_id > ? ORDER BY patient_id LIMIT ?"


def _not_indexed(table: Numbered, index: Index) -> str:
    """SQL for a row between two ids that the index does not have."""
    key = table.id_column
    equal = " AND ".join(f"other.{column} = one.{column}" for column in (*index.columns, key))
    return (
        f"SELECT {key} FROM {table.table} AS one WHERE {key} > ? AND {key} <= ? AND {index.where} AND NOT EXISTS ("
        f"SELECT 1 FROM {table.table} AS other INDEXED BY {index.name} WHERE {equal} AND {index.where}) LIMIT 1"
    )


def _indexed(table: Numbered, index: Index, condition: str) -> str:
    """SQL for the index's entries, in its order, at most so many."""
    columns = ", ".join((*index.columns, table.id_column))
    return (
        f"SELECT {columns} FROM {table.table} INDEXED BY {index.name} WHERE {index.where} AND {condition} "
        f"ORDER BY {columns} LIMIT ?"
    )


def _after(table: Numbered, index: Index, entry: tuple[Any, ...]) -> list[tuple[str, tuple[Any, ...]]]:
    """The entries that come after one: first those of the same columns, for SQLite finds no place between them by all
    of it at once."""
    if not entry:
        return [(_indexed(table, index, "TRUE"), ())]
    same = " AND ".join(f"{column} = ?" for column in index.columns)
    columns, marks = ", ".join(index.columns), ", ".join("?" * len(index.columns))
    return [
        (_indexed(table, index, f"{same} AND {table.id_column} > ?"), entry),
        (_indexed(table, index, f"({columns}) > ({marks})"), entry[:-1]),
    ]


class Scrubber:
    """Looks through the file at ``path``, pass after pass; for one thread at a time. ``passes``: how many are done."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.passes = 0
        self._connection: apsw.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._parts: tuple[Callable[[apsw.Connection, int], bool], ...] = (
            self._small_rows,
            self._sessions,
            self._beds,
            self._keys,
            self._log,
            *(part for table in TABLES for part in self._parts_of(table)),
        )
        self._begin()

    def step(self, rows_max: int = ROWS_A_STEP) -> str | None:
        """Look at ``rows_max`` rows more; what is damaged, None when nothing is. DiskFailed: they cannot be read."""
        try:
            connection = self._opened()
            if self._at == 0:  # each pass reads the file, not what the one before has left in memory
                connection.execute("PRAGMA shrink_memory").fetchall()
            connection.execute("BEGIN")
            try:
                done = self._parts[self._at](connection, rows_max)
            finally:
                connection.execute("COMMIT")
        except apsw.BusyError:
            return None  # another time
        except (Damaged, apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError) as damage:
            return None if self._is_replaced() else f"damaged: {damage}"
        except (apsw.Error, OSError) as error:
            if self._is_replaced():
                return None
            raise DiskFailed(f"{self.path}: cannot be read: {error}", hint="look at the disk") from error
        if done:
            self._at += 1
            if self._at == len(self._parts):
                self.passes += 1
                self._begin()
        return None

    def close(self) -> None:
        """Let the file go. Twice is harmless."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _begin(self) -> None:
        self._at = 0
        self._session: tuple[str, bytes] = ("", b"")
        self._bed = self._key = ""
        self._place: Place | None = None
        self._row = 0
        self._entry: tuple[Any, ...] = ()  # of an index

    def _opened(self) -> apsw.Connection:
        if self._connection is None or self._is_replaced():
            self.close()
            self._begin()
            with exchange.OPENING:
                self._file = exchange.file_number(self.path)
                self._connection = apsw.Connection(str(self.path.absolute()), flags=apsw.SQLITE_OPEN_READONLY)
                self._connection.set_busy_timeout(BUSY_MS)
                self._connection.execute("SELECT count(*) FROM meta").fetchall()  # its files are open from here on
        return self._connection

    def _is_replaced(self) -> bool:
        return exchange.file_number(self.path) != self._file

    def _parts_of(self, table: Numbered) -> Iterator[Callable[[apsw.Connection, int], bool]]:
        yield partial(self._rows, table)
        for index in table.indexes:
            yield partial(self._index, table, index)

    # ---------------------------------------------------------------------------- parts: True when one is at its end

    def _small_rows(self, connection: apsw.Connection, rows_max: int) -> bool:
        small: tuple[tuple[str, str, Callable[[Any], object]], ...] = (
            ("meta", tables.SELECT_META, tables.meta_of),
            ("hard_state", tables.SELECT_HARD_STATE, tables.hard_state_of),
            ("log_base", tables.SELECT_LOG_BASE, tables.log_base_of),
            ("membership", tables.SELECT_MEMBERSHIP, tables.membership_of),
            ("applied", tables.SELECT_APPLIED, tables.applied_of),
            ("alarm_rules", alarm_rows.SELECT_RULES, alarm_rows.rules_of),
        )
        for table, select, value_of in small:
            _checked(f"table {table}", lambda: value_of(connection.execute(select).fetchone()))  # noqa: B023
        return True

    def _sessions(self, connection: apsw.Connection, rows_max: int) -> bool:
        rows = connection.execute(_SESSIONS, (*self._session, rows_max)).fetchall()
        for row in rows:
            self._session, _ = _checked("table sessions", lambda: tables.session_of(row))  # noqa: B023
        return len(rows) < rows_max

    def _beds(self, connection: apsw.Connection, rows_max: int) -> bool:
        rows = connection.execute(_BEDS, (self._bed, rows_max)).fetchall()
        for row in rows:
            self._bed = _checked("table alarm_beds", lambda: alarm_rows.bed_of(row)).patient_id  # noqa: B023
        return len(rows) < rows_max

    def _keys(self, connection: apsw.Connection, rows_max: int) -> bool:
        rows = connection.execute(access_book.SELECT_KEYS_AFTER, (self._key, rows_max)).fetchall()
        for row in rows:
            self._key = _checked("table access_keys", lambda: access_book.key_of(row)).key  # noqa: B023
        return len(rows) < rows_max

    def _log(self, connection: apsw.Connection, rows_max: int) -> bool:
        base = tables.log_base_of(connection.execute(tables.SELECT_LOG_BASE).fetchone())
        before = self._place
        if before is None or before.index <= base.index or not _stands(connection, before):
            before = base  # where the log is cut by now; or what stood there was dropped
        count = size = 0
        for row in connection.execute(f"{tables.SELECT_LOG} LIMIT ?", (before.index, rows_max)):
            index = before.index + 1
            entry = _checked(f"log entry {index}", lambda: tables.entry_of(row))  # noqa: B023
            if entry.index != index:
                raise Damaged(f"log entry {index}: missing, after {before.index} comes {entry.index}")
            if chained(before, entry.term, entry.kind, entry.origin, entry.body).chain != entry.chain:
                raise Damaged(f"log entry {index}: does not follow from the entry before")
            before = Place(entry.index, entry.term, entry.chain)
            count += 1
            size += len(entry.body)
            if size >= BYTES_A_STEP:
                break
        self._place = before
        return count < rows_max and size < BYTES_A_STEP

    def _rows(self, table: Numbered, connection: apsw.Connection, rows_max: int) -> bool:
        stored = table.count(tables.applied_of(connection.execute(tables.SELECT_APPLIED).fetchone()))
        first = self._row
        for row in connection.execute(table.select, (first, rows_max)):
            number = self._row + 1
            _checked(f"{table.noun} {number}", lambda: table.check(row, number))  # noqa: B023
            self._row = number
        for index in table.indexes:
            lost = connection.execute(_not_indexed(table, index), (first, self._row)).get
            if lost is not None:
                raise Damaged(f"{table.noun} {lost}: not in the index by {index.by}")
        at_end = self._row - first < rows_max
        if self._row > stored or (at_end and self._row != stored):
            raise Damaged(f"table {table.table}: {stored} were applied, {self._row} are there")
        if at_end:
            self._row = 0  # where the next table's rows begin
        return at_end

    def _index(self, table: Numbered, index: Index, connection: apsw.Connection, rows_max: int) -> bool:
        key, columns = table.id_column, ", ".join(index.columns)
        whole = f"SELECT {columns} FROM {table.table} NOT INDEXED WHERE {key} = ? AND {index.where}"
        entries: list[Any] = []
        for select, after in _after(table, index, self._entry):
            if len(entries) < rows_max:
                entries += connection.execute(select, (*after, rows_max - len(entries))).fetchall()
        for *values, number in entries:
            if connection.execute(whole, (number,)).fetchone() != tuple(values):
                raise Damaged(f"{table.noun} {number}: the index by {index.by} has it under another one")
            self._entry = (*values, number)
        at_end = len(entries) < rows_max
        if at_end:
            self._entry = ()
        return at_end


def _stands(connection: apsw.Connection, place: Place) -> bool:
    row = connection.execute(tables.SELECT_PLACE, (place.index,)).fetchone()
    return row == (place.index, place.term, place.chain)


def _checked(where: str, look: Callable[[], Any]) -> Any:
    try:
        return look()
    except (Damaged, UnicodeDecodeError) as damage:
        raise Damaged(f"{where}: {damage}") from None
