"""What SQLite is about to drop: the -wal file read before SQLite opens it.

Touches the disk, reading only. Must not know: the tables, the mark. SQLite takes a WAL's frames up to the first whose
checksum fails and drops the rest without a word. After a power cut that is right: the frames of the transactions that
were not synced yet are missing or torn. After a flipped bit it is wrong: transactions that were synced and promised go.
Keeps: a log is DAMAGED only on proof that the bad frame's own transaction was synced; so no power cut is ever called
damage.

    ABSENT (no file, or nothing in it)   CLEAN (every frame holds)   TORN (the last one or two transactions are not
                                                                           whole)                               DAMAGED

What proves it. The store leaves at most one transaction in a row unsynced (an Apply alone), and syncs the next one. So
when a second transaction after a bad frame's own was begun, that one was synced, by itself or with the next. Two later
ones must be seen, the frames from the first to the beginning of the second without a break: else what two power cuts
have left behind one another, one later transaction each, would be added up.

How a later one is seen. A frame's checksum continues the one of the frame before. Whoever wrote frame i + 1 knew frame
i's: so frame i + 1 still verifies when the sum is begun with the one that stands in frame i, however many frames before
are bad. When frame i ends a transaction, frame i + 1 belongs to a later one. Frames that an older, longer transaction
left behind cannot be mistaken for that: they follow from frames which have been overwritten.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

ABSENT, CLEAN, TORN, DAMAGED = "absent", "clean", "torn", "damaged"

_MAGIC = 0x377F0682  # the lowest bit says that checksums are over big-endian words
_VERSION = 3007000
_HEADER = struct.Struct(">IIIIIIII")  # magic, version, page bytes, checkpoint number, two salts, two checksums
_FRAME = struct.Struct(">IIIIII")  # page number, database's pages after a commit or 0, two salts, two checksums
_PAGE_BYTES_DEFAULT = 4096
_MASK = 0xFFFFFFFF

Sum = tuple[int, int]


class Scan(NamedTuple):
    """``frames``: how many whole frames SQLite will take, up to the last commit; they are so many ``transactions``.
    ``why``: for DAMAGED, in words."""

    verdict: str
    frames: int
    why: str = ""
    transactions: int = 0


def wal_path(path: Path) -> Path:
    """Where the WAL of the database at ``path`` lies."""
    return path.with_name(path.name + "-wal")


def size_of(path: Path) -> int:
    """Bytes of the WAL of the database at ``path``, 0 where there is none."""
    try:
        return wal_path(path).stat().st_size
    except FileNotFoundError:
        return 0


def scan(path: Path) -> Scan:
    """Judge the WAL of the database at ``path``. OSError when it cannot be read."""
    try:
        content = wal_path(path).read_bytes()
    except FileNotFoundError:
        return Scan(ABSENT, 0)
    if not content:
        return Scan(ABSENT, 0)
    header = _header_of(content)
    if header is None:
        return _headless(_Frames(content, _PAGE_BYTES_DEFAULT, "<"), path)
    page_bytes, order, salts, start = header
    frames = _Frames(content, page_bytes, order)
    return _judge(frames, salts, start)


def checksum(data: bytes, start: Sum, order: str) -> Sum:
    """SQLite's WAL checksum of ``data`` (a multiple of 8 bytes), continued from ``start``; ``order``: '<' or '>'."""
    first, second = start
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for even, odd in zip(words, words, strict=True):
        first += even + second  # the mask waits for the end: the numbers stay below 1,000 bits
        second += odd + first
    return first & _MASK, second & _MASK


class _Frames:
    """The frames of a WAL, from 0 on; what is left of a last one that is not whole does not count."""

    def __init__(self, content: bytes, page_bytes: int, order: str) -> None:
        self._content = content
        self._size = _FRAME.size + page_bytes
        self._order = order
        self.count = max(0, len(content) - _HEADER.size) // self._size
        self._heads: list[tuple[int, ...]] = [
            _FRAME.unpack_from(content, self._at(number)) for number in range(self.count)
        ]

    def _at(self, number: int) -> int:
        return _HEADER.size + number * self._size

    def page_number(self, number: int) -> int:
        return self._heads[number][0]

    def commits(self, number: int) -> bool:
        """Whether the frame says that it ends a transaction."""
        return self._heads[number][1] != 0

    def salts(self, number: int) -> Sum:
        head = self._heads[number]
        return head[2], head[3]

    def stored(self, number: int) -> Sum:
        """The checksum that stands in the frame."""
        head = self._heads[number]
        return head[4], head[5]

    def page(self, number: int) -> bytes:
        return self._content[self._at(number) + _FRAME.size : self._at(number + 1)]

    def computed(self, number: int, start: Sum) -> Sum:
        """The frame's checksum, continued from ``start``."""
        at = self._at(number)
        return checksum(self._content[at : at + 8] + self.page(number), start, self._order)

    def follows(self, number: int, start: Sum) -> bool:
        """Whether the frame verifies after one with the checksum ``start``."""
        return self.page_number(number) != 0 and self.computed(number, start) == self.stored(number)


