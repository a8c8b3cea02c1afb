"""What the tables must hold, in plain Python: fed with entries one by one, as they stand in the log.

Touches nothing of the storage but the checksum of a row, so that a bug there is not in here too; the alarms' rules are
those of the product, for what an alarm is has tests of its own. Keeps: rows are as SELECT * gives them, without their
checksums.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from hfzmq.clinical.alarm.machine import Alarms
from hfzmq.clinical.alarm.rules import DEFAULT_RULES, AlarmRules, to_mapping
from hfzmq.clinical.alarm.types import HEART_RATE, Bed, Calmed, Changes, Episode
from hfzmq.clinical.heart_rate import CATEGORY_OF, PHYSIOLOGICAL, VERDICTS
from hfzmq.clinical.report import Report
from hfzmq.core.types import Entry
from hfzmq.storage.alarm_rows import bed_crc, episode_crc
from hfzmq.storage.checksums import sealed
from hfzmq.storage.reading_rows import alert_crc
from hfzmq.storage.report_rows import report_crc
from hfzmq.wire.access import Issued, decode_access
from hfzmq.wire.body import ACCESS, FACTS, READINGS, decode_body, decode_readings, format_of
from hfzmq.wire.facts import decode_facts

Row = tuple[Any, ...]
_SHORT: Any = {"separators": (",", ":"), "sort_keys": True}
ALERT_SENT_AT, PATIENT_AT, CATEGORY_AT, RESOLVED_AT = 10, 3, 5, 6  # of a report's columns; of an alert's


class Remembered(NamedTuple):
    """What is in memory of the alarms, and has to come back from their rows."""

    beds: tuple[Bed, ...]
    episodes: tuple[Episode, ...]
    rules: AlarmRules
    now_ms: int
    next_id: int
    due_ms: int | None


def remembered(alarms: Alarms) -> Remembered:
    """Of the alarms as they are."""
    return Remembered(alarms.beds(), alarms.episodes(), alarms.rules, alarms.now_ms, alarms.next_id, alarms.due_ms())


def tables_of(path: Path) -> dict[str, list[Row]]:
    """The rows that a file has in them, in the same shape."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return {
            table: [row[:-1] for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1")]
            for table in ExpectedTables().rows()
        }
    finally:
        connection.close()


