"""``hfzmq alarms watch`` follows the journal of the mesh that goes on, and no other one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from hfzmq.cli.alarms import follow
from hfzmq.cli.alarms.follow import Follower
from tests.unit.cli_world import CONFIG, WALL_MS, Answer, says

FIELDS = ["id", "episode_id", "at_ms", "what", "detail"]


class Peers:
    """What peers answer: each has a history and the newest line of its journal; None: it is away."""

    def __init__(self, **told: tuple[str, int] | None) -> None:
        self.told: dict[int, tuple[str, int] | None] = {int(name[1:]): one for name, one in told.items()}
        self.leader = 1

    def ask_all(self, config: object, op: str, fields: Mapping[str, Any] | None = None) -> dict[int, Answer | None]:
        return {peer: told and self._answer(peer, op, fields or {}, *told) for peer, told in self.told.items()}

    def _answer(self, peer: int, op: str, fields: Mapping[str, Any], history: str, last: int) -> Answer:
        if op == "status":
            return says(peer, "leader" if peer == self.leader else "follower", history=history)
        first = last if "before_id" in fields else int(fields["after_id"]) + 1
        rows = [[number, 0, WALL_MS, "discharged", f"{history} {number}"] for number in range(first, last + 1)]
        return {"v": 1, "status": "OK", "fields": FIELDS, "rows": rows, "more": False, "stale_ms": 0, "peer": peer}


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Peers:
    made = Peers(p1=("aa", 200), p2=("aa", 200), p3=None)
    monkeypatch.setattr(follow, "ask_all", made.ask_all)
    return made


def lines(follower: Follower) -> list[str]:
    return [line.line.detail for line in follower.lines(time.monotonic())]


def test_a_watch_that_begins_beside_an_old_disk_shows_the_lines_of_the_mesh_that_goes_on(peers: Peers) -> None:
    peers.told[2] = ("bb", 9000)
    follower = Follower(CONFIG, lambda words: None)
    assert follower.begin(None, time.monotonic()) == 200
    peers.told[1] = ("aa", 202)
    assert lines(follower) == ["aa 201", "aa 202"]


def test_an_old_disk_that_comes_back_meanwhile_tells_nothing(peers: Peers) -> None:
    follower = Follower(CONFIG, lambda words: None)
    follower.begin(None, time.monotonic())
    peers.told[2] = None
    assert lines(follower) == []
    peers.told[2] = ("bb", 9000)
    peers.told[1] = ("aa", 201)
    assert lines(follower) + lines(follower) == ["aa 201"]


def test_a_mesh_that_was_begun_anew_is_followed_from_its_first_line_on(peers: Peers) -> None:
    said: list[str] = []
    follower = Follower(CONFIG, said.append)
    follower.begin(None, time.monotonic())
    peers.told = {1: None, 2: None}
    assert lines(follower) == []
    peers.told = {1: ("bb", 2), 2: ("bb", 2)}
    assert lines(follower) + lines(follower) == ["bb 1", "bb 2"]
    assert said == ["the mesh was begun anew: its journal from the first line on"]
