"""Pulling a snapshot: piece by piece, written aside, checked piece by piece and as a whole.

Touches the disk, threads. Must not know: why it is wanted, what becomes of it. Keeps: ``complete`` names a file whose
bytes hash to what its source said, synced; a piece that is late, doubled, out of order, of another snapshot or altered
changes nothing. After a crash, or from another source, the pull goes on where it was, if that has the same snapshot;
what nobody asked to go on with for TIDY_MS after a start is removed. Large files are removed in a thread, too.

    idle --fetch--> pulling --last piece--> checking (in a thread) --> ready --forget--> idle
                       ^-------------whole is wrong: counted----'
"""

from __future__ import annotations

import json
import logging
import math
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hfzmq.core.types import CHAIN_BYTES, Place
from hfzmq.daemon.worker import POLL_MS, Work, remove
from hfzmq.storage.directory import DIRECTORY_MODE, FILE_MODE
from hfzmq.storage.snapshot import sync_and_hash
from hfzmq.wire.transfer import ANY_SNAPSHOT, SHA_BYTES, Chunk, Pull, snapshot_id

ASK_AGAIN_MS = 200
ASK_AGAIN_MS_MAX = 2_000
STALLED_ASKS = 3  # so many without a piece of this one, and an older one is taken
TIDY_MS = 300_000  # for what an earlier life has pulled: its peer may be served by the log by now
ROOM_LEFT_BYTES = 32 << 20  # on the disk that the log is written to, after the snapshot is there

log = logging.getLogger("hfzmq.transfer")


@dataclass(frozen=True, slots=True)
class Part:
    """What is there of a snapshot: the first ``have`` of its ``total`` bytes, in ``path``."""

    path: Path
    whole_sha256: bytes
    total: int
    place: Place
    have: int = 0

    @property
    def name(self) -> bytes:
        """The snapshot's id."""
        return snapshot_id(self.whole_sha256)


