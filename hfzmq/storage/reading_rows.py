"""Heart-rate readings and their alerts as rows: what applying writes, the checksums, how many of each verdict.

Touches nothing: rows in, rows out. Must not know: transactions, when a row is written. Keeps: each reading that is not
valid has one alert, so that the readings' verdicts, counted, say how many rows both tables have and of which kind; a
changed ``resolved_flag`` has its row's checksum made anew.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from hfzmq.clinical.heart_rate import CATEGORIES, CATEGORY_OF, STATUSES, VALID, VERDICTS
from hfzmq.storage.checksums import Row
from hfzmq.wire.readings import JudgedReading

INSERT_READING = "INSERT INTO heartbeats VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
SELECT_READINGS = "SELECT * FROM heartbeats WHERE id > ? ORDER BY id LIMIT ?"
INSERT_ALERT = "INSERT INTO heartbeat_alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
SELECT_ALERTS = "SELECT * FROM heartbeat_alerts WHERE alert_id > ? ORDER BY alert_id LIMIT ?"
UPDATE_RESOLVED = "UPDATE heartbeat_alerts SET resolved_flag = ?, crc = ? WHERE alert_id = ?"

_UNRESOLVED = 0
_RESOLVED_AT = 6  # of an alert's columns
_READING_NUMBERS = struct.Struct(">QqdqQ")
_ALERT_NUMBERS = struct.Struct(">QQqdBqQ")
_NONE = float("nan")
_COUNT = struct.Struct(">Q")
_CATEGORIES = tuple(CATEGORY_OF.get(verdict.status) for verdict in VERDICTS)  # by the verdict's number


class VerdictCounts(tuple[int, ...]):
    """How many readings are stored of each verdict, in the order of VERDICTS."""

    __slots__ = ()

    @property
    def readings(self) -> int:
        """How many rows ``heartbeats`` has: the last one's id."""
        return sum(self)

    @property
    def alerts(self) -> int:
        """How many rows ``heartbeat_alerts`` has: the last one's id."""
        return sum(count for count, category in zip(self, _CATEGORIES, strict=True) if category)

    def by_status(self) -> dict[str, int]:
        """How many readings of each status; all statuses, in their order."""
        found = dict.fromkeys(STATUSES, 0)
        for count, verdict in zip(self, VERDICTS, strict=True):
            found[verdict.status] += count
        return found

    def by_category(self) -> dict[str, int]:
        """How many alerts of each category; all categories, in their order."""
        by_status = self.by_status()
        return dict(zip(CATEGORIES, (by_status[status] for status in STATUSES if status != VALID), strict=True))

    def pack(self) -> bytes:
        """For the column ``verdicts``."""
        return struct.pack(f">{len(self)}Q", *self)

    @classmethod
    def unpack(cls, packed: bytes) -> VerdictCounts:
        """What ``pack`` made; struct.error or ValueError for anything else. What a file of an older version does not
        count yet, it has none of."""
        counts = [count for (count,) in _COUNT.iter_unpack(packed)]
        if len(counts) > len(VERDICTS):
            raise ValueError("counts verdicts that are not known here")
        return cls((*counts, *(0,) * (len(VERDICTS) - len(counts))))


NO_READINGS = VerdictCounts((0,) * len(VERDICTS))


class ReadingRows(NamedTuple):
    """What a batch of readings brings: rows for INSERT_READING and INSERT_ALERT, and the counts after it."""

    readings: list[Row]
    alerts: list[Row]
    counts: VerdictCounts


def rows_of(batch: Sequence[JudgedReading], created_at_ms: int, log_index: int, before: VerdictCounts) -> ReadingRows:
    """The rows of ``batch``, with the ids that follow on those counted in ``before``. ValueError for values that no
    column takes."""
    counts = list(before)
    readings: list[Row] = []
    alerts: list[Row] = []
    reading_id, alert_id = before.readings, before.alerts
    for patient, timestamp, number, payload, verdict in batch:
        reading_id += 1
        counts[verdict] += 1
        status, anomaly = VERDICTS[verdict]
        category = _CATEGORIES[verdict]
        try:
            value = None if number is None else number + 0.0
            row = (reading_id, timestamp, patient, value, status, anomaly, payload, created_at_ms, log_index)
            readings.append((*row, reading_crc(row)))
            if category:
                alert_id += 1
                about = (alert_id, reading_id, timestamp, patient, value, category, _UNRESOLVED)
                alerts.append(_sealed_alert((*about, created_at_ms, log_index)))
        except (TypeError, struct.error) as error:
            raise ValueError(f"reading {reading_id} is none: {error}") from error
    return ReadingRows(readings, alerts, VerdictCounts(counts))


def resolved(alert: Row, flag: bool) -> Row:
    """For UPDATE_RESOLVED: a row of SELECT_ALERTS is resolved, or is not any more."""
    changed = _sealed_alert((*alert[:_RESOLVED_AT], int(flag), *alert[_RESOLVED_AT + 1 : -1]))
    return changed[_RESOLVED_AT], changed[-1], changed[0]


def reading_crc(row: Row) -> int:
    """Over a row of ``heartbeats`` without its checksum."""
    number, timestamp, patient, value, status, anomaly, payload, created_at, log_index = row
    numbers = _READING_NUMBERS.pack(number, timestamp, _NONE if value is None else value, created_at, log_index)
    return zlib.crc32(f"{patient}\0{status}\0{anomaly}\0{payload}".encode(), zlib.crc32(numbers))


def alert_crc(row: Row) -> int:
    """Over a row of ``heartbeat_alerts`` without its checksum."""
    number, reading, timestamp, patient, value, category, flag, created_at, log_index = row
    numbers = _ALERT_NUMBERS.pack(
        number, reading, timestamp, _NONE if value is None else value, flag, created_at, log_index
    )
    return zlib.crc32(f"{patient}\0{category}".encode(), zlib.crc32(numbers))


def _sealed_alert(row: Row) -> Row:
    return (*row, alert_crc(row))
