"""A snapshot is a whole file of one moment, of nobody; one that is anything else is never taken for one."""

from __future__ import annotations

import hashlib
import stat
import threading
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from hfzmq.core.types import HardState
from hfzmq.errors import HfzmqError, InvalidInput
from hfzmq.storage import Reader, Store, checksums, tables
from hfzmq.storage.snapshot import inspect, make
from tests.integration.storage_world import Tape, founded, mesh, report


def ward(directory: Path, entries: int = 10) -> tuple[Store, Tape]:
    """A store with a founded mesh, ``entries`` batches of two reports each and a tail that is not applied."""
    store, tape = Store.open(directory, 1, mesh()), Tape()
    store.write([tape.persist(tape.config(founded()), hard_state=HardState(3, 2)), tape.apply()])
    for number in range(entries):
        tape.write(store, [report(2 * number), report(2 * number + 1)])
    applied = tape.config(founded(0, (1, 2, 3, 4)))
    store.write([tape.persist(applied), tape.apply(), tape.persist(tape.noop(), tape.config(founded(0, (1, 2))))])
    return store, tape


def alter(path: Path, statement: str) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(statement)


def test_it_holds_the_tables_and_the_members_at_the_applied_index_and_no_log(tmp_path: Path) -> None:
    store, tape = ward(tmp_path / "live")
    made = make(store.path, tmp_path / "out" / "one")
    recovered, cursor = inspect(made.path, mesh().mesh_id)
    assert made.place == cursor.applied.place == recovered.log.base == recovered.log.last == tape.place(tape.applied)
    assert (recovered.applied, recovered.state_hash) == (tape.applied, tape.state_hash)
    assert recovered.sessions == tape.stored_sessions
    assert recovered.membership == tape.members_at(tape.applied) == founded(tape.applied, (1, 2, 3, 4))
    with closing(Reader(made.path)) as reader:
        assert reader.reports(limit=1000) == tape.rows
    store.close()


def test_it_tells_its_own_size_and_hash_and_only_its_user_may_read_it(tmp_path: Path) -> None:
    store, _ = ward(tmp_path / "live")
    made = make(store.path, tmp_path / "out" / "one")
    content = made.path.read_bytes()
    assert (made.size_bytes, made.sha256) == (len(content), hashlib.sha256(content).digest())
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert sorted(path.name for path in made.path.parent.iterdir()) == ["one"]
    store.close()


