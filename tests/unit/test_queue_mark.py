"""A queue that went back: what its mark says was accepted, and is gone, is told at the start, and nothing is sent."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from hfzmq.client import queue_mark
from hfzmq.client.queue import Queue
from hfzmq.client.queue_mark import Mark, lost, read
from hfzmq.client.queue_move import look, move
from hfzmq.client.queue_types import Progress
from hfzmq.client.traffic import READINGS, REPORTS, Traffic
from hfzmq.config import Config
from hfzmq.errors import DataDirError, NotFound
from hfzmq.wire.members import Told
from hfzmq.wire.requests import digest
from hfzmq.wire.rows import join_rows, pack_row
from tests.unit.cli_world import run
from tests.unit.test_queue import BYTES_MAX, MESH, numbers, row

NEW = Config("new", b"n" * 16, ())
ROOT = Path(__file__).resolve().parents[2]
KILLED = """
import os, sys
from hfzmq.client.queue import Queue
from tests.unit.test_queue import MESH, row
queue = Queue.open(sys.argv[1], "bed", MESH)
for number in range(20):
    queue.put([row(number)])
queue.next_batch(5, 1 << 20)
queue.acknowledged(1)
os.kill(os.getpid(), 9)
"""


def killed(home: Path) -> None:
    """A client that put twenty rows, had five acknowledged, and was killed: all of it is in the WAL."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(home)], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == -9
    assert (home / "queue.db-wal").stat().st_size > 4096


def a_bit_flipped(home: Path) -> None:
    wal = home / "queue.db-wal"
    data = bytearray(wal.read_bytes())
    data[len(data) // 2] ^= 1
    wal.write_bytes(data)


def cut_short(home: Path) -> None:
    wal = home / "queue.db-wal"
    os.truncate(wal, wal.stat().st_size - 4120)


def wal_removed(home: Path) -> None:
    (home / "queue.db-wal").unlink()


def database_removed(home: Path) -> None:
    for name in ("queue.db", "queue.db-wal", "queue.db-shm"):
        (home / name).unlink()


def database_emptied(home: Path) -> None:
    (home / "queue.db-wal").unlink()
    (home / "queue.db").write_bytes(b"")


def another_put_there(home: Path) -> None:
    database_removed(home)
    Queue.open(home.with_name("other"), "bed", MESH).close()
    shutil.copy(home.with_name("other") / "queue.db", home)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (a_bit_flipped, "rows put into it"),
        (cut_short, "its last other write is gone"),
        (wal_removed, "queue.db is gone, or empty"),
        (database_removed, "queue.db is gone, or empty"),
        (database_emptied, "queue.db is gone, or empty"),
        (another_put_there, "queue.db is another one than queue.mark was written for"),
    ],
)
def test_what_a_queue_has_lost_is_told_at_the_start_each_time_and_its_files_stay_as_they_are(
    tmp_path: Path, harm: Callable[[Path], None], said: str
) -> None:
    home = tmp_path / "q"
    killed(home)
    harm(home)
    before = {
        path.name: path.read_bytes() for path in home.iterdir() if path.name not in ("queue.db-shm", "queue.lock")
    }
    for _ in range(2):
        with pytest.raises(DataDirError) as caught:
            Queue.open(home, "bed", MESH)
        assert str(caught.value).startswith(f"the queue in {home} is damaged: ")
        assert said in str(caught.value)
        assert str(caught.value).endswith("; what waited there may be lost, or be sent a second time")
        assert caught.value.hint == (
            f"keep the directory for a look: hfzmq queue show {home}; begin a new queue: --queue DIR"
        )
    assert {name: (home / name).read_bytes() for name in before} == before


def test_a_damaged_queue_can_be_looked_at_is_not_given_away_and_is_taken_again_without_its_mark(tmp_path: Path) -> None:
    home = tmp_path / "q"
    killed(home)
    cut_short(home)
    code, out, _ = run("queue", "show", str(home))
    *_, damaged = out.splitlines()
    assert (code, damaged) == (
        0,
        "damaged: its last other write is gone; no client takes it as it is. To send what it still has, some of it "
        f"perhaps a second time: rm {home}/queue.mark, then start the client again",
    )
    facts = look(home)
    assert (facts.rows, facts.in_flight, facts.lost) == (20, 5, "its last other write is gone")
    with pytest.raises(DataDirError, match="damaged"):
        move(home, MESH, NEW)
    (home / "queue.mark").unlink()
    queue = Queue.open(home, "bed", MESH)
    assert numbers(queue.next_batch(100, BYTES_MAX)) == [0, 1, 2, 3, 4]
    queue.close()
    assert look(home).lost == ""
    database = home / "queue.db"
    database.unlink()
    with pytest.raises(NotFound, match=r"queue\.db is gone"):
        look(home)


