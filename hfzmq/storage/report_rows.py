"""Risk reports as rows: what applying writes, and their checksum.

Touches nothing: rows in, rows out. Must not know: transactions, when a row is written. Keeps: a changed ``alert_sent``
has its row's checksum made anew.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

from hfzmq.storage.checksums import Row

INSERT_REPORT = "INSERT INTO risk_reports VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
SELECT_REPORTS = "SELECT * FROM risk_reports WHERE id > ? ORDER BY id LIMIT ?"
SELECT_REPORT = "SELECT * FROM risk_reports WHERE id = ?"
UPDATE_ALERT_SENT = "UPDATE risk_reports SET alert_sent = ?, crc = ? WHERE id = ?"

_ALERT_SENT_AT = 10  # of the columns
_NUMBERS = struct.Struct(">QqddddqddqqQ")
_NO_DAY = -(1 << 63)
_NONE = float("nan")


def report_crc(row: Row) -> int:
    """Over a row without its checksum; numbers as SQLite gives them back: it knows no negative zero."""
    number, patient, stamp, age, sodium, creatinine, ejection, day, chance, tier, *more = row
    alert, study, model, flags, *rest = more
    numbers = _NUMBERS.pack(
        number,
        stamp,
        _NONE if age is None else age + 0.0,
        _NONE if sodium is None else sodium + 0.0,
        _NONE if creatinine is None else creatinine + 0.0,
        _NONE if ejection is None else ejection + 0.0,
        _NO_DAY if day is None else day,
        chance + 0.0,
        study + 0.0,
        alert,
        *rest,
    )
    return zlib.crc32(f"{patient}\0{tier}\0{model}\0{flags}".encode(), zlib.crc32(numbers))


def report_row(*values: Any) -> Row:
    """For INSERT_REPORT: ``values`` are all columns but the checksum. ValueError for values that no column takes."""
    try:
        return (*values, report_crc(values))
    except (TypeError, struct.error) as error:
        raise ValueError(f"report {values[0]} is none: {error}") from error


def alerted_row(report: Row) -> Row:
    """For UPDATE_ALERT_SENT: an alarm was raised for a row of SELECT_REPORT."""
    changed = (*report[:_ALERT_SENT_AT], 1, *report[_ALERT_SENT_AT + 1 : -1])
    return 1, report_crc(changed), report[0]
