"""Risk reports as rows: what applying writes, and their checksum.

Touches nothing: rows in, rows out. Must not know: transactions, when a row is written. Keeps: a changed ``alert_sent``
has its row's checksum made anew. What one transaction brings is made column by column, without a line of Python for
each row: that takes a third of the time.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from operator import add
from typing import Any

from hfzmq.storage.checksums import Row

INSERT_REPORT = "INSERT INTO risk_reports VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
SELECT_REPORTS = "SELECT * FROM risk_reports WHERE id > ? ORDER BY id LIMIT ?"
SELECT_REPORT = "SELECT * FROM risk_reports WHERE id = ?"
UPDATE_ALERT_SENT = "UPDATE risk_reports SET alert_sent = ?, crc = ? WHERE id = ?"

_ALERT_SENT_AT, _NOT_ALERTED = 10, 0  # where it stands among the columns; what a new row has there
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


def report_rows(
    first_id: int, reports: Sequence[Sequence[Any]], stamps: Sequence[int], indexes: Sequence[int]
) -> list[Row]:
    """For INSERT_REPORT: ``reports``, each in the order of Report's fields, numbered from ``first_id`` on; of each its
    leader's stamp (ms) and its log index. ValueError for values that no column takes."""
    if not reports:
        return []
    ids = range(first_id, first_id + len(reports))
    patients, times, ages, sodium, creatinine, ejection, days, chances, tiers, study, models, flags = zip(
        *reports, strict=True
    )
    alerts = [_NOT_ALERTED] * len(reports)
    columns = (
        ids, patients, times, ages, sodium, creatinine, ejection, days, chances, tiers, alerts, study, models, flags,
        stamps, indexes,
    )  # fmt: skip
    try:  # as report_crc, each step of it for all rows
        vitals = map(_vitals_as_stored, (ages, sodium, creatinine, ejection))
        whole_days = [_NO_DAY if day is None else day for day in days] if None in days else days
        judged = map(_as_stored, (chances, study))
        numbers = map(_NUMBERS.pack, ids, times, *vitals, whole_days, *judged, alerts, stamps, indexes)
        texts = map(str.encode, map("\0".join, zip(patients, tiers, models, flags, strict=True)))
        crcs = list(map(zlib.crc32, map(add, numbers, texts)))
    except (TypeError, struct.error):  # one is no report: which?
        return [_sealed(row) for row in zip(*columns, strict=True)]
    return list(zip(*columns, crcs, strict=True))


def _vitals_as_stored(column: Sequence[Any]) -> Sequence[Any]:
    return [_NONE if value is None else value + 0.0 for value in column] if None in column else _as_stored(column)


def _as_stored(column: Sequence[Any]) -> Sequence[Any]:
    """Reals as SQLite gives them back. ``_NUMBERS`` takes whole numbers for them as well; so it is about -0.0 alone."""
    return [value + 0.0 for value in column] if 0.0 in column else column


def _sealed(row: Row) -> Row:
    try:
        return (*row, report_crc(row))
    except (TypeError, struct.error) as error:
        raise ValueError(f"report {row[0]} is none: {error}") from error


def alerted_row(report: Row) -> Row:
    """For UPDATE_ALERT_SENT: an alarm was raised for a row of SELECT_REPORT."""
    changed = (*report[:_ALERT_SENT_AT], 1, *report[_ALERT_SENT_AT + 1 : -1])
    return 1, report_crc(changed), report[0]
