"""Questions for a page of a table: which table, which rows, from where on.

Touches nothing. Must not know: who answers, what is stored. Keeps: a question that exists holds every bound of the
protocol; ids are the pages' marks, and one direction is asked for at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hfzmq.clinical.alarm.types import STATES
from hfzmq.clinical.heart_rate import CATEGORIES, STATUSES
from hfzmq.clinical.report import check_patient_id
from hfzmq.clinical.tiers import TIERS
from hfzmq.errors import WireError
from hfzmq.wire.fields import Fields

ID_MAX = (1 << 63) - 1  # what SQLite keeps
LIMIT_MAX = 1000
LIMIT_DEFAULT = 100


class Reports(NamedTuple):
    """Rows of the table with an id above ``after_id``, rising; or, when not None, below ``before_id``, falling."""

    after_id: int
    before_id: int | None
    limit: int
    patient: str | None
    tier: str | None
    consistent: bool


class Readings(NamedTuple):
    """Rows of ``heartbeats``, as for Reports; ``status``: one of heart_rate.STATUSES."""

    after_id: int
    before_id: int | None
    limit: int
    patient: str | None
    status: str | None
    consistent: bool


class Alerts(NamedTuple):
    """Rows of ``heartbeat_alerts``, as for Reports (``alert_id`` is the id); ``category``: of heart_rate.CATEGORIES."""

    after_id: int
    before_id: int | None
    limit: int
    patient: str | None
    category: str | None
    consistent: bool


class Alarms(NamedTuple):
    """Rows of ``alarm_episodes``, as for Reports; ``state``: one of alarm.types.STATES, or OPEN for all but normal."""

    after_id: int
    before_id: int | None
    limit: int
    patient: str | None
    state: str | None
    consistent: bool


class AlarmEvents(NamedTuple):
    """Rows of ``alarm_events``, as for Reports; ``episode``: of one episode only. ``patient`` is not asked for."""

    after_id: int
    before_id: int | None
    limit: int
    patient: None
    episode: int | None
    consistent: bool


Page = Reports | Readings | Alerts | Alarms | AlarmEvents

OPEN = "open"

PAGE_KEYS = ("after_id", "before_id", "limit", "patient", "consistent")
KEYS = {
    "reports": (*PAGE_KEYS, "tier"),
    "readings": (*PAGE_KEYS, "status"),
    "alerts": (*PAGE_KEYS, "category"),
    "alarms": (*PAGE_KEYS, "state"),
    "alarm_events": ("after_id", "before_id", "limit", "episode", "consistent"),
}


def page_of(op: str, fields: Fields) -> Page:
    """The question in a request whose ``op`` is one of KEYS; WireError names what is wrong."""
    values = fields.values
    if "after_id" in values and "before_id" in values:
        raise WireError("before_id", "not together with after_id", hint="one direction at a time")
    after_id = fields.integer("after_id", 0, ID_MAX) if "after_id" in values else 0
    before_id = fields.integer("before_id", 0, ID_MAX) if "before_id" in values else None
    limit = fields.integer("limit", 1, LIMIT_MAX) if "limit" in values else LIMIT_DEFAULT
    patient = None
    if "patient" in values:
        patient = values["patient"]
        refusal = check_patient_id(patient)
        if refusal:
            raise WireError("patient", refusal.bound, hint=refusal.hint)
    consistent = values.get("consistent", False)
    if not isinstance(consistent, bool):
        raise WireError("consistent", "true or false")
    if op == "reports":
        return Reports(after_id, before_id, limit, patient, _choice(fields, "tier", TIERS, "upper case"), consistent)
    if op == "readings":
        status = _choice(fields, "status", STATUSES, "lower case")
        return Readings(after_id, before_id, limit, patient, status, consistent)
    if op == "alarms":
        state = _choice(fields, "state", (*STATES, OPEN), "lower case")
        return Alarms(after_id, before_id, limit, patient, state, consistent)
    if op == "alarm_events":
        episode = fields.integer("episode", 0, ID_MAX) if "episode" in values else None
        return AlarmEvents(after_id, before_id, limit, None, episode, consistent)
    category = _choice(fields, "category", CATEGORIES, "lower case")
    return Alerts(after_id, before_id, limit, patient, category, consistent)


def _choice(fields: Fields, name: str, known: Sequence[str], hint: str) -> str | None:
    value = fields.values.get(name, "")
    if name not in fields.values:
        return None
    if not isinstance(value, str) or value not in known:
        raise WireError(name, "one of " + ", ".join(known), hint=hint)
    return value
