"""The gate: only whole messages of this mesh, to this peer, of the newest life of their incarnation, reach the core."""

from __future__ import annotations

import logging
from collections import Counter

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfzmq.core.messages import JoinRequest, TimeoutNow, VoteReply
from hfzmq.daemon import gate as gate_module
from hfzmq.daemon.gate import STRANGE_FOR_MS, Gate
from hfzmq.wire.peers import Content, Sender, encode
from tests.unit.core_bench import heartbeat, member

MESH, OTHER_MESH = b"m" * 16, b"n" * 16
ONE, TWO = b"1" * 16, b"2" * 16
MESSAGE = TimeoutNow(3)
MEMBERS = {(2, ONE), (3, ONE), (3, TWO)}


class World:
    """The gate of peer 1 in a mesh where 2 counts as ONE, and 3 as whoever it is."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.disowned: list[tuple[int, bytes, int]] = []
        self.now = 0.0
        self.history = b""
        self.gate = Gate(
            MESH,
            1,
            self.counters,
            lambda peer, incarnation: (peer, incarnation) in MEMBERS,
            lambda *start: self.disowned.append(start),
            lambda: self.now,
            lambda: self.history,
        )

    def admit(
        self,
        content: Content = MESSAGE,
        *,
        mesh: bytes = MESH,
        peer: int = 2,
        incarnation: bytes = ONE,
        boot: int = 5,
        to: int = 1,
        history: bytes = b"",
    ) -> tuple[int, bytes, int, Content] | None:
        return self.gate.admit(encode(Sender(mesh, peer, incarnation, boot, to, history), content))


def join(peer: int, incarnation: bytes) -> JoinRequest:
    return JoinRequest(member(peer, incarnation, votes=False))


def test_a_whole_message_of_a_member_to_this_peer_passes_with_who_said_it_and_counts_nothing() -> None:
    world = World()
    assert world.admit() == (2, ONE, 5, MESSAGE)
    assert world.admit(VoteReply(1, True, True, ONE), peer=3, incarnation=TWO) == (
        3,
        TWO,
        5,
        VoteReply(1, True, True, ONE),
    )
    assert not world.counters
    assert world.gate.strangers(0) == {}


def test_what_is_said_to_all_passes() -> None:
    beat = heartbeat(4, "leader")
    assert World().admit(beat, to=0) == (2, ONE, 5, beat)


@pytest.mark.parametrize(
    ("wrong", "counter"),
    [
        ({"mesh": OTHER_MESH}, "peer_message_other_mesh"),
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


def test_an_earlier_life_that_still_speaks_is_told_that_it_is_one_and_the_later_one_is_told_nothing() -> None:
    world = World()
    world.admit(boot=7)
    world.admit(boot=6)
    assert world.disowned == [(2, ONE, 6)]


def test_each_incarnation_has_lives_of_its_own() -> None:
    world = World()
    assert world.admit(peer=3, incarnation=ONE, boot=99)
    assert world.admit(peer=3, incarnation=TWO, boot=1)
    assert world.admit(peer=3, incarnation=ONE, boot=98) is None


def test_a_stranger_is_let_through_for_the_core_decides_who_counts() -> None:
    world = World()
    assert world.admit(peer=2, incarnation=TWO) == (2, TWO, 5, MESSAGE)
    assert world.admit(peer=9) == (9, ONE, 5, MESSAGE)
    assert world.counters == {"peer_message_of_no_member": 2}


def test_strangers_are_named_with_whether_they_ask_to_join_until_they_fall_silent() -> None:
    world = World()
    world.admit(peer=2, incarnation=TWO)
    world.admit(join(9, ONE), peer=9)
    assert world.gate.strangers(world.now) == {(2, TWO): False, (9, ONE): True}
    world.now = STRANGE_FOR_MS - 1
    world.admit(peer=9)  # it speaks again, but not to ask
    assert world.gate.strangers(world.now) == {(2, TWO): False, (9, ONE): True}
    world.now = STRANGE_FOR_MS
    assert world.gate.strangers(world.now) == {(9, ONE): False}
    world.now = 2 * STRANGE_FOR_MS
    assert world.gate.strangers(world.now) == {}


def test_a_stranger_is_told_to_the_journal_once_and_not_with_each_message(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with caplog.at_level(logging.INFO):
        for _ in range(10):
            world.admit(incarnation=TWO)
    assert len(caplog.records) == 1
    assert "peer 2" in caplog.text


def test_each_stranger_is_told_and_one_that_was_away_is_told_again(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    for peer in (8, 9):
        world.admit(peer=peer)
    # Once: one counter for all peers decided, so the second peer with other data was never named.
    assert "peer 8" in caplog.text
    assert "peer 9" in caplog.text
    caplog.clear()
    world.now = STRANGE_FOR_MS
    world.admit(peer=8)
    assert "peer 8" in caplog.text


def test_ever_new_lives_and_strangers_take_bounded_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "LIVES_MAX", 8)
    world = World()
    for number in range(50):
        assert world.admit(peer=10 + number, incarnation=number.to_bytes(16, "big"))
    assert len(world.gate._lives) <= 8
    assert len(world.gate.strangers(0)) <= 8


def test_a_peer_of_ever_new_lives_fills_neither_the_log_nor_the_place_of_who_comes_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    for number in range(3 * gate_module.LIVES_MAX):
        world.admit(join(9, number.to_bytes(16, "big")), peer=9, incarnation=number.to_bytes(16, "big"))
    # Once: a line for each message from the 1,025th on, and a peer that came later could not be let in any more.
    assert len(caplog.records) == gate_module.STRANGERS_OF_A_PEER_MAX
    newest = (9, (3 * gate_module.LIVES_MAX - 1).to_bytes(16, "big"))
    assert len(world.gate.strangers(0)) == len(world.gate._asked) == gate_module.STRANGERS_OF_A_PEER_MAX
    assert world.gate.strangers(0)[newest]
    world.admit(join(8, ONE), peer=8)
    assert world.gate.strangers(0)[8, ONE]
    assert "peer 8" in caplog.text


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


# ------------------------------------------------------------ histories

OLD, NEW = b"old history 1234", b"new history 1234"


def test_what_comes_from_another_history_is_dropped_and_counted_before_anything_is_made_of_it() -> None:
    world = World()
    world.history = NEW
    assert world.admit(history=OLD, boot=9) is None
    assert world.admit(join(2, TWO), history=OLD, incarnation=TWO) is None
    assert world.admit(heartbeat(4, "leader"), to=0, history=OLD) is None
    assert world.counters == {"peer_message_other_history": 3}
    assert world.gate.strangers(world.now) == {}, "it must not look like a lost disk that asks to join"
    assert world.disowned == []
    assert world.admit(history=NEW, boot=5), "nor does it age who is of this history"


@pytest.mark.parametrize(("own", "told"), [(b"", OLD), (NEW, b""), (b"", b""), (NEW, NEW)])
def test_who_holds_nothing_yet_hears_all_and_is_heard_by_all(own: bytes, told: bytes) -> None:
    world = World()
    world.history = own
    assert world.admit(history=told)
    assert not world.counters


def test_who_is_heard_with_another_history_is_told_until_it_falls_silent_and_to_the_journal_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.history = NEW
    for _ in range(10):
        world.admit(history=OLD)
    assert world.gate.other_histories(world.now) == {2: OLD}
    assert len(caplog.records) == 1
    assert OLD.hex() in caplog.text
    assert NEW.hex() in caplog.text
    assert caplog.records[0].levelno == logging.WARNING
    world.now = STRANGE_FOR_MS
    assert world.gate.other_histories(world.now) == {}
    world.admit(history=OLD)
    assert len(caplog.records) == 2


def test_nobody_is_of_another_history_to_who_has_set_its_own_aside() -> None:
    world = World()
    world.history = NEW
    world.admit(history=OLD)
    world.history = b""
    assert world.gate.other_histories(world.now) == {}
    assert world.admit(history=OLD)


def test_ever_new_peers_of_another_history_take_bounded_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "LIVES_MAX", 8)
    world = World()
    world.history = NEW
    for number in range(50):
        world.admit(peer=10 + number, history=OLD)
    assert len(world.gate.other_histories(0)) == 8
