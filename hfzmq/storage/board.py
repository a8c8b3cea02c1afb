"""What a board shows of each patient: the last report, the last risks, the last heart rate.

Touches nothing: rows come from whoever it is made for. Must not know: connections, snapshots, screens. Keeps: what
stands here is what the tables hold. Rows only ever come at the end, their ids rise without holes, and nothing that is
shown of one is changed: so what was read is kept, and a refresh reads what came since the last one, not each patient.

    empty --every patient read--> filled --the rows that came--> filled
      ^------forget: another file---'  '--so many that reading every patient is less: anew--'
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple

from hfzmq.clinical.report import Report, is_range
from hfzmq.storage.pages import PATIENT, last_of_each_patient, page_query

BEDS_MAX = 1000  # in one picture
KEPT_MAX = 2 * BEDS_MAX  # so that with a few more beds than that none is read anew each time
TREND_POINTS = 20
ROWS_A_PATIENT = 20  # that came; with more of them reading every patient anew takes less time

READING_FIELDS = (PATIENT, "timestamp", "heartbeat_value", "validation_status", "anomaly_type", "created_at")

Row = tuple[Any, ...]
Trend = list[tuple[int, float]]

_REPORTS, _READINGS = "risk_reports", "heartbeats"
_REPORT_FIELDS = ("id", *Report._fields)
_LAST_REPORTS = last_of_each_patient(_REPORTS, Report._fields)
_LAST_READINGS = last_of_each_patient(_READINGS, READING_FIELDS)
_POINT_FIELDS = ("id", "timestamp", "probability", "flags")


class Picture(NamedTuple):
    """Of at most BEDS_MAX patients each, newest first: ``reports``, (id, report) of the last one stored; ``trends``, by
    patient the last points stored, (timestamp in ms, probability), oldest first, without those that are but the upper
    end of a range: they would rise and fall with what was measured; ``readings``, (id, *READING_FIELDS) of the last."""

    reports: list[tuple[int, Report]]
    trends: dict[str, Trend]
    readings: list[Row]


class _Bed:
    """A patient's last report, with its id, and the last points: (timestamp, probability, flags), as they were stored.
    ``trend``: what follows from these, None until somebody asks."""

    __slots__ = ("number", "points", "report", "trend")

    def __init__(self, points: Iterable[Row], points_max: int) -> None:
        self.number = 0
        self.report: Report | None = None
        self.points: deque[Row] = deque(points, points_max)
        self.trend: Trend | None = None


class Board:
    """``rows(query, values)`` reads the tables. Everything that is read for one picture has to be of one moment."""

    def __init__(self, rows: Callable[[str, Row], list[Row]], points: int = TREND_POINTS) -> None:
        self._rows = rows
        self._points = points
        self.forget()

    def forget(self) -> None:
        """Another file is read from here on."""
        self._beds: dict[str, _Bed] = {}  # by the id of the last report, rising
        self._readings: dict[str, Row] = {}  # likewise
        self._reports_seen = self._readings_seen = 0  # up to these ids

    def take_in(self) -> None:
        """Read what came since the last time."""
        last = self._last_id(_REPORTS)
        if last - self._reports_seen > ROWS_A_PATIENT * max(1, len(self._beds)):
            self._read_every_patient(last)
        elif last > self._reports_seen:
            for row in self._came(_REPORTS, _REPORT_FIELDS, self._reports_seen, last):
                self._take_report(row)
        last = self._last_id(_READINGS)
        if last - self._readings_seen > ROWS_A_PATIENT * max(1, len(self._readings)):
            self._readings = {row[1]: row for row in reversed(self._rows(_LAST_READINGS, (BEDS_MAX,)))}
            self._readings_seen = last
        elif last > self._readings_seen:
            for row in self._came(_READINGS, ("id", *READING_FIELDS), self._readings_seen, last):
                self._take_reading(row)

    def picture(self) -> Picture:
        """As the tables are now."""
        self.take_in()
        reports: list[tuple[int, Report]] = []
        trends: dict[str, Trend] = {}
        for patient, bed in islice(reversed(self._beds.items()), BEDS_MAX):
            assert bed.report
            reports.append((bed.number, bed.report))
            if bed.trend is None:
                bed.trend = _trend_of(bed.points)
            trends[patient] = bed.trend
        return Picture(reports, trends, list(islice(reversed(self._readings.values()), BEDS_MAX)))

    def _last_id(self, table: str) -> int:
        return int(self._rows(f"SELECT coalesce(max(id), 0) FROM {table}", ())[0][0])

    def _came(self, table: str, fields: Sequence[str], seen: int, last: int) -> list[Row]:
        return self._rows(*page_query(table, fields, seen, None, last - seen))

    def _take_report(self, row: Row) -> None:
        """A report that was stored after all that stand here."""
        report = Report._make(row[1:])
        bed = self._beds.pop(report.patient_id, None) or _Bed(
            self._points_before(row[0], report.patient_id), self._points
        )
        bed.number, bed.report, bed.trend = row[0], report, None
        bed.points.append((report.timestamp, report.probability, report.flags))
        self._beds[report.patient_id] = bed  # the last of all
        self._reports_seen = bed.number
        if len(self._beds) > KEPT_MAX:
            del self._beds[next(iter(self._beds))]

    def _take_reading(self, row: Row) -> None:
        self._readings.pop(row[1], None)
        self._readings[row[1]] = row
        self._readings_seen = row[0]
        if len(self._readings) > KEPT_MAX:
            del self._readings[next(iter(self._readings))]

    def _read_every_patient(self, last: int) -> None:
        beds: dict[str, _Bed] = {}
        for number, *values in reversed(self._rows(_LAST_REPORTS, (BEDS_MAX,))):
            report = Report._make(values)
            bed = beds[report.patient_id] = _Bed(self._points_before(number + 1, report.patient_id), self._points)
            bed.number, bed.report = number, report
        self._beds, self._reports_seen = beds, last

    def _points_before(self, number: int, patient: str) -> list[Row]:
        rows = self._rows(*page_query(_REPORTS, _POINT_FIELDS, None, number, self._points, [(PATIENT, patient)]))
        return [row[1:] for row in reversed(rows)]


def _trend_of(points: Iterable[Row]) -> Trend:
    known = [(at, risk) for at, risk, flags in points if not (flags and is_range(risk, flags))]
    return sorted(known, key=itemgetter(0))
