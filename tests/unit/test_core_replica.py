"""The one door: transcripts of events and the effects that must follow, of a follower and of a candidate.

In the manner of etcd-io/raft's raft_paper_test: each test proves the sentence in its name, or the one that it quotes.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from hfzmq.core.contract import Apply, Event, Persist, Propose, Publish, ReadIndex, Received, Reply, Send, Tick
from hfzmq.core.messages import AppendReply, AppendRequest, Message, TimeoutNow, VoteReply, VoteRequest
from hfzmq.core.types import HardState
from tests.unit.core_bench import (
    LEASE,
    Bench,
    append,
    ask,
    changes,
    heartbeat,
    log_of,
    only,
    statuses,
    vote,
)


def led_by(leader: int, bench: Bench, term: int = 1) -> Bench:
    """A follower that hears a leader."""
    bench.hear(leader, append(term, []))
    bench.outbox.clear()
    assert (bench.replica.role, bench.replica.leader) == ("follower", leader)
    return bench


# ------------------------------------------------------------ the start


def test_when_peers_start_they_begin_as_followers_and_say_so() -> None:
    bench = Bench(2, hard_state=HardState(4, 1))
    effects = bench.do(Tick())
    assert (bench.replica.role, bench.replica.term, bench.replica.leader) == ("follower", 4, 0)
    assert [publish.heartbeat.term for publish in only(Publish, effects)] == [4]
    assert not only(Persist, effects)


def test_every_peer_publishes_a_heartbeat_every_hundred_milliseconds() -> None:
    bench = Bench(2)
    beats = [len(only(Publish, bench.wait(10))) for _ in range(60)]
    assert sum(beats) == 6
    assert max(beats) == 1


# ------------------------------------------------------------ terms (Raft paper, 5.1)


@pytest.mark.parametrize("role", ["follower", "candidate", "leader"])
def test_whoever_sees_a_later_term_takes_it_and_becomes_a_follower(role: str) -> None:
    """'If one server's current term is smaller than the other's, then it updates its current term to the larger value.
    If a candidate or leader discovers that its term is out of date, it immediately reverts to follower state.'"""
    bench = Bench(1)
    if role == "candidate":
        bench.campaign()
    elif role == "leader":
        bench.lead()
    assert bench.replica.role == role
    effects = bench.hear(3, append(9, log_of(9)))
    assert (bench.replica.role, bench.replica.term, bench.replica.leader) == ("follower", 9, 3)
    assert only(Persist, effects)[0].hard_state == HardState(9, 0)
    assert changes(effects)[-1] == ("follower", 9, 3)


def test_a_request_with_a_stale_term_is_rejected_with_the_own_term() -> None:
    bench = Bench(2, hard_state=HardState(5, 0))
    bench.hear(1, append(4, log_of(4), commit=1, number=7))
    assert bench.said(AppendReply) == AppendReply(5, False, 0, 7)
    assert (bench.replica.leader, bench.replica.log.last.index, bench.replica.commit) == (0, 0, 0)


def test_a_refusal_from_a_later_term_ends_a_leadership() -> None:
    for reply in (AppendReply(9, False, 0, 1), VoteReply(9, False, False), VoteReply(9, True, False)):
        bench = Bench(1)
        bench.lead()
        bench.hear(2, reply)
        assert (bench.replica.role, bench.replica.term) == ("follower", 9)


def test_a_granted_pre_vote_of_a_later_term_ends_nothing() -> None:
    bench = Bench(1)
    bench.lead()
    bench.hear(2, bench.would_vote(9))
    assert (bench.replica.role, bench.replica.term) == ("leader", 1)


def test_what_seems_to_come_from_oneself_and_what_strangers_answer_is_not_heard() -> None:
    bench = Bench(1)
    bench.hear(1, append(9, log_of(9)))
    for answer in (VoteReply(9, False, False), AppendReply(9, True, 5, 1)):
        bench.hear(9, answer)
        bench.do(Received(2, answer, b"another life of 2"))
    bench.beat(9, heartbeat(9, role="leader"))
    assert (bench.replica.term, bench.outbox, bench.replica.liveness.alive(bench.now)) == (0, [], ())


def test_an_append_of_another_leader_in_ones_own_term_brings_nobody_down() -> None:
    bench = Bench(1)
    bench.serve()
    last = bench.replica.log.last
    bench.hear(2, append(1, log_of(1, 1, 1)))
    assert (bench.replica.role, bench.replica.log.last) == ("leader", last)


