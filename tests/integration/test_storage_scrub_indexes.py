"""Every index is looked through in both directions: a row that it does not have, and an entry that no row has."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from hfzmq.storage import Scrubber
from hfzmq.storage.checksums import Damaged
from hfzmq.storage.numbered import TABLES, Index, Numbered
from tests.reads.ward import Ward, fill

ROWS_MAX = 7
INDEXES = [pytest.param(table, index, id=index.name) for table in TABLES for index in table.indexes]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file in which every table has rows, one patient many of them."""
    path = fill(tmp_path_factory.mktemp("ward"), Ward(beds=3), 600)
    connection = apsw.Connection(str(path))
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close()
    return path.read_bytes()


@pytest.fixture
def file(whole: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "hfzmq_1.db"
    path.write_bytes(whole)
    return path


def looked_through(file: Path, table: Numbered, index: Index) -> int:
    """How many steps one index takes; Damaged."""
    scrubber = Scrubber(file)
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        for steps in range(1, 10_000):
            if scrubber._index(table, index, connection, ROWS_MAX):
                return steps
    finally:
        connection.close()
        scrubber.close()
    raise AssertionError("it has no end")


def behind_its_back(file: Path, index: Index, statement: str) -> None:
    """Carry ``statement`` out so that the index does not hear of it: its name is away meanwhile."""
    connection = apsw.Connection(str(file))
    connection.execute("PRAGMA writable_schema = ON")
    row = connection.execute("SELECT * FROM sqlite_schema WHERE name = ?", (index.name,)).fetchone()
    connection.execute("DELETE FROM sqlite_schema WHERE name = ?", (index.name,))
    connection.close()
    connection = apsw.Connection(str(file))
    connection.execute(statement)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", row)
    connection.close()


@pytest.mark.parametrize(("table", "index"), INDEXES)
def test_every_entry_of_a_whole_index_is_looked_at_however_many_rows_are_alike(
    file: Path, table: Numbered, index: Index
) -> None:
    connection = apsw.Connection(str(file))
    rows = connection.execute(f"SELECT count(*) FROM {table.table} WHERE {index.where}").get
    connection.close()
    assert rows > 0
    assert looked_through(file, table, index) == rows // ROWS_MAX + 1


@pytest.mark.parametrize(("table", "index"), INDEXES)
def test_an_entry_that_no_row_has_is_found(file: Path, table: Numbered, index: Index) -> None:
    last = f"(SELECT max({table.id_column}) FROM {table.table} WHERE {index.where})"
    behind_its_back(file, index, f"DELETE FROM {table.table} WHERE {table.id_column} = {last}")
    with pytest.raises(Damaged, match=f"the index by {index.by} has it under another one"):
        looked_through(file, table, index)


@pytest.mark.parametrize(("table", "index"), INDEXES)
def test_a_row_that_its_index_does_not_have_is_found(file: Path, table: Numbered, index: Index) -> None:
    connection = apsw.Connection(str(file))
    key = table.id_column
    row = connection.execute(f"SELECT * FROM {table.table} WHERE {index.where} ORDER BY {key} LIMIT 1").fetchall()[0]
    connection.execute(f"DELETE FROM {table.table} WHERE {key} = ?", (row[0],))
    connection.close()
    values = ", ".join("NULL" if one is None else repr(one) for one in row)
    behind_its_back(file, index, f"INSERT INTO {table.table} VALUES ({values})")
    scrubber = Scrubber(file)
    try:
        found = [scrubber.step() for _ in range(100)]
    finally:
        scrubber.close()
    assert f"damaged: {table.noun} {row[0]}: not in the index by {index.by}" in found