def _header_of(content: bytes) -> tuple[int, str, Sum, Sum] | None:
    """(page size, word order, salts, checksum), or None for a header that SQLite will not take."""
    if len(content) < _HEADER.size:
        return None
    magic, version, page_bytes, _, salt_1, salt_2, sum_1, sum_2 = _HEADER.unpack_from(content)
    if magic & ~1 != _MAGIC or version != _VERSION:
        return None
    if not 512 <= page_bytes <= 65536 or page_bytes & (page_bytes - 1):
        return None
    order = ">" if magic & 1 else "<"
    if checksum(content[: _HEADER.size - 8], (0, 0), order) != (sum_1, sum_2):
        return None
    return page_bytes, order, (salt_1, salt_2), (sum_1, sum_2)


def _judge(frames: _Frames, salts: Sum, start: Sum) -> Scan:
    """The WAL has a good header. Frames with other salts are what an earlier round left."""
    taken = transactions = 0
    bad = frames.count
    running = start
    for number in range(frames.count):
        if frames.salts(number) != salts or not frames.follows(number, running):
            bad = number
            break
        running = frames.stored(number)
        if frames.commits(number):
            taken, transactions = number + 1, transactions + 1
    proof = _later_transaction(frames, salts, bad, running)
    if proof is not None:
        return Scan(
            DAMAGED,
            taken,
            f"frame {bad + 1} of the WAL is damaged, frame {proof + 1} was committed after it",
            transactions,
        )
    whole = taken == bad and (bad == frames.count or frames.salts(bad) != salts)
    return Scan(CLEAN if whole else TORN, taken, "", transactions)


def _later_transaction(frames: _Frames, salts: Sum, bad: int, running: Sum) -> int | None:
    """The first frame that proves two transactions after the one that the bad frame belongs to."""
    for number in range(bad, frames.count - 1):
        if not frames.commits(number) or frames.salts(number + 1) != salts:
            continue
        before = running if number == bad else frames.stored(number - 1)
        own = frames.computed(number, before)
        # The next frame knows the sum of this one as it is, so that its word of being a commit is its own; beside the
        # sum that merely stands in it, a torn write may have left that word.
        if frames.follows(number + 1, own):
            second = _next_transaction(frames, salts, number + 1)
            if second is not None:
                return second
    return None


def _next_transaction(frames: _Frames, salts: Sum, first: int) -> int | None:
    """Where the transaction after the one that begins at ``first`` begins; None where the frames up to there break."""
    for number in range(first, frames.count - 1):
        if frames.salts(number + 1) != salts or not frames.follows(number + 1, frames.stored(number)):
            return None
        if frames.commits(number):
            return number + 1
    return None


def _headless(frames: _Frames, path: Path) -> Scan:
    """SQLite will drop the whole WAL. That is right when its header was torn as a new round began, for then all that
    the frames hold is in the database already; else it is damage."""
    salts, last = None, -1
    for number in range(frames.count - 1):
        same = frames.salts(number) == frames.salts(number + 1) and salts in (None, frames.salts(number))
        if same and frames.follows(number + 1, frames.stored(number)):
            salts = frames.salts(number)
            last = max(last, number if frames.commits(number) else -1, number + 1 if frames.commits(number + 1) else -1)
    if salts is None and frames.count and frames.commits(0):
        last, salts = 0, frames.salts(0)  # one frame alone cannot be verified; the database tells whether it matters
    if salts is None or last < 0:
        return Scan(TORN, 0)
    newest = {frames.page_number(n): n for n in range(last + 1) if frames.salts(n) == salts}
    with path.open("rb") as database:
        for page_number, number in newest.items():
            page = frames.page(number)
            database.seek((page_number - 1) * len(page) if page_number else 0)
            if database.read(len(page)) != page:
                return Scan(DAMAGED, 0, f"the WAL's header is damaged, and page {page_number} is newer in its frames")
    return Scan(TORN, 0)
