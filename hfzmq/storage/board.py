"""What a board shows of each patient: the last report, the last risks, the last heart rate.

Touches nothing: rows come from whoever it is made for. Must not know: connections, snapshots, screens. Keeps: what
stands here is what the tables hold. Rows only ever come at the end, their ids rise without holes, and nothing that is
shown of one is changed: so what was read is kept, and a refresh reads what came since the last one, not each patient.
A patient's last risks are read when they are shown for the first time, and kept up from there on.

    empty --every patient's last row--> filled --the rows that came--> filled
      ^------forget: another file-------'  '--so many that every patient's last row is less: that, anew--'
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence, Sized
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple

from hfzmq.clinical.report import Report, is_range
from hfzmq.storage.pages import PATIENT, last_of_each_patient, page_query

BEDS_MAX = 1000  # in one picture
KEPT_MAX = 2 * BEDS_MAX  # so that with a few more beds than that none is read anew each time
TREND_POINTS = 20
ROWS_A_PATIENT = 20  # that came; with more of them reading every patient's last one takes less time

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
    """A patient's last report, with its id. ``points``: the last ones, (timestamp, probability, flags), as they were
    stored, None until they are read; ``trend``: what follows from these, None until somebody asks."""

    __slots__ = ("number", "points", "report", "trend")

    def __init__(self, number: int, report: Report) -> None:
        self.number = number
        self.report = report
        self.points: deque[Row] | None = None
        self.trend: Trend | None = None


class Board:
    """``rows(query, values)`` reads the tables; ``last_ids()`` tells the ids of the last report and the last reading.
    Everything that is read for one picture has to be of one moment."""

    def __init__(
        self,
        rows: Callable[[str, Row], list[Row]],
        last_ids: Callable[[], tuple[int, int]],
        points: int = TREND_POINTS,
    ) -> None:
        self._rows = rows
        self._last_ids = last_ids
        self._points = points
        self.forget()

    def forget(self) -> None:
        """Another file is read from here on."""
        self._beds: dict[str, _Bed] = {}  # by the id of the last report, rising
        self._readings: dict[str, Row] = {}  # likewise
        self._reports_seen = self._readings_seen = 0  # up to these ids

    def read_ahead(self, patients: int) -> bool:
        """Read what came, and the last risks of so many patients of whom they are not known yet; whether that were
        all. So that whoever asks for the first picture does not wait for it."""
        self._take_in()
        unknown = [bed for bed in self._shown() if bed.points is None]
        for bed in unknown[:patients]:
            self._read_points(bed)
        return len(unknown) <= patients

    def picture(self) -> Picture:
        """As the tables are now."""
        self._take_in()
        reports: list[tuple[int, Report]] = []
        trends: dict[str, Trend] = {}
        for bed in self._shown():
            if bed.points is None:
                self._read_points(bed)
            if bed.trend is None:
                bed.trend = _trend_of(bed.points or ())
            reports.append((bed.number, bed.report))
            trends[bed.report.patient_id] = bed.trend
        return Picture(reports, trends, list(islice(reversed(self._readings.values()), BEDS_MAX)))

    def _shown(self) -> Iterable[_Bed]:
        return islice(reversed(self._beds.values()), BEDS_MAX)

    def _take_in(self) -> None:
        """Read what came since the last time."""
        last_report, last_reading = self._last_ids()
        if _are_many(last_report - self._reports_seen, self._beds):
            self._read_last_reports(last_report)
        elif last_report > self._reports_seen:
            for row in self._came(_REPORTS, _REPORT_FIELDS, self._reports_seen, last_report):
                self._take_report(row)
        if _are_many(last_reading - self._readings_seen, self._readings):
            self._readings = {row[1]: row for row in reversed(self._rows(_LAST_READINGS, (BEDS_MAX,)))}
            self._readings_seen = last_reading
        elif last_reading > self._readings_seen:
            for row in self._came(_READINGS, ("id", *READING_FIELDS), self._readings_seen, last_reading):
                self._take_reading(row)

    def _came(self, table: str, fields: Sequence[str], seen: int, last: int) -> list[Row]:
        return self._rows(*page_query(table, fields, seen, None, last - seen))

    def _take_report(self, row: Row) -> None:
        """A report that was stored after all that stand here."""
        number, report = row[0], Report._make(row[1:])
        bed = self._beds.pop(report.patient_id, None) or _Bed(number, report)
        bed.number, bed.report, bed.trend = number, report, None
        if bed.points is not None:
            bed.points.append((report.timestamp, report.probability, report.flags))
        self._beds[report.patient_id] = bed  # the last of all
        self._reports_seen = number
        if len(self._beds) > KEPT_MAX:
            del self._beds[next(iter(self._beds))]

    def _take_reading(self, row: Row) -> None:
        self._readings.pop(row[1], None)
        self._readings[row[1]] = row
        self._readings_seen = row[0]
        if len(self._readings) > KEPT_MAX:
            del self._readings[next(iter(self._readings))]

    def _read_last_reports(self, last: int) -> None:
        beds: dict[str, _Bed] = {}
        for number, *values in reversed(self._rows(_LAST_REPORTS, (BEDS_MAX,))):
            report = Report._make(values)
            known = self._beds.get(report.patient_id)
            beds[report.patient_id] = known if known and known.number == number else _Bed(number, report)
        self._beds, self._reports_seen = beds, last

    def _read_points(self, bed: _Bed) -> None:
        patient = [(PATIENT, bed.report.patient_id)]
        rows = self._rows(*page_query(_REPORTS, _POINT_FIELDS, None, bed.number + 1, self._points, patient))
        bed.points = deque((row[1:] for row in reversed(rows)), self._points)


def _are_many(came: int, known: Sized) -> bool:
    return came > ROWS_A_PATIENT * max(1, min(len(known), BEDS_MAX))


def _trend_of(points: Iterable[Row]) -> Trend:
    known = [(at, risk) for at, risk, flags in points if not (flags and is_range(risk, flags))]
    return sorted(known, key=itemgetter(0))
