"""The WAL goes back into the database in small steps, whatever readers do, and a writer hardly waits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hfzmq.storage import Reader, Store
from hfzmq.storage import checkpoint as checkpoint_module
from hfzmq.storage.checkpoint import IDLE_PAGES, PASSIVE_PAGES, TRUNCATE_PAGES, Checkpointer
from tests.integration.storage_world import FaultyDisk, Tape, expected_of, held_by, mesh, report

BIG = [report(n, f"bed-{n:060}") for n in range(200)]


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    made = FaultyDisk("counting")
    yield made
    made.unregister()


def wal_bytes(store: Store) -> int:
    return store.path.with_name(store.path.name + "-wal").stat().st_size


def written_back(disk: FaultyDisk) -> int:
    """Writes that went into the database itself since the last look."""
    count = disk.calls.count(("write", "hfzmq_1.db"))
    disk.calls.clear()
    return count


def test_the_wal_stays_small_under_load_that_never_pauses(tmp_path: Path) -> None:
    store, tape = Store.open(tmp_path, 1, mesh()), Tape()
    largest = 0
    for _ in range(120):
        tape.write(store, BIG)
        largest = max(largest, store.wal_pages)
    assert PASSIVE_PAGES <= largest < 2 * PASSIVE_PAGES
    assert wal_bytes(store) < 2 * PASSIVE_PAGES * 4200
    store.close()


def test_an_idle_moment_writes_back_what_is_worth_it_and_no_less(tmp_path: Path, disk: FaultyDisk) -> None:
    store, tape = Store.open(tmp_path, 1, mesh(), vfs="counting"), Tape()
    tape.write(store, [report(1)])
    written_back(disk)
    store.idle_checkpoint()
    assert disk.calls == []  # a few pages are not worth two syncs
    while store.wal_pages < IDLE_PAGES:
        tape.write(store, BIG)
    assert written_back(disk) == 0
    store.idle_checkpoint()
    assert written_back(disk) > 0
    store.idle_checkpoint()
    assert disk.calls == []  # nothing new
    tape.write(store, [report(1)])
    assert store.wal_pages < 20, "the WAL began anew"
    store.close()


def test_a_reader_that_stays_makes_no_writer_wait_at_each_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The WAL then grows; the attempts stay a thousand pages apart."""
    attempts: list[int] = []
    attempt = Checkpointer._attempt

    def counted(self: Checkpointer, mode: int) -> None:
        attempts.append(mode)
        attempt(self, mode)

    monkeypatch.setattr(Checkpointer, "_attempt", counted)
    store, tape = Store.open(tmp_path, 1, mesh()), Tape()
    tape.write(store, [report(1)])
    reader = Reader(store.path)
    with reader.snapshot():
        rows = reader.count()
        while store.wal_pages < TRUNCATE_PAGES + 2 * PASSIVE_PAGES:
            tape.write(store, BIG)
        assert reader.count() == rows
    assert 4 <= len(attempts) <= store.wal_pages // PASSIVE_PAGES
    before = wal_bytes(store)
    while store.wal_pages >= TRUNCATE_PAGES:
        tape.write(store, BIG)
    tape.write(store, [report(2)])
    assert wal_bytes(store) < before / 10, "the reader is gone and the WAL was cut"
    store.close()
    reader.close()
    reopened = Store.open(tmp_path, 1, mesh())
    assert held_by(reopened) == expected_of(tape)
    reopened.close()


def test_a_busy_reader_never_turns_into_a_failed_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_module, "TRUNCATE_PAGES", 0)  # each attempt wants the WAL for itself
    monkeypatch.setattr(checkpoint_module, "PASSIVE_PAGES", 1)
    store, tape = Store.open(tmp_path, 1, mesh()), Tape()
    tape.write(store, [report(1)])
    reader = Reader(store.path)
    with reader.snapshot():
        assert reader.count() == 1
        for number in range(5):
            tape.write(store, [report(number)])
        store.idle_checkpoint()
    reader.close()
    tape.write(store, [report(9)])
    assert wal_bytes(store) == 0
    store.close()


def test_closing_leaves_one_database_and_its_mark(tmp_path: Path) -> None:
    store, tape = Store.open(tmp_path, 1, mesh()), Tape()
    tape.write(store, BIG)
    store.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hfzmq_1.db", "hfzmq_1.lock", "hfzmq_1.mark"]
