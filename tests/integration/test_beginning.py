"""What a daemon notices of its directory as it begins."""

from __future__ import annotations

from pathlib import Path

from hfzmq.daemon.beginning import others_files, others_here
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
