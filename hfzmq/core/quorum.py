"""Counting. Touches nothing. Keeps: any two quorums of one membership share a voter."""

from __future__ import annotations

from collections.abc import Iterable


def reached(values: Iterable[int], voters: int) -> int:
    """The highest value that a majority of ``voters`` has reached; ``values`` has one number for each voter."""
    ranked = sorted(values, reverse=True)
    assert len(ranked) == voters, "one value for each voter"
    return ranked[voters // 2]
