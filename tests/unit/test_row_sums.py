"""The checksums of rows: small rows' is what it always was; no bed's or episode's row that was altered is a value."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfzmq.clinical.alarm.types import Bed, Episode
from hfzmq.storage import alarm_rows
from hfzmq.storage.checksums import Damaged, crc_of

VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary())


@given(st.lists(VALUES))
def test_it_is_the_crc_of_each_values_type_length_and_bytes(values: list[object]) -> None:
    parts = []
    for value in values:
        data = value if isinstance(value, bytes) else str(value).encode()
        parts.append(type(value).__name__[:1].encode() + str(len(data)).encode() + b":" + data)
    assert crc_of(values) == zlib.crc32(b"".join(parts))


NUMBER = st.integers(0, (1 << 63) - 1)
REAL = st.floats(allow_nan=False)
TEXT = st.text(st.characters(exclude_categories=("C", "Z")), max_size=20)
LABELS = st.lists(TEXT.filter(bool), max_size=3).map(tuple)
KINDS: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: NUMBER,
    str: TEXT,
    float | None: st.none() | REAL,
    int | None: st.none() | NUMBER,
    tuple[str, ...]: LABELS,
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Any Bed, any Episode: each field by its annotation."""
    return st.tuples(*(KINDS[hint] for hint in get_type_hints(kind).values())).map(kind._make)


BEDS = (values_of(Bed), alarm_rows.bed_row, alarm_rows.bed_of)
EPISODES = (values_of(Episode), alarm_rows.episode_row, alarm_rows.episode_of)


@pytest.mark.parametrize(("values", "row_of", "value_of"), [BEDS, EPISODES])
@given(st.data())
def test_a_beds_and_an_episodes_row_comes_back_as_what_it_was_made_of(
    values: st.SearchStrategy[Any], row_of: Callable[[Any], Any], value_of: Callable[[Any], Any], data: st.DataObject
) -> None:
    value = data.draw(values)
    assert value_of(row_of(value)) == value


@pytest.mark.parametrize(("values", "row_of", "value_of"), [BEDS, EPISODES])
@given(st.data())
def test_a_beds_or_an_episodes_row_that_was_altered_in_one_column_is_none(
    values: st.SearchStrategy[Any], row_of: Callable[[Any], Any], value_of: Callable[[Any], Any], data: st.DataObject
) -> None:
    row = list(row_of(data.draw(values)))
    at = data.draw(st.integers(0, len(row) - 1))
    before = row[at]
    row[at] = data.draw(VALUES.filter(lambda value: type(value) is not bool and not _same(value, before)))
    with pytest.raises(Damaged):
        value_of(tuple(row))


def _same(value: object, before: object) -> bool:
    """As a column gives it back: a REAL is a float, and NaN is NULL."""
    if isinstance(before, float) and isinstance(value, int):
        return True
    return value == before or (value != value and before is None)


@pytest.mark.parametrize("value_of", [alarm_rows.bed_of, alarm_rows.episode_of])
def test_no_row_a_shorter_and_a_longer_one_are_none(value_of: Callable[[Any], Any]) -> None:
    for row in (None, (), (1,), ("bed-1", *[0] * 40)):
        with pytest.raises(Damaged):
            value_of(row)
