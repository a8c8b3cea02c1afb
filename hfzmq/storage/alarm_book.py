"""The alarms beside the tables: fed with what is applied, in the log's order; what changes is written along.

Touches the tables, inside the transaction of its caller. Must not know: who leads, what is notified. Keeps: what stands
in the tables after an entry does not depend on how many entries were applied at once; the journal's hash is over every
line of the journal, in order, and goes into the hash of the peer's state, so that peers whose alarms differ notice.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import NamedTuple

import apsw

from hfzmq.clinical.alarm.episodes import KEEP_ENDED_MS
from hfzmq.clinical.alarm.machine import Alarms
from hfzmq.clinical.alarm.rules import DEFAULT_RULES
from hfzmq.clinical.alarm.types import Calmed, Changes
from hfzmq.clinical.report import Report
from hfzmq.storage import alarm_tables, tables
from hfzmq.storage.alarm_tables import JOURNAL_START, AlarmState
from hfzmq.storage.tables import HASH_BYTES, Damaged
from hfzmq.wire.facts import decode_facts

_LINE = struct.Struct(">QQII")


class Judged(NamedTuple):
    """A stored reading, as the alarms want it."""

    heartbeat_id: int
    patient_id: str
    timestamp: int
    value: float | None
    status: str
    anomaly: str


class AlarmBook:
    """The alarms of one peer, as of its applied index."""

    def __init__(self, alarms: Alarms, state: AlarmState) -> None:
        self.alarms = alarms
        self._state = state

    @classmethod
    def load(cls, connection: apsw.Connection) -> AlarmBook:
        """As the tables have them. Damaged."""
        state = alarm_tables.state_of(connection.execute(alarm_tables.SELECT_STATE).fetchone())
        beds = tuple(map(alarm_tables.bed_of, connection.execute(alarm_tables.SELECT_BEDS)))
        since = (state.now_ms - KEEP_ENDED_MS,)
        episodes = tuple(map(alarm_tables.episode_of, connection.execute(alarm_tables.SELECT_RECENT, since)))
        return cls(Alarms(state.rules, beds, episodes, state.now_ms, state.next_id), state)

    @property
    def journal(self) -> bytes:
        """The hash of the journal, 16 bytes."""
        return self._state.journal

    # ------------------------------------------------------------ what is applied

    def reports(self, stamp_ms: int, rows: Sequence[tuple[int, Report]]) -> None:
        """Reports with their ids, of one entry."""
        for number, row in rows:
            self.alarms.report(stamp_ms, number, row)
        self.alarms.advance(stamp_ms)

    def readings(self, stamp_ms: int, rows: Sequence[Judged]) -> None:
        """Heart rates with their ids and verdicts, of one entry."""
        for row in rows:
            self.alarms.reading(stamp_ms, *row)
        self.alarms.advance(stamp_ms)

    def facts(self, body: bytes) -> None:
        """An entry that is about alarms. WireError."""
        stamp_ms, facts = decode_facts(body)
        for fact in facts:
            self.alarms.take(stamp_ms, fact)
        self.alarms.advance(stamp_ms)

    # ------------------------------------------------------------ what is written

    def write(self, connection: apsw.Connection) -> None:
        """Write what has changed since the last time."""
        changes = self.alarms.take_changes()
        state = self._after(changes)
        if state == self._state:
            return
        first, self._state = self._state.next_event_id, state
        connection.executemany(alarm_tables.UPSERT_BED, map(alarm_tables.bed_row, changes.beds))
        connection.executemany(alarm_tables.UPSERT_EPISODE, map(alarm_tables.episode_row, changes.episodes))
        lines = [alarm_tables.event_row(number, event) for number, event in enumerate(changes.events, first)]
        connection.executemany(alarm_tables.INSERT_EVENT, lines)
        for number in changes.alerted:
            row = connection.execute(tables.SELECT_REPORT, (number,)).fetchone()
            connection.execute(tables.UPDATE_ALERT_SENT, tables.alerted_row(row))
        for calmed in changes.calmed:
            _calm(connection, calmed)
        connection.execute(alarm_tables.UPDATE_STATE, alarm_tables.state_row(state))

    def _after(self, changes: Changes) -> AlarmState:
        journal = self._state.journal
        for event in changes.events:
            what, detail = event.what.encode(), event.detail.encode()
            head = _LINE.pack(event.episode_id, event.at_ms, len(what), len(detail))
            journal = hashlib.blake2b(journal + head + what + detail, digest_size=HASH_BYTES).digest()
        next_event_id = self._state.next_event_id + len(changes.events)
        return AlarmState(changes.now_ms, changes.next_id, next_event_id, journal, self.alarms.rules)
