"""What waits for a channel: tried, tried again ever more rarely, and given up in the end."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfzmq.daemon.notify.lane import RETRY_MOST_MS, Lane
from hfzmq.daemon.notify.lines import Message

FOREVER = float("inf")


def notice(episode: int, step: int = 1) -> Message:
    return {"episode_id": episode, "step": step}


def lane(retry_for_ms: int = 900_000) -> Lane:
    return Lane(retry_for_ms, Random(1))


def test_a_notice_is_under_way_once_however_often_it_is_added() -> None:
    one = lane()
    one.add(0, notice(1), 0)
    one.add(0, notice(1), 0)
    assert one.wake_ms() == 0
    job = one.take(0)
    assert job
    assert job.notice == notice(1)
    one.add(0, notice(1), 0)
    assert one.take(0) is None
    assert one.wake_ms() == FOREVER
    settled = one.settle(5, ok=True, final=False)
    assert settled
    assert settled.ok
    assert one.wake_ms() == FOREVER


@given(st.integers(0, 1_000_000), st.integers(1, 5_000), st.integers(0, 2**32))
def test_the_pauses_double_up_to_a_minute_with_jitter_and_the_last_try_is_at_the_end_of_its_time(
    retry_for_ms: int, attempt_ms: int, seed: int
) -> None:
    one = Lane(retry_for_ms, Random(seed))
    one.add(0, notice(1), 0)
    now_ms, pauses, last_ms = 0.0, 0, 0.0
    while (job := one.take(now_ms)) is not None:
        last_ms = now_ms
        now_ms += attempt_ms
        if (settled := one.settle(now_ms, ok=False, final=False)) is not None:
            assert not settled.ok
            break
        full_ms = min(RETRY_MOST_MS, 1000 * 2**pauses)
        assert one.wake_ms() == retry_for_ms or full_ms / 2 <= one.wake_ms() - now_ms <= full_ms
        assert one.wake_ms() <= retry_for_ms
        pauses += 1
        now_ms = one.wake_ms()
        assert job.attempts == pauses
    assert settled is not None
    assert retry_for_ms - attempt_ms <= last_ms <= retry_for_ms
    assert one.wake_ms() == FOREVER


def test_a_failure_that_trying_again_cannot_help_is_given_up_at_once() -> None:
    one = lane()
    one.add(0, notice(1), 0)
    one.take(0)
    settled = one.settle(1, ok=False, final=True)
    assert settled
    assert not settled.ok


def test_what_was_tried_by_a_process_that_is_no_more_gets_no_second_life() -> None:
    one = lane(retry_for_ms=1000)
    one.add(5000, notice(1), age_ms=1000)
    assert one.take(5000)
    assert one.settle(5001, ok=False, final=False)


def test_a_new_notice_goes_before_one_that_failed() -> None:
    one = lane()
    one.add(0, notice(1), 0)
    one.take(0)
    one.settle(0, ok=False, final=False)
    one.add(100_000, notice(2), 0)
    job = one.take(100_000)
    assert job
    assert job.notice == notice(2)


def test_hundreds_of_notices_for_a_dead_channel_cost_a_try_in_two_seconds_until_one_is_delivered() -> None:
    one, now_ms, tries = lane(retry_for_ms=5000), 0.0, 0
    for episode in range(1, 501):
        one.add(0, notice(episode), 0)
    while now_ms < 60_000:
        assert one.take(now_ms)
        tries += 1
        one.settle(now_ms, ok=False, final=False)
        now_ms = max(now_ms + 1, one.wake_ms())
    assert tries < 40
    one.take(now_ms)
    one.settle(now_ms, ok=True, final=False)
    for _ in range(100):
        assert one.take(now_ms)
        one.settle(now_ms, ok=True, final=False)


def test_whoever_leads_no_more_has_nothing_left_to_try() -> None:
    one = lane()
    for episode in (1, 2, 3):
        one.add(0, notice(episode), 0)
    one.take(0)
    one.drop_all()
    assert one.settle(1, ok=False, final=False) is None
    assert one.wake_ms() == FOREVER


@pytest.mark.parametrize("ok", [True, False])
def test_what_is_dropped_while_under_way_is_told_only_if_it_was_delivered(ok: bool) -> None:
    one = lane()
    for step in (1, 2):
        one.add(0, notice(1, step), 0)
    one.add(0, notice(2), 0)
    one.take(0)
    one.drop(1)
    settled = one.settle(1, ok=ok, final=False)
    assert (settled is not None) == ok
    job = one.take(FOREVER)
    assert job
    assert job.notice == notice(2)


def test_what_is_dropped_and_added_again_is_tried_again() -> None:
    one = lane()
    one.add(0, notice(1), 0)
    one.take(0)
    one.drop(1)
    one.add(0, notice(1), 0)
    assert one.settle(1, ok=False, final=False) is None
    assert one.wake_ms() < FOREVER
