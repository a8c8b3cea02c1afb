"""How members change while a peer leads: by an operator, by themselves, one at a time, and when it is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hfzmq.core.changes import ASKS_FOR, SILENT_AFTER
from hfzmq.core.contract import Apply, Change, Effect, Received, Reconfigured, Reply, Resign, Tick
from hfzmq.core.membership import MEMBERS_MAX, Member, decode
from hfzmq.core.messages import AppendReply, AppendRequest, JoinRequest, TimeoutNow
from hfzmq.core.types import CONFIG, NOOP, chained
from tests.unit.core_bench import LEASE, Bench, append, ask, end_of, first_peers, heartbeat, member, only, statuses

OLD, NEW, OTHER = b"o" * 16, b"n" * 16, b"x" * 16
LIVES = dict.fromkeys(range(1, 6), OLD)


def bound(*peers: int) -> Bench:
    """A leader of a founded mesh in which everybody lives the life OLD, heard by and hearing all."""
    membership = first_peers(*peers).bound(dict.fromkeys(peers, OLD))
    bench = Bench(peers[0], membership=membership, incarnation=OLD, lives=dict(LIVES))
    bench.serve()
    bench.live(200, *bench.others)
    return bench


@pytest.fixture
def bench() -> Bench:
    return bound(1, 2, 3)


def reply(effects: list[Effect]) -> Reply:
    """The only answer to an operator."""
    (found,) = [one for one in only(Reply, effects) if one.route == "operator"]
    return found


def refusal(effects: list[Effect]) -> str:
    found = reply(effects)
    assert found.status == "REFUSED", found
    return found.why


def acked(bench: Bench, effects: list[Effect]) -> Reply:
    """The ACK that comes once everybody has the entry."""
    assert only(Reply, effects) == []
    found = reply(bench.answer(*bench.others))
    assert found.status == "ACK"
    return found


def ask_for(bench: Bench, duration_ms: float, peer: int, life: bytes, *answering: int) -> None:
    """Time passes; ``answering`` are well, and ``peer`` asks to join twice a lease."""
    until = bench.now + duration_ms
    while bench.now < until:
        bench.ask_to_join(peer, life)
        bench.live(min(LEASE / 2, until - bench.now), *answering)


# ------------------------------------------------------------ add


def test_a_peer_that_asks_and_is_added_learns_and_the_operator_is_told_once_that_is_applied(bench: Bench) -> None:
    bench.ask_to_join(4, NEW)
    effects = bench.change("add", 4)
    assert (bench.replica.voters, bench.replica.membership.learners) == ((1, 2, 3), (4,))
    assert len(only(Reconfigured, effects)) == 1
    found = acked(bench, effects)
    assert found.index == bench.replica.membership.index == bench.replica.commit
    assert bench.replica.membership.of(4) == Member(member(4).address, NEW, votes=False, joined=True)


def test_a_peer_that_does_not_ask_is_not_added(bench: Bench) -> None:
    assert "does not ask to join" in refusal(bench.change("add", 4))
    assert bench.replica.membership.index == 0


def test_who_has_not_repeated_its_wish_no_longer_has_it(bench: Bench) -> None:
    bench.ask_to_join(4, NEW)
    bench.live(ASKS_FOR * LEASE, 2, 3)
    assert "does not ask to join" in refusal(bench.change("add", 4))


def test_a_member_that_is_added_again_is_one_already(bench: Bench) -> None:
    for peer in (1, 2):
        found = reply(bench.change("add", peer))
        assert (found.status, found.index) == ("ACK", 0)
    bench.learner(4, NEW)
    found = reply(bench.change("add", 4))
    assert (found.status, found.index) == ("ACK", bench.replica.membership.index)


def test_another_process_under_the_id_of_a_member_that_is_well_is_not_added(bench: Bench) -> None:
    bench.ask_to_join(3, NEW)
    assert "another process runs as peer 3" in refusal(bench.change("add", 3))
    assert bench.replica.membership.of(3) == member(3, OLD)


def test_another_process_under_the_id_of_the_leader_is_not_added(bench: Bench) -> None:
    """Once: a leader never hears itself, so it took itself for silent, and its own place was given away."""
    bench.hear(2, JoinRequest(member(1, NEW, votes=False)))  # passed on by a follower
    assert "another process runs as peer 1" in refusal(bench.change("add", 1))
    bench.live(10 * LEASE, 2, 3)
    assert (bench.replica.role, bench.replica.voters) == ("leader", (1, 2, 3))


def test_an_operator_may_let_another_life_of_a_silent_member_in_at_once_when_it_has_been_silent_for_long(
    bench: Bench,
) -> None:
    bench.live(SILENT_AFTER * LEASE, 2)
    bench.ask_to_join(3, NEW)
    assert only(Reply, bench.change("add", 3)) == []
    assert (bench.replica.voters, bench.replica.membership.learners) == ((1, 2), (3,))
    assert bench.replica.membership.removed == ((3, OLD),)


def test_there_is_a_most_of_members() -> None:
    mesh = first_peers(1).bound({1: OLD})
    for number in range(2, MEMBERS_MAX + 1):
        mesh = mesh.with_learner(member(number, NEW))
    bench = Bench(1, membership=mesh, incarnation=OLD)
    bench.lead()
    bench.ask_to_join(MEMBERS_MAX + 1, NEW)
    assert f"{MEMBERS_MAX} members" in refusal(bench.change("add", MEMBERS_MAX + 1))


def test_a_removed_life_asks_in_vain_and_its_peer_comes_back_only_with_another() -> None:
    bench = bound(1, 2, 3)
    acked(bench, bench.change("remove", 3))
    bench.hear(2, JoinRequest(member(3, OLD, votes=False)))  # passed on by one that does not know
    assert bench.replica.leading
    assert bench.replica.leading.changes.asking(bench.now) == ()
    assert "does not ask to join" in refusal(bench.change("add", 3))
    bench.live(ASKS_FOR * LEASE, 2)
    bench.ask_to_join(3, NEW)
    acked(bench, bench.change("add", 3))
    assert bench.replica.membership.counts(3, NEW)


def test_of_two_processes_with_one_id_the_first_is_heard_until_it_falls_silent(bench: Bench) -> None:
    assert bench.replica.leading
    asking = bench.replica.leading.changes.asking
    bench.ask_to_join(4, NEW)
    bench.ask_to_join(4, OTHER)
    assert [one.incarnation for one, *_ in asking(bench.now)] == [NEW]
    bench.live(ASKS_FOR * LEASE - 100, 2, 3)
    bench.ask_to_join(4, OTHER)
    assert [one.incarnation for one, *_ in asking(bench.now)] == [NEW]
    bench.live(100, 2, 3)
    bench.ask_to_join(4, OTHER)
    assert [(one.incarnation, since) for one, since, _ in asking(bench.now)] == [(OTHER, 0)]


def test_a_wish_is_as_old_as_its_first_word_and_as_fresh_as_its_last(bench: Bench) -> None:
    bench.ask_to_join(4, NEW)
    bench.live(700, 2, 3)
    bench.ask_to_join(4, NEW)
    bench.live(200, 2, 3)
    assert bench.replica.leading
    ((_, since, last),) = bench.replica.leading.changes.asking(bench.now)
    assert (since, last) == (900, 200)


# ------------------------------------------------------------ from learner to voter


def test_a_learner_that_has_caught_up_and_answers_votes_by_itself(bench: Bench) -> None:
    bench.learner(4, NEW)
    bench.live(300, 2, 3, 4)
    assert (bench.replica.voters, bench.replica.membership.learners) == ((1, 2, 3, 4), ())
    assert bench.replica.committed_members.voters == (1, 2, 3, 4)


def test_a_learner_that_does_not_answer_never_votes(bench: Bench) -> None:
    bench.learner(4, NEW)
    bench.live(10 * LEASE, 2, 3)
    assert bench.replica.membership.learners == (4,)


def test_a_learner_that_answers_and_holds_less_than_is_committed_does_not_vote_yet(bench: Bench) -> None:
    bench.learner(4, NEW)
    for _ in range(20):
        bench.live(100, 2, 3)
        for request in bench.sent(AppendRequest, 4):
            bench.hear(4, AppendReply(request.term, True, 0, request.round))
    assert bench.replica.membership.learners == (4,)
    bench.live(200, 2, 3, 4)
    assert not bench.replica.membership.learners


def test_a_learner_that_had_caught_up_and_has_fallen_silent_does_not_vote(bench: Bench) -> None:
    bench.ask_to_join(4, NEW)
    bench.lives[4] = NEW
    bench.change("add", 4)
    bench.answer(4)
    assert bench.replica.leading
    assert bench.replica.leading.followers.close_behind(4)
    for _ in range(12):  # 2 keeps the lead alive, and takes nothing in: so the change before is not over
        bench.now += 100
        bench.do(Tick())
        for request in bench.sent(AppendRequest, 2):
            bench.hear(2, AppendReply(request.term, False, request.prev.index, request.round))
    bench.outbox = [send for send in bench.outbox if send.to != 4]
    bench.live(500, 2, 3)
    assert (bench.replica.role, bench.replica.membership.learners) == ("leader", (4,))


def test_no_learner_votes_while_its_death_would_leave_those_that_answer_without_a_majority(bench: Bench) -> None:
    bench.live(2 * LEASE, 2)  # 3 is away: of four voters two would be no majority
    bench.ask_to_join(4, NEW)
    bench.lives[4] = NEW
    bench.change("add", 4)
    bench.live(5 * LEASE, 2, 4)
    assert bench.replica.membership.learners == (4,)
    bench.live(300, 2, 3, 4)
    assert bench.replica.voters == (1, 2, 3, 4)


def test_a_learner_votes_though_one_of_five_is_away() -> None:
    bench = bound(1, 2, 3, 4, 5)
    bench.learner(6, NEW)
    bench.live(300, 2, 3, 4, 6)
    assert bench.replica.voters == (1, 2, 3, 4, 5, 6)


def test_the_second_voter_of_a_mesh_of_one_votes() -> None:
    bench = bound(1)
    bench.learner(2, NEW)
    bench.live(300, 2)
    assert bench.replica.voters == (1, 2)


def test_what_a_learner_holds_counts_for_no_commit(bench: Bench) -> None:
    bench.learner(4, NEW)
    bench.learner(5, NEW)
    before = bench.replica.commit
    bench.propose(ask(1))
    bench.answer(4, 5)
    assert bench.replica.commit == before
    bench.answer(2)
    assert bench.replica.commit > before


def test_the_answers_of_learners_do_not_keep_a_leader_without_its_voters(bench: Bench) -> None:
    bench.learner(4, NEW)
    bench.learner(5, NEW)
    bench.live(2 * LEASE, 4, 5)
    assert bench.replica.role != "leader"


# ------------------------------------------------------------ another life takes the place of a silent one


def test_a_member_that_lost_its_disk_is_replaced_by_itself_once_its_old_life_was_silent_for_long(bench: Bench) -> None:
    ask_for(bench, SILENT_AFTER * LEASE + LEASE, 3, NEW, 2)
    assert bench.replica.membership.removed == ((3, OLD),)
    assert bench.replica.membership.of(3) is not None
    assert bench.replica.membership.counts(3, NEW)
    assert bench.replica.voters == (1, 2)
    assert bench.replica.leading
    assert bench.replica.leading.followers.progress[3].match == 0  # what the old life had promised is void


def test_no_member_is_replaced_before_three_silent_leases_nor_before_three_leases_of_asking(bench: Bench) -> None:
    ask_for(bench, SILENT_AFTER * LEASE - 200, 3, NEW, 2)
    assert bench.replica.membership.index == 0
    late = bound(1, 2, 3)
    late.live(10 * LEASE, 2)
    ask_for(late, SILENT_AFTER * LEASE - 200, 3, NEW, 2)
    assert late.replica.membership.index == 0


def test_a_member_that_is_heard_or_answers_is_not_replaced_however_long_another_asks() -> None:
    for heard in (True, False):
        bench = bound(1, 2, 3)
        for _ in range(20):
            bench.ask_to_join(3, NEW)
            bench.live(LEASE / 2, 2)
            if heard:
                bench.beat(3, heartbeat(bench.replica.term))
            else:
                bench.do(Tick())
                bench.answer(3)
        assert bench.replica.membership.index == 0, heard


def test_a_removed_life_does_not_take_the_place_of_the_one_that_has_replaced_it(bench: Bench) -> None:
    ask_for(bench, SILENT_AFTER * LEASE + LEASE, 3, NEW, 2)
    index = bench.replica.membership.index
    for _ in range(20):
        bench.hear(2, JoinRequest(member(3, OLD, votes=False)))
        bench.live(LEASE / 2, 2)
    assert bench.replica.membership.index == index


def test_a_stranger_is_never_let_in_by_itself(bench: Bench) -> None:
    ask_for(bench, 10 * LEASE, 4, NEW, 2, 3)
    assert bench.replica.membership.index == 0


# ------------------------------------------------------------ remove


def test_a_member_that_is_removed_counts_no_more_from_the_entry_on_and_the_operator_is_told_once_it_is_applied(
    bench: Bench,
) -> None:
    effects = bench.change("remove", 3)
    assert bench.replica.voters == (1, 2)
    assert bench.replica.membership.removed == ((3, OLD),)
    assert acked(bench, effects).index == bench.replica.membership.index


def test_an_entry_that_removes_commits_by_the_majority_of_those_that_stay(bench: Bench) -> None:
    bench.change("remove", 3)
    bench.answer(3)
    assert 3 in bench.replica.committed_members.voters
    bench.answer(2)
    assert 3 not in bench.replica.committed_members.voters


def test_who_is_no_member_cannot_be_removed_and_who_was_removed_is(bench: Bench) -> None:
    assert "no member" in refusal(bench.change("remove", 9))
    acked(bench, bench.change("remove", 3))
    assert reply(bench.change("remove", 3)).status == "ACK"


def test_a_learner_can_be_removed(bench: Bench) -> None:
    bench.learner(4, NEW)
    acked(bench, bench.change("remove", 4))
    assert bench.replica.membership.of(4) is None


def test_nobody_is_removed_if_those_that_stay_and_are_up_were_no_majority(bench: Bench) -> None:
    bench.now += LEASE - 300
    bench.beat(3, heartbeat(bench.replica.term))
    bench.do(Tick())
    bench.answer(3)
    bench.now += 300  # 2 was last heard a lease ago
    bench.beat(3, heartbeat(bench.replica.term))
    assert bench.replica.liveness.alive(bench.now) == (3,)
    assert "no majority" in refusal(bench.change("remove", 3))
    assert bench.replica.voters == (1, 2, 3)


def test_a_silent_peer_can_be_removed_from_three(bench: Bench) -> None:
    bench.live(2 * LEASE, 2)
    acked(bench, bench.change("remove", 3))


def test_the_last_voter_is_not_removed() -> None:
    bench = bound(1)
    assert "no other voter" in refusal(bench.change("remove", 1))
    bench.learner(2, NEW)
    assert "no other voter" in refusal(bench.change("remove", 1))


def well(bench: Bench, *peers: int) -> None:
    """These are heard, hear the others and have everything."""
    bench.live(300, *peers)


def test_a_leader_that_is_to_leave_gives_the_lead_away_first_and_the_operator_asks_again(bench: Bench) -> None:
    well(bench, 2, 3)
    assert reply(bench.change("remove", 1)).status == "BUSY"
    assert bench.said(TimeoutNow, 2) == TimeoutNow(bench.replica.term)
    assert bench.replica.voters == (1, 2, 3)


def test_a_leader_that_is_to_leave_stays_where_nobody_is_well_enough_to_take_over(bench: Bench) -> None:
    for peer in (2, 3):
        bench.beat(peer, heartbeat(bench.replica.term, willing=False))  # they are stopping, too
    why = refusal(bench.change("remove", 1))
    assert "no other voter is well enough" in why


# ------------------------------------------------------------ transfer


def test_the_lead_is_given_to_whom_it_is_wanted_for_and_the_operator_is_told_that_it_has_begun(bench: Bench) -> None:
    well(bench, 2, 3)
    assert reply(bench.change("transfer", 3)).status == "ACK"
    assert bench.said(TimeoutNow, 3) == TimeoutNow(bench.replica.term)


def test_the_lead_is_given_to_the_leader_by_doing_nothing(bench: Bench) -> None:
    well(bench, 2, 3)
    assert reply(bench.change("transfer", 1)).status == "ACK"
    assert bench.sent(TimeoutNow) == []


@pytest.mark.parametrize(("peer", "why"), [(9, "no voter"), (4, "no voter"), (3, "not well enough")])
def test_the_lead_is_given_to_nobody_that_is_no_voter_or_not_well(bench: Bench, peer: int, why: str) -> None:
    bench.ask_to_join(4, NEW)
    bench.change("add", 4)
    bench.live(2 * LEASE, 2)
    assert why in refusal(bench.change("transfer", peer))
    assert bench.replica.hand_over.transfer is None


def test_a_wanted_transfer_does_not_make_its_target_wait_longer_next_time(bench: Bench) -> None:
    well(bench, 2, 3)
    bench.change("transfer", 3)
    assert bench.replica.hand_over._settle_of == {}


# ------------------------------------------------------------ one at a time


def test_while_a_change_is_not_applied_any_other_is_busy(bench: Bench) -> None:
    well(bench, 2, 3)
    bench.ask_to_join(4, NEW)
    bench.ask_to_join(5, NEW)
    bench.change("add", 4)
    index = bench.replica.membership.index
    for action, peer in (("add", 5), ("remove", 3), ("remove", 4), ("add", 4), ("transfer", 2), ("remove", 1)):
        found = reply(bench.change(action, peer))
        assert found.status == "BUSY", (action, peer, found)
        assert found.retry_ms > 0
    assert bench.replica.membership.index == index


def test_a_change_that_has_committed_and_is_not_applied_still_keeps_the_next_one_waiting(bench: Bench) -> None:
    bench.ask_to_join(4, NEW)
    bench.ask_to_join(5, NEW)
    bench.change("add", 4)
    request = bench.sent(AppendRequest, 2)[-1]
    match = request.prev.index + len(request.entries)
    effects = bench.take(Received(2, AppendReply(request.term, True, match, request.round), OLD))
    assert only(Apply, effects)
    assert bench.replica.commit == bench.replica.membership.index
    assert reply(bench.take(Change("operator", "add", 5))).status == "BUSY"
    bench.sync()
    assert only(Reply, bench.change("add", 5)) == []
    assert bench.replica.membership.learners == (4, 5)


def test_a_change_is_not_answered_by_what_is_applied_before_it(bench: Bench) -> None:
    bench.ask_to_join(4, NEW)
    bench.propose(ask(1))
    request = bench.sent(AppendRequest, 2)[-1]
    match = request.prev.index + len(request.entries)
    bench.take(Received(2, AppendReply(request.term, True, match, request.round), OLD))
    assert only(Apply, bench.unsynced)
    effects = bench.change("add", 4)  # and what was committed before is applied
    assert statuses(effects) == [(("bed-1", 1), "ACK")]
    assert reply(bench.answer(2, 3)).status == "ACK"


def test_no_change_before_the_first_entry_of_the_term_has_committed() -> None:
    membership = first_peers(1, 2, 3).bound(dict.fromkeys((1, 2, 3), OLD))
    bench = Bench(1, membership=membership, incarnation=OLD, lives=dict(LIVES))
    bench.lead()
    bench.ask_to_join(4, NEW)
    for peer in (2, 3):
        bench.beat(peer, heartbeat(1))
    for action, peer in (("add", 4), ("remove", 3)):
        assert reply(bench.change(action, peer)).status == "BUSY"
    assert bench.replica.membership.index == 0


def test_no_change_while_the_lead_is_being_handed_over(bench: Bench) -> None:
    well(bench, 2, 3)
    bench.ask_to_join(4, NEW)
    bench.change("transfer", 2)
    assert reply(bench.change("add", 4)).status == "BUSY"
    assert reply(bench.change("transfer", 3)).status == "BUSY"


def test_a_learner_waits_for_its_vote_while_the_lead_is_being_handed_over(bench: Bench) -> None:
    bench.learner(4, NEW)
    well(bench, 2, 3)
    bench.sent(AppendRequest, 4)
    bench.propose(ask(1))  # so that 2 is not caught up, and the hand-over goes on
    bench.change("transfer", 2)
    assert bench.replica.hand_over.transfer
    bench.now += 100
    for request in bench.sent(AppendRequest, 4):
        bench.hear(4, AppendReply(request.term, True, request.prev.index + len(request.entries), request.round))
    bench.answer(4)
    bench.do(Tick())
    assert bench.replica.hand_over.transfer
    assert bench.replica.membership.learners == (4,)


def test_a_new_leader_lets_no_learner_vote_before_its_first_entry_has_committed() -> None:
    membership = first_peers(1, 2, 3).bound(dict.fromkeys((1, 2, 3), OLD)).with_learner(member(4, NEW))
    bench = Bench(1, membership=membership, incarnation=OLD, lives=LIVES | {4: NEW})
    bench.lead()
    for _ in range(5):
        bench.now += 100
        bench.do(Tick())
        bench.answer(4)
    assert bench.replica.membership.learners == (4,)
    bench.answer(2, 3)
    bench.live(200, 2, 3, 4)
    assert not bench.replica.membership.learners


def test_a_learner_waits_for_its_vote_until_the_change_before_is_applied(bench: Bench) -> None:
    bench.learner(4, NEW)
    bench.ask_to_join(5, NEW)
    bench.change("add", 5)
    bench.live(300, 4)
    assert bench.replica.membership.learners == (4, 5)


def test_each_step_of_a_long_story_is_an_entry_of_its_own_that_differs_by_one_voter(bench: Bench) -> None:
    for peer in (4, 5):
        bench.learner(peer, NEW)
        bench.live(400, 2, 3, 4, peer)
    bench.others = (3, 4, 5)
    acked(bench, bench.change("remove", 2))
    bench.live(400, 3, 4, 5)
    entries = bench.replica.log.between(0, bench.replica.log.last.index)
    steps = [{1, 2, 3}] + [set(decode(one.index, one.body).voters) for one in entries if one.kind == CONFIG]
    assert steps[-1] == {1, 3, 4, 5}
    assert all(len(before ^ after) <= 1 for before, after in pairwise(steps))


# ------------------------------------------------------------ elsewhere, and when the lead is lost


def test_who_does_not_lead_says_who_does() -> None:
    bench = Bench(2)
    bench.hear(1, append(1, []))
    found = reply(bench.change("add", 4))
    assert (found.status, found.leader) == ("NOT_LEADER", 1)
    assert reply(Bench(2).change("add", 4)).status == "NO_QUORUM"


def test_a_leader_that_is_stopping_changes_nothing_more(bench: Bench) -> None:
    bench.ask_to_join(4, NEW)
    bench.do(Resign())
    assert reply(bench.change("add", 4)).status in ("NOT_LEADER", "NO_QUORUM")
    assert bench.replica.membership.index == 0


def test_an_operator_whose_leader_is_deposed_is_told_to_ask_elsewhere_and_a_lost_change_is_taken_back(
    bench: Bench,
) -> None:
    bench.ask_to_join(4, NEW)
    bench.change("add", 4)
    index = bench.replica.membership.index
    held = [bench.replica.log.entry_at(one) for one in range(1, index)]
    other = chained(end_of(held), 5, NOOP, None, b"")
    effects = bench.hear(2, append(5, [*held, other], after=len(held)))
    assert statuses(effects) == [("operator", "NOT_LEADER")]
    assert bench.replica.membership.index == 0
    assert [one.membership.voters for one in only(Reconfigured, effects)] == [(1, 2, 3)]


def test_an_applied_change_is_answered_once(bench: Bench) -> None:
    bench.ask_to_join(4, NEW)
    acked(bench, bench.change("add", 4))
    assert statuses(bench.live(500, 2, 3)) == []
