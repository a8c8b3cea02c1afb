"""The alarms beside the tables: fed with what is applied, in the log's order; what changes is written along.

Touches the tables, inside the transaction of its caller. Must not know: who leads, what is notified. Keeps: what stands
in the tables after an entry does not depend on how many entries were applied at once; the journal's hash is over every
line of the journal, in order, and goes into the hash of the peer's state, so that peers whose alarms differ notice;
``sum`` is over the rows as they were written or read back, so that a file whose beds are older than the rest is found.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

import apsw

from hfzmq.clinical.alarm.episodes import KEEP_ENDED_MS
from hfzmq.clinical.alarm.facts import Action, Fact
from hfzmq.clinical.alarm.machine import Alarms
from hfzmq.clinical.alarm.types import HEART_RATE, Calmed, Changes, Event
from hfzmq.clinical.heart_rate import CATEGORY_OF, PHYSIOLOGICAL
from hfzmq.clinical.report import Report
from hfzmq.storage import alarm_rows, reading_rows, tables
from hfzmq.storage.alarm_sum import AlarmSum
from hfzmq.storage.tables import HASH_BYTES, AlarmCounts, Damaged, Row

OUTCOMES_MAX = 256  # entries

_LINE = struct.Struct(">QQII")
_UNRESOLVED = "SELECT * FROM heartbeat_alerts WHERE patient_id = ? AND resolved_flag = 0 AND alert_id <= ?"
_CATEGORY_AT = 5


class AlarmBook:
    """The alarms of one peer, as of its applied index. ``counts``: what stands in their tables."""

    def __init__(self, alarms: Alarms, counts: AlarmCounts, sums: AlarmSum) -> None:
        self.alarms = alarms
        self.counts = counts
        self.sum = sums
        self._outcomes: dict[int, list[str]] = {}
        self._calmed_upto: list[int] = []  # for each Calmed to come: the last alert there was

    @classmethod
    def load(cls, connection: apsw.Connection, counts: AlarmCounts) -> AlarmBook:
        """As the tables have them. Damaged."""
        row, bed_rows, episode_rows = _read(connection, counts)
        rules = alarm_rows.rules_of(row)
        beds, recent = map(alarm_rows.bed_of, bed_rows), map(alarm_rows.episode_of, episode_rows)
        alarms = Alarms(rules, tuple(beds), tuple(recent), counts.now_ms, counts.episodes + 1)
        return cls(alarms, counts, AlarmSum(row, bed_rows, episode_rows))

    # ------------------------------------------------------------ what is applied; then ``over``, once an entry

    def reports(self, stamp_ms: int, first_id: int, rows: Sequence[Sequence[object]]) -> None:
        """Reports, in the order of Report's fields, of one entry."""
        for number, row in enumerate(rows, first_id):
            self.alarms.report(stamp_ms, number, Report._make(row))

    def readings(self, stamp_ms: int, rows: Sequence[Row]) -> None:
        """Rows for INSERT_READING, of one entry."""
        for number, timestamp, patient, value, status, anomaly, *_ in rows:
            self.alarms.reading(stamp_ms, number, patient, timestamp, value, status, anomaly or "")

    def facts(self, index: int, stamp_ms: int, facts: Sequence[Fact]) -> None:
        """What else the log tells, of the entry at ``index``."""
        outcomes = [(fact, self.alarms.take(stamp_ms, fact)) for fact in facts]
        self._outcomes[index] = [outcome for fact, outcome in outcomes if isinstance(fact, Action)]
        while len(self._outcomes) > OUTCOMES_MAX:
            del self._outcomes[next(iter(self._outcomes))]

    def outcomes(self, index: int) -> Sequence[str]:
        """What became of the actions in the entry at ``index``, in their order, if it was applied not long ago."""
        return self._outcomes.get(index, ())

    def over(self, stamp_ms: int, alerts: int) -> None:
        """The entry is over; ``alerts``: how many rows heartbeat_alerts has then."""
        self.alarms.advance(stamp_ms)
        self._calmed_upto += [alerts] * (self.alarms.calmed - len(self._calmed_upto))

    # ------------------------------------------------------------ what is written

    def write(self, connection: apsw.Connection) -> AlarmCounts:
        """Write what has changed since the last time; after all other rows of the same entries."""
        first, calmed_upto = self.counts.lines + 1, self._calmed_upto
        changes = self.noted()
        heard = [bed for patient, _ in changes.heard if (bed := self.alarms.bed(patient))]
        beds = [alarm_rows.bed_row(bed) for bed in (*changes.beds, *heard)]
        episodes = [alarm_rows.episode_row(episode) for episode in changes.episodes]
        lines = [alarm_rows.event_row(number, event) for number, event in enumerate(changes.events, first)]
        rules = [alarm_rows.rules_row(changes.rules)] if changes.rules else []
        self.sum.beds(beds)
        self.sum.episodes(episodes, self.alarms.remembered)
        for row in rules:
            self.sum.rules(row)
        for statement, rows in (
            (alarm_rows.UPSERT_BED, beds),
            (alarm_rows.UPSERT_EPISODE, episodes),
            (alarm_rows.INSERT_EVENT, lines),
            (alarm_rows.UPDATE_RULES, rules),
        ):
            if rows:
                connection.executemany(statement, rows)
        for number in changes.alerted:
            report = connection.execute(tables.SELECT_REPORT, (number,)).fetchone()
            if report is None:
                raise ValueError(f"report {number} has raised an alarm, and is not there")
            connection.execute(tables.UPDATE_ALERT_SENT, tables.alerted_row(report))
        for calmed, upto in zip(changes.calmed, calmed_upto, strict=True):
            _resolve(connection, calmed, upto)
        return self.counts

    def noted(self) -> Changes:
        """What has changed since the last time; ``counts`` counts it from here on."""
        changes, self._calmed_upto = self.alarms.take_changes(), []
        self.counts = self._after(changes.now_ms, changes.next_id - 1, changes.events)
        return changes

    def _after(self, now_ms: int, episodes: int, events: Sequence[Event]) -> AlarmCounts:
        journal = self.counts.journal
        for event in events:
            what, detail = event.what.encode(), event.detail.encode()
            head = _LINE.pack(event.episode_id, event.at_ms, len(what), len(detail))
            journal = hashlib.blake2b(journal + head + what + detail, digest_size=HASH_BYTES).digest()
        return AlarmCounts(now_ms, episodes, self.counts.lines + len(events), journal)


