"""A snapshot takes the place of a peer's file whole or not at all, wherever a crash comes; nobody reads the old one
afterwards, and what the peer has promised stays promised."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from hfzmq.core.contract import Persist
from hfzmq.core.types import HardState
from hfzmq.errors import DataDirError, DiskFailed, InvalidInput
from hfzmq.storage import Reader, Store, exchange, install, tables
from hfzmq.storage.examine import check_header
from hfzmq.storage.mark import MarkFile, mark_path
from hfzmq.storage.snapshot import make
from tests.integration.storage_world import FaultyDisk, Held, Tape, expected_of, founded, held_by, mesh, report

VOTE = HardState(7, 3)
LAST_VOTE = HardState(9, 1)


class Ward:
    """Peer 1, which has everything, and peer 2, which has missed a lot and voted meanwhile."""

    def __init__(self, directory: Path, vfs: str | None = None) -> None:
        self.directory = directory
        self.tape, self.behind = Tape(), Tape()
        self.leader = Store.open(directory / "leader", 1, mesh())
        self.store = Store.open(directory / "behind", 2, mesh(), vfs=vfs)
        for tape, store in ((self.tape, self.leader), (self.behind, self.store)):
            store.write([tape.persist(tape.config(founded())), tape.apply()])
            for number in range(5):
                tape.write(store, [report(number), report(50 + number)])
        self.store.write([self.behind.persist(self.behind.noop(), hard_state=VOTE)])
        self.grow(40)

    def grow(self, entries: int) -> None:
        for number in range(entries):
            self.tape.write(self.leader, [report(number), report(number, "bed-x")])

    def snapshot(self) -> Path:
        return make(self.leader.path, self.directory / "behind" / "incoming" / "one").path

    @property
    def old(self) -> Held:
        return expected_of(self.behind)

    @property
    def new(self) -> Held:
        """What peer 2 must hold once the leader's tables are its own."""
        self.tape.base = self.tape.applied
        return expected_of(self.tape)._replace(hard_state=VOTE, log=())

    def close(self) -> None:
        self.leader.close()
        self.store.close()


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    made = Ward(tmp_path)
    yield made
    made.close()


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.is_file())


# ------------------------------------------------------------ what is installed


def test_a_peer_that_installs_holds_what_the_other_held_and_keeps_its_own_word(ward: Ward) -> None:
    who = ward.store.identity
    recovered = ward.store.install(ward.snapshot())
    assert recovered is ward.store.recovered
    assert held_by(ward.store) == ward.new
    assert recovered.hard_state == VOTE
    assert recovered.log.base == recovered.log.last == ward.tape.last
    assert ward.store.identity == who
    assert ward.store.reports_stored == len(ward.tape.rows)
    ward.store.close()
    ward.store = Store.open(ward.directory / "behind", 2, mesh())
    assert ward.store.identity == who._replace(boot_no=who.boot_no + 1)
    assert held_by(ward.store) == ward.new


def test_its_history_is_that_of_the_other_whose_data_it_holds(ward: Ward) -> None:
    ward.store.install(ward.snapshot())
    assert ward.store.history == ward.leader.history == ward.tape.log[0].chain
    new = Store.open(ward.directory / "new", 3, mesh())
    assert new.history == b""
    new.install(make(ward.leader.path, ward.directory / "new" / "one").path)
    assert new.history == ward.leader.history
    new.close()


def test_it_goes_on_from_there(ward: Ward) -> None:
    ward.store.install(ward.snapshot())
    ward.tape.hard_state = VOTE
    for _ in range(3):
        ward.tape.write(ward.store, [report(1), report(2)])
    ward.store.write([ward.tape.persist(ward.tape.noop(), hard_state=HardState(8, 1))])
    ward.store.write([ward.tape.compact(ward.tape.applied)])
    ward.store.close()
    ward.store = Store.open(ward.directory / "behind", 2, mesh())
    assert held_by(ward.store) == expected_of(ward.tape)


def test_one_snapshot_after_the_other(ward: Ward) -> None:
    for _ in range(3):
        ward.store.install(ward.snapshot())
        assert held_by(ward.store) == ward.new
        ward.grow(7)


