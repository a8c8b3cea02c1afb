"""Clients that wait for the leader: each is answered once, by what is stored, and what waits is bounded."""

from __future__ import annotations

from hfzmq.config import Limits
from hfzmq.core.contract import Proposal, Reply
from hfzmq.core.pending import Pending, Unconfirmed
from hfzmq.core.sessions import Sessions
from hfzmq.core.types import NOOP, START, Entry, Place, chained
from tests.unit.core_bench import ask, batch

LIMITS = Limits(uncommitted_bytes_max=1000)


class Leader:
    """A leader's log, sessions and waiting clients."""

    def __init__(self, tail: tuple[Entry, ...] = (), commit: int = 0, limits: Limits = LIMITS) -> None:
        self.log: list[Entry] = list(tail)
        self.sessions = Sessions()
        self.pending = Pending(self.sessions, limits)
        self.pending.begin(self.log, commit)
        self.commit = commit
        self.applied = 0

    @property
    def last(self) -> Place:
        return Place(self.log[-1].index, self.log[-1].term, self.log[-1].chain) if self.log else START

    def append(self, proposal: Proposal) -> Entry:
        entry = chained(self.last, 7, 1, proposal.origin, proposal.body)
        self.log.append(entry)
        return entry

    def propose(self, proposal: Proposal) -> Reply | None:
        return self.pending.propose(proposal, self.applied, self.append)

    def commit_all(self) -> list[Reply]:
        """Everything is committed and applied in one go."""
        entries = self.log[self.commit :]
        self.pending.committed(entries)
        self.commit = len(self.log)
        fresh = self.log[self.applied :]
        repeats = frozenset(entry.index for entry in fresh if not self.sessions.apply(entry))
        first, self.applied = self.applied + 1, len(self.log)
        return self.pending.applied(first, self.applied, repeats)


# ------------------------------------------------------------ submits


def test_an_ack_comes_only_when_the_entry_is_applied_and_says_where_it_stands() -> None:
    leader = Leader()
    assert leader.propose(ask(1)) is None
    assert leader.commit_all() == [Reply(("bed-1", 1), "ACK", seq=1, term=7, index=1)]
    assert leader.pending.applied(1, 1, frozenset()) == []


def test_a_request_that_comes_again_waits_at_the_place_of_the_first_and_is_appended_once() -> None:
    leader = Leader()
    leader.propose(ask(1, route="first"))
    leader.propose(ask(1, route="second"))
    assert len(leader.log) == 1
    assert [(reply.route, reply.status, reply.index) for reply in leader.commit_all()] == [
        ("first", "ACK", 1),
        ("second", "ACK", 1),
    ]


def test_a_stored_request_that_comes_again_is_acknowledged_at_once_with_the_same_place() -> None:
    leader = Leader()
    leader.propose(ask(1))
    leader.commit_all()
    assert leader.propose(ask(1, route="again")) == Reply("again", "ACK", seq=1, term=7, index=1)


def test_the_same_seq_with_another_digest_is_a_conflict_and_a_jump_is_a_gap_with_the_expected_seq() -> None:
    leader = Leader()
    leader.propose(ask(1))
    assert leader.propose(ask(1, text=b"other")) == Reply(("bed-1", 1), "CONFLICT", seq=1, term=7, index=1)
    assert leader.propose(ask(5)) == Reply(("bed-1", 5), "GAP", seq=5, expected=2)
    assert len(leader.log) == 1


def test_a_new_leader_counts_the_entries_that_others_appended() -> None:
    tail = (batch(START, 3, 1),)
    leader = Leader(tail)
    assert leader.propose(ask(1)) is None
    assert len(leader.log) == 1, "it stands in the log already"
    assert leader.propose(ask(2, client="bed-2")) is not None
    (reply,) = leader.commit_all()
    assert (reply.status, reply.term, reply.index) == ("ACK", 3, 1)


# ------------------------------------------------------------ bounds


def test_beyond_the_bound_of_uncommitted_bytes_the_answer_is_busy_until_some_are_committed() -> None:
    leader = Leader()
    for number in range(20):
        reply = leader.propose(ask(1, client=f"bed-{number}"))
        if reply:
            break
    assert reply is not None
    assert reply.status == "BUSY"
    assert reply.retry_ms > 0
    assert sum(entry.cost_bytes for entry in leader.log) <= LIMITS.uncommitted_bytes_max + leader.log[-1].cost_bytes
    leader.commit_all()
    assert leader.propose(ask(1, client=f"bed-{number}")) is None


def test_who_waits_for_an_entry_under_way_is_not_told_busy() -> None:
    leader = Leader()
    leader.propose(ask(1))
    leader.propose(ask(1, client="fat", text=bytes(1200)))
    busy = leader.propose(ask(1, client="late"))
    assert busy is not None
    assert busy.status == "BUSY"
    assert leader.propose(ask(1, route="again")) is None


