"""``hfzmq backup``, ``restore`` and ``queue``: what they print; each mistake costs two lines and an exit code."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hfzmq.client.queue import Queue
from hfzmq.client.queue_move import look, move
from hfzmq.client.traffic import READINGS
from hfzmq.config import Config, render
from hfzmq.core.types import HardState
from hfzmq.errors import DataDirError, InvalidInput, NotFound
from hfzmq.storage import Store
from hfzmq.wire.members import Told, ToldMember
from tests.integration.storage_world import Tape, founded, mesh, report
from tests.unit.cli_world import run

NEW = mesh(mesh_id=b"another mesh's id")


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Of peer 1, which runs."""
    tape = Tape()
    tape.hard_state = HardState(3, 1)
    tape.config(founded(1))
    tape.batch([report(number) for number in range(1, 8)])
    store = Store.open(tmp_path / "1", 1, mesh())
    store.write([tape.persist(*tape.log, hard_state=tape.hard_state), tape.apply()])
    store.close()
    return store.path


@pytest.fixture
def new_yaml(tmp_path: Path) -> str:
    file = tmp_path / "new.yaml"
    file.write_text(render(NEW))
    return str(file)


def test_a_backup_is_made_verified_and_restored(db: Path, tmp_path: Path, new_yaml: str) -> None:
    to = tmp_path / "ward.backup"
    done = run("backup", "--db", str(db), "--to", str(to))
    assert (done.code, done.err) == (0, "")
    assert run("backup", "--db", str(db), str(tmp_path / "again.backup"), "-o", "json").code == 0
    assert "7 reports until entry 2" in done.out
    assert f"mesh         {mesh().mesh_id.hex()}, members 1, 2, 3" in done.out
    told = json.loads(run("backup", "verify", str(to), "-o", "json").out)
    assert told["rows"]["risk_reports"] == 7
    assert told["sha256"] in done.out
    done = run("restore", str(to), "--config", new_yaml, "--id", "2", "--data-dir", str(tmp_path / "2"))
    assert done.code == 0
    assert f"hfzmq queue move DIR --from {mesh().mesh_id.hex()}" in done.out
    assert "likewise peers 1, 3, from the same backup" in done.out
    assert (tmp_path / "2" / "hfzmq_2.db").exists()


def test_a_file_with_entries_not_known_to_be_committed_is_backed_up_with_them_and_says_how_many(tmp_path: Path) -> None:
    tape, store = Tape(), Store.open(tmp_path / "1", 1, mesh())
    store.write([tape.persist(tape.config(founded(1)), tape.batch([report(1)])), tape.apply()])
    store.write([tape.persist(tape.batch([report(2), report(3)]), tape.batch([report(4)]))])
    done = run("backup", "--db", str(store.path), "--to", str(tmp_path / "ward.backup"))
    assert done.code == 0
    assert "4 reports until entry 4" in done.out
    assert "not known    the last 2 entries were in that peer's log, not known to be committed; " in done.out
    done = run("backup", "--db", str(store.path), "--to", str(tmp_path / "again.backup"), "-o", "json")
    told = json.loads(done.out)
    assert (told["tail_entries"], told["forgotten"], done.err) == (2, "", "")
    store.close()


def test_a_file_that_was_copied_without_its_mark_is_backed_up_with_a_warning(db: Path, tmp_path: Path) -> None:
    db.with_suffix(".mark").unlink()
    done = run("backup", "--db", str(db), "--to", str(tmp_path / "ward.backup"))
    assert done.code == 0
    assert f"warning: {db} may lack what it once held: its mark, hfzmq_1.mark, is not beside it; " in done.err


