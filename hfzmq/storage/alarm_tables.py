"""Rows <-> values of the alarms' tables: beds, episodes, their journal, and the one row of state.

Touches nothing: rows in, rows out. Must not know: transactions, what an alarm means. Keeps: as in tables.py, a row whose
checksum or shape is wrong raises Damaged and never becomes a value.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from hfzmq.clinical.alarm.rules import AlarmRules, from_mapping, to_mapping
from hfzmq.clinical.alarm.types import Bed, Episode, Event
from hfzmq.storage.tables import HASH_BYTES, Damaged, Row, opened_any, sealed

JOURNAL_START = bytes(HASH_BYTES)
_SENT_APART = "\n"


class AlarmState(NamedTuple):
    """The log's clock (ms), the ids of the next episode and journal line, the journal's hash (16 bytes), the rules."""

    now_ms: int
    next_id: int
    next_event_id: int
    journal: bytes
    rules: AlarmRules


def _marks(fields: int) -> str:
    return ", ".join("?" * (fields + 1))  # and the checksum


UPSERT_BED = f"REPLACE INTO alarm_beds VALUES ({_marks(len(Bed._fields))})"
SELECT_BEDS = f"SELECT {', '.join(Bed._fields)}, crc FROM alarm_beds ORDER BY patient_id"
UPSERT_EPISODE = f"REPLACE INTO alarm_episodes VALUES ({_marks(len(Episode._fields))})"
SELECT_EPISODES = f"SELECT {', '.join(Episode._fields)}, crc FROM alarm_episodes WHERE id >= ? ORDER BY id LIMIT ?"
# Those that may still change, or are remembered: not normal, or not for long.
SELECT_RECENT = f"""SELECT {', '.join(Episode._fields)}, crc FROM alarm_episodes
    WHERE resolved_at_ms IS NULL OR resolved_at_ms >= ? ORDER BY id"""
INSERT_EVENT = f"INSERT INTO alarm_events VALUES (?, {_marks(len(Event._fields))})"
SELECT_EVENTS = f"SELECT id, {', '.join(Event._fields)}, crc FROM alarm_events WHERE id >= ? ORDER BY id LIMIT ?"
INSERT_STATE = f"INSERT INTO alarm_state VALUES (1, {_marks(len(AlarmState._fields))})"
UPDATE_STATE = "UPDATE alarm_state SET now_ms = ?, next_id = ?, next_event_id = ?, journal = ?, rules = ?, crc = ?"
SELECT_STATE = "SELECT now_ms, next_id, next_event_id, journal, rules, crc FROM alarm_state"


def bed_row(bed: Bed) -> Row:
    """For UPSERT_BED."""
    return sealed(*(int(value) if isinstance(value, bool) else value for value in bed))


def bed_of(row: Row | None) -> Bed:
    """From SELECT_BEDS."""
    bed = Bed(*opened_any(row, len(Bed._fields)))
    return bed._replace(watched=bool(bed.watched))


def episode_row(episode: Episode) -> Row:
    """For UPSERT_EPISODE."""
    return sealed(*episode._replace(sent=_SENT_APART.join(episode.sent)))  # type: ignore[arg-type]  # a column's text


def episode_of(row: Row | None) -> Episode:
    """From SELECT_EPISODES and SELECT_RECENT."""
    episode = Episode(*opened_any(row, len(Episode._fields)))
    sent = str(episode.sent)
    return episode._replace(sent=tuple(sent.split(_SENT_APART)) if sent else ())


def event_row(number: int, event: Event) -> Row:
    """For INSERT_EVENT."""
    return sealed(number, *event)


def check_event(row: Row, number: int) -> None:
    """A row of SELECT_EVENTS must be line ``number``, as it was written; else Damaged."""
    if opened_any(row, 1 + len(Event._fields))[0] != number:
        raise Damaged(f"missing, after {number - 1} comes {row[0]}")


def state_row(state: AlarmState) -> Row:
    """For INSERT_STATE and UPDATE_STATE."""
    rules = json.dumps(to_mapping(state.rules), separators=(",", ":"), sort_keys=True)
    return sealed(*state[:-1], rules)


def state_of(row: Row | None) -> AlarmState:
    """From SELECT_STATE."""
    now_ms, next_id, next_event_id, journal, text = opened_any(row, len(AlarmState._fields))
    rules = from_mapping(json.loads(text))
    if not isinstance(rules, AlarmRules):
        raise Damaged(f"rules: {rules.field}: {rules.bound}")
    return AlarmState(now_ms, next_id, next_event_id, journal, rules)
