"""A file that loses its name while a peer has it open: the peer stops, and promises nothing that would go with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hfzmq.errors import DiskFailed, HfzmqError
from hfzmq.storage import Store
from tests.integration.storage_world import Tape, mesh, report


def deleted(path: Path) -> None:
    path.unlink()


def moved(path: Path) -> None:
    path.rename(path.with_name("kept.db"))


def replaced(path: Path) -> None:
    shutil.copy(path, path.with_name("copy.db"))
    path.with_name("copy.db").replace(path)


def directory_deleted(path: Path) -> None:
    shutil.rmtree(path.parent)


def write(tape: Tape, store: Store) -> None:
    tape.write(store, [report(2)])


def idle(_: Tape, store: Store) -> None:
    store.idle_checkpoint()


def size(_: Tape, store: Store) -> None:
    store.size_bytes()


WAYS = (deleted, moved, replaced, directory_deleted)


@pytest.mark.parametrize("lost", WAYS)
@pytest.mark.parametrize("act", [write, idle, size])
def test_a_file_that_lost_its_name_is_noticed_by_whatever_comes_next(
    tmp_path: Path, lost: Callable[[Path], None], act: Callable[[Tape, Store], object]
) -> None:
    tape, store = Tape(), Store.open(tmp_path / "data", 1, mesh())
    tape.write(store, [report(1)])
    lost(store.path)
    with pytest.raises(DiskFailed) as caught:
        act(tape, store)
    assert str(caught.value) == f"{store.path}: deleted, moved or replaced while this peer has it open"
    assert caught.value.hint.startswith("start it again: what it lacks it takes from the other peers")
    with pytest.raises(DiskFailed):
        tape.write(store, [report(3)])
    store.close()


@pytest.mark.parametrize("lost", [deleted, moved, directory_deleted])
def test_the_next_start_begins_under_another_incarnation(tmp_path: Path, lost: Callable[[Path], None]) -> None:
    tape, store = Tape(), Store.open(tmp_path / "data", 1, mesh())
    tape.write(store, [report(1)])
    before = store.identity.incarnation
    lost(store.path)
    with pytest.raises(HfzmqError):
        store.size_bytes()
    store.close()
    again = Store.open(tmp_path / "data", 1, mesh())
    assert again.identity.incarnation != before
    assert again.recovered.applied == 0
    again.close()


def test_a_file_that_keeps_its_name_is_written_on_whatever_happens_beside_it(tmp_path: Path) -> None:
    tape, store = Tape(), Store.open(tmp_path, 1, mesh())
    tape.write(store, [report(1)])
    (tmp_path / "other.db").write_text("")
    (tmp_path / "other.db").unlink()
    tape.write(store, [report(2)])
    store.idle_checkpoint()
    assert store.size_bytes() == store.path.stat().st_size
    store.close()
