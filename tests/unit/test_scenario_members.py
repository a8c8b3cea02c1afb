"""Dynamic Membership as a play: each change is made with the command, and believed only when the command says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hfzmq.cli.scenario.members import dynamic_membership
from hfzmq.cli.scenario.plays import Terms
from hfzmq.cli.scenario.stage import Failed, Stage


class Processes:
    """Notes the commands; each ends with the next of ``codes`` (then with 0)."""

    def __init__(self, done: list[str], codes: list[int]) -> None:
        self.done = done
        self.codes = codes

    def start(self, name: str, *words: str) -> None:
        self.done.append("hfzmq " + " ".join(words[:3]))
        assert words[3:] == ("--config", "peers.yaml", "--json", "--timeout", "30")

    def exit_code(self, name: str) -> int:
        return self.codes[0] if self.codes else 0

    def last_words(self, name: str) -> str:
        return "error: peer 4 is not running"


class FakeStage:
    """Three peers led by 1, and a fourth to come."""

    def __init__(self, folder: Path, codes: list[int]) -> None:
        self.done: list[str] = []
        self.folder = folder
        self.members = {1, 2, 3}
        self.everyone = SimpleNamespace(peer_ids=(1, 2, 3, 4))
        self.config = SimpleNamespace(path="peers.yaml")
        self.processes = Processes(self.done, codes)
        self.data_dir(2).mkdir()

    def leader(self) -> int:
        return 1

    def data_dir(self, peer: int) -> Path:
        return self.folder / f"peer-{peer}"

    def wait(self, what: str, reached: Callable[[], bool], within_s: float = 30.0) -> None:
        assert reached()
        if "asks" in what:
            self.done.append(what)

    def status(self) -> SimpleNamespace:
        return SimpleNamespace(told=SimpleNamespace(asks=lambda peer: peer if peer == 4 else None))

    def may_leave(self, peer: int) -> None:
        self.members.discard(peer)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *words: self.done.append(" ".join(map(str, (name, *words))))


def played(folder: Path, *codes: int) -> FakeStage:
    stage = FakeStage(folder, list(codes))
    dynamic_membership(cast(Stage, cast(Any, stage)), Terms(60.0, 1))
    return stage


def test_a_peer_joins_one_is_removed_and_stops_one_loses_its_disk_and_reports_flow_after_each(tmp_path: Path) -> None:
    stage = played(tmp_path)
    assert stage.done == [
        "start 4",
        "peer 4 asks to join",
        "hfzmq peer add 4",
        "inject peer 4 joined",
        "level 4",
        "flow 60",
        "hfzmq peer remove 3",
        "inject peer 3 was removed",
        "wait_gone 3",
        "inject peer 3 stopped by itself",
        "flow 60",
        "kill 2",
        "start 2",
        "inject peer 2 lost its disk and came back",
        "level 2",
        "inject peer 2 is whole again",
        "flow 60",
    ]
    assert stage.members == {1, 2, 4}
    assert not (tmp_path / "peer-2").exists()
    assert (tmp_path / "peer-2-before-the-wipe").exists()


def test_a_command_that_says_no_fails_the_round_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="hfzmq peer add 4 ended with exit code 8: error: peer 4 is not running"):
        played(tmp_path, 8)
