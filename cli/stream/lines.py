"""Lines of a recording become heart-rate readings.

Touches nothing. Must not know where a line comes from. Keeps: a reading is never dropped for its value: what is no
number becomes the raw payload, and the mesh says that it is corrupted; a line that names no patient or no time is
refused with its number, for it could not be stored under anything; no time is guessed (a number is Unix seconds or
milliseconds by its size, for between 2000 and 2100 the two do not meet; a date needs its zone).
"""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hfzmq.cli.bedside.readings import Refused
from hfzmq.clinical.heart_rate import RAW_CHARS_MAX, Reading, parse_value
from hfzmq.clinical.report import TIMESTAMP_MS_MAX, TIMESTAMP_MS_MIN, check_new_patient_id

FIELDS = ("timestamp", "patient_id", "value")
TIMESTAMP_BOUND = "Unix milliseconds or seconds, or ISO 8601 with its zone, 2000 to 2100"
_ZONE_HINT = "like 2026-03-01T12:00:00Z or 1772366400000"

_NUMBER = re.compile(r"[0-9]{9,13}(\.[0-9]{0,9})?", re.ASCII)
_ISO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?([.,][0-9]{1,9})? ?"
    r"(Z|[+-][0-9]{2}(?::?[0-9]{2})?)",
    re.ASCII,
)


def from_cells(cells: dict[str, str], whole: str, source: str, line: int) -> Reading | Refused:
    """The reading in the cells of a table's line. ``whole``: its text, where that is not all UTF-8; '' where it is."""
    patient, at = cells["patient_id"], timestamp_ms(cells["timestamp"])
    refused = _unnamed(patient, at, source, line)
    if refused is not None:
        return refused
    assert at is not None
    if whole:
        return Reading(patient, at, None, raw(whole))
    return Reading(patient, at, *value_of(cells["value"]))


def from_json(text: str, source: str, line: int) -> Reading | Refused:
    """The reading in one line of JSON: an object with patient_id, timestamp and value; other fields are passed over."""
    values = _object(text)
    if values is None:
        hint = 'like {"patient_id": "P-001", "timestamp": 1772366400000, "value": 72}'
        return Refused(source, line, None, "line", "one JSON object with each field once", hint)
    patient, given = values.get("patient_id"), values.get("timestamp")
    at = timestamp_ms(given if isinstance(given, str) else _text(given))
    refused = _unnamed(patient, at, source, line)
    if refused is not None:
        return refused
    assert isinstance(patient, str)
    assert at is not None
    value = values.get("value")
    if isinstance(value, str):
        return Reading(patient, at, *value_of(value))
    if value is None and "value" in values:
        return Reading(patient, at, None, "")
    if "value" not in values:
        return Reading(patient, at, None, raw(text))
    return Reading(patient, at, *value_of(_text(value)))


def value_of(text: str) -> tuple[float | None, str]:
    """(the number, what is kept of the text beside it: '' when it is that number and nothing else)."""
    value = parse_value(text)
    if value is not None and math.isfinite(value):
        return value, ""
    return value, raw(text)


def raw(text: str) -> str:
    """What is kept of a device's words: the start of them, fit for any encoding."""
    return text.encode("utf-8", "backslashreplace").decode()[:RAW_CHARS_MAX]


def timestamp_ms(text: str) -> int | None:
    """Unix milliseconds of a time in one of the forms of TIMESTAMP_BOUND; None when it is in none of them."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        number = Decimal(text)
        at = round(number if number >= TIMESTAMP_MS_MIN else number * 1000)
    else:
        found = _ISO.fullmatch(text)
        if found is None:
            return None
        date, minutes, seconds, fraction, zone = found.groups(default="")
        try:
            moment = datetime.fromisoformat(f"{date}T{minutes}{seconds or ':00'}+00:00") - _offset(zone)
        except (ValueError, OverflowError):
            return None
        after = round(Decimal("0" + fraction.replace(",", ".")) * 1000) if fraction else 0
        at = round(moment.timestamp()) * 1000 + after
    return at if TIMESTAMP_MS_MIN <= at <= TIMESTAMP_MS_MAX else None


def _offset(zone: str) -> timedelta:
    if zone == "Z":
        return timedelta()
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    offset = timedelta(hours=hours, minutes=minutes)
    timezone(offset)  # ValueError beyond a day
    if minutes > 59:
        raise ValueError
    return -offset if zone[0] == "-" else offset


def _unnamed(patient: object, at: int | None, source: str, line: int) -> Refused | None:
    refusal = check_new_patient_id(patient)
    if refusal is not None:
        return Refused(source, line, None, *refusal)
    if at is None:
        return Refused(source, line, str(patient), "timestamp", TIMESTAMP_BOUND, _ZONE_HINT)
    return None


def _text(value: object) -> str:
    """A JSON value as it may have stood there."""
    return json.dumps(value, ensure_ascii=False)


class _Twice(Exception):  # never leaves this module
    pass


def _object(text: str) -> dict[str, Any] | None:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise _Twice
        return found

    try:
        values = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError, _Twice):
        return None
    return values if isinstance(values, dict) else None
