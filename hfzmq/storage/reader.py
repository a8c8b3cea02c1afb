"""Reading a peer's file: beside the daemon that writes it, or offline from a copy.

Touches the disk, reading only. Must not know: who asks, how rows are shown. Keeps: each answer is one short read
transaction, so that a reader never holds the checkpoint up; a file that another has taken the place of is never read
again; what cannot be read whole and current is refused, never shown in part: a copy without its WAL's rows would be a
stale picture that looks live.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw

from hfzmq.clinical.alarm.rules import AlarmRules
from hfzmq.clinical.alarm.types import NORMAL, STATES
from hfzmq.errors import DataDirError, InvalidInput, NotFound
from hfzmq.plain_file import NoPlainFile, refuse_special
from hfzmq.storage import alarm_rows, exchange
from hfzmq.storage.board import Board
from hfzmq.storage.checksums import Damaged
from hfzmq.storage.directory import may
from hfzmq.storage.pages import Wanted, page_query
from hfzmq.storage.tables import APPLICATION_ID, SCHEMA_VERSION, SELECT_APPLIED, applied_of
from hfzmq.wire.pages import OPEN

BUSY_MS = 1000  # while another process recovers the WAL
TRIES = 5  # at a file that is replaced again and again

FileNumber = tuple[int, int]

OPEN_STATES = tuple(state for state in STATES if state != NORMAL)


class Replaced(DataDirError):
    """Another file took the place of this one while it was read: ask again."""


class Reader:
    """A read-only view of ``path``; for one thread at a time.

    ``fields``: the columns of ``risk_reports``, in order, without its checksum; ``reading_fields`` and ``alert_fields``
    likewise of ``heartbeats`` and ``heartbeat_alerts``, ``alarm_fields`` and ``event_fields`` of ``alarm_episodes`` and
    ``alarm_events``. ``board``: what is shown of each patient; to be asked in a ``snapshot``.

    NotFound: no such file. InvalidInput('db', ...): not a file of hfzmq, or of a newer or older one. DataDirError: it
    is one and cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._in_snapshot = False
        self.board = Board(self._rows, self._last_ids)
        self._connection, self._file = self._opened()
        self.fields = self._columns("risk_reports")
        self.reading_fields = self._columns("heartbeats")
        self.alert_fields = self._columns("heartbeat_alerts")
        self.alarm_fields = self._columns("alarm_episodes")
        self.event_fields = self._columns("alarm_events")

    def reports(
        self,
        after_id: int | None = 0,
        before_id: int | None = None,
        limit: int = 100,
        patient: str | None = None,
        tier: str | None = None,
    ) -> list[tuple[Any, ...]]:
        """Rows in the order of ``fields``: with an id above ``after_id``, rising; or, when ``before_id`` is given, with
        one below it, falling (0: from the newest). At most ``limit``, at least 1; of one patient, of one tier."""
        equal = (("patient_id", patient), ("tier", tier))
        return self._page("risk_reports", self.fields, after_id, before_id, limit, equal)

    def readings(
        self,
        after_id: int | None = 0,
        before_id: int | None = None,
        limit: int = 100,
        patient: str | None = None,
        status: str | None = None,
    ) -> list[tuple[Any, ...]]:
        """Rows of ``heartbeats`` in the order of ``reading_fields``, as ``reports``; of one validation status."""
        equal = (("patient_id", patient), ("validation_status", status))
        return self._page("heartbeats", self.reading_fields, after_id, before_id, limit, equal)

    def alerts(
        self,
        after_id: int | None = 0,
        before_id: int | None = None,
        limit: int = 100,
        patient: str | None = None,
        category: str | None = None,
    ) -> list[tuple[Any, ...]]:
        """Rows of ``heartbeat_alerts`` in the order of ``alert_fields``, as ``reports``; of one alert category."""
        equal = (("patient_id", patient), ("alert_category", category))
        return self._page("heartbeat_alerts", self.alert_fields, after_id, before_id, limit, equal)

    def alarms(
        self,
        after_id: int | None = 0,
        before_id: int | None = None,
        limit: int = 100,
        patient: str | None = None,
        state: str | None = None,
    ) -> list[tuple[Any, ...]]:
        """Rows of ``alarm_episodes`` in the order of ``alarm_fields``, as ``reports``; of one state, 'open' for all but
        normal."""
        states: Wanted = OPEN_STATES if state == OPEN else state
        equal = [("patient_id", patient), ("state", states)]
        if state not in (None, NORMAL):
            equal.reverse()  # few alarms are not over; of one patient there may be many that are
        return self._page("alarm_episodes", self.alarm_fields, after_id, before_id, limit, equal)

    def alarm_events(
        self, after_id: int | None = 0, before_id: int | None = None, limit: int = 100, episode: int | None = None
    ) -> list[tuple[Any, ...]]:
        """Rows of ``alarm_events`` in the order of ``event_fields``, as ``reports``; of one episode."""
        equal = (("episode_id", episode),)
        return self._page("alarm_events", self.event_fields, after_id, before_id, limit, equal)

    def heard_since(self, since_ms: int) -> list[str]:
        """The beds that something believable came from since then, by the log's clock; Unix ms."""
        return [row[0] for row in self._rows("SELECT patient_id FROM alarm_beds WHERE last_at_ms >= ?", (since_ms,))]

    def rules(self) -> AlarmRules:
        """The rules of alarms in force."""
        try:
            return alarm_rows.rules_of(next(iter(self._rows(alarm_rows.SELECT_RULES)), None))
        except (Damaged, ValueError) as error:
            raise self._unreadable(error) from None

    def log_clock_ms(self) -> int:
        """The latest stamp of a leader; 0: none yet."""
        return int(self._rows("SELECT now_ms FROM applied")[0][0])

    def applied(self) -> int:
        """The index of the last log entry in the tables."""
        return int(self._rows("SELECT idx FROM applied")[0][0])

    def count(self) -> int:
        """How many reports are stored."""
        return int(self._rows("SELECT coalesce(max(id), 0) FROM risk_reports")[0][0])  # ids have no holes

    def _last_ids(self) -> tuple[int, int]:
        """Of the last report and the last reading, as applying has counted them."""
        try:
            state = applied_of(next(iter(self._rows(SELECT_APPLIED)), None))
        except (Damaged, ValueError) as error:
            raise self._unreadable(error) from None
        return state.next_id - 1, state.verdicts.readings

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read inside is of one moment: the rows belong to the applied index. Keep it short. DataDirError
        at its end when another file took the place of this one meanwhile: ask again."""
        self._follow()
        self._run("BEGIN")
        self._in_snapshot = True
        try:
            yield
        finally:
            self._in_snapshot = False
            self._run("COMMIT")
        if self._is_replaced():
            raise self._replaced()

    def close(self) -> None:
        """Let the file go. Twice is harmless."""
        self._connection.close()

    # ---------------------------------------------------------------------------------------------------------- opening

    def _opened(self) -> tuple[apsw.Connection, FileNumber]:
        """A connection, and which file it is to; the file had that name before and after it was opened."""
        for _ in range(TRIES):
            with exchange.OPENING:
                _check_path(self.path)
                before = exchange.file_number(self.path)
                connection = self._open()
                if before is not None and before == exchange.file_number(self.path):
                    return connection, before
            connection.close()
        raise self._replaced()

    def _is_replaced(self) -> bool:
        try:
            return exchange.file_number(self.path) != self._file
        except OSError as error:
            raise DataDirError(f"{self.path}: {error.strerror}", hint="rights to the directory are needed") from None

    def _follow(self) -> None:
        """Go on with the file that has the name now."""
        if self._is_replaced():
            old = self._connection
            self._connection, self._file = self._opened()
            self.board.forget()
            old.close()

    def _replaced(self) -> Replaced:
        return Replaced(f"{self.path}: replaced while it was read", hint="ask again")

    def _open(self) -> apsw.Connection:
        name = str(self.path.absolute())
        try:
            return self._checked(apsw.Connection(name, flags=apsw.SQLITE_OPEN_READONLY))
        except (apsw.CantOpenError, apsw.ReadOnlyError) as error:
            # A database in WAL mode wants two files beside it. Where they cannot be made and no WAL waits, nobody
            # writes here, and the file alone is everything.
            if not may(self.path, os.R_OK):
                raise DataDirError(
                    f"{self.path}: permission denied", hint="read rights to the file are needed"
                ) from None
            if _has_wal(self.path):
                raise DataDirError(
                    f"{self.path}: its WAL cannot be read here: {error}",
                    hint="copy the .db and the .db-wal file together to a directory that you may write to",
                ) from None
        except apsw.Error as error:
            raise self._unreadable(error) from None
        try:
            flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
            return self._checked(apsw.Connection(f"file:{quote(name)}?immutable=1", flags=flags))
        except apsw.Error as error:
            raise self._unreadable(error) from None

    def _checked(self, connection: apsw.Connection) -> apsw.Connection:
        try:
            connection.set_busy_timeout(BUSY_MS)
            if connection.execute("PRAGMA application_id").get != APPLICATION_ID:
                raise InvalidInput("db", "a database of hfzmq", got=str(self.path), hint=_HINT)
            version = connection.execute("SELECT schema_version FROM meta").get
            if version != SCHEMA_VERSION:
                hint = "install the hfzmq that wrote it (hfzmq --version on that machine)"
                raise InvalidInput("db", f"schema version {SCHEMA_VERSION}", got=version, hint=hint)
        except BaseException:
            connection.close()
            raise
        return connection

    def _columns(self, table: str) -> tuple[str, ...]:
        names = (row[0] for row in self._rows(f"SELECT name FROM pragma_table_info('{table}') ORDER BY cid"))
        return tuple(name for name in names if name != "crc")

    def _page(
        self,
        table: str,
        fields: tuple[str, ...],
        after_id: int | None,
        before_id: int | None,
        limit: int,
        equal: Sequence[tuple[str, Wanted]],
    ) -> list[tuple[Any, ...]]:
        if limit < 1:
            raise InvalidInput("limit", "at least 1", got=limit)
        return self._rows(*page_query(table, fields, after_id, before_id, limit, equal))

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        if self._in_snapshot:
            return self._run(query, values)
        for _ in range(TRIES):
            self._follow()
            try:
                rows = self._run(query, values)
            except DataDirError:
                if not self._is_replaced():
                    raise
            else:
                if not self._is_replaced():
                    return rows
        raise self._replaced()

    def _run(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(query, values).fetchall()
        except (OverflowError, UnicodeEncodeError) as error:
            raise InvalidInput("reports", "numbers below 2**63 and plain text", got=str(error)) from None
        except (apsw.Error, UnicodeDecodeError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> InvalidInput | DataDirError:
        if isinstance(error, apsw.NotADBError):
            return InvalidInput("db", "a database of hfzmq", got=str(self.path), hint=_HINT)
        return DataDirError(
            f"{self.path}: cannot be read: {error}",
            hint="damaged, or not copied whole? copies are made by: hfzmq backup --db FILE --to FILE",
        )


_HINT = "the file of a peer: DIR/hfzmq_<id>.db"


def _check_path(path: Path) -> None:
    try:
        if path.is_dir():
            raise InvalidInput("db", "a file, not a directory", got=str(path), hint=_HINT)
        if not path.exists():
            raise NotFound(f"{path}: no such file", hint=f"{_HINT}; which there are: ls {path.parent}")
        refuse_special(path)
    except NoPlainFile as error:
        raise InvalidInput("db", f"a database of hfzmq; {error.strerror}", got=str(path), hint=_HINT) from None
    except PermissionError:
        raise DataDirError(f"{path}: permission denied", hint="rights to the directory are needed") from None


def _has_wal(path: Path) -> bool:
    wal = path.with_name(path.name + "-wal")
    try:
        return wal.stat().st_size > 0
    except FileNotFoundError:
        return False
