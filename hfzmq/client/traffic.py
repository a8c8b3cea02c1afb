"""What a client brings to the mesh: reports, or heart-rate readings. The queue and the sender carry either.

Touches nothing. Keeps: a queue on disk belongs to one Traffic for ever, so that no row ever goes out under the name of
the other; all that tells the two apart on a client stands here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, NamedTuple

from hfzmq.clinical.heart_rate import Reading, check_reading, number_of
from hfzmq.clinical.report import Refusal, check_row

_WHOLE_MAX = 1 << 63  # what msgpack carries


class Traffic(NamedTuple):
    """``op``: of the request; ``word``: what people call the rows; ``check``: why a row is not taken;
    ``told``: what the event ``queued`` says of a row besides its patient and timestamp."""

    op: str
    word: str
    check: Callable[[object], Refusal | None]
    told: Callable[[Sequence[Any]], dict[str, Any]]


def as_sent(row: Sequence[object]) -> Sequence[object]:
    """A reading with its value as the wire carries it: a number of another type (numpy's, a Fraction), or one beyond 64
    bits, is a float, as it is when it comes out of a file. Anything else is left to ``check_sent``."""
    if not isinstance(row, (list, tuple)) or len(row) != len(Reading._fields):
        return row
    value = row[2]
    if value is None or type(value) in (float, bool) or _is_carried(value) or not isinstance(value, Real):
        return row
    try:
        number = float(value)
    except OverflowError:
        number = -math.inf if value < 0 else math.inf
    return (*row[:2], number, row[3])


def check_sent(row: object) -> Refusal | None:
    """None when ``row`` is a reading as the wire has it: its value is a number (any, also nan) or None."""
    refusal = check_reading(row)
    if refusal is None:
        value, payload = row[2:]  # type: ignore[index]  # check_reading has seen a row
        if value is not None and type(value) is not float and not _is_carried(value):
            return Refusal("value", "a number or None", "what is no number goes to raw_payload, with value None")
        try:
            payload.encode()
        except UnicodeEncodeError:
            return Refusal(
                "raw_payload", "text that UTF-8 can write", "text.encode('utf-8', 'backslashreplace').decode()"
            )
    return refusal


def _is_carried(value: object) -> bool:
    return type(value) is int and -_WHOLE_MAX <= value < _WHOLE_MAX


REPORTS = Traffic("submit", "reports", check_row, lambda row: {"tier": row[8]})
READINGS = Traffic("submit_readings", "readings", check_sent, lambda row: {"value": number_of(row[2])})
