"""Counting: any two quorums of one membership share a voter."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfzmq.config import PEERS_MAX
from hfzmq.core.quorum import has_majority, reached
from tests.unit.core_bench import mesh_of


@pytest.mark.parametrize("voters", range(1, PEERS_MAX + 1))
def test_more_than_half_is_a_quorum_and_half_is_not(voters: int) -> None:
    least = next(count for count in range(voters + 1) if has_majority(count, voters))
    assert 2 * least > voters >= 2 * (least - 1)
    assert all(has_majority(count, voters) for count in range(least, voters + 1))


@pytest.mark.parametrize("voters", range(1, 8))
def test_any_two_quorums_share_a_voter(voters: int) -> None:
    quorums = [
        set(some)
        for count in range(voters + 1)
        if has_majority(count, voters)
        for some in combinations(range(voters), count)
    ]
    assert quorums
    assert all(one & other for one in quorums for other in quorums)


@pytest.mark.parametrize("voters", range(1, PEERS_MAX + 1))
def test_the_memberships_majority_is_the_smallest_quorum(voters: int) -> None:
    majority = mesh_of(*range(1, voters + 1)).majority
    assert has_majority(majority, voters)
    assert not has_majority(majority - 1, voters)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=PEERS_MAX))
def test_reached_is_the_highest_value_that_a_majority_has(values: list[int]) -> None:
    voters = len(values)
    value = reached(values, voters)
    assert has_majority(sum(1 for each in values if each >= value), voters)
    assert not has_majority(sum(1 for each in values if each > value), voters)


def test_nobody_is_left_out_of_the_count() -> None:
    with pytest.raises(AssertionError, match="one value for each voter"):
        reached([3, 3], 3)
    with pytest.raises(AssertionError, match="one value for each voter"):
        reached([3, 3, 3, 3], 3)