@pytest.mark.parametrize("moment", ["put", "source", "batch", "ack", "dead", "refused", "disowned", "members"])
def test_whatever_was_written_last_its_loss_is_found(tmp_path: Path, moment: str) -> None:
    """The files as they were before the last write, with the mark from behind it."""
    home = tmp_path / "q"
    queue = Queue.open(home, "bed", MESH)
    queue.put([row(0), row(1)])
    if moment in ("ack", "dead", "refused", "disowned"):
        queue.next_batch(10, BYTES_MAX)
    shutil.copytree(home, tmp_path / "copy")
    steps: dict[str, Callable[[], object]] = {
        "put": lambda: queue.put([row(2)]),
        "source": lambda: queue.put([], ((), (Progress(b"a" * 32, 9, 1),))),
        "batch": lambda: queue.next_batch(10, BYTES_MAX),
        "ack": lambda: queue.acknowledged(1),
        "dead": lambda: queue.acknowledged(1, [(0, "age", "b", "h")]),
        "refused": lambda: queue.refused(1, "age", "b", "h"),
        "disowned": lambda: queue.disowned(1),
        "members": lambda: queue.remember_members(Told(1, (), (), True)),
    }
    steps[moment]()
    queue.close()
    Queue.open(home, "bed", MESH).close()  # itself is well
    shutil.copy(home / "queue.mark", tmp_path / "copy")
    with pytest.raises(DataDirError, match="gone"):
        Queue.open(tmp_path / "copy", "bed", MESH)


# ------------------------------------------------------------------------------------------------------- orderly ways


@pytest.mark.parametrize("mark", [None, b"", b"torn", "cut", "flipped", "older"])
def test_a_mark_that_is_missing_torn_or_older_is_no_reason_and_is_written_anew(
    tmp_path: Path, mark: bytes | str | None
) -> None:
    home = tmp_path / "q"
    queue = Queue.open(home, "bed", MESH)
    older = (home / "queue.mark").read_bytes()
    queue.put([row(0)])
    queue.close()
    whole = (home / "queue.mark").read_bytes()
    (home / "queue.mark").unlink()
    if mark is not None:
        flipped = bytes([whole[0], whole[1] ^ 1]) + whole[2:]
        content = {"cut": whole[:-1], "flipped": flipped, "older": older}.get(str(mark), mark)
        (home / "queue.mark").write_bytes(content)  # type: ignore[arg-type]
    queue = Queue.open(home, "bed", MESH)
    assert queue.pending() == 1
    queue.close()
    found = read(home)
    assert found is not None
    assert found.last_id == 1
    assert len((home / "queue.mark").read_bytes()) == len(whole)


@pytest.mark.parametrize("traffic", [REPORTS, READINGS], ids=lambda traffic: traffic.word)
def test_a_copy_of_the_whole_directory_is_taken_with_and_without_its_mark(tmp_path: Path, traffic: Traffic) -> None:
    queue = Queue.open(tmp_path / "q", "bed", MESH, traffic)
    queue.put([row(0)])
    queue.close()
    shutil.copytree(tmp_path / "q", tmp_path / "old")
    queue = Queue.open(tmp_path / "q", "bed", MESH, traffic)
    queue.put([row(1)])
    queue.close()
    shutil.rmtree(tmp_path / "q")
    shutil.copytree(tmp_path / "old", tmp_path / "q")
    for _ in range(2):
        queue = Queue.open(tmp_path / "q", "bed", MESH, traffic)
        assert queue.pending() == 1
        queue.close()
        (tmp_path / "q" / "queue.mark").unlink()


def test_a_queue_that_is_moved_to_another_mesh_is_at_its_mark(tmp_path: Path) -> None:
    home = tmp_path / "q"
    queue = Queue.open(home, "bed", MESH)
    queue.put([row(0)])
    queue.close()
    assert move(home, MESH, NEW).lost == ""
    queue = Queue.open(home, "bed", NEW.mesh_id)
    assert queue.pending() == 1
    queue.close()


def test_a_mark_that_cannot_be_written_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue.open(tmp_path, "bed", MESH)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hfzmq.client.queue_mark.os.pwrite", full)
    for number in range(3):
        queue.put([row(number)])
    assert queue.pending() == 3
    monkeypatch.undo()
    queue.close()
    Queue.open(tmp_path, "bed", MESH).close()