def test_nothing_lies_about_afterwards_and_the_file_is_as_readable_as_the_old_one(ward: Ward) -> None:
    os.chmod(ward.store.path, 0o640)
    ward.store.install(ward.snapshot())
    assert ward.store.path.stat().st_mode & 0o777 == 0o640
    ward.store.close()
    assert names(ward.directory / "behind") == ["hfzmq_2.db", "hfzmq_2.lock", "hfzmq_2.mark"]
    assert names(ward.directory / "behind" / "incoming") == []


def test_a_brand_new_peer_may_begin_with_a_snapshot(ward: Ward) -> None:
    """Its peers.yaml lists itself too; the mesh was founded by others."""
    config = mesh((1, 2, 3, 9))
    fresh = Store.open(ward.directory / "fresh", 9, config)
    fresh.install(make(ward.leader.path, ward.directory / "one").path)
    fresh.close()
    fresh = Store.open(ward.directory / "fresh", 9, config)
    assert held_by(fresh) == ward.new._replace(hard_state=HardState(0, 0))
    fresh.close()
    again = Store.open(ward.directory / "fresh", 9, mesh((1, 9)))  # founded by now: the log's members count
    again.close()


def test_the_lock_is_held_all_the_while(ward: Ward) -> None:
    ward.store.install(ward.snapshot())
    with pytest.raises(DataDirError, match="another process holds it"):
        Store.open(ward.directory / "behind", 2, mesh())


def test_the_mark_beside_the_file_speaks_of_the_new_one(ward: Ward) -> None:
    """Before, it spoke of a log that may have been longer: after a crash this peer would look forgetful."""
    ward.store.install(ward.snapshot())
    found = MarkFile.open(mark_path(ward.store.path))
    assert found
    found.close()
    assert (found.mark.last_index, found.mark.chain) == (ward.tape.applied, ward.tape.last.chain)
    assert (found.mark.term, found.mark.vote) == (VOTE.term, VOTE.vote)


