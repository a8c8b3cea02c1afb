"""The mark: a second, tiny file that says how far the database was, so that a database which is behind is found out.

Touches the disk. Must not know: SQLite, the tables. A database that lost its WAL, or was rolled back to an older copy,
looks whole: nothing in it is wrong, it has only forgotten what it promised. Keeps: what a mark says on the disk, after
whatever crash, the database had on *synced* storage before: it is written after each commit, and before a commit that
cuts the log it is lowered and synced; so it never makes a whole database look forgetful. It is synced before a changed
term or vote is reported, at each start, and else within SYNC_MS of writing on or at the next idle moment.

Two slots, in two blocks of the disk. Written is always the one that does not hold what was synced last: a torn write
costs what was not promised yet, no more.

    slot A: synced -- note --> slot B: written, written again ... -- sync --> slot B: synced -- note --> slot A ...
"""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hfzmq.core.types import CHAIN_START
from hfzmq.storage.checksums import Damaged
from hfzmq.storage.directory import FILE_MODE

SYNC_MS = 250  # how far behind the mark on the disk may be while entries are written; a sync costs what a commit does
SLOT_BYTES = 4096  # apart, so that one bad block costs one slot
_KIND = b"hfzmqmk1"
_SLOT = struct.Struct(">8sQ16sQQqQ16sQ")
_CRC = struct.Struct(">I")


class Mark(NamedTuple):
    """What the database had: ``incarnation`` (16 bytes), the start's number, the hard state, the last entry of the log
    and its chain (16 bytes), and how many transactions were counted (``probe``)."""

    incarnation: bytes
    boot_no: int
    term: int
    vote: int
    last_index: int
    chain: bytes
    probe: int


def mark_path(path: Path) -> Path:
    """Where the mark of the database at ``path`` lies."""
    return path.with_suffix(".mark")


class MarkFile:
    """A mark on the disk; made by ``create`` or ``open``. OSError from any method: the disk failed. One thread."""

    def __init__(self, descriptor: int, mark: Mark, number: int, slot: int) -> None:
        self.mark = mark
        self._descriptor = descriptor
        self._number = number
        self._synced_slot = slot
        self._dirty = False
        self._synced_at = time.monotonic()

    @classmethod
    def create(cls, path: Path, mark: Mark) -> MarkFile:
        """Write the first mark of a new database, synced; its directory is for the caller to sync."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            os.pwrite(descriptor, _packed(mark, 1).ljust(2 * SLOT_BYTES, b"\0"), 0)
            os.fsync(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, mark, 1, 0)

    @classmethod
    def open(cls, path: Path) -> MarkFile | None:
        """The mark that was written last; None where there is no file. Damaged: neither slot can be read."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            number, mark, slot = _newest(descriptor)
            os.fdatasync(descriptor)  # the life before may have ended before it was synced: from here on it is
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, mark, number, slot)

    def note(self, mark: Mark) -> None:
        """Write what the database has synced. Costs a write to the system's cache."""
        if mark != self.mark:
            self._write(mark)

    def sync(self) -> None:
        """Bring what was noted to synced storage."""
        if self._dirty:
            os.fdatasync(self._descriptor)
            self._synced_slot = 1 - self._synced_slot
            self._dirty = False
        self._synced_at = time.monotonic()

    def sync_when_due(self) -> None:
        """Sync, if the last time is SYNC_MS ago."""
        if self._dirty and (time.monotonic() - self._synced_at) * 1000 >= SYNC_MS:
            self.sync()

    def close(self) -> None:
        """Let the file go. Twice is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def lower(self, index: int, chain: bytes) -> None:
        """To be called before the log is cut down to ``index``: the mark first, synced, or the cut would look like a
        loss."""
        if index < self.mark.last_index:
            self.note(self.mark._replace(last_index=index, chain=chain))
            self.sync()

    def loosen(self) -> None:
        """To be called before another file takes the database's place: from here on only the incarnation, the start,
        term and vote are held against it. Synced."""
        self.note(self.mark._replace(last_index=0, chain=CHAIN_START, probe=0))
        self.sync()

    def _write(self, mark: Mark) -> None:
        self._number += 1
        os.pwrite(self._descriptor, _packed(mark, self._number), (1 - self._synced_slot) * SLOT_BYTES)
        self.mark = mark
        self._dirty = True


def read(path: Path) -> Mark | None:
    """What the mark at ``path`` says, whoever writes it; None where there is none. Damaged, OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return _newest(descriptor)[1]
    finally:
        os.close(descriptor)


def _newest(descriptor: int) -> tuple[int, Mark, int]:
    """(number, mark, slot) of what was written last."""
    found = [_unpacked(os.pread(descriptor, _SLOT.size + 4, slot * SLOT_BYTES)) for slot in (0, 1)]
    slots = [(*one, slot) for slot, one in enumerate(found) if one is not None]
    if not slots:
        raise Damaged("the mark: neither of its slots can be read")
    return max(slots)


def behind(mark: Mark, found: Mark, chain_at: Callable[[int], bytes | None]) -> str:
    """What the database has forgotten of what its mark says, in words; '' when nothing. ``found``: the mark that would
    be written for the database as it is; ``chain_at`` gives the chain of an entry, None for one that is compacted."""
    if found.incarnation != mark.incarnation:
        return "it is the mark of another incarnation"
    if found.boot_no < mark.boot_no:
        return f"start {found.boot_no}, but {mark.boot_no} were counted"
    if found.term < mark.term:
        return f"term {found.term}, but it had reached {mark.term}"
    if found.term == mark.term and mark.vote not in (0, found.vote):
        return f"vote {found.vote} in term {mark.term}, but it had voted for {mark.vote}"
    if found.last_index < mark.last_index:
        return f"the log ends with {found.last_index}, but it had reached {mark.last_index}"
    if chain_at(mark.last_index) not in (None, mark.chain):
        return f"entry {mark.last_index} of the log is another one than it was"
    if found.probe < mark.probe:
        return f"{found.probe} transactions, but {mark.probe} were counted"
    return ""


def _packed(mark: Mark, number: int) -> bytes:
    data = _SLOT.pack(_KIND, number, *mark)
    return data + _CRC.pack(zlib.crc32(data))


def _unpacked(slot: bytes) -> tuple[int, Mark] | None:
    data = slot[: _SLOT.size]
    if len(slot) != _SLOT.size + _CRC.size or slot[_SLOT.size :] != _CRC.pack(zlib.crc32(data)):
        return None
    kind, number, *fields = _SLOT.unpack(data)
    return (number, Mark(*fields)) if kind == _KIND else None
