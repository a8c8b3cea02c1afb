"""The client's queue on disk: what a bedside has judged and the mesh has not yet acknowledged.

Touches one directory: ``queue.db`` (SQLite, WAL, synchronous=FULL) and ``queue.lock``. Must not know: sockets, peers.

    put ------> rows --next_batch--> in flight (its bytes are fixed on disk before they are first sent)
                 ^                      |-- acknowledged(seq) --> gone; the rows the mesh rejected -> dead letters
                 |                      |-- refused -> one row: dead letter; several: each is tried by itself
                 +--- new epoch <-------+-- disowned: the mesh knows another history of this session

Keeps: a row that ``put`` has returned for is on synced disk until the mesh has acknowledged it or refused it for good;
(epoch, seq) is never sent with two contents, unless the mesh has said that it did not take the first; rows leave in the
order they came. Bounded: ``rows_max`` rows, 100,000 dead letters (the oldest go).

An old copy of a queue directory put back in place makes the mesh answer CONFLICT or GAP. What is then unsent goes out
under a new epoch: nothing is lost, but what had been acknowledged after the copy was made is stored a second time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apsw

from hfzmq.client.queue_file import Connection, open_queue_file
from hfzmq.client.queue_types import Batch, DeadLetter, Places, Progress, QueueFull
from hfzmq.client.traffic import REPORTS, Traffic
from hfzmq.errors import DiskFailed, InvalidInput, WireError
from hfzmq.wire.members import Told, recall, remember
from hfzmq.wire.requests import EPOCH_BYTES, digest
from hfzmq.wire.rows import join_rows, pack_row, unpack_rows

ROWS_MAX = 1_000_000
DEAD_LETTERS_MAX = 100_000
_HEAD_BYTES = 5  # of a packed array, at most

T = TypeVar("T")


class Queue:
    """See the module. Made by ``open``; its methods may be called from any thread.

    Every method that writes raises DiskFailed when the disk does not take it (then nothing of that call is kept, and
    everything accepted before still is).
    """

    def __init__(self, file: Connection, rows_max: int, now_ms: Callable[[], int]) -> None:
        self._file = file
        self._db = file.db
        self._rows_max = rows_max
        self._now_ms = now_ms
        self._mutex = threading.RLock()
        self._pending: int = self._db.execute("SELECT count(*) FROM rows").get
        self._batch: Batch | None = None  # what is in flight, once it was read

    @classmethod
    def open(
        cls,
        directory: str | Path,
        client_id: str | None,
        mesh_id: bytes,
        traffic: Traffic = REPORTS,
        *,
        rows_max: int = ROWS_MAX,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> Queue:
        """Open or make the queue in ``directory``. ``client_id`` None: whoever made the file (its host's name if new).

        DataDirError: not writable, in use by another process, of another client, mesh or traffic, damaged, from a newer
        hfzmq.
        """
        return cls(open_queue_file(Path(directory), client_id, mesh_id, traffic), rows_max, now_ms)

    def close(self) -> None:
        """Release the file and its lock. May be called twice."""
        with self._mutex:
            self._file.close()

    @property
    def client_id(self) -> str:
        """Who this queue belongs to."""
        return self._file.client_id

    @property
    def directory(self) -> Path:
        """Where it lies."""
        return self._file.directory

    @property
    def epoch(self) -> bytes:
        """16 random bytes, made with the file: with the client id it names the session."""
        with self._mutex:
            epoch: bytes = self._db.execute("SELECT epoch FROM meta").get
            return epoch

    def pending(self) -> int:
        """Rows that are neither acknowledged nor refused."""
        return self._pending

    # ------------------------------------------------------------------------------------------------------------ in

    def put(self, rows: Sequence[Sequence[object]], source: tuple[Places, Places] | None = None) -> int:
        """Keep ``rows``, all of them or none, in one synced transaction; the id of the last one (0: none).

        ``source``: (before, after): the rows bring the memory of a source from one to the other, in the same
        transaction. QueueFull beyond ``rows_max`` rows.
        """
        packed = [pack_row(row) for row in rows]
        with self._mutex:
            if packed and self._pending + len(packed) > self._rows_max:
                raise QueueFull(
                    f"the queue is full: {self._pending:,} of {self._rows_max:,} rows wait for the mesh in "
                    f"{self.directory}",
                    hint="bring the mesh back: hfzmq status; what waits is sent as soon as a leader answers",
                )

            def write() -> int:
                self._db.executemany("INSERT INTO rows(row) VALUES (?)", [(row,) for row in packed])
                last_id = self._db.last_insert_rowid() if packed else 0
                if source is not None:
                    self._remember(*source)
                return last_id

            last_id = self._write(write)
            self._pending += len(packed)
            return last_id

    def sources(self) -> list[Progress]:
        """How far each source was read, the longest prefix first."""
        with self._mutex:
            found: list[Any] = self._db.execute(
                "SELECT prefix, bytes_read, lines FROM sources ORDER BY bytes_read DESC"
            ).fetchall()
        return [Progress(*row) for row in found]

    def _remember(self, before: Places, after: Places) -> None:
        now_ms = self._now_ms()
        self._db.executemany("DELETE FROM sources WHERE prefix = ?", [(place.prefix,) for place in before])
        self._db.executemany(
            "INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?)", [(*place, now_ms) for place in after]
        )
        self._db.execute(
            "DELETE FROM sources WHERE prefix IN (SELECT prefix FROM sources ORDER BY at_ms DESC LIMIT -1 OFFSET 1000)"
        )

    # ----------------------------------------------------------------------------------------------------------- out

    def next_batch(self, rows_max: int, bytes_max: int) -> Batch | None:
        """What to send now: the batch in flight if there is one, else the oldest rows, fixed on disk; None when empty.

        At most ``rows_max`` rows and ``bytes_max`` packed bytes (but one row at least).
        """
        with self._mutex:
            if self._batch is None:
                self._batch = self._read_in_flight()
            if self._batch is None and self._pending:
                self._batch = self._fix(rows_max, bytes_max)
            return self._batch

    def acknowledged(self, seq: int, rejected: Sequence[tuple[int, str, str, str]] = ()) -> list[DeadLetter]:
        """The batch in flight is stored. ``rejected``: (number in the batch from 0, field, bound, hint) of the rows
        that were not: they become dead letters and are returned. The next seq is due."""
        with self._mutex:
            batch = self._in_flight(seq)
            numbers = [number for number, *_ in rejected]
            if len(set(numbers)) != len(numbers) or not all(0 <= number < batch.row_count for number in numbers):
                raise InvalidInput("rejected", f"different numbers, 0 to {batch.row_count - 1}")

            def write() -> tuple[list[DeadLetter], int]:
                rows = unpack_rows(batch.rows) if rejected else []
                dead = [self._bury(rows[number], field, bound, hint) for number, field, bound, hint in rejected]
                self._db.execute("DELETE FROM rows WHERE id <= ?", (batch.last_id,))
                gone = self._db.changes()
                self._db.execute("DELETE FROM in_flight")
                self._db.execute("DELETE FROM refused_whole")
                self._db.execute("UPDATE meta SET next_seq = ?", (seq + 1,))
                return dead, gone

            dead, gone = self._write(write)
            self._pending -= gone
            self._batch = None
            return dead

    def refused(self, seq: int, field: str, bound: str, hint: str) -> DeadLetter | None:
        """The batch in flight was refused whole and used no seq up. One row: it becomes a dead letter and is returned.
        Several: nothing says which one is wrong, so each is sent by itself from now on, under the same seq and on."""
        with self._mutex:
            batch = self._in_flight(seq)

            def write() -> DeadLetter | None:
                self._db.execute("DELETE FROM in_flight")
                if batch.row_count > 1:
                    self._db.execute("UPDATE meta SET alone_until = ?", (batch.last_id,))
                    # An earlier try of the whole may yet be stored, by a peer whose answer was lost: see disowned.
                    self._db.execute(
                        "INSERT OR IGNORE INTO refused_whole VALUES (1, ?, ?, ?, ?, ?, 0)",
                        (seq, batch.digest, batch.rows, batch.row_count, batch.last_id),
                    )
                    return None
                self._db.execute("DELETE FROM rows WHERE id <= ?", (batch.last_id,))
                return self._bury(unpack_rows(batch.rows)[0], field, bound, hint)

            dead = self._write(write)
            self._batch = None
            if dead is not None:
                self._pending -= 1
            return dead

    def disowned(self, seq: int) -> bool:
        """The mesh has, for good, another history of this session (CONFLICT or GAP).

        If this seq once was a larger batch that was refused whole, that batch is sent once more (False): it may be what
        is stored. Otherwise (True) this file is an old copy: all rows that wait go out under a new epoch from seq 1.
        """
        with self._mutex:
            batch = self._in_flight(seq)

            def write() -> bool:
                self._db.execute("DELETE FROM in_flight")
                found: list[Any] = self._db.execute(
                    "SELECT digest, rows, count, last_id FROM refused_whole WHERE seq = ? AND tried = 0", (seq,)
                ).fetchall()
                if found and found[0][0] != batch.digest:
                    self._db.execute("UPDATE refused_whole SET tried = 1")
                    self._db.execute("INSERT INTO in_flight VALUES (1, ?, ?, ?, ?, ?)", (seq, *found[0]))
                    return False
                self._db.execute("DELETE FROM refused_whole")
                self._db.execute("UPDATE meta SET epoch = ?, next_seq = 1", (os.urandom(EPOCH_BYTES),))
                return True

            renewed = self._write(write)
            self._batch = None
            return renewed

    def dead_letters(self, limit: int = 1000) -> list[DeadLetter]:
        """What the mesh refused for good, the newest first."""
        with self._mutex:
            found: list[Any] = self._db.execute(
                "SELECT id, row, field, bound, hint, at_ms FROM dead_letters ORDER BY id DESC LIMIT ?", (limit,)
            ).fetchall()
        return [DeadLetter(row_id, _unpacked(row), *rest) for row_id, row, *rest in found]

    # ---------------------------------------------------------------------------------------------------- the members

    def members(self) -> Told | None:
        """The members of the mesh as last remembered: where this client may find it when its own file is old."""
        with self._mutex:
            found: list[Any] = self._db.execute("SELECT told FROM members").fetchall()
        try:
            return recall(found[0][0]) if found else None
        except WireError:  # by a later version, or damaged: the file of peers is still there
            return None

    def remember_members(self, told: Told) -> None:
        """Keep a newer list, in place of the last."""
        with self._mutex:
            self._write(lambda: self._db.execute("INSERT OR REPLACE INTO members VALUES (1, ?)", (remember(told),)))

    # ------------------------------------------------------------------------------------------------------ the parts

    def _read_in_flight(self) -> Batch | None:
        found: list[Any] = self._db.execute(
            "SELECT epoch, seq, digest, rows, count, last_id FROM in_flight, meta"
        ).fetchall()
        return Batch(*found[0]) if found else None

    def _fix(self, rows_max: int, bytes_max: int) -> Batch:
        meta: list[Any] = self._db.execute("SELECT epoch, next_seq, alone_until FROM meta").fetchall()
        epoch, seq, alone_until = meta[0]
        oldest: Any = self._db.execute("SELECT id, row FROM rows ORDER BY id LIMIT ?", (rows_max,))
        packed: list[bytes] = []
        size = _HEAD_BYTES
        last_id = 0
        for row_id, row in oldest:
            size += len(row)
            if packed and (size > bytes_max or last_id <= alone_until):
                break
            packed.append(row)
            last_id = row_id
        rows = join_rows(packed)
        batch = Batch(epoch, seq, digest(rows), rows, len(packed), last_id)
        self._write(lambda: self._db.execute("INSERT INTO in_flight VALUES (1, ?, ?, ?, ?, ?)", batch[1:]))
        return batch

    def _in_flight(self, seq: int) -> Batch:
        if self._batch is None:
            self._batch = self._read_in_flight()
        if self._batch is None or self._batch.seq != seq:
            raise InvalidInput("seq", "the one in flight", got=seq)
        return self._batch

    def _bury(self, row: object, field: str, bound: str, hint: str) -> DeadLetter:
        values = list(row) if isinstance(row, list) else [row]
        letter = DeadLetter(0, values, field[:200], bound[:200], hint[:200], self._now_ms())
        self._db.execute(
            "INSERT INTO dead_letters(row, field, bound, hint, at_ms) VALUES (?, ?, ?, ?, ?)",
            (pack_row(values), *letter[2:]),
        )
        letter_id = self._db.last_insert_rowid()
        self._db.execute("DELETE FROM dead_letters WHERE id <= ?", (letter_id - DEAD_LETTERS_MAX,))
        return letter._replace(id=letter_id)

    def _write(self, change: Callable[[], T]) -> T:
        """Run ``change`` as one transaction, synced when this returns; all of it or nothing."""
        try:
            with self._db:
                result = change()
        except (apsw.Error, OSError) as error:
            raise DiskFailed(
                f"the queue in {self.directory} did not take a write: {error}",
                hint="what was accepted before is safe; free some space or check the disk, then start again",
            ) from None
        return result


def _unpacked(row: bytes) -> list[Any]:
    items = unpack_rows(b"\x91" + row)[0]
    return items if isinstance(items, list) else [items]
