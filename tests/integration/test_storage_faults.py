"""After the first error on the durable path nothing is promised and nothing is written, ever."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from hfzmq.core.contract import Apply, Persist
from hfzmq.core.types import HardState
from hfzmq.errors import DiskFailed
from hfzmq.storage import Store, mark
from tests.integration.storage_world import REPOSITORY, FaultyDisk, Tape, expected_of, held_by, mesh, report


class Trouble:
    """Fails the next call of one kind on the WAL, once; then the disk says that all is well again."""

    def __init__(self, disk: FaultyDisk, operation: str, error: Callable[[], Exception]) -> None:
        self.disk = disk
        self.operation = operation
        self.error = error
        self.due = False

    def __call__(self, operation: str, file: str) -> None:
        if self.due and operation == self.operation and file.endswith("-wal"):
            self.due = False
            self.disk.calls.clear()  # from here on there must be none
            raise self.error()


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    made = FaultyDisk("faulty")
    yield made
    made.unregister()


FAULTS = [
    ("sync", lambda: apsw.IOError("fsync: input/output error")),
    ("write", lambda: apsw.IOError("write: input/output error")),
    ("write", lambda: apsw.FullError("no space")),
    ("write", lambda: apsw.NoMemError("no memory")),
]


@pytest.mark.parametrize(("operation", "error"), FAULTS)
def test_one_failed_call_ends_all_writing_though_the_next_would_succeed(
    tmp_path: Path, disk: FaultyDisk, operation: str, error: Callable[[], Exception]
) -> None:
    tape = Tape()
    disk.before = trouble = Trouble(disk, operation, error)
    store = Store.open(tmp_path, 1, mesh(), vfs="faulty")
    tape.write(store, [report(1)])
    expected = expected_of(tape)
    trouble.due = True
    with pytest.raises(DiskFailed) as caught:
        store.write([Persist(2, HardState(9, 1), None, ())])
    assert isinstance(caught.value.__cause__, apsw.Error)
    assert str(store.path) in str(caught.value)
    assert caught.value.hint
    for _ in range(3):
        with pytest.raises(DiskFailed, match="nothing is written any more"):
            store.write([Persist(3, HardState(9, 1), None, ())])
        with pytest.raises(DiskFailed):
            store.write([])
        with pytest.raises(DiskFailed):
            store.idle_checkpoint()
    store.close()
    assert disk.calls == [], "a failed sync was followed by another write or sync"
    reopened = Store.open(tmp_path, 1, mesh())
    found = held_by(reopened)
    # What was not promised may be there or not; what was promised is.
    assert found._replace(hard_state=expected.hard_state) == expected
    assert found.hard_state in (expected.hard_state, HardState(9, 1))
    reopened.close()


@pytest.mark.parametrize("place", ["commit", "idle"])
def test_a_checkpoint_that_fails_is_a_disk_that_failed(tmp_path: Path, disk: FaultyDisk, place: str) -> None:
    failed = []

    def fail(operation: str, file: str) -> None:
        if operation == "write" and file.endswith(".db"):
            failed.append(file)
            raise apsw.IOError("write: input/output error")

    store = Store.open(tmp_path, 1, mesh(), vfs="faulty")
    tape = Tape()
    disk.before = fail

    def write_on() -> None:
        for number in range(3000):
            store.write([tape.persist(tape.batch([report(number)]), tape.noop()), tape.apply()])
            if place == "idle":
                store.idle_checkpoint()

    with pytest.raises(DiskFailed):
        write_on()
    assert failed
    store.close()
    disk.before = lambda operation, file: None
    reopened = Store.open(tmp_path, 1, mesh())
    assert held_by(reopened) == expected_of(tape)
    reopened.close()


def test_an_interrupt_in_the_middle_leaves_no_half_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(tmp_path, 1, mesh())
    tape = Tape()
    tape.write(store, [report(1)])
    expected = expected_of(tape)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hfzmq.storage.store.apply", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.write([tape.persist(tape.batch([report(2)])), tape.apply()])
    with pytest.raises(DiskFailed):
        store.write([tape.persist()])
    store.close()
    reopened = Store.open(tmp_path, 1, mesh())
    assert held_by(reopened) == expected
    reopened.close()


def test_memory_running_out_is_a_failure_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(tmp_path, 1, mesh())

    def out_of_memory(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr("hfzmq.storage.tables.hard_state_row", out_of_memory)
        with pytest.raises(DiskFailed, match="MemoryError"):
            store.write([Persist(1, None, None, ())])
    with pytest.raises(DiskFailed):
        store.write([Persist(1, None, None, ())])
    store.close()


def test_a_closed_store_writes_nothing(tmp_path: Path) -> None:
    store = Store.open(tmp_path, 1, mesh())
    store.close()
    with pytest.raises(DiskFailed, match="closed"):
        store.write([Persist(1, None, None, ())])


LIMITED = """
import resource, sys
from pathlib import Path
from hfzmq.errors import DiskFailed
from hfzmq.storage import Store
from tests.integration.storage_world import Tape, mesh, report

store, tape = Store.open(Path(sys.argv[1]), 1, mesh()), Tape()
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, hard))
outcomes = []
for number in range(60):
    try:
        tape.write(store, [report(number)])
        outcomes.append("ok")
    except DiskFailed:
        if "failed" not in outcomes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))  # space has returned
        outcomes.append("failed")
