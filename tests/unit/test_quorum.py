"""Counting: any two quorums of one membership share a voter."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfzmq.config import PEERS_MAX
from hfzmq.core.quorum import reached
from tests.unit.core_bench import mesh_of


def majority_of(voters: int) -> int:
    return mesh_of(*range(1, voters + 1)).majority


@pytest.mark.parametrize("voters", range(1, PEERS_MAX + 1))
def test_a_majority_is_the_least_that_is_more_than_half(voters: int) -> None:
    least = majority_of(voters)
    assert 2 * least > voters >= 2 * (least - 1)


@pytest.mark.parametrize("voters", range(1, 8))
def test_any_two_quorums_share_a_voter(voters: int) -> None:
    quorums = [
        set(some) for count in range(majority_of(voters), voters + 1) for some in combinations(range(voters), count)
    ]
    assert quorums
    assert all(one & other for one in quorums for other in quorums)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=PEERS_MAX))
def test_reached_is_the_highest_value_that_a_majority_has(values: list[int]) -> None:
    voters = len(values)
    value = reached(values, voters)
    assert sum(1 for each in values if each >= value) >= majority_of(voters)
    assert sum(1 for each in values if each > value) < majority_of(voters)


def test_nobody_is_left_out_of_the_count() -> None:
    with pytest.raises(AssertionError, match="one value for each voter"):
        reached([3, 3], 3)
    with pytest.raises(AssertionError, match="one value for each voter"):
        reached([3, 3, 3, 3], 3)
