"""How a mesh begins: once, when all its first peers are up together; and never a second time."""

from __future__ import annotations

from hfzmq.core.contract import CANDIDATE, LEADER, PRECANDIDATE, Persist
from hfzmq.core.membership import Membership, encode
from hfzmq.core.messages import VoteReply, VoteRequest
from hfzmq.core.types import CONFIG, START, Entry, chained
from tests.unit.core_bench import LEASE, Bench, append, ask, end_of, first_peers, member, only, statuses, vote

LIVES = {1: b"1" * 16, 2: b"2" * 16, 3: b"3" * 16, 4: b"4" * 16}
NEW = b"n" * 16
FIRST = first_peers(1, 2, 3)
BOUND = FIRST.bound({peer: LIVES[peer] for peer in (1, 2, 3)})
FOUNDED: list[Entry] = [chained(START, 1, CONFIG, None, encode(BOUND))]


def peer(me: int = 1, membership: Membership = FIRST, life: bytes | None = None, **other: object) -> Bench:
    return Bench(me, membership=membership, incarnation=life or LIVES[me], lives=LIVES, **other)  # type: ignore[arg-type]


def test_a_mesh_is_founded_when_every_first_peer_votes_for_it_and_its_first_entry_says_who_they_are() -> None:
    bench = peer()
    bench.lead()
    (entry,) = bench.replica.log.between(0, 9)
    assert (entry.kind, entry.body) == (CONFIG, encode(BOUND))
    assert bench.replica.membership.founded
    bench.answer(2)  # from here on a majority does
    assert bench.replica.serves
    assert bench.replica.committed_members.counts(3, LIVES[3])
    assert not bench.replica.committed_members.counts(3, NEW)


def test_no_mesh_is_founded_without_all_first_peers_however_many_are_up() -> None:
    bench = peer()
    for _ in range(10):
        bench.wait(LEASE)
        bench.hear(2, bench.would_vote(1))
    assert (bench.replica.role, bench.replica.term) == (PRECANDIDATE, 0)
    bench.hear(3, bench.would_vote(1))
    assert bench.replica.role == CANDIDATE
    bench.hear(2, VoteReply(1, False, True))
    assert bench.replica.role == CANDIDATE
    bench.hear(3, VoteReply(1, False, True))
    assert bench.replica.role == LEADER


def test_a_mesh_of_one_founds_itself() -> None:
    bench = Bench(1, membership=first_peers(1), incarnation=NEW)
    bench.wait(2 * LEASE)
    assert bench.replica.serves
    assert bench.replica.committed_members.counts(1, NEW)


def test_the_first_entry_is_bound_to_the_lives_that_have_voted() -> None:
    bench = peer()
    term = bench.campaign()
    bench.hear(2, VoteReply(term, False, True))
    bench.hear(2, VoteReply(term, False, True), NEW)  # it has lost its disk since, and is another now
    bench.hear(3, VoteReply(term, False, True))
    assert bench.replica.membership.counts(2, LIVES[2])
    assert not bench.replica.membership.counts(2, NEW)


def test_nobody_is_served_before_the_founding_entry_has_committed() -> None:
    bench = peer()
    bench.lead()
    assert not bench.replica.serves
    assert statuses(bench.propose(ask(1))) == []
    assert len(bench.replica.log.between(0, 9)) == 1
    assert statuses(bench.answer(2)) == [(("bed-1", 1), "ACK")]


def test_once_founded_a_majority_elects_also_after_a_restart() -> None:
    bench = peer(2, log=FOUNDED)
    term = bench.campaign()
    bench.hear(3, VoteReply(term, False, True))
    assert bench.replica.role == LEADER


def test_the_votes_of_a_first_peer_that_lost_its_disk_do_not_count_once_the_mesh_is_founded() -> None:
    bench = peer(2, log=FOUNDED)
    bench.wait(2 * LEASE)
    bench.hear(1, bench.would_vote(1), NEW)
    assert bench.replica.role == PRECANDIDATE
    bench.hear(3, bench.would_vote(1))
    bench.hear(1, VoteReply(1, False, True), NEW)
    assert bench.replica.role == CANDIDATE


# ------------------------------------------------------------ whom a first peer helps to found


def granted(bench: Bench, request: VoteRequest, sender: int = 1, life: bytes | None = None) -> bool:
    """Whether a peer that hears no leader says yes."""
    bench.now = max(bench.now, 2.0 * LEASE)
    bench.hear(sender, request, life)
    replies = bench.sent(VoteReply, sender)
    return bool(replies) and replies[-1].granted


