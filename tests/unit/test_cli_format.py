"""Rows as text: nothing is cut, nothing is rounded, what is missing is empty."""

from __future__ import annotations

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from hfzmq.cli import format as fmt

cells = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=30)
)


def test_a_table_aligns_numbers_to_the_right_and_text_to_the_left() -> None:
    text = fmt.table(("id", "name mEq/L"), [(7, "a"), (1234, "long name")])
    assert text == "  id  name mEq/L\n   7  a\n1234  long name"


@given(st.lists(st.tuples(cells, cells), max_size=8))
def test_every_cell_of_a_table_is_there_in_full(rows: list[tuple[object, object]]) -> None:
    lines = fmt.table(("a", "b"), rows).split("\n")
    assert len(lines) == len(rows) + 1
    for row, line in zip(rows, lines[1:], strict=True):
        for value in row:
            assert fmt.cell(value).rstrip() in line


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_written_so_that_it_reads_back_the_same(value: float) -> None:
    assert float(fmt.number(value)) == value


def test_missing_is_empty_and_never_zero() -> None:
    assert fmt.cell(None) == ""
    assert fmt.cell(0) == "0"
    assert fmt.csv_line((None, 0, "")) == ",0,"
    assert fmt.csv_line(("a\0b", 1)) == "a\0b,1"


def test_control_characters_cannot_reach_the_terminal() -> None:
    assert fmt.cell("a\x1b[2Jb\n") == "a\\x1b[2Jb\\n"


def test_wide_characters_count_as_two_cells() -> None:
    text = fmt.table(("patient", "x"), [("床七", 1), ("bed-7", 2)])
    assert text.split("\n")[1:] == ["床七     1", "bed-7    2"]


@given(st.lists(st.text(st.characters(blacklist_characters="\0"), max_size=20), min_size=2, max_size=5))
def test_csv_is_read_back_by_any_csv_reader(values: list[str]) -> None:
    assert next(csv.reader(io.StringIO(fmt.csv_line(values), newline=""))) == values


def test_csv_and_json_keep_a_float_whole() -> None:
    assert fmt.csv_line((0.8699999999999999, True)) == "0.8699999999999999,true"
    assert json.loads(fmt.json_line({"p": 0.8699999999999999})) == {"p": 0.8699999999999999}


def test_times_are_local_iso_with_an_offset_and_milliseconds() -> None:
    shown = fmt.local_time(1_760_000_000_123)
    assert shown[10] == "T"
    assert shown[19:23] == ".123"
    assert shown[23] in "+-"
