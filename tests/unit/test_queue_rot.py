"""A queue whose bytes have changed on the disk: a rotten row is never sent, the others go on, and it is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from hfzmq.client.queue import Queue
from hfzmq.client.queue_move import look
from hfzmq.client.queue_types import Batch, Damage, Progress
from hfzmq.errors import DataDirError, DiskFailed
from hfzmq.wire.requests import digest
from hfzmq.wire.rows import pack_row
from tests.unit.test_queue import BYTES_MAX, MESH, numbers, row

NONE = Damage([], 0)


def filled(home: Path, count: int, in_flight: int = 0) -> None:
    """A queue with rows 0 to ``count`` - 1, of which so many are under way; closed."""
    queue = Queue.open(home, "bed", MESH)
    for number in range(count):
        queue.put([row(number)])
    if in_flight:
        queue.next_batch(in_flight, BYTES_MAX)
    queue.close()


def flip(home: Path, content: bytes, at: int = 0, *, last: bool = False) -> None:
    """Change one bit of the file where ``content`` stands; of the first place, or the last one."""
    data = bytearray((home / "queue.db").read_bytes())
    place = data.rfind(content) if last else data.find(content)
    assert place >= 0
    data[place + at] ^= 1
    (home / "queue.db").write_bytes(data)


def of_row(number: int) -> bytes:
    return pack_row(row(number))


def sent(queue: Queue) -> list[tuple[int, list[int]]]:
    """(seq, rows) of all that goes out, acknowledged one by one."""
    found = []
    while (batch := queue.next_batch(100, BYTES_MAX)) is not None:
        assert batch.digest == digest(batch.rows)
        found.append((batch.seq, numbers(batch)))
        queue.acknowledged(batch.seq)
    return found


@pytest.mark.parametrize(
    ("rotten", "goes_out"),
    [
        ([0], [(1, [1, 2, 3, 4])]),
        ([2], [(1, [0, 1]), (2, [3, 4])]),
        ([4], [(1, [0, 1, 2, 3])]),
        ([0, 1], [(1, [2, 3, 4])]),
        ([1, 3], [(1, [0]), (2, [2]), (3, [4])]),
        ([0, 1, 2, 3, 4], []),
    ],
)
def test_a_rotten_row_is_never_sent_the_others_go_out_in_their_order_and_it_is_told_once(
    tmp_path: Path, rotten: list[int], goes_out: list[tuple[int, list[int]]]
) -> None:
    filled(tmp_path, 5)
    for number in rotten:
        flip(tmp_path, of_row(number), 20)  # in the age: still a row, with another number in it
    queue = Queue.open(tmp_path, "bed", MESH)
    assert sent(queue) == goes_out
    damage = queue.damage()
    assert [letter.row[6] for letter in damage.rows] == rotten
    assert {(letter.field, letter.bound) for letter in damage.rows} == {
        ("queue", "its checksum does not match its bytes")
    }
    assert all(letter.row != list(row(number)) for letter, number in zip(damage.rows, rotten, strict=True))
    assert queue.damage() == NONE
    assert queue.pending() == 0
    queue.close()
    queue = Queue.open(tmp_path, "bed", MESH)
    assert [letter.row[6] for letter in reversed(queue.dead_letters())] == rotten
    assert queue.pending() == 0
    queue.close()


def test_a_row_that_is_rotten_beyond_reading_is_a_dead_letter_too(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    data = of_row(0)
    content = (tmp_path / "queue.db").read_bytes().replace(data, b"\xc1" * len(data))
    (tmp_path / "queue.db").write_bytes(content)
    queue = Queue.open(tmp_path, "bed", MESH)
    assert sent(queue) == [(1, [1])]
    (letter,) = queue.damage().rows
    assert letter.row == [b"\xc1" * len(data)]
    queue.close()


def test_a_row_in_another_ones_place_is_rotten(tmp_path: Path) -> None:
    """A page from an earlier day holds rows whose bytes are right."""
    filled(tmp_path, 2)
    db = apsw.Connection(str(tmp_path / "queue.db"))
    db.execute("UPDATE rows SET row = (SELECT row FROM rows WHERE id = 2), crc = (SELECT crc FROM rows WHERE id = 2)")
    db.close()
    queue = Queue.open(tmp_path, "bed", MESH)
    assert sent(queue) == [(1, [1])]
    assert len(queue.damage().rows) == 1
    queue.close()


def test_more_rotten_rows_than_a_batch_may_have_block_nobody(tmp_path: Path) -> None:
    filled(tmp_path, 8)
    for number in range(7):
        flip(tmp_path, of_row(number), 20)
    queue = Queue.open(tmp_path, "bed", MESH)
    batch = queue.next_batch(2, BYTES_MAX)
    assert numbers(batch) == [7]
    assert len(queue.damage().rows) == 7
    queue.close()


def test_a_row_whose_checksum_itself_is_rotten_counts_as_rotten(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    flip(tmp_path, of_row(0), len(of_row(0)) + 1)  # behind the row stands its checksum
    queue = Queue.open(tmp_path, "bed", MESH)
    assert sent(queue) == [(1, [1])]
    queue.close()


def test_rows_out_of_their_order_end_it_and_none_of_them_is_sent(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    data = bytearray((tmp_path / "queue.db").read_bytes())
    place = data.find(of_row(1)) - 6  # before it stand its id and the head of the record, five bytes long
    assert data[place] == 2
    data[place] = 77
    (tmp_path / "queue.db").write_bytes(data)
    queue = Queue.open(tmp_path, "bed", MESH)
    assert numbers(queue.next_batch(10, BYTES_MAX)) == [0]
    queue.acknowledged(1)
    with pytest.raises(DiskFailed, match="its rows are not in their order") as caught:
        queue.next_batch(10, BYTES_MAX)
    assert caught.value.hint.startswith("keep the directory for a look")
    queue.close()


# ------------------------------------------------------------------------------------------------ the batch under way


def under_way(home: Path) -> Batch:
    queue = Queue.open(home, "bed", MESH)
    batch = queue.next_batch(100, BYTES_MAX)
    assert batch is not None
    queue.close()
    return batch


def in_flight_set(column: str, value: object) -> Callable[[Path], None]:
    def harm(home: Path) -> None:
        db = apsw.Connection(str(home / "queue.db"))
        db.execute(f"UPDATE in_flight SET {column} = ?", (value,))
        db.close()

    return harm


def its_copy(home: Path) -> None:
    data = (home / "queue.db").read_bytes()
    batch = under_way(home)
    place = data.find(batch.rows)
    assert place >= 0
    changed = bytearray((home / "queue.db").read_bytes())
    changed[changed.find(batch.rows) + 30] ^= 1
    (home / "queue.db").write_bytes(changed)


@pytest.mark.parametrize(
    "harm",
    [
        its_copy,
        in_flight_set("digest", b"0" * 16),
        in_flight_set("seq", 3),
        in_flight_set("count", 4),
        in_flight_set("last_id", 4),
        in_flight_set("rows", b""),
    ],
    ids=["rows", "digest", "seq", "count", "last_id", "empty"],
)
def test_a_rotten_batch_under_way_is_made_up_from_the_rows_that_wait_bit_for_bit(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    filled(tmp_path, 5, in_flight=3)
    before = under_way(tmp_path)
    harm(tmp_path)
    queue = Queue.open(tmp_path, "bed", MESH)
    assert queue.next_batch(100, BYTES_MAX) == before
    assert queue.damage() == NONE
    queue.acknowledged(1)
    assert sent(queue) == [(2, [3, 4])]
    queue.close()


def test_a_batch_under_way_that_nothing_makes_up_is_never_sent_under_its_number_again(tmp_path: Path) -> None:
    """Both copies of row 1 are rotten: what was sent as request 1 cannot be told."""
    filled(tmp_path, 5, in_flight=3)
    before = under_way(tmp_path)
    its_copy(tmp_path)
    db = apsw.Connection(str(tmp_path / "queue.db"))
    db.execute("UPDATE rows SET row = ? WHERE id = 2", (pack_row(row(1)._replace(age=7.0)),))
    db.close()
    queue = Queue.open(tmp_path, "bed", MESH)
    batch = queue.next_batch(100, BYTES_MAX)
    assert batch is not None
    assert batch.epoch != before.epoch
    assert (batch.seq, numbers(batch)) == (1, [0])
    damage = queue.damage()
    assert (damage.rows, damage.lost_seq) == ([], 1)
    assert sent(queue) == [(1, [0]), (2, [2, 3, 4])]
    assert [letter.row[6] for letter in queue.damage().rows] == [1]
    queue.close()


def test_a_refused_whole_that_is_rotten_is_not_sent_once_more(tmp_path: Path) -> None:
    queue = Queue.open(tmp_path, "bed", MESH)
    queue.put([row(0), row(1)])
    queue.next_batch(2, BYTES_MAX)
    queue.refused(1, "rows", "1 to 1 rows", "")
    queue.next_batch(2, BYTES_MAX)
    queue._db.execute("UPDATE refused_whole SET rows = ?", (b"\x90",))
    before = queue.epoch
    assert queue.disowned(1)
    assert queue.epoch != before
    queue.close()


# --------------------------------------------------------------------------- who it is, and how far files were read


@pytest.mark.parametrize(("column", "value"), [("epoch", b"f" * 16), ("next_seq", 3), ("client_id", "bad")])
def test_a_rotten_row_of_who_it_is_and_what_comes_next_is_refused(tmp_path: Path, column: str, value: object) -> None:
    filled(tmp_path, 1)
    db = apsw.Connection(str(tmp_path / "queue.db"))
    db.execute(f"UPDATE meta SET {column} = ?", (value,))
    db.close()
    with pytest.raises(DataDirError, match="its row of 'meta' is not what was written"):
        Queue.open(tmp_path, None, MESH)


def test_one_that_rots_while_it_is_open_is_found_before_a_batch_is_made(tmp_path: Path) -> None:
    queue = Queue.open(tmp_path, "bed", MESH)
    queue.put([row(0)])
    queue._db.execute("UPDATE meta SET next_seq = 9")
    with pytest.raises(DiskFailed, match="its row of 'meta' is not what was written"):
        queue.next_batch(1, BYTES_MAX)
    queue.close()


def test_a_rotten_place_of_a_file_is_told_when_a_file_is_read_and_forgotten_when_it_is_read_anew(
    tmp_path: Path,
) -> None:
    first, second = Progress(b"a" * 32, 100, 3), Progress(b"b" * 32, 250, 7)
    queue = Queue.open(tmp_path, "bed", MESH)
    queue.put([row(0)], ((), (first, second)))
    queue.close()
    flip(tmp_path, b"b" * 32)
    queue = Queue.open(tmp_path, "bed", MESH)
    for _ in range(2):
        with pytest.raises(DataDirError, match="how far a file was read") as caught:
            queue.sources()
        assert caught.value.hint.startswith("--from-start")
    assert sent(queue) == [(1, [0])]  # what waits is not held up
    assert queue.sources(all_again=True) == [first]
    assert queue.sources() == [first]
    queue.close()


@pytest.mark.parametrize("number", [0, 99])
def test_what_sqlite_itself_finds_damaged_is_a_clear_error_and_gives_the_lock_up(tmp_path: Path, number: int) -> None:
    filled(tmp_path, 100)
    data = bytearray((tmp_path / "queue.db").read_bytes())
    place = data.find(of_row(number)) // 4096 * 4096
    data[place : place + 8] = b"\xff" * 8  # the head of a page of rows
    (tmp_path / "queue.db").write_bytes(data)
    for _ in range(2):
        with pytest.raises((DiskFailed, DataDirError), match="malformed") as caught:
            Queue.open(tmp_path, "bed", MESH)
        assert "keep the directory for a look" in caught.value.hint
    with pytest.raises(DataDirError, match="cannot be read"):
        look(tmp_path)
