"""The gate: only whole messages of this mesh, from a voter, to this peer, of its newest life, reach the core."""

from __future__ import annotations

import logging
from collections import Counter

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfzmq.core.messages import Heartbeat, Message, TimeoutNow, VoteReply
from hfzmq.daemon.gate import Gate
from hfzmq.wire.peers import Sender, encode
from tests.unit.core_bench import heartbeat

MESH, OTHER_MESH = b"m" * 16, b"n" * 16
ONE, TWO = b"1" * 16, b"2" * 16
MESSAGE = TimeoutNow(3)


class World:
    """The gate of peer 1 in the mesh of 1, 2 and 3."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.met: dict[int, bytes] = {}  # what is on disk
        self.restart()

    def restart(self) -> None:
        """A new life on the same disk."""
        self.gate = Gate(MESH, 1, (1, 2, 3), self.counters, dict(self.met), self.met.__setitem__)

    def admit(
        self,
        content: Message | Heartbeat = MESSAGE,
        *,
        mesh: bytes = MESH,
        peer: int = 2,
        incarnation: bytes = ONE,
        boot: int = 5,
        to: int = 1,
    ) -> tuple[int, Message | Heartbeat] | None:
        return self.gate.admit(encode(Sender(mesh, peer, incarnation, boot, to), content))


def test_a_whole_message_from_a_voter_to_this_peer_passes_and_counts_nothing() -> None:
    world = World()
    assert world.admit() == (2, MESSAGE)
    assert world.admit(VoteReply(1, True, True), peer=3) == (3, VoteReply(1, True, True))
    assert not world.counters


def test_what_is_said_to_all_passes() -> None:
    beat = heartbeat(4, "leader")
    assert World().admit(beat, to=0) == (2, beat)


@pytest.mark.parametrize(
    ("wrong", "counter"),
    [
        ({"mesh": OTHER_MESH}, "peer_message_other_mesh"),
        ({"peer": 9}, "peer_message_not_for_me"),
        ({"peer": 0}, "peer_message_not_for_me"),
        ({"to": 3}, "peer_message_not_for_me"),
        ({"peer": 1}, "peer_message_with_my_id"),
    ],
)
def test_what_is_not_for_this_peer_of_this_mesh_from_another_voter_is_dropped_and_counted(
    wrong: dict[str, object], counter: str
) -> None:
    world = World()
    assert world.admit(**wrong) is None  # type: ignore[arg-type]
    assert world.counters == {counter: 1}


def test_bytes_that_are_no_message_are_dropped_and_counted() -> None:
    world = World()
    for frame in (b"", b"\xc1", b"hello", bytes(4096), encode(Sender(MESH, 2, ONE, 5, 1), MESSAGE)[:-1]):
        assert world.gate.admit(frame) is None
    assert world.counters == {"peer_message_malformed": 5}


def test_an_earlier_life_is_dropped_once_a_later_one_was_met_and_the_later_one_goes_on() -> None:
    world = World()
    assert world.admit(boot=5)
    assert world.admit(boot=7)
    assert world.admit(boot=6) is None
    assert world.admit(boot=5) is None
    assert world.admit(boot=7)
    assert world.counters == {"peer_message_earlier_life": 2}


def test_another_incarnation_than_the_one_met_first_is_not_heard_whatever_its_boot() -> None:
    world = World()
    assert world.admit(incarnation=ONE, boot=5)
    assert world.admit(incarnation=TWO, boot=99) is None
    assert world.admit(incarnation=TWO, boot=1) is None
    assert world.admit(incarnation=ONE, boot=5)
    assert world.counters == {"peer_message_other_incarnation": 2}


def test_another_incarnation_is_told_to_the_journal_once_and_not_with_each_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    with caplog.at_level(logging.INFO):
        world.admit(incarnation=ONE)
        for _ in range(10):
            world.admit(incarnation=TWO)
    assert len(caplog.records) == 1
    assert "peer 2" in caplog.text


def test_each_peers_other_incarnation_is_told(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    for peer in (2, 3):
        world.admit(peer=peer, incarnation=ONE)
        world.admit(peer=peer, incarnation=TWO)
    # Once: one counter for all peers decides, so the second peer with other data is never named.
    assert "peer 2" in caplog.text
    assert "peer 3" in caplog.text


def test_a_peer_that_lost_its_disk_is_not_heard_after_a_restart_of_this_one_either() -> None:
    world = World()
    assert world.admit(peer=2, incarnation=ONE)
    world.restart()
    assert world.admit(peer=2, incarnation=TWO) is None
    assert world.admit(peer=2, incarnation=ONE, boot=6)
    assert world.met == {2: ONE}


def test_one_peers_lives_say_nothing_about_anothers() -> None:
    world = World()
    assert world.admit(peer=2, incarnation=ONE, boot=9)
    assert world.admit(peer=3, incarnation=TWO, boot=1)


def test_what_is_refused_teaches_the_gate_nothing() -> None:
    world = World()
    world.admit(mesh=OTHER_MESH, incarnation=TWO, boot=99)
    world.admit(to=3, incarnation=TWO, boot=99)
    world.gate.admit(encode(Sender(MESH, 2, TWO, 99, 1), MESSAGE)[:-1])
    assert world.admit(incarnation=ONE, boot=1)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120))
def test_no_bytes_raise_anything(frame: bytes) -> None:
    assert World().gate.admit(frame) is None


def test_an_entry_of_a_client_with_an_endless_name_is_dropped_like_any_other_nonsense() -> None:
    row = [1, 1, "x" * 70_000, bytes(16), 1, bytes(16), b""]
    frame = msgpack.packb([1, MESH, 3, 2, ONE, 5, 1, 1, 0, 0, bytes(16), 0, 1, [row]])
    world = World()
    # Once: struct.error leaves the gate and ends the daemon; see test_wire_peers.
    assert world.gate.admit(frame) is None
    assert world.counters == {"peer_message_malformed": 1}
