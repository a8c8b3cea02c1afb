"""How the leader's log becomes everybody's, on both sides: rules 13 to 15; the Raft paper, sections 5.3 and 5.4."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfzmq.config import Limits, Timing
from hfzmq.core.log import Log
from hfzmq.core.membership import Members
from hfzmq.core.messages import AppendReply, AppendRequest
from hfzmq.core.replication import Accepted, Followers, Refused, receive
from hfzmq.core.types import NOOP, Entry, Place, chained
from tests.unit.core_bench import append, end_of, log_of, mesh_of

TIMING = Timing(lease_ms=1000, heartbeat_ms=100)
TERM = 9
OK, NO = True, False


# ------------------------------------------------------------ the follower


def test_an_append_after_what_is_held_adds_its_entries() -> None:
    leader = log_of(1, 1, 2)
    assert receive(Log(leader[:1]), 0, append(2, leader, after=1)) == Accepted(3, None, tuple(leader[1:]))
    assert receive(Log(), 0, append(2, leader)) == Accepted(3, None, tuple(leader))


def test_entries_that_are_held_already_are_neither_dropped_nor_added_again() -> None:
    leader = log_of(1, 1, 2)
    assert receive(Log(leader), 3, append(2, leader)) == Accepted(3, None, ())
    assert receive(Log(leader), 0, append(2, leader, upto=2)) == Accepted(2, None, ()), "a late one drops nothing"
    assert receive(Log(leader[:2]), 0, append(2, leader)) == Accepted(3, None, (leader[2],))


def test_an_empty_append_agrees_up_to_its_prev_and_no_further() -> None:
    leader = log_of(1, 1, 2)
    assert receive(Log(log_of(1, 1, 1)), 0, append(2, leader, after=2)).__class__ is Accepted
    assert receive(Log(leader), 0, append(2, leader, after=2, upto=2)) == Accepted(2, None, ())


def test_a_follower_truncates_only_on_a_term_conflict_and_from_the_first_one_on() -> None:
    leader, mine = log_of(1, 1, 3, 3), log_of(1, 1, 2, 2, 2)
    assert receive(Log(mine), 2, append(3, leader, after=1)) == Accepted(4, 3, tuple(leader[2:]))


def test_the_log_check_is_over_the_chain_not_over_the_index_alone() -> None:
    leader, mine = log_of(1, 2, 2), log_of(1, 1, 1)
    assert receive(Log(mine), 0, append(2, leader, after=2)) == Refused(0)
    assert receive(Log(mine[:1]), 0, append(2, leader, after=2)) == Refused(1)


def test_a_refusal_skips_a_whole_conflicting_term_but_not_what_is_committed() -> None:
    leader, mine = log_of(1, 1, 3, 3, 3, 3), log_of(1, 1, 2, 2, 2)
    assert receive(Log(mine), 0, append(3, leader, after=5)) == Refused(2)
    assert receive(Log(log_of(1, 2, 2, 2)), 2, append(3, leader, after=4)) == Refused(2)


def test_the_same_term_with_another_content_is_never_taken_in() -> None:
    mine = log_of(1, 1)
    other = [mine[0], chained(end_of(mine[:1]), 1, NOOP, None, b"altered")]
    assert receive(Log(mine), 1, append(1, other)) == Refused(1)


def test_a_prev_beyond_any_log_is_refused_whatever_it_says() -> None:
    far = Place((1 << 63) - 1, 9, bytes(16))
    assert receive(Log(log_of(1)), 0, AppendRequest(9, far, (), 1 << 62, 1)) == Refused(1)
    assert receive(Log(), 0, AppendRequest(9, far, (), 1 << 62, 1)) == Refused(0)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 3), max_size=8), st.lists(st.integers(1, 3), max_size=8), st.data())
def test_what_is_accepted_makes_the_logs_equal_up_to_match(
    ours: list[int], theirs: list[int], data: st.DataObject
) -> None:
    mine, leader = log_of(*sorted(ours)), log_of(*sorted(theirs))
    common = sum(1 for one, other in zip(mine, leader, strict=False) if one.chain == other.chain)
    commit = data.draw(st.integers(0, common))
    after = data.draw(st.integers(0, len(leader)))
    upto = data.draw(st.integers(after, len(leader)))
    log = Log(mine)
    outcome = receive(log, commit, append(3, leader, after=after, upto=upto))
    if isinstance(outcome, Refused):
        assert after > common, "it agreed at prev"
        assert commit <= outcome.hint < after
        return
    if outcome.truncate_from is not None:
        assert outcome.truncate_from > commit
        log.truncate_from(outcome.truncate_from)
    log.append(outcome.added)
    assert outcome.match == upto
    assert log.between(0, upto) == tuple(leader[:upto])
    if upto <= common:
        assert log.between(0, log.last.index) == tuple(mine), "a late append drops nothing"


# ------------------------------------------------------------ the leader sends


class Leads:
    """The leader of ``TERM`` with a log, all of it durable unless said otherwise."""

    def __init__(self, entries: list[Entry], voters: tuple[int, ...] = (1, 2, 3), limits: Limits | None = None) -> None:
        self.log = Log(entries)
        self.it = Followers(1, Members(mesh_of(*voters)), self.log, limits or Limits(), TIMING, 0.0)

    def appends(self, now: float = 0.0, to: int = 2, commit: int = 0, force: bool = False) -> list[AppendRequest]:
        return [request for peer, request in self.sends(now, commit, force) if peer == to]

    def sends(self, now: float = 0.0, commit: int = 0, force: bool = False) -> list[tuple[int, AppendRequest]]:
        """To whom, and what; its log is never compacted, so nobody is offered a snapshot."""
        sent = self.it.appends(now, TERM, commit, force)
        return [(peer, request) for peer, request in sent if isinstance(request, AppendRequest)]

    def reply(self, accepted: bool, match: int, number: int = 1, peer: int = 2) -> None:
        self.it.on_reply(peer, AppendReply(TERM, accepted, match, number))

    def add(self, count: int = 1, body: bytes = b"") -> None:
        for _ in range(count):
            self.log.append([chained(self.log.last, TERM, NOOP, None, body)])


def test_a_new_leader_asks_each_follower_where_they_agree_before_it_sends_entries() -> None:
    leads = Leads(log_of(1, 2))
    leads.add()
    sent = leads.sends(commit=1)
    assert [peer for peer, _ in sent] == [2, 3]
    for _, request in sent:
        assert (request.prev.index, request.entries, request.commit, request.term) == (2, (), 1, TERM)
    assert leads.appends() == [], "one probe at a time"


def test_after_an_agreement_entries_are_streamed_without_waiting_for_acks() -> None:
    leads = Leads(log_of(1))
    leads.appends()
    leads.reply(OK, 1)
    leads.add()
    (first,) = leads.appends()
    leads.add()
    (second,) = leads.appends()
    assert (first.prev.index, len(first.entries)) == (1, 1)
    assert (second.prev.index, len(second.entries)) == (2, 1)
    assert leads.appends() == []


def test_the_pipeline_is_bounded_in_appends_and_in_bytes_and_opens_again_with_an_ack() -> None:
    for limits in (
        Limits(append_bytes_max=1, inflight_appends_max=4),
        Limits(append_bytes_max=1, inflight_bytes_max=4 * 150),
    ):
        leads = Leads([], limits=limits)
        leads.appends()
        leads.reply(OK, 0)
        leads.add(10, bytes(50))
        assert len(leads.appends()) == 4
        assert not leads.it.close_behind(2)
        assert leads.appends() == []
        leads.reply(OK, 2)
        assert [request.prev.index for request in leads.appends()] == [4, 5]


def test_one_slow_follower_does_not_slow_another() -> None:
    leads = Leads([], limits=Limits(append_bytes_max=1, inflight_appends_max=2))
    leads.it.appends(0, TERM, 0)
    for peer in (2, 3):
        leads.reply(OK, 0, peer=peer)
    leads.add(4)
    leads.it.appends(0, TERM, 0)
    leads.reply(OK, 2, peer=3)
    sent = leads.sends()
    assert [(peer, request.prev.index) for peer, request in sent] == [(3, 2), (3, 3)]


def test_a_keep_alive_goes_out_when_nothing_was_sent_for_a_heartbeat() -> None:
    leads = Leads([])
    leads.appends(0)
    leads.reply(OK, 0)
    assert leads.appends(99) == []
    assert leads.it.next_send_ms() == 100
    (request,) = leads.appends(100)
    assert request.entries == ()
    assert len(leads.appends(101, force=True)) == 1


def test_a_lost_append_is_sent_again_after_the_next_refusal() -> None:
    leads = Leads(log_of(1))
    leads.appends()
    leads.reply(OK, 1)
    leads.add(2)
    (lost,) = leads.appends(1)
    (keep_alive,) = leads.appends(200)
    assert keep_alive.prev.index == 3
    leads.reply(NO, 1, keep_alive.round)
    (probe,) = leads.appends(201)
    assert (probe.prev.index, probe.entries) == (1, ())
    leads.reply(OK, 1, probe.round)
    (again,) = leads.appends(202)
    assert again.entries == lost.entries


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(1, 4), max_size=9), st.lists(st.integers(1, 4), max_size=9))
def test_a_leader_and_a_follower_with_any_logs_agree_within_a_few_rounds(ours: list[int], theirs: list[int]) -> None:
    leads = Leads(log_of(*sorted(ours)), voters=(1, 2))
    leads.add()
    follower = Log(log_of(*sorted(theirs)))
    rounds = 0
    while leads.it.progress[2].match < leads.log.last.index:
        rounds += 1
        assert rounds <= 12, "a refusal costs one round a term at most"
        for request in leads.appends(rounds * 100.0):
            outcome = receive(follower, 0, request)
            if isinstance(outcome, Refused):
                leads.reply(NO, outcome.hint, request.round)
                continue
            if outcome.truncate_from is not None:
                follower.truncate_from(outcome.truncate_from)
            follower.append(outcome.added)
            leads.reply(OK, outcome.match, request.round)
    assert follower.last == leads.log.last


# ------------------------------------------------------------ late, doubled, reordered, nonsense


def test_match_never_falls() -> None:
    leads = Leads(log_of(1, 1, 1))
    leads.appends()
    leads.reply(OK, 3)
    leads.reply(OK, 1)
    assert leads.it.progress[2].match == 3
    leads.reply(NO, 0)
    assert leads.it.progress[2].match == 3
    assert leads.it.progress[2].next == 4, "nothing at or below match is sent again"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from((2, 3, 7)), st.booleans(), st.integers(0, 12), st.integers(0, 1 << 62)), max_size=30
    )
)
def test_no_reply_whatever_it_says_brings_the_leader_down_or_makes_it_skip_an_entry(
    replies: list[tuple[int, bool, int, int]],
) -> None:
    leads = Leads(log_of(1, 1, 2))
    leads.add(2)
    now = 0.0
    for peer, accepted, match, number in replies:
        leads.it.appends(now, TERM, 0)
        leads.reply(accepted, match, number, peer)
        now += 40
        for progress in leads.it.progress.values():
            assert progress.match < progress.next <= leads.log.last.index + 1
            assert progress.acked_round <= leads.it.round
            assert progress.acked_ms <= now
        assert leads.it.committed(TERM) <= leads.log.last.index


def test_who_was_asked_below_where_its_log_begins_is_asked_where_it_says_that_it_is() -> None:
    leads = Leads(log_of(1, 1, 1, 1, 1))
    leads.it.progress[2].next = 2
    leads.reply(NO, 4)
    assert leads.it.progress[2].next == 5, "not at an earlier place: that is compacted there, too"
    leads.reply(NO, 2)
    assert leads.it.progress[2].next == 3
    leads.reply(NO, 2)
    assert leads.it.progress[2].next == 2, "one that refuses the very place it names is asked at an earlier one"


def test_an_ack_of_more_than_the_leader_has_is_not_believed() -> None:
    leads = Leads(log_of(1, 1))
    leads.reply(OK, 3)
    assert leads.it.progress[2].match == 0
    leads.reply(OK, 1, peer=9)
    assert 9 not in leads.it.progress


# ------------------------------------------------------------ commit


@pytest.mark.parametrize(
    ("durable", "matches", "expected"),
    [
        (3, (0, 0), 0),
        (3, (3, 0), 3),
        (3, (2, 0), 2),
        (0, (3, 0), 0),  # the leader's own disk is counted like anyone's
        (0, (3, 3), 3),  # and is not needed either
        (2, (3, 1), 2),
    ],
)
def test_commit_is_the_highest_index_that_a_majority_has_durable(
    durable: int, matches: tuple[int, int], expected: int
) -> None:
    leads = Leads([])
    leads.add(3)
    leads.log.durable = durable
    for peer, match in zip((2, 3), matches, strict=True):
        leads.reply(OK, match, peer=peer)
    assert leads.it.committed(TERM) == expected


def test_an_entry_of_an_earlier_term_is_never_committed_by_counting_replicas() -> None:
    """Figure 8 of the Raft paper: it is committed only once an entry of the leader's own term above it is."""
    leads = Leads(log_of(2, 4))
    for peer in (2, 3):
        leads.reply(OK, 2, peer=peer)
    assert leads.it.committed(TERM) == 0
    leads.add()
    leads.log.durable = 3
    assert leads.it.committed(TERM) == 0
    leads.reply(OK, 3)
    assert leads.it.committed(TERM) == 3


