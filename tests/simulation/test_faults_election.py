"""Faults of the network and of elections, each a named test on the simulated mesh; docs/fault_table.md lists them all.

On a ``Stage`` nothing is left to chance: only the fault of the test happens. The invariants are checked at every step,
and ``finish`` heals everything and demands that all converge with every request stored once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from random import Random

import pytest

from hfzmq.core.types import NOOP, START, Entry, HardState, Place, chained
from tests.simulation.disk import founded
from tests.simulation.stage import LEASE_MS, Stage
from tests.simulation.world import Weather


def mesh(peers: int = 3) -> Stage:
    """All peers serve; client c1 has one request acknowledged."""
    stage = Stage(peers)
    stage.begin()
    ask(stage)
    assert stage.leaders() == [1]
    return stage


def ask(stage: Stage, within_ms: float = 3 * LEASE_MS) -> float:
    """A request of c1 is acknowledged; returns how long that took."""
    began = stage.world.now
    stage.client("c1").ask()
    assert stage.until(lambda: stage.client("c1").done, within_ms), stage.world.trace[-30:]
    return stage.world.now - began


def steady(stage: Stage, for_ms: float, every_ms: float = 50) -> int:
    """Client c1 asks whenever it has nothing under way; returns how many requests were acknowledged."""
    before, end = stage.client("c1").seq, stage.world.now + for_ms
    while stage.world.now < end:
        if stage.client("c1").done:
            stage.client("c1").ask()
        stage.wait(every_ms)
    return stage.client("c1").seq - before


def keep_only(stage: Stage, links: set[tuple[int, int]]) -> None:
    """Only these pairs of peers hear each other, both ways."""
    for source, target in itertools.permutations(stage.peers, 2):
        if (source, target) not in links and (target, source) not in links:
            stage.network.cut(source, target)


# ------------------------------------------------------------ links


def test_a_mute_leader_is_replaced_and_acknowledges_nothing_more() -> None:
    stage = mesh()
    for other in (2, 3):
        stage.network.cut(1, other)
    stage.client("c1").ask(1)  # it still asks the mute one
    assert stage.until(lambda: stage.leaders() == [2], 3 * LEASE_MS)
    stage.wait(5 * LEASE_MS)
    assert stage.client("c1").seq == 2, "a leader that nobody hears has acknowledged something"
    assert stage.leaders() == [2], "a mute peer that hears everybody disturbs those who can speak"
    stage.finish()


def test_a_deaf_follower_neither_takes_the_lead_nor_stops_it() -> None:
    stage = mesh()
    for other in (1, 2):
        stage.network.cut(other, 3)
    changes = stage.invariants.leader_changes
    assert steady(stage, 15 * LEASE_MS) > 100
    assert stage.invariants.leader_changes == changes
    assert stage.leaders() == [1]
    stage.finish()


def test_a_link_cut_one_way_between_the_leader_and_one_follower_stops_nothing() -> None:
    for source, target in ((1, 2), (2, 1), (1, 3), (3, 1)):
        stage = mesh()
        stage.network.cut(source, target)
        assert steady(stage, 10 * LEASE_MS) > 50, (source, target)
        stage.wait(2 * LEASE_MS)
        changes = stage.invariants.leader_changes
        stage.network.mend()
        steady(stage, 4 * LEASE_MS)
        assert stage.invariants.leader_changes == changes <= 3, "whoever heard too little deposes the leader"
        stage.finish()


@pytest.mark.parametrize("deaf", [2, 3])
def test_a_follower_that_hears_no_leader_while_nobody_asks_anything_deposes_nobody_when_it_hears_again(
    deaf: int,
) -> None:
    stage = mesh()  # while nobody asks, its log is as good as anyone's
    stage.network.cut(1, deaf)
    changes = stage.invariants.leader_changes
    stage.wait(10 * LEASE_MS)
    stage.network.mend()
    stage.wait(4 * LEASE_MS)
    assert stage.invariants.leader_changes == changes
    stage.finish()


def test_across_a_bridge_of_one_peer_somebody_serves_and_the_lead_does_not_flap() -> None:
    stage = mesh(5)
    stage.network.split({1, 2}, {4, 5})
    stage.wait(4 * LEASE_MS)
    changes = stage.invariants.leader_changes
    assert steady(stage, 15 * LEASE_MS) > 50
    assert stage.invariants.leader_changes - changes <= 1
    stage.finish()


def test_in_a_ring_where_no_two_see_the_same_majority_somebody_serves_and_the_lead_does_not_flap() -> None:
    stage = mesh(5)
    keep_only(stage, {(1, 2), (2, 3), (3, 4), (4, 5), (5, 1)})
    stage.wait(4 * LEASE_MS)
    changes = stage.invariants.leader_changes
    assert steady(stage, 15 * LEASE_MS) > 50
    assert stage.invariants.leader_changes - changes <= 1
    stage.finish()


def test_two_of_five_that_hear_each_other_badly_do_not_move_the_lead() -> None:
    stage = mesh(5)
    stage.network.split({4}, {5})
    stage.network.split({3}, {5})
    changes = stage.invariants.leader_changes
    assert steady(stage, 10 * LEASE_MS) > 50
    assert stage.invariants.leader_changes == changes
    stage.finish()


@pytest.mark.parametrize("seed", range(3))
def test_with_30_percent_lost_half_doubled_and_all_reordered_requests_get_through_in_order(seed: int) -> None:
    stage = mesh(5)
    stage.world.rng = Random(seed)  # this weather is chance
    stage.network.weather = Weather(loss=0.3, double=0.5, delay_least_ms=0.2, delay_most_ms=60.0, replay=0.1)
    assert steady(stage, 40 * LEASE_MS) > 10  # of a client that loses half of all it asks, too
    stage.network.weather = Weather()
    stage.finish()


# ------------------------------------------------------------ time


@pytest.mark.parametrize("seconds", [1, 5, 30])
def test_a_leader_that_is_stopped_and_goes_on_acknowledges_nothing_from_then_and_nothing_is_lost(seconds: int) -> None:
    stage = mesh()
    stage.client("c1").ask(1)
    stage.peers[1].pause()
    stage.client("c2").ask(1)  # these lie in its sockets meanwhile
    stage.client("c2").read(1)
    stage.wait(seconds * 1000 / 2)
    stage.client("c3").ask(2)
    stage.wait(seconds * 1000 / 2)
    assert stage.leaders() == ([2] if seconds > 1 else [])
    stage.peers[1].resume()
    stage.wait(1)
    if seconds > 1:
        assert 1 not in stage.leaders(), "a leader that was stopped goes on as if nothing had been"
    stage.finish()


@pytest.mark.parametrize("peer", [1, 2, 3])
def test_a_clock_that_jumps_an_hour_costs_an_election_at_most(peer: int) -> None:
    stage = mesh()
    stage.peers[peer].clock_offset += 3_600_000
    changes = stage.invariants.leader_changes
    assert steady(stage, 10 * LEASE_MS) > 100
    assert stage.invariants.leader_changes - changes <= 2
    stage.finish()


@pytest.mark.parametrize("rates", list(itertools.permutations((0.9, 1.0, 1.1))))
def test_clocks_that_drift_ten_percent_either_way_cost_no_leader(rates: tuple[float, ...]) -> None:
    stage = Stage(3)
    for peer, rate in zip(stage.peers.values(), rates, strict=True):
        peer.clock_rate = rate
    stage.begin()
    changes = stage.invariants.leader_changes
    assert steady(stage, 30 * LEASE_MS) > 300
    assert stage.invariants.leader_changes == changes
    stage.finish()


# ------------------------------------------------------------ elections


def logged(*terms: int) -> list[Entry]:
    """A log of no-ops of these terms."""
    log: list[Entry] = []
    before = START
    for term in terms:
        entry = chained(before, term, NOOP, None, b"")
        log.append(entry)
        before = Place(entry.index, entry.term, entry.chain)
    return log


def test_a_peer_in_an_earlier_term_with_the_longer_log_is_elected_by_one_in_a_later_term_with_a_shorter_log() -> None:
    stage = Stage(3)
    stage.peers[1].disk.hard_state = HardState(7, 1)  # it campaigned in vain, again and again
    stage.peers[1].disk.log = logged(1)
    stage.peers[2].disk.hard_state = HardState(2, 2)
    stage.peers[2].disk.log = logged(1, 2)
    for peer in stage.peers.values():
        peer.disk.membership = stage.invariants.membership = founded((1, 2, 3))
    stage.peers[1].start()
    stage.peers[2].start()
    assert stage.until(lambda: stage.leaders() == [2], 6 * LEASE_MS), stage.world.trace
    stage.finish()


def test_one_that_campaigned_alone_for_long_neither_wins_with_its_term_nor_keeps_others_from_electing() -> None:
    stage = mesh()
    stage.network.split({3}, {1, 2})
    steady(stage, 20 * LEASE_MS)
    replica = stage.peers[3].replica
    assert replica is not None
    assert replica.term <= 2, "it raised its term though nobody would vote for it"
    stage.network.mend()
    changes = stage.invariants.leader_changes
    assert steady(stage, 5 * LEASE_MS) > 50
    assert stage.invariants.leader_changes == changes
    stage.finish()


@pytest.mark.parametrize("away_ms", [0, 1, 100, 500])
def test_a_leader_that_restarts_within_its_term_does_not_lead_it_again(away_ms: int) -> None:
    stage = mesh()
    term = stage.latest_term_led()
    stage.client("c1").ask(1)
    stage.peers[1].crash()
    stage.wait(away_ms)
    stage.peers[1].start()
    assert stage.until(lambda: bool(stage.leaders()), 4 * LEASE_MS)
    assert stage.latest_term_led() > term
    stage.finish()


def test_the_lowest_id_that_crashes_every_three_seconds_costs_few_changes_and_loses_nothing() -> None:
    stage = mesh()
    changes = stage.invariants.leader_changes
    for _ in range(20):
        stage.peers[1].crash()
        steady(stage, 1500)
        stage.peers[1].power_on()
        assert steady(stage, 3000) > 0
    assert stage.invariants.leader_changes - changes < 15
    stage.finish()


def test_the_lowest_id_that_returns_with_an_old_log_leads_only_when_it_has_caught_up() -> None:
    stage = mesh()
    stage.peers[1].crash()
    assert steady(stage, 10 * LEASE_MS) > 50
    committed = len(stage.invariants.committed)
    stage.peers[1].start()
    assert stage.until(lambda: stage.leaders() == [1], 8 * LEASE_MS)
    replica = stage.peers[1].replica
    assert replica is not None
    assert replica.log.last.index >= committed
    stage.finish()


def handed_over(stage: Stage) -> None:
    """1 dies, 2 leads, 1 returns and is handed the lead."""
    stage.peers[1].crash()
    assert stage.until(lambda: stage.leaders() == [2], 3 * LEASE_MS)
    stage.peers[1].start()
    assert stage.until(lambda: stage.leaders() == [1], 8 * LEASE_MS)


def test_a_hand_over_reaches_a_term_of_its_own_though_all_hear_a_live_leader() -> None:
    stage = mesh()
    handed_over(stage)
    assert stage.invariants.unprompted == 2, "it was not the hand-over that changed the leader"
    stage.finish()


def test_a_timeout_now_that_arrives_terms_later_moves_nobody() -> None:
    stage = mesh()
    handed_over(stage)
    stage.peers[1].crash()
    assert stage.until(lambda: stage.leaders() == [2], 3 * LEASE_MS)
    stage.wait(LEASE_MS / 4)
    stage.peers[1].start()
    stage.wait(LEASE_MS / 4)
    changes, term = stage.invariants.leader_changes, stage.latest_term_led()
    stage.network.again(2, 1, "TimeoutNow")
    stage.wait(LEASE_MS)
    assert (stage.invariants.leader_changes, stage.latest_term_led()) == (changes, term)
    assert stage.leaders() == [2]
    stage.finish()


def at_the_hand_over(stage: Stage, act: Callable[[], None]) -> None:
    """1 returns; ``act`` when 2 has told it to take the lead, before 1 hears that."""
    stage.peers[1].crash()
    assert stage.until(lambda: stage.leaders() == [2], 3 * LEASE_MS)
    stage.peers[1].start()
    assert stage.until(lambda: stage.network.said(2, 1, "TimeoutNow") > 0, 8 * LEASE_MS)
    act()


def test_after_a_hand_over_that_was_never_heard_the_leader_goes_on() -> None:
    stage = mesh()
    at_the_hand_over(stage, lambda: stage.network.cut(2, 1))
    changes = stage.invariants.leader_changes
    assert ask(stage, 2 * LEASE_MS) < 1.5 * LEASE_MS
    assert stage.leaders() == [2]
    assert stage.invariants.leader_changes == changes
    stage.finish()


def test_a_leader_that_does_not_hear_that_its_hand_over_was_taken_acknowledges_nothing_more() -> None:
    stage = mesh()
    at_the_hand_over(stage, lambda: None)
    stage.wait(1.0)  # heard: now the new leader's campaign does not reach the old one
    for other in (1, 3):
        stage.network.cut(other, 2)
    stage.client("c2").ask(2)
    assert stage.until(lambda: 1 in stage.leaders(), LEASE_MS)
    stage.client("c3").ask(1)
    assert stage.until(lambda: stage.client("c3").done, LEASE_MS)
    stage.client("c2").read(2)
    stage.wait(3 * LEASE_MS)
    assert stage.client("c2").seq == 1, "the old leader has acknowledged something"
    assert stage.leaders() == [1]
    stage.finish()
