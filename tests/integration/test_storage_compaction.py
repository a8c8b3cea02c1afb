"""The log is cut at once; what was cut off goes bit by bit, and nobody ever reads it again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from hfzmq.core.contract import Compact
from hfzmq.core.types import HardState, Place
from hfzmq.errors import DiskFailed
from hfzmq.storage import Store, compaction
from tests.integration.storage_world import Tape, expected_of, founded, held_by, mesh, report


def filled(directory: Path, entries: int) -> tuple[Store, Tape]:
    store, tape = Store.open(directory, 1, mesh()), Tape()
    store.write([tape.persist(*(tape.batch([report(n)]) for n in range(entries))), tape.apply()])
    return store, tape


def log_rows(store: Store) -> list[int]:
    connection = apsw.Connection(str(store.path), flags=apsw.SQLITE_OPEN_READONLY)
    rows = [row[0] for row in connection.execute("SELECT idx FROM log ORDER BY idx")]
    connection.close()
    return rows


def test_what_is_cut_off_is_gone_and_all_else_is_kept(tmp_path: Path) -> None:
    store, tape = filled(tmp_path, 10)
    assert store.write([tape.compact(7)]) is None
    assert log_rows(store) == [8, 9, 10]
    tape.write(store, [report(11)])
    store.close()
    store = Store.open(tmp_path, 1, mesh())
    assert store.recovered.log.base == tape.place(7)
    assert held_by(store) == expected_of(tape)
    store.close()


def test_a_cut_stands_in_one_transaction_with_what_is_written_beside_it(tmp_path: Path) -> None:
    store, tape = filled(tmp_path, 5)
    entry = tape.batch([report(6)])
    assert store.write([tape.persist(entry), tape.apply(), tape.compact(6)]) == (6, tape.state_hash)
    store.close()
    store = Store.open(tmp_path, 1, mesh())
    assert held_by(store) == expected_of(tape)
    assert store.recovered.log.last == tape.last
    tape.write(store, [report(7)])  # the log goes on after its base
    store.close()


def test_the_members_at_the_cut_are_kept_and_later_ones_stand_in_the_log(tmp_path: Path) -> None:
    store, tape = Store.open(tmp_path, 1, mesh()), Tape()
    entries = [tape.config(founded()), tape.noop(), tape.config(founded(0, (1, 2, 3, 4))), tape.noop()]
    store.write([tape.persist(*entries), tape.apply(), tape.compact(2)])
    store.close()
    store = Store.open(tmp_path, 1, mesh())
    assert store.recovered.membership == founded(1)
    assert [entry.index for entry in store.recovered.log.between(2, 4)] == [3, 4]
    store.write([tape.compact(4)])
    store.close()
    store = Store.open(tmp_path, 1, mesh())
    assert store.recovered.membership == founded(3, (1, 2, 3, 4))
    store.close()


def test_no_write_deletes_more_than_a_step_and_idle_moments_do_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "ROWS_A_STEP", 30)
    store, tape = filled(tmp_path, 100)
    store.write([tape.compact(95)])
    assert log_rows(store)[0] == 31
    store.write([tape.persist(hard_state=HardState(2, 1))])
    assert log_rows(store)[0] == 61
    store.close()
    store = Store.open(tmp_path, 1, mesh())  # waste is nobody's
    assert held_by(store) == expected_of(tape)
    store.idle_checkpoint()
    assert log_rows(store)[0] == 91
    for _ in range(3):
        store.idle_checkpoint()
    assert log_rows(store) == list(range(96, 101))
    store.close()


def test_a_step_is_bounded_in_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "BYTES_A_STEP", 400)
    store, tape = filled(tmp_path, 20)
    store.write([tape.compact(20)])
    gone = 20 - len(log_rows(store))
    assert (
        sum(len(entry.body) for entry in tape.log[: gone - 1])
        < 400
        <= sum(len(entry.body) for entry in tape.log[:gone])
    )
    store.close()


def test_the_same_cut_twice_changes_nothing(tmp_path: Path) -> None:
    store, tape = filled(tmp_path, 5)
    store.write([tape.compact(3)])
    store.write([tape.compact(3)])
    store.close()
    store = Store.open(tmp_path, 1, mesh())
    assert held_by(store) == expected_of(tape)
    store.close()


@pytest.mark.parametrize(
    ("cut", "words"),
    [
        (lambda tape: Compact(tape.place(9), founded()), "only|8 are applied"),
        (lambda tape: Compact(tape.place(2), founded()), "begins after 3"),
        (lambda tape: Compact(Place(5, 1, bytes(16)), founded()), "another entry stands there"),
        (lambda tape: Compact(Place(5, 9, tape.place(5).chain), founded()), "another entry stands there"),
        (lambda tape: Compact(tape.place(5), founded(6)), "not in force"),
    ],
    ids=["not applied", "backwards", "other chain", "other term", "later members"],
)
def test_a_cut_that_cannot_be_stops_the_peer_and_changes_nothing(
    tmp_path: Path, cut: Callable[[Tape], Compact], words: str
) -> None:
    store, tape = filled(tmp_path, 8)
    store.write([tape.persist(tape.noop(), tape.noop()), tape.compact(3)])
    with pytest.raises(DiskFailed, match=words):
        store.write([cut(tape)])
    store.close()
    store = Store.open(tmp_path, 1, mesh())
    assert held_by(store) == expected_of(tape)
    store.close()
