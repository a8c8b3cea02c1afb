"""The body of a log entry of kind BATCH: what it brings, when the leader took it in, and the rows.

    1 byte: format | 8 bytes: the leader's stamp, Unix milliseconds UTC, big-endian | the packed rows

    1 REPORTS: the client's rows as they came    2 READINGS: the client's rows with the leader's verdicts
    3 FACTS: what the alarms are told (wire/facts.py)    4 ACCESS: keys issued and revoked (wire/access.py)

Touches nothing. Must not know: the log, storage. Keeps: reports are never packed anew, so that every peer stores the
very bytes the leader checked; a body of an unknown format is refused, for guessing would store something else.
"""

from __future__ import annotations

import struct
from typing import Any

from hfzmq.clinical.report import Report
from hfzmq.errors import WireError
from hfzmq.wire.readings import JudgedReading, judged_reading
from hfzmq.wire.rows import unpack_rows

REPORTS, READINGS, FACTS, ACCESS = 1, 2, 3, 4
FORMATS = (REPORTS, READINGS, FACTS, ACCESS)
STAMP_MS_MAX = (1 << 63) - 1  # what SQLite keeps

_HEAD = struct.Struct(">BQ")
_FIELDS = len(Report._fields)


def encode_body(created_at_ms: int, rows: bytes, body_format: int = REPORTS) -> bytes:
    """The body for ``rows`` (a packed array of checked reports, of judged readings or of facts) that the leader took in
    at ``created_at_ms``."""
    if not 0 <= created_at_ms <= STAMP_MS_MAX:
        raise WireError("created_at_ms", f"0 to {STAMP_MS_MAX}")
    return _HEAD.pack(body_format, created_at_ms) + rows


def format_of(body: bytes) -> int:
    """What a body brings: one of FORMATS; WireError for anything else."""
    if len(body) < _HEAD.size:
        raise WireError("body", f"at least {_HEAD.size} bytes")
    if body[0] not in FORMATS:
        known = ", ".join(map(str, FORMATS))
        raise WireError("body", f"format {known}", hint=f"format {body[0]} was written by another version of hfzmq")
    return body[0]


def decode_body(body: bytes) -> tuple[int, list[list[Any]]]:
    """(the leader's stamp in ms, the rows in the order of ``Report``'s fields); WireError for anything else.

    The shape is checked, the values are not: the leader did that before the entry was proposed."""
    created_at_ms, packed = split_body(body, REPORTS)
    rows = unpack_rows(packed)
    if rows and ({*map(type, rows)} != {list} or {*map(len, rows)} != {_FIELDS}):  # type: ignore[arg-type]  # all lists
        raise WireError("row", f"an array of {_FIELDS} fields")
    return created_at_ms, rows  # type: ignore[return-value]  # each was just seen to be a list


def decode_readings(body: bytes) -> tuple[int, list[JudgedReading]]:
    """(the leader's stamp in ms, the readings with their verdicts); WireError for anything else. As ``decode_body``."""
    created_at_ms, packed = split_body(body, READINGS)
    return created_at_ms, [judged_reading(row) for row in unpack_rows(packed)]


def split_body(body: bytes, expected: int) -> tuple[int, bytes]:
    """(the leader's stamp in ms, what is packed behind it) of a body of the format ``expected``; WireError for anything
    else."""
    if format_of(body) != expected:
        raise WireError("body", f"format {expected}")
    _, created_at_ms = _HEAD.unpack_from(body)
    if created_at_ms > STAMP_MS_MAX:
        raise WireError("created_at_ms", f"0 to {STAMP_MS_MAX}")
    return created_at_ms, body[_HEAD.size :]
