"""The polite half of the bully: to whom, when, and how seldom."""

from __future__ import annotations

import pytest

from hfzmq.core.handover import GRACE, SETTLE_MS_MAX, HandOver, Transfer

SETTLE, LEASE = 10_000, 1000
STEP = 100


def hand_over(settle_ms: int = SETTLE) -> HandOver:
    return HandOver(3, settle_ms, LEASE)


def watch(it: HandOver, begin_ms: int, end_ms: int, *fit: int) -> int:
    """Look every 100 ms while ``fit`` are fit; when a hand-over began, or -1."""
    for now in range(begin_ms, end_ms + 1, STEP):
        it.look(now, fit)
        if it.transfer:
            return now
    return -1


def test_a_lower_id_gets_the_lead_when_it_has_been_well_for_the_settle_time_and_not_before() -> None:
    it = hand_over()
    assert watch(it, 0, 20_000, 1) == SETTLE
    assert it.transfer == Transfer(1, SETTLE, False)


def test_who_was_ill_for_half_a_lease_settles_anew() -> None:
    it = hand_over()
    assert watch(it, 0, 9000, 1) == -1
    ill_ms = int(GRACE * LEASE) + STEP
    assert watch(it, 9000 + STEP, 9000 + ill_ms) == -1
    assert watch(it, 9000 + ill_ms + STEP, 40_000, 1) == 9000 + ill_ms + STEP + SETTLE


def test_one_refused_append_is_no_illness() -> None:
    it = hand_over()
    watch(it, 0, 5000, 1)
    watch(it, 5000 + STEP, 5000 + int(GRACE * LEASE) - STEP)
    assert watch(it, 5000 + int(GRACE * LEASE), 20_000, 1) == SETTLE


def test_of_two_that_have_settled_the_lowest_is_given_the_lead() -> None:
    it = hand_over()
    watch(it, 0, 20_000, 2, 1)
    assert it.transfer is not None
    assert it.transfer.target == 1


def test_one_hand_over_at_a_time() -> None:
    it = hand_over()
    began = watch(it, 0, 20_000, 2)
    it.look(began + STEP, (1, 2))
    it.look(began + 90_000, (1, 2))
    assert it.transfer == Transfer(2, began, False)


def test_timeout_now_is_told_once() -> None:
    it = hand_over()
    with pytest.raises(AssertionError):
        it.tell()
    it.begin(0, 1)
    assert it.tell() == 1
    with pytest.raises(AssertionError):
        it.tell()


def test_a_hand_over_is_overdue_after_a_lease() -> None:
    it = hand_over()
    assert not it.overdue(99_999)
    it.begin(500, 1)
    assert not it.overdue(500 + LEASE)
    assert it.overdue(501 + LEASE)


def test_after_an_abort_the_wait_doubles_each_time_up_to_ten_minutes() -> None:
    it = hand_over()
    now, waits = 0, []
    for _ in range(8):
        began = watch(it, now, now + 2 * SETTLE_MS_MAX, 1)
        waits.append(began - now)
        it.stop()
        now = began + STEP
    assert waits == [10_000, 20_000, 40_000, 80_000, 160_000, 320_000, SETTLE_MS_MAX, SETTLE_MS_MAX]


def test_a_flapping_peer_costs_another_peer_nothing() -> None:
    it = hand_over()
    it.begin(0, 2)
    it.stop()
    assert watch(it, STEP, 40_000, 1) == STEP + SETTLE


def test_doubling_means_something_where_settling_is_set_to_nothing() -> None:
    it = hand_over(settle_ms=0)
    assert watch(it, 0, 0, 1) == 0
    it.stop()
    assert watch(it, STEP, 9000, 1) == STEP + 2 * LEASE


def test_a_peer_that_has_led_long_enough_has_no_past() -> None:
    it = hand_over()
    it.begin(0, 1)
    it.stop()
    it.trust(1)
    it.trust(2)
    assert watch(it, STEP, 40_000, 1) == STEP + SETTLE
