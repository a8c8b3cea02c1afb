"""Readings: the five vitals of one patient at one moment, taken out of what a file or a person wrote.

Touches nothing. Must not know where the text comes from. Keeps: a Reading that exists is within the bounds of
``hfzmq.clinical.report``; whatever is wrong becomes a Refused that says where, which field and which bound; a number is
a plain decimal (no underscores, no hexadecimal), so that what is written is what is judged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from hfzmq.clinical.report import TIMESTAMP_MS_MAX, TIMESTAMP_MS_MIN, VITALS, check_new_patient_id, check_vitals
from hfzmq.yaml_reader import likely

LINE_BYTES_MAX = 1 << 16
TIMESTAMP_BOUND = "Unix milliseconds UTC, 2000 to 2100"
_NEEDED = ("patient_id", "timestamp")
JSON_FIELDS = (*_NEEDED, *(vital.name for vital in VITALS))


class Reading(NamedTuple):
    """One patient's vitals in the units of VITALS, None where one was not measured; ``timestamp`` in Unix milliseconds
    UTC."""

    patient_id: str
    timestamp: int
    age: float | None
    serum_sodium: float | None
    serum_creatinine: float | None
    ejection_fraction: float | None
    day: int | None

    @property
    def vitals(self) -> tuple[float | None, float | None, float | None, float | None, int | None]:
        """The five, in the order of VITALS."""
        return (self.age, self.serum_sodium, self.serum_creatinine, self.ejection_fraction, self.day)


class Refused(NamedTuple):
    """A line that is no reading: its source and number, the patient if it named one, and why."""

    source: str
    line: int
    patient: str | None
    field: str
    bound: str
    hint: str


class WentOn(NamedTuple):
    """A line that was read when it had no end yet, and has gone on: what was taken of it, and what stands there now."""

    source: str
    line: int
    before: str
    now: str


class Leapt(NamedTuple):
    """A line of a recording that is not waited for: its time is ``ahead_ms`` after that of the line before it."""

    source: str
    line: int
    ahead_ms: int


class _Wrong(Exception):  # never leaves this module
    def __init__(self, field: str, bound: str, hint: str = "") -> None:
        super().__init__(field)
        self.what = (field, bound, hint)


def from_json(
    text: str, source: str, line: int, patient: str | None = None, timestamp: int | None = None
) -> Reading | Refused:
    """The reading in one line of JSON: an object of JSON_FIELDS and no other; a vital that is null or left out was not
    measured; a day may be written 4.0. ``patient`` and ``timestamp`` stand in where they are given and the line has
    none."""
    try:
        given = {"patient_id": patient, "timestamp": timestamp}
        values = {name: value for name, value in given.items() if value is not None} | _object(text)
        patient = name if isinstance(name := values.get("patient_id"), str) else None
        for name in values:
            if name not in JSON_FIELDS:
                raise _Wrong(name[:40], "unknown field", likely(name, JSON_FIELDS) + "known: " + ", ".join(JSON_FIELDS))
        for name in _NEEDED:
            if name not in values:
                raise _Wrong(name, "missing")
        measured = {vital.name: values.get(vital.name) for vital in VITALS}
        return _checked(values | measured | {"day": _whole(measured["day"])})
    except _Wrong as wrong:
        return Refused(source, line, patient, *wrong.what)


def from_cells(cells: Mapping[str, str], patient: str, timestamp: int, source: str, line: int) -> Reading | Refused:
    """The reading in one line of a table. ``cells``: the text of each vital ('' for not measured) and, where the table
    has them, of ``patient_id`` and ``timestamp``; otherwise ``patient`` and ``timestamp`` stand in."""
    patient = cells.get("patient_id", patient)
    try:
        values: dict[str, object] = {"patient_id": patient, "timestamp": timestamp}
        if "timestamp" in cells:
            values["timestamp"] = _number(cells["timestamp"], "timestamp", TIMESTAMP_BOUND)
        values |= _vitals(cells)
        return _checked(values)
    except _Wrong as wrong:
        return Refused(source, line, patient, *wrong.what)


def _vitals(cells: Mapping[str, str]) -> dict[str, float | None]:
    """The five of a table's line; None for an empty cell. Raises for what is no number."""
    values: dict[str, float | None] = {}
    for vital in VITALS:
        text = cells[vital.name]
        bound = f"a number, {vital.low:g} to {vital.high:g} {vital.unit}"
        value = _number(text, vital.name, bound) if text.strip() else None
        values[vital.name] = _whole(value) if vital.name == "day" else value
    return values


def _whole(value: Any) -> Any:
    """A day that is a whole number, however it is written."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _checked(values: Mapping[str, Any]) -> Reading:
    refusal = check_new_patient_id(values["patient_id"])
    if refusal is not None:
        raise _Wrong(*refusal)
    at = values["timestamp"]
    if not isinstance(at, int) or isinstance(at, bool) or not TIMESTAMP_MS_MIN <= at <= TIMESTAMP_MS_MAX:
        raise _Wrong("timestamp", f"{TIMESTAMP_BOUND}, got {at!r}"[:100], "seconds? multiply by 1000")
    refusal = check_vitals([values[vital.name] for vital in VITALS])
    if refusal is not None:
        given = values[refusal.field]
        shown = "" if given is None else f", got {given!r}"
        raise _Wrong(refusal.field, f"{refusal.bound}{shown[:60]}", refusal.hint)
    return Reading(*(values[name] for name in Reading._fields))


_COMMA = re.compile(r"[+-]?\d{1,6},\d{1,6}\Z", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(\d+|\d+\.\d*|\.\d+)([eE][+-]?\d{1,3})?\Z", re.ASCII)


def _number(text: str, field: str, bound: str) -> float:
    text = text.strip()
    if not _DECIMAL.match(text) or len(text) > 40:
        got = f"{bound}, got {text[:40]!r}" if text else f"missing; {bound}"
        raise _Wrong(field, got, f"a decimal comma? write {text.replace(',', '.')}" if _COMMA.match(text) else "")
    return int(text) if text.lstrip("+-").isdecimal() else float(text)


def _object(text: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise _Wrong("line", "each field once")
        return found

    try:
        values = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise _Wrong(
            "line", "one JSON object", 'like {"patient_id": "P-001", "timestamp": 1700000000000, ...}'
        ) from None
    if not isinstance(values, dict):
        raise _Wrong("line", "one JSON object", "fields: " + ", ".join(JSON_FIELDS))
    return values
