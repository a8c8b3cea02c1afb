"""What a daemon's status says of members that look well and are not."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from hfzmq.daemon.about import UNANSWERING_LEASES, About
from tests.unit.cli_world import CONFIG

LEASE = CONFIG.timing.lease_ms
NOW = 100.0 * LEASE


def about(leads: bool = True, **of_3: Any) -> About:
    """A leader that hears 2 and 3; 2 has just answered."""
    progress = {2: SimpleNamespace(acked_ms=NOW, pulls=False), 3: SimpleNamespace(acked_ms=NOW, pulls=False)}
    vars(progress[3]).update(of_3)
    leading = SimpleNamespace(followers=SimpleNamespace(progress=progress)) if leads else None
    replica: Any = SimpleNamespace(leading=leading, liveness=SimpleNamespace(alive=lambda _: {1, 2, 3}))
    nobody: Any = None
    return About(CONFIG, replica, nobody, nobody, Counter(), lambda: NOW, lambda: 0)


LONG_AGO = NOW - UNANSWERING_LEASES * LEASE - 1


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (about(), []),
        (about(acked_ms=LONG_AGO), [3]),
        (about(acked_ms=LONG_AGO + 2), []),
        (about(acked_ms=LONG_AGO, pulls=True), []),
        (about(leads=False, acked_ms=LONG_AGO), []),
    ],
    ids=["all answer", "long silent", "not yet", "takes a snapshot in", "no leader"],
)
def test_a_leader_names_who_is_heard_and_has_long_answered_nothing(told: About, found: list[int]) -> None:
    assert told.unanswering() == found


def test_who_is_not_heard_is_away_and_not_named() -> None:
    told = about(acked_ms=LONG_AGO)
    told._replica.liveness = SimpleNamespace(alive=lambda _: {1, 2})  # type: ignore[assignment]
    assert told.unanswering() == []