class ExpectedTables:
    """``reports`` are rows of risk_reports; ``rows`` gives the other tables. ``verdicts``: readings of each verdict."""

    def __init__(self) -> None:
        self.reports: list[Row] = []
        self.verdicts = [0] * len(VERDICTS)
        self.alarms = Alarms(DEFAULT_RULES, (), (), 0, 1)
        self.journal = bytes(16)
        self._readings: list[Row] = []
        self._alerts: list[Row] = []
        self._beds: dict[str, Bed] = {}
        self._episodes: dict[int, Episode] = {}
        self._lines: list[Row] = []
        self._rules: AlarmRules | None = None
        self._keys: dict[str, Row] = {}

    def rows(self) -> dict[str, list[Row]]:
        """The rows of each table but risk_reports, in the order of its key."""
        beds = [(bed[0], int(bed.watched), *bed[2:]) for _, bed in sorted(self._beds.items())]
        episodes = [
            (*one[:-2], "\n".join(one.sent), "\n".join(one.failing)) for _, one in sorted(self._episodes.items())
        ]
        return {
            "heartbeats": list(self._readings),
            "heartbeat_alerts": list(self._alerts),
            "alarm_beds": beds,
            "alarm_episodes": episodes,
            "alarm_events": list(self._lines),
            "alarm_rules": [(1, json.dumps(to_mapping(self._rules), **_SHORT))] if self._rules else [],
            "access_keys": [row for _, row in sorted(self._keys.items())],
        }

    @property
    def counts(self) -> tuple[int, int, int, int, bytes, int, int, int, int, int]:
        """What the applied state says of the alarms: the log's clock and the term it was last stamped in, episodes,
        lines, the journal's hash, the sums over beds, episodes, rules and keys, and over what else alarms marked,
        since when silence counts."""
        rows = self.rows()
        summed = ("alarm_beds", "alarm_episodes", "alarm_rules", "access_keys")
        kept = [(table, row) for table in summed for row in rows[table]]
        marked = [("risk_reports", row) for row in self.reports if row[ALERT_SENT_AT]]
        marked += [("heartbeat_alerts", row) for row in rows["heartbeat_alerts"] if row[RESOLVED_AT]]
        alarms = self.alarms
        counted = alarms.now_ms, alarms.term, alarms.next_id - 1, len(self._lines), self.journal
        return *counted, _sum(kept), _sum(marked), *alarms.listening

    def take(self, entry: Entry) -> tuple[int, bool]:
        """A batch that counts: how many reports and whether readings came with it."""
        kind, reports, judged = format_of(entry.body), 0, False
        self.alarms.led(int.from_bytes(entry.body[1:9], "big"), entry.term)
        if kind == FACTS:
            stamp_ms, facts = decode_facts(entry.body)
            for fact in facts:
                self.alarms.take(stamp_ms, fact)
        elif kind == ACCESS:
            stamp_ms, changes = decode_access(entry.body)
            for number, change in enumerate(changes):
                before = self._keys.get(change.key)
                if isinstance(change, Issued):
                    if before is None:
                        self._keys[change.key] = (*change, stamp_ms, entry.index * 1000 + number, 0)
                elif before is None:
                    self._keys[change.key] = (change.key, "", "", 0, 0, 0, stamp_ms)
                elif not before[-1]:
                    self._keys[change.key] = (*before[:-1], stamp_ms)
        elif kind == READINGS:
            stamp_ms, readings = decode_readings(entry.body)
            judged = bool(readings)
            for patient, timestamp, value, payload, verdict in readings:
                self._reading(entry.index, stamp_ms, patient, timestamp, value, payload, verdict)
        else:
            stamp_ms, rows = decode_body(entry.body)
            reports = len(rows)
            for row in rows:
                number = len(self.reports) + 1
                self.reports.append((number, *row[:9], 0, *row[9:], stamp_ms, entry.index))
                self.alarms.report(stamp_ms, number, Report._make(row))
        self.alarms.advance(stamp_ms)
        self._note(self.alarms.take_changes())
        return reports, judged

    def _reading(
        self, index: int, stamp_ms: int, patient: str, timestamp: int, value: float | None, payload: str, verdict: int
    ) -> None:
        self.verdicts[verdict] += 1
        status, anomaly = VERDICTS[verdict]
        number = len(self._readings) + 1
        self._readings.append((number, timestamp, patient, value, status, anomaly, payload, stamp_ms, index))
        if status in CATEGORY_OF:
            about = (len(self._alerts) + 1, number, timestamp, patient, value, CATEGORY_OF[status], 0)
            self._alerts.append((*about, stamp_ms, index))
        self.alarms.reading(stamp_ms, number, patient, timestamp, value, status, anomaly or "")

    def _note(self, changes: Changes) -> None:
        self._beds |= {bed.patient_id: bed for bed in changes.beds}
        for patient, at_ms in changes.heard:
            self._beds[patient] = self._beds[patient]._replace(last_at_ms=at_ms, beat_at_ms=at_ms)
            listened_ms = at_ms - changes.listening.unheard_ms
            self._beds[patient] = self._beds[patient]._replace(beat_from_ms=listened_ms)
        self._episodes |= {episode.id: episode for episode in changes.episodes}
        self._rules = changes.rules or self._rules
        for event in changes.events:
            self._lines.append((len(self._lines) + 1, *event))
            what, detail = event.what.encode(), event.detail.encode()
            head = struct.pack(">QQII", event.episode_id, event.at_ms, len(what), len(detail))
            self.journal = hashlib.blake2b(self.journal + head + what + detail, digest_size=16).digest()
        for number in changes.alerted:
            self.reports[number - 1] = _with(self.reports[number - 1], ALERT_SENT_AT)
        for calmed in changes.calmed:
            self._alerts = [_with(row, RESOLVED_AT) if _is_calmed(row, calmed) else row for row in self._alerts]


def _crc(row: Row) -> int:
    return int(sealed(*row)[-1])


_CRC: dict[str, Callable[[Row], int]] = {
    "risk_reports": report_crc,
    "heartbeat_alerts": alert_crc,
    "alarm_rules": lambda row: _crc(row[1:]),
    "alarm_beds": bed_crc,
    "alarm_episodes": episode_crc,
}


def _sum(rows: Sequence[tuple[str, Row]]) -> int:
    total = 0
    for table, row in rows:
        crc = _CRC.get(table, _crc)(row)
        digest = hashlib.blake2b(f"{table}\0{row[0]}\0{crc}".encode(), digest_size=8).digest()
        total += int.from_bytes(digest, "big")
    return total % (1 << 63)


def _with(row: Row, flag_at: int) -> Row:
    return (*row[:flag_at], 1, *row[flag_at + 1 :])


def _is_calmed(alert: Row, calmed: Calmed) -> bool:
    physiological = alert[CATEGORY_AT] == CATEGORY_OF[PHYSIOLOGICAL]
    return alert[PATIENT_AT] == calmed.patient_id and physiological is (calmed.cause == HEART_RATE)
