"""A packed array of rows: put together from packed rows, and taken apart without trust, flat row by flat row.

Touches nothing. Keeps: no nested value survives, so that 1 MiB of ``[[[[...`` or ``[[],[],[],...`` costs no more memory
than 1 MiB of rows; nothing but WireError is raised. Most arrays are taken apart at once; where something in one is
not flat or not right, it is done again, bit by bit: that says what.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import msgpack

from hfzmq.errors import WireError
from hfzmq.wire.fields import arrays_at_most

_FIELDS_MAX = 64  # of one row: more than a report has, so that a row with one field too many is refused by itself
# So many rows are taken apart by one call, with the array around them: faster for few. Among more, a nested array might
# promise as many items, at each of msgpack's 1,024 levels, and take 8 bytes for each.
IN_ONE_CALL = 512
_ERRORS = (ValueError, TypeError, OverflowError, RecursionError, msgpack.exceptions.UnpackException)


def pack_row(row: Sequence[object]) -> bytes:
    """One row by itself, as it will stand in a batch; WireError when msgpack cannot carry a value."""
    try:
        packed: bytes = msgpack.packb(tuple(row), use_bin_type=True)
    except (*_ERRORS, msgpack.exceptions.PackException) as error:
        raise WireError("row", "values that msgpack can carry", hint=str(error)[:80]) from None
    return packed


def join_rows(packed: Sequence[bytes]) -> bytes:
    """The array of rows that were packed one by one: equal to packing them together, without unpacking any."""
    count = len(packed)
    if count < 16:
        head = bytes((0x90 | count,))
    elif count < 1 << 16:
        head = b"\xdc" + count.to_bytes(2, "big")
    else:
        head = b"\xdd" + count.to_bytes(4, "big")
    return head + b"".join(packed)


def count_rows(data: bytes, *, field: str = "rows") -> int:
    """How many rows the head of ``data`` promises, without unpacking them; WireError when it is no array's head."""
    return _head(data, field)[0]


def unpack_rows(data: bytes, *, field: str = "rows") -> list[object]:
    """The items of the array ``data``: a flat list each, or whatever else stood there (no list). WireError else."""
    count, start = _head(data, field)
    if count > len(data) - start:  # every item takes a byte at least
        raise WireError(field, "as many rows as its head says")
    return _at_once(data, count, start) or _bit_by_bit(data, count, start, field)


def _at_once(data: bytes, count: int, start: int) -> list[object] | None:
    """The rows where each of them is a flat list, in less than half the time; None: perhaps they are not.

    Each item is an array, and there are no more arrays than these (and the one around them): then none is nested."""
    try:
        if count <= IN_ONE_CALL:
            rows: list[object] = msgpack.unpackb(
                data,
                raw=False,
                max_array_len=max(count, _FIELDS_MAX),
                max_map_len=0,
                max_ext_len=0,
                list_hook=arrays_at_most(count + 1),
            )
        else:
            unpacker = _unpacker(data, start, arrays_at_most(count))
            rows = list(islice(unpacker, count))
            if len(rows) != count or unpacker.tell() != len(data) - start:
                return None
    except _ERRORS:
        return None
    if {*map(type, rows)} != {list} or max(map(len, rows)) > _FIELDS_MAX:  # type: ignore[arg-type]  # all lists
        return None
    return rows


def _bit_by_bit(data: bytes, count: int, start: int, field: str) -> list[object]:
    try:
        unpacker = _unpacker(data, start, _flat)
        rows = [unpacker.unpack() for _ in range(count)]
        used = unpacker.tell()
    except WireError:
        raise WireError(field, "rows of plain values", hint="no array inside a row") from None
    except _ERRORS as error:
        raise WireError(field, "a msgpack array of rows", hint=str(error)[:80]) from None
    if used != len(data) - start:
        raise WireError(field, "nothing after the last row")
    return rows


def _unpacker(data: bytes, start: int, list_hook: Callable[[list[Any]], list[Any]]) -> Any:
    """One that gives the items of an array, whose first is at ``start``."""
    unpacker = msgpack.Unpacker(
        raw=False,
        max_buffer_size=len(data),
        max_array_len=_FIELDS_MAX,
        max_map_len=0,
        max_ext_len=0,
        list_hook=list_hook,
    )
    unpacker.feed(data[start:])
    return unpacker


def _flat(items: list[object]) -> list[object]:
    # Called for the innermost array first: the first array that holds one ends the work.
    if list in map(type, items):
        raise WireError("row", "plain values")
    return items


def _head(data: bytes, field: str) -> tuple[int, int]:
    """(the number of items, where the first one starts) of a msgpack array; see the msgpack specification, 'array'."""
    if data:
        kind = data[0]
        if 0x90 <= kind <= 0x9F:
            return kind & 0x0F, 1
        if kind == 0xDC and len(data) >= 3:
            return int.from_bytes(data[1:3], "big"), 3
        if kind == 0xDD and len(data) >= 5:
            return int.from_bytes(data[1:5], "big"), 5
    raise WireError(field, "a msgpack array of rows")
