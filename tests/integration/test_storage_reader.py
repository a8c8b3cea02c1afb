"""A reader shows what the file holds, whole and current, beside the writer or from a copy, or says why it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from hfzmq.errors import DataDirError, InvalidInput, NotFound
from hfzmq.storage import Reader, Store
from hfzmq.storage.board import _LAST_REPORTS
from hfzmq.storage.pages import page_query
from tests.integration.storage_world import (
    REPOSITORY,
    Tape,
    mesh,
    public_directory,
    report,
    stored_row,
    without_privileges,
)


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[tuple[Store, Tape]]:
    """Ten batches of three reports, seven beds, in a file whose writer is at work."""
    store, tape = Store.open(tmp_path / "live", 1, mesh()), Tape()
    for batch in range(10):
        tape.write(store, [report(3 * batch + n) for n in range(3)])
    yield store, tape
    store.close()


def ids(rows: list[tuple[object, ...]]) -> list[object]:
    return [row[0] for row in rows]


# -------------------------------------------------------------------------------------------------------------- answers


def test_rows_come_rising_after_an_id_and_falling_before_one(ward: tuple[Store, Tape]) -> None:
    reader = Reader(ward[0].path)
    assert reader.reports() == ward[1].rows
    assert ids(reader.reports(limit=4)) == [1, 2, 3, 4]
    assert ids(reader.reports(after_id=27)) == [28, 29, 30]
    assert ids(reader.reports(after_id=None, limit=2)) == [1, 2]
    assert ids(reader.reports(before_id=0, limit=3)) == [30, 29, 28]
    assert ids(reader.reports(before_id=3)) == [2, 1]
    assert reader.reports(after_id=30) == reader.reports(before_id=1) == []
    reader.close()
    reader.close()


def test_open_alarms_of_one_patient_come_as_the_others_do(ward: tuple[Store, Tape]) -> None:
    reader = Reader(ward[0].path)
    mine = [row for row in reader.alarms() if row[1] == "bed-3"]
    assert mine
    is_open = [row for row in mine if row[3] != "normal"]
    assert reader.alarms(patient="bed-3", state="open") == is_open != []
    assert reader.alarms(patient="bed-3", state="open", before_id=0) == is_open[::-1]
    assert reader.alarms(patient="bed-3", state="unacknowledged") == [r for r in mine if r[3] == "unacknowledged"]
    assert reader.alarms(patient="bed-3", state="normal") == [r for r in mine if r[3] == "normal"]
    reader.close()


def test_rows_of_one_patient_and_of_one_tier(ward: tuple[Store, Tape]) -> None:
    reader = Reader(ward[0].path)
    rows = ward[1].rows
    assert reader.reports(patient="bed-3") == [row for row in rows if row[1] == "bed-3"]
    assert reader.reports(tier="RED") == [row for row in rows if row[9] == "RED"]
    both = [row for row in rows if row[1] == "bed-3" and row[9] == "RED"]
    assert reader.reports(patient="bed-3", tier="RED") == both != []
    assert reader.reports(patient="bed-3", before_id=0, limit=2) == [r for r in rows if r[1] == "bed-3"][:-3:-1]
    assert reader.reports(patient="nobody") == []
    assert reader.reports(patient="bed-3' OR 1 --") == []
    reader.close()


def test_an_empty_file_gives_empty_answers(tmp_path: Path) -> None:
    store = Store.open(tmp_path, 1, mesh())
    reader = Reader(store.path)
    assert reader.reports() == reader.board.picture().reports == []
    assert (reader.count(), reader.applied()) == (0, 0)
    reader.close()
    store.close()


def test_what_the_writer_commits_is_seen_by_the_next_question(ward: tuple[Store, Tape]) -> None:
    store, tape = ward
    reader = Reader(store.path)
    assert (reader.count(), reader.applied()) == (30, 10)
    tape.write(store, [report(99)])
    assert (reader.count(), reader.applied()) == (31, 11)
    assert reader.reports(before_id=0, limit=1) == [stored_row(31, report(99), 11)]
    reader.close()


def test_a_snapshot_is_of_one_moment(ward: tuple[Store, Tape]) -> None:
    store, tape = ward
    reader = Reader(store.path)
    with reader.snapshot():
        applied = reader.applied()
        tape.write(store, [report(99)])
        assert reader.applied() == applied == 10
        assert reader.count() == 30
    assert reader.applied() == 11
    with pytest.raises(RuntimeError), reader.snapshot():
        raise RuntimeError
    with reader.snapshot():  # the one that failed has ended
        assert reader.applied() == 11
    reader.close()


def test_a_reader_cannot_write(ward: tuple[Store, Tape]) -> None:
    reader = Reader(ward[0].path)
    with pytest.raises(DataDirError, match="readonly"):
        reader._rows("DELETE FROM risk_reports")
    reader.close()


@pytest.mark.parametrize(
    "query",
    [
        page_query("risk_reports", ("id", "tier"), 0, None, 20, [("patient_id", "bed-3")])[0],
        page_query("risk_reports", ("id", "tier"), None, 0, 20, [("patient_id", "bed-3")])[0],
        page_query("risk_reports", ("id", "tier"), None, 7, 20, [("patient_id", "bed-3"), ("tier", "RED")])[0],
        page_query("risk_reports", ("id", "tier"), None, 0, 20, [("tier", "RED")])[0],
        _LAST_REPORTS,
    ],
)
def test_questions_about_a_patient_or_a_tier_go_through_the_index_and_sort_nothing(
    ward: tuple[Store, Tape], query: str
) -> None:
    reader = Reader(ward[0].path)
    plan = [row[3] for row in reader._rows(f"EXPLAIN QUERY PLAN {query}", (1,) * query.count("?"))]
    index = "by_patient (patient_id" if "patient_id" in query else "by_tier (tier=?"
    assert any(f"INDEX risk_reports_{index}" in step for step in plan), plan
    assert not any("patient_id=?)" in step for step in plan), f"the tier is looked for row by row: {plan}"
    assert not any(step.startswith("SCAN risk_reports") and "INDEX" not in step for step in plan), plan
    if query != _LAST_REPORTS:
        assert not any("TEMP B-TREE" in step for step in plan), plan
    reader.close()


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(ward: tuple[Store, Tape], limit: int) -> None:
    reader = Reader(ward[0].path)
    with pytest.raises(InvalidInput, match="limit: at least 1"):
        reader.reports(limit=limit)
    reader.close()


def test_what_sqlite_cannot_compare_is_refused(ward: tuple[Store, Tape]) -> None:
    reader = Reader(ward[0].path)
    with pytest.raises(InvalidInput):
        reader.reports(after_id=1 << 63)
    with pytest.raises(InvalidInput):
        reader.reports(patient="bed\udcff")  # what a terminal makes of bytes that are no UTF-8
    assert reader.count() == 30
    reader.close()


# -------------------------------------------------------------------------------------------------------------- offline


def test_a_copy_of_a_closed_file_reads_like_the_file(ward: tuple[Store, Tape], tmp_path: Path) -> None:
    ward[0].close()
    copy = tmp_path / "a copy?mode=rw#1.db"
    shutil.copy(ward[0].path, copy)
    reader = Reader(copy)
    assert reader.reports() == ward[1].rows
    reader.close()


def test_a_copy_with_its_wal_reads_like_the_file(ward: tuple[Store, Tape], tmp_path: Path) -> None:
    for suffix in ("", "-wal"):
        shutil.copy(f"{ward[0].path}{suffix}", f"{tmp_path}/copy.db{suffix}")
    reader = Reader(tmp_path / "copy.db")
    assert reader.reports() == ward[1].rows
    reader.close()


def test_the_file_of_a_killed_daemon_is_read_whole(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from hfzmq.storage import Store;"
        "from tests.integration.storage_world import Tape, mesh, report;"
        "store = Store.open(Path(sys.argv[1]), 1, mesh()); Tape().write(store, [report(1)]); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=REPOSITORY, check=False)
    reader = Reader(tmp_path / "hfzmq_1.db")
    assert reader.reports() == [stored_row(1, report(1), 1)]
    reader.close()


def test_a_copy_on_a_medium_that_takes_no_files_is_read(ward: tuple[Store, Tape]) -> None:
    ward[0].close()
    with public_directory() as directory:
        shutil.copy(ward[0].path, directory / "copy.db")
        os.chmod(directory / "copy.db", 0o444)
        os.chmod(directory, 0o555)
        with without_privileges():
            reader = Reader(directory / "copy.db")
            rows = reader.reports()
            reader.close()
        os.chmod(directory, 0o777)
    assert rows == ward[1].rows


def test_a_wal_that_cannot_be_read_is_never_left_out(ward: tuple[Store, Tape]) -> None:
    """The .db alone would show an older state as if it were the last."""
    with public_directory() as directory:
        for suffix in ("", "-wal"):
            shutil.copy(f"{ward[0].path}{suffix}", f"{directory}/copy.db{suffix}")
            os.chmod(f"{directory}/copy.db{suffix}", 0o444)
        os.chmod(directory, 0o555)
        with without_privileges(), pytest.raises(DataDirError, match="its WAL cannot be read here") as caught:
            Reader(directory / "copy.db")
        os.chmod(directory, 0o777)
    assert "copy the .db and the .db-wal file together" in caught.value.hint


# ------------------------------------------------------------------------------------------------------------- refusals


def test_a_missing_file_is_not_found_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"missing\.db: no such file"):
        Reader(tmp_path / "missing.db")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="db: a file, not a directory"):
        Reader(tmp_path)


@pytest.mark.parametrize("content", [b"", b"id,patient\n1,bed-1\n" * 400, b"short"])
def test_a_file_that_is_no_database_of_hfzmq_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="db: a database of hfzmq") as caught:
        Reader(path)
    assert caught.value.field == "db"
    assert path.read_bytes() == content


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "x.db"))
    connection.execute("CREATE TABLE risk_reports (id)")
    connection.close()
    with pytest.raises(InvalidInput, match="db: a database of hfzmq"):
        Reader(tmp_path / "x.db")


def test_a_file_of_a_newer_schema_is_refused(ward: tuple[Store, Tape]) -> None:
    ward[0].close()
    connection = apsw.Connection(str(ward[0].path))
    connection.execute("UPDATE meta SET schema_version = 8")
    connection.close()
    with pytest.raises(InvalidInput, match="schema version 7, got 8"):
        Reader(ward[0].path)


def test_missing_rights_are_told(ward: tuple[Store, Tape]) -> None:
    ward[0].close()
    with public_directory() as directory:
        shutil.copy(ward[0].path, directory / "copy.db")
        os.chmod(directory / "copy.db", 0)
        (directory / "closed").mkdir(mode=0o700)
        with without_privileges(), pytest.raises(DataDirError, match="permission denied"):
            Reader(directory / "copy.db")
        if os.geteuid() == 0:
            with without_privileges(), pytest.raises(DataDirError, match="permission denied"):
                Reader(directory / "closed" / "x.db")


def test_a_cut_file_is_told_from_an_empty_answer(ward: tuple[Store, Tape]) -> None:
    ward[0].close()
    path = ward[0].path
    path.write_bytes(path.read_bytes()[: 3 * 4096])
    with pytest.raises(DataDirError, match="cannot be read"):
        Reader(path).reports()
