"""An open queue file: each transaction counted, synced, and then known to lie where its name says.

Touches ``queue.db``, ``queue.mark`` and the lock. Must not know: what is in the tables.

    write --> change, counted --> commit, one sync --> does the name still lead here? --> mark --> it may be told
                                                        '-- no: DiskFailed

Keeps: what ``write`` has returned for is on synced disk, in a file that the next life of this client will find. What is
written into a file that has lost its name is gone with this process: it must not be promised.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw

from hfzmq.client.queue_mark import Mark, MarkFile
from hfzmq.client.queue_schema import COUNT, mark_of
from hfzmq.errors import DiskFailed
from hfzmq.plain_file import identity_of

_GONE = "deleted, moved or replaced while this client has it open"
ASIDE = "keep the directory for a look; give a new one: --queue DIR"

T = TypeVar("T")


class Connection:
    """See the module. ``db`` is for reading; what is written goes through ``write``. ``last_id``: of the last row that
    was put."""

    def __init__(self, db: apsw.Connection, lock: int, directory: Path, client_id: str) -> None:
        self.db = db
        self.directory = directory
        self.client_id = client_id
        self._lock: int | None = lock
        self._path = Path(os.path.abspath(directory / "queue.db"))  # this process may go to another directory
        self._wal_path = self._path.with_name("queue.db-wal")
        self._file = identity_of(self._path)
        self._wal = identity_of(self._wal_path)
        self.last_id = self._writes = 0
        self._mark = MarkFile(directory, self._far())

    def write(self, change: Callable[[], T], put: int = 0) -> T:
        """Run ``change``, which puts so many rows with the ids behind ``last_id``, as one transaction, synced when this
        returns; all of it or nothing. DiskFailed: nothing of it is promised. Once broken off, see ``look_anew``."""
        try:
            last_id, writes = self.last_id + put, self._writes if put else self._writes + 1
            with self.db:
                result = change()
                if not put:
                    self.db.execute(COUNT, (last_id, writes))
            self.last_id, self._writes = last_id, writes
            if identity_of(self._path) != self._file:
                raise self._gone()
        except (apsw.Error, OSError) as error:
            raise DiskFailed(
                f"the queue in {self.directory} did not take a write: {error}",
                hint="what was accepted before is safe; free some space or check the disk, then start again",
            ) from None
        self._mark.note(last_id, writes)
        return result

    def read(self, question: Callable[[], T]) -> T:
        """What ``question`` finds; DiskFailed: it cannot be read."""
        try:
            return question()
        except (apsw.Error, OSError, UnicodeDecodeError) as error:
            raise DiskFailed(f"the queue in {self.directory} cannot be read: {error}", hint=ASIDE) from None

    def look_anew(self) -> None:
        """To be called after a ``write`` that was broken off: perhaps behind its commit. DiskFailed as ``read``."""
        self.read(self._far)

    def damaged(self, what: str) -> DiskFailed:
        """The error that says what was found damaged while the queue is open."""
        return DiskFailed(f"the queue in {self.directory} is damaged: {what}", hint=ASIDE)

    def check(self) -> None:
        """DiskFailed when another file stands where this one was opened, or none. Nothing once it is closed.

        The WAL is looked at here alone: whoever looks at a file's times makes its next write a slow one (Linux 6.13).
        """
        if self._lock is None:
            return
        try:
            if identity_of(self._path) != self._file:
                raise self._gone()
            if identity_of(self._wal_path) != self._wal:
                raise DiskFailed(
                    f"{self.directory / 'queue.db-wal'}: {_GONE}",
                    hint="run the same again: with this end, what waits is brought into queue.db, if that is there",
                )
        except OSError as error:
            why = f"the queue in {self.directory} cannot be looked at: {error.strerror}"
            raise DiskFailed(why, hint=ASIDE) from None

    def _far(self) -> Mark:
        mark = mark_of(self.db)
        assert mark is not None, "a queue that is open has its tables"
        self.last_id, self._writes = mark.last_id, mark.writes
        return mark

    def _gone(self) -> DiskFailed:
        return DiskFailed(
            f"{self.directory / 'queue.db'}: {_GONE}",
            hint="put it back, then run the same again; if it is gone, so is what waited in it: the same command "
            "begins a new queue",
        )

    def close(self) -> None:
        """Close the file, then give the lock up. May be called twice."""
        self.db.close()
        self._mark.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