def test_alone_the_leaders_disk_is_the_majority() -> None:
    leads = Leads([], voters=(1,))
    leads.add()
    assert leads.it.committed(TERM) == 0
    leads.log.durable = 1
    assert leads.it.committed(TERM) == 1


# ------------------------------------------------------------ authority


def test_authority_is_dated_by_when_the_answered_append_was_sent_not_by_when_the_answer_came() -> None:
    leads = Leads([])
    leads.appends(100)
    leads.appends(300, force=True)
    leads.reply(OK, 0, 1)
    assert leads.it.quorum_ms(5000) == 100
    leads.reply(OK, 0, 2)
    assert leads.it.quorum_ms(5000) == 300


def test_a_quorum_needs_a_majority_of_answers_and_late_ones_do_not_move_it_back() -> None:
    leads = Leads([], voters=(1, 2, 3, 4, 5))
    leads.appends(0)
    leads.appends(500, force=True)
    leads.reply(OK, 0, 2, peer=2)
    assert (leads.it.quorum_ms(600), leads.it.quorum_round()) == (0, 0)
    leads.reply(OK, 0, 2, peer=3)
    assert (leads.it.quorum_ms(600), leads.it.quorum_round()) == (500, 2)
    leads.reply(OK, 0, 1, peer=3)
    assert (leads.it.quorum_ms(600), leads.it.quorum_round()) == (500, 2)


def test_an_answer_to_what_was_never_sent_proves_nothing() -> None:
    leads = Leads([])
    leads.appends(0)
    leads.reply(OK, 0, 77)
    assert leads.it.quorum_round() == 0


def test_rounds_are_remembered_for_a_lease_and_no_longer() -> None:
    leads = Leads([])
    for now in range(0, 60_000, 10):
        leads.it.appends(now, TERM, 0, force=True)
    assert len(leads.it._round_sent_ms) <= 2 + TIMING.lease_ms // 10


def test_caught_up_is_who_streams_and_holds_all() -> None:
    leads = Leads(log_of(1, 1))
    leads.appends()
    assert not leads.it.caught_up(2)
    leads.reply(OK, 1)
    assert not leads.it.caught_up(2)
    assert leads.it.close_behind(2)
    leads.reply(OK, 2)
    assert leads.it.caught_up(2)
    leads.reply(NO, 2)
    assert not leads.it.caught_up(2)
    assert not leads.it.close_behind(2)
    assert not leads.it.caught_up(9)
    assert not leads.it.close_behind(9)