def test_whoever_would_found_says_of_which_first_peers_and_whoever_would_not_says_nothing() -> None:
    new, old = peer(), peer(2, log=FOUNDED)
    for bench, founders in ((new, FIRST.founders), (old, b"")):
        bench.wait(2 * LEASE)
        assert {request.founders for request in bench.sent(VoteRequest)} == {founders}


def test_a_first_peer_helps_those_that_name_the_same_first_peers() -> None:
    for pre in (True, False):
        assert granted(peer(2), vote(1, pre=pre, founders=FIRST.founders))


def test_a_first_peer_does_not_help_those_that_name_others() -> None:
    for others in (first_peers(1, 2), first_peers(1, 2, 3, 4), first_peers(1, 2, 4)):
        for pre in (True, False):
            assert not granted(peer(2), vote(1, pre=pre, founders=others.founders))


def test_a_member_of_a_founded_mesh_helps_nobody_to_found_another_however_long_that_ones_log() -> None:
    longer = [*FOUNDED, chained(end_of(FOUNDED), 9, CONFIG, None, encode(BOUND))]
    for pre in (True, False):
        assert not granted(peer(2, log=FOUNDED), vote(9, longer, pre=pre, founders=FIRST.founders))


def test_a_first_peer_that_was_away_while_the_mesh_was_founded_helps_a_member_of_it() -> None:
    for pre in (True, False):
        assert granted(peer(3), vote(2, FOUNDED, pre=pre))


def test_a_wiped_first_peer_and_one_that_was_away_found_no_second_mesh_with_a_third_that_remembers() -> None:
    """1 and 2 have founded and acknowledged; 1 loses its disk, 3 was away: 3 needs 2, which remembers."""
    away, remembers = peer(3), peer(2, log=FOUNDED)
    away.wait(2 * LEASE)
    (request, *_) = away.sent(VoteRequest, 2)
    assert not granted(remembers, request, 3)
    away.hear(1, away.would_vote(1), NEW)
    assert away.replica.role == PRECANDIDATE
    # And 2, with the vote of 3, goes on with what it remembers.
    remembers.wait(2 * LEASE)
    (request, *_) = remembers.sent(VoteRequest, 3)
    assert granted(away, request, 2)


# ------------------------------------------------------------ who joins a mesh that exists


def test_a_peer_that_joins_never_founds_nor_campaigns_even_if_it_knows_of_one_other_only() -> None:
    for known in (first_peers(1), first_peers(1, 2, 3), Membership(0, ())):
        bench = Bench(4, membership=known, incarnation=LIVES[4], lives=LIVES)
        for _ in range(10):
            bench.wait(LEASE)
        assert (bench.replica.role, bench.replica.term) == ("follower", 0)
        assert bench.sent(VoteRequest) == []
        assert only(Persist, bench.wait(LEASE)) == []


def test_a_peer_that_joins_learns_the_members_from_the_log_of_their_leader() -> None:
    bench = Bench(4, membership=FIRST, incarnation=LIVES[4], lives=LIVES)
    mesh = BOUND.with_learner(member(4, LIVES[4], votes=False))
    log = [*FOUNDED, chained(end_of(FOUNDED), 1, CONFIG, None, encode(mesh))]
    bench.hear(1, append(1, log, commit=2))
    assert bench.replica.committed_members.learners == (4,)
    assert bench.replica.applied == 2


def test_a_first_peer_without_a_log_that_hears_of_a_mesh_which_has_one_does_not_found_another() -> None:
    """Not even with the votes of all the others that have none. Once: the next append made it forget."""
    log = [*FOUNDED, chained(end_of(FOUNDED), 1, CONFIG, None, encode(BOUND))]
    for message in (append(1, log, after=2), vote(3, log, pre=True)):
        bench = peer(3)
        bench.hear(1, message)  # it does not agree with what stands before
        bench.outbox.clear()
        for _ in range(5):
            bench.wait(LEASE)
        assert (bench.replica.role, bench.sent(VoteRequest)) == ("follower", [])


def test_a_first_peer_that_hears_of_others_without_a_log_still_founds() -> None:
    bench = peer(3)
    bench.hear(1, vote(1, pre=True, founders=FIRST.founders))
    bench.hear(1, append(0, []))
    bench.lead()
