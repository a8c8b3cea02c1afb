"""The client's queue on disk: what a bedside has judged and the mesh has not yet acknowledged.

Touches one directory: ``queue.db`` (SQLite, WAL, synchronous=FULL), ``queue.mark`` and ``queue.lock``. Must not know:
sockets, peers.

    put ------> rows --next_batch--> in flight (its bytes are fixed on disk before they are first sent)
           |     ^                      |-- acknowledged(seq) --> gone; the rows the mesh rejected -> dead letters
           |     |                      |-- refused -> one row: dead letter; several: each is tried by itself
           |     |                      |-- longer than is taken by now -> each row by itself
           |     +--- new epoch <-------+-- disowned: the mesh knows another history of this session
           |                            '-- damaged on this disk beyond repair: likewise
           '-- damaged on this disk --> dead letters

Keeps: a row that ``put`` has returned for is on synced disk until the mesh has acknowledged it or refused it for good;
(epoch, seq) is never sent with two contents, unless the mesh has said that it did not take the first; rows leave in the
order they came; a row that is not what was put is never sent. Bounded: ``rows_max`` rows, 100,000 dead letters (the
oldest go).

An old copy of a queue directory put back in place makes the mesh answer CONFLICT or GAP. What is then unsent goes out
under a new epoch: nothing is lost, but what had been acknowledged after the copy was made is stored a second time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from hfzmq.client import queue_notes
from hfzmq.client.queue_batch import Damaged, Lost, batch_sum, in_flight, oldest, refused_whole
from hfzmq.client.queue_connection import Connection
from hfzmq.client.queue_file import open_queue_file
from hfzmq.client.queue_sums import row_sum, seal_meta, summed
from hfzmq.client.queue_types import Batch, Damage, DeadLetter, Places, Progress, QueueFull
from hfzmq.client.traffic import REPORTS, Traffic
from hfzmq.errors import DataDirError, InvalidInput
from hfzmq.wire.members import Told
from hfzmq.wire.requests import EPOCH_BYTES
from hfzmq.wire.rows import pack_row, unpack_rows

ROWS_MAX = 1_000_000
ROTTEN = ("queue", "its checksum does not match its bytes", "this disk has changed it; it was never sent")

_PUT = "INSERT INTO rows(id, row, crc) VALUES (?, ?, ?)"

T = TypeVar("T")


class Queue:
    """See the module. Made by ``open``; its methods may be called from any thread.

    Every method that writes raises DiskFailed when the disk does not take it (then nothing of that call is kept, and
    everything accepted before still is), or when the file has lost its name (then it takes what waits with it).
    """

    def __init__(self, file: Connection, rows_max: int, now_ms: Callable[[], int]) -> None:
        self._file = file
        self._db = file.db
        self._rows_max = rows_max
        self._now_ms = now_ms
        self._mutex = threading.RLock()
        self._changing = _Changing(self._mutex, self._look_anew)
        self._pending = 0
        self._batch: Batch | None = None  # what is in flight, once it was read
        self._damage = Damage([], 0)  # that nobody was told of yet
        self._look_anew()

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

        DataDirError: not writable, in use by another process, of another client, mesh or traffic, damaged, gone back
        behind its mark, from a newer hfzmq.
        """
        file = open_queue_file(Path(directory), client_id, mesh_id, traffic)
        try:
            return cls(file, rows_max, now_ms)
        except BaseException:
            file.close()
            raise

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

    def check(self) -> None:
        """DiskFailed when the directory or the file was deleted, moved or replaced: nothing waits there any more."""
        self._file.check()

    # ------------------------------------------------------------------------------------------------------------ in

    def put(self, rows: Sequence[Sequence[object]], source: tuple[Places, Places] | None = None) -> int:
        """Keep ``rows``, all of them or none, in one synced transaction; the id of the last one (0: none).

        ``source``: (before, after): the rows bring the memory of a source from one to the other, in the same
        transaction. QueueFull beyond ``rows_max`` rows.
        """
        packed = [pack_row(row) for row in rows]
        with self._changing:
            if packed and self._pending + len(packed) > self._rows_max:
                raise QueueFull(
                    f"the queue is full: {self._pending:,} of {self._rows_max:,} rows wait for the mesh in "
                    f"{self.directory}",
                    hint="bring the mesh back: hfzmq status; what waits is sent as soon as a leader answers",
                )
            if not packed and source is None:
                return 0

            def write() -> None:
                next_id = self._file.last_id + 1
                if len(packed) == 1:  # as at a bed: many at once cost more to begin with
                    self._db.execute(_PUT, (next_id, packed[0], row_sum(next_id, packed[0])))
                else:
                    self._db.executemany(_PUT, summed(packed, next_id))
                if source is not None:
                    queue_notes.move_sources(self._db, *source, self._now_ms())

            self._file.write(write, put=len(packed))
            self._pending += len(packed)
            return self._file.last_id if packed else 0

    def sources(self, *, all_again: bool = False) -> list[Progress]:
        """How far each source was read, the longest prefix first. DataDirError: of one of them that is not known any
        more. ``all_again``: who asks reads its source from its beginning; those that are not known are forgotten."""
        with self._changing:
            known, forgotten = self._file.read(lambda: queue_notes.sources(self._db))
            if forgotten and not all_again:
                raise DataDirError(
                    f"the queue in {self.directory} does not know any more how far a file was read: a checksum does "
                    "not match",
                    hint="--from-start reads it from its beginning: what it had submitted is then stored a second time",
                )
            if forgotten:
                self._file.write(lambda: queue_notes.keep_sources(self._db, known, self._now_ms()))
        return known

    # ----------------------------------------------------------------------------------------------------------- out

    def next_batch(self, rows_max: int, bytes_max: int) -> Batch | None:
        """What to send now: the batch in flight if there is one, else the oldest rows, fixed on disk; None when empty.

        At most ``rows_max`` rows and ``bytes_max`` packed bytes (but one row at least). What is found damaged on the
        way is out of it, and told by ``damage``.
        """
        with self._changing:
            if self._batch is None:
                self._read_in_flight()
            while self._batch is None and self._pending:
                self._fix(rows_max, bytes_max)
            return self._batch

    def damage(self) -> Damage:
        """What ``next_batch`` has found damaged since this was asked last."""
        with self._mutex:
            found, self._damage = self._damage, Damage([], 0)
            return found

    def acknowledged(self, seq: int, rejected: Sequence[tuple[int, str, str, str]] = ()) -> list[DeadLetter]:
        """The batch in flight is stored. ``rejected``: (number in the batch from 0, field, bound, hint) of the rows
        that were not: they become dead letters and are returned. The next seq is due."""
        with self._changing:
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
                seal_meta(self._db)
                return dead, gone

            dead, gone = self._file.write(write)
            self._pending -= gone
            self._batch = None
            return dead

    def refused(self, seq: int, field: str, bound: str, hint: str) -> DeadLetter | None:
        """The batch in flight was refused whole and used no seq up. One row: it becomes a dead letter and is returned.
        Several: nothing says which one is wrong, so each is sent by itself from now on, under the same seq and on."""
        with self._changing:
            batch = self._in_flight(seq)

            def write() -> DeadLetter | None:
                self._db.execute("DELETE FROM in_flight")
                if batch.row_count > 1:
                    self._db.execute("UPDATE meta SET alone_until = ?", (batch.last_id,))
                    seal_meta(self._db)
                    # An earlier try of the whole may yet be stored, by a peer whose answer was lost: see disowned.
                    self._db.execute(
                        "INSERT OR IGNORE INTO refused_whole VALUES (1, ?, ?, ?, ?, ?, 0, ?)",
                        (*batch[1:], batch_sum(seq, batch.digest, batch.row_count, batch.last_id)),
                    )
                    return None
                self._db.execute("DELETE FROM rows WHERE id <= ?", (batch.last_id,))
                return self._bury(unpack_rows(batch.rows)[0], field, bound, hint)

            dead = self._file.write(write)
            self._batch = None
            if dead is not None:
                self._pending -= 1
            return dead

    def take_apart(self, seq: int) -> bool:
        """The batch in flight is longer than what is taken by now. True: each of its rows is sent by itself from here
        on, as after ``refused``. False, and it stays: it is one row; or it was taken apart before, and the mesh has
        something under its seq, and only the whole can find out whether that is itself (see ``disowned``)."""
        with self._mutex:
            tried = "SELECT count(*) FROM refused_whole WHERE seq = ? AND tried = 1"
            if self._in_flight(seq).row_count == 1 or self._file.read(lambda: self._db.execute(tried, (seq,)).get):
                return False
            self.refused(seq, "message", "", "")
            return True

    def disowned(self, seq: int) -> bool:
        """The mesh has, for good, another history of this session (CONFLICT or GAP).

        If this seq once was a larger batch that was refused whole, that batch is sent once more (False): it may be what
        is stored. Otherwise (True) this file is an old copy: all rows that wait go out under a new epoch from seq 1.
        """
        with self._changing:
            batch = self._in_flight(seq)

            def write() -> bool:
                self._db.execute("DELETE FROM in_flight")
                whole = refused_whole(self._db, seq)
                if whole is not None and whole[0] != batch.digest:
                    self._db.execute("UPDATE refused_whole SET tried = 1")
                    self._db.execute("INSERT INTO in_flight VALUES (1, ?, ?, ?, ?, ?, ?)", (seq, *whole))
                    return False
                self._begin_epoch()
                return True

            renewed = self._file.write(write)
            self._batch = None
            return renewed

    def dead_letters(self, limit: int = 1000) -> list[DeadLetter]:
        """What the mesh refused for good, and what was found damaged on this disk, the newest first."""
        with self._mutex:
            return self._file.read(lambda: queue_notes.dead_letters(self._db, limit))

    # ---------------------------------------------------------------------------------------------------- the members

    def members(self) -> Told | None:
        """The members of the mesh as last remembered: where this client may find it when its own file is old."""
        with self._mutex:
            return self._file.read(lambda: queue_notes.members(self._db))

    def remember_members(self, told: Told) -> None:
        """Keep a newer list, in place of the last."""
        with self._changing:
            self._file.write(lambda: queue_notes.remember_members(self._db, told))

    # ------------------------------------------------------------------------------------------------------ the parts

    def _look_anew(self) -> None:
        self._file.check()
        self._file.look_anew()
        self._batch = None
        self._pending = self._file.read(lambda: self._db.execute("SELECT count(*) FROM rows").get)

    def _read_in_flight(self) -> None:
        try:
            self._batch = self._read(lambda: in_flight(self._db))
        except Lost as lost:  # it may have been sent, and what it was cannot be told: its seq must not be used again

            def write() -> None:
                self._db.execute("DELETE FROM in_flight")
                self._begin_epoch()

            self._file.write(write)
            self._damage = self._damage._replace(lost_seq=lost.seq)

    def _fix(self, rows_max: int, bytes_max: int) -> None:
        rotten, batch = self._read(lambda: oldest(self._db, rows_max, bytes_max))

        def write() -> list[DeadLetter]:
            dead = []
            for row_id, row in rotten:
                dead.append(self._bury(queue_notes.values_of(row), *ROTTEN))
                self._db.execute("DELETE FROM rows WHERE id = ?", (row_id,))
                if not self._db.changes():
                    raise self._file.damaged(f"row {row_id} is not where it stands")
            if batch is not None:
                crc = batch_sum(batch.seq, batch.digest, batch.row_count, batch.last_id)
                self._db.execute("INSERT INTO in_flight VALUES (1, ?, ?, ?, ?, ?, ?)", (*batch[1:], crc))
            return dead

        self._damage.rows.extend(self._file.write(write))
        self._pending -= len(rotten)
        self._batch = batch

    def _read(self, question: Callable[[], T]) -> T:
        try:
            return self._file.read(question)
        except Damaged as found:
            raise self._file.damaged(str(found)) from None

    def _begin_epoch(self) -> None:
        self._db.execute("DELETE FROM refused_whole")
        self._db.execute("UPDATE meta SET epoch = ?, next_seq = 1", (os.urandom(EPOCH_BYTES),))
        seal_meta(self._db)

    def _in_flight(self, seq: int) -> Batch:
        if self._batch is None:
            self._read_in_flight()
        if self._batch is None or self._batch.seq != seq:
            raise InvalidInput("seq", "the one in flight", got=seq)
        return self._batch

    def _bury(self, row: object, field: str, bound: str, hint: str) -> DeadLetter:
        return queue_notes.bury(self._db, row, field, bound, hint, self._now_ms())


class _Changing:
    """One call at a time. Where one is broken off (Ctrl-C, a full disk), the next one looks anew what the file has; a
    refusal changes nothing, and breaks nothing off: a full queue is not counted for each row that it refuses."""

    def __init__(self, mutex: threading.RLock, look_anew: Callable[[], None]) -> None:
        self._mutex = mutex
        self._look_anew = look_anew
        self._broken_off = False

    def __enter__(self) -> None:
        self._mutex.acquire()
        if self._broken_off:
            try:
                self._look_anew()
            except BaseException:
                self._mutex.release()
                raise
        self._broken_off = True

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._broken_off = kind is not None and not issubclass(kind, (QueueFull, InvalidInput))
        self._mutex.release()