store.close()
print(outcomes.count("ok"), "".join(outcome[0] for outcome in outcomes))
"""


def test_a_full_disk_stops_the_writer_for_good_and_loses_nothing_it_promised(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    count, outcomes = done.stdout.split()
    promised = int(count)
    assert outcomes == "o" * promised + "f" * (60 - promised)
    assert 0 < promised < 60
    store = Store.open(tmp_path, 1, mesh())
    tape = Tape()
    tape.batch([report(0)])
    tape.apply()
    for number in range(1, store.recovered.applied):
        tape.batch([report(number)])
        tape.apply()
    assert store.recovered.applied in (promised, promised + 1)
    assert held_by(store) == expected_of(tape)
    store.close()


# --------------------------------------------------------------------------------------------------- what a write costs


@pytest.mark.parametrize("what", ["empty", "same hard state", "entry", "truncate", "entry and apply"])
def test_each_write_writes_the_wal_and_ends_with_its_sync(tmp_path: Path, disk: FaultyDisk, what: str) -> None:
    store = Store.open(tmp_path, 1, mesh(), vfs="faulty")
    tape = Tape()
    tape.write(store, [report(1)])
    store.write([tape.persist(tape.noop(), tape.noop(), hard_state=HardState(3, 1))])
    effects: dict[str, Callable[[], list[Persist | Apply]]] = {
        "empty": lambda: [tape.persist()],
        "same hard state": lambda: [tape.persist(hard_state=HardState(3, 1))],
        "entry": lambda: [tape.persist(tape.noop())],
        "truncate": lambda: [tape.persist(truncate_from=tape.truncate(3))],
        "entry and apply": lambda: [tape.persist(tape.noop()), tape.apply()],
    }
    drawn = effects[what]()
    for _ in range(3 if what in ("empty", "same hard state") else 1):
        disk.calls.clear()
        store.write(drawn)
        operations = [operation for operation, file in disk.calls]
        assert {file for _, file in disk.calls} == {"hfzmq_1.db-wal"}
        assert operations.count("sync") == 1
        assert operations[-1] == "sync"
        assert operations.count("write") >= 2  # a frame's head and its page
    store.close()


def syncs(disk: FaultyDisk) -> int:
    """How many there were since the last question."""
    count = [operation for operation, _ in disk.calls].count("sync")
    disk.calls.clear()
    return count


def test_an_apply_alone_is_synced_with_what_comes_next_and_never_two_in_a_row(tmp_path: Path, disk: FaultyDisk) -> None:
    store = Store.open(tmp_path, 1, mesh(), vfs="faulty")
    tape = Tape()
    store.write([tape.persist(*(tape.noop() for _ in range(6)))])
    syncs(disk)
    store.write([tape.apply(1)])
    assert (syncs(disk), store.unsynced) == (0, True)
    store.write([tape.apply(2)])
    assert (syncs(disk), store.unsynced) == (1, False)
    store.write([tape.apply(3)])
    store.write([tape.persist(tape.noop())])
    assert (syncs(disk), store.unsynced) == (1, False)
    store.write([tape.apply(4)])
    store.sync()
    assert (syncs(disk), store.unsynced) == (1, False)
    store.sync()
    assert syncs(disk) == 0
    store.write([tape.apply(5), tape.compact(2)])
    assert (syncs(disk), store.unsynced) == (1, False)
    store.close()


def test_the_mark_says_nothing_of_an_apply_that_is_not_synced(tmp_path: Path) -> None:
    store, tape = Store.open(tmp_path, 1, mesh()), Tape()
    store.write([tape.persist(tape.noop(), tape.noop())])
    before = mark.read(mark.mark_path(store.path))
    store.write([tape.apply()])
    assert mark.read(mark.mark_path(store.path)) == before
    store.sync()
    after = mark.read(mark.mark_path(store.path))
    assert before
    assert after
    assert after.probe == before.probe + 2
    store.close()


def test_a_sync_that_fails_after_an_apply_alone_ends_all_writing(tmp_path: Path, disk: FaultyDisk) -> None:
    disk.before = trouble = Trouble(disk, *FAULTS[0])
    store, tape = Store.open(tmp_path, 1, mesh(), vfs="faulty"), Tape()
    store.write([tape.persist(tape.noop())])
    store.write([tape.apply()])
    trouble.due = True
    with pytest.raises(DiskFailed):
        store.sync()
    with pytest.raises(DiskFailed, match="nothing is written any more"):
        store.sync()
    store.close()


def test_many_effects_cost_one_sync(tmp_path: Path, disk: FaultyDisk) -> None:
    store = Store.open(tmp_path, 1, mesh(), vfs="faulty")
    tape = Tape()
    effects: list[Persist | Apply] = []
    for number in range(20):
        effects += [tape.persist(tape.batch([report(number)])), tape.apply()]
    store.write([Persist(0, None, None, ())])
    disk.calls.clear()
    store.write(effects)
    assert [operation for operation, _ in disk.calls].count("sync") == 1
    store.close()


def test_nothing_to_write_touches_nothing(tmp_path: Path, disk: FaultyDisk) -> None:
    store = Store.open(tmp_path, 1, mesh(), vfs="faulty")
    disk.calls.clear()
    assert store.write([]) is None
    assert disk.calls == []
    store.close()
