"""docs/fault_table.md names only tests that exist, and says openly where there is none."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "fault_table.md"
LAYERS = {"core", "sim", "storage", "daemon", "client", "process"}


class Row(NamedTuple):
    """One fault."""

    fault: str
    tests: tuple[str, ...]
    layers: tuple[str, ...]
    note: str


def rows() -> list[Row]:
    """The rows of all tables of the page."""
    found = []
    for line in TABLE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or len(cells) != 4 or cells[0] in ("fault", "---"):
            continue
        fault, tests, layers, note = cells
        assert tests == "-" or re.fullmatch(r"(`[^` ]+` ?)+", tests), f"{fault}: {tests}"
        found.append(Row(fault, tuple(re.findall(r"`([^`]+)`", tests)), tuple(layers.split(", ")), note))
    return found


def exists(test: str) -> bool:
    """Whether ``path::name`` or a story is there. Read, not run."""
    path, _, name = test.partition("::")
    file = ROOT / path
    if not file.is_file():
        return False
    if not name:
        return file.suffix == ".story"
    tree = ast.parse(file.read_text())
    return any(isinstance(node, ast.FunctionDef) and node.name == name for node in ast.walk(tree))


def test_every_line_of_the_tables_is_a_row_of_four_cells() -> None:
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("|")]
    heads = [line for line in lines if line.startswith(("|---", "| fault |"))]
    assert len(rows()) == len(lines) - len(heads) > 50


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.fault)
def test_every_test_that_the_table_names_exists(row: Row) -> None:
    missing = [test for test in (*row.tests, *re.findall(r"`(tests/[^`]+)`", row.note)) if not exists(test)]
    assert not missing


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.fault)
def test_a_fault_without_a_test_is_said_to_be_open_and_no_other(row: Row) -> None:
    assert (not row.tests) == row.note.startswith("open")
    assert set(row.layers) <= LAYERS if row.tests else row.layers == ("",)


def test_a_test_that_is_not_there_is_missed() -> None:
    here = "tests/unit/test_fault_table.py"
    assert exists(f"{here}::test_a_test_that_is_not_there_is_missed")
    assert not exists(f"{here}::test_of_nothing")
    assert not exists("tests/unit/test_nothing.py::test_of_nothing")
    assert not exists("tests/simulation/scenarios/nothing.story")


def test_no_fault_stands_twice() -> None:
    faults = [row.fault for row in rows()]
    assert len(set(faults)) == len(faults)
