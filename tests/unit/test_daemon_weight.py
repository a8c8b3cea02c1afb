"""How much memory is too much: what others make this process hold, and not what it keeps for itself."""

from __future__ import annotations

import pytest

from hfzmq.config import Limits
from hfzmq.core.journal import WAIT_FOR
from hfzmq.daemon import weight
from hfzmq.daemon.weight import LOOK_MS, MIB, ROOM_BYTES, SETTLE_MS, Weight

LIMITS = Limits(log_bytes_keep=10 * MIB, uncommitted_bytes_max=MIB)
ROOM_MIB = ROOM_BYTES // MIB + WAIT_FOR[1] * 10 + 2


class World:
    """Memory that is what a test says, looked at as often as the daemon may."""

    def __init__(self) -> None:
        self.mib = 50
        self.now_ms = 0.0
        self.weight = Weight(LIMITS, lambda: self.mib * MIB)

    def look(self, mib: int, after_ms: float = LOOK_MS) -> bool:
        self.mib = mib
        self.now_ms += after_ms
        return self.weight.is_too_much(self.now_ms)


def test_what_the_log_may_take_is_no_reason_and_a_mebibyte_more_is() -> None:
    world = World()
    assert not world.look(50)
    assert not world.look(50 + ROOM_MIB)
    assert world.look(50 + ROOM_MIB + 1)
    assert world.weight.grown_mib == ROOM_MIB + 1


def test_it_is_measured_from_the_lowest_seen() -> None:
    world = World()
    assert not world.look(200)
    assert not world.look(50)
    assert world.look(51 + ROOM_MIB)


def test_it_is_told_once_and_begins_anew_from_what_is_left_when_the_rest_was_given_back() -> None:
    world = World()
    world.look(50)
    assert world.look(2000)
    assert not world.look(3000), "what was dropped a moment ago is not given back yet"
    assert not world.look(900, SETTLE_MS), "what is left belongs to this process"
    assert not world.look(900 + ROOM_MIB)
    assert world.look(901 + ROOM_MIB)


def test_it_does_not_look_more_often_than_it_should() -> None:
    world = World()
    world.look(50)
    assert not world.look(5000, LOOK_MS / 2)
    assert world.look(5000, LOOK_MS / 2)


def test_the_memory_of_a_real_process_is_seen_to_grow_and_where_it_cannot_be_known_it_is_none() -> None:
    before = weight.own_bytes()
    if before:  # Linux
        ballast = b"x" * (64 * MIB)
        assert 60 * MIB < weight.own_bytes() - before < 80 * MIB
        del ballast
    weight.give_back()


def test_where_memory_cannot_be_read_nothing_is_ever_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight, "STATM", "/nonexistent/statm")
    assert weight.own_bytes() == 0
    assert not Weight(LIMITS).is_too_much(0.0)
