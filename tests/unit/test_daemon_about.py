"""What an answer says of how old it is: 'no number on a screen is ever stale' without saying so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hfzmq.core.replica import Replica
from hfzmq.daemon import node
from hfzmq.daemon.node import Node
from tests.unit.core_bench import LEASE, TIMING, Bench, append


@pytest.fixture
def about(monkeypatch: pytest.MonkeyPatch) -> Any:
    def ask(bench: Bench) -> int | None:
        monkeypatch.setattr(node, "monotonic_ms", lambda: bench.now)
        replica: Replica = bench.replica
        daemon: Any = SimpleNamespace(replica=replica, me=replica.me, config=SimpleNamespace(timing=TIMING))
        told = Node._about(daemon)
        assert told["peer"] == replica.me
        stale: int | None = told["stale_ms"]
        return stale

    return ask


def test_a_follower_says_how_long_ago_it_heard_its_leader(about: Any) -> None:
    bench = Bench(2)
    bench.hear(1, append(1, []))
    assert about(bench) == 0
    bench.now += 250
    assert about(bench) == 250


def test_a_peer_that_hears_no_leader_says_that_it_does_not_know(about: Any) -> None:
    bench = Bench(2)
    assert about(bench) is None
    bench.hear(1, append(1, []))
    bench.now += LEASE
    assert about(bench) is None


def test_a_leader_is_up_to_date(about: Any) -> None:
    bench = Bench(1)
    bench.serve()
    assert about(bench) == 0


def test_a_leader_that_was_stopped_for_thirty_seconds_does_not_call_its_picture_fresh(about: Any) -> None:
    bench = Bench(1)
    bench.serve()
    bench.now += 30 * LEASE
    stale = about(bench)
    # Once: 0 for whoever is in the role of a leader; the loop reads its clients before it looks at the clock.
    assert stale is None or stale >= 29 * LEASE
