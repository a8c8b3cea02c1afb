"""Which history a peer names: that of what it has applied; a leader's, before anything is applied, that of its log."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hfzmq.core.types import BATCH, CONFIG, NOOP, START, Place, chained
from hfzmq.daemon.history import history_of
from hfzmq.storage.apply import first_history
from tests.unit.core_bench import Bench, ask, first_peers


def store(history: bytes) -> Any:
    return SimpleNamespace(history=history)


def test_a_history_begins_with_the_first_entry_that_says_anything() -> None:
    opened = chained(START, 7, NOOP, None, b"")
    brought = chained(Place(1, 7, opened.chain), 7, BATCH, None, b"rows")
    later = chained(Place(2, 7, brought.chain), 7, BATCH, None, b"more")
    founding = chained(START, 1, CONFIG, None, b"members")
    assert first_history(()) == first_history((opened,)) == b""
    assert first_history((opened, brought, later)) == brought.chain
    assert first_history((founding,)) == founding.chain


def test_what_is_applied_decides_whoever_leads() -> None:
    bench = Bench(1)
    assert history_of(store(b"a" * 16), bench.replica) == b"a" * 16
    bench.serve()
    assert history_of(store(b"a" * 16), bench.replica) == b"a" * 16


def test_a_follower_that_has_applied_nothing_names_none_whatever_its_log_holds() -> None:
    assert history_of(store(b""), Bench(2).replica) == b""


def test_a_leader_names_that_of_its_log_before_the_first_entry_is_applied() -> None:
    founding = Bench(1, membership=first_peers(1, 2, 3))
    founding.lead()
    (first,) = founding.replica.log.between(0, founding.replica.log.last.index)
    # Once a peer of another history was counted for the first entry of all, and for that one alone.
    assert history_of(store(b""), founding.replica) == first.chain


def test_a_leader_whose_log_says_nothing_yet_names_none_until_the_first_request() -> None:
    restored = Bench(1)
    restored.serve()
    assert history_of(store(b""), restored.replica) == b""
    restored.propose(ask(1, text=b"rows"))
    asked = restored.replica.log.between(0, restored.replica.log.last.index)[-1]
    assert asked.body
    assert history_of(store(b""), restored.replica) == asked.chain
