"""What a peer remembers, read back at its start and checked row by row.

Touches the disk, reading only. Must not know: what the entries mean. Keeps: what is returned is exactly what was
written, checksum and chain of each entry verified; one wrong row condemns the whole file (Damaged), for a peer that
forgot or misremembers must not vote or count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import apsw

from hfzmq.core.log import Log
from hfzmq.core.membership import Membership
from hfzmq.core.sessions import Session, SessionKey
from hfzmq.core.types import Entry, HardState, Place, chained
from hfzmq.storage import alarm_sum, tables
from hfzmq.storage.alarm_book import AlarmBook
from hfzmq.storage.checksums import Damaged, Row
from hfzmq.storage.numbered import ALERTS, REPORTS, TABLES, Numbered
from hfzmq.storage.tables import AlarmCounts, AppliedState, SessionSum

ROWS_AT_START = 20_000  # of a table; takes about 0.1 s; the scrub checks more


class Recovered(NamedTuple):
    """What the core is built from. ``applied`` is an index; ``state_hash`` is the tables' hash there, 16 bytes;
    ``membership`` is the one at the log's base, later ones stand in the log."""

    hard_state: HardState
    log: Log
    sessions: dict[SessionKey, Session]
    applied: int
    state_hash: bytes
    membership: Membership


class Cursor(NamedTuple):
    """What only the store needs to go on writing: the probe counter, how far the tables are, the sum of the sessions,
    the root, and the alarms."""

    probe: int
    applied: AppliedState
    sessions: SessionSum
    root: int
    alarms: AlarmBook


def recover(connection: apsw.Connection, rows_max: int | None = ROWS_AT_START) -> tuple[Recovered, Cursor]:
    """Read everything; Damaged names the table or log entry. The rows of a table (reports, readings, alerts) are read
    where they are ``rows_max`` at most (None: always)."""
    reading = _Reading(connection)
    meta = reading.one(tables.SELECT_META, tables.meta_of, "meta")
    hard_state, probe, owned = reading.one(tables.SELECT_HARD_STATE, tables.hard_state_of, "hard_state")
    base = reading.one(tables.SELECT_LOG_BASE, tables.log_base_of, "log_base")
    membership = reading.one(tables.SELECT_MEMBERSHIP, tables.membership_of, "membership")
    applied = reading.one(tables.SELECT_APPLIED, tables.applied_of, "applied")
    log = Log(reading.entries(base), base)
    reading.check_applied(applied.place, log)
    sessions = reading.sessions(applied.place.index)
    sums = SessionSum(sessions)
    for table in TABLES:
        reading.check_rows(table, table.count(applied), rows_max)
    root = tables.root_of(applied, tables.cut_crc(base, membership), log.last, sums)
    if owned != tables.owned(root, meta.incarnation):
        raise Damaged("the tables are not those of one transaction")
    alarms = reading.alarms(applied.alarms)
    if rows_max is None or max(table.count(applied) for table in (REPORTS, ALERTS)) <= rows_max:
        reading.check_marked(applied.alarms.marked)
    recovered = Recovered(hard_state, log, sessions, applied.place.index, applied.state_hash, membership)
    return recovered, Cursor(probe, applied, sums, root, alarms)


Value = TypeVar("Value")

# What SQLite or a row says when bytes under it have changed; an error of the device itself is another matter.
_ROTTEN = (Damaged, apsw.CorruptError, UnicodeDecodeError)


class _Reading:
    """Reads one file, and says where it is damaged."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def one(self, select: str, value_of: Callable[[Row | None], Value], table: str) -> Value:
        """The only row of a table."""
        try:
            return value_of(self._connection.execute(select).fetchone())
        except _ROTTEN as cause:
            raise self._damaged(f"table {table}", cause) from None

    def entries(self, base: Place) -> list[Entry]:
        """The log after ``base``, each entry following from the one before."""
        found: list[Entry] = []
        before = base
        rows = self._connection.execute(tables.SELECT_LOG, (base.index,))
        while True:
            index = before.index + 1
            try:
                row = rows.fetchone()
                if row is None:
                    return found
                entry = tables.entry_of(row)
            except _ROTTEN as cause:
                raise self._damaged(f"log entry {index}", cause) from None
            if entry.index != index:
                raise self._damaged(f"log entry {index}", f"missing, after {before.index} comes {entry.index}")
            if chained(before, entry.term, entry.kind, entry.origin, entry.body).chain != entry.chain:
                raise self._damaged(f"log entry {index}", "does not follow from the entry before")
            found.append(entry)
            before = Place(entry.index, entry.term, entry.chain)

    def check_applied(self, place: Place, log: Log) -> None:
        """What was applied must stand in the log."""
        if not log.base.index <= place.index <= log.last.index:
            raise self._damaged(f"log entry {place.index}", f"applied, but the log ends with {log.last.index}")
        if log.place_at(place.index) != place:
            raise self._damaged(f"log entry {place.index}", "another one was applied")

    def sessions(self, applied: int) -> dict[SessionKey, Session]:
        """Every session; none of them may be ahead of what is applied."""
        found: dict[SessionKey, Session] = {}
        rows = self._connection.execute(tables.SELECT_SESSIONS)
        while True:
            try:
                row = rows.fetchone()
                if row is None:
                    return found
                key, session = tables.session_of(row)
                if session.index > applied:
                    raise Damaged(f"knows entry {session.index}, only {applied} are applied")
            except _ROTTEN as cause:
                raise self._damaged(f"table sessions, row {len(found) + 1}", cause) from None
            found[key] = session

    def alarms(self, counts: AlarmCounts) -> AlarmBook:
        """Beds, episodes and rules."""
        try:
            return AlarmBook.load(self._connection, counts)
        except (*_ROTTEN, ValueError, KeyError) as cause:  # KeyError: an episode of a bed that is not there
            raise self._damaged("the tables of alarms", cause) from None

    def check_rows(self, table: Numbered, count: int, rows_max: int | None) -> None:
        """The rows end where the applied state says; each of them is checked where they are few."""
        try:
            last = self._connection.execute(f"SELECT max({table.id_column}) FROM {table.table}").get or 0
            if last != count:
                raise Damaged(f"the last one is {last}, {count} were applied")
            if rows_max is None or count <= rows_max:
                number = 0
                for number, row in enumerate(self._connection.execute(table.select, (0, count)), 1):
                    table.check(row, number)
                if number != count:
                    raise Damaged(f"{count} were applied, {number} are there")
        except _ROTTEN as cause:
            raise self._damaged(f"table {table.table}", cause) from None

    def check_marked(self, marked: int) -> None:
        """A report is marked after it was written, when a timer raises its alarm; an alert is resolved even later: a
        page of them that is as it was before has sound rows, and their right number."""
        if alarm_sum.marked_of(self._connection) != marked:
            raise self._damaged("alarms, marked", "they are not those of one transaction")

    @staticmethod
    def _damaged(place: str, cause: object) -> Damaged:
        return Damaged(f"{place}: {cause}")
