"""A snapshot made in a process of its own: the same as in this one, its errors told, nothing left behind."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import apsw
import pytest

from hfzmq.errors import DataDirError
from hfzmq.storage import Store, backup, exchange
from hfzmq.storage.apart import BACKUP, GO, OPENED, READY, Apart, make_apart
from hfzmq.storage.snapshot import inspect, make
from tests.integration.storage_world import REPOSITORY, Tape, founded, mesh, report


def ward(directory: Path) -> Store:
    """A file that holds something."""
    store, tape = Store.open(directory, 1, mesh()), Tape()
    store.write([tape.persist(tape.config(founded()), tape.batch([report(1), report(2)])), tape.apply()])
    return store


def test_it_is_the_same_snapshot_as_one_made_here(tmp_path: Path) -> None:
    store = ward(tmp_path / "live")
    here, apart = make(store.path, tmp_path / "here"), make_apart(store.path, tmp_path / "apart")
    assert (apart.place, apart.size_bytes) == (here.place, here.size_bytes)
    assert apart.path.stat().st_size == apart.size_bytes
    one, other = (inspect(snapshot.path, mesh().mesh_id)[0] for snapshot in (here, apart))
    assert one._replace(log=other.log) == other
    assert one.log.base == other.log.base
    store.close()


def test_what_goes_wrong_there_is_told_here_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "hfzmq_1.db").write_text("no database at all" * 1000)
    with pytest.raises(DataDirError, match=r"hfzmq_1\.db: no snapshot was made: .*not a database"):
        make_apart(tmp_path / "hfzmq_1.db", tmp_path / "snapshot")
    assert [path.name for path in tmp_path.iterdir()] == ["hfzmq_1.db"]


def test_a_process_that_cannot_even_begin_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(DataDirError, match="its process ended with 1"):
        make_apart(tmp_path / "hfzmq_1.db", tmp_path / "snapshot")


def test_a_process_that_dies_before_it_is_told_to_go_is_told_by_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = tmp_path / "dying"
    text = f"#!/bin/sh\nexec 0<&-\necho {READY}\nsleep 0.3\necho no more memory >&2\nexit 3\n"
    dying.write_text(text)
    dying.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(dying))
    with pytest.raises(DataDirError, match="no snapshot was made: no more memory"):
        make_apart(tmp_path / "hfzmq_1.db", tmp_path / "snapshot")


def test_nobody_waits_for_the_lock_while_the_process_begins_and_no_file_is_opened_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ward(tmp_path / "live")
    makers: list[threading.Thread] = []
    with exchange.OPENING:  # as while a file is exchanged
        makers.append(threading.Thread(target=make_apart, args=(store.path, tmp_path / "apart")))
        makers[0].start()
        makers[0].join(1.0)
        assert makers[0].is_alive(), "it opened a file that is being exchanged"
        assert not (tmp_path / "apart").exists()
    makers[0].join(30)
    assert not makers[0].is_alive()
    assert (tmp_path / "apart").stat().st_size > 0
    store.close()


def other(tmp_path: Path, store: Store) -> subprocess.Popen[str]:
    """The other process, spoken to by hand."""
    command = [sys.executable, "-m", "hfzmq.storage.apart", str(store.path), str(tmp_path / "apart")]
    return subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("says_go", [False, True])
def test_it_ends_with_the_process_that_wanted_it(tmp_path: Path, says_go: bool) -> None:
    store = ward(tmp_path / "live")
    with other(tmp_path, store) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == READY + "\n"
        if says_go:
            process.stdin.write(GO + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == OPENED + "\n"
        process.stdin.close()  # as when that process is killed
        process.stdout.read()
        assert process.wait(20) in (0, 1)
    assert says_go or not (tmp_path / "apart").exists()
    store.close()


# ------------------------------------------------------------ a backup


def test_a_backup_made_apart_is_one_that_can_be_restored_and_it_is_told_how_far_it_is(tmp_path: Path) -> None:
    store = ward(tmp_path / "live")
    told: list[tuple[str, float]] = []
    made = Apart(store.path, tmp_path / "ward", BACKUP, lambda doing, share: told.append((doing, share))).run()
    found = backup.verify(tmp_path / "ward")
    assert (made.place, made.size_bytes, made.sha256) == (found.place, found.size_bytes, found.digest)
    assert found.rows["risk_reports"] == 2
    assert {doing for doing, _ in told} == {backup.COPYING, backup.CHECKING}
    assert told[-1] == (backup.CHECKING, 1.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["live", "ward"]
    store.close()


def test_why_no_backup_was_made_is_told_as_it_would_be_here_with_what_to_do(tmp_path: Path) -> None:
    store = ward(tmp_path / "live")
    store.close()
    with apsw.Connection(str(store.path)) as database:
        database.execute("update risk_reports set probability = 0.123 where id = 1")
    database.close()
    with pytest.raises(DataDirError, match=r"hfzmq_1\.db: damaged, not backed up: ") as caught:
        Apart(store.path, tmp_path / "ward", BACKUP).run()
    assert "back up another peer" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["live"]


def test_one_that_is_called_off_ends_at_once_with_its_process(tmp_path: Path) -> None:
    store = ward(tmp_path / "live")
    ended: list[str] = []
    one = Apart(store.path, tmp_path / "ward", BACKUP)

    def run() -> None:
        with pytest.raises(DataDirError) as caught:
            one.run()
        ended.append(str(caught.value))

    maker = threading.Thread(target=run)
    with exchange.OPENING:  # so that it cannot be done before
        maker.start()
        maker.join(1.0)
        assert maker.is_alive()
        one.stop()
    maker.join(30)
    assert len(ended) == 1
    assert "no backup was made" in ended[0]
    with pytest.raises(DataDirError, match="called off"):
        one.run()
    assert not (tmp_path / "ward").exists()
    store.close()
