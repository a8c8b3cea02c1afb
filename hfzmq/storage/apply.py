"""Committed entries become rows: reports with their ids, sessions, the applied index and the state's hash.

Touches the tables, inside the transaction of its caller. Must not know: the log's tail, commit, who leads. Keeps: what
is written follows from the entries alone (no clock, no chance), so that equal applied indexes mean equal tables on
every peer; the state's hash covers each entry's chain, whether it counted, and how many reports it brought.
"""

from __future__ import annotations

import hashlib
import struct

import apsw

from hfzmq.core.contract import Apply
from hfzmq.core.types import BATCH, Entry, Place
from hfzmq.errors import WireError
from hfzmq.storage import tables
from hfzmq.storage.tables import HASH_BYTES, AppliedState, Row, SessionSum
from hfzmq.wire.body import decode_body

_STEP = struct.Struct(">BIQ")
_NOT_ALERTED = 0
_COLUMNS_BEFORE_ALERT = 9  # of a Report: patient_id to tier


def apply(connection: apsw.Connection, state: AppliedState, effect: Apply, sums: SessionSum) -> AppliedState:
    """Write what ``effect`` brings, starting from ``state``; the state after it. ValueError when it does not follow, or
    when an entry cannot be read (then this peer must stop: to store less than was acknowledged is no way out)."""
    sessions: list[Row] = []
    reports: list[Row] = []
    for entry, fresh in zip(effect.entries, effect.fresh, strict=True):
        if entry.index != state.place.index + 1:
            raise ValueError(f"entry {entry.index} cannot be applied after {state.place.index}")
        rows: list[Row] = []
        if fresh and entry.kind == BATCH:
            rows = _report_rows(entry, state.next_id)
            if entry.origin:
                sessions.append(tables.session_row(entry.origin, entry))
        reports += rows
        state = _after(state, entry, fresh, len(rows))
    if reports:
        connection.executemany(tables.INSERT_REPORT, reports)
    if sessions:
        connection.executemany(tables.UPSERT_SESSION, sessions)
        for row in sessions:
            sums.replace(row)
    connection.execute(tables.UPDATE_APPLIED, tables.applied_row(state))
    return state


def _report_rows(entry: Entry, first_id: int) -> list[Row]:
    try:
        created_at, rows = decode_body(entry.body)
    except WireError as error:
        raise ValueError(f"entry {entry.index} cannot be read: {error}") from error
    cut = _COLUMNS_BEFORE_ALERT
    return [
        tables.report_row(report_id, *row[:cut], _NOT_ALERTED, *row[cut:], created_at, entry.index)
        for report_id, row in enumerate(rows, first_id)
    ]


def _after(state: AppliedState, entry: Entry, fresh: bool, count: int) -> AppliedState:
    next_id = state.next_id + count
    step = b"".join((state.state_hash, entry.chain, _STEP.pack(fresh, count, next_id)))
    state_hash = hashlib.blake2b(step, digest_size=HASH_BYTES).digest()
    return AppliedState(Place(entry.index, entry.term, entry.chain), state_hash, next_id)
