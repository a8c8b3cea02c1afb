"""Backups handed out over the mesh: made when an admin asks for one, kept while it is pulled, removed soon afterwards.

Touches the disk (a folder of its own in the data directory), a process, threads. Must not know: sockets, who leads,
whose keys are in force. Keeps: one at a time, of whoever came first; what is handed out is what ``hfzmq backup --db``
would have written, checked alike, never older than what was asked for; nobody is kept waiting in the loop: pieces are
read by the query thread; nothing stays on the disk.

    nothing --ask--> waiting until so much is applied --> making (in a process) --> kept --end, or KEPT_MS without
                              |                               |                       |    a word--> nothing
                              `--KEPT_MS without a word--.    `--failed--> told       |
                                                         `--> nothing <---------------'
"""

from __future__ import annotations

import logging
import math
import os
import shutil
from collections import Counter
from collections.abc import Callable
from concurrent import futures
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hfzmq.daemon.worker import Work, in_thread
from hfzmq.errors import DataDirError, HfzmqError
from hfzmq.storage.apart import BACKUP, Apart
from hfzmq.storage.backup import COPIES_MAX
from hfzmq.storage.directory import DIRECTORY_MODE
from hfzmq.storage.snapshot import Snapshot
from hfzmq.wire import backup as wire
from hfzmq.wire.backup import WAITING, TakeBackup
from hfzmq.wire.requests import encode_reply

KEPT_MS = 60_000  # without a word from who asked for it
RETRY_MS = 200
BUSY_RETRY_MS = 2_000
LOOK_MS = 100  # how often it is looked whether a backup is made
ROOM_LEFT_BYTES = 32 << 20  # on the disk that the log is written to, while a backup is made
CLEAR_WITHIN_S = 2.0

log = logging.getLogger("hfzmq.backups")

Reading = Callable[[], bytes]
"""Makes an answer's bytes; reads a file, so not for the loop."""


@dataclass
class _Job:
    """The one backup of this moment. ``by``: whose key; ``said_ms``: when its taker was last heard."""

    take: bytes
    by: str
    at_least: int
    said_ms: float
    path: Path
    doing: tuple[str, float] = (WAITING, 0.0)
    apart: Apart | None = None
    making: futures.Future[Snapshot] | None = None
    made: Snapshot | None = None
    failure: HfzmqError | None = None