# ------------------------------------------------------------ elections (5.2)


def test_no_leader_heard_for_a_lease_leads_to_pre_votes_and_these_write_nothing() -> None:
    bench = led_by(1, Bench(2))
    assert changes(bench.wait(LEASE - 1)) == []
    effects = bench.wait(LEASE * 0.05 + 2)
    assert changes(effects) == [("precandidate", 1, 0)]
    assert {(send.to, send.message) for send in only(Send, effects)} == {
        (voter, VoteRequest(2, bench.replica.log.last, True, False, asked_ms=int(bench.now))) for voter in (1, 3)
    }
    assert not only(Persist, effects)


def test_a_candidate_asks_for_votes_only_when_its_own_is_on_disk() -> None:
    bench = Bench(1)
    bench.wait(LEASE * 1.1)
    bench.outbox.clear()
    effects = bench.take(Received(2, bench.would_vote(1)))
    assert only(Persist, effects) == [Persist(1, HardState(1, 1), None, ())]
    assert bench.outbox == []
    bench.sync()
    assert [(send.to, send.message) for send in bench.outbox] == [
        (2, vote(1)),
        (3, vote(1)),
    ]


def test_a_majority_of_votes_makes_a_leader_which_appends_a_no_op_of_its_term() -> None:
    bench = Bench(1, (1, 2, 3, 4, 5))
    bench.campaign()
    assert changes(bench.hear(4, VoteReply(1, False, True))) == []
    effects = bench.hear(5, VoteReply(1, False, True))
    assert changes(effects) == [("leader", 1, 1)]
    (entry,) = next(persist for persist in only(Persist, effects) if persist.entries).entries
    assert (entry.index, entry.term, entry.origin, entry.body) == (1, 1, None, b"")
    assert {send.to for send in only(Send, effects) if isinstance(send.message, AppendRequest)} == {2, 3, 4, 5}


def test_a_campaign_asks_again_soon_for_its_requests_may_be_lost() -> None:
    bench = Bench(1)
    bench.campaign()
    bench.outbox.clear()
    assert bench.wait(LEASE * 0.05) is not None
    assert bench.outbox == []
    bench.wait(LEASE * 0.06)
    assert [send.message for send in bench.outbox] == [vote(1), vote(1)]


def test_a_round_without_a_majority_ends_in_pre_votes_for_the_next_term() -> None:
    bench = Bench(1)
    bench.campaign()
    assert changes(bench.wait(LEASE * 0.56)) == [("precandidate", 1, 0)]
    assert replace(bench.sent(VoteRequest)[-1], asked_ms=0) == vote(2, pre=True)
    assert bench.replica.term == 1


def test_a_candidate_that_hears_the_leader_of_its_term_follows_it() -> None:
    """'While waiting for votes, a candidate may receive an AppendEntries RPC from another server claiming to be leader.
    If the leader's term is at least as large as the candidate's, it recognizes the leader as legitimate.'"""
    bench = Bench(1)
    term = bench.campaign()
    assert changes(bench.hear(3, append(term, [])))[-1] == ("follower", term, 3)
    assert bench.hear(2, VoteReply(term, False, True)) == []


def test_alone_a_peer_leads_when_its_own_vote_is_on_disk() -> None:
    bench = Bench(1, (1,))
    bench.now = LEASE * 1.1
    bench.take(Tick())
    assert bench.replica.role == "candidate"
    bench.sync()
    assert bench.replica.serves


def test_the_more_lower_ids_are_heard_the_later_a_peer_campaigns() -> None:
    bench = Bench(3)
    for lower in (1, 2):
        bench.beat(lower, heartbeat(0))
    bench.now = LEASE * 0.9
    for lower in (1, 2):
        bench.beat(lower, heartbeat(0))
    assert changes(bench.wait(LEASE * 0.49)) == []
    assert changes(bench.beat(1, heartbeat(0, willing=False))) == [("precandidate", 0, 0)]


# ------------------------------------------------------------ votes and what they promise


def test_a_vote_leaves_only_when_it_is_on_disk() -> None:
    bench = Bench(2)
    bench.now = LEASE
    effects = bench.take(Received(1, vote(1)))
    assert only(Persist, effects) == [Persist(1, HardState(1, 1), None, ())]
    assert not only(Send, effects)
    bench.sync()
    assert bench.said(VoteReply, 1) == VoteReply(1, False, True)


