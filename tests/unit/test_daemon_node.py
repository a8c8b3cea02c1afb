"""What others are shown of this peer stands on its synced disk before they are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hfzmq.core.contract import Publish, Tick
from hfzmq.daemon.node import Node


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
