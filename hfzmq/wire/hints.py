"""What clients told of their beds (``seen``), as peers pass it on: each to the peer that leads, and that one to all.

Touches nothing. Must not know: who leads, what a hint is worth. Keeps: a hint says how old it is, so that no board
shows it younger than it is (but for its way here); each row passed the checks of a client's; it is harmless when late,
doubled or lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hfzmq.clinical.report import Report, check_patient_id
from hfzmq.errors import WireError
from hfzmq.wire.checks import integer
from hfzmq.wire.requests import SEEN_ROWS_MAX, encode_rows, read_seen

AGE_MS_MAX = 60_000


@dataclass(frozen=True, slots=True)
class Hints:
    """(age in ms since a client told it, reading) of up to SEEN_ROWS_MAX beds."""

    rows: tuple[tuple[int, Report], ...]


def _fields(hints: Hints) -> list[Any]:
    return [[age_ms for age_ms, _ in hints.rows], encode_rows([row for _, row in hints.rows])]


def _hints(values: list[Any]) -> Hints:
    ages, packed = values
    if not isinstance(ages, list) or not 1 <= len(ages) <= SEEN_ROWS_MAX:
        raise WireError("ages", f"an array of 1 to {SEEN_ROWS_MAX}")
    if not isinstance(packed, bytes):
        raise WireError("beds", "bytes")
    checked = [integer(age_ms, "age", AGE_MS_MAX) for age_ms in ages]
    rows = read_seen(packed, check_patient_id)
    if len(rows) != len(checked):
        raise WireError("ages", "as many as there are beds")
    return Hints(tuple(zip(checked, rows, strict=True)))


# kind, and how a message becomes its fields; kind -> how many fields, and how they become a message
ENCODERS: dict[type, tuple[int, Callable[[Any], list[Any]]]] = {Hints: (13, _fields)}
DECODERS: dict[int, tuple[int, Callable[[list[Any]], Hints]]] = {13: (2, _hints)}
