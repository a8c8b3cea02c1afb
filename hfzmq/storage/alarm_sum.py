"""One number over all rows that the alarms change, kept while they change: for the hash of the peer's state.

Touches the tables, inside the transaction of its caller. Must not know: what an alarm means. Keeps: the number follows
from the rows as they are, not from how often or in which order they were written; so it is equal on peers that applied
the same entries, however many at once. It takes in each row by its checksum: a row that has changed under a running
peer is noticed when it is next written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import apsw

from hfzmq.storage.tables import Row

SUM_END = 1 << 63  # SQLite's integers have a sign
TOKEN_BYTES = 8


def row_token(table: str, key: object, crc: int) -> int:
    """What one row adds."""
    return int.from_bytes(hashlib.blake2b(f"{table}\0{key}\0{crc}".encode(), digest_size=TOKEN_BYTES).digest(), "big")


class AlarmSum:
    """``value``: the sum, from 0 to SUM_END - 1. For one transaction."""

    def __init__(self, connection: apsw.Connection, value: int) -> None:
        self.value = value
        self._connection = connection

    def replace(self, table: str, key_column: str, statement: str, rows: Sequence[Row]) -> None:
        """Write ``rows``, each with another key (its first value; ``statement`` inserts or replaces), in the place of
        those that are there under these keys."""
        before = f"SELECT crc FROM {table} WHERE {key_column} = ?"
        for row in rows:
            crc = self._connection.execute(before, row[:1]).get
            if crc is not None:
                self._add(-row_token(table, row[0], crc))
            self.add(table, row[0], row[-1])
        if rows:
            self._connection.executemany(statement, rows)

    def add(self, table: str, key: object, crc: int) -> None:
        """A row is counted from now on."""
        self._add(row_token(table, key, crc))

    def _add(self, token: int) -> None:
        self.value = (self.value + token) % SUM_END
