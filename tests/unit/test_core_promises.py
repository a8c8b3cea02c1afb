"""I3: nothing that promises durability leaves before the sync that backs it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hfzmq.core.contract import Effect, Persist, Send
from hfzmq.core.messages import AppendReply, VoteReply
from hfzmq.core.promises import Promises
from hfzmq.core.types import HardState
from tests.unit.core_bench import log_of, only

ME = 1
STATE = HardState(3, 0)
ACK = AppendReply(3, True, 1, 1)
OTHER = AppendReply(3, True, 2, 2)


def promises() -> Promises:
    return Promises(ME, STATE, 0.0)


def sends(effects: list[Effect]) -> list[tuple[int, object]]:
    return [(send.to, send.message) for send in only(Send, effects)]


def test_where_nothing_is_to_be_written_nothing_is() -> None:
    assert promises().hand_out(0, STATE) == (None, [])


def test_a_promise_waits_for_what_its_own_step_writes() -> None:
    p = promises()
    p.add(log_of(3))
    p.promise(2, ACK)
    token, effects = p.hand_out(0, STATE)
    assert token == 1
    assert effects == [Persist(1, None, None, tuple(log_of(3)))]
    assert p.persisted(5, 1) == [(2, ACK)]


def test_the_ack_of_an_empty_or_repeated_append_waits_for_what_an_earlier_step_writes() -> None:
    p = promises()
    p.add(log_of(3))
    p.hand_out(0, STATE)
    p.promise(2, ACK)
    assert p.hand_out(1, STATE) == (None, [])
    assert p.persisted(5, 1) == [(2, ACK)]


def test_a_promise_with_an_idle_disk_leaves_at_once() -> None:
    p = promises()
    p.promise(2, ACK)
    assert sends(p.hand_out(0, STATE)[1]) == [(2, ACK)]
    p.add(log_of(3))
    p.hand_out(0, STATE)
    p.persisted(1, 1)
    p.promise(2, OTHER)
    assert sends(p.hand_out(2, STATE)[1]) == [(2, OTHER)]


def test_a_promise_to_oneself_never_leaves_but_comes_back_when_it_is_durable() -> None:
    p = promises()
    vote = VoteReply(4, False, True)
    p.promise(ME, vote)
    _, effects = p.hand_out(0, HardState(4, ME))
    assert effects == [Persist(1, HardState(4, ME), None, ())]
    assert p.persisted(1, 1) == [(ME, vote)]


def test_promises_leave_in_the_order_in_which_they_were_made() -> None:
    p = promises()
    for number in range(1, 5):
        p.add(log_of(3)[:1])
        p.promise(number, ACK)
        p.hand_out(0, STATE)
    assert [to for to, _ in p.persisted(1, 2)] == [1, 2]
    assert [to for to, _ in p.persisted(2, 4)] == [3, 4]


def test_a_sync_that_is_reported_twice_or_late_releases_nothing_twice() -> None:
    p = promises()
    p.add(log_of(3))
    p.promise(2, ACK)
    p.hand_out(0, STATE)
    assert p.persisted(1, 1) == [(2, ACK)]
    assert p.persisted(2, 1) == []
    assert p.idle


def test_promises_of_a_term_that_is_over_never_leave() -> None:
    p = promises()
    p.add(log_of(3))
    p.promise(2, ACK)
    p.hand_out(0, STATE)
    p.promise(2, OTHER)
    p.forget()
    p.hand_out(0, HardState(4, 0))
    assert p.persisted(1, 2) == []


def test_a_changed_hard_state_is_written_once() -> None:
    p = promises()
    token, effects = p.hand_out(0, HardState(4, 2))
    assert effects == [Persist(1, HardState(4, 2), None, ())]
    assert p.hand_out(0, HardState(4, 2)) == (None, [])
    token, effects = p.hand_out(0, HardState(4, 2), probe=True)
    assert (token, effects) == (2, [Persist(2, None, None, ())])


def test_entries_that_are_dropped_before_they_were_written_are_not_written() -> None:
    entries = log_of(3, 3, 3)
    p = promises()
    p.add(entries)
    p.drop_from(2)
    p.drop_from(3)
    assert p.hand_out(0, STATE)[1] == [Persist(1, None, 2, tuple(entries[:1]))]


def test_the_disk_hangs_for_as_long_as_it_finishes_nothing() -> None:
    p = promises()
    assert p.waiting_ms(99) == 0
    p.hand_out(100, STATE, probe=True)
    p.hand_out(150, STATE, probe=True)
    assert p.waiting_ms(160) == 60
    p.persisted(170, 1)
    assert (p.synced_ms, p.idle, p.waiting_ms(200)) == (170, False, 30)
    p.persisted(210, 2)
    assert (p.idle, p.waiting_ms(999)) == (True, 0)


@settings(max_examples=80)
@given(st.lists(st.tuples(st.sampled_from(("write", "promise", "sync", "out")), st.integers(1, 4)), max_size=40))
def test_no_promise_leaves_while_anything_that_was_written_before_it_is_unsynced(acts: list[tuple[str, int]]) -> None:
    p = promises()
    handed, synced, number = 0, 0, 0
    made_at: dict[int, int] = {}  # promise -> the token that backs it
    fresh: list[int] = []
    left: list[int] = []
    for act, step in acts:
        if act == "write":
            p.add(log_of(3)[:1])
        elif act == "promise":
            number += 1
            fresh.append(number)
            p.promise(2, AppendReply(3, True, number, 1))
        elif act == "out":
            token, effects = p.hand_out(0, STATE)
            handed = token or handed
            made_at.update(dict.fromkeys(fresh, handed))
            fresh = []
            left += [s.message.match for s in only(Send, effects) if isinstance(s.message, AppendReply)]
        elif handed > synced:
            synced = min(handed, synced + step)
            left += [m.match for _, m in p.persisted(0, synced) if isinstance(m, AppendReply)]
        assert all(made_at[promise] <= synced for promise in left)
        assert left == sorted(left)
        assert set(left) == {promise for promise, token in made_at.items() if token <= synced}
