"""Alive is that the loop turns; ready is that the peer is of use, with a reason for each thing that is amiss."""

from __future__ import annotations

from typing import Any

import pytest

from hfzmq.daemon.gauge import Gauge, Syncs
from hfzmq.daemon.readiness import ALIVE_MS, BEHIND_MAX, dead_because, unready_because
from hfzmq.daemon.vitals import status_line

WELL = Gauge(
    mesh="ward", peer=2, version="1", role="follower", term=7, leader=1, serves=False, quorum=True, last=9, commit=9,
    applied=9, durable=9, trails=0, founded=True, votes=True, voters=3, learners=0, others=2, heard=2, reports=3,
    readings=(), alerts=(), events=(), syncs=Syncs((0,), 0.0), wal_bytes=0, database_bytes=0, free_bytes=None,
    alarms=(), differs=(), refused=(), amnesia=None, door_shut=False, scrubs=0,
)  # fmt: skip


def reasons(
    turn_age_ms: float = 0, writing_ms: float = 0, excused: bool = False, stopping: bool = False, **changed: Any
) -> list[str]:
    return unready_because(WELL._replace(**changed), turn_age_ms, writing_ms, excused, stopping)


def test_a_peer_that_is_well_is_ready() -> None:
    assert reasons() == []
    assert reasons(trails=BEHIND_MAX) == []
    assert reasons(leader=2, serves=True, role="leader") == []
    assert reasons(amnesia="no file", votes=True) == []  # the mesh has given it new data


def test_alive_means_that_the_last_turn_is_younger_than_two_seconds_whatever_the_mesh_does() -> None:
    assert dead_because(ALIVE_MS - 1, 0) == []
    assert dead_because(9000, 0, excused=True) == []
    assert dead_because(ALIVE_MS, 0) == ["the loop has not turned for 2.0 s"]
    assert dead_because(3200, 3100) == ["the loop has not turned for 3.2 s", "disk silent for 3.1 s"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"quorum": False, "heard": 0}, "no quorum heard: 0 of 2 other peers"),
        ({"leader": 0}, "no leader known"),
        ({"leader": 2, "role": "leader"}, "leads and does not serve yet"),
        ({"writing_ms": 1500}, "disk silent for 1.5 s"),
        ({"turn_age_ms": 2500}, "the loop has not turned for 2.5 s"),
        ({"trails": 1200}, "behind by 1200 entries"),
        ({"amnesia": "no file", "votes": False}, "damaged files aside, and no vote yet: no file"),
        ({"differs": (1, 3)}, "holds another state than peer 1, 3"),
        ({"reads": False}, "its thread for reads is gone: restart this peer"),
        ({"door_shut": True}, "too few free descriptors: no more clients are let in"),
        ({"founded": False}, "no mesh is known here to have begun: all its first peers must be up together"),
        ({"stopping": True}, "stopping"),
        ({"excused": True, "turn_age_ms": 9000}, "takes in a snapshot"),
    ],
)
def test_each_thing_that_is_amiss_is_a_reason(changed: dict[str, Any], reason: str) -> None:
    assert reasons(**changed) == [reason]


def test_the_only_copy_is_not_to_be_touched_as_it_says_itself_and_as_the_empty_ones_say() -> None:
    alone = reasons(leader=0, replaced=(1, 3), last=5434)
    assert alone[0].startswith("a majority of the disks is gone (peers 1, 3), and this one holds data until entry 5434")
    steps = [alone[0].index(words) for words in ("hfzmq check; only if not", "hfzmq backup --peer 2", "hfzmq restore")]
    assert steps == sorted(steps), "volumes that were mounted the wrong way round look just so from here"
    assert reasons(leader=0, replaced=(1,)) == ["no leader known"]
    assert reasons(replaced=(1, 3)) == []
    assert reasons(replaced=(1, 3), other_histories=(1,)) == [], "it is led, and of use"
    empty = reasons(founded=False, last=0, holders=((2, 5434),))
    assert empty == ["this peer is empty, and peer 2 holds data until entry 5434: do not touch that one"]


def test_a_peer_without_a_leader_names_who_does_not_let_it_in_and_why() -> None:
    why = ((1, "it does not accept this peer's key"),)
    told = ["peer 1 does not let this peer in: it does not accept this peer's key", "no leader known"]
    assert reasons(leader=0, shut_out=why) == told
    assert reasons(shut_out=why) == [], "it is led, and of use"


def test_before_the_first_picture_a_peer_is_starting() -> None:
    assert unready_because(None, 0, 0, False, False) == ["starting"]


def test_the_status_line_says_role_term_leader_and_who_is_heard() -> None:
    assert status_line(WELL) == "follower in term 7, leader 1, hears 2 of 2 other peers"
    assert status_line(WELL._replace(leader=0, role="candidate", others=1, heard=0, founded=False)) == (
        "candidate in term 7, no leader, hears 0 of 1 other peer; the mesh has not begun"
    )
    assert status_line(WELL._replace(leader=2, serves=True, role="leader")).startswith("leader in term 7, serves, ")


def test_a_peer_without_a_leader_beside_another_history_says_so_and_what_to_do() -> None:
    apart, leaderless = reasons(leader=0, other_histories=(1, 3), last=855)
    assert apart.startswith("this peer holds another history of the mesh, until entry 855, than peer 1, 3: ")
    assert apart.endswith("touch no disk, back both up: hfzmq backup --peer 2 FILE")
    assert leaderless == "no leader known"
