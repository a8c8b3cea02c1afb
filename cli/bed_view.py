"""The newest word of each bed, from all peers' answers to ``beds``, poll after poll.

Touches nothing: answers come in. Must not know: sockets, screens. Keeps: of what is seen and what is stored, the newer
by the reading's own timestamp stands (seen, when equal; the one told much later, whatever the stamps); an older answer
never replaces a newer one, so the picture does not fall back when the peer that had it in memory dies; a reading is
never made to look younger than it is; the trend ends in the number that is shown: readings of equal stamps stand in the
order in which they came, and what has a later stamp than the one shown (a clock that was wrong, a recording again from
its beginning) is no part of it. Of what lies between two ends no end is in the trend.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from hfzmq.clinical.report import Report, check_patient_id, check_row, is_range

BEDS_MAX = 10_000
TREND_POINTS = 20
OVERTAKEN_WITHIN_MS = 10_000
UNKNOWN_AGE_MS = 86_400_000  # shown as long ago
CLOCKS_APART_MS = 60_000  # a bed's clock may be so far ahead of a peer's

Trend = tuple[tuple[int, float], ...]  # (timestamp, probability), oldest first; of equal stamps in order of arrival


class Bed(NamedTuple):
    """The newest reading of one bed. ``heard_at_ms``: this machine's monotonic clock when it came to be (seen: when a
    peer received it; reported: when it was measured, by the peer's and the bed's wall clocks)."""

    report: Report
    seen: bool
    heard_at_ms: int
    trend: Trend
    stored_id: int = 0  # of what is stored; 0: not known

    @property
    def patient_id(self) -> str:
        """Whose bed it is."""
        return self.report.patient_id


Beds = Mapping[str, Bed]


def merge_beds(known: Beds, answers: Iterable[Mapping[str, Any] | None], now_ms: int) -> dict[str, Bed]:
    """``known`` brought up to date by peers' answers that came at ``now_ms`` (monotonic). Rows that are no valid report
    are left out. At most BEDS_MAX beds: the ones heard longest ago go."""
    merged = dict(known)
    for answer in answers:
        if answer is None or answer.get("status") != "OK":
            continue
        for bed in _beds_of(answer, now_ms):
            merged[bed.patient_id] = _newer(merged.get(bed.patient_id), bed)
    if len(merged) > BEDS_MAX:
        newest = sorted(merged.values(), key=lambda bed: bed.heard_at_ms, reverse=True)
        merged = {bed.patient_id: bed for bed in newest[:BEDS_MAX]}
    return merged


def _beds_of(answer: Mapping[str, Any], now_ms: int) -> Iterable[Bed]:
    trends = answer.get("trends")
    wall_ms = answer.get("now_ms")
    for age_ms, row in _pairs(answer.get("seen")):
        if _is_int(age_ms) and check_row(row, check_patient_id) is None:
            yield _bed(row, True, now_ms - max(0, age_ms), trends)
    for number, row in _pairs(answer.get("reported")):
        if _is_int(wall_ms) and check_row(row, check_patient_id) is None:
            ahead = row[1] - wall_ms > CLOCKS_APART_MS  # measured in the future: nobody knows how old it is
            age_ms = UNKNOWN_AGE_MS if ahead else max(0, wall_ms - row[1])
            yield _bed(row, False, now_ms - age_ms, trends)._replace(stored_id=number if _is_int(number) else 0)


def _bed(row: list[Any], seen: bool, heard_at_ms: int, trends: object) -> Bed:
    report = Report(*row)
    points = trends.get(report.patient_id) if isinstance(trends, Mapping) else None
    stored = tuple((at, float(p)) for at, p in _pairs(points) if _is_int(at) and isinstance(p, (int, float)))
    return Bed(report, seen, heard_at_ms, _join(stored, (), report))


def _newer(old: Bed | None, new: Bed) -> Bed:
    if old is None:
        return new
    best = _best(old, new)
    return best._replace(trend=_join(old.trend, new.trend, best.report))


def _best(old: Bed, new: Bed) -> Bed:
    if old.report.timestamp == new.report.timestamp and old.seen == new.seen:
        if old.report == new.report:
            return old._replace(heard_at_ms=min(old.heard_at_ms, new.heard_at_ms))
        # Two readings of one stamp: what came last.
        return max(old, new, key=lambda bed: (bed.heard_at_ms if bed.seen else 0, bed.stored_id))
    earlier, later = sorted((old, new), key=lambda bed: bed.heard_at_ms)
    if later.seen and later.heard_at_ms - earlier.heard_at_ms > OVERTAKEN_WITHIN_MS:
        return later  # told long after: a clock was wrong once, and must not freeze the bed
    # For one timestamp, what is seen stands before what is stored: its age is known without comparing clocks.
    return max(old, new, key=lambda bed: (bed.report.timestamp, bed.seen))


def _join(one: Trend, other: Trend, shown: Report) -> Trend:
    """Both, without doubles, up to ``shown``, which is the last if it is one number."""
    last = (shown.timestamp, shown.probability)
    points = [point for point in dict.fromkeys((*one, *other)) if point[0] <= shown.timestamp and point != last]
    ends_in = () if is_range(shown.probability, shown.flags) else (last,)
    return (*sorted(points, key=itemgetter(0)), *ends_in)[-TREND_POINTS:]


def _pairs(value: object) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, (list, tuple)):
        for item in value:
            if isinstance(item, (list, tuple)) and len(item) == 2:
                yield item[0], item[1]


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
