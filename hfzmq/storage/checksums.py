"""The checksum that a row carries as its last column: made when it is written, looked at when it is read.

Touches nothing. Must not know: tables, what a row means. Keeps: a row that was altered, or whose columns are of other
types than were written, raises Damaged and never becomes a value. (Tables that grow fast have checksums of their own:
report_rows, reading_rows.)
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

Row = tuple[Any, ...]


class Damaged(Exception):
    """A stored row is not what was written; caught in ``recovery``, which names the place."""


def crc_of(values: Sequence[object]) -> int:
    """The checksum of a row without it: crc32 over each value's type, length and bytes, so that no two different rows
    share their text."""
    texts = []  # encoded at once: a snapshot is in force only when each row of each bed was checked, twice
    for value in values:
        if value.__class__ is bytes:
            return _crc_of_parts(values)
        text = str(value)
        texts.append(f"{value.__class__.__name__[0]}{len(text) if text.isascii() else len(text.encode())}:{text}")
    return zlib.crc32("".join(texts).encode())


def _crc_of_parts(values: Sequence[object]) -> int:
    parts = []
    for value in values:
        data = value if isinstance(value, bytes) else str(value).encode()
        parts.append(b"%s%d:%s" % (type(value).__name__[:1].encode(), len(data), data))
    return zlib.crc32(b"".join(parts))


def sealed(*values: object) -> Row:
    """The values and their checksum."""
    return (*values, crc_of(values))


def unsealed(row: Row | None, columns: int) -> Row:
    """The row without its checksum; Damaged when it is missing, of other than ``columns`` columns, or altered."""
    if row is None:
        raise Damaged("the row is missing")
    if len(row) != columns + 1 or crc_of(row[:-1]) != row[-1]:
        raise Damaged("wrong checksum")
    return row[:-1]


def unsealed_as(row: Row | None, *types: type) -> Row:
    """Likewise, with exactly these types."""
    if row is None:
        raise Damaged("the row is missing")
    values = row[:-1]
    if tuple(map(type, values)) != types or crc_of(values) != row[-1]:
        raise Damaged("wrong checksum")
    return values
