"""Rows of reports are made column by column as one by one: each with its number and the checksum that is looked at."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hfzmq.storage.report_rows import report_crc, report_rows

GOOD = ["P-001", 1_700_000_000_000, 65.5, 137.0, 1.2, 35.0, 12, 0.5, "AMBER", 0.4, "m1", ""]
STAMP_MS = 1_700_000_000_001
VITALS, CHANCES, DAY = (2, 3, 4, 5), (7, 9), 6
NEVER_NULL = [at for at in range(len(GOOD)) if at not in (*VITALS, DAY)]

reals = st.floats(allow_nan=False) | st.integers(-(1 << 63), (1 << 64) - 1) | st.sampled_from((0, -0.0, 0.0, True))
whole = st.integers(-(1 << 63), (1 << 63) - 1)
vitals = st.none() | reals
rows = st.tuples(
    st.text(), whole, vitals, vitals, vitals, vitals, st.none() | whole, reals, st.text(), reals, st.text(), st.text()
).map(list)
any_values: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | reals | st.floats() | st.text(max_size=3) | st.binary(max_size=3) | st.just([])
)


def one_by_one(first_id: int, batch: list[list[Any]]) -> list[tuple[Any, ...]]:
    made = [(first_id + at, *row[:9], 0, *row[9:], STAMP_MS + at, at) for at, row in enumerate(batch)]
    return [(*row, report_crc(row)) for row in made]


def at_once(first_id: int, batch: list[list[Any]]) -> list[tuple[Any, ...]]:
    numbers = range(len(batch))
    return report_rows(first_id, batch, [STAMP_MS + at for at in numbers], numbers)


@given(st.integers(1, 1 << 40), st.lists(rows, max_size=8))
@example(1, [[*GOOD[:7], -0.0, *GOOD[8:]], GOOD])
@example(1, [GOOD, [*GOOD[:2], None, -0.0, *GOOD[4:6], None, *GOOD[7:]]])
def test_rows_are_made_at_once_as_one_by_one(first_id: int, batch: list[list[Any]]) -> None:
    assert repr(at_once(first_id, batch)) == repr(one_by_one(first_id, batch))


@given(st.lists(rows, min_size=1, max_size=4), st.lists(st.tuples(st.integers(0, 11), any_values), max_size=2))
def test_what_no_column_takes_is_refused_at_once_as_one_by_one(
    batch: list[list[Any]], changes: list[tuple[int, Any]]
) -> None:
    for at, value in changes:
        batch[-1][at] = value
    try:
        expected = one_by_one(1, batch)
    except (TypeError, struct.error):
        with pytest.raises(ValueError, match=rf"^report {len(batch)} is none: "):
            at_once(1, batch)
    else:
        assert repr(at_once(1, batch)) == repr(expected)


@pytest.mark.parametrize("at", NEVER_NULL)
def test_what_must_be_there_is_no_null(at: int) -> None:
    """The texts are for SQLite to refuse."""
    batch = [GOOD, [*GOOD[:at], None, *GOOD[at + 1 :]], GOOD]
    if isinstance(GOOD[at], str):
        assert at_once(1, batch) == one_by_one(1, batch)
    else:
        with pytest.raises(ValueError, match=r"^report 2 is none: "):
            at_once(1, batch)
