"""Who is counted as here before a restored mesh begins, and what shows that it lives already."""

from __future__ import annotations

from hfzmq.core.contract import FOLLOWER
from hfzmq.core.messages import Heartbeat, VoteRequest
from hfzmq.core.types import Place
from hfzmq.daemon.muster import Roll
from hfzmq.storage.restored import Note
from hfzmq.wire import peers

MESH, STATE = bytes(range(16)), b"s" * 16
LIVES = {peer: bytes([peer]) * 16 for peer in (1, 2, 3)}
END = Place(40, 7, b"c" * 16)


def roll() -> Roll:
    """Of peer 1."""
    return Roll(Note(END, STATE, LIVES), 1, MESH, fresh_ms=1000)


def beat(
    peer: int,
    *,
    mesh: bytes = MESH,
    life: bytes | None = None,
    state: bytes = STATE,
    last: int = END.index,
    applied: int = END.index,
    term: int = 8,
    hears: tuple[int, ...] = (),
    willing: bool = False,
) -> bytes:
    sender = peers.Sender(mesh, peer, life or LIVES[peer], 1, 0)
    said = Heartbeat(term, FOLLOWER, 0, applied, applied, last, last, 0, 0, hears, willing, state)
    return peers.encode(sender, said)


def test_whoever_holds_the_same_and_no_more_is_here_as_long_as_it_is_heard() -> None:
    one = roll()
    assert one.missing(0) == [2, 3]
    one.take(0, beat(2))
    assert one.missing(10) == [3]
    one.take(500, beat(3))
    assert one.missing(1000) == []
    assert one.missing(1200) == [2]


def test_others_meshes_lives_states_and_kinds_are_nobody() -> None:
    one = roll()
    for frame in (
        beat(2, mesh=b"x" * 16),
        beat(2, life=b"another life of 2"[:16]),
        beat(2, state=b"t" * 16),
        beat(2, last=0, applied=0),
        beat(1),
        peers.encode(peers.Sender(MESH, 2, LIVES[2], 1, 1), VoteRequest(9, END, False, False)),
        b"no message",
    ):
        one.take(0, frame)
        assert one.missing(0) == [2, 3]
        assert not one.lives
    assert set(one.strangers) == {2}


def test_one_entry_beyond_the_backup_shows_that_the_mesh_lives_applied_or_not_whatever_the_life() -> None:
    for frame in (
        beat(2, last=41),
        beat(3, last=41, applied=41, state=b"t" * 16, willing=True),
        beat(2, life=b"n" * 16, last=41),
    ):
        one = roll()
        one.take(0, frame)
        assert "holds entry 41, the backup ends with 40" in one.lives
    one = roll()
    one.take(0, beat(2, mesh=b"x" * 16, last=41))
    assert not one.lives


def test_one_that_was_restored_from_a_newer_backup_and_waits_is_a_stranger_and_no_mesh_that_lives() -> None:
    one = roll()
    one.take(0, beat(3, life=b"n" * 16, last=52, applied=52, state=b"t" * 16))
    assert not one.lives
    assert one.newer == {3: 52}
    assert one.missing(0) == [2, 3]
    one.take(5, beat(3, life=b"n" * 16, last=53, applied=53, state=b"t" * 16, willing=True))
    assert "holds entry 53" in one.lives


def test_all_hear_all_only_when_each_has_said_that_it_hears_each() -> None:
    one = roll()
    one.take(0, beat(2, hears=(1, 3)))
    one.take(0, beat(3, hears=(2,)))
    assert not one.all_hear_all()
    one.take(0, beat(3, hears=(1, 2)))
    assert one.all_hear_all()


def test_the_highest_term_that_was_shown_is_known() -> None:
    one = roll()
    one.take(0, beat(2, term=11))
    one.take(0, beat(3, term=9))
    assert one.term() == 11
