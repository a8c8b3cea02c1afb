"""Committed entries become rows: reports and readings with their ids, sessions, the applied index and the state's hash.

Touches the tables, inside the transaction of its caller. Must not know: the log's tail, commit, who leads. Keeps: what
is written follows from the entries alone (no clock, no chance), so that equal applied indexes mean equal tables on
every peer; the state's hash covers each entry's chain, whether it counted, how many reports it brought, and, when it
brought readings, how many of each verdict there are then; what the alarms make of it is added when it is written.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import apsw

from hfzmq.core.contract import Apply
from hfzmq.core.types import BATCH, Entry, Place
from hfzmq.errors import WireError
from hfzmq.storage import reading_rows, report_rows, tables
from hfzmq.storage.alarm_book import AlarmBook
from hfzmq.storage.checksums import Row
from hfzmq.storage.reading_rows import VerdictCounts
from hfzmq.storage.tables import HASH_BYTES, AppliedState, SessionSum
from hfzmq.wire.body import FACTS, READINGS, decode_body, decode_readings, format_of
from hfzmq.wire.facts import decode_facts

_STEP = struct.Struct(">BIQ")
_NOT_ALERTED = 0
_COLUMNS_BEFORE_ALERT = 9  # of a Report: patient_id to tier


@dataclass(slots=True)
class _Brought:
    """Rows to insert, table by table, in the order of the log."""

    reports: list[Row] = field(default_factory=list)
    readings: list[Row] = field(default_factory=list)
    alerts: list[Row] = field(default_factory=list)
    sessions: list[Row] = field(default_factory=list)


def apply(
    connection: apsw.Connection, state: AppliedState, effect: Apply, sums: SessionSum, book: AlarmBook
) -> AppliedState:
    """Write what ``effect`` brings, starting from ``state``; the state after it. ValueError when it does not follow, or
    when an entry cannot be read (then this peer must stop: to store less than was acknowledged is no way out)."""
    brought = _Brought()
    for entry, fresh in zip(effect.entries, effect.fresh, strict=True):
        if entry.index != state.place.index + 1:
            raise ValueError(f"entry {entry.index} cannot be applied after {state.place.index}")
        reports, verdicts = 0, state.verdicts
        if fresh and entry.kind == BATCH:
            reports, verdicts = _take(entry, state, brought, book)
            if entry.origin:
                brought.sessions.append(tables.session_row(entry.origin, entry))
        state = _after(state, entry, fresh, reports, verdicts)
    for statement, rows in (
        (report_rows.INSERT_REPORT, brought.reports),
        (reading_rows.INSERT_READING, brought.readings),
        (reading_rows.INSERT_ALERT, brought.alerts),
        (tables.UPSERT_SESSION, brought.sessions),
    ):
        if rows:
            connection.executemany(statement, rows)
    for row in brought.sessions:
        sums.replace(row)
    state = state._replace(alarms=book.write(connection))
    connection.execute(tables.UPDATE_APPLIED, tables.applied_row(state))
    return state


def _take(entry: Entry, state: AppliedState, brought: _Brought, book: AlarmBook) -> tuple[int, VerdictCounts]:
    """How many reports a batch brings, and the readings' verdicts after it."""
    count, verdicts = 0, state.verdicts
    try:
        kind = format_of(entry.body)
        if kind == FACTS:
            stamp_ms, facts = decode_facts(entry.body)
            book.led(stamp_ms, entry.term)
            book.facts(entry.index, stamp_ms, facts)
        elif kind == READINGS:
            stamp_ms, batch = decode_readings(entry.body)
            rows = reading_rows.rows_of(batch, stamp_ms, entry.index, verdicts)
            brought.readings += rows.readings
            brought.alerts += rows.alerts
            verdicts = rows.counts
            book.led(stamp_ms, entry.term)
            book.readings(stamp_ms, rows.readings)
        else:
            stamp_ms, reports = decode_body(entry.body)
            brought.reports += _report_rows(entry, state.next_id, stamp_ms, reports)
            count = len(reports)
            book.led(stamp_ms, entry.term)
            book.reports(stamp_ms, state.next_id, reports)
    except WireError as error:
        raise ValueError(f"entry {entry.index} cannot be read: {error}") from error
    book.over(stamp_ms, verdicts.alerts)
    return count, verdicts


def _report_rows(entry: Entry, first_id: int, created_at_ms: int, reports: Sequence[Sequence[Any]]) -> list[Row]:
    cut = _COLUMNS_BEFORE_ALERT
    return [
        report_rows.report_row(report_id, *row[:cut], _NOT_ALERTED, *row[cut:], created_at_ms, entry.index)
        for report_id, row in enumerate(reports, first_id)
    ]


def _after(state: AppliedState, entry: Entry, fresh: bool, reports: int, verdicts: VerdictCounts) -> AppliedState:
    next_id = state.next_id + reports
    judged = b"" if verdicts is state.verdicts else verdicts.pack()
    step = b"".join((state.applied_hash, entry.chain, _STEP.pack(fresh, reports, next_id), judged))
    applied_hash = hashlib.blake2b(step, digest_size=HASH_BYTES).digest()
    return AppliedState(Place(entry.index, entry.term, entry.chain), applied_hash, next_id, verdicts, state.alarms)
