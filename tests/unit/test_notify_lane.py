"""What waits for a channel: tried, tried again ever more rarely, and given up in the end."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfzmq.clinical.alarm.types import AMBER, CAUSES, HEART_RATE, NO_DATA, RED
from hfzmq.daemon.notify.lane import RETRY_MOST_MS, Lane
from hfzmq.daemon.notify.lines import Message

FOREVER = float("inf")


def notice(episode: int, step: int = 1, cause: str = NO_DATA) -> Message:
    return {"episode_id": episode, "step": step, "cause": cause}


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


def order(one: Lane, tries: int, ok: bool = True, now_ms: float = 0) -> list[tuple[str, int, int]]:
    """(cause, episode, step) of the next tries, each of which ends alike and at once."""
    found = []
    for _ in range(tries):
        now_ms = max(now_ms, one.wake_ms())
        job = one.take(now_ms)
        assert job
        found.append((job.notice["cause"], job.notice["episode_id"], job.notice["step"]))
        one.settle(now_ms, ok=ok, final=False)
    return found


def test_a_new_red_goes_before_hundreds_that_wait_and_the_newest_alarm_of_a_cause_before_older_ones() -> None:
    one = lane()
    for episode in range(1, 301):
        one.add(0, notice(episode), 0)
    for episode, cause in enumerate((AMBER, HEART_RATE, RED, RED), 301):
        one.add(0, notice(episode, 1, cause), 0)
    one.add(0, notice(303, 2, RED), 0)
    red = [(RED, 304, 1), (RED, 303, 2), (RED, 303, 1)]
    assert order(one, 6) == [*red, (HEART_RATE, 302, 1), (NO_DATA, 300, 1), (NO_DATA, 299, 1)]
    assert order(one, 299)[-2:] == [(NO_DATA, 1, 1), (AMBER, 301, 1)]


def test_a_red_that_failed_while_the_channel_was_dead_does_not_wait_for_the_backlog_when_it_is_alive_again() -> None:
    one = lane()
    one.add(0, notice(1, 1, RED), 0)
    order(one, 1, ok=False)
    for episode in range(2, 302):
        one.add(0, notice(episode), 0)
    order(one, 10, ok=False)
    assert (RED, 1, 1) in order(one, 2, now_ms=100_000)


def test_reds_that_a_channel_cannot_stomach_starve_nothing_be_it_new_or_tried_before() -> None:
    one, now_ms = lane(retry_for_ms=10_000_000), 0.0
    for episode in range(1, 51):
        one.add(0, notice(episode, 1, RED), 0)
    for episode in range(51, 56):
        one.add(0, notice(episode), 0)
    failed, delivered = set(), []
    for _ in range(150):
        now_ms = max(now_ms, one.wake_ms())
        job = one.take(now_ms)
        assert job
        number = job.notice["episode_id"]
        ok = number in failed and number > 50  # these fail once
        failed.add(number)
        delivered += [number] if ok else []
        now_ms += 10_000  # each hangs until its time is over
        one.settle(now_ms, ok=ok, final=False)
    assert sorted(delivered) == [51, 52, 53, 54, 55]


@given(st.lists(st.tuples(st.sampled_from(CAUSES), st.booleans()), min_size=1, max_size=40))
def test_every_notice_has_its_turn_however_others_fare(notices: list[tuple[str, bool]]) -> None:
    one, now_ms, delivered = lane(), 0.0, set()
    for episode, (cause, _) in enumerate(notices, 1):
        one.add(0, notice(episode, 1, cause), 0)
    for _ in range(2 * len(notices) + 1):
        now_ms = max(now_ms, one.wake_ms())
        job = one.take(now_ms) if now_ms < FOREVER else None
        if job is None:
            break
        ok = notices[job.notice["episode_id"] - 1][1]
        one.settle(now_ms, ok=ok, final=False)
        delivered |= {job.notice["episode_id"]} if ok else set()
    assert delivered == {episode for episode, (_, ok) in enumerate(notices, 1) if ok}


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


@pytest.mark.parametrize("ok", [True, False])
def test_what_is_dropped_while_under_way_is_told_only_if_it_was_delivered(ok: bool) -> None:
    one = lane()
    for step in (1, 2):
        one.add(0, notice(1, step), 0)
    one.add(0, notice(2, cause=AMBER), 0)
    one.take(0)
    one.drop(1)
    settled = one.settle(1, ok=ok, final=False)
    assert (settled is not None) == ok
    job = one.take(FOREVER)
    assert job
    assert job.notice == notice(2, cause=AMBER)


def test_what_is_dropped_and_added_again_is_tried_again() -> None:
    one = lane()
    one.add(0, notice(1), 0)
    one.take(0)
    one.drop(1)
    one.add(0, notice(1), 0)
    assert one.settle(1, ok=False, final=False) is None
    assert one.wake_ms() < FOREVER
