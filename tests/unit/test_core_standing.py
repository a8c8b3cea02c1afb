"""What a peer is to its mesh: stranger, learner, voter, removed, forgotten; and what it does about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hfzmq.core.contract import Halt, Send
from hfzmq.core.membership import encode
from hfzmq.core.memory import Memory
from hfzmq.core.messages import AppendReply, Disowned, Expelled, JoinRequest, TimeoutNow, VoteReply, VoteRequest
from hfzmq.core.types import CONFIG, Entry, Place, chained
from tests.unit.core_bench import LEASE, Bench, append, end_of, first_peers, heartbeat, member, only, vote

OLD, NEW, OTHER = b"o" * 16, b"n" * 16, b"x" * 16
BOUND = first_peers(1, 2, 3).bound({1: OLD, 2: OLD, 3: OLD})
LIVES = {1: OLD, 2: OLD, 3: OLD}


def peer(me: int = 1, incarnation: bytes = OLD, **other: object) -> Bench:
    """A peer of a founded mesh in which everybody lives the life OLD."""
    return Bench(me, membership=BOUND, incarnation=incarnation, lives=LIVES, **other)  # type: ignore[arg-type]


def changed(*memberships: object) -> list[Entry]:
    """A log of changes of members."""
    log: list[Entry] = []
    for one in memberships:
        log.append(chained(end_of(log), 1, CONFIG, None, encode(one)))  # type: ignore[arg-type]
    return log


# ------------------------------------------------------------ who is counted


def test_the_vote_of_another_life_of_a_voter_is_not_counted() -> None:
    bench = peer()
    term = bench.campaign()
    bench.hear(2, VoteReply(term, False, True), NEW)
    bench.hear(9, VoteReply(term, False, True), OLD)
    assert bench.replica.role == "candidate"
    bench.hear(2, VoteReply(term, False, True))
    assert bench.replica.role == "leader"


def test_the_pre_vote_of_another_life_of_a_voter_is_not_counted() -> None:
    bench = peer()
    bench.wait(2 * LEASE)
    assert bench.replica.role == "precandidate"
    bench.hear(2, bench.would_vote(1), NEW)
    assert bench.replica.role == "precandidate"
    bench.hear(2, bench.would_vote(1))
    assert bench.replica.role == "candidate"


def test_a_refusal_by_another_life_does_not_move_a_peer_to_its_term() -> None:
    bench = peer()
    bench.campaign()
    bench.hear(2, VoteReply(99, False, False), NEW)
    assert bench.replica.term == 1


def test_what_another_life_says_that_it_holds_commits_nothing() -> None:
    bench = peer()
    bench.lead()
    (request,) = bench.sent(type(append(1, [])), 2)
    bench.hear(2, AppendReply(1, True, 1, request.round), NEW)
    assert not bench.replica.serves
    bench.answer(2)
    bench.wait(100)
    bench.answer(2)
    assert bench.replica.serves


def test_the_heartbeat_of_another_life_is_no_sign_of_life() -> None:
    bench = peer()
    bench.beat(2, heartbeat(0), NEW)
    assert bench.replica.liveness.alive(bench.now) == ()
    bench.beat(2, heartbeat(0))
    assert bench.replica.liveness.alive(bench.now) == (2,)


def test_a_learner_neither_campaigns_nor_takes_the_lead_it_is_offered() -> None:
    mesh = BOUND.with_learner(member(4, NEW))
    bench = Bench(4, membership=mesh, incarnation=NEW, lives=LIVES)
    for _ in range(5):
        bench.wait(LEASE)
    assert (bench.replica.role, bench.replica.term) == ("follower", 0)
    bench.hear(1, append(3, []))
    bench.hear(1, TimeoutNow(3))
    assert (bench.replica.role, bench.replica.term) == ("follower", 3)
    assert bench.sent(VoteRequest) == []
    assert not bench.replica.heartbeat(bench.now).willing


def test_a_peer_that_lost_its_disk_does_not_campaign_in_the_mesh_that_it_has_learned_of() -> None:
    bench = peer(3, NEW)
    for _ in range(5):
        bench.wait(LEASE)
    assert (bench.replica.role, bench.replica.term, bench.sent(VoteRequest)) == ("follower", 0, [])


def test_a_vote_is_given_to_whoever_has_a_good_log_for_its_list_of_members_may_be_newer() -> None:
    bench = peer()
    bench.now = 2.0 * LEASE
    bench.hear(7, vote(1), NEW)
    assert bench.said(VoteReply, 7).granted


def test_a_leader_that_this_peer_does_not_know_yet_is_followed_for_its_log_says_who_it_is() -> None:
    bench = peer(2)
    mesh = BOUND.with_learner(member(4, NEW)).with_voter(4)
    bench.hear(4, append(1, changed(mesh), commit=1), NEW)
    assert (bench.replica.leader, bench.replica.membership.voters) == (4, (1, 2, 3, 4))


# ------------------------------------------------------------ asking


def test_a_member_that_a_leader_sends_to_asks_nothing() -> None:
    bench = peer(2)
    for _ in range(30):
        bench.now += 200
        bench.hear(1, append(1, []))
    assert bench.sent(JoinRequest) == []


def test_a_member_to_which_nobody_sends_anything_asks_everybody_else_once_a_lease() -> None:
    bench = peer(2)
    for _ in range(60):
        bench.wait(100)
    asked = [send for send in bench.outbox if isinstance(send.message, JoinRequest)]
    assert {send.to for send in asked} == {1, 3}
    # The first two leases it has every reason to wait; then once a lease, 2 to 6.
    assert len([send for send in asked if send.to == 1]) == 5
    assert all(send.message == JoinRequest(member(2, OLD)) for send in asked)


def test_a_peer_that_is_no_member_asks_even_while_a_leader_sends_it_the_log() -> None:
    bench = peer(2, NEW)
    for _ in range(15):
        bench.now += 100
        bench.hear(1, append(1, []))
    assert [send.to for send in bench.outbox if isinstance(send.message, JoinRequest)] == [1, 3]


def test_a_leader_asks_nobody_whether_it_belongs() -> None:
    bench = peer()
    bench.serve()
    bench.live(5 * LEASE, 2, 3)
    assert bench.sent(JoinRequest) == []


def test_a_wish_to_join_that_comes_to_a_follower_goes_on_to_its_leader() -> None:
    bench = peer(2)
    bench.hear(1, append(1, []))
    request = JoinRequest(member(4, NEW, votes=False))
    bench.hear(4, request, NEW)
    assert bench.said(JoinRequest, 1) == request


def test_a_wish_to_join_is_not_passed_on_twice_nor_in_another_name_nor_to_nobody() -> None:
    request = JoinRequest(member(4, NEW, votes=False))
    bench = peer(2)
    bench.hear(4, request, NEW)  # no leader is known
    bench.hear(1, append(1, []))
    bench.hear(3, request)  # passed on by 3, which takes this peer for the leader
    bench.hear(4, request, OTHER)  # it is another one that says so
    assert bench.sent(JoinRequest) == []


def test_a_leader_takes_a_wish_from_who_wishes_or_from_a_member_and_from_no_other_stranger() -> None:
    bench = peer()
    bench.serve()
    request = JoinRequest(member(4, NEW, votes=False))
    assert bench.replica.leading
    for sender, life, heard in ((5, NEW, False), (2, NEW, False), (4, OTHER, False), (2, OLD, True)):
        bench.hear(sender, request, life)
        assert bool(bench.replica.leading.changes.asking(bench.now)) is heard, (sender, life)


# ------------------------------------------------------------ removed


GONE = changed(BOUND.without(3))


def test_whoever_was_removed_is_told_so_when_it_speaks_and_not_before_its_removal_has_committed() -> None:
    bench = Bench(1, membership=BOUND, incarnation=OLD, lives=LIVES, log=GONE)
    bench.now = 2.0 * LEASE
    bench.hear(3, vote(9, GONE, pre=True))
    assert bench.sent(Expelled) == []
    assert bench.said(VoteReply, 3).granted
    bench.hear(2, append(1, GONE, commit=1))
    bench.hear(3, vote(9, GONE, pre=True))
    assert bench.said(Expelled, 3) == Expelled(OLD, 1)
    assert bench.sent(VoteReply, 3) == []


@pytest.mark.parametrize("message", [vote(9, GONE), append(9, GONE), JoinRequest(member(3, OLD)), TimeoutNow(1)])
def test_nothing_that_a_removed_peer_says_changes_anything(message: object) -> None:
    bench = Bench(1, membership=BOUND, incarnation=OLD, lives=LIVES, log=GONE, applied=1)
    bench.now = 2.0 * LEASE
    before = (bench.replica.term, bench.replica.role, bench.replica.leader, bench.replica.election.vote)
    bench.hear(3, message)  # type: ignore[arg-type]
    assert (bench.replica.term, bench.replica.leader, bench.replica.election.vote) == (before[0], *before[2:])
    assert bench.said(Expelled, 3) == Expelled(OLD, 1)


def test_another_life_of_a_removed_peer_is_not_told_that_it_was_removed() -> None:
    bench = Bench(1, membership=BOUND, incarnation=OLD, lives=LIVES, log=GONE, applied=1)
    bench.hear(3, JoinRequest(member(3, NEW, votes=False)), NEW)
    assert bench.sent(Expelled) == []


def test_a_removed_peer_stops_and_says_which_entry_removed_it() -> None:
    bench = peer(3)
    (halt,) = only(Halt, bench.hear(1, Expelled(OLD, 12)))
    assert (halt.why, halt.distrusted) == ("removed from the mesh, whose members are those of entry 12", False)


def test_what_an_earlier_life_is_told_does_not_stop_this_one() -> None:
    assert only(Halt, peer(3).hear(1, Expelled(NEW, 12))) == []


def test_a_life_that_was_removed_forgotten_and_let_in_again_is_not_stopped_by_who_does_not_know_yet() -> None:
    again = replace(BOUND, index=20)
    bench = Bench(3, membership=again, incarnation=OLD, lives=LIVES, base=Place(20, 1, b"x" * 16), applied=20)
    assert only(Halt, bench.hear(1, Expelled(OLD, 12))) == []
    assert only(Halt, bench.hear(1, Expelled(OLD, 21)))


# ------------------------------------------------------------ a disk that was put back


def test_a_later_start_that_shows_less_than_the_one_before_is_disowned_and_not_heard() -> None:
    bench = peer()
    bench.beat(2, heartbeat(0, applied=7), boot=4)
    bench.now += LEASE
    effects = bench.beat(2, heartbeat(0, applied=6), boot=5)
    assert [send.message for send in only(Send, effects) if send.to == 2] == [Disowned(OLD, 5)]
    assert bench.replica.liveness.alive(bench.now) == ()


def test_the_answers_of_a_new_start_count_once_it_has_shown_what_it_holds() -> None:
    memory = Memory()
    assert memory.believes(2, OLD, 4)  # nothing is remembered
    assert memory.heard(2, OLD, 4, 7)
    assert memory.believes(2, OLD, 4)
    assert not memory.believes(2, OLD, 5)
    assert not memory.heard(2, OLD, 5, 6)
    assert not memory.believes(2, OLD, 5)
    assert memory.heard(2, OLD, 5, 7)
    assert memory.believes(2, OLD, 5)
    assert not memory.heard(2, OLD, 4, 9)  # the earlier one still runs
    assert not memory.believes(2, OLD, 4)


def test_what_was_shown_once_is_remembered_when_a_late_heartbeat_shows_less() -> None:
    memory = Memory()
    memory.heard(2, OLD, 4, 7)
    assert memory.heard(2, OLD, 4, 3)
    assert not memory.heard(2, OLD, 5, 6)


def test_another_incarnation_has_shown_nothing_and_is_believed() -> None:
    memory = Memory()
    memory.heard(2, OLD, 4, 7)
    assert memory.believes(2, NEW, 1)
    assert memory.heard(2, NEW, 1, 0)


def test_a_vote_of_a_start_that_has_shown_nothing_yet_is_not_counted() -> None:
    bench = peer()
    bench.beat(2, heartbeat(0, applied=7), boot=4)
    term = bench.campaign(boot=4)
    bench.hear(2, VoteReply(term, False, True), boot=5)
    assert bench.replica.role == "candidate"
    bench.beat(2, heartbeat(0, applied=7), boot=5)
    bench.hear(2, VoteReply(term, False, True), boot=5)
    assert bench.replica.role == "leader"


def test_only_the_very_start_that_is_meant_stops_distrusted() -> None:
    for message, stops in ((Disowned(OLD, 4), True), (Disowned(OLD, 3), False), (Disowned(NEW, 4), False)):
        halts = only(Halt, peer(boot=4).hear(2, message))
        assert [halt.distrusted for halt in halts] == [True] * stops