def test_each_mistake_has_its_exit_code_and_says_what_to_do(db: Path, tmp_path: Path, new_yaml: str) -> None:
    old_yaml = tmp_path / "old.yaml"
    old_yaml.write_text(render(mesh()))
    to = tmp_path / "ward.backup"
    assert run("backup", "--db", str(db), "--to", str(to)).code == 0
    left = tmp_path / "other.copy"
    left.write_text("")
    bad = tmp_path / "bad"
    bad.write_bytes(to.read_bytes()[:-5000] + bytes(5000))
    restoring = ("restore", str(to), "--id", "1")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for words, code, told in (
        (("backup",), 2, "Usage: hfzmq backup"),
        (("backup", "--db", str(db)), 2, "which file?"),
        (("backup", str(tmp_path / "x"), "--to", str(tmp_path / "x")), 2, "which of them is the backup?"),
        (("backup", str(tmp_path / "x"), str(tmp_path / "y")), 2, f"/x and {tmp_path}/y: a backup is one"),
        (("backup", str(tmp_path / "x"), "-o", "json", "y"), 2, "/x and y: a backup is one new file"),
        (("backup", "restore", str(tmp_path / "x")), 2, "hfzmq restore"),
        (("backup", str(tmp_path / "x"), "--nonsense"), 2, "No such option"),
        (("backup", "verify", str(tmp_path)), 6, f"that is a directory; which file in it? ls {tmp_path}"),
        (("backup", "verify", str(fifo)), 6, "that is no regular file"),
        ((*restoring[:1], str(fifo), *restoring[2:], "--config", new_yaml, "--data-dir", str(tmp_path / "x")), 6,
            "that is no regular file"),
        (("backup", "--db", str(db), "--peer", "1", str(tmp_path / "x")), 2, "leave --config and --peer out"),
        (("backup", "--db", str(db), "verify", str(to)), 2, "verify takes a FILE"),
        (("backup", "--db", str(db), "--to", str(to)), 6, "never overwritten"),
        (("backup", "--db", str(tmp_path), "--to", str(tmp_path / "x")), 6, "the file of a peer"),
        (("backup", "--db", str(to), "--to", str(tmp_path / "x")), 6, "the file of a peer, no backup"),
        (("backup", "--db", str(db), "--to", str(tmp_path / "no" / "x")), 1, "is there such a directory"),
        (("backup", "--db", str(db), "--to", str(tmp_path / "other")), 1, "then remove it"),
        (("backup", "verify", str(tmp_path / "none")), 5, "none: no such file"),
        (("backup", "verify", str(db)), 6, "this is the own file of peer 1"),
        (("backup", "verify", str(bad)), 1, "damaged"),
        ((*restoring, "--config", str(old_yaml), "--data-dir", str(tmp_path / "x")), 6, "config init"),
        ((*restoring, "--config", new_yaml, "--data-dir", str(tmp_path / "1")), 6, "never overwritten"),
        ((*restoring, "--config", new_yaml, "--data-dir", str(to)), 1, "give a directory"),
        ((*restoring, "--id", "9", "--config", new_yaml, "--data-dir", str(tmp_path / "x")), 6, "no peer with id 9"),
        (("queue", "show", str(tmp_path)), 5, "no queue in"),
        (("queue", "move", str(tmp_path), "--from", "xyz", "--config", new_yaml), 6, "32 hex digits"),
    ):  # fmt: skip
        done = run(*words)
        assert (done.code, told in done.err) == (code, True), (words, done)
        assert "Traceback" not in done.err
        assert not (tmp_path / "x").exists()
    assert left.exists(), "another backup's file was taken away"


# ------------------------------------------------------------ a client's queue


def filled(directory: Path, config: Config) -> None:
    """Three rows acknowledged, two under way."""
    queue = Queue.open(directory, "bed", config.mesh_id)
    for numbers in ((1, 2, 3), (4, 5)):
        queue.put([report(number) for number in numbers])
        batch = queue.next_batch(1000, 1 << 20)
        assert batch
        if numbers[0] == 1:
            queue.acknowledged(batch.seq)
    queue.remember_members(Told(99, (ToldMember(1, "127.0.0.1", 1, 2, 3, "aa", "voter"),), (), True))
    queue.close()


def test_a_moved_queue_sends_the_same_bytes_in_the_same_session_and_forgets_the_old_peers(tmp_path: Path) -> None:
    filled(tmp_path / "q", mesh())
    queue = Queue.open(tmp_path / "q", None, mesh().mesh_id)
    epoch, batch = queue.epoch, queue.next_batch(1000, 1 << 20)
    queue.close()
    with pytest.raises(DataDirError, match="belongs to another mesh"):
        Queue.open(tmp_path / "q", None, NEW.mesh_id)
    told = move(tmp_path / "q", mesh().mesh_id, NEW)
    assert (told.mesh_id, told.rows, told.in_flight, told.next_seq) == (NEW.mesh_id, 2, 2, 2)
    assert move(tmp_path / "q", mesh().mesh_id, NEW) == told, "once more is harmless"
    queue = Queue.open(tmp_path / "q", "bed", NEW.mesh_id)
    assert (queue.epoch, queue.next_batch(1000, 1 << 20)) == (epoch, batch)
    assert queue.members() is None
    queue.close()


def test_a_queue_is_given_away_by_whom_it_is_of_only_and_never_under_a_client(tmp_path: Path) -> None:
    filled(tmp_path / "q", mesh())
    with pytest.raises(InvalidInput, match=f"the mesh of this queue, {mesh().mesh_id.hex()}"):
        move(tmp_path / "q", b"x" * 16, NEW)
    queue = Queue.open(tmp_path / "q", None, mesh().mesh_id)
    with pytest.raises(DataDirError, match="in use"):
        move(tmp_path / "q", mesh().mesh_id, NEW)
    queue.close()
    assert look(tmp_path / "q").mesh_id == mesh().mesh_id
    with pytest.raises(NotFound):
        look(tmp_path / "none")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "queue.db").write_bytes(b"no database" * 1000)
    with pytest.raises(DataDirError, match="cannot be read"):
        look(tmp_path / "odd")


def test_a_queue_of_readings_is_looked_at_and_moved_likewise(tmp_path: Path) -> None:
    Queue.open(tmp_path / "q", "monitor", mesh().mesh_id, READINGS).close()
    assert look(tmp_path / "q").traffic == "submit_readings"
    move(tmp_path / "q", mesh().mesh_id, NEW)
    Queue.open(tmp_path / "q", "monitor", NEW.mesh_id, READINGS).close()
