"""The queue on disk: what was put is there after any end, goes out once, in order, under bytes that never change."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hfzmq.client.queue import Queue
from hfzmq.client.queue_types import Batch, Progress, QueueFull
from hfzmq.clinical.report import Report
from hfzmq.errors import DataDirError, DiskFailed, InvalidInput
from hfzmq.wire.requests import decode_rows, digest, encode_rows

MESH = bytes(range(16))
ROW = Report("P-001", 1_700_000_000_000, 65.5, 137.0, 1.2, 35.0, 0, 0.5, "AMBER", 0.4, "m1", "")
BYTES_MAX = 1 << 20


def row(number: int) -> Report:
    return ROW._replace(day=number)


def numbers(batch: Batch | None) -> list[int]:
    assert batch is not None
    return [values[6] for values in decode_rows(batch.rows)]  # type: ignore[misc]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "queue"


@pytest.fixture
def queue(home: Path) -> Iterator[Queue]:
    made = Queue.open(home, "bed", MESH)
    yield made
    made.close()


def again(queue: Queue, home: Path) -> Queue:
    queue.close()
    return Queue.open(home, "bed", MESH)


@pytest.mark.parametrize(
    ("error", "said", "hint"),
    [
        (apsw.FullError("database or disk is full"), "no space left on the disk", "make room, then run the same again"),
        (OSError(28, "No space left on device"), "no space left on the disk", "make room, then run the same again"),
        (apsw.IOError("disk I/O error"), "disk I/O error", "is there room (df -h"),
        (apsw.CorruptError("malformed"), "malformed", "keep the directory for a look"),
    ],
)
def test_a_queue_that_a_full_disk_keeps_shut_is_not_to_be_given_up(
    home: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str, hint: str
) -> None:
    def full(path: Path) -> None:
        raise error

    monkeypatch.setattr("hfzmq.client.queue_file._opened", full)
    with pytest.raises(DataDirError, match=said) as told:
        Queue.open(home, "bed", MESH)
    assert told.value.hint.startswith(hint)


# --------------------------------------------------------------------------------------------------------- the way out


def test_rows_leave_in_the_order_they_came_in_batches_within_both_limits(queue: Queue) -> None:
    for number in range(7):
        queue.put([row(number)])
    batch = queue.next_batch(3, BYTES_MAX)
    assert batch is not None
    assert (batch.seq, batch.row_count, numbers(batch)) == (1, 3, [0, 1, 2])
    assert batch.digest == digest(batch.rows)
    assert batch.rows == encode_rows([row(0), row(1), row(2)])
    queue.acknowledged(1)
    one = len(encode_rows([row(3)]))
    second = queue.next_batch(100, 2 * one + 3)
    assert second is not None
    assert len(second.rows) <= 2 * one + 3
    assert (second.seq, numbers(second)) == (2, [3, 4])
    queue.acknowledged(2)
    third = queue.next_batch(100, 1)
    assert numbers(third) == [5]
    assert queue.pending() == 2


def test_a_batch_stays_the_same_until_it_is_answered_whatever_is_put_meanwhile(queue: Queue, home: Path) -> None:
    queue.put([row(0)])
    first = queue.next_batch(10, BYTES_MAX)
    queue.put([row(1)])
    assert queue.next_batch(10, BYTES_MAX) == first
    reopened = again(queue, home)
    assert reopened.next_batch(1, 1) == first
    assert reopened.pending() == 2
    reopened.close()


def test_an_empty_queue_has_nothing_to_send(queue: Queue) -> None:
    assert queue.next_batch(10, BYTES_MAX) is None
    assert queue.put([]) == 0
    assert queue.next_batch(10, BYTES_MAX) is None


def test_acknowledged_rows_are_gone_and_the_next_seq_is_due_also_after_a_restart(queue: Queue, home: Path) -> None:
    queue.put([row(0), row(1)])
    epoch = queue.epoch
    queue.next_batch(10, BYTES_MAX)
    queue.acknowledged(1)
    reopened = again(queue, home)
    assert reopened.pending() == 0
    reopened.put([row(2)])
    batch = reopened.next_batch(10, BYTES_MAX)
    assert batch is not None
    assert (batch.epoch, batch.seq, numbers(batch)) == (epoch, 2, [2])
    reopened.close()


def test_rows_the_mesh_rejected_lie_in_the_dead_letters_with_the_reason(queue: Queue, home: Path) -> None:
    queue.put([row(0), row(1), row(2)])
    queue.next_batch(10, BYTES_MAX)
    dead = queue.acknowledged(1, [(1, "age", "18 to 120 years", "adults")])
    assert [(letter.row, letter.field, letter.bound, letter.hint) for letter in dead] == [
        (list(row(1)), "age", "18 to 120 years", "adults")
    ]
    reopened = again(queue, home)
    assert reopened.dead_letters() == dead
    assert reopened.pending() == 0
    reopened.close()


def test_one_row_refused_whole_is_a_dead_letter_and_its_seq_is_used_for_the_next(queue: Queue) -> None:
    queue.put([row(0)])
    queue.next_batch(10, BYTES_MAX)
    letter = queue.refused(1, "rows", "1 to 1 rows", "")
    assert letter is not None
    assert letter.row == list(row(0))
    queue.put([row(1)])
    batch = queue.next_batch(10, BYTES_MAX)
    assert batch is not None
    assert (batch.seq, numbers(batch)) == (1, [1])


def test_of_a_batch_refused_whole_only_the_bad_row_dies(queue: Queue, home: Path) -> None:
    queue.put([row(number) for number in range(4)])
    queue.next_batch(3, BYTES_MAX)
    assert queue.refused(1, "rows", "something about it", "") is None
    queue = again(queue, home)
    stored = []
    while (batch := queue.next_batch(100, BYTES_MAX)) is not None:
        if numbers(batch) == [1]:
            queue.refused(batch.seq, "rows", "this one", "")
        else:
            stored.append((batch.seq, numbers(batch)))
            queue.acknowledged(batch.seq)
    assert stored == [(1, [0]), (2, [2]), (3, [3])]
    assert [letter.row[6] for letter in queue.dead_letters()] == [1]
    queue.close()


def test_after_a_disowned_seq_the_rest_goes_out_under_a_new_epoch_from_one(queue: Queue, home: Path) -> None:
    queue.put([row(0), row(1)])
    before = queue.epoch
    queue.next_batch(1, BYTES_MAX)
    assert queue.disowned(1)
    queue = again(queue, home)
    batch = queue.next_batch(10, BYTES_MAX)
    assert batch is not None
    assert batch.epoch != before
    assert (batch.seq, numbers(batch), queue.pending()) == (1, [0, 1], 2)
    queue.close()


def test_a_refused_batch_that_had_been_stored_after_all_is_asked_for_again_and_not_doubled(queue: Queue) -> None:
    """Peers with different limits: one stored the whole, its answer was lost, another one refused it."""
    queue.put([row(0), row(1), row(2)])
    whole = queue.next_batch(2, BYTES_MAX)
    assert whole is not None
    queue.refused(1, "rows", "1 to 1 rows", "")
    assert numbers(queue.next_batch(2, BYTES_MAX)) == [0]
    assert not queue.disowned(1)  # CONFLICT: something else is stored under 1
    assert queue.next_batch(2, BYTES_MAX) == whole
    queue.acknowledged(1)
    batch = queue.next_batch(2, BYTES_MAX)
    assert batch is not None
    assert (batch.seq, numbers(batch), queue.pending()) == (2, [2], 1)


def test_two_peers_of_different_minds_cannot_keep_a_batch_going_round_for_ever(queue: Queue) -> None:
    queue.put([row(0), row(1)])
    queue.next_batch(2, BYTES_MAX)
    queue.refused(1, "rows", "1 to 1 rows", "")
    queue.next_batch(2, BYTES_MAX)
    assert not queue.disowned(1)
    queue.next_batch(2, BYTES_MAX)
    queue.refused(1, "rows", "1 to 1 rows", "")
    queue.next_batch(2, BYTES_MAX)
    assert queue.disowned(1)


@pytest.mark.parametrize("rejected", [[(2, "a", "b", "c")], [(-1, "a", "b", "c")], [(0, "a", "b", "c")] * 2])
def test_an_answer_about_rows_that_are_not_there_changes_nothing(
    queue: Queue, rejected: list[tuple[int, str, str, str]]
) -> None:
    queue.put([row(0), row(1)])
    queue.next_batch(10, BYTES_MAX)
    with pytest.raises(InvalidInput):
        queue.acknowledged(1, rejected)
    with pytest.raises(InvalidInput):
        queue.acknowledged(2)
    with pytest.raises(InvalidInput):
        queue.refused(2, "a", "b", "c")
    assert queue.pending() == 2


# ------------------------------------------------------------------------------------------------------- bounds, faults


def test_a_full_queue_says_so_and_keeps_what_it_has(home: Path) -> None:
    queue = Queue.open(home, "bed", MESH, rows_max=3)
    queue.put([row(0), row(1)])
    with pytest.raises(QueueFull, match="2 of 3 rows"):
        queue.put([row(2), row(3)])
    assert queue.pending() == 2
    queue.put([row(2)])
    assert numbers(queue.next_batch(10, BYTES_MAX)) == [0, 1, 2]
    queue.close()


def test_a_full_queue_is_not_counted_anew_for_each_row_that_it_refuses(home: Path) -> None:
    queue = Queue.open(home, "bed", MESH, rows_max=1)
    queue.put([row(0)])
    asked: list[str] = []

    def trace(cursor: object, sql: str, bindings: object) -> bool:
        asked.append(sql)
        return True

    queue._db.set_exec_trace(trace)
    for _ in range(3):
        with pytest.raises(QueueFull):
            queue.put([row(1)])
    assert asked == []
    queue._db.set_exec_trace(None)
    queue.close()


def test_a_full_disk_is_a_clear_error_and_loses_nothing_that_was_accepted(home: Path) -> None:
    queue = Queue.open(home, "bed", MESH)
    queue.put([row(0)])
    pages = queue._db.execute("PRAGMA page_count").get
    queue._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DiskFailed, match="full"):
        queue.put([row(number) for number in range(1, 1000)])
    queue._db.execute("PRAGMA max_page_count = 100000")
    assert queue.pending() == 1
    queue.put([row(1)])
    assert numbers(queue.next_batch(10, BYTES_MAX)) == [0, 1]
    queue.close()


def test_put_takes_all_rows_or_none(queue: Queue) -> None:
    bad: list[object] = [object()]
    with pytest.raises(Exception, match="msgpack"):
        queue.put([row(0), bad])
    assert queue.pending() == 0
    assert queue.next_batch(10, BYTES_MAX) is None


def test_a_second_process_is_kept_out(queue: Queue, home: Path) -> None:
    with pytest.raises(DataDirError, match="in use") as caught:
        Queue.open(home, "bed", MESH)
    assert "--client-id" in caught.value.hint
    queue.put([row(0)])


def test_another_clients_or_meshs_queue_is_refused_by_name(queue: Queue, home: Path) -> None:
    queue.close()
    with pytest.raises(DataDirError, match="'bed', not to 'desk'"):
        Queue.open(home, "desk", MESH)
    with pytest.raises(DataDirError, match="another mesh"):
        Queue.open(home, "bed", bytes(16))
    unnamed = Queue.open(home, None, MESH)
    assert unnamed.client_id == "bed"
    unnamed.close()


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\x00" + bytes(200)])
def test_a_file_that_is_no_queue_is_refused_and_left_alone(home: Path, content: bytes) -> None:
    home.mkdir()
    (home / "queue.db").write_bytes(content)
    with pytest.raises(DataDirError):
        Queue.open(home, "bed", MESH)
    assert (home / "queue.db").read_bytes() == content


def test_a_newer_schema_is_refused(queue: Queue, home: Path) -> None:
    queue.close()
    db = apsw.Connection(str(home / "queue.db"))
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(DataDirError, match="newer"):
        Queue.open(home, "bed", MESH)


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirError):
        Queue.open(tmp_path / "file" / "queue", "bed", MESH)


def test_directory_and_files_are_for_their_owner_alone(queue: Queue, home: Path) -> None:
    queue.put([row(0)])
    assert home.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o077 for path in home.iterdir()} == {
        "queue.db": 0, "queue.db-wal": 0, "queue.db-shm": 0, "queue.lock": 0, "queue.mark": 0,
    }  # fmt: skip


def test_writes_are_synced_and_in_a_wal(queue: Queue) -> None:
    assert queue._db.execute("PRAGMA synchronous").get == 2
    assert queue._db.execute("PRAGMA journal_mode").get == "wal"


def test_a_process_killed_after_put_leaves_every_row(home: Path) -> None:
    script = (
        "import os, sys; from hfzmq.client.queue import Queue; from tests.unit.test_queue import MESH, row\n"
        "queue = Queue.open(sys.argv[1], 'bed', MESH)\n"
        "for number in range(20): queue.put([row(number)])\n"
        "batch = queue.next_batch(5, 1 << 20); print(batch.digest.hex(), flush=True); os.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script, str(home)], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -9, done.stderr
    queue = Queue.open(home, "bed", MESH)
    batch = queue.next_batch(100, BYTES_MAX)
    assert batch is not None
    assert batch.digest.hex() == done.stdout.strip()
    queue.acknowledged(1)
    assert numbers(batch) + numbers(queue.next_batch(100, BYTES_MAX)) == list(range(20))
    queue.close()


# --------------------------------------------------------------------------------------------------------- sources


def test_how_far_a_source_was_read_is_kept_in_the_transaction_of_its_rows(queue: Queue, home: Path) -> None:
    first, second = Progress(b"a" * 32, 100, 3), Progress(b"b" * 32, 250, 7)
    queue.put([row(0)], ((), (first,)))
    queue.put([], ((first,), (second,)))
    with pytest.raises(Exception, match="msgpack"):
        queue.put([[object()]], ((second,), (Progress(b"c" * 32, 999, 9),)))
    queue = again(queue, home)
    assert queue.sources() == [second]
    queue.close()


def test_two_files_are_remembered_side_by_side(queue: Queue) -> None:
    queue.put([], ((), (Progress(b"a" * 32, 100, 3),)))
    queue.put([], ((), (Progress(b"b" * 32, 200, 3),)))
    assert [progress.bytes_read for progress in queue.sources()] == [200, 100]


@pytest.mark.parametrize("step_ms", [1, 0, -1000], ids=["on", "stands", "set back"])
def test_of_too_many_files_the_one_read_longest_ago_is_forgotten_and_never_the_newest_whatever_the_clock_does(
    home: Path, monkeypatch: pytest.MonkeyPatch, step_ms: int
) -> None:
    monkeypatch.setattr("hfzmq.client.queue_notes.SOURCES_MAX", 3)
    wall_ms = itertools.count(1_700_000_000_000, step_ms)
    queue = Queue.open(home, "bed", MESH, now_ms=lambda: next(wall_ms))
    places = [Progress(bytes([number]) * 32, 100 + number, 3) for number in range(6)]
    for place in places[:3]:
        queue.put([], ((), (place,)))
    queue.put([], ((places[0],), (places[3],)))  # the first file is read on: now it is the last one
    queue.put([], ((), (places[4],)))
    assert {place.bytes_read for place in queue.sources()} == {102, 103, 104}
    queue.close()
    queue = Queue.open(home, "bed", MESH, now_ms=lambda: next(wall_ms))
    queue.put([], ((), (places[5],)))
    assert {place.bytes_read for place in queue.sources()} == {103, 104, 105}
    queue.put([], ((), tuple(places[:5])))  # of five patients, together
    assert {place.bytes_read for place in queue.sources()} >= {place.bytes_read for place in places[:5]}
    queue.close()


# --------------------------------------------------------------------------------------------------------- any history


class AnyHistory(RuleBasedStateMachine):
    """Puts, batches, answers, restarts in any order against a list: nothing lost, doubled or reordered."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.queue = Queue.open(self.home / "q", "bed", MESH)
        self.waiting: list[int] = []
        self.put_count = 0
        self.next_seq = 1
        self.sent: dict[tuple[bytes, int], bytes] = {}
        self.dead = 0

    @rule(count=st.integers(0, 6))
    def put(self, count: int) -> None:
        fresh = list(range(self.put_count, self.put_count + count))
        self.queue.put([row(number) for number in fresh])
        self.put_count += count
        self.waiting += fresh

    @precondition(lambda self: self.waiting)
    @rule(rows_max=st.integers(1, 5), answer=st.sampled_from(["ack", "reject", "refuse", "lose"]))
    def send(self, rows_max: int, answer: str) -> None:
        batch = self.queue.next_batch(rows_max, BYTES_MAX)
        assert batch is not None
        assert batch.seq == self.next_seq
        sent = numbers(batch)
        assert sent == self.waiting[: len(sent)]
        if answer == "lose":
            assert self.sent.setdefault((batch.epoch, batch.seq), batch.digest) == batch.digest
        elif answer == "refuse":
            self.sent.pop((batch.epoch, batch.seq), None)
            if self.queue.refused(batch.seq, "f", "b", "h") is not None:
                assert len(sent) == 1
                self.waiting = self.waiting[1:]
                self.dead += 1
        else:
            rejected = [(0, "f", "b", "h")] if answer == "reject" else []
            self.queue.acknowledged(batch.seq, rejected)
            self.waiting = self.waiting[len(sent) :]
            self.dead += len(rejected)
            self.next_seq += 1

    @rule()
    def restart(self) -> None:
        self.queue.close()
        self.queue = Queue.open(self.home / "q", None, MESH)

    @invariant()
    def counts_agree(self) -> None:
        assert self.queue.pending() == len(self.waiting)
        assert len(self.queue.dead_letters()) == self.dead

    def teardown(self) -> None:
        self.queue.close()
        shutil.rmtree(self.home)


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
