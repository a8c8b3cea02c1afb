"""Who is heard: hints, which age."""

from __future__ import annotations

from typing import Any

import pytest

from hfzmq.core.liveness import Liveness, renews_lease
from hfzmq.core.messages import Heartbeat
from tests.unit.core_bench import heartbeat, mesh_of

LEASE = 1000
VOTERS = mesh_of(1, 2, 3, 4, 5)


def heard(me: int, *beats: tuple[int, Heartbeat], at: float = 0.0) -> Liveness:
    liveness = Liveness(me, LEASE)
    for sender, beat in beats:
        liveness.heard(at, sender, beat)
    return liveness


# ------------------------------------------------------------ alive


def test_alive_is_who_was_heard_within_a_lease() -> None:
    liveness = heard(2, (3, heartbeat(1)), (1, heartbeat(1)))
    assert liveness.alive(LEASE - 1) == (1, 3)
    assert liveness.alive(LEASE) == ()


def test_who_was_never_heard_is_unknown_not_alive() -> None:
    liveness = Liveness(2, LEASE)
    assert (liveness.alive(0), liveness.last_of(1)) == ((), None)


def test_the_last_heartbeat_counts_and_a_forgotten_peer_is_unknown() -> None:
    liveness = heard(2, (1, heartbeat(1)), (1, heartbeat(4)))
    last = liveness.last_of(1)
    assert last is not None
    assert last[1].term == 4
    liveness.forget(1)
    liveness.forget(9)
    assert liveness.last_of(1) is None


def test_only_lower_ids_that_are_willing_delay_a_campaign() -> None:
    liveness = heard(
        3,
        (1, heartbeat(1)),
        (2, heartbeat(1, willing=False)),
        (4, heartbeat(1)),
    )
    assert liveness.lower_alive(0, VOTERS.voters) == 1
    assert liveness.lower_alive(LEASE, VOTERS.voters) == 0


def test_one_counts_oneself_and_no_strangers_to_a_majority() -> None:
    assert heard(1, (2, heartbeat(1))).hears_majority(0, mesh_of(1, 2, 3))
    assert not heard(1, (2, heartbeat(1))).hears_majority(0, VOTERS)
    assert not heard(1, (8, heartbeat(1)), (9, heartbeat(1))).hears_majority(0, VOTERS)
    assert not heard(1, (2, heartbeat(1))).hears_majority(0, mesh_of(1, 2, 3, 4))
    assert Liveness(1, LEASE).hears_majority(0, mesh_of(1))


# ------------------------------------------------------------ fit to lead


@pytest.mark.parametrize(
    ("says", "fit"),
    [
        ({}, True),
        ({"willing": False}, False),
        ({"hears": (2, 3)}, False),  # not this peer
        ({"hears": (5,)}, False),  # no majority of five: itself and one more
        ({"hears": (2, 5)}, True),
        ({"hears": (5, 8, 9)}, False),  # strangers make no majority
    ],
)
def test_fit_to_lead_is_who_hears_this_peer_and_a_majority_and_is_willing(says: dict[str, Any], fit: bool) -> None:
    assert heard(5, (1, heartbeat(1, **says))).fit_to_lead(0, 1, VOTERS) is fit


def test_who_was_last_heard_a_lease_ago_or_never_is_not_fit_to_lead() -> None:
    liveness = heard(5, (1, heartbeat(1)))
    assert liveness.fit_to_lead(LEASE - 1, 1, VOTERS)
    assert not liveness.fit_to_lead(LEASE, 1, VOTERS)
    assert not liveness.fit_to_lead(0, 2, VOTERS)


# ------------------------------------------------------------ whose word renews a lease


@pytest.mark.parametrize(
    ("beat", "renews"),
    [
        (heartbeat(1, "leader"), True),
        (heartbeat(1, "leader", fsync_age_ms=LEASE - 1, quorum_age_ms=LEASE - 1), True),
        (heartbeat(1, "leader", fsync_age_ms=LEASE), False),
        (heartbeat(1, "leader", quorum_age_ms=LEASE), False),
        (heartbeat(1, "follower"), False),
        (heartbeat(1, "candidate"), False),
    ],
)
def test_a_leader_with_a_dead_disk_or_no_quorum_does_not_look_alive(beat: Heartbeat, renews: bool) -> None:
    assert renews_lease(beat, LEASE) is renews


def test_the_live_leader_is_the_one_of_the_latest_term_and_never_of_an_earlier_one() -> None:
    liveness = heard(5, (1, heartbeat(3, "leader")), (2, heartbeat(4, "leader")), (3, heartbeat(9)))
    assert liveness.live_leader(0, 3) == 2
    assert liveness.live_leader(0, 5) == 0
    assert liveness.live_leader(LEASE, 0) == 0


def test_a_leader_with_a_dead_disk_is_not_named_to_clients() -> None:
    assert heard(5, (1, heartbeat(3, "leader", fsync_age_ms=LEASE))).live_leader(0, 0) == 0
