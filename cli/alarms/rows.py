"""Rows of the alarms' tables, from a peer or from a file, as values.

Touches nothing: rows come in. Must not know where they are from, how they are shown. Keeps: a row of another version,
or one that is no row, is an error that says so, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from hfzmq.clinical.alarm.types import CAUSES, STATES, Episode
from hfzmq.errors import HfzmqError

_HINT = "hfzmq status shows the versions of the daemons"
_TEXTS = ("patient_id", "cause", "state", "note", "acknowledged_by", "resolved_how", "resolved_by", "sent", "failing")
_WHOLE = ("id", "raised_at_ms", "raised_by", "step", "step_at_ms")
_MAYBE_WHOLE = ("acknowledged_at_ms", "returned_at_ms", "resolved_at_ms")
_MAYBE_NUMBER = ("value", "least", "most")


class JournalLine(NamedTuple):
    """One row of ``alarm_events``. ``at_ms``: the log's clock, Unix ms; ``episode_id`` 0: about a bed."""

    id: int
    episode_id: int
    at_ms: int
    what: str
    detail: str


def episodes_of(fields: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Episode]:
    """Rows of ``alarm_episodes``; HfzmqError when one is none."""
    return [_episode(dict(zip(fields, row, strict=True))) for row in rows]


def journal_of(fields: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[JournalLine]:
    """Rows of ``alarm_events``; HfzmqError when one is none."""
    return [_journal_line(dict(zip(fields, row, strict=True))) for row in rows]


def sent_of(text: str) -> tuple[str, ...]:
    """What was delivered, as stored: STEP:CHANNEL, one a line."""
    return tuple(text.split("\n")) if text else ()


def _episode(row: dict[str, Any]) -> Episode:
    good = (
        all(isinstance(row.get(name), str) for name in _TEXTS)
        and all(_is_whole(row.get(name)) for name in _WHOLE)
        and all(name in row and (row[name] is None or _is_whole(row[name])) for name in _MAYBE_WHOLE)
        and all(name in row and (row[name] is None or _is_number(row[name])) for name in _MAYBE_NUMBER)
    )
    if not good or row["cause"] not in CAUSES or row["state"] not in STATES:
        raise HfzmqError("a daemon answered an alarm in a way this version does not know", hint=_HINT)
    told = {name: sent_of(row[name]) for name in ("sent", "failing")}
    return Episode(**{name: row[name] for name in Episode._fields} | told)


def _journal_line(row: dict[str, Any]) -> JournalLine:
    good = all(_is_whole(row.get(name)) for name in ("id", "episode_id", "at_ms"))
    if not good or not all(isinstance(row.get(name), str) for name in ("what", "detail")):
        raise HfzmqError("a daemon answered a journal in a way this version does not know", hint=_HINT)
    return JournalLine(*(row[name] for name in JournalLine._fields))


def _is_whole(value: object) -> bool:
    return type(value) is int


def _is_number(value: object) -> bool:
    return type(value) in (int, float)