class Incoming:
    """At most one pull, into ``directory``, of files whose names begin with ``stem``."""

    def __init__(
        self, directory: Path, stem: str, send: Callable[[int, Pull], None], counters: Counter[str], work: Work
    ) -> None:
        self._directory = directory
        self._stem = stem
        self._send = send
        self._counters = counters
        self._work = work
        self._source = 0
        self._beyond = 0
        self._part: Part | None = None
        self._removing: Future[None] | None = None
        self._tidy_ms = -math.inf if self._left() else math.inf  # -inf: TIDY_MS after the first tick
        self._checking: Future[tuple[int, bytes]] | None = None
        self._ready = False
        self._ask_ms = math.inf
        self._wait_ms = float(ASK_AGAIN_MS)
        self._asks = 0  # since the last piece
        self._complaint = ""

    def fetch(self, now_ms: float, source: int, beyond: int) -> None:
        """Pull what ``source`` has, if it reaches beyond the entry ``beyond``. Saying it again changes nothing."""
        self._tidy_ms = math.inf
        if not self._source:
            self._part = self._found()
        if self._part and self._part.place.index <= beyond and not self._ready:
            self._discard()
        self._beyond = beyond
        if source == self._source:
            return
        self._source = source
        if self._part and self._part.have == self._part.total:
            self._check()
        elif not self._checking and not self._ready:
            self._ask_anew(now_ms)

    def complete(self) -> tuple[Path, Place] | None:
        """The whole snapshot, once it is there and checked."""
        return (self._part.path, self._part.place) if self._ready and self._part else None

    def forget(self) -> None:
        """Nothing is wanted any more; what was pulled is removed."""
        self._source = 0
        self._ask_ms = math.inf
        self._discard()

    def wake_at_ms(self) -> float:
        """When ``tick`` is due."""
        return min(self._ask_ms, self._tidy_ms)

    def tick(self, now_ms: float) -> None:
        """Ask again, or see whether the whole is what it should be; or remove what is of no use any more."""
        if self._tidy_ms == -math.inf:
            self._tidy_ms = now_ms + TIDY_MS
        elif now_ms >= self._tidy_ms:
            self._tidy_ms = math.inf
            self._discard()
        if self._checking:
            if self._checking.done():
                self._judge(now_ms, self._checking)
            else:
                self._ask_ms = now_ms + POLL_MS
        elif now_ms >= self._ask_ms:
            self._ask(now_ms)

    def arrived(self, now_ms: float, sender: int, chunk: Chunk) -> None:
        """A piece has come."""
        why_not = self._refusal(sender, chunk)
        if why_not:
            self._counters[f"snapshot_chunk_{why_not}"] += 1
            return
        if (self._part is None or self._part.name != chunk.snapshot) and not self._begin(now_ms, chunk):
            return
        if self._write(now_ms, chunk):
            self._counters["snapshot_chunks_taken"] += 1
            self._go_on(now_ms)

    def _refusal(self, sender: int, chunk: Chunk) -> str:
        """Why a piece is of no use; '' when it is the next one."""
        part = self._part
        if sender != self._source or self._checking or self._ready:
            return "unasked"
        if not chunk.is_sound:
            return "corrupt"
        if chunk.place.index <= self._beyond:
            return "old"
        if part is None or chunk.snapshot != part.name:
            if chunk.offset:
                return "out_of_order"
            older = part is not None and chunk.place.index < part.place.index
            return "old" if older and self._asks <= STALLED_ASKS else ""
        if (chunk.total, chunk.whole_sha256, chunk.place) != (part.total, part.whole_sha256, part.place):
            return "corrupt"
        return "" if chunk.offset == part.have else "out_of_order"

    # ------------------------------------------------------------ asking

    def _ask_anew(self, now_ms: float) -> None:
        self._asks = 0
        self._wait_ms = ASK_AGAIN_MS
        self._ask(now_ms)

    def _ask(self, now_ms: float) -> None:
        self._asks += 1
        self._ask_ms = now_ms + self._wait_ms
        self._wait_ms = min(2 * self._wait_ms, ASK_AGAIN_MS_MAX)
        self._send(self._source, Pull(self._part.name, self._part.have) if self._part else Pull(ANY_SNAPSHOT, 0))

    def _later(self, now_ms: float, counter: str, why: object) -> None:
        """Something here does not work: count it, say it once, try again."""
        self._counters[counter] += 1
        self._ask_ms = now_ms + ASK_AGAIN_MS_MAX
        if str(why) != self._complaint:
            self._complaint = str(why)
            log.warning("a snapshot cannot be taken in: %s", why)

    # ------------------------------------------------------------ writing aside

    def _begin(self, now_ms: float, chunk: Chunk) -> bool:
        self._discard()
        if not self._is_clear():
            return False  # the room is needed; it is asked for again
        # A name that was never there: what is still being removed is another file, be it of a life with the same pid.
        path = self._directory / f"{self._stem}-{secrets.token_hex(8)}.part"
        part = Part(path, chunk.whole_sha256, chunk.total, chunk.place)
        try:
            self._directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
            free = shutil.disk_usage(self._directory).free
            if free < chunk.total + ROOM_LEFT_BYTES:
                self._later(now_ms, "snapshot_no_room", f"it has {chunk.total} bytes, {free} are free")
                return False
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))
            self._state_path.write_text(_told(part), encoding="utf-8")
        except OSError as error:
            self._later(now_ms, "snapshot_not_written", error)
            return False
        self._part = part
        return True

    def _write(self, now_ms: float, chunk: Chunk) -> bool:
        assert self._part
        try:
            # Not kept open: SQLite opens this file in the end, and closing it here then would undo SQLite's locks.
            with self._part.path.open("r+b", buffering=0) as file:
                if os.pwrite(file.fileno(), chunk.data, chunk.offset) != len(chunk.data):
                    raise OSError("written in part: is the disk full?")
        except OSError as error:
            self._later(now_ms, "snapshot_not_written", error)
            if isinstance(error, FileNotFoundError):
                self._discard()
            return False
        self._part = replace(self._part, have=chunk.offset + len(chunk.data))
        return True

    def _go_on(self, now_ms: float) -> None:
        assert self._part
        if self._part.have < self._part.total:
            self._ask_anew(now_ms)
        else:
            self._check()
            self._ask_ms = now_ms + POLL_MS

    # ------------------------------------------------------------ the whole

    def _check(self) -> None:
        assert self._part
        path = self._part.path
        self._checking = self._work(lambda: sync_and_hash(path))
        self._ask_ms = -math.inf

    def _judge(self, now_ms: float, checking: Future[tuple[int, bytes]]) -> None:
        assert self._part
        self._checking = None
        try:
            found = checking.result()
        except Exception as error:
            self._discard()
            self._later(now_ms, "snapshot_not_written", error)
            return
        if found == (self._part.total, self._part.whole_sha256):
            self._ready = True
            self._ask_ms = math.inf
            self._complaint = ""
            log.debug("snapshot pulled: %d bytes, up to entry %d", self._part.total, self._part.place.index)
            return
        self._discard()
        self._later(now_ms, "snapshot_corrupt", "as a whole it is not what its source has; it is pulled again")

    # ------------------------------------------------------------ files

    @property
    def _state_path(self) -> Path:
        return self._directory / f"{self._stem}.part.json"

    def _discard(self) -> None:
        self._part = None
        self._ready = False
        self._checking = None
        try:
            self._state_path.unlink(missing_ok=True)
        except OSError:
            self._counters["snapshot_not_written"] += 1
        left = self._left()
        if left and self._is_clear():
            self._removing = self._work(lambda: remove(left))

    def _is_clear(self) -> bool:
        """Whether nothing is being removed."""
        return self._removing is None or self._removing.done()

    def _left(self) -> list[Path]:
        return list(self._directory.glob(f"{self._stem}-*.part*"))

    def _found(self) -> Part | None:
        """What an earlier life has pulled; its whole is checked in the end, so that nothing of it is believed here."""
        try:
            part = _part(json.loads(self._state_path.read_text(encoding="utf-8")), self._directory)
            part = replace(part, have=part.path.stat().st_size)
            if part.path.name.startswith(f"{self._stem}-") and 0 < part.have <= part.total:
                self._counters["snapshot_resumed"] += 1
                return part
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self._discard()
        return None


def _told(part: Part) -> str:
    place = [part.place.index, part.place.term, part.place.chain.hex()]
    told = {"file": part.path.name, "whole": part.whole_sha256.hex(), "total": part.total, "place": place}
    return json.dumps(told)


def _part(told: dict[str, Any], directory: Path) -> Part:
    index, term, chain = told["place"]
    place, whole = Place(int(index), int(term), bytes.fromhex(chain)), bytes.fromhex(told["whole"])
    if len(whole) != SHA_BYTES or len(place.chain) != CHAIN_BYTES:
        raise ValueError("written by somebody else")
    return Part(directory / Path(told["file"]).name, whole, int(told["total"]), place)