def test_a_disk_that_fails_after_the_promise_stops_the_store_and_the_next_start_has_the_new_file(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = ward.snapshot()

    def broken(path: Path) -> bool:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(exchange, "finish", broken)
    with pytest.raises(DiskFailed, match="Input/output error"):
        ward.store.install(snapshot)
    with pytest.raises(DiskFailed, match="nothing is written any more"):
        ward.store.write([ward.behind.persist()])
    check_header(exchange.waiting(ward.store.path))  # it looks like a peer's own file already
    monkeypatch.undo()
    ward.store.close()
    ward.store = Store.open(ward.directory / "behind", 2, mesh())
    assert ward.store.amnesia is None
    assert held_by(ward.store) == ward.new


# ------------------------------------------------------------ what is not


def old_one(ward: Ward) -> Path:
    snapshot = ward.snapshot()
    for entry in ward.tape.log[len(ward.behind.log) - 1 :]:  # it has caught up by itself meanwhile
        if entry.index == len(ward.behind.log):
            ward.store.write([ward.behind.persist(truncate_from=ward.behind.truncate(entry.index))])
        ward.behind.log.append(entry)
        ward.store.write([ward.behind.persist(entry), ward.behind.apply()])
    return snapshot


def one_that_the_own_log_reaches(ward: Ward) -> Path:
    snapshot = ward.snapshot()
    entries = ward.tape.log[len(ward.behind.log) - 1 :]
    cut = ward.behind.truncate(entries[0].index)
    ward.behind.log += entries
    ward.store.write([ward.behind.persist(*entries, truncate_from=cut)])
    return snapshot


def one_of_another_mesh(ward: Ward) -> Path:
    with closing(apsw.Connection(str(snapshot := ward.snapshot()))) as connection:
        meta = tables.meta_of(connection.execute(tables.SELECT_META).fetchone())
        row = tables.meta_row(meta._replace(mesh_id=b"another mesh's i"))
        connection.execute(tables.UPDATE_META, row)
    return snapshot


def one_of_another_history(ward: Ward) -> Path:
    tape, store = Tape(), Store.open(ward.directory / "anew", 3, mesh())
    store.write([tape.persist(tape.config(founded(ids=(1, 2)))), tape.apply()])
    for number in range(60):
        tape.write(store, [report(number)])
    store.close()
    return make(store.path, ward.directory / "behind" / "incoming" / "two").path


def half_of_one(ward: Ward) -> Path:
    snapshot = ward.snapshot()
    snapshot.write_bytes(snapshot.read_bytes()[: 5 * 4096])
    return snapshot


def no_file(ward: Ward) -> Path:
    return ward.directory / "none"


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (old_one, "newer than entry 46, which is applied here, got 46"),
        (one_that_the_own_log_reaches, "own log does not reach"),
        (one_of_another_mesh, "mesh"),
        (one_of_another_history, "of history [0-9a-f]{32}, got '[0-9a-f]{32}'"),
        (half_of_one, "damaged"),
        (no_file, "damaged"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_snapshot_that_is_of_no_use_is_refused_and_the_store_goes_on(
    ward: Ward, prepare: Callable[[Ward], Path], words: str
) -> None:
    snapshot = prepare(ward)
    with pytest.raises(InvalidInput, match=words):
        ward.store.install(snapshot)
    ward.store.write([ward.behind.persist(ward.behind.noop())])
    ward.store.close()
    ward.store = Store.open(ward.directory / "behind", 2, mesh())
    assert held_by(ward.store) == ward.old


def test_one_that_cannot_be_made_ready_for_want_of_room_leaves_the_store_as_it_is(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise apsw.FullError("no space")

    monkeypatch.setattr(install, "_make_own", full)
    with pytest.raises(DataDirError, match="no space"):
        ward.store.install(ward.snapshot())
    ward.store.write([ward.behind.persist(ward.behind.noop())])
    ward.store.close()
    ward.store = Store.open(ward.directory / "behind", 2, mesh())
    assert held_by(ward.store) == ward.old


def test_an_entry_that_conflicts_does_not_hold_a_snapshot_up(ward: Ward) -> None:
    """A tail that nobody else has is not what the snapshot's place says."""
    own = [ward.behind.batch([report(n)], "other") for n in range(60)]
    ward.store.write([ward.behind.persist(*own)])
    ward.store.install(ward.snapshot())
    assert held_by(ward.store) == ward.new


# ------------------------------------------------------------ crashes

STEPS = ("rename", "unlink", "fsync")


def dies_at(number: int, ward_directory: Path, snapshot: Path, with_reader: bool) -> bool:
    """Install in a child process that ends right before its ``number``-th call of STEPS; whether it got that far."""
    child = os.fork()
    if child == 0:
        code = 3
        try:
            store = Store.open(ward_directory, 2, mesh())
            reader = apsw.Connection(str(store.path), flags=apsw.SQLITE_OPEN_READONLY) if with_reader else None
            if reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM risk_reports").fetchall()
            store.write([Persist(1, LAST_VOTE, None, ())])  # it stands in the WAL
            calls = itertools.count()
            for name in STEPS:
                setattr(os, name, counted(getattr(os, name), calls, number))
            store.install(snapshot)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 9), "the installation failed by itself"
    return code == 9


def counted(real: Callable[..., object], calls: Iterator[int], last: int) -> Callable[..., object]:
    def call(*args: object) -> object:
        if next(calls) == last:
            os._exit(9)
        return real(*args)

    return call


@pytest.mark.parametrize("with_reader", [False, True])
def test_a_crash_before_any_step_leaves_the_old_file_or_the_new_one_whole(ward: Ward, with_reader: bool) -> None:
    """With a reader in the way the WAL cannot be emptied first, and its rows must not be lost or mixed in."""
    ward.snapshot()
    old, new = (held._replace(hard_state=LAST_VOTE) for held in (ward.old, ward.new))
    ward.store.close()
    seen = []
    for number in itertools.count():
        behind = ward.directory / str(number)
        shutil.copytree(ward.directory / "behind", behind)
        got_there = dies_at(number, behind, behind / "incoming" / "one", with_reader)
        with closing(Store.open(behind, 2, mesh())) as store:
            assert store.amnesia is None, number
            held = held_by(store)
            assert held in (old, new)
            seen.append(held == new)
            assert not (behind / "hfzmq_2.db-new").exists()
            store.write([ward.behind.persist()])  # it goes on
        if not got_there:
            break
    assert seen == sorted(seen), "once the new one is promised there is no way back"
    assert seen.count(True) >= 6
    assert seen.count(False) >= 2


class Directory:
    """What a power cut may leave of a directory: all that happened to its names before its last fsync; of what happened
    since then any part. ``wal``: as it was; SQLite does not sync its being cut to nothing."""

    def __init__(self, path: Path, snapshot: Path) -> None:
        self.path = path
        self.wal = (path / "hfzmq_2.db-wal").read_bytes()
        self.durable = self._now() | {"incoming/one": snapshot.read_bytes()}
        self.pending: list[tuple[str, str]] = []  # (old name, new name or '')
        self.cuts: list[dict[str, bytes]] = []

    def _now(self) -> dict[str, bytes]:
        found = {name: (self.path / name).read_bytes() for name in names(self.path)}
        return found | {"hfzmq_2.db-wal": self.wal} if "hfzmq_2.db-wal" in found else found

    def renamed(self, source: Path, target: Path) -> None:
        self._notice()
        self.durable |= {"incoming/one": source.read_bytes()} if source.name == "one" else {}
        self.pending.append(("incoming/one" if source.name == "one" else source.name, target.name))
        self.cut()

    def synced(self) -> None:
        self.durable = self._now()
        self.pending.clear()
        self.cut()

    def cut(self) -> None:
        self._notice()
        for size in range(len(self.pending) + 1):
            for kept in itertools.combinations(self.pending, size):
                left = dict(self.durable)
                for old, new in kept:
                    content = left.pop(old, None)
                    if new and content is not None:
                        left[new] = content
                left.pop("incoming/one", None)
                if left not in self.cuts:
                    self.cuts.append(left)

    def _notice(self) -> None:
        """SQLite removes side files without telling anybody."""
        gone = set(self.durable) - set(names(self.path)) - {old for old, _ in self.pending} - {"incoming/one"}
        self.pending += [(name, "") for name in sorted(gone)]


@pytest.mark.parametrize("with_reader", [False, True])
def test_a_power_cut_that_forgets_what_was_not_synced_of_the_names_leaves_one_file_whole(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, with_reader: bool
) -> None:
    snapshot, old, new = ward.snapshot(), ward.old, ward.new
    directory = Directory(ward.directory / "behind", snapshot)
    assert len(directory.wal) > 20_000
    reader = apsw.Connection(str(ward.store.path), flags=apsw.SQLITE_OPEN_READONLY)
    if with_reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM risk_reports").fetchall()
    synced_files: set[int] = set()
    rename, unlink, fsync = os.rename, os.unlink, os.fsync

    def on_rename(source: Path, target: Path) -> None:
        assert source.stat().st_ino in synced_files, "its bytes are synced before its name is changed"
        directory.renamed(source, target)
        rename(source, target)

    def on_unlink(path: Path) -> None:
        directory.cut()
        unlink(path)
        directory.cut()

    def on_fsync(descriptor: int) -> None:
        at = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        directory.cut()
        fsync(descriptor)
        synced_files.add(at.stat().st_ino)
        if at == directory.path:
            directory.synced()

    for name, replacement in (("rename", on_rename), ("unlink", on_unlink), ("fsync", on_fsync)):
        monkeypatch.setattr(os, name, replacement)
    ward.store.install(snapshot)
    monkeypatch.undo()
    reader.close()
    outcomes = []
    for number, content in enumerate(directory.cuts):
        left = tmp_path / f"cut-{number}"
        left.mkdir()
        for name, data in content.items():
            (left / name).write_bytes(data)
        with closing(Store.open(left, 2, mesh())) as store:
            assert store.amnesia is None, sorted(content)
            held = held_by(store)
        assert held in (old, new), sorted(content)
        outcomes.append(held == new)
    assert len(outcomes) >= 6
    assert {True, False} == set(outcomes)


def test_a_disk_that_fails_before_leaves_the_old_file(tmp_path: Path) -> None:
    disk = FaultyDisk("exchange")
    ward = Ward(tmp_path, vfs="exchange")
    snapshot, old = ward.snapshot(), ward.old

    def broken(operation: str, file: str) -> None:
        if operation == "sync":
            raise apsw.IOError("sync")

    disk.before = broken
    with pytest.raises(DiskFailed):
        ward.store.install(snapshot)
    ward.close()
    disk.unregister()
    with closing(Store.open(tmp_path / "behind", 2, mesh())) as store:
        assert held_by(store) == old


# ------------------------------------------------------------ readers


def test_a_reader_never_answers_from_the_old_file_again(ward: Ward) -> None:
    with closing(Reader(ward.store.path)) as reader:
        assert reader.count() == len(ward.behind.rows)
        ward.store.install(ward.snapshot())
        assert reader.count() == len(ward.tape.rows)
        assert reader.applied() == ward.tape.applied
        assert reader.reports(limit=1000) == ward.tape.rows
        with reader.snapshot():
            assert reader.count() == len(ward.tape.rows)


def test_a_read_of_several_steps_over_an_exchange_is_refused_at_its_end_and_the_next_one_is_right(ward: Ward) -> None:
    with closing(Reader(ward.store.path)) as reader:
        reading = reader.snapshot()
        reading.__enter__()
        assert reader.count() == len(ward.behind.rows)
        ward.store.install(ward.snapshot())
        assert reader.applied() == ward.behind.applied, "of one moment, until it is refused"
        with pytest.raises(DataDirError, match="replaced while it was read"):
            reading.__exit__(None, None, None)
        with reader.snapshot():
            assert reader.applied() == ward.tape.applied


def test_old_connections_that_are_closed_late_take_nothing_of_the_new_file_along(ward: Ward) -> None:
    """SQLite removes side files by name: those of the old file have the new one's names."""
    late = [apsw.Connection(str(ward.store.path), flags=apsw.SQLITE_OPEN_READONLY) for _ in range(2)]
    for connection in late:
        connection.execute("SELECT count(*) FROM risk_reports").fetchall()
    ward.store.install(ward.snapshot())
    ward.tape.hard_state, ward.tape.base = VOTE, ward.tape.applied
    ward.tape.write(ward.store, [report(1)])
    for connection in late:
        connection.close()
    assert {"hfzmq_2.db-wal", "hfzmq_2.db-shm"} <= set(names(ward.directory / "behind"))
    ward.tape.write(ward.store, [report(2)])
    with closing(Reader(ward.store.path)) as reader:
        assert reader.reports(limit=1000) == ward.tape.rows
    ward.store.close()
    ward.store = Store.open(ward.directory / "behind", 2, mesh())
    assert held_by(ward.store) == expected_of(ward.tape)


def test_readers_that_never_pause_see_each_exchange_as_one_step(ward: Ward) -> None:
    stop = threading.Event()
    wrong: list[str] = []
    answers = [0, 0, 0]

    def read(number: int, anew: bool) -> None:
        reader, last = Reader(ward.store.path), 0
        while not stop.is_set():
            try:
                with reader.snapshot():
                    count, applied = reader.count(), reader.applied()
            except DataDirError as error:
                if "replaced" not in str(error):
                    wrong.append(str(error))
                continue
            if count < last or count != 2 * (applied - 1):
                wrong.append(f"{count} reports at {applied} after {last}")
            last = count
            answers[number] += 1
            if anew:
                reader.close()
                reader = Reader(ward.store.path)
        reader.close()

    threads = [threading.Thread(target=read, args=(number, number > 0)) for number in range(3)]
    for thread in threads:
        thread.start()
    ward.tape.hard_state = VOTE
    for _ in range(12):
        ward.store.install(ward.snapshot())
        ward.grow(3)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert min(answers) > 10
