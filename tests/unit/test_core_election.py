"""Who leads. Each test proves the sentence in its name, from docs/protocol.md or the Raft paper (section 5)."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfzmq.core.election import JITTER, STAGGER, Election
from hfzmq.core.membership import Members
from hfzmq.core.messages import VoteReply, VoteRequest
from hfzmq.core.types import START, HardState, Place
from tests.unit.core_bench import member, mesh_of

LEASE = 1000
EMPTY = START


def election(me: int = 2, voters: tuple[int, ...] = (1, 2, 3), term: int = 0, vote: int = 0, seed: int = 1) -> Election:
    return Election(member(me), Members(mesh_of(*voters)), LEASE, Random(seed), HardState(term, vote), 0.0)


def place(term: int, index: int) -> Place:
    return Place(index, term, b"")


def real(term: int, last: Place = EMPTY, hand_over: bool = False) -> VoteRequest:
    return VoteRequest(term, last, False, hand_over)


def pre(term: int, last: Place = EMPTY) -> VoteRequest:
    return VoteRequest(term, last, True, False)


def granted(reply: VoteReply | None) -> bool:
    return reply is not None and reply.granted


def state_of(peer: Election) -> tuple[str, int, int, int, float]:
    return (peer.role, peer.term, peer.vote, peer.leader, peer.lease_until_ms)


# ------------------------------------------------------------ the start and the timers


def test_a_peer_starts_as_a_follower_of_nobody_and_waits_a_whole_lease() -> None:
    peer = election()
    assert (peer.role, peer.leader) == ("follower", 0)
    assert LEASE <= peer.campaign_at_ms(0) <= LEASE * (1 + JITTER)


def test_term_and_vote_are_what_the_disk_held() -> None:
    peer = election(term=7, vote=3)
    assert (peer.term, peer.vote) == (7, 3)
    assert not granted(peer.consider(LEASE, (1, b""), real(7), EMPTY))


@given(st.integers(0, 2**32), st.integers(0, 14))
def test_a_follower_campaigns_a_fifth_of_a_lease_later_for_each_lower_id_that_it_hears(seed: int, lower: int) -> None:
    at = election(seed=seed).campaign_at_ms(lower)
    least = LEASE + STAGGER * LEASE * lower
    assert least <= at <= least + JITTER * LEASE


def test_the_jitter_of_two_peers_differs() -> None:
    assert len({election(seed=seed).campaign_at_ms(0) for seed in range(20)}) == 20


def test_the_jitter_is_drawn_anew_for_each_round() -> None:
    peer = election()
    starts = set()
    for _ in range(10):
        peer.become_precandidate(5000)
        starts.add(peer.campaign_at_ms(0))
    assert len(starts) == 10


def test_the_stagger_leaves_the_lowest_living_id_ahead_of_every_jitter() -> None:
    assert JITTER < STAGGER


def test_hearing_the_leader_moves_the_campaign_by_a_lease_from_then() -> None:
    peer = election()
    peer.renew_lease(900, 1)
    assert peer.leader == 1
    assert 900 + LEASE <= peer.campaign_at_ms(0) <= 900 + LEASE * (1 + JITTER)


def test_a_leader_that_says_it_leads_no_more_ends_the_lease_but_never_prolongs_it() -> None:
    peer = election()
    peer.renew_lease(500, 1)
    peer.end_lease(700)
    assert (peer.leader, peer.lease_until_ms) == (0, 700)
    peer.end_lease(900)
    assert peer.lease_until_ms == 700


# ------------------------------------------------------------ roles: only become_* writes them


def test_a_term_never_falls() -> None:
    with pytest.raises(AssertionError, match="a term never falls"):
        election(term=5).become_follower(0, 4, 0)


def test_only_a_candidate_wins() -> None:
    for asks_first in (False, True):
        peer = election()
        if asks_first:
            peer.become_precandidate(0)
        with pytest.raises(AssertionError, match="only a candidate wins"):
            peer.become_leader()


def test_a_leader_does_not_campaign_and_hears_no_other_in_its_term() -> None:
    peer = election()
    peer.become_candidate(0, False)
    peer.become_leader()
    with pytest.raises(AssertionError, match="does not campaign"):
        peer.become_precandidate(0)
    with pytest.raises(AssertionError, match="does not campaign"):
        peer.become_candidate(0, False)
    with pytest.raises(AssertionError, match="hears no other"):
        peer.renew_lease(0, 3)


def test_a_candidate_campaigns_in_the_next_term_with_its_own_vote() -> None:
    peer = election(term=4, vote=1)
    peer.become_candidate(0, False)
    assert (peer.role, peer.term, peer.vote, peer.leader) == ("candidate", 5, 2, 0)


def test_a_later_term_takes_the_vote_back_and_the_same_term_keeps_it() -> None:
    peer = election(term=4, vote=1)
    peer.become_follower(0, 4, 0)
    assert peer.vote == 1
    peer.become_follower(0, 5, 0)
    assert (peer.term, peer.vote) == (5, 0)


def test_a_leader_that_steps_down_may_campaign_at_once() -> None:
    peer = election()
    peer.renew_lease(1500, 3)  # handed the lead while this lease still runs
    peer.become_candidate(1600, True)
    peer.become_leader()
    assert peer.hears_leader(99_999)
    peer.become_follower(2000, 1, 0)
    assert not peer.hears_leader(2000)
    assert peer.campaign_at_ms(0) <= 2000 + JITTER * LEASE


def test_a_candidate_that_hears_the_leader_of_its_term_follows_it() -> None:
    for real_campaign in (True, False):
        peer = election()
        if real_campaign:
            peer.become_candidate(0, False)
        else:
            peer.become_precandidate(0)
        peer.renew_lease(100, 3)
        assert (peer.role, peer.leader) == ("follower", 3)


# ------------------------------------------------------------ pre-votes change nothing


def test_asking_for_pre_votes_changes_neither_term_nor_vote_nor_lease() -> None:
    peer = election(term=4, vote=1)
    peer.become_precandidate(1500)
    assert (peer.term, peer.vote, peer.lease_until_ms) == (4, 1, LEASE)
    assert peer.request(EMPTY) == replace(pre(5), asked_ms=1500)


@given(st.integers(0, 9), st.integers(0, 3), st.integers(0, 12), st.floats(0, 3000), st.integers(0, 3))
def test_answering_a_pre_vote_changes_nothing_and_resets_no_timer(
    term: int, vote: int, asked: int, now: float, length: int
) -> None:
    peer = election(term=term, vote=vote)
    before, due = state_of(peer), peer.campaign_at_ms(1)
    reply = peer.consider(now, (3, b""), pre(asked, place(1, length)), place(1, 2))
    assert reply is not None
    assert (state_of(peer), peer.campaign_at_ms(1)) == (before, due)
    assert reply.granted == (asked > term and length >= 2 and now >= LEASE)


def test_a_granted_pre_vote_repeats_the_asked_term_and_a_refused_one_tells_the_voters_own() -> None:
    peer = election(term=4)
    assert peer.consider(LEASE, (3, b""), pre(6), EMPTY) == VoteReply(6, True, True)
    assert peer.consider(LEASE, (3, b""), pre(4), EMPTY) == VoteReply(4, True, False)
    assert peer.consider(LEASE - 1, (3, b""), pre(6), EMPTY) == VoteReply(4, True, False)


def test_a_peer_would_vote_for_two_precandidates_but_votes_for_one() -> None:
    peer = election()
    assert granted(peer.consider(LEASE, (1, b""), pre(1), EMPTY))
    assert granted(peer.consider(LEASE, (3, b""), pre(1), EMPTY))
    peer.become_follower(LEASE, 1, 0)
    assert granted(peer.consider(LEASE, (1, b""), real(1), EMPTY))
    assert not granted(peer.consider(LEASE, (3, b""), real(1), EMPTY))


def test_the_hand_over_flag_is_never_in_a_pre_vote() -> None:
    peer = election()
    peer.become_candidate(0, True)
    assert peer.request(EMPTY).hand_over
    peer.become_precandidate(0)
    assert not peer.request(EMPTY).hand_over


# ------------------------------------------------------------ votes


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        (place(1, 1), place(1, 1), True),
        (place(1, 1), place(1, 2), True),
        (place(1, 2), place(1, 1), False),
        (place(1, 9), place(2, 1), True),
        (place(2, 1), place(1, 9), False),
    ],
)
def test_a_vote_goes_to_a_log_at_least_as_long_last_term_then_last_index(
    mine: Place, theirs: Place, expected: bool
) -> None:
    peer = election(term=3)
    assert granted(peer.consider(LEASE, (1, b""), real(3, theirs), mine)) is expected
    assert granted(election(term=2).consider(LEASE, (1, b""), pre(3, theirs), mine)) is expected


def test_one_vote_a_term_first_come_first_served() -> None:
    peer = election(term=3)
    assert peer.consider(LEASE, (1, b""), real(3), EMPTY) == VoteReply(3, False, True)
    assert peer.vote == 1
    assert peer.consider(LEASE, (3, b""), real(3), EMPTY) == VoteReply(3, False, False)
    assert peer.vote == 1


def test_a_repeated_request_gets_the_same_vote_and_does_not_move_the_timer_again() -> None:
    peer = election(term=3)
    peer.consider(LEASE, (1, b""), real(3), EMPTY)
    due = peer.campaign_at_ms(0)
    assert granted(peer.consider(LEASE + 400, (1, b""), real(3), EMPTY))
    assert peer.campaign_at_ms(0) == due


def test_a_vote_is_for_one_life_of_a_peer_and_another_of_the_same_id_does_not_get_it_again() -> None:
    """Two processes with one id, or a disk lost between two requests: each could count the one vote as its own."""
    peer = election(term=3)
    assert granted(peer.consider(LEASE, (1, b"old"), real(3), EMPTY))
    assert not granted(peer.consider(LEASE, (1, b"new"), real(3), EMPTY))
    assert granted(peer.consider(LEASE, (1, b"old"), real(3), EMPTY))
    assert (peer.vote, peer.term) == (1, 3)


def test_after_a_restart_the_vote_is_known_and_not_for_which_life_so_nobody_gets_it_again() -> None:
    peer = election(term=3, vote=1)
    for candidate in ((1, b""), (1, b"new"), (3, b"")):
        assert peer.consider(LEASE, candidate, real(3), EMPTY) == VoteReply(3, False, False, candidate[1])
    peer.become_follower(LEASE, 4, 0)
    assert granted(peer.consider(LEASE, (1, b"new"), real(4), EMPTY))


def test_a_vote_for_another_life_of_the_candidate_does_not_count() -> None:
    """It may have campaigned in this very term before its disk was lost, and the answer comes late."""
    for pre in (True, False):
        peer = election(me=1)
        peer.become_precandidate(0)
        if not pre:
            peer.become_candidate(0, False)
            peer.count(1, b"", VoteReply(1, False, True))
        assert not peer.count(2, b"", VoteReply(1, pre, True, b"before"))
        assert peer.count(2, b"", VoteReply(1, pre, True))


def test_ones_own_vote_is_not_given_to_another_process_with_ones_id() -> None:
    peer = election(me=2)
    peer.become_candidate(LEASE, False)
    assert not granted(peer.consider(LEASE, (2, b"clone"), real(1), EMPTY))


def test_the_lives_that_have_voted_are_remembered_for_the_mesh_that_they_may_found() -> None:
    peer = election(me=1)
    peer.become_candidate(0, False)
    peer.count(1, b"one", VoteReply(1, False, True))
    peer.count(2, b"two", VoteReply(1, False, True))
    peer.count(2, b"later", VoteReply(1, False, True))
    peer.count(3, b"three", VoteReply(1, False, False))
    assert peer.grants == {1: b"one", 2: b"two"}
    peer.become_candidate(600, False)
    assert peer.grants == {}


def test_a_learner_has_no_vote_to_count() -> None:
    mesh = mesh_of(1, 2, 3).with_learner(member(4, b"four"))
    peer = Election(member(1), Members(mesh), LEASE, Random(1), HardState(0, 0), 0.0)
    peer.become_candidate(0, False)
    peer.count(1, b"", VoteReply(1, False, True))
    assert not peer.count(4, b"four", VoteReply(1, False, True))
    assert peer.count(2, b"", VoteReply(1, False, True))


def test_a_real_vote_waits_a_lease_for_its_candidate() -> None:
    peer = election(term=3)
    peer.consider(5000, (1, b""), real(3), EMPTY)
    assert peer.lease_until_ms == 5000 + LEASE


def test_a_refused_vote_moves_no_timer() -> None:
    peer = election(term=3, vote=3)
    due = peer.campaign_at_ms(0)
    assert not granted(peer.consider(5000, (1, b""), real(3), EMPTY))
    assert peer.campaign_at_ms(0) == due


def test_an_earlier_term_is_refused_with_the_voters_own() -> None:
    assert election(term=5).consider(LEASE, (1, b""), real(4), EMPTY) == VoteReply(5, False, False)


def test_whoever_hears_a_live_leader_is_silent_to_a_campaign() -> None:
    peer = election(term=3)
    peer.renew_lease(0, 1)
    assert peer.consider(LEASE - 1, (3, b""), real(3), EMPTY) is None
    assert peer.vote == 0


def test_a_campaign_that_was_handed_the_lead_is_heard_in_spite_of_a_live_leader() -> None:
    peer = election(term=3)
    peer.renew_lease(0, 1)
    assert not peer.heeds(1, real(4))
    assert peer.heeds(1, real(4, hand_over=True))
    peer.become_follower(1, 4, 0)
    assert granted(peer.consider(1, (3, b""), real(4, hand_over=True), EMPTY))


def test_a_leader_heeds_no_campaign_but_that_of_its_successor() -> None:
    peer = election()
    peer.become_candidate(0, False)
    peer.become_leader()
    assert not peer.heeds(99_999, real(9))
    assert peer.heeds(99_999, real(9, hand_over=True))


# ------------------------------------------------------------ counting


def test_a_majority_wins_exactly_once_and_a_vote_that_comes_twice_counts_once() -> None:
    peer = election(me=1, voters=(1, 2, 3, 4, 5))
    peer.become_candidate(0, False)
    assert [peer.count(voter, b"", VoteReply(1, False, True)) for voter in (1, 2, 2, 3, 4, 5)] == [
        False, False, False, True, False, False,
    ]  # fmt: skip


def test_ones_own_vote_does_not_count_before_it_is_durable() -> None:
    peer = election(me=1)
    peer.become_candidate(0, False)
    assert len(peer.grants) == 0
    assert not peer.count(2, b"", VoteReply(1, False, True))
    assert peer.count(1, b"", VoteReply(1, False, True))


@pytest.mark.parametrize(
    ("voter", "reply"),
    [
        (2, VoteReply(1, False, False)),  # refused
        (2, VoteReply(0, False, True)),  # of an earlier term
        (2, VoteReply(2, False, True)),  # of a term nobody asked about
        (2, VoteReply(1, True, True)),  # would vote, which is not a vote
        (2, VoteReply(2, True, True)),  # would vote in the next one
        (9, VoteReply(1, False, True)),  # nobody of this mesh
    ],
)
def test_only_a_real_vote_of_a_voter_in_this_term_counts_for_a_candidate(voter: int, reply: VoteReply) -> None:
    peer = election(me=1)
    peer.become_candidate(0, False)
    peer.count(1, b"", VoteReply(1, False, True))
    assert not peer.count(voter, b"", reply)
    assert len(peer.grants) == 1


def test_a_real_vote_does_not_count_for_a_precandidate() -> None:
    peer = election(me=1, term=1)
    peer.become_precandidate(0)
    assert not peer.count(2, b"", VoteReply(1, False, True))
    assert not peer.count(2, b"", VoteReply(2, False, True))
    assert peer.count(2, b"", VoteReply(2, True, True, asked_ms=peer.asked_ms))


def test_who_would_have_voted_in_an_earlier_round_of_pre_votes_may_hear_a_leader_by_now() -> None:
    peer = election(me=1, term=1)
    peer.become_precandidate(1000)
    asked = peer.request(EMPTY)
    peer.become_precandidate(1600)
    voter = election(me=2, term=1)
    late = voter.consider(LEASE, (1, b""), asked, EMPTY)
    assert late is not None
    assert late.granted
    assert not peer.count(2, b"", late)
    again = voter.consider(LEASE, (1, b""), peer.request(EMPTY), EMPTY)
    assert again is not None
    assert peer.count(2, b"", again)


def test_votes_of_an_earlier_round_do_not_count_in_the_next() -> None:
    peer = election(me=1, voters=(1, 2, 3, 4, 5))
    peer.become_candidate(0, False)
    peer.count(1, b"", VoteReply(1, False, True))
    peer.count(2, b"", VoteReply(1, False, True))
    peer.become_candidate(600, False)
    assert not peer.count(3, b"", VoteReply(1, False, True))
    assert len(peer.grants) == 0


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4), st.booleans()), max_size=40))
def test_two_candidates_never_get_one_peers_vote_in_one_term(asked: list[tuple[int, int, bool]]) -> None:
    peer = election(me=10, voters=(*range(1, 10), 10))
    votes: dict[int, int] = {}
    now = 2.0 * LEASE
    for candidate, term, hand_over in asked:
        request = real(term, hand_over=hand_over)
        if request.term > peer.term and peer.heeds(now, request):
            peer.become_follower(now, term, 0)
        reply = peer.consider(now, (candidate, b""), request, EMPTY)
        if reply is not None and reply.granted:
            assert votes.setdefault(term, candidate) == candidate
        now += 300
