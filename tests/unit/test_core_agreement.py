"""Equal applied index means equal state: who holds something else finds out by itself, or it is an alarm."""

from __future__ import annotations

import pytest

from hfzmq.core.agreement import KEPT, Agreement
from hfzmq.core.contract import Effect, Halt, Installed
from hfzmq.core.membership import Members
from hfzmq.core.types import Place
from tests.unit.core_bench import Bench, append, heartbeat, log_of, member, mesh_of, only

MINE, OTHER, THIRD = b"a" * 16, b"b" * 16, b"c" * 16
FIVE = mesh_of(1, 2, 3, 4, 5)


def halts(effects: list[Effect]) -> list[bool]:
    return [halt.distrusted for halt in only(Halt, effects)]


def at(index: int, state_hash: bytes, me: int = 3, voters: tuple[int, ...] = (1, 2, 3)) -> Bench:
    """A peer whose tables are at ``index``."""
    return Bench(me, voters, log=log_of(*[1] * index), applied=index, state_hash=state_hash)


def says(bench: Bench, peer: int, index: int, state_hash: bytes) -> list[bool]:
    return halts(bench.beat(peer, heartbeat(1, applied=index, state_hash=state_hash)))


def test_the_odd_one_of_three_stops_distrusted_and_says_where() -> None:
    bench = at(4, MINE)
    assert says(bench, 1, 4, OTHER) == []
    effects = bench.beat(2, heartbeat(1, applied=4, state_hash=OTHER))
    assert halts(effects) == [True]
    assert "entry 4" in only(Halt, effects)[0].why


def test_those_that_hold_what_the_majority_holds_go_on_and_raise_an_alarm() -> None:
    bench = at(4, MINE, me=1)
    assert says(bench, 2, 4, MINE) == []
    assert says(bench, 3, 4, OTHER) == []
    assert bench.replica.agreement.differs == (3,)


@pytest.mark.parametrize(
    ("voters", "said"),
    [
        ((1, 3), {1: OTHER}),  # one against one
        ((1, 2, 3), {1: OTHER, 2: THIRD}),  # three opinions
        ((1, 2, 3, 4), {1: OTHER, 2: OTHER, 4: MINE}),  # two against two
        ((1, 2, 3, 4, 5), {1: OTHER, 2: OTHER}),  # two of five is none
    ],
)
def test_where_no_majority_holds_another_state_it_is_an_alarm_and_nobody_is_judged(
    voters: tuple[int, ...], said: dict[int, bytes]
) -> None:
    bench = at(4, MINE, voters=voters)
    for _ in range(3):
        for peer, state_hash in said.items():
            assert says(bench, peer, 4, state_hash) == []
    assert bench.replica.agreement.differs == tuple(peer for peer in said if said[peer] != MINE)


def test_states_of_different_places_say_nothing_of_each_other() -> None:
    bench = at(4, MINE)
    for index in (3, 5):
        assert says(bench, 1, index, OTHER) == []
        assert says(bench, 2, index, OTHER) == []
    assert not bench.replica.agreement.differs


def test_two_that_say_the_same_of_different_places_are_no_majority() -> None:
    bench = at(4, MINE)
    assert says(bench, 1, 5, OTHER) == []
    assert says(bench, 2, 4, OTHER) == []


def test_a_place_that_this_peer_has_passed_is_remembered() -> None:
    bench = at(4, MINE)
    bench.state_hash = THIRD
    bench.hear(1, append(1, log_of(*[1] * 6), after=4, commit=6))
    assert (bench.replica.applied, bench.replica.state_hash) == (6, THIRD)
    assert says(bench, 1, 4, OTHER) == []
    assert says(bench, 2, 4, OTHER) == [True]


def test_a_place_that_others_reached_first_is_compared_when_they_say_it_again() -> None:
    bench = at(4, MINE)
    for peer in (1, 2):
        assert says(bench, peer, 5, OTHER) == []
    bench.state_hash = MINE
    bench.hear(1, append(1, log_of(*[1] * 5), after=4, commit=5))
    assert says(bench, 1, 5, OTHER) == [True]


def test_learners_and_strangers_judge_nobody() -> None:
    mesh = mesh_of(1, 2, 3).with_learner(member(4)).with_learner(member(5))
    bench = Bench(3, membership=mesh, log=log_of(1), applied=1, state_hash=MINE)
    for peer in (4, 5, 9, 1):
        assert says(bench, peer, 1, OTHER) == []
    assert says(bench, 2, 1, OTHER) == [True]


def test_an_alarm_ends_when_the_other_one_agrees_again() -> None:
    bench = at(4, MINE)
    says(bench, 1, 4, OTHER)
    assert bench.replica.agreement.differs == (1,)
    says(bench, 1, 4, MINE)
    assert not bench.replica.agreement.differs


def test_a_snapshot_is_other_tables_so_what_was_said_of_the_ones_before_is_forgotten() -> None:
    bench = at(4, MINE)
    says(bench, 1, 4, OTHER)
    place = Place(9, 1, b"9" * 16)
    bench.do(Installed(place, mesh_of(1, 2, 3), {}, THIRD))
    assert not bench.replica.agreement.differs
    assert says(bench, 2, 4, OTHER) == []
    assert says(bench, 2, 9, MINE) == []
    assert says(bench, 1, 9, MINE) == [True]


def test_a_life_that_is_no_member_any_more_is_no_alarm_and_counts_for_nothing() -> None:
    members = Members(mesh_of(1, 2, 3))
    agreement = Agreement(members, 4, MINE)
    assert not agreement.heard(1, b"", 4, OTHER)
    assert 1 in agreement.differs
    mesh = members.now.with_learner(member(1, b"n" * 16)).with_voter(1)
    members.reset(mesh)
    assert not agreement.differs, "its next life has said nothing yet"
    assert not agreement.heard(2, b"", 4, OTHER), "what the life before said makes no majority"
    assert agreement.heard(1, b"n" * 16, 4, OTHER)
    members.reset(mesh.without(2))
    assert [*agreement.differs] == [1]


def test_what_is_remembered_is_bounded() -> None:
    agreement = Agreement(Members(FIVE), 0, MINE)
    for index in range(1, KEPT + 1):
        agreement.applied(index, MINE)
    assert not agreement.heard(2, b"", 0, OTHER)
    assert not agreement.differs
    assert not agreement.heard(2, b"", 1, OTHER)
    assert agreement.differs == (2,)