def test_what_a_new_leader_inherits_uncommitted_counts_and_what_is_committed_does_not() -> None:
    fat = batch(START, 3, 1, text=bytes(1200))
    busy = Leader((fat,)).propose(ask(1, client="x"))
    assert busy is not None
    assert busy.status == "BUSY"
    assert Leader((fat,), commit=1).propose(ask(1, client="x")) is None


def test_after_everything_is_committed_nothing_counts_as_uncommitted() -> None:
    tail: list[Entry] = []
    for term in range(1, 13):  # twelve leaders before this one committed nothing but left their no-ops behind
        before = Place(tail[-1].index, tail[-1].term, tail[-1].chain) if tail else START
        tail.append(chained(before, term, NOOP, None, b""))
    leader = Leader(tuple(tail))
    leader.commit_all()
    # Once: ``begin`` counts every entry of the tail, ``committed`` takes away only those with an origin.
    assert leader.propose(ask(1)) is None, "BUSY for as long as this peer leads"


def test_the_queue_is_bounded_together_with_what_is_uncommitted() -> None:
    pending = Pending(Sessions(), LIMITS)
    answers = [pending.queue(ask(1, client=f"bed-{number}", text=bytes(300))) for number in range(10)]
    kept = answers.count(None)
    assert 300 * kept <= LIMITS.uncommitted_bytes_max + 300
    assert {answer.status for answer in answers if answer} == {"BUSY"}
    assert pending.next_queued() is not None
    assert pending.queue(ask(1, client="now there is room", text=bytes(300))) is None


def test_what_was_queued_comes_out_in_the_order_of_its_arrival() -> None:
    pending = Pending(Sessions(), LIMITS)
    for seq in (1, 2, 3):
        pending.queue(ask(seq))
    found = [pending.next_queued() for _ in range(4)]
    assert [proposal.origin.seq if proposal else None for proposal in found] == [1, 2, 3, None]


def test_a_request_without_rows_still_weighs_something_in_the_queue() -> None:
    pending = Pending(Sessions(), Limits(uncommitted_bytes_max=65_536))
    answers = [pending.queue(ask(1, client=f"bed-{number}", text=b"x")) for number in range(3000)]
    # Once: a queued proposal counts as its body alone, so the bound of 64 KiB admits 65,000 of them (tens of MB).
    assert any(answers), "3,000 requests were queued within 64 KiB"


# ------------------------------------------------------------ answers that only the present leader may give


def reading(route: str) -> Reply:
    return Reply(route, "READ", term=7)


def test_a_read_waits_for_its_round_and_for_its_index_and_says_what_is_applied() -> None:
    pending = Pending(Sessions(), LIMITS)
    pending.hold(Unconfirmed(5, 10, reading("r")))
    assert pending.confirmed(4, 10) == []
    assert pending.confirmed(5, 9) == []
    assert pending.confirmed(5, 12) == [Reply("r", "READ", term=7, index=12)]
    assert pending.confirmed(5, 12) == []


def test_only_the_answers_that_are_ready_leave_and_a_conflict_keeps_its_place() -> None:
    pending = Pending(Sessions(), LIMITS)
    conflict = Reply("b", "CONFLICT", seq=3, term=7, index=2)
    for number, reply in ((5, reading("a")), (6, conflict), (5, reading("c"))):
        pending.hold(Unconfirmed(number, 0, reply))
    assert [reply.route for reply in pending.confirmed(5, 9)] == ["a", "c"]
    assert pending.confirmed(6, 9) == [conflict]


# ------------------------------------------------------------ the lead is lost


def test_whoever_waits_when_the_lead_is_lost_is_told_to_ask_elsewhere_exactly_once() -> None:
    leader = Leader()
    leader.propose(ask(1, route="waiting"))
    leader.pending.queue(ask(2, route="queued"))
    leader.pending.hold(Unconfirmed(5, 0, reading("reading")))
    away = leader.pending.turn_away(8, 2)
    assert {(reply.route, reply.status, reply.leader) for reply in away} == {
        ("waiting", "NOT_LEADER", 2),
        ("queued", "NOT_LEADER", 2),
        ("reading", "NOT_LEADER", 2),
    }
    assert leader.pending.turn_away(8, 2) == []
    assert leader.commit_all() == [], "an entry that commits later acknowledges to nobody"
    assert leader.pending.next_queued() is None
    assert leader.pending.confirmed(9, 9) == []


def test_an_entry_that_was_not_stored_when_applied_is_never_acknowledged() -> None:
    leader = Leader()
    leader.propose(ask(1))
    leader.sessions.apply(batch(START, 7, 1, text=b"another"))  # cannot be; the answer must be true all the same
    (reply,) = leader.commit_all()
    assert reply.status == "CONFLICT"