def test_a_vote_that_is_asked_for_again_before_it_is_on_disk_waits_too() -> None:
    bench = Bench(2)
    bench.now = LEASE
    bench.take(Received(1, vote(1)))
    bench.take(Received(1, vote(1)))
    assert bench.outbox == []
    bench.sync()
    assert bench.sent(VoteReply, 1) == [VoteReply(1, False, True)] * 2


def test_a_vote_of_a_term_that_is_over_before_it_was_on_disk_never_leaves() -> None:
    bench = Bench(2)
    bench.now = LEASE
    bench.take(Received(1, vote(1)))
    bench.take(Received(3, vote(2, hand_over=True)))
    bench.sync()
    assert [(send.to, send.message) for send in bench.outbox] == [(3, VoteReply(2, False, True))]


def test_after_a_restart_the_vote_of_the_term_stands() -> None:
    bench = Bench(2, hard_state=HardState(3, 1))
    bench.now = LEASE
    bench.hear(3, vote(3))
    assert bench.said(VoteReply, 3) == VoteReply(3, False, False)
    bench.hear(1, vote(3))
    assert bench.said(VoteReply, 1) == VoteReply(3, False, False), "it may be another life of 1 that asks now"


def test_a_peer_that_has_just_started_gives_no_vote_for_a_lease_for_it_may_have_known_a_leader() -> None:
    bench = Bench(2)
    bench.now = LEASE - 1
    bench.hear(1, vote(1))
    assert (bench.outbox, bench.replica.term) == ([], 0)
    bench.now = LEASE
    bench.hear(1, vote(1))
    assert bench.said(VoteReply).granted


def test_whoever_hears_a_live_leader_is_disturbed_by_no_campaign() -> None:
    bench = led_by(1, Bench(2))
    bench.hear(3, vote(7))
    assert (bench.outbox, bench.replica.term, bench.replica.leader) == ([], 1, 1)


def test_a_pre_vote_is_answered_at_once_and_writes_nothing() -> None:
    bench = Bench(2, hard_state=HardState(3, 1))
    bench.now = LEASE
    effects = bench.take(Received(3, vote(4, pre=True)))
    assert effects[0] == Send(3, VoteReply(4, True, True))
    assert not only(Persist, effects)
    assert (bench.replica.term, bench.replica.election.vote) == (3, 1)


# ------------------------------------------------------------ appends and what they promise


@pytest.mark.parametrize("again", [append(1, log_of(1, 1)), append(1, log_of(1, 1), after=2)])
def test_an_ack_also_of_an_empty_or_repeated_append_leaves_only_when_its_entries_are_on_disk(
    again: AppendRequest,
) -> None:
    bench = Bench(2, hard_state=HardState(1, 0))
    effects = bench.take(Received(1, append(1, log_of(1, 1))))
    assert only(Persist, effects) == [Persist(1, None, None, tuple(log_of(1, 1)))]
    bench.take(Received(1, again))
    assert bench.outbox == []
    bench.sync()
    assert [reply.match for reply in bench.sent(AppendReply)] == [2, 2]


def test_an_ack_of_an_earlier_term_never_leaves_for_its_entries_may_be_dropped_meanwhile() -> None:
    bench = Bench(2)
    bench.take(Received(1, append(1, log_of(1, 1))))
    bench.take(Received(3, append(2, log_of(2))))
    bench.sync()
    assert [(send.to, send.message) for send in bench.outbox] == [(3, AppendReply(2, True, 1, 1))]


def test_a_refusal_too_tells_a_term_only_when_that_is_on_disk() -> None:
    bench = Bench(2)
    bench.take(Received(1, append(5, log_of(5, 5), after=2)))
    assert bench.outbox == []
    bench.sync()
    assert bench.said(AppendReply) == AppendReply(5, False, 0, 1)


def test_conflicting_entries_are_dropped_and_the_leaders_taken_in_one_write() -> None:
    bench = Bench(2, hard_state=HardState(2, 0), log=log_of(1, 1, 2))
    effects = bench.hear(1, append(3, log_of(1, 3), after=1))
    (persist,) = only(Persist, effects)
    assert (persist.truncate_from, persist.entries, persist.hard_state) == (2, (log_of(1, 3)[1],), HardState(3, 0))
    assert bench.said(AppendReply) == AppendReply(3, True, 2, 1)


