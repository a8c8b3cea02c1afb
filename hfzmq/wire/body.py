"""The body of a log entry of kind BATCH: when the leader took the batch in, and the client's rows as they came.

    1 byte: format (1) | 8 bytes: the leader's stamp, Unix milliseconds UTC, big-endian | the packed rows

Touches nothing. Must not know: the log, storage. Keeps: the rows are never packed anew, so that every peer stores the
very bytes the leader checked; a body of an unknown format is refused, for guessing would store something else.
"""

from __future__ import annotations

import struct
from typing import Any

from hfzmq.clinical.report import Report
from hfzmq.errors import WireError
from hfzmq.wire.rows import unpack_rows

FORMAT = 1
STAMP_MS_MAX = (1 << 63) - 1  # what SQLite keeps

_HEAD = struct.Struct(">BQ")
_FIELDS = len(Report._fields)


def encode_body(created_at_ms: int, rows: bytes) -> bytes:
    """The body for ``rows`` (a packed array of checked rows) that the leader took in at ``created_at_ms``."""
    if not 0 <= created_at_ms <= STAMP_MS_MAX:
        raise WireError("created_at_ms", f"0 to {STAMP_MS_MAX}")
    return _HEAD.pack(FORMAT, created_at_ms) + rows


def decode_body(body: bytes) -> tuple[int, list[list[Any]]]:
    """(the leader's stamp in ms, the rows in the order of ``Report``'s fields); WireError for anything else.

    The shape is checked, the values are not: the leader did that before the entry was proposed."""
    if len(body) < _HEAD.size:
        raise WireError("body", f"at least {_HEAD.size} bytes")
    version, created_at_ms = _HEAD.unpack_from(body)
    if version != FORMAT:
        raise WireError("body", f"format {FORMAT}", hint=f"format {version} was written by another version of hfzmq")
    if created_at_ms > STAMP_MS_MAX:
        raise WireError("created_at_ms", f"0 to {STAMP_MS_MAX}")
    rows: list[list[Any]] = []
    for row in unpack_rows(body[_HEAD.size :]):
        if not isinstance(row, list) or len(row) != _FIELDS:
            raise WireError("row", f"an array of {_FIELDS} fields")
        rows.append(row)
    return created_at_ms, rows
