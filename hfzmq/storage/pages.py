"""The questions of a reader as SQL: pages of a table by id, and the last row of each patient.

Touches nothing. Must not know: connections. Keeps: every question goes through the ids or an index, so that it is as
quick with a million rows as with a thousand; no name in it comes from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from hfzmq.clinical.heart_rate import CATEGORIES, STATUSES
from hfzmq.clinical.tiers import TIERS

Wanted = str | int | tuple[str, ...] | None

PATIENT = "patient_id"


class Kinds(NamedTuple):
    """The column behind the patient in a table's index by patient, and all values that it ever has."""

    column: str
    values: tuple[str, ...]


KINDS = {
    "risk_reports": Kinds("tier", TIERS),
    "heartbeats": Kinds("validation_status", STATUSES),
    "heartbeat_alerts": Kinds("alert_category", CATEGORIES),
}


def page_query(
    table: str,
    fields: Sequence[str],
    after_id: int | None,
    before_id: int | None,
    limit: int,
    equal: Sequence[tuple[str, Wanted]] = (),
) -> tuple[str, tuple[Any, ...]]:
    """(SQL, its values) for rows of ``table``, whose first field is its id: above ``after_id``, rising; or, when
    ``before_id`` is given, below it, falling (0: from the newest). ``equal``: (column, value), None for any, several
    for one of these."""
    key, kinds, wanted = fields[0], KINDS.get(table), dict(equal)
    where: list[str] = []
    values: list[Any] = []
    if before_id is None:
        where.append(f"{key} > ?")
        values.append(after_id or 0)
    elif before_id > 0:
        where.append(f"{key} < ?")
        values.append(before_id)
    order = "ASC" if before_id is None else "DESC"
    if kinds and wanted.get(PATIENT) is not None and wanted.get(kinds.column) is None:
        return _of_all_kinds(table, fields, kinds, " AND ".join(["", *where]), (wanted[PATIENT], *values), order, limit)
    has_mark = len(where)
    for column, value in equal:
        # Where no index has both, by that of the first one alone: a patient has few rows, a state may have nearly all.
        # So the caller puts first whatever fewer rows have.
        other = "+" * (any(where[has_mark:]) and not kinds)
        if isinstance(value, tuple):
            where.append(f"{other}{column} IN ({', '.join('?' * len(value))})")
            values += value
        elif value is not None:
            where.append(f"{other}{column} = ?")
            values.append(value)
    conditions = f" WHERE {' AND '.join(where)}" if where else ""
    query = f"SELECT {', '.join(fields)} FROM {table}{conditions} ORDER BY {key} {order} LIMIT ?"
    return query, (*values, limit)


def _of_all_kinds(
    table: str, fields: Sequence[str], kinds: Kinds, mark: str, values: tuple[Any, ...], order: str, limit: int
) -> tuple[str, tuple[Any, ...]]:
    """As ``page_query``, of one patient: the first rows of each kind, of which the first ones are taken."""
    key = fields[0]
    each = [
        f"SELECT {key} FROM (SELECT {key} FROM {table} WHERE {PATIENT} = ? AND {kinds.column} = '{kind}'{mark} "
        f"ORDER BY {key} {order} LIMIT ?)"
        for kind in kinds.values
    ]
    query = (
        f"SELECT {', '.join(fields)} FROM {table} WHERE {key} IN ({' UNION ALL '.join(each)}) "
        f"ORDER BY {key} {order} LIMIT ?"
    )
    return query, (*(*values, limit) * len(each), limit)


def last_of_each_patient(table: str, fields: Sequence[str]) -> str:
    """SQL for (id, fields) of each patient's last row, newest first; its value is the most rows. Patients one by one
    through the index on patient_id."""
    kinds = KINDS[table]
    last = ", ".join(
        f"coalesce((SELECT max(id) FROM {table} AS mine WHERE mine.patient_id = patient.patient_id "
        f"AND mine.{kinds.column} = '{kind}'), 0)"
        for kind in kinds.values
    )
    return f"""
    WITH RECURSIVE patient(patient_id) AS (
        SELECT min(patient_id) FROM {table}
        UNION ALL
        SELECT (SELECT min(patient_id) FROM {table} WHERE patient_id > patient.patient_id)
        FROM patient WHERE patient.patient_id IS NOT NULL
    )
    SELECT id, {", ".join(fields)} FROM {table} WHERE id IN (
        SELECT max({last}) FROM patient
    )
    ORDER BY id DESC LIMIT ?
"""