def test_a_committed_entry_is_never_dropped() -> None:
    bench = Bench(2)
    bench.hear(1, append(1, log_of(1, 1), commit=2))
    with pytest.raises(AssertionError, match="committed entry"):
        bench.hear(3, append(2, log_of(1, 2), after=1))


# ------------------------------------------------------------ commit and apply (5.3)


def test_a_follower_applies_what_the_leader_has_committed_as_far_as_the_logs_agree() -> None:
    bench = Bench(2, log=log_of(1, 1, 1), hard_state=HardState(1, 0))
    leader = log_of(1, 1, 2, 2)
    effects = bench.hear(1, append(2, leader, after=1, upto=2, commit=4))
    assert bench.replica.commit == 2, "entry 3 may be another one"
    assert [entry.index for apply in only(Apply, effects) for entry in apply.entries] == [1, 2]
    bench.hear(1, append(2, leader, after=2, commit=4))
    assert (bench.replica.commit, bench.replica.applied) == (4, 4)


def test_a_late_append_takes_no_commit_back() -> None:
    bench = Bench(2)
    bench.hear(1, append(1, log_of(1, 1), commit=2))
    bench.hear(1, append(1, log_of(1, 1), upto=1, commit=1))
    bench.hear(1, append(1, []))
    assert (bench.replica.commit, bench.replica.applied, bench.replica.log.last.index) == (2, 2, 2)


def test_entries_are_written_before_they_are_applied_and_one_apply_is_under_way_at_a_time() -> None:
    bench = Bench(2)
    effects = bench.take(Received(1, append(1, log_of(1), commit=1)))
    assert [type(effect) for effect in effects if isinstance(effect, (Persist, Apply))] == [Persist, Apply]
    effects = bench.take(Received(1, append(1, log_of(1, 1), after=1, commit=2)))
    assert not only(Apply, effects)
    bench.sync()
    assert bench.replica.applied == 2


# ------------------------------------------------------------ TimeoutNow


def test_timeout_now_from_the_leader_starts_a_campaign_at_once_that_carries_the_flag() -> None:
    bench = led_by(3, Bench(1))
    effects = bench.hear(3, TimeoutNow(1))
    assert changes(effects) == [("candidate", 2, 0)]
    assert bench.sent(VoteRequest) == [vote(2, hand_over=True)] * 2


@pytest.mark.parametrize(("sender", "term"), [(3, 0), (3, 2), (2, 1)])
def test_timeout_now_of_another_term_or_of_somebody_else_is_nothing(sender: int, term: int) -> None:
    bench = led_by(3, Bench(1))
    assert changes(bench.hear(sender, TimeoutNow(term))) == []
    assert bench.outbox == []


# ------------------------------------------------------------ clients of a peer that does not lead


def test_a_follower_points_to_the_leader_it_hears() -> None:
    bench = led_by(3, Bench(1))
    for event in (Propose((ask(1),)), ReadIndex("r")):
        (reply,) = only(Reply, bench.do(event))
        assert (reply.status, reply.leader) == ("NOT_LEADER", 3)


def test_a_peer_that_hears_a_majority_but_no_leader_says_so_and_one_that_hears_none_says_no_quorum() -> None:
    bench = Bench(1)
    bench.now = 2 * LEASE
    assert statuses(bench.propose(ask(1, route="r"))) == [("r", "NO_QUORUM")]
    bench.beat(2, heartbeat(0))
    assert statuses(bench.propose(ask(1, route="r"))) == [("r", "NOT_LEADER")]


# ------------------------------------------------------------ clocks and disks


def test_a_peer_whose_disk_hangs_does_not_campaign_for_it_could_not_even_vote_for_itself() -> None:
    bench = Bench(2)
    bench.take(Received(1, append(1, log_of(1))))
    bench.now = 3 * LEASE
    assert changes(bench.take(Tick())) == []
    assert not bench.replica.heartbeat(bench.now).willing
    bench.sync()
    assert bench.replica.role == "precandidate"


@pytest.mark.parametrize("message", [None, append(1, log_of(1), commit=1), vote(1), vote(1, pre=True), TimeoutNow(0)])
def test_after_a_tick_the_next_one_is_due_later_so_that_no_loop_spins(message: Message | None) -> None:
    for me in (1, 2, 3):
        bench = Bench(me)
        for _ in range(400):
            event: Event = Tick()
            bench.do(event)
            due = bench.replica.wake_at_ms(bench.now)
            assert due > bench.now
            bench.now = due
            if message and 1200 < due < 1400:
                bench.hear(3 if me != 3 else 1, message)
