"""Reports as nearly all of them are, seen at a glance: many of them column by column, in a sixth of the time.

Touches nothing. Must not know: why a report is refused. Keeps: True is said only of rows that ``report.check_row``
accepts, all of them; False says nothing, ``check_row`` decides. So its bounds hold, and what is seldom (a vital that
nobody measured, say) is left to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import isnan
from typing import Any

from hfzmq.clinical.report import (
    FLAGS_CHARS_MAX,
    MODEL_ID_CHARS_MAX,
    TIMESTAMP_MS_MAX,
    TIMESTAMP_MS_MIN,
    VITALS,
    Report,
    check_new_patient_id,
)
from hfzmq.clinical.tiers import TIERS

FEW = 12  # rows: below that, looking at one after the other is faster

_FIELDS = len(Report._fields)
_TIERS = frozenset(TIERS)
_AGE, _SODIUM, _CREATININE, _EJECTION, _DAY = ((vital.low, vital.high) for vital in VITALS)
_TIME, _CHANCE = (TIMESTAMP_MS_MIN, TIMESTAMP_MS_MAX), (0.0, 1.0)

# The types of a report's values, exactly: a bool is no whole number here. The first four vitals may be either.
_WHOLE, _FLOAT, _NUMBER = frozenset((int,)), frozenset((float,)), frozenset((int, float))
_TYPES = frozenset((str, int, *vitals, int, float, str, float, str, str) for vitals in product((int, float), repeat=4))


def surely_good(rows: Sequence[object]) -> bool:
    """Whether each of ``rows`` is a list: a report, in the order of ``Report``, that ``check_row`` accepts. False:
    perhaps not."""
    try:
        return _good_columns(rows) if len(rows) >= FEW else all(map(_good_row, rows))
    except TypeError:  # no list, or a list or a map among the texts
        return False


def _good_row(row: Any) -> bool:
    if type(row) is not list or tuple(map(type, row)) not in _TYPES:
        return False
    patient, time, age, sodium, creatinine, ejection, day, chance, tier, study, model, flags = row
    return (
        TIMESTAMP_MS_MIN <= time <= TIMESTAMP_MS_MAX
        and _AGE[0] <= age <= _AGE[1]
        and _SODIUM[0] <= sodium <= _SODIUM[1]
        and _CREATININE[0] <= creatinine <= _CREATININE[1]
        and _EJECTION[0] <= ejection <= _EJECTION[1]
        and _DAY[0] <= day <= _DAY[1]
        and 0.0 <= chance <= 1.0
        and 0.0 <= study <= 1.0
        and tier in _TIERS
        and len(model) <= MODEL_ID_CHARS_MAX
        and model.isprintable()
        and len(flags) <= FLAGS_CHARS_MAX
        and flags.isprintable()
        and check_new_patient_id(patient) is None
    )


def _good_columns(rows: Any) -> bool:
    if {*map(type, rows)} != {list} or {*map(len, rows)} != {_FIELDS}:
        return False
    patients, times, ages, sodium, creatinine, ejection, days, chances, tiers, study, models, flags = zip(
        *rows, strict=True
    )
    reals = (ages, sodium, creatinine, ejection, chances, study)
    return (
        _between(times, _TIME, _WHOLE)
        and _between(ages, _AGE, _NUMBER)
        and _between(sodium, _SODIUM, _NUMBER)
        and _between(creatinine, _CREATININE, _NUMBER)
        and _between(ejection, _EJECTION, _NUMBER)
        and _between(days, _DAY, _WHOLE)
        and _between(chances, _CHANCE, _FLOAT)
        and _between(study, _CHANCE, _FLOAT)
        and not isnan(sum(map(sum, reals)))  # min and max pass a NaN by, a sum does not
        and _TIERS.issuperset(tiers)
        and _texts(models, MODEL_ID_CHARS_MAX)
        and _texts(flags, FLAGS_CHARS_MAX)
        and not any(map(check_new_patient_id, {*patients}))
    )


def _between(column: tuple[Any, ...], bounds: tuple[float, float], types: frozenset[type]) -> bool:
    return {*map(type, column)} <= types and bounds[0] <= min(column) and max(column) <= bounds[1]


def _texts(column: tuple[Any, ...], chars_max: int) -> bool:
    """Each text is looked at once: model and flags are the same in most rows."""
    return all(type(text) is str and len(text) <= chars_max and text.isprintable() for text in {*column})
