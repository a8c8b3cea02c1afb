"""Rows <-> values of the alarms' tables: beds, episodes, their journal, the rules in force.

Touches nothing: rows in, rows out. Must not know: transactions, what an alarm means. Keeps: as in tables, a row
whose checksum or shape is wrong raises Damaged and never becomes a value. Beds and episodes change with each report:
their checksums are over the packed numbers and the texts behind them, not over the text of each column, which took ten
times as long.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable

from hfzmq.clinical.alarm.rules import DEFAULT_RULES, AlarmRules, from_mapping, to_mapping
from hfzmq.clinical.alarm.types import Bed, Episode, Event
from hfzmq.storage.checksums import Damaged, Row, sealed, unsealed

_SENT_APART = "\n"


def _marks(columns: int) -> str:
    return ", ".join("?" * (columns + 1))  # and the checksum


UPSERT_BED = f"REPLACE INTO alarm_beds VALUES ({_marks(len(Bed._fields))})"
SELECT_BEDS = "SELECT * FROM alarm_beds ORDER BY patient_id"
UPSERT_EPISODE = f"REPLACE INTO alarm_episodes VALUES ({_marks(len(Episode._fields))})"
# Where the row is there, nothing is written but a new value and what comes with it: the two indexes stay as they are.
UPSERT_MEASURED = (
    f"INSERT INTO alarm_episodes VALUES ({_marks(len(Episode._fields))}) ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in ("note", "value", "least", "most", "crc"))
)
SELECT_EPISODES = "SELECT * FROM alarm_episodes WHERE id > ? ORDER BY id LIMIT ?"
SELECT_RECENT = "SELECT * FROM alarm_episodes WHERE resolved_at_ms IS NULL OR resolved_at_ms > ? ORDER BY id"
INSERT_EVENT = f"INSERT INTO alarm_events VALUES (?, {_marks(len(Event._fields))})"
SELECT_EVENTS = "SELECT * FROM alarm_events WHERE id > ? ORDER BY id LIMIT ?"
REPLACE_RULES = "REPLACE INTO alarm_rules VALUES (?, ?, ?)"
SELECT_RULES = "SELECT rules, crc FROM alarm_rules"

# What is packed of a row: its whole numbers and reals, in the order of its columns. The texts are the other columns.
# Reals are packed as SQLite gives them back, which knows no negative zero: hence ``+ 0.0``.
_BED_NUMBERS = struct.Struct(">12qd12q")
_TIER, _PROBABILITY = Bed._fields.index("tier"), Bed._fields.index("probability")
_EPISODE_NUMBERS = struct.Struct(">qqqdddqqqqq")
_SENT = Episode._fields.index("sent")
_NO_MOMENT = -(1 << 63)  # for a NULL among whole numbers: no stamp is below 0
_NO_NUMBER = float("nan")  # for a NULL among reals: SQLite keeps no NaN
_TEXTS_APART = "\0"  # is in none of them: ids, names and notes are printable


def bed_row(bed: Bed) -> Row:
    """For UPSERT_BED."""
    return (*bed, bed_crc(bed))


def bed_crc(row: Row) -> int:
    """Over a row of alarm_beds without its checksum. The errors that ``_sound`` catches: it is no such row."""
    probability = row[_PROBABILITY]
    real = _NO_NUMBER if probability is None else probability + 0.0
    numbers = _BED_NUMBERS.pack(*row[1:_TIER], real, *row[_PROBABILITY + 1 :])
    return zlib.crc32(_TEXTS_APART.join((row[0], row[_TIER])).encode(), zlib.crc32(numbers))


def bed_of(row: Row | None) -> Bed:
    """From SELECT_BEDS."""
    bed = Bed._make(_sound(row, bed_crc))
    return bed._replace(watched=bool(bed.watched))


def episode_row(episode: Episode) -> Row:
    """For UPSERT_EPISODE and UPSERT_MEASURED."""
    row = (*episode[:_SENT], _SENT_APART.join(episode.sent), _SENT_APART.join(episode.failing))
    return (*row, episode_crc(row))


def episode_crc(row: Row) -> int:
    """Over a row of alarm_episodes without its checksum. The errors that ``_sound`` catches: it is no such row."""
    number, patient, cause, state, raised_at, raised_by, note, value, least, most, *more = row
    seen_at, seen_by, returned_at, resolved_at, how, resolved_by, step, step_at, sent, failing = more
    numbers = _EPISODE_NUMBERS.pack(
        number,
        raised_at,
        raised_by,
        _NO_NUMBER if value is None else value + 0.0,
        _NO_NUMBER if least is None else least + 0.0,
        _NO_NUMBER if most is None else most + 0.0,
        _NO_MOMENT if seen_at is None else seen_at,
        _NO_MOMENT if returned_at is None else returned_at,
        _NO_MOMENT if resolved_at is None else resolved_at,
        step,
        step_at,
    )
    texts = _TEXTS_APART.join((patient, cause, state, note, seen_by, how, resolved_by, sent, failing))
    return zlib.crc32(texts.encode(), zlib.crc32(numbers))


def episode_of(row: Row | None) -> Episode:
    """From SELECT_EPISODES and SELECT_RECENT."""
    episode = Episode._make(_sound(row, episode_crc))
    return episode._replace(sent=_labels(episode.sent), failing=_labels(episode.failing))


def _labels(text: object) -> tuple[str, ...]:
    return tuple(str(text).split(_SENT_APART)) if text else ()


def _sound(row: Row | None, crc: Callable[[Row], int]) -> Row:
    """The row without its checksum, which is by ``crc``; Damaged when it is missing or altered, were it but a type."""
    if row is None:
        raise Damaged("the row is missing")
    try:
        sound = crc(row[:-1]) == row[-1]
    except (IndexError, TypeError, ValueError, struct.error):
        sound = False
    if not sound:
        raise Damaged("wrong checksum")
    return row[:-1]


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
