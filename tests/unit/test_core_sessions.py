"""I4: exactly once, in order, for each session."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hfzmq.core.sessions import AGAIN, CONFLICT, GAP, NEW, NOTHING, Session, Sessions
from hfzmq.core.types import NOOP, START, Entry, Origin, Place, chained
from tests.unit.core_bench import batch, origin


def after(entries: list[Entry]) -> Place:
    return Place(entries[-1].index, entries[-1].term, entries[-1].chain) if entries else START


def log_with(*seqs: int, client: str = "bed-1") -> list[Entry]:
    entries: list[Entry] = []
    for seq in seqs:
        entries.append(batch(after(entries), 1, seq, client))
    return entries


def key_of(seq: int, client: str = "bed-1") -> tuple[str, bytes]:
    return origin(seq, client).session


# ------------------------------------------------------------ judging


def test_an_unknown_session_starts_with_one() -> None:
    sessions = Sessions()
    assert sessions.judge(origin(1)) == (NEW, NOTHING)
    assert sessions.judge(origin(2)) == (GAP, NOTHING)
    assert sessions.judge(origin(0))[0] != NEW


def test_the_next_seq_is_new_the_last_with_its_digest_stands_where_it_stands() -> None:
    sessions = Sessions({key_of(3): Session(3, origin(3).digest, 2, 17)})
    assert sessions.judge(origin(4))[0] == NEW
    assert sessions.judge(origin(3)) == (AGAIN, Session(3, origin(3).digest, 2, 17))


def test_the_last_seq_with_another_digest_is_a_conflict() -> None:
    sessions = Sessions({key_of(3): Session(3, origin(3).digest, 2, 17)})
    assert sessions.judge(origin(3, text=b"other"))[0] == CONFLICT


def test_any_other_seq_leaves_a_gap_and_the_answer_knows_the_last_one() -> None:
    sessions = Sessions({key_of(3): Session(3, origin(3).digest, 2, 17)})
    for seq in (1, 2, 5, 1 << 62):
        verdict, last = sessions.judge(origin(seq))
        assert (verdict, last.seq) == (GAP, 3)


def test_another_epoch_of_the_same_client_is_another_session() -> None:
    sessions = Sessions({key_of(3): Session(3, origin(3).digest, 2, 17)})
    fresh = origin(1)
    assert sessions.judge(Origin(fresh.client, b"n" * 16, 1, fresh.digest))[0] == NEW


def test_the_callers_table_is_not_written_to() -> None:
    stored: dict[tuple[str, bytes], Session] = {}
    Sessions(stored).apply(log_with(1)[0])
    assert stored == {}


# ------------------------------------------------------------ what is on its way


def test_the_next_request_is_counted_from_what_is_appended_and_not_yet_committed() -> None:
    sessions = Sessions()
    entry = log_with(1)[0]
    sessions.expect(entry)
    assert sessions.judge(origin(1)) == (AGAIN, Session(1, origin(1).digest, 1, 1))
    assert sessions.judge(origin(1, text=b"other"))[0] == CONFLICT
    assert sessions.judge(origin(2))[0] == NEW
    assert sessions.last_stored(key_of(1)) == NOTHING


def test_a_new_leader_forgets_what_was_on_its_way_and_counts_from_its_own_log() -> None:
    sessions = Sessions()
    for entry in log_with(1, 2):
        sessions.expect(entry)
    sessions.rebuild(log_with(1))
    assert sessions.judge(origin(2))[0] == NEW
    sessions.rebuild([])
    assert sessions.judge(origin(1))[0] == NEW


def test_what_is_stored_counts_where_what_was_expected_is_older() -> None:
    sessions = Sessions()
    entries = log_with(1, 2)
    sessions.expect(entries[0])
    sessions.apply(entries[0])
    sessions.apply(entries[1])
    assert sessions.last_known(key_of(2)).seq == 2
    assert sessions.judge(origin(3))[0] == NEW


def test_applying_an_earlier_entry_does_not_forget_a_later_one_that_is_on_its_way() -> None:
    sessions = Sessions()
    entries = log_with(1, 2)
    for entry in entries:
        sessions.expect(entry)
    sessions.apply(entries[0])
    assert sessions.judge(origin(2))[0] == AGAIN
    assert sessions.judge(origin(3))[0] == NEW


# ------------------------------------------------------------ applying


def test_what_no_client_asked_for_is_always_applied() -> None:
    sessions = Sessions()
    entry = chained(START, 1, NOOP, None, b"")
    assert sessions.apply(entry)
    assert sessions.apply(entry)


def test_a_request_is_judged_again_when_applied_and_stored_once() -> None:
    sessions = Sessions()
    first = log_with(1)[0]
    assert sessions.apply(first)
    again = batch(after([first]), 1, 1)
    assert not sessions.apply(again)
    assert sessions.last_stored(key_of(1)) == Session(1, origin(1).digest, 1, first.index)


def test_a_gap_or_a_conflict_that_reached_the_log_stores_nothing_and_moves_nothing() -> None:
    sessions = Sessions()
    first = log_with(1)[0]
    sessions.apply(first)
    before = sessions.last_stored(key_of(1))
    assert not sessions.apply(batch(after([first]), 1, 3))
    assert not sessions.apply(batch(after([first]), 1, 1, text=b"other"))
    assert sessions.last_stored(key_of(1)) == before
    assert sessions.judge(origin(2))[0] == NEW


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(("a", "b")), st.integers(1, 6), st.booleans()), max_size=60))
def test_whatever_stands_in_the_log_the_stored_seqs_of_a_session_are_one_to_k_each_once(
    requests: list[tuple[str, int, bool]],
) -> None:
    sessions = Sessions()
    stored: dict[str, list[int]] = {"a": [], "b": []}
    before = START
    for client, seq, altered in requests:
        entry = batch(before, 1, seq, client, b"altered" if altered else b"")
        before = after([entry])
        if sessions.apply(entry):
            stored[client].append(seq)
            assert sessions.last_stored(key_of(seq, client)).index == entry.index
    for seqs in stored.values():
        assert seqs == list(range(1, len(seqs) + 1))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=30), st.integers(0, 30))
def test_two_peers_that_apply_the_same_log_keep_the_same_sessions_whoever_led(
    requests: list[tuple[int, bool]], led_from: int
) -> None:
    follower, leader = Sessions(), Sessions()
    entries: list[Entry] = []
    for seq, altered in requests:
        entries.append(batch(after(entries), 1, seq, text=b"altered" if altered else b""))
    leader.rebuild(entries[led_from:])
    assert [follower.apply(entry) for entry in entries] == [leader.apply(entry) for entry in entries]
    assert follower.last_stored(key_of(1)) == leader.last_stored(key_of(1))
    assert leader.last_known(key_of(1)) == leader.last_stored(key_of(1)), "nothing is on its way any more"
