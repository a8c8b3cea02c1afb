"""Handing snapshots out: made when one is asked for, kept while it is pulled, removed soon afterwards.

Touches the disk, a thread, a process. Must not know: who leads, why a peer asks. Keeps: one snapshot at a time; a turn
of the loop reads TURN_BYTES at most; each pull is answered by one piece, so the receiver sets the pace; what fails is
answered by nothing, for the receiver asks again.

    nothing --pull--> making (in a process) --> kept --KEPT_MS without a pull--> removed (in a thread)
                            `---failed---> nothing, for RETRY_MS
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import shutil
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from hfzmq.daemon.worker import POLL_MS, Work, remove
from hfzmq.errors import DataDirError
from hfzmq.storage.apart import make_apart
from hfzmq.storage.snapshot import Snapshot
from hfzmq.wire.transfer import ANY_SNAPSHOT, Chunk, Pull, snapshot_id

KEPT_MS = 60_000
RETRY_MS = 10_000
TURN_BYTES = 1 << 20
ROOM_LEFT_BYTES = 32 << 20  # on the disk that the log is written to, after a snapshot was made

log = logging.getLogger("hfzmq.transfer")


class Outgoing:
    """The snapshots of the file at ``db_path``, made in ``directory``.

    ``oldest``: the index after which the log begins; an older snapshot would not help anybody who begins to pull."""

    def __init__(
        self,
        directory: Path,
        db_path: Path,
        send: Callable[[int, Chunk], None],
        counters: Counter[str],
        chunk_bytes: int,
        oldest: Callable[[], int],
        work: Work,
    ) -> None:
        self._directory = directory
        self._db_path = db_path
        self._send = send
        self._counters = counters
        self._chunk_bytes = chunk_bytes
        self._oldest = oldest
        self._work = work
        self._wanted: dict[int, Pull] = {}  # each peer's last pull, in the order of their arrival
        self._making: Future[Snapshot] | None = None
        self._removing: Future[None] | None = None
        self._kept: Snapshot | None = None
        self._made = 0
        self._pulled_ms = -math.inf
        self._retry_ms = -math.inf
        self._failure = ""
        self._wake_ms = math.inf
        remove(self._left())

    def pulled(self, now_ms: float, sender: int, pull: Pull) -> None:
        """A peer asks; answered in one of the next turns."""
        self._wanted.pop(sender, None)
        self._wanted[sender] = pull
        self._pulled_ms = now_ms
        self._wake_ms = now_ms

    def wake_at_ms(self) -> float:
        """When ``tick`` is due."""
        return self._wake_ms

    def tick(self, now_ms: float) -> None:
        """Go on: make, hand out, remove."""
        if self._making:
            self._take_made(now_ms)
        if self._kept and now_ms >= self._pulled_ms + KEPT_MS:
            self._drop()
        begun = any(pull.snapshot == ANY_SNAPSHOT for pull in self._wanted.values())
        if self._kept and begun and self._kept.place.index < self._oldest():
            self._drop()
        if self._wanted and not self._kept and not self._making and self._is_clear():
            if now_ms < self._retry_ms:
                self._wanted.clear()  # they ask again
            else:
                self._begin()
        if self._kept:
            self._hand_out(self._kept)
        self._wake_ms = self._next_ms(now_ms)

    def close(self) -> None:
        """Remove what was made."""
        self._kept = None
        remove(self._left())

    def _next_ms(self, now_ms: float) -> float:
        if self._making or (self._wanted and not self._is_clear()):
            return now_ms + POLL_MS
        if self._kept:
            return now_ms if self._wanted else self._pulled_ms + KEPT_MS
        return math.inf

    # ------------------------------------------------------------ making

    def _begin(self) -> None:
        self._made += 1
        into = self._directory / f"{self._db_path.stem}-{os.getpid()}-{self._made}.snapshot"
        self._making = self._work(lambda: _make_if_room(self._db_path, into))

    def _take_made(self, now_ms: float) -> None:
        if self._making is None or not self._making.done():
            return
        making, self._making = self._making, None
        try:
            self._kept = making.result()
        except Exception as error:
            self._failed(now_ms, error)
            return
        self._failure = ""
        self._pulled_ms = now_ms  # it took as long as it took
        log.debug("snapshot made: %d bytes, up to entry %d", self._kept.size_bytes, self._kept.place.index)

    def _failed(self, now_ms: float, error: Exception) -> None:
        self._counters["snapshot_not_made"] += 1
        self._retry_ms = now_ms + RETRY_MS
        if str(error) != self._failure:
            self._failure = str(error)
            log.error("no snapshot can be made: %s", error)

    # ------------------------------------------------------------ handing out

    def _hand_out(self, kept: Snapshot) -> None:
        budget = TURN_BYTES
        while self._wanted and budget >= self._chunk_bytes:
            budget -= self._chunk_bytes
            peer = next(iter(self._wanted))
            chunk = self._chunk(kept, self._wanted.pop(peer))
            if chunk:
                self._counters["snapshot_chunks_sent"] += 1
                self._send(peer, chunk)
            elif self._kept is None:
                return

    def _chunk(self, kept: Snapshot, pull: Pull) -> Chunk | None:
        name = snapshot_id(kept.sha256)
        offset = pull.offset if pull.snapshot == name else 0  # another one: begin anew, with mine
        if offset >= kept.size_bytes:
            return None
        try:
            data = _read(kept.path, offset, min(self._chunk_bytes, kept.size_bytes - offset))
        except OSError as error:
            self._counters["snapshot_not_read"] += 1
            log.error("a snapshot cannot be read: %s", error)
            self._drop()
            return None
        sha256 = hashlib.sha256(data).digest()
        return Chunk(name, offset, kept.size_bytes, data, sha256, kept.sha256, kept.place)

    def _drop(self) -> None:
        self._kept = None
        left = self._left()
        if left and self._is_clear():
            self._removing = self._work(lambda: remove(left))

    def _is_clear(self) -> bool:
        """Whether nothing is being removed: the next one needs the room."""
        return self._removing is None or self._removing.done()

    def _left(self) -> list[Path]:
        """What this peer ever made here, to be removed."""
        if self._making:
            return []  # its files are in use; the next one to be removed takes them along
        return list(self._directory.glob(f"{self._db_path.stem}-*.snapshot*"))


def room_needed(files_bytes: int) -> int:
    """How much must be free for a snapshot to be made of a database and a WAL of ``files_bytes`` together."""
    return 2 * files_bytes + ROOM_LEFT_BYTES


def _make_if_room(db_path: Path, into: Path) -> Snapshot:
    wal = db_path.with_name(db_path.name + "-wal")
    needed = room_needed(sum(path.stat().st_size for path in (db_path, wal) if path.exists()))
    free = shutil.disk_usage(db_path.parent).free
    if free < needed:
        raise DataDirError(f"{db_path.parent}: {free} bytes free, {needed} are needed", hint="free some space")
    return make_apart(db_path, into)


def _read(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        data = os.pread(file.fileno(), size, offset)
    if len(data) != size:
        raise OSError(f"{path}: shorter than it was")
    return data