def test_nothing_of_the_peer_that_made_it_is_in_it(tmp_path: Path) -> None:
    """Else another would take its votes and its incarnation for its own."""
    store, _ = ward(tmp_path / "live")
    made = make(store.path, tmp_path / "one")
    recovered, _ = inspect(made.path, mesh().mesh_id)
    assert recovered.hard_state == HardState(0, 0)
    with closing(apsw.Connection(str(made.path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        meta = tables.meta_of(connection.execute(tables.SELECT_META).fetchone())
    assert meta == (mesh().mesh_id, 0, bytes(16), 0, bytes(16), 0)
    assert store.identity.incarnation not in made.path.read_bytes()
    store.close()


def test_members_from_before_the_base_are_taken_from_their_row(tmp_path: Path) -> None:
    store, tape = ward(tmp_path / "live")
    store.write([tape.compact(tape.applied)])
    made = make(store.path, tmp_path / "one")
    assert inspect(made.path, mesh().mesh_id)[0].membership == founded(tape.applied, (1, 2, 3, 4))
    store.close()


def test_the_log_leaves_no_empty_pages_behind(tmp_path: Path) -> None:
    store, tape = Store.open(tmp_path / "live", 1, mesh()), Tape()
    for _ in range(20):  # of one client the last session row is kept: nearly all that is written is log
        store.write([tape.persist(tape.batch([])), tape.persist(*(tape.noop() for _ in range(300))), tape.apply()])
    made = make(store.path, tmp_path / "one")
    assert made.size_bytes < 40 * 4096
    store.close()


def test_a_store_that_is_being_written_to_gives_one_moment_and_goes_on(tmp_path: Path) -> None:
    store, tape = ward(tmp_path / "live")
    hashes = {tape.applied: tape.state_hash}
    made: list[tuple[bytes, int]] = []

    def making() -> None:
        for number in range(5):
            one = make(store.path, tmp_path / f"{number}")
            made.append((inspect(one.path, mesh().mesh_id)[0].state_hash, one.place.index))

    store.write([tape.persist(truncate_from=tape.truncate(tape.applied + 1))])
    thread = threading.Thread(target=making)
    thread.start()
    while thread.is_alive():
        tape.write(store, [report(1)])
        hashes[tape.applied] = tape.state_hash
    thread.join()
    assert len(made) == 5
    assert all(hashes[index] == state_hash for state_hash, index in made)
    store.close()


@pytest.mark.parametrize("what", ["missing", "another program's", "damaged", "empty mesh"])
def test_where_none_can_be_made_nothing_is_left_behind(tmp_path: Path, what: str) -> None:
    store, _ = ward(tmp_path / "live", 3) if what != "empty mesh" else (Store.open(tmp_path / "live", 1, mesh()), None)
    store.close()
    if what == "missing":
        store.path.unlink()
    elif what == "another program's":
        store.path.unlink()
        alter(store.path, "CREATE TABLE notes (text)")
    elif what == "damaged":
        alter(store.path, "UPDATE sessions SET seq = seq + 1")
    with pytest.raises((HfzmqError, apsw.Error, checksums.Damaged)):
        make(store.path, tmp_path / "out" / "one")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE applied SET idx = idx + 1", "table applied"),
        ("UPDATE applied SET applied_hash = zeroblob(16)", "table applied"),
        ("UPDATE sessions SET seq = seq + 1", "table sessions"),
        ("UPDATE sessions SET idx = 999", "table sessions"),
        ("UPDATE membership SET idx = 1", "table membership"),
        ("UPDATE log_base SET idx = idx - 1", "table log_base"),
        ("UPDATE hard_state SET term = 9", "table hard_state"),
        ("UPDATE meta SET peer_id = 2", "wrong checksum"),
        ("DELETE FROM meta", "schema 7"),
        ("DELETE FROM risk_reports WHERE id = 3", "risk_reports: missing, after 2 comes 4"),
        ("DELETE FROM risk_reports WHERE id = 20", "the last one is 19, 20 were applied"),
        ("DROP TABLE sessions", "no such table"),
        ("UPDATE meta SET schema_version = 8", "schema 7, got 8"),
        ("PRAGMA application_id = 7", "not a file of hfzmq"),
    ],
)
def test_an_altered_snapshot_is_refused(tmp_path: Path, statement: str, words: str) -> None:
    store, _ = ward(tmp_path / "live")
    made = make(store.path, tmp_path / "one")
    alter(made.path, statement)
    with pytest.raises(InvalidInput, match=words):
        inspect(made.path, mesh().mesh_id)
    store.close()


def test_what_is_no_snapshot_is_refused(tmp_path: Path) -> None:
    store, tape = ward(tmp_path / "live")
    made = make(store.path, tmp_path / "one")
    with pytest.raises(InvalidInput, match="mesh"):
        inspect(made.path, b"another mesh's id"[:16])
    with pytest.raises(InvalidInput, match="log runs from 0"):
        inspect(store.path, mesh().mesh_id)  # a peer's own file
    store.write([tape.persist(truncate_from=tape.truncate(tape.applied + 1)), tape.compact(tape.applied)])
    made.path.write_bytes(made.path.read_bytes()[:20_000])
    with pytest.raises(InvalidInput, match="damaged"):
        inspect(made.path, mesh().mesh_id)
    made.path.write_bytes(b"patient,age\n" * 500)
    with pytest.raises(InvalidInput, match="damaged"):
        inspect(made.path, mesh().mesh_id)
    with pytest.raises(InvalidInput, match="damaged"):
        inspect(tmp_path / "none", mesh().mesh_id)
    store.close()
