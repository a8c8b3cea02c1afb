"""Committed entries become rows: reports and readings with their ids, sessions, the applied index and the state's hash.

Touches the tables, inside the transaction of its caller. Must not know: the log's tail, commit, who leads. Keeps: what
is written follows from the entries alone (no clock, no chance), so that equal applied indexes mean equal tables on
every peer; the state's hash covers each entry's chain, whether it counted, how many reports it brought, and, when it
brought readings, how many of each verdict there are then; what the alarms make of it is added when it is written.

Which *history* the tables belong to follows from the entries, too: it is the chain of the first entry with a body that
was applied since the mesh began. That is its founding, where the first peers began with nothing (it names their random
incarnations), and the first that anybody brought (it has a stamp), where they were restored. A mesh that is begun anew
has another one, whatever its ids and keys.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import apsw

from hfzmq.core.contract import Apply
from hfzmq.core.sessions import SessionKey
from hfzmq.core.types import BATCH, Entry, Place
from hfzmq.errors import WireError
from hfzmq.storage import reading_rows, report_rows, tables
from hfzmq.storage.alarm_book import AlarmBook
from hfzmq.storage.checksums import Row
from hfzmq.storage.reading_rows import VerdictCounts
from hfzmq.storage.tables import HASH_BYTES, AppliedState, SessionSum
from hfzmq.wire.access import decode_access
from hfzmq.wire.body import ACCESS, FACTS, REPORTS, decode_body, decode_readings, format_of
from hfzmq.wire.facts import decode_facts

_STEP = struct.Struct(">BIQ")


class _Reports(NamedTuple):
    """What one entry brings: its stamp, and reports in the order of Report's fields."""

    stamp_ms: int
    rows: list[list[Any]]


@dataclass(slots=True)
class _Brought:
    """Other rows to insert, table by table, in the order of the log; which entry each session has stored last."""

    readings: list[Row] = field(default_factory=list)
    alerts: list[Row] = field(default_factory=list)
    sessions: dict[SessionKey, Entry] = field(default_factory=dict)


def apply(
    connection: apsw.Connection, state: AppliedState, effect: Apply, sums: SessionSum, book: AlarmBook
) -> AppliedState:
    """Write what ``effect`` brings, starting from ``state``; the state after it. ValueError when it does not follow, or
    when an entry cannot be read (then this peer must stop: to store less than was acknowledged is no way out)."""
    batches = _reports_of(effect, state.place.index)
    reports = _report_rows(state.next_id, effect.entries, batches)
    brought = _Brought()
    applied_hash, next_id, verdicts = state.applied_hash, state.next_id, state.verdicts
    alerts = verdicts.alerts
    for entry, fresh, batch in zip(effect.entries, effect.fresh, batches, strict=True):
        count, judged = 0, b""
        if batch is not None:
            count = len(batch.rows)
            book.led(batch.stamp_ms, entry.term)
            book.reports(batch.stamp_ms, next_id, batch.rows)
            book.over(batch.stamp_ms, alerts)
            next_id += count
        elif fresh and entry.kind == BATCH:
            before, verdicts = verdicts, _take(entry, verdicts, brought, book)
            if verdicts is not before:
                alerts, judged = verdicts.alerts, verdicts.pack()
        if fresh and entry.kind == BATCH and entry.origin:
            brought.sessions[entry.origin.session] = entry
        step = b"".join((applied_hash, entry.chain, _STEP.pack(fresh, count, next_id), judged))
        applied_hash = hashlib.blake2b(step, digest_size=HASH_BYTES).digest()
    sessions = [tables.session_row(entry.origin, entry) for entry in brought.sessions.values() if entry.origin]
    for statement, rows in (
        (report_rows.INSERT_REPORT, reports),
        (reading_rows.INSERT_READING, brought.readings),
        (reading_rows.INSERT_ALERT, brought.alerts),
        (tables.UPSERT_SESSION, sessions),
    ):
        if rows:
            connection.executemany(statement, rows)
    for row in sessions:
        sums.replace(row)
    alarms = book.write(connection)
    last = effect.entries[-1] if effect.entries else state.place
    history = state.history or first_history(effect.entries)
    state = AppliedState(Place(last.index, last.term, last.chain), applied_hash, next_id, verdicts, alarms, history)
    connection.execute(tables.UPDATE_APPLIED, tables.applied_row(state))
    return state


def first_history(entries: Iterable[Entry]) -> bytes:
    """Which history these entries begin; b"" while none of them has a body."""
    return next((entry.chain for entry in entries if entry.body), b"")


def _reports_of(effect: Apply, applied: int) -> list[_Reports | None]:
    """What each entry after ``applied`` brings in reports; None for one that brings none, or none that count."""
    found: list[_Reports | None] = []
    for entry, fresh in zip(effect.entries, effect.fresh, strict=True):
        if entry.index != applied + 1:
            raise ValueError(f"entry {entry.index} cannot be applied after {applied}")
        applied = entry.index
        try:
            brings = fresh and entry.kind == BATCH and format_of(entry.body) == REPORTS
            found.append(_Reports(*decode_body(entry.body)) if brings else None)
        except WireError as error:
            raise _unreadable(entry, error) from error
    return found


def _report_rows(first_id: int, entries: Sequence[Entry], batches: Sequence[_Reports | None]) -> list[Row]:
    """Of all entries at once, and before anything else looks at the values: what no column takes ends here."""
    rows: list[list[Any]] = []
    stamps: list[int] = []
    indexes: list[int] = []
    for entry, batch in zip(entries, batches, strict=True):
        if batch is not None:
            rows += batch.rows
            stamps += [batch.stamp_ms] * len(batch.rows)
            indexes += [entry.index] * len(batch.rows)
    return report_rows.report_rows(first_id, rows, stamps, indexes)


def _take(entry: Entry, verdicts: VerdictCounts, brought: _Brought, book: AlarmBook) -> VerdictCounts:
    """Take in a batch that brings something else; the readings' verdicts after it."""
    try:
        kind = format_of(entry.body)
        if kind == FACTS:
            stamp_ms, facts = decode_facts(entry.body)
            book.led(stamp_ms, entry.term)
            book.facts(entry.index, stamp_ms, facts)
        elif kind == ACCESS:
            stamp_ms, changes = decode_access(entry.body)
            book.led(stamp_ms, entry.term)
            book.keys.take(entry.index, stamp_ms, changes)
        else:
            stamp_ms, batch = decode_readings(entry.body)
            rows = reading_rows.rows_of(batch, stamp_ms, entry.index, verdicts)
            brought.readings += rows.readings
            brought.alerts += rows.alerts
            verdicts = rows.counts
            book.led(stamp_ms, entry.term)
            book.readings(stamp_ms, rows.readings)
    except WireError as error:
        raise _unreadable(entry, error) from error
    book.over(stamp_ms, verdicts.alerts)
    return verdicts


def _unreadable(entry: Entry, error: WireError) -> ValueError:
    return ValueError(f"entry {entry.index} cannot be read: {error}")
