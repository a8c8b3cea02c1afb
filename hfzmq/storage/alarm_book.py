"""The alarms beside the tables: fed with what is applied, in the log's order; what changes is written along.

Touches the tables, inside the transaction of its caller. Must not know: who leads, what is notified. Keeps: what stands
in the tables after an entry does not depend on how many entries were applied at once; the journal's hash is over every
line of the journal, in order, and goes into the hash of the peer's state together with sums over all rows that alarms
change (beds, episodes, rules; marked reports, resolved alerts), so that peers in which any of it differs notice. The
keys of the log (``keys``, access_book.py) are counted in the same sum.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

import apsw

from hfzmq.clinical.alarm.episodes import KEEP_ENDED_MS
from hfzmq.clinical.alarm.facts import Action, Fact
from hfzmq.clinical.alarm.machine import Alarms
from hfzmq.clinical.alarm.types import HEART_RATE, Calmed, Changes
from hfzmq.clinical.heart_rate import CATEGORY_OF, PHYSIOLOGICAL
from hfzmq.storage import access_book, alarm_rows, alarm_sum, reading_rows, report_rows
from hfzmq.storage.access_book import AccessBook
from hfzmq.storage.alarm_sum import AlarmSum
from hfzmq.storage.checksums import Damaged, Row
from hfzmq.storage.tables import HASH_BYTES, AlarmCounts

OUTCOMES_MAX = 256  # entries

_LINE = struct.Struct(">QQII")
_UNRESOLVED = (
    "SELECT * FROM heartbeat_alerts INDEXED BY heartbeat_alerts_unresolved "
    "WHERE patient_id = ? AND resolved_flag = 0 AND alert_id <= ?"
)
_CATEGORY_AT = 5


class AlarmBook:
    """The alarms of one peer, as of its applied index. ``counts``: what stands in their tables; ``keys``: those
    that the log has issued and revoked."""

    def __init__(self, alarms: Alarms, counts: AlarmCounts, keys: AccessBook | None = None) -> None:
        self.alarms = alarms
        self.counts = counts
        self.keys = keys or AccessBook()
        self._outcomes: dict[int, list[str]] = {}
        self._calmed_upto: list[int] = []  # for each Calmed to come: the last alert there was
        self._beds: dict[str, int] = {}  # what rows that are written often add to ``counts.kept`` (see AlarmSum)
        self._open: dict[int, int] = {}  # likewise of episodes that are not normal

    @classmethod
    def load(cls, connection: apsw.Connection, counts: AlarmCounts) -> AlarmBook:
        """As the tables have them. Damaged."""
        if alarm_sum.kept_of(connection) != counts.kept:
            raise Damaged("they are not those of one transaction")
        rules = alarm_rows.rules_of(connection.execute(alarm_rows.SELECT_RULES).fetchone())
        beds = tuple(map(alarm_rows.bed_of, connection.execute(alarm_rows.SELECT_BEDS)))
        since = (counts.now_ms - KEEP_ENDED_MS,)
        recent = tuple(map(alarm_rows.episode_of, connection.execute(alarm_rows.SELECT_RECENT, since)))
        keys = AccessBook.of(connection.execute(access_book.SELECT_KEYS))
        clock = (counts.now_ms, counts.episodes + 1, counts.now_term, counts.listening)
        return cls(Alarms(rules, beds, recent, *clock), counts, keys)

    # ------------------------------------------------------------ what is applied: ``led``, its rows, ``over``

    def led(self, stamp_ms: int, term: int) -> None:
        """An entry with a stamp begins, made by the leader of ``term``."""
        self.alarms.led(stamp_ms, term)

    def reports(self, stamp_ms: int, first_id: int, rows: Sequence[Sequence[object]]) -> None:
        """Reports, in the order of Report's fields, of one entry."""
        self.alarms.reports(stamp_ms, first_id, rows)

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
        written = AlarmSum(connection, self.counts.kept, self.counts.marked)
        changes = self.noted()
        heard = [bed for patient, _ in changes.heard if (bed := self.alarms.bed(patient))]
        lines = [alarm_rows.event_row(number, event) for number, event in enumerate(changes.events, first)]
        beds = [alarm_rows.bed_row(bed) for bed in (*changes.beds, *heard)]
        written.replace("alarm_beds", "patient_id", alarm_rows.UPSERT_BED, beds, self._beds)
        self._write_episodes(changes, written)
        if changes.rules:
            written.replace("alarm_rules", "id", alarm_rows.REPLACE_RULES, [(1, *alarm_rows.rules_row(changes.rules))])
        written.replace("access_keys", "key", access_book.UPSERT_KEY, self.keys.take_rows())
        if lines:
            connection.executemany(alarm_rows.INSERT_EVENT, lines)
        for number in changes.alerted:
            _mark(connection, number, written)
        for calmed, upto in zip(changes.calmed, calmed_upto, strict=True):
            _resolve(connection, calmed, upto, written)
        self.counts = self.counts._replace(kept=written.kept, marked=written.marked)
        return self.counts

    def _write_episodes(self, changes: Changes, written: AlarmSum) -> None:
        told = {event.episode_id for event in changes.events}  # what has no line was measured, and nothing else
        rows: tuple[list[Row], list[Row]] = [], []
        for episode in changes.episodes:
            rows[episode.id in told].append(alarm_rows.episode_row(episode))
        written.replace("alarm_episodes", "id", alarm_rows.UPSERT_MEASURED, rows[False], self._open)
        written.replace("alarm_episodes", "id", alarm_rows.UPSERT_EPISODE, rows[True], self._open)
        for episode in changes.episodes:
            if episode.resolved_at_ms is not None:
                del self._open[episode.id]  # if it is ever written again, its row is looked at

    def noted(self) -> Changes:
        """What has changed since the last time; ``counts`` counts it from here on, but for the sums over the rows."""
        changes, self._calmed_upto = self.alarms.take_changes(), []
        self.counts = self._after(changes)
        return changes

    def _after(self, changes: Changes) -> AlarmCounts:
        journal = self.counts.journal
        for event in changes.events:
            journal = journal_after(journal, *event)
        lines = self.counts.lines + len(changes.events)
        return self.counts._replace(
            now_ms=changes.now_ms,
            now_term=changes.term,
            episodes=changes.next_id - 1,
            lines=lines,
            journal=journal,
            **changes.listening._asdict(),
        )


def journal_after(journal: bytes, episode_id: int, at_ms: int, what: str, detail: str) -> bytes:
    """The journal's hash with one line more."""
    head = _LINE.pack(episode_id, at_ms, len(what.encode()), len(detail.encode()))
    line = head + what.encode() + detail.encode()
    return hashlib.blake2b(journal + line, digest_size=HASH_BYTES).digest()


def _mark(connection: apsw.Connection, report_id: int, written: AlarmSum) -> None:
    """An alarm was raised for this report; for some it is so twice."""
    row = connection.execute(report_rows.SELECT_REPORT, (report_id,)).fetchone()
    if row is None:
        raise ValueError(f"report {report_id} has raised an alarm, and is not there")
    marked = report_rows.alerted_row(row)
    if marked[1] != row[-1]:
        connection.execute(report_rows.UPDATE_ALERT_SENT, marked)
        written.mark("risk_reports", report_id, marked[1])


def _resolve(connection: apsw.Connection, calmed: Calmed, upto: int, written: AlarmSum) -> None:
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
    for _, crc, alert_id in rows:
        written.mark("heartbeat_alerts", alert_id, crc)