class Backups:
    """Of the peer's file at ``db_path``, made in ``directory``. ``applied()``: the index of the last applied entry;
    ``clock_ms``: monotonic."""

    def __init__(
        self,
        directory: Path,
        db_path: Path,
        applied: Callable[[], int],
        counters: Counter[str],
        clock_ms: Callable[[], float],
        work: Work = in_thread,
    ) -> None:
        self._directory = directory
        self._db_path = db_path
        self._applied = applied
        self._counters = counters
        self._clock_ms = clock_ms
        self._work = work
        self._job: _Job | None = None
        self._ended = b""  # the take of the last one that was given up
        self._made = 0
        self._wake_ms = math.inf
        self._sweep()

    def asked(self, by: str, request: TakeBackup) -> wire.Answer | Reading:
        """What the holder of the key ``by`` is answered, or how to read it."""
        job = self._job
        if job is not None and job.take != request.take:
            if request.end:
                return wire.Ended(request.take)
            if job.failure is None:
                return wire.Busy(BUSY_RETRY_MS, job.by or "somebody")
            self._drop(job)  # whoever it was for has gone
            job = None
        if job is None:
            if request.end:
                return wire.Ended(request.take)
            if request.offset or request.take == self._ended:
                return wire.Gone(request.take)
            job = self._begin(by, request)
        now_ms = self._clock_ms()
        job.said_ms = now_ms
        self._wake_ms = now_ms
        if request.end:
            self._drop(job)
            return wire.Ended(request.take)
        return self._answer(job, request)

    def tick(self, now_ms: float) -> None:
        """Go on: make, remove. Once a turn, no later than ``wake_at_ms``."""
        job = self._job
        if job is None:
            self._wake_ms = math.inf
            return
        if now_ms >= job.said_ms + KEPT_MS:
            log.info("a backup is given up: %s has not asked for more of it in %d s", _whose(job), KEPT_MS // 1000)
            self._counters["backup_given_up"] += 1
            self._drop(job)
            return
        if job.making is not None and job.making.done():
            self._take_made(job, job.making)
        elif job.making is None and job.failure is None and job.made is None and self._applied() >= job.at_least:
            self._make(job)
        settled = job.made is not None or job.failure is not None
        self._wake_ms = job.said_ms + KEPT_MS if settled else now_ms + LOOK_MS

    def wake_at_ms(self) -> float:
        """When ``tick`` is due; infinite when nothing goes on."""
        return self._wake_ms

    def close(self) -> None:
        """The process ends: nothing is made any more, nothing stays."""
        job, self._job = self._job, None
        if job is not None:
            if job.apart is not None:
                job.apart.stop()
            _clear(job)
        self._sweep()

    # ------------------------------------------------------------ one backup

    def _begin(self, by: str, request: TakeBackup) -> _Job:
        self._made += 1
        path = self._directory / f"{self._db_path.stem}-{os.getpid()}-{self._made}.backup"
        job = self._job = _Job(request.take, by, request.at_least, self._clock_ms(), path)
        if not request.at_least and not self._applied():
            job.failure = DataDirError("this peer holds nothing: its mesh has not begun", hint="hfzmq status")
        return job

    def _make(self, job: _Job) -> None:
        def progress(doing: str, share: float) -> None:
            job.doing = doing, min(1.0, max(0.0, float(share)))

        apart = job.apart = Apart(self._db_path, job.path, BACKUP, progress)
        log.info("a backup is made, for %s", _whose(job))
        job.making = self._work(lambda: _make_if_room(self._db_path, job.path, apart))

    def _take_made(self, job: _Job, making: futures.Future[Snapshot]) -> None:
        job.making = job.apart = None
        try:
            job.made = making.result()
        except Exception as error:
            job.failure = error if isinstance(error, HfzmqError) else DataDirError(f"{job.path.parent}: {error}")
            self._counters["backup_not_made"] += 1
            log.error("no backup was made, for %s: %s", _whose(job), job.failure)
            return
        self._counters["backup_made"] += 1
        made = job.made
        log.info(
            "a backup is handed out to %s: %d bytes, until entry %d", _whose(job), made.size_bytes, made.place.index
        )

    def _answer(self, job: _Job, request: TakeBackup) -> wire.Answer | Reading:
        if job.failure is not None:
            return wire.Failed(job.take, str(job.failure), job.failure.hint)
        made = job.made
        if made is None:
            return wire.Making(job.take, *job.doing, RETRY_MS)
        if request.offset >= made.size_bytes:
            return wire.Refused("offset", f"below {made.size_bytes}, the size of this backup", "begin with a new take")
        self._counters["backup_pieces_sent"] += 1
        return lambda: _read(made, request)

    def _drop(self, job: _Job) -> None:
        self._job, self._ended, self._wake_ms = None, job.take, math.inf
        if job.apart is not None:
            job.apart.stop()
        self._work(lambda: _clear(job))  # to remove a large file takes its time

    def _sweep(self) -> None:
        """Remove what this peer ever made here."""
        for path in self._directory.glob(f"{self._db_path.stem}-*.backup*"):
            with suppress(OSError):  # at the next start, then
                path.unlink()


def _whose(job: _Job) -> str:
    return f"the key of {job.by}" if job.by else "somebody"


def room_needed(files_bytes: int) -> int:
    """How much must be free for a backup to be made of a database and a WAL of ``files_bytes`` together."""
    return COPIES_MAX * files_bytes + ROOM_LEFT_BYTES


def _make_if_room(db_path: Path, into: Path, apart: Apart) -> Snapshot:
    into.parent.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    wal = db_path.with_name(db_path.name + "-wal")
    needed = room_needed(sum(path.stat().st_size for path in (db_path, wal) if path.exists()))
    free = shutil.disk_usage(into.parent).free
    if free < needed:
        raise DataDirError(
            f"{into.parent}: {free} bytes free, {needed} are needed to make a backup there",
            hint="free some space on that machine, or take it from another peer: --peer N",
        )
    return apart.run()


def _clear(job: _Job) -> None:
    """Remove the files of a backup, once nobody writes to them any more."""
    if job.making is not None:
        futures.wait((job.making,), CLEAR_WITHIN_S)
    for path in job.path.parent.glob(job.path.name + "*"):
        with suppress(OSError):  # at the next start, then
            path.unlink()


def _read(made: Snapshot, request: TakeBackup) -> bytes:
    """The answer with the piece that is asked for."""
    answer: wire.Answer
    try:
        with made.path.open("rb", buffering=0) as file:
            data = os.pread(file.fileno(), min(request.length, made.size_bytes - request.offset), request.offset)
        if not data:
            raise OSError("it is shorter than it was")
        answer = wire.piece_of(request.take, request.offset, made.size_bytes, made.sha256, made.place.index, data)
    except FileNotFoundError:
        answer = wire.Gone(request.take)
    except OSError as error:
        answer = wire.Failed(request.take, f"{made.path}: {error}", "take it again; hfzmq doctor looks at that disk")
    status, fields = wire.told(answer)
    return encode_reply(status, **fields)
