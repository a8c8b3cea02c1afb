"""What others are shown of this peer stands on its synced disk before they are; and what it says of itself."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hfzmq.core.contract import Fetch, Halt, Publish, Tick
from hfzmq.core.types import Place
from hfzmq.daemon.node import PULL_AGAIN_MS, Node
from hfzmq.errors import DataDirError, Removed


class Disk:
    """A store, whose last Apply may be unsynced; ``done`` is what happened, in order."""

    def __init__(self, done: list[str], unsynced: bool) -> None:
        self.done = done
        self.unsynced = unsynced

    def sync(self) -> None:
        self.unsynced = False
        self.done.append("synced")


def published_by(unsynced: bool) -> list[str]:
    """What a step that publishes a heartbeat does."""
    done: list[str] = []
    node: Any = Node.__new__(Node)
    node.store = Disk(done, unsynced)
    node.replica = SimpleNamespace(step=lambda now_ms, event: [Publish(None)])  # type: ignore[arg-type]
    node.voice = SimpleNamespace(publish=lambda heartbeat: done.append("published"))
    node.vitals = SimpleNamespace(writes=lambda: None, wrote=lambda: 0.0)
    node._step(Tick())
    return done


def test_no_heartbeat_leaves_before_the_applied_index_that_it_shows_is_synced() -> None:
    assert published_by(unsynced=True) == ["synced", "published"]
    assert published_by(unsynced=False) == ["published"]


def test_an_old_copy_of_a_disk_is_not_called_a_removed_peer_and_both_ways_out_are_named() -> None:
    node: Any = Node.__new__(Node)
    node.me, node.store = 3, SimpleNamespace(path=Path("data3/hfzmq_3.db"))
    with pytest.raises(Removed) as told:
        node._halt(Halt("removed from the mesh, whose members are those of entry 12", distrusted=False))
    assert str(told.value).startswith("the files in data3 are of a life of peer 3 that was removed from the mesh, ")
    copy, member = told.value.hint.split("; is it none")
    assert "is peer 3 a member, these are an old copy: move them away" in copy
    assert "--join" not in copy
    assert "--join, then hfzmq peer add 3" in member


def test_a_snapshot_that_could_not_be_installed_is_not_pulled_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once: each offer of the leader, ten a second, brought all of it over the network again."""
    now = [0.0]
    monkeypatch.setattr("hfzmq.daemon.node.monotonic_ms", lambda: now[0])
    node: Any = Node.__new__(Node)
    pulls: list[float] = []

    def install(path: Path) -> None:
        raise DataDirError("no space left", hint="make room")

    node._to_write, node._pull_at_ms, node.counters = [], 0.0, Counter()
    node.store = SimpleNamespace(install=install)
    node.replica = SimpleNamespace(step=lambda now_ms, event: [Fetch(1)], wants=lambda place: True, commit=0)
    node.vitals = SimpleNamespace(taking_in=lambda size: contextlib.nullcontext())
    node.transfers = SimpleNamespace(
        complete=lambda: (Path(__file__), Place(9, 1, b"")), forget=lambda: None, fetch=lambda *_: pulls.append(now[0])
    )
    node._take_snapshot()
    while now[0] < 2 * PULL_AGAIN_MS:
        node._step(Tick())
        now[0] += 100
    assert (pulls[0], node.counters["snapshot_not_installed"]) == (PULL_AGAIN_MS, 1)


def test_a_loop_that_comes_back_late_by_more_than_a_lease_says_that_it_was_not_the_disk() -> None:
    node: Any = Node.__new__(Node)
    told: list[str] = []
    node.me, node.config = 2, SimpleNamespace(timing=SimpleNamespace(lease_ms=1000))
    node._note = lambda text, level: told.append(text)
    node._tell_pause(900)
    assert told == []
    node._tell_pause(4140)
    assert told[0].startswith("peer 2 stood still for 4.1 s: the process was stopped")
