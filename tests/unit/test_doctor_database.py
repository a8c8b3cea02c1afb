"""``hfzmq doctor`` of a peer's file: whole is what all of was looked at; damage is named as a backup names it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from hfzmq.cli.doctor import database
from hfzmq.cli.doctor.findings import CRITICAL, NOTE, OK, WARNING, Finding
from hfzmq.storage import Store
from tests.integration.storage_world import Tape, founded, report
from tests.integration.storage_world import mesh as storage_mesh
from tests.unit.cli_world import run


def written(data_dir: Path) -> Store:
    """The store of a peer with some hundred reports."""
    tape = Tape()
    tape.config(founded(1))
    tape.batch([report(number) for number in range(1, 400)])
    store = Store.open(data_dir, 1, storage_mesh())
    store.write([tape.persist(*tape.log), tape.apply()])
    return store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of peer 1, which has stopped."""
    written(tmp_path / "1").close()
    return tmp_path / "1" / "hfzmq_1.db"


def only(path: Path) -> Finding:
    (one,) = database.look(path)
    return one


def test_a_file_that_was_looked_at_to_its_end_is_whole(path: Path) -> None:
    one = only(path)
    assert one.severity == OK
    assert one.what.endswith("schema 7, whole")


@pytest.mark.parametrize("size", [8, 4000])
def test_what_a_backup_calls_damaged_the_doctor_does_not_call_well(path: Path, size: int) -> None:
    whole = path.read_bytes()
    at = whole.rindex(b"bed-")
    path.write_bytes(whole[:at] + b"x" * size + whole[at + size :])
    one = only(path)
    assert one.severity == CRITICAL
    assert "is damaged: " in one.what
    assert "start" in one.do
    said = run("backup", "--db", str(path), "--to", str(path.with_name("b")))
    assert one.what.partition("is damaged: ")[2] in said.err


def test_a_file_that_lost_its_mark_may_have_forgotten(path: Path) -> None:
    path.with_name("hfzmq_1.mark").unlink()
    one = only(path)
    assert (one.severity, "may lack what it once held" in one.what) == (WARNING, True)


def test_a_look_that_was_cut_for_its_time_says_so_and_calls_nothing_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOOK_S", 0.0)
    monkeypatch.setattr(database, "STEPS", 100)
    one = only(path)
    assert one.severity == NOTE
    assert "not all of it was looked at" in one.what
    assert f"hfzmq backup --db {path}" in one.do


def test_the_files_of_a_peer_that_runs_are_as_they_were_and_it_goes_on(tmp_path: Path) -> None:
    with closing(written(tmp_path)) as store:
        files = sorted(one for one in tmp_path.iterdir() if not one.name.endswith("-shm"))  # which readers mark
        before = [one.read_bytes() for one in files]
        assert before[1], "there is a WAL"
        assert only(tmp_path / "hfzmq_1.db").severity == OK
        assert [one.read_bytes() for one in files] == before
        store.write([])
