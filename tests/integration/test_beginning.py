"""What a daemon notices of its directory as it begins."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hfzmq.core.membership import Member, bootstrap
from hfzmq.daemon.beginning import moved_away, others_files, others_here
from hfzmq.storage import Store
from tests.unit.cli_world import CONFIG


def test_beginning_with_nothing_beside_another_peers_files_is_told_once(tmp_path: Path) -> None:
    third = Store.open(tmp_path, 3, CONFIG)
    assert others_files(3, third) == ""
    third.close()
    second = Store.open(tmp_path, 2, CONFIG)
    words = others_files(2, second)
    assert words.startswith("peer 2 begins with nothing, and ")
    assert "holds hfzmq_3.db, of another peer" in words
    assert (others_here(second), others_here(third)) == ([3], [2])
    second.close()
    again = Store.open(tmp_path, 2, CONFIG)
    assert others_files(2, again) == ""
    again.close()


def test_a_peer_that_joined_elsewhere_than_its_file_says_is_told_that_nobody_looks_for_it_there(tmp_path: Path) -> None:
    there = CONFIG.peers[1]
    here = there._replace(client_port=9000)
    life = b"2" * 16
    first = bootstrap(CONFIG.peers).bound({1: b"1" * 16, 2: life, 3: b"3" * 16})
    joined = first.without(2).with_learner(Member(there, life))

    store: Any = SimpleNamespace(identity=SimpleNamespace(incarnation=life), path=tmp_path / "hfzmq_2.db")
    words = moved_away(here, joined, store)
    assert words.startswith("peer 2 is at 127.0.0.1:9000,7021,7022 in peers.yaml, and the others look for it at ")
    assert "at 127.0.0.1:7020,7021,7022, where it was when it joined: put that back; or stop it, move " in words
    assert moved_away(there, joined, store) == ""
    assert moved_away(here, first, store) == "", "where first peers are, the files say"
    assert moved_away(here, first.without(2), store) == ""
    store.identity.incarnation = b"another"
    assert moved_away(here, joined, store) == "", "it joins where it is now"
