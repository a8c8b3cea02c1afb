"""Rows <-> values of the alarms' tables: beds, episodes, their journal, the rules in force.

Touches nothing: rows in, rows out. Must not know: transactions, what an alarm means. Keeps: as in tables, a row
whose checksum or shape is wrong raises Damaged and never becomes a value.
"""

from __future__ import annotations

import json
from typing import Any

from hfzmq.clinical.alarm.rules import DEFAULT_RULES, AlarmRules, from_mapping, to_mapping
from hfzmq.clinical.alarm.types import Bed, Episode, Event
from hfzmq.storage.checksums import Damaged, Row, sealed, unsealed

_SENT_APART = "\n"


def _marks(columns: int) -> str:
    return ", ".join("?" * (columns + 1))  # and the checksum


UPSERT_BED = f"REPLACE INTO alarm_beds VALUES ({_marks(len(Bed._fields))})"
SELECT_BEDS = "SELECT * FROM alarm_beds ORDER BY patient_id"
UPSERT_EPISODE = f"REPLACE INTO alarm_episodes VALUES ({_marks(len(Episode._fields))})"
SELECT_EPISODES = "SELECT * FROM alarm_episodes WHERE id > ? ORDER BY id LIMIT ?"
SELECT_RECENT = "SELECT * FROM alarm_episodes WHERE resolved_at_ms IS NULL OR resolved_at_ms > ? ORDER BY id"
INSERT_EVENT = f"INSERT INTO alarm_events VALUES (?, {_marks(len(Event._fields))})"
SELECT_EVENTS = "SELECT * FROM alarm_events WHERE id > ? ORDER BY id LIMIT ?"
REPLACE_RULES = "REPLACE INTO alarm_rules VALUES (?, ?, ?)"
SELECT_RULES = "SELECT rules, crc FROM alarm_rules"


def bed_row(bed: Bed) -> Row:
    """For UPSERT_BED."""
    return sealed(*bed._replace(watched=int(bed.watched), probability=_real(bed.probability)))  # type: ignore[arg-type]


def bed_of(row: Row | None) -> Bed:
    """From SELECT_BEDS."""
    bed = Bed(*unsealed(row, len(Bed._fields)))
    return bed._replace(watched=bool(bed.watched))


def episode_row(episode: Episode) -> Row:
    """For UPSERT_EPISODE."""
    plain: dict[str, Any] = {name: _real(getattr(episode, name)) for name in ("value", "least", "most")}
    plain |= {name: _SENT_APART.join(getattr(episode, name)) for name in ("sent", "failing")}
    return sealed(*episode._replace(**plain))


def episode_of(row: Row | None) -> Episode:
    """From SELECT_EPISODES and SELECT_RECENT."""
    episode = Episode(*unsealed(row, len(Episode._fields)))
    return episode._replace(sent=_labels(episode.sent), failing=_labels(episode.failing))


def _labels(text: object) -> tuple[str, ...]:
    return tuple(str(text).split(_SENT_APART)) if text else ()


def event_row(number: int, event: Event) -> Row:
    """For INSERT_EVENT."""
    return sealed(number, *event)


def rules_row(rules: AlarmRules) -> Row:
    """After the id for REPLACE_RULES."""
    return sealed(json.dumps(to_mapping(rules), separators=(",", ":"), sort_keys=True))


def rules_of(row: Row | None) -> AlarmRules:
    """From SELECT_RULES. None: no rules were set yet."""
    if row is None:
        return DEFAULT_RULES
    rules = from_mapping(json.loads(unsealed(row, 1)[0]))
    if not isinstance(rules, AlarmRules):
        raise Damaged(f"{rules.field}: {rules.bound}")
    return rules


def _real(value: float | None) -> float | None:
    """As SQLite gives it back: a float, without a negative zero."""
    return None if value is None else float(value) + 0.0