def test_looking_at_a_queue_changes_nothing_of_it(tmp_path: Path) -> None:
    killed(tmp_path)
    names = ("queue.db", "queue.db-wal", "queue.mark")
    before = [(tmp_path / name).read_bytes() for name in names]
    assert look(tmp_path).rows == 15
    assert [(tmp_path / name).read_bytes() for name in names] == before


WRITER = """
import sys
from hfzmq.client.queue import Queue
from tests.unit.test_queue import MESH, row
queue = Queue.open(sys.argv[1], "bed", MESH)
while True:
    number = queue.put([row(place) for place in range(3)])
    print("put", number, flush=True)
    if number % 4 == 0:
        batch = queue.next_batch(10, 1 << 20)
        print("ending", batch.last_id, flush=True)
        queue.acknowledged(batch.seq)
        print("ended", batch.last_id, flush=True)
"""


def test_killed_at_any_moment_it_is_opened_every_time_and_no_row_is_lost(tmp_path: Path) -> None:
    rng = random.Random(7)
    told = {"put": 0, "ending": 0, "ended": 0}  # the last id that was put, that may be acknowledged, that is
    for _ in range(12):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        lines = [writer.stdout.readline()]
        end = time.monotonic() + rng.random() * 0.15
        while time.monotonic() < end:
            lines.append(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.readlines()
        writer.wait(60)
        for found in (re.fullmatch(r"(\w+) (\d+)\n", line) for line in lines):  # the last may be cut: nobody was told
            if found:
                told[found[1]] = int(found[2])
        queue = Queue.open(tmp_path, "bed", MESH)  # never DataDirError
        ids = [row_id for (row_id,) in queue._db.execute("SELECT id FROM rows ORDER BY id")]
        last_id = queue._file.last_id
        queue.close()
        assert told["put"] <= last_id <= told["put"] + 3
        first = ids[0] if ids else last_id + 1
        assert ids == list(range(first, last_id + 1))
        assert told["ended"] < first <= max(told["ending"], told["ended"]) + 1
        told["put"] = last_id


class CtrlCBehindTheCommit:
    """A database whose next transaction is committed, and broken off before anybody knows."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def __getattr__(self, name: str) -> object:
        return getattr(self._db, name)

    def __enter__(self) -> object:
        return self._db.__enter__()

    def __exit__(self, *error: object) -> None:
        self._db.__exit__(None, None, None)
        raise KeyboardInterrupt


def ctrl_c(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("moment", ["before its commit", "behind its commit", "behind its count"])
def test_a_write_that_is_broken_off_leaves_a_queue_that_counts_right_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    queue = Queue.open(tmp_path, "bed", MESH)
    queue.put([row(0)])
    if moment == "before its commit":
        monkeypatch.setattr("hfzmq.client.queue_notes.move_sources", ctrl_c)
    elif moment == "behind its commit":
        monkeypatch.setattr(queue._file, "db", CtrlCBehindTheCommit(queue._db))
    else:
        monkeypatch.setattr("hfzmq.client.queue_connection.identity_of", ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        queue.put([row(1), row(2)], ((), ()))
    monkeypatch.undo()
    queue.put([row(3)])
    kept = [0, 3] if moment == "before its commit" else [0, 1, 2, 3]
    assert queue.pending() == len(kept)
    assert numbers(queue.next_batch(10, BYTES_MAX)) == kept
    queue.acknowledged(1)
    queue.close()
    Queue.open(tmp_path, "bed", MESH).close()


# ---------------------------------------------------------------------------------------------- queues of before marks

OLD = """
CREATE TABLE meta(
    one INTEGER PRIMARY KEY CHECK (one = 1), client_id TEXT NOT NULL, mesh_id BLOB NOT NULL, epoch BLOB NOT NULL,
    next_seq INTEGER NOT NULL, alone_until INTEGER NOT NULL) STRICT;
CREATE TABLE rows(id INTEGER PRIMARY KEY AUTOINCREMENT, row BLOB NOT NULL) STRICT;
CREATE TABLE in_flight(
    one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, digest BLOB NOT NULL, rows BLOB NOT NULL,
    count INTEGER NOT NULL, last_id INTEGER NOT NULL) STRICT;
CREATE TABLE refused_whole(
    one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, digest BLOB NOT NULL, rows BLOB NOT NULL,
    count INTEGER NOT NULL, last_id INTEGER NOT NULL, tried INTEGER NOT NULL) STRICT;
CREATE TABLE dead_letters(
    id INTEGER PRIMARY KEY AUTOINCREMENT, row BLOB NOT NULL, field TEXT NOT NULL, bound TEXT NOT NULL,
    hint TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE sources(
    prefix BLOB PRIMARY KEY, bytes_read INTEGER NOT NULL, lines INTEGER NOT NULL, at_ms INTEGER NOT NULL) STRICT;
"""


def old_queue(home: Path, traffic: Traffic, version: int) -> None:
    """As hfzmq wrote them before there were marks: rows 7 and 8 wait, 7 is under way, a file was read to byte 100."""
    home.mkdir()
    db = apsw.Connection(str(home / "queue.db"))
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(OLD)
    db.execute("INSERT INTO meta VALUES (1, 'bed', ?, ?, 4, 0)", (MESH, b"e" * 16))
    for number in (7, 8):
        db.execute("INSERT INTO rows VALUES (?, ?)", (number, pack_row(row(number))))
    rows = join_rows([pack_row(row(7))])
    db.execute("INSERT INTO in_flight VALUES (1, 4, ?, ?, 1, 7)", (digest(rows), rows))
    db.execute("INSERT INTO sources VALUES (?, 100, 3, 1)", (b"a" * 32,))
    if version == 2:
        db.execute("CREATE TABLE op(one INTEGER PRIMARY KEY CHECK (one = 1), op TEXT NOT NULL) STRICT")
        db.execute("INSERT INTO op VALUES (1, ?)", (traffic.op,))
    db.execute(f"PRAGMA user_version = {version}")
    db.close()


@pytest.mark.parametrize(("traffic", "version"), [(REPORTS, 1), (READINGS, 2)], ids=["reports", "readings"])
def test_a_queue_of_before_marks_is_taken_as_it_is_and_guarded_from_then_on(
    tmp_path: Path, traffic: Traffic, version: int
) -> None:
    home = tmp_path / "q"
    old_queue(home, traffic, version)
    assert (look(home).rows, look(home).traffic) == (2, traffic.op)
    with pytest.raises(DataDirError, match="not for"):
        Queue.open(home, "bed", MESH, READINGS if traffic == REPORTS else REPORTS)
    queue = Queue.open(home, "bed", MESH, traffic)
    batch = queue.next_batch(10, BYTES_MAX)
    assert batch is not None
    assert (batch.epoch, batch.seq, numbers(batch), queue.pending()) == (b"e" * 16, 4, [7], 2)
    assert queue.sources() == [Progress(b"a" * 32, 100, 3)]
    assert queue.put([row(9)]) == 9
    queue.acknowledged(4)
    assert numbers(queue.next_batch(10, BYTES_MAX)) == [8, 9]
    queue.close()
    mark = read(home)
    assert mark is not None
    (home / "queue.db").unlink()
    old_queue(home.with_name("again"), traffic, version)
    shutil.copy(home.with_name("again") / "queue.db", home)
    with pytest.raises(DataDirError, match="another one than"):  # a copy from before, beside the mark of now
        Queue.open(home, "bed", MESH, traffic)


def test_a_queue_of_before_marks_whose_rows_are_all_gone_gives_no_id_twice(tmp_path: Path) -> None:
    home = tmp_path / "q"
    old_queue(home, REPORTS, 1)
    queue = Queue.open(home, "bed", MESH)
    queue.next_batch(1, BYTES_MAX)
    queue.acknowledged(4)
    queue.next_batch(1, BYTES_MAX)
    queue.acknowledged(5)
    queue.close()
    queue = Queue.open(home, "bed", MESH)
    assert queue.put([row(0)]) == 9
    queue.close()


# ----------------------------------------------------------------------------------------------------- the mark itself


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Mark(b"i" * 16, 9, 5), ""),
        (Mark(b"i" * 16, 10, 6), ""),
        (Mark(b"i" * 16, 8, 5), "the last row put into it is gone"),
        (Mark(b"i" * 16, 2, 6), "the last 7 rows put into it are gone"),
        (Mark(b"i" * 16, 9, 4), "its last other write is gone"),
        (Mark(b"i" * 16, 8, 4), "the last row put into it and its last other write are gone"),
        (Mark(b"i" * 16, 6, 0), "the last 3 rows put into it and its last 5 other writes are gone"),
        (Mark(b"j" * 16, 9, 5), "queue.db is another one than queue.mark was written for"),
        (None, "queue.db is gone, or empty"),
    ],
)
def test_what_is_lost_is_said_in_words(found: Mark | None, said: str) -> None:
    assert lost(Mark(b"i" * 16, 9, 5), found) == said
    assert lost(None, found) == ""


def test_a_mark_of_another_kind_is_none(tmp_path: Path) -> None:
    (tmp_path / "queue.mark").write_bytes(bytes(queue_mark._BODY.size + queue_mark._CRC.size))
    assert read(tmp_path) is None
