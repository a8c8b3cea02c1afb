"""Heart-rate readings on the wire: a client's rows become rows with a verdict, which is what the log stores.

    [patient_id, timestamp, value, raw_payload] --judge_rows--> [patient_id, timestamp, value, raw_payload, verdict]

Touches nothing: the time comes in. Must not know: storage, who leads. Keeps: which rows are refused follows from the
rows alone, so that a request that is sent again is answered as before; the verdict depends on the leader's clock and
rules, so it is made once, by the leader, and travels; judging makes a batch only a little longer, so that what a client
may send also fits between peers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from hfzmq.clinical.heart_rate import RAW_CHARS_MAX, VERDICTS, HeartRateRules, check_reading, judge, number_of
from hfzmq.errors import WireError
from hfzmq.wire.fields import pack
from hfzmq.wire.rows import count_rows, unpack_rows

Rejected = list[tuple[int, str, str, str]]

_NUMBER_OF = {verdict: number for number, verdict in enumerate(VERDICTS)}
_EXACT = 1 << 53  # whole numbers up to here are floats without loss
_BYTES_SHOWN = 32


class SubmitReadings(NamedTuple):
    """Keep these readings. ``rows`` is still packed, ``digest`` is right, the number of rows is within the limit."""

    client: str
    epoch: bytes
    seq: int
    digest: bytes
    rows: bytes


class JudgedReading(NamedTuple):
    """A reading as the log keeps it. ``value``: a finite number or None; ``verdict``: its place in VERDICTS."""

    patient_id: str
    timestamp: int
    value: float | None
    raw_payload: str
    verdict: int


def judge_rows(data: bytes, rows_max: int, now_ms: int, rules: HeartRateRules) -> tuple[bytes, Rejected]:
    """Judge the packed rows of a ``submit_readings`` that came at ``now_ms`` by the leader's clock (Unix ms).

    Returns (the packed rows to store, in the order of JudgedReading; [(number in the batch from 0, field, bound, hint)]
    of those that no table could take). WireError when ``data`` is no array of 1 to ``rows_max`` rows."""
    if not 1 <= count_rows(data) <= rows_max:
        raise WireError("rows", f"1 to {rows_max} rows", hint="limits.batch_rows_max")
    rejected: Rejected = []
    judged: list[Sequence[Any]] = []
    for number, row in enumerate(unpack_rows(data)):
        refusal = check_reading(row)
        if refusal is None:
            judged.append(_judged(row, now_ms, rules))
        else:
            rejected.append((number, *refusal))
    return pack(judged), rejected


def judged_reading(row: object) -> JudgedReading:
    """A row as ``judge_rows`` packs it; WireError for any other shape. Its values were checked by the leader."""
    if not isinstance(row, list) or len(row) != len(JudgedReading._fields):
        raise WireError("row", f"an array of {len(JudgedReading._fields)} fields")
    if type(row[-1]) is not int or not 0 <= row[-1] < len(VERDICTS):
        raise WireError("verdict", f"0 to {len(VERDICTS) - 1}")
    return JudgedReading._make(row)


def _judged(row: Any, now_ms: int, rules: HeartRateRules) -> Sequence[Any]:
    patient, timestamp, value, payload = row
    verdict = _NUMBER_OF[judge(value, timestamp, now_ms, rules, payload)]
    if type(value) is int and -_EXACT <= value <= _EXACT:
        return patient, timestamp, value, payload, verdict  # a whole number takes fewer bytes than a float
    return patient, timestamp, number_of(value), payload or _text_of(value), verdict


def _text_of(value: object) -> str:
    """What is kept of a value that is no number when the client has sent no payload: as much as tells what came."""
    if value is None or (type(value) in (int, float) and math.isfinite(value)):  # type: ignore[arg-type]
        return ""
    if isinstance(value, bytes):
        return value[:_BYTES_SHOWN].hex()
    return (value if isinstance(value, str) else str(value).lower())[:RAW_CHARS_MAX]
