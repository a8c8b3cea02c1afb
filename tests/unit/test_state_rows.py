"""Rows that a peer goes on from: what was written comes back, and one changed value is enough not to be believed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfzmq.clinical.heart_rate import VERDICTS
from hfzmq.core.sessions import Session
from hfzmq.core.types import BATCH, Entry, Origin, Place
from hfzmq.storage.checksums import Damaged
from hfzmq.storage.reading_rows import VerdictCounts
from hfzmq.storage.tables import AlarmCounts, AppliedState, applied_of, applied_row, session_of, session_row

numbers = st.integers(0, (1 << 63) - 1)
hashes = st.binary(min_size=16, max_size=16)
states = st.builds(
    AppliedState,
    st.builds(Place, numbers, numbers, hashes),
    hashes,
    numbers,
    st.lists(numbers, min_size=len(VERDICTS), max_size=len(VERDICTS)).map(VerdictCounts),
    st.builds(AlarmCounts, *[numbers] * 4, hashes, *[numbers] * 5),
    hashes,
)
entries = st.builds(
    Entry,
    numbers,
    numbers,
    st.just(BATCH),
    st.builds(Origin, st.text(min_size=1, max_size=64), hashes, numbers, hashes),
    st.just(b""),
    hashes,
)


def others(value: Any) -> list[Any]:
    """Values that SQLite could give back in the place of ``value``."""
    if isinstance(value, int):
        return [value ^ 1, -value - 1, float(value), str(value), None]
    if isinstance(value, str):
        return [value + "x", value + "\0", value.encode(), None]
    return [value + b"\0", value[:-1], bytes(100_000), value[::-1] + b"\1", value.decode("latin-1"), None]


@given(states)
def test_how_far_the_tables_are_comes_back(state: AppliedState) -> None:
    assert applied_of(applied_row(state)) == state


@given(states)
def test_a_state_without_a_history_comes_back_and_is_another_state(state: AppliedState) -> None:
    without = state._replace(history=b"")
    assert applied_of(applied_row(without)) == without
    assert without.state_hash != state.state_hash
    row = applied_row(state)
    with pytest.raises(Damaged):  # a page that lost it would make this peer one that passes everywhere
        applied_of((*row[:-2], b"", row[-1]))


@given(entries)
def test_a_session_comes_back(entry: Entry) -> None:
    assert entry.origin is not None
    stored = Session(entry.origin.seq, entry.origin.digest, entry.term, entry.index)
    assert session_of(session_row(entry.origin, entry)) == (entry.origin.session, stored)


@given(states, entries)
def test_no_row_with_a_changed_value_is_believed(state: AppliedState, entry: Entry) -> None:
    assert entry.origin is not None
    for row, value_of in ((applied_row(state), applied_of), (session_row(entry.origin, entry), session_of)):
        for at, value in enumerate(row):
            for other in others(value):
                with pytest.raises(Damaged):
                    value_of((*row[:at], other, *row[at + 1 :]))


def test_texts_that_run_into_each_other_are_told_apart() -> None:
    one, other = (session_row(Origin(name, epoch, 1, b""), Entry(1, 1, BATCH, None, b"", b""))[-1]
                  for name, epoch in (("ab", b"c"), ("a", b"bc")))  # fmt: skip
    assert one != other


@pytest.mark.parametrize("value_of", [applied_of, session_of])
def test_a_row_that_is_not_there_is_named_so(value_of: Any) -> None:
    with pytest.raises(Damaged, match="the row is missing"):
        value_of(None)
