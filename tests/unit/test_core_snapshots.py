"""A peer that needs what is compacted pulls a snapshot; the log is cut only where that takes nothing from anybody."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hfzmq.config import Limits
from hfzmq.core.contract import ACK, Compact, Effect, Fetch, Installed, Persist, Reconfigured, Reply, Tick
from hfzmq.core.journal import A_CUT, A_PART, WAIT_FOR
from hfzmq.core.membership import Membership, encode
from hfzmq.core.messages import AppendReply, AppendRequest, SnapshotOffer
from hfzmq.core.replication import PULLING_LEASES
from hfzmq.core.sessions import Session
from hfzmq.core.types import CONFIG, Entry, Place, chained
from tests.unit.core_bench import LEASE, Bench, append, ask, batch, end_of, log_of, member, mesh_of, only, origin

MESH = mesh_of(1, 2, 3)
SMALL = Limits(log_entries_keep=10)
TEN = log_of(*[1] * 10)


def compacts(effects: list[Effect]) -> list[int]:
    return [one.place.index for one in only(Compact, effects)]


def after_compaction(base: int = 6, **other: object) -> Bench:
    """A peer 1 whose log of ten entries is cut at ``base``."""
    return Bench(1, log=TEN[base:], base=end_of(TEN[:base]), applied=10, **other)  # type: ignore[arg-type]


# ------------------------------------------------------------ the leader's side


def leader(base: int = 6) -> Bench:
    """It leads in term 1; 3 has all, and what 2 has is yet to be found out."""
    bench = after_compaction(base)
    bench.lead()
    bench.answer(3)
    return bench


def refuse(bench: Bench, peer: int, match: int) -> None:
    """The peer refuses everything that it was sent so far."""
    mail: list[AppendRequest | SnapshotOffer] = [*bench.sent(AppendRequest, peer), *bench.sent(SnapshotOffer, peer)]
    for request in mail:
        bench.hear(peer, AppendReply(request.term, False, match, request.round))


def test_a_follower_that_needs_what_is_compacted_is_offered_a_snapshot_instead() -> None:
    bench = leader()
    refuse(bench, 2, 3)
    offer = bench.said(SnapshotOffer, 2)
    assert (offer.term, bench.sent(AppendRequest, 2)) == (bench.replica.term, [])
    assert bench.sent(SnapshotOffer, 3) == []


@pytest.mark.parametrize(("holds", "offered"), [(5, True), (6, False), (7, False)])
def test_a_follower_that_holds_the_place_where_the_log_begins_needs_no_snapshot(holds: int, offered: bool) -> None:
    bench = leader()
    refuse(bench, 2, holds)
    assert bool(bench.sent(SnapshotOffer, 2)) is offered
    assert [request.prev.index for request in bench.sent(AppendRequest, 2)] == [holds] * (not offered)


def test_an_offer_is_repeated_with_each_heartbeat_and_not_with_each_answer() -> None:
    """Once: each refusal moved 'next' down by one and asked there at once, entry by entry down to the first."""
    bench = leader()
    refuse(bench, 2, 5)
    offers = 0
    for _ in range(20):
        offers += 1
        (offer,) = bench.sent(SnapshotOffer, 2) or (None,)
        if offer is None:
            break
        bench.hear(2, AppendReply(offer.term, False, 5, offer.round))
    assert offers <= 2
    for _ in range(5):
        bench.live(100, 3)
        (offer,) = bench.sent(SnapshotOffer, 2)
        bench.hear(2, AppendReply(offer.term, False, 5, offer.round))


def test_the_answer_to_an_offer_keeps_the_lead_alive_like_any_other() -> None:
    bench = leader()
    refuse(bench, 2, 3)
    for _ in range(30):
        bench.wait(100)
        refuse(bench, 2, 3)
        bench.sent(AppendRequest, 3)  # 3 is not heard
    assert bench.replica.role == "leader"


@pytest.mark.parametrize("brought", [6, 8, 10])
def test_once_a_snapshot_has_brought_it_to_where_the_log_begins_appends_go_on_from_there(brought: int) -> None:
    bench = leader()
    refuse(bench, 2, 3)
    refuse(bench, 2, brought)
    requests = bench.sent(AppendRequest, 2)
    assert [request.prev.index for request in requests] == [brought]
    request = requests[0]
    bench.hear(2, AppendReply(request.term, True, brought, request.round))
    bench.answer(2)
    assert bench.replica.leading
    assert bench.replica.leading.followers.caught_up(2)


def test_an_answer_that_says_too_much_ends_no_offer() -> None:
    bench = leader()
    refuse(bench, 2, 3)
    refuse(bench, 2, 99)
    bench.live(100, 3)
    assert bench.sent(AppendRequest, 2) == []
    assert len(bench.sent(SnapshotOffer, 2)) >= 1


def test_a_follower_that_refuses_what_it_says_may_agree_is_asked_at_an_earlier_place_each_time() -> None:
    bench = leader(base=0)
    places = []
    for _ in range(12):
        bench.now += 100
        bench.do(Tick())
        bench.answer(3)
        places.append(bench.sent(AppendRequest, 2)[-1])
        bench.hear(2, AppendReply(places[-1].term, False, places[-1].prev.index, places[-1].round))
    found = [request.prev.index for request in places]
    assert found[-1] == 0
    assert all(after < before or after == 0 for before, after in pairwise(found))


def test_a_follower_that_is_behind_when_the_leader_cuts_is_offered_a_snapshot() -> None:
    bench = Bench(1, limits=SMALL)
    bench.serve()
    bench.live(2 * LEASE, 3)  # 2 is away, and is not waited for
    for seq in range(1, 60):
        bench.propose(ask(seq))
        bench.answer(3)
    assert bench.replica.log.base.index > 20
    bench.outbox.clear()
    bench.live(100, 3)
    refuse(bench, 2, 1)
    bench.live(200, 3)
    assert bench.sent(SnapshotOffer, 2)


def pulling() -> tuple[Bench, int]:
    """A leader whose follower 2 was offered a snapshot and answers nothing from now on, and where the log begins."""
    bench = Bench(1, limits=SMALL)
    bench.serve()
    bench.live(2 * LEASE, 3)
    for seq in range(1, 60):
        bench.propose(ask(seq))
        bench.answer(3)
    bench.live(100, 3)
    refuse(bench, 2, 1)
    bench.live(200, 3)
    refuse(bench, 2, 1)
    return bench, bench.replica.log.base.index


def test_while_a_follower_is_busy_with_a_snapshot_the_log_is_not_cut_after_it() -> None:
    """Once: checking a snapshot for more than two leases, it answered nothing; the log then began after what it had
    taken in, and it was offered the next one, for ever."""
    bench, base = pulling()
    bench.live(20 * LEASE, 3)
    length = bench.replica.log.last.index - base
    full = 60 + WAIT_FOR[0] * SMALL.log_entries_keep - length
    for seq in range(60, full):
        bench.propose(ask(seq))
        bench.answer(3)
    assert bench.replica.log.base.index == base
    bench.propose(ask(full))
    bench.answer(3)
    assert bench.replica.log.base.index > base + SMALL.log_entries_keep  # it is not waited for without a bound


def test_a_follower_that_has_taken_its_snapshot_or_died_over_it_is_waited_for_no_longer_than_others() -> None:
    bench, base = pulling()
    bench.live(100, 3)
    refuse(bench, 2, bench.replica.commit)
    bench.answer(2)
    bench.live(3 * LEASE, 3)
    for seq in range(60, 90):
        bench.propose(ask(seq))
        bench.answer(3)
    assert bench.replica.log.base.index > base
    bench, base = pulling()
    bench.live((PULLING_LEASES + 1) * LEASE, 3, step_ms=LEASE / 4)
    for seq in range(60, 90):
        bench.propose(ask(seq))
        bench.answer(3)
    assert bench.replica.log.base.index > base


# ------------------------------------------------------------ the follower's side


def behind(**other: object) -> Bench:
    """Peer 2 holds four entries, of which two are committed."""
    bench = Bench(2, log=TEN[:4], **other)  # type: ignore[arg-type]
    bench.hear(1, append(1, TEN, after=4, upto=4, commit=2))
    bench.outbox.clear()
    return bench


def test_an_offer_of_the_leader_is_taken_said_again_and_answered_with_what_is_committed_here() -> None:
    bench = behind()
    for number in (5, 6):
        effects = bench.hear(1, SnapshotOffer(1, number))
        assert only(Fetch, effects) == [Fetch(1)]
        assert bench.said(AppendReply, 1) == AppendReply(1, False, 2, number)
    assert bench.replica.leader == 1


def test_an_offer_of_an_earlier_term_is_refused_with_ones_own() -> None:
    bench = behind()
    bench.hear(3, append(7, []))
    bench.outbox.clear()
    effects = bench.hear(1, SnapshotOffer(1, 5))
    assert only(Fetch, effects) == []
    assert bench.said(AppendReply, 1) == AppendReply(7, False, 2, 5)
    assert bench.replica.leader == 3


def test_an_offer_of_a_later_term_makes_a_leader_follow_and_one_of_its_own_term_does_not() -> None:
    bench = Bench(1)
    bench.serve()
    assert only(Fetch, bench.hear(2, SnapshotOffer(bench.replica.term, 1))) == []
    assert bench.replica.role == "leader"
    assert only(Fetch, bench.hear(2, SnapshotOffer(bench.replica.term + 1, 1))) == [Fetch(2)]
    assert (bench.replica.role, bench.replica.leader) == ("follower", 2)


def test_an_offer_renews_the_lease_of_who_makes_it() -> None:
    bench = behind()
    for number in range(20):
        bench.now += 300
        bench.hear(1, SnapshotOffer(1, number))
    assert (bench.replica.role, bench.replica.term, bench.replica.leader) == ("follower", 1, 1)


def test_a_snapshot_is_wanted_only_if_it_brings_something() -> None:
    bench = behind()
    replica = bench.replica
    assert replica.wants(end_of(TEN))
    assert replica.wants(Place(3, 9, b"x" * 16))  # another log than the one here
    for index in (0, 1, 2):
        assert not replica.wants(end_of(TEN[:index]))
        assert not replica.wants(Place(index, 9, b"x" * 16))
    assert replica.commit == 2


def test_of_a_place_that_is_in_the_log_a_snapshot_tells_that_it_is_committed_and_no_more() -> None:
    bench = behind()
    assert not bench.replica.wants(end_of(TEN[:4]))
    assert (bench.replica.commit, bench.replica.applied) == (4, 2)
    bench.hear(1, append(1, [], number=9))
    assert bench.replica.applied == 4


def test_a_leader_wants_none() -> None:
    bench = Bench(1)
    bench.serve()
    assert not bench.replica.wants(Place(99, 1, b"x" * 16))


NEWER = Membership(7, (*MESH.members, member(4, b"4" * 16, votes=False)), ((5, b"5" * 16),))


def installed(bench: Bench, sessions: dict[tuple[str, bytes], Session] | None = None) -> list[Effect]:
    place = end_of(TEN)
    assert bench.replica.wants(place)
    return bench.do(Installed(place, NEWER, sessions or {}, b"h" * 16))


def test_an_installed_snapshot_is_log_tables_and_members_of_its_place() -> None:
    bench = behind()
    effects = installed(bench)
    replica = bench.replica
    assert (replica.log.base, replica.log.last, replica.log.durable) == (end_of(TEN), end_of(TEN), 10)
    assert (replica.commit, replica.applied, replica.state_hash) == (10, 10, b"h" * 16)
    assert replica.membership == replica.committed_members == NEWER
    assert [one.membership for one in only(Reconfigured, effects)] == [NEWER]
    beat = replica.heartbeat(bench.now)
    assert (beat.commit, beat.applied, beat.durable, beat.last, beat.state_hash) == (10, 10, 10, 10, b"h" * 16)


def test_after_a_snapshot_term_and_vote_are_what_they_were() -> None:
    bench = behind()
    bench.now = 3.0 * LEASE
    bench.hear(3, append(4, []))
    before = (bench.replica.term, bench.replica.election.vote)
    effects = installed(bench)
    assert (bench.replica.term, bench.replica.election.vote) == before
    assert only(Persist, effects) == []


def test_after_a_snapshot_an_offer_is_answered_with_its_place_and_appends_are_taken_from_there() -> None:
    bench = behind()
    installed(bench)
    bench.hear(1, SnapshotOffer(1, 8))
    assert bench.said(AppendReply, 1) == AppendReply(1, False, 10, 8)
    longer = [*TEN, chained(end_of(TEN), 1, 0, None, b"next")]
    bench.hear(1, append(1, longer, after=10, commit=11, number=9))
    assert bench.said(AppendReply, 1) == AppendReply(1, True, 11, 9)
    assert (bench.replica.commit, bench.replica.applied) == (11, 11)


def test_a_snapshot_that_would_take_back_what_is_committed_is_never_installed() -> None:
    bench = behind()
    with pytest.raises(AssertionError, match="take something back"):
        bench.take(Installed(Place(2, 9, b"x" * 16), MESH, {}, bytes(16)))


def test_uncommitted_changes_of_members_go_with_the_log_that_the_snapshot_replaces() -> None:
    log = [*TEN[:3], chained(end_of(TEN[:3]), 1, CONFIG, None, encode(MESH.with_learner(member(9))))]
    bench = Bench(2, log=log)
    assert bench.replica.membership.learners == (9,)
    installed(bench)
    assert bench.replica.membership.learners == (4,)


def test_sessions_of_a_snapshot_answer_what_they_know_again_once_this_peer_leads() -> None:
    bench = behind()
    one = origin(5)
    installed(bench, {one.session: Session(5, one.digest, 1, 9)})
    bench.others = (1, 3)
    bench.lead()
    bench.answer(1, 3)
    (reply,) = only(Reply, bench.propose(ask(5)))
    assert (reply.status, reply.index) == (ACK, 9)
    bench.propose(ask(6))
    (reply,) = only(Reply, bench.answer(1, 3))
    assert (reply.status, reply.seq) == (ACK, 6)


def test_sessions_that_only_the_replaced_tables_knew_are_forgotten() -> None:
    two = origin(1, "bed-2")
    bench = behind(stored={two.session: Session(1, two.digest, 1, 1)})
    installed(bench)
    assert bench.replica.sessions.last_stored(two.session).seq == 0


# ------------------------------------------------------------ compaction


def grown(limits: Limits, count: int, text: bytes = b"", one_by_one: bool = True) -> tuple[Bench, list[int]]:
    """A follower that is sent ``count`` committed entries, and where it cut its log."""
    bench = Bench(2, limits=limits)
    log: list[Entry] = []
    cuts: list[int] = []
    for seq in range(1, count + 1):
        log.append(batch(end_of(log), 1, seq, text=text or b"x"))
        if one_by_one:
            cuts += compacts(bench.hear(1, append(1, log, after=seq - 1, commit=seq)))
    if not one_by_one:
        cuts += compacts(bench.hear(1, append(1, log, commit=count)))
    return bench, cuts


def test_a_log_is_cut_by_a_step_once_it_is_a_step_longer_than_what_is_to_be_kept_and_not_before() -> None:
    assert grown(SMALL, 20)[1] == []
    bench, cuts = grown(SMALL, 21)
    assert cuts == [10]
    assert (bench.replica.log.base.index, bench.replica.log.last.index) == (10, 21)
    assert grown(SMALL, 45)[1] == [10, 20, 30]


def test_a_step_has_a_bound_however_much_is_to_be_kept() -> None:
    """Cut down to what is to be kept at once, 20,000 entries held the loop up for 13 ms, on all peers together."""
    keep = 2 * A_CUT[0]
    bench, cuts = grown(Limits(log_entries_keep=keep), keep + A_CUT[0], one_by_one=False)
    assert cuts == []
    (entry,) = log_of(1)
    entry = chained(bench.replica.log.last, 1, 0, None, entry.body)
    assert compacts(bench.hear(1, AppendRequest(1, bench.replica.log.last, (entry,), entry.index, 2))) == [A_CUT[0]]


def test_a_log_is_cut_when_it_weighs_a_step_more_than_what_is_to_be_kept() -> None:
    keep = 10_000
    bench, cuts = grown(Limits(log_bytes_keep=keep), 25, text=bytes(900))
    assert len(cuts) == 1
    log = bench.replica.log
    assert log.bytes == sum(one.cost_bytes for one in log.between(cuts[0], 25))
    assert keep <= log.bytes <= 2 * keep
    weight = A_CUT[1] // 8
    keep = 16 * weight
    bench, cuts = grown(Limits(log_bytes_keep=keep), 25, text=bytes(weight))
    assert cuts == [8], "a step of bytes has a bound, too"


def test_after_one_long_catching_up_a_quarter_of_what_is_too_much_is_cut_at_a_time() -> None:
    """At once, 100,000 entries held the loop up for 65 ms."""
    bench, cuts = grown(SMALL, 200, one_by_one=False)
    assert cuts == [190 // A_PART]
    for _ in range(20):
        log = bench.replica.log
        before, too_many = log.base.index, log.last.index + 1 - log.base.index - SMALL.log_entries_keep
        entry = batch(log.last, 1, log.last.index + 1)
        cuts = compacts(bench.hear(1, AppendRequest(1, log.last, (entry,), entry.index, entry.index)))
        assert cuts == ([before + max(10, too_many // A_PART)] if too_many > 10 else [])
    assert SMALL.log_entries_keep <= log.last.index - log.base.index <= 2 * SMALL.log_entries_keep


def test_large_entries_behind_many_small_ones_do_not_outgrow_what_is_to_be_kept() -> None:
    """A step of so many small ones for each large one that comes in: the log would weigh many times what is kept."""
    keep = 20_000
    limits = Limits(log_entries_keep=100_000, log_bytes_keep=keep)
    bench, _ = grown(limits, 150)
    assert bench.replica.log.bytes < 2 * keep
    small = bench.replica.log.last.index - bench.replica.log.base.index
    for _ in range(40):
        log = bench.replica.log
        entry = batch(log.last, 1, log.last.index + 1, text=bytes(keep // 2))
        bench.hear(1, AppendRequest(1, log.last, (entry,), entry.index, entry.index))
        assert bench.replica.log.bytes <= (2 + A_PART) * keep
    assert small > 50


def test_nothing_is_cut_that_is_not_applied_however_long_the_log() -> None:
    bench = Bench(2, limits=SMALL)
    log = log_of(*[1] * 60)
    assert compacts(bench.hear(1, append(1, log, commit=0))) == []
    assert compacts(bench.hear(1, append(1, log, after=60, commit=7))) == [7]
    assert bench.replica.log.base == end_of(log[:7])
    assert compacts(bench.hear(1, append(1, log, after=60, commit=7))) == []
    assert compacts(bench.hear(1, append(1, log, after=60, commit=60))) == [7 + (53 - 10) // A_PART]


def test_a_cut_is_told_with_the_members_that_were_in_force_there() -> None:
    log = log_of(*[1] * 4)
    log.append(chained(end_of(log), 1, CONFIG, None, encode(MESH.with_learner(member(4)))))
    for _ in range(10):
        log.append(chained(end_of(log), 1, 0, None, b""))
    log.append(chained(end_of(log), 1, CONFIG, None, encode(MESH)))
    for _ in range(5):
        log.append(chained(end_of(log), 1, 0, None, b""))
    bench = Bench(2, limits=SMALL)
    (compact,) = only(Compact, bench.hear(1, append(1, log, commit=21)))
    assert (compact.place, compact.membership.index, compact.membership.learners) == (end_of(log[:10]), 5, (4,))
    assert (bench.replica.membership.index, bench.replica.membership.learners) == (16, ())
    # A restart finds the same from what is left.
    again = Bench(2, log=log[10:], base=compact.place, applied=21, membership=compact.membership)
    assert again.replica.membership == bench.replica.membership
    assert again.replica._members.at(10).learners == (4,)


# ------------------------------------------------------------ appends that begin below the base


def test_a_late_append_is_agreed_to_as_far_as_it_reaches_the_base_and_changes_nothing() -> None:
    bench = after_compaction()
    for after, upto in ((2, 6), (0, 6), (6, 6)):
        effects = bench.hear(2, append(1, TEN, after=after, upto=upto, number=after + upto))
        assert bench.said(AppendReply, 2) == AppendReply(1, True, upto, after + upto)
        assert not [one for one in only(Persist, effects) if one.entries or one.truncate_from]
    assert bench.replica.log.last == end_of(TEN)


@pytest.mark.parametrize("log", [TEN, log_of(*[2] * 12)], ids=["the same", "another history"])
def test_nothing_is_claimed_of_what_is_compacted_and_cannot_be_compared(log: list[Entry]) -> None:
    """A leader whose log began anew would count this peer for entries that it never had."""
    bench = after_compaction()
    for after, upto in ((0, 3), (3, 3)):
        bench.hear(2, append(2, log, after=after, upto=upto))
        assert bench.said(AppendReply, 2) == AppendReply(2, False, 10, 1)
    assert bench.replica.log.last == end_of(TEN)


def test_an_append_that_reaches_beyond_the_base_adds_what_is_new() -> None:
    bench = after_compaction()
    longer = [*TEN, chained(end_of(TEN), 1, 0, None, b"next")]
    bench.hear(2, append(1, longer, after=2))
    assert bench.said(AppendReply, 2) == AppendReply(1, True, 11, 1)
    assert bench.replica.log.last == end_of(longer)


def test_an_append_whose_entries_disagree_with_the_base_is_refused_and_changes_nothing() -> None:
    bench = after_compaction()
    other = log_of(*[2] * 12)
    bench.hear(2, append(2, other, after=2))
    assert bench.said(AppendReply, 2) == AppendReply(2, False, 10, 1)
    assert bench.replica.log.last == end_of(TEN)
