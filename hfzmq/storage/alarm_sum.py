"""Two numbers over the rows of alarms and keys that change, kept while they do: for the hash of the peer's state.

Touches the tables, inside the transaction of its caller. Must not know: what an alarm means. Keeps: each number follows
from the rows as they are, not from how often or in which order they were written; so it is equal on peers that applied
the same entries, however many at once. It takes in each row by its checksum. ``kept`` is also counted anew at a
start, so that a page of those tables that is as it was before, each row of it sound, is found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import apsw

from hfzmq.storage.checksums import Row

SUM_END = 1 << 63  # SQLite's integers have a sign
TOKEN_BYTES = 8

KEPT = (
    ("alarm_beds", "patient_id"),
    ("alarm_episodes", "id"),
    ("alarm_rules", "id"),
    ("access_keys", "key"),
)  # (table, its key)
_MARKED = (
    ("risk_reports", "SELECT id, crc FROM risk_reports WHERE alert_sent <> 0"),
    ("heartbeat_alerts", "SELECT alert_id, crc FROM heartbeat_alerts WHERE resolved_flag <> 0"),
)


def row_token(table: str, key: object, crc: int) -> int:
    """What one row adds."""
    return int.from_bytes(hashlib.blake2b(f"{table}\0{key}\0{crc}".encode(), digest_size=TOKEN_BYTES).digest(), "big")


def kept_of(connection: apsw.Connection) -> int:
    """``kept`` as the tables have it. apsw.Error."""
    rows = (
        (table, key, crc)
        for table, column in KEPT
        for key, crc in connection.execute(f"SELECT {column}, crc FROM {table}")
    )
    return sum(row_token(*row) for row in rows) % SUM_END


def marked_of(connection: apsw.Connection) -> int:
    """``marked`` as the tables have it. apsw.Error."""
    return sum(row_token(table, *row) for table, select in _MARKED for row in connection.execute(select)) % SUM_END


def without(kept: int, table: str, rows: Sequence[Row]) -> int:
    """``kept`` once these ``rows`` of a table, each with its key first and its checksum last, are gone."""
    return (kept - sum(row_token(table, row[0], row[-1]) for row in rows)) % SUM_END


class AlarmSum:
    """From 0 to SUM_END - 1: ``kept``, over the tables of KEPT; ``marked``, over the reports that raised an alarm and
    the alerts that are resolved. For one transaction."""

    def __init__(self, connection: apsw.Connection, kept: int, marked: int) -> None:
        self.kept, self.marked = kept, marked
        self._connection = connection

    def replace(
        self, table: str, key_column: str, statement: str, rows: Sequence[Row], tokens: dict[Any, int] | None = None
    ) -> None:
        """Write ``rows``, each with another key (its first value; ``statement`` inserts or replaces), in the place of
        those that are there under these keys. ``tokens``, if given: what rows of this table added when they were last
        written, by their keys; it is looked at before the table is, and kept up to date."""
        if not rows:
            return
        tokens = {} if tokens is None else tokens
        total = self.kept
        for row in rows:
            key = row[0]
            before = tokens.get(key)
            if before is None:
                before = self._stored(table, key_column, key)
            tokens[key] = token = row_token(table, key, row[-1])
            total += token - before
        self.kept = total % SUM_END
        self._connection.executemany(statement, rows)

    def _stored(self, table: str, key_column: str, key: object) -> int:
        crc = self._connection.execute(f"SELECT crc FROM {table} WHERE {key_column} = ?", (key,)).get
        return 0 if crc is None else row_token(table, key, crc)

    def mark(self, table: str, key: object, crc: int) -> None:
        """A row is counted from now on."""
        self.marked = (self.marked + row_token(table, key, crc)) % SUM_END
