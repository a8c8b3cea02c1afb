"""Stored data once more under other rules: which alarms would there have been?

Touches nothing. Must not know: tables, files. What cannot be known from stored data is assumed, and said with a result:
GREEN judgements are not stored, so a bed whose reports stop is taken for GREEN after ``green_after_ms``; for the same
reason NO_DATA is told only of missing heart rates, of beds that had some; and nobody knows when alarms that never were
would have been seen, so each is seen ``seen_after_ms`` after it was raised.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hfzmq.clinical.alarm.machine import Alarms
from hfzmq.clinical.alarm.rules import DAY_MS, DEFAULT_RULES, AlarmRules, check_rules
from hfzmq.clinical.alarm.types import ACK, CAUSES, RAISED, RATE_GONE, Episode
from hfzmq.clinical.report import Refusal, Report
from hfzmq.clinical.tiers import GREEN

DIGITS = 6  # of a threshold that is reckoned: 0.2 - 0.05 is 0.15
APART = round(DEFAULT_RULES.amber_on - DEFAULT_RULES.amber_off, DIGITS)  # an off-threshold below a new on-threshold


class StoredReport(NamedTuple):
    """A row of risk_reports; ``at_ms`` is the leader's stamp (created_at)."""

    id: int
    at_ms: int
    row: Report


class StoredReading(NamedTuple):
    """A row of heartbeats."""

    id: int
    at_ms: int
    patient_id: str
    timestamp: int
    value: float | None
    status: str
    anomaly: str


class Day(NamedTuple):
    """One day, UTC: how many beds had data (0: a bed of the day before fell silent), and how many alarms were raised,
    in the order of CAUSES."""

    start_ms: int
    beds: int
    raised: tuple[int, ...]


class Replayed(NamedTuple):
    """The episodes by id, the days that have data, and how many rows were read."""

    episodes: tuple[Episode, ...]
    days: tuple[Day, ...]
    rows: int

    def per_bed_and_day(self, cause: str = "") -> float | None:
        """Alarms of a cause (of all: '') for each bed and day that has data; None where there is no data."""
        bed_days = sum(day.beds for day in self.days)
        numbers = [CAUSES.index(cause)] if cause else range(len(CAUSES))
        return sum(day.raised[one] for day in self.days for one in numbers) / bed_days if bed_days else None


def varied(
    rules: AlarmRules, *, red: float | None = None, amber: float | None = None, delay_ms: int | None = None
) -> AlarmRules | Refusal:
    """Other thresholds: RED and AMBER from here (off a little below), AMBER after ``delay_ms`` and by nothing else (0:
    at once). A Refusal when such rules cannot be."""
    if red is not None:
        rules = rules._replace(red_on=red, red_off=_below(red))
    if amber is not None:
        rules = rules._replace(amber_on=amber, amber_off=_below(amber))
    if delay_ms is not None:
        rules = rules._replace(amber_ms=delay_ms, amber_readings=0 if delay_ms else 1)
    return check_rules(rules) or rules


def _below(threshold: float) -> float:
    return round(threshold - APART, DIGITS) if threshold >= 2 * APART else threshold / 2


def replay_each(
    stored: Iterable[StoredReport | StoredReading],
    several: Sequence[AlarmRules],
    *,
    seen_after_ms: int = 30_000,
    green_after_ms: int = 60_000,
    until_ms: int = 0,
) -> list[Replayed]:
    """What each of these rules would have made of ``stored``, which is read once, in the order of ``at_ms`` (what is
    not, counts as told when the one before was). Time goes on to ``until_ms`` after the last row: what falls silent is
    told."""
    plays = [_Play(rules, seen_after_ms, green_after_ms) for rules in several]
    for one in stored:
        for play in plays:
            play.tell(one)
    return [play.result(until_ms) for play in plays]


class _Stored(Alarms):
    missed = RATE_GONE  # GREEN judgements are not stored, so nobody knows whether there were none

    def _expect(self, before: dict[str, int]) -> None:
        """An expected bed has its own limit here, too; but one of which nothing is stored may have told GREEN alone."""


class _Play:
    def __init__(self, rules: AlarmRules, seen_after_ms: int, green_after_ms: int) -> None:
        self._alarms = _Stored(rules, (), (), 0, 1)
        self._seen_after_ms, self._green_after_ms = seen_after_ms, green_after_ms
        self._to_see: deque[tuple[int, int]] = deque()  # (when, episode)
        self._to_calm: deque[tuple[int, str, int]] = deque()  # (when, patient, timestamp of the report before)
        self._reported: dict[str, int] = {}  # when each bed last was
        self._episodes: dict[int, Episode] = {}
        self._beds_of_day: dict[int, set[str]] = {}
        self._rows = 0

    def tell(self, one: StoredReport | StoredReading) -> None:
        alarms, at = self._alarms, max(one.at_ms, self._alarms.now_ms)
        if self._rows:
            self._pass_to(at)
        if isinstance(one, StoredReport):
            patient = one.row.patient_id
            alarms.report(at, one.id, one.row)
            self._reported[patient] = at
            self._to_calm.append((at + self._green_after_ms, patient, one.row.timestamp))
        else:
            patient = one.patient_id
            alarms.reading(at, one.id, patient, one.timestamp, one.value, one.status, one.anomaly)
        alarms.advance(at)
        self._rows += 1
        self._beds_of_day.setdefault(at // DAY_MS, set()).add(patient)
        self._gather()

    def _pass_to(self, until: int) -> None:
        """All that would have happened before then, each at its time."""
        while True:
            due = self._alarms.due_ms()
            calm = self._to_calm[0][0] if self._to_calm else until
            seen = self._to_see[0][0] if self._to_see else until
            now = min(calm, seen, until if due is None else due)
            if now >= until:
                return
            if now == seen:
                self._alarms.act(now, ACK, self._to_see.popleft()[1], "replay")
            elif now == calm:
                self._calm(*self._to_calm.popleft())
            self._alarms.advance(now)
            self._gather()

    def _calm(self, now: int, patient: str, timestamp: int) -> None:
        if self._reported[patient] + self._green_after_ms <= now:
            self._alarms.sign(now, patient, timestamp + self._green_after_ms, GREEN, 0.0)

    def _gather(self) -> None:
        changes = self._alarms.take_changes()
        self._episodes.update((episode.id, episode) for episode in changes.episodes)
        for event in changes.events:
            if event.what == RAISED:
                self._to_see.append((event.at_ms + self._seen_after_ms, event.episode_id))

    def result(self, until_ms: int) -> Replayed:
        if self._rows:
            self._pass_to(max(self._alarms.now_ms, until_ms) + 1)
        known = sorted(self._episodes.values())
        days = []
        for day in sorted(self._beds_of_day.keys() | {one.raised_at_ms // DAY_MS for one in known}):
            causes = [one.cause for one in known if one.raised_at_ms // DAY_MS == day]
            beds = len(self._beds_of_day.get(day, ()))
            days.append(Day(day * DAY_MS, beds, tuple(causes.count(cause) for cause in CAUSES)))
        return Replayed(tuple(known), tuple(days), self._rows)