def sum_of(connection: apsw.Connection, counts: AlarmCounts) -> int:
    """What ``AlarmBook.load`` would have as the value of its sum, of tables that are sound."""
    return AlarmSum(*_read(connection, counts)).value


def _read(connection: apsw.Connection, counts: AlarmCounts) -> tuple[Row, list[Row], list[Row]]:
    """The rows of the rules, of all beds, of the episodes that are remembered."""
    rules: list[Row] = connection.execute(alarm_rows.SELECT_RULES).fetchall()
    if not rules:
        raise Damaged("the row is missing")
    beds: list[Row] = connection.execute(alarm_rows.SELECT_BEDS).fetchall()
    since = (counts.now_ms - KEEP_ENDED_MS,)
    return rules[0], beds, connection.execute(alarm_rows.SELECT_RECENT, since).fetchall()


def _resolve(connection: apsw.Connection, calmed: Calmed, upto: int) -> None:
    """The alerts that an alarm stood for are resolved with it."""
    found = connection.execute(_UNRESOLVED, (calmed.patient_id, upto)).fetchall()
    physiological = calmed.cause == HEART_RATE
    rows = [
        reading_rows.resolved(row, True)
        for row in found
        if (row[_CATEGORY_AT] == CATEGORY_OF[PHYSIOLOGICAL]) is physiological
    ]
    if rows:
        connection.executemany(reading_rows.UPDATE_RESOLVED, rows)
