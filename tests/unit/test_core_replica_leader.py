"""The one door, as a leader: what it owes, whom it answers, when it stops. Transcripts, as in test_core_replica."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hfzmq.config import Limits
from hfzmq.core.contract import Apply, Persist, Propose, Publish, ReadIndex, Received, Reply, Resign, Send, Tick
from hfzmq.core.messages import AppendReply, AppendRequest, TimeoutNow, VoteReply
from hfzmq.core.sessions import Session
from hfzmq.core.types import HardState, Place
from tests.unit.core_bench import (
    LEASE,
    TIMING,
    Bench,
    append,
    ask,
    batch,
    changes,
    end_of,
    heartbeat,
    log_of,
    only,
    origin,
    statuses,
    vote,
)


def serving(me: int = 1, voters: tuple[int, ...] = (1, 2, 3), limits: Limits | None = None) -> Bench:
    bench = Bench(me, voters, limits=limits)
    bench.serve()
    bench.outbox.clear()
    return bench


def live(bench: Bench, duration_ms: float, *beating: int, step_ms: float = 50) -> None:
    """Time passes; followers answer everything, and ``beating`` send heartbeats."""
    for _ in range(int(duration_ms / step_ms)):
        bench.now += step_ms
        for peer in beating:
            bench.beat(peer, heartbeat(bench.replica.term))
        bench.do(Tick())
        bench.answer(*bench.others)


# ------------------------------------------------------------ the no-op first (rule 10)


def test_before_its_no_op_commits_a_leader_neither_acknowledges_nor_reads_nor_proposes() -> None:
    bench = Bench(1)
    bench.lead()
    assert bench.replica.serves is False
    assert bench.propose(ask(1)) == []
    assert statuses(bench.do(ReadIndex("read"))) == [("read", "NOT_LEADER")]
    assert bench.replica.log.last.index == 1, "only the no-op"
    effects = bench.answer(2)
    assert bench.replica.log.last.index == 2, "what was queued is proposed when the no-op has committed"
    assert statuses(effects) == [(("bed-1", 1), "ACK")]


def test_a_stored_request_is_acknowledged_again_only_after_the_no_op_too() -> None:
    entry = batch(Place(0, 0, bytes(16)), 1, 1)
    bench = Bench(
        1,
        log=[entry],
        hard_state=HardState(1, 1),
        stored={origin(1).session: Session(1, origin(1).digest, 1, 1)},
        applied=1,
    )
    bench.lead()
    assert bench.propose(ask(1)) == []
    assert only(Reply, bench.answer(2)) == [Reply(("bed-1", 1), "ACK", seq=1, term=1, index=1)]


def test_entries_of_earlier_terms_are_committed_only_together_with_the_no_op() -> None:
    bench = Bench(1, log=log_of(1, 2), hard_state=HardState(2, 2))
    bench.lead()
    request = bench.sent(AppendRequest, 2)[-1]
    bench.hear(2, AppendReply(3, True, 2, request.round))
    assert bench.replica.commit == 0
    bench.answer(2)
    assert bench.replica.commit == 3


# ------------------------------------------------------------ the way of a request (rules 14, 19)


def test_the_way_of_a_request_from_the_client_to_its_ack() -> None:
    bench = serving()
    effects = bench.take(Propose((ask(1),)))
    assert [effect.entries[0].index for effect in only(Persist, effects)] == [2]
    assert {send.to for send in only(Send, effects)} == {2, 3}, "sent before the leader has synced"
    assert only(Reply, bench.sync()) == [], "on one disk of three"
    assert bench.replica.commit == 1
    request = bench.said(AppendRequest, 2)
    effects = bench.take(Received(2, AppendReply(1, True, 2, request.round)))
    assert bench.replica.commit == 2
    assert len(only(Apply, effects)) == 1
    assert only(Reply, effects) == [], "committed, and not yet applied"
    assert only(Reply, bench.sync()) == [Reply(("bed-1", 1), "ACK", seq=1, term=1, index=2)]


def test_the_leaders_disk_is_counted_like_anyones() -> None:
    bench = serving()
    bench.take(Propose((ask(1),)))
    round_of = bench.sent(AppendRequest, 2)[-1].round
    bench.take(Received(2, AppendReply(1, True, 2, round_of)))
    assert bench.replica.commit == 1, "on the disk of one follower only"
    bench.take(Received(3, AppendReply(1, True, 2, round_of)))
    assert bench.replica.commit == 2, "two followers are a majority"


def test_followers_learn_of_a_commit_with_the_next_append() -> None:
    bench = serving()
    bench.propose(ask(1))
    bench.answer(2, 3)
    bench.wait(100)
    assert [request.commit for request in bench.sent(AppendRequest)] == [2, 2]


def test_one_write_and_one_append_to_each_follower_for_all_requests_of_a_turn() -> None:
    bench = serving()
    effects = bench.take(Propose(tuple(ask(1, client=f"bed-{number}") for number in range(50))))
    assert [len(effect.entries) for effect in only(Persist, effects)] == [50]
    assert [len(request.entries) for request in bench.sent(AppendRequest)] == [50, 50]


# ------------------------------------------------------------ consistent reads (rule 16)


def test_a_consistent_read_is_answered_after_a_round_that_began_after_the_question() -> None:
    bench = serving()
    bench.wait(100)
    (before, _) = bench.sent(AppendRequest)
    assert only(Reply, bench.do(ReadIndex("read"))) == []
    (asked, _) = bench.sent(AppendRequest)
    assert asked.round > before.round
    assert only(Reply, bench.hear(2, AppendReply(1, True, 1, before.round))) == []
    assert only(Reply, bench.hear(2, AppendReply(1, True, 1, asked.round))) == [Reply("read", "READ", term=1, index=1)]


def test_a_consistent_read_waits_until_what_was_committed_is_applied() -> None:
    bench = serving()
    bench.propose(ask(1))
    request = bench.sent(AppendRequest, 2)[-1]
    bench.take(Received(2, AppendReply(1, True, 2, request.round)))
    bench.take(ReadIndex("read"))
    round_of = bench.sent(AppendRequest, 2)[-1].round
    assert only(Reply, bench.take(Received(2, AppendReply(1, True, 2, round_of)))) == []
    assert {("read", "READ"), (("bed-1", 1), "ACK")} == set(statuses(bench.sync()))


def test_a_leader_that_is_deposed_serves_no_read_that_waits() -> None:
    bench = serving()
    bench.do(ReadIndex("read"))
    assert statuses(bench.hear(2, AppendReply(2, False, 0, 1))) == [("read", "NOT_LEADER")]


def test_reads_that_wait_for_another_voter_are_answered_when_that_one_is_removed() -> None:
    """Once: the second one waited for a round that could not begin any more, until its client asked again."""
    bench = Bench(1, (1, 2))
    bench.serve()
    for read in ("under way", "yet to begin"):
        assert statuses(bench.do(ReadIndex(read))) == []
    assert set(statuses(bench.change("remove", 2) + bench.wait(1))) == {
        ("operator", "ACK"),
        ("under way", "READ"),
        ("yet to begin", "READ"),
    }


def test_alone_a_read_is_answered_at_once() -> None:
    bench = Bench(1, (1,))
    bench.wait(1.1 * LEASE)
    assert statuses(bench.do(ReadIndex("read"))) == [("read", "READ")]


# ------------------------------------------------------------ stepping down (rule 11)


def test_a_leader_without_a_majoritys_acks_for_four_fifths_of_a_lease_steps_down_and_sends_its_clients_away() -> None:
    bench = serving()
    bench.propose(ask(1, route="waiting"))
    bench.do(ReadIndex("reading"))
    assert changes(bench.wait(0.8 * LEASE)) == []
    effects = bench.wait(1)
    assert changes(effects)[0][0] != "leader"
    assert set(statuses(effects)) == {("waiting", "NOT_LEADER"), ("reading", "NOT_LEADER")}
    assert bench.replica.leading is None


def test_the_lease_of_a_leader_is_measured_from_when_it_sent_not_from_when_the_answer_came() -> None:
    bench = serving()
    bench.wait(100)
    (request, _) = bench.sent(AppendRequest)
    bench.now += 0.7 * LEASE
    bench.hear(2, AppendReply(1, True, 1, request.round))
    assert bench.replica.leading
    bench.wait(0.1 * LEASE + 1)
    assert not bench.replica.leading


def test_a_follower_that_answers_keeps_the_leader_even_if_the_others_are_silent() -> None:
    bench = serving()
    for _ in range(50):
        bench.wait(100)
        bench.answer(2)
    assert bench.replica.serves


def test_a_leader_whose_disk_has_finished_nothing_for_a_lease_steps_down_though_its_followers_answer() -> None:
    bench = serving()
    bench.take(Propose((ask(1),)))
    began = bench.now
    while bench.replica.leading and bench.now < began + 3 * LEASE:
        bench.now += 50
        bench.take(Tick())
        for send in list(bench.outbox):
            if isinstance(send.message, AppendRequest):
                request = send.message
                match = request.prev.index + len(request.entries)
                bench.take(Received(send.to, AppendReply(1, True, match, request.round)))
        bench.outbox.clear()
    assert 0.9 * LEASE <= bench.now - began <= 1.1 * LEASE
    assert not bench.replica.heartbeat(bench.now).willing


def test_an_idle_leader_writes_something_so_that_its_heartbeats_tell_of_a_live_disk() -> None:
    bench = serving()
    probes = 0
    for _ in range(20):
        probes += sum(1 for effect in only(Persist, bench.wait(100)) if effect == Persist(effect.token, None, None, ()))
        bench.answer(2, 3)
        assert bench.replica.heartbeat(bench.now).fsync_age_ms <= 0.5 * LEASE
    assert 3 <= probes <= 7


def test_what_waits_when_a_later_leader_is_heard_is_sent_away_and_may_still_commit() -> None:
    bench = serving()
    bench.propose(ask(1, route="waiting"))
    entries = bench.replica.log.between(0, 2)
    effects = bench.hear(2, append(2, [*entries, *log_of()], after=2, commit=2))
    assert ("waiting", "NOT_LEADER") in statuses(effects)
    assert bench.replica.applied == 2
    assert [status for _, status in statuses(effects)].count("ACK") == 0


# ------------------------------------------------------------ bounds (rule 15)


def test_beyond_its_uncommitted_bytes_a_leader_answers_busy_and_appends_nothing() -> None:
    bench = serving(limits=Limits(uncommitted_bytes_max=1000))
    asked = [ask(1, client=f"bed-{number}", text=bytes(300)) for number in range(10)]
    busy = [status for _, status in statuses(bench.propose(*asked))]
    assert busy == ["BUSY"] * len(busy)
    assert 5 <= len(busy) < 10
    assert bench.replica.log.last.index == 11 - len(busy)
    bench.answer(2, 3)
    assert statuses(bench.propose(ask(1, client="bed-9", text=bytes(300)))) == []


# ------------------------------------------------------------ hand-over to the bully (rule 12)


def leader_2_with_1_well() -> Bench:
    """Peer 2 leads, peer 1 has been well for almost as long as it takes."""
    bench = serving(2)
    live(bench, TIMING.handover_settle_ms - 100, 1, 3)
    assert bench.replica.hand_over.transfer is None
    assert bench.sent(TimeoutNow) == []
    return bench


def test_a_lower_id_that_has_been_well_for_the_settle_time_is_told_to_campaign_when_it_holds_everything() -> None:
    bench = leader_2_with_1_well()
    live(bench, 200, 1, 3)
    assert bench.said(TimeoutNow, 1) == TimeoutNow(1)


def test_during_a_hand_over_proposals_wait_and_timeout_now_waits_for_the_last_entry() -> None:
    bench = leader_2_with_1_well()
    bench.propose(ask(1, route="before"))
    bench.now += 200
    for peer in (1, 3):
        bench.beat(peer, heartbeat(1))
    assert bench.replica.hand_over.transfer is not None
    assert bench.sent(TimeoutNow) == [], "entry 2 is on its way"
    last = bench.replica.log.last.index
    assert bench.propose(ask(1, client="bed-2", route="during")) == []
    assert bench.replica.log.last.index == last
    bench.answer(1)
    assert bench.said(TimeoutNow, 1) == TimeoutNow(1)


def test_a_leader_that_hands_over_votes_for_its_successor_and_sends_its_clients_there() -> None:
    bench = leader_2_with_1_well()
    live(bench, 200, 1, 3)
    bench.propose(ask(1, route="queued"))
    effects = bench.hear(1, vote(2, [*bench.replica.log.between(0, 1)], hand_over=True))
    assert bench.said(VoteReply, 1) == VoteReply(2, False, True)
    assert [(reply.route, reply.status, reply.leader) for reply in only(Reply, effects)] == [
        ("queued", "NOT_LEADER", 1)
    ]


def test_a_hand_over_that_is_not_taken_within_a_lease_is_aborted_and_what_waited_is_proposed() -> None:
    bench = leader_2_with_1_well()
    live(bench, 200, 1, 3)
    assert bench.propose(ask(1, route="queued")) == []
    bench.outbox.clear()
    live(bench, LEASE + 100, 3)
    assert bench.replica.serves
    assert bench.replica.hand_over.transfer is None
    assert bench.replica.log.last.index == 2
    assert statuses(bench.propose(ask(1, route="again"))) == [("again", "ACK")]


@pytest.mark.parametrize("beat", [heartbeat(1, willing=False), heartbeat(1, hears=(3,)), heartbeat(1, hears=())])
def test_a_lower_id_that_is_not_well_is_given_nothing(beat: object) -> None:
    bench = serving(2)
    for _ in range(100):
        bench.now += 50
        bench.beat(1, beat)  # type: ignore[arg-type]
        bench.answer(1, 3)
    assert bench.sent(TimeoutNow) == []


def test_a_higher_id_is_given_nothing_as_long_as_the_leader_stays() -> None:
    bench = serving(1)
    live(bench, 5 * TIMING.handover_settle_ms, 2, 3)
    assert bench.sent(TimeoutNow) == []


# ------------------------------------------------------------ stopping


def test_a_leader_that_is_asked_to_stop_hands_over_at_once_to_the_lowest_that_is_well() -> None:
    bench = serving(1)
    live(bench, 200, 2, 3)
    bench.do(Resign())
    assert bench.said(TimeoutNow, 2) == TimeoutNow(1)
    assert statuses(bench.propose(ask(1, route="late"))) == [("late", "NOT_LEADER")]


def test_a_peer_that_is_asked_to_stop_says_so_at_once_and_campaigns_no_more() -> None:
    bench = Bench(2)
    bench.wait(10)
    effects = bench.do(Resign())
    assert [publish.heartbeat.willing for publish in only(Publish, effects)] == [False]
    for _ in range(50):
        assert changes(bench.wait(100)) == []
    bench.hear(3, append(1, []))
    assert changes(bench.hear(3, TimeoutNow(1))) == []


def test_a_peer_that_is_asked_to_stop_still_votes_and_acknowledges_appends() -> None:
    bench = Bench(2)
    bench.now = LEASE
    bench.do(Resign())
    bench.hear(1, vote(1))
    assert bench.said(VoteReply).granted
    bench.hear(1, append(1, log_of(1)))
    assert bench.said(AppendReply).accepted


def test_the_end_of_the_log_is_what_a_candidate_asks_with() -> None:
    bench = Bench(1, log=log_of(1, 2), hard_state=HardState(2, 2))
    bench.wait(LEASE * 1.1)
    assert bench.outbox[0].message == replace(vote(3, log_of(1, 2), pre=True), asked_ms=int(bench.now))
    assert end_of(log_of(1, 2)) == bench.replica.log.last
