"""The last risks of each patient, for a board that asks for those of all beds every second.

Touches nothing: rows come from whoever it is made for. Must not know: connections, snapshots. Keeps: a trend is read
anew when the patient has another last report, and only then, for nothing that it shows of a report is ever changed; so
what a refresh costs goes with the reports that came, not with the patients that ever were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any

from hfzmq.clinical.report import is_range
from hfzmq.storage.pages import page_query

KEPT_MAX = 2000  # patients: twice as many as one answer has

_FIELDS = ("id", "timestamp", "probability", "flags")

Trend = list[tuple[int, float]]


class Trends:
    """``rows(query, values)`` reads the table."""

    def __init__(self, rows: Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]]) -> None:
        self._rows = rows
        self._kept: dict[str, tuple[int, int, Trend]] = {}  # of a patient: the last report's id, points, the trend

    def of(self, last: Iterable[tuple[int, str]], points: int) -> dict[str, Trend]:
        """For each (id of the last report, patient): the last ``points`` stored (timestamp in ms, probability), oldest
        first, without those that are but the upper end of a range: they would rise and fall with what was measured."""
        return {patient: self._of(number, patient, points) for number, patient in last}

    def forget(self) -> None:
        """Another file is read from here on."""
        self._kept.clear()

    def _of(self, number: int, patient: str, points: int) -> Trend:
        kept = self._kept.get(patient)
        if kept is not None and kept[:2] == (number, points):
            return kept[2]
        rising = reversed(self._rows(*page_query("risk_reports", _FIELDS, None, 0, points, [("patient_id", patient)])))
        known = [(at, risk) for _, at, risk, flags in rising if not (flags and is_range(risk, flags))]
        trend = sorted(known, key=itemgetter(0))
        self._kept.pop(patient, None)
        self._kept[patient] = number, points, trend
        while len(self._kept) > KEPT_MAX:
            del self._kept[next(iter(self._kept))]
        return trend
