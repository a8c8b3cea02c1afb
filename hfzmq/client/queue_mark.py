"""The mark beside a client's queue: a tiny file that says how far the queue was, so that one that went back is found.

Touches the file ``queue.mark``. Must not know: SQLite, what waits. A queue that lost its WAL, or a part of it to one
bit, looks whole: it has only forgotten what it accepted. Keeps: a mark never says more than the queue had on synced
storage, for it is written after each commit, and never synced: what a power cut takes of it makes it older or torn, and
a torn one is none. So a queue that is behind its mark has lost something, and one without a mark is believed.
"""

from __future__ import annotations

import logging
import os
import struct
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

log = logging.getLogger("hfzmq.client")

_KIND = b"hfzmqqm1"
_BODY = struct.Struct(">8s16sQQ")
_CRC = struct.Struct(">I")


class Mark(NamedTuple):
    """``identity``: which queue, 16 random bytes that were made with it; ``last_id``: of the last row that was put;
    ``writes``: how many transactions that put no row."""

    identity: bytes
    last_id: int
    writes: int


class MarkFile:
    """A mark that is written. OSError: it cannot be made."""

    def __init__(self, directory: Path, mark: Mark) -> None:
        self._identity = mark.identity
        self._descriptor = os.open(mark_path(directory), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._told = False
        try:
            os.ftruncate(self._descriptor, _BODY.size + _CRC.size)
            os.pwrite(self._descriptor, _packed(*mark), 0)
        except BaseException:
            os.close(self._descriptor)
            raise

    def note(self, last_id: int, writes: int) -> None:
        """Write how far the queue is. A mark that the disk does not take is behind, which is no lie: the queue goes on,
        and it is said once."""
        try:
            os.pwrite(self._descriptor, _packed(self._identity, last_id, writes), 0)
        except OSError as error:
            if not self._told:
                log.warning("queue.mark cannot be written: %s", error)
            self._told = True

    def close(self) -> None:
        """Let the file go. May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def mark_path(directory: Path) -> Path:
    """Where the mark of the queue in ``directory`` lies."""
    return directory / "queue.mark"


def read(directory: Path) -> Mark | None:
    """What the mark says; None: there is none, or it is torn. OSError."""
    try:
        data = mark_path(directory).read_bytes()
    except FileNotFoundError:
        return None
    body = data[: _BODY.size]
    if len(data) != _BODY.size + _CRC.size or data[_BODY.size :] != _CRC.pack(crc32(body)):
        return None
    kind, *mark = _BODY.unpack(body)
    return Mark(*mark) if kind == _KIND else None


def lost(mark: Mark | None, found: Mark | None) -> str:
    """What the queue has lost of what its mark says, in words; '' when nothing. ``found``: what the queue itself says;
    None: there is none, or it is empty."""
    if mark is None:
        return ""
    if found is None:
        return "queue.db is gone, or empty"
    if found.identity != mark.identity:
        return "queue.db is another one than queue.mark was written for"
    rows, writes = mark.last_id - found.last_id, mark.writes - found.writes
    gone = [f"the last {rows} rows put into it" if rows > 1 else "the last row put into it"] if rows > 0 else []
    gone += [f"its last {writes} other writes" if writes > 1 else "its last other write"] if writes > 0 else []
    several = len(gone) > 1 or max(rows, writes) > 1
    return f"{' and '.join(gone)} {'are' if several else 'is'} gone" if gone else ""


def _packed(identity: bytes, last_id: int, writes: int) -> bytes:
    body = _BODY.pack(_KIND, identity, last_id, writes)
    return body + _CRC.pack(crc32(body))
