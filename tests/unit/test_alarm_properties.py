"""Whatever the log says, in whatever order: what is always true of alarms."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hfzmq.clinical.alarm.machine import Alarms
from hfzmq.clinical.alarm.rules import DEFAULT_RULES, AlarmRules, Expected
from hfzmq.clinical.alarm.types import (
    ACKNOWLEDGED,
    ACTIONS,
    AMBER,
    ESCALATED,
    FOLDED,
    NORMAL,
    RETURNED,
    SEEN,
    UNACKNOWLEDGED,
    WAS_ACKNOWLEDGED,
)
from tests.unit.alarm_ward import HIGH, START, Tables, report_of

Entry = tuple[Any, ...]

BEDS = st.sampled_from(("bed-1", "bed-2"))
RULES = (
    DEFAULT_RULES,
    AlarmRules(red_readings=2, amber_readings=0, amber_ms=8000, gap_ms=5000, rate_readings=2, steps_ms=(0, 9000)),
    AlarmRules(red_on=0.5, red_off=0.2, amber_on=0.4, silent_ms=4000, expected=(Expected("bed-3", 3000),)),
    AlarmRules(steps_ms=(), notice_steps=0, rate_readings=0, rate_ms=4000, away_ms=3000, silent_ms=20_000),
)
WORDS = st.one_of(
    st.tuples(
        st.just("report"),
        BEDS,
        st.sampled_from((0.1, 0.27, 0.4, 0.57, 0.7)),
        st.sampled_from(("", "UNKNOWN")),
        st.sampled_from((0, 0, 0, -1500, -8000)),
    ),
    st.tuples(
        st.just("heart"), BEDS, st.sampled_from(((80.0, "valid", ""), (150.0, *HIGH), (0.0, "invalid_system", "off")))
    ),
    st.tuples(st.just("sign"), BEDS, st.integers(-40_000, 2000), st.sampled_from((0.1, 0.28)), st.just("GREEN")),
    st.tuples(st.just("act"), st.sampled_from(ACTIONS), st.one_of(BEDS, st.integers(1, 6))),
    st.tuples(st.just("sent"), st.integers(1, 5), st.integers(1, 3), st.booleans()),
    st.tuples(st.just("rules"), st.sampled_from(RULES)),
    st.tuples(st.just("led"), st.integers(1, 3)),
    st.tuples(st.just("clock")),
)
PAUSES = st.sampled_from((0, 1, 700, 1000, 1000, 3000, 9000, 31_000, 200_000))
LOGS = st.lists(st.tuples(PAUSES, WORDS), max_size=60)


def stamped(log: list[tuple[int, Entry]]) -> list[tuple[int, int, Entry]]:
    """(index, stamp, word); a leader keeps time, so that there is a clock entry wherever one is due."""
    now = START
    entries: list[tuple[int, int, Entry]] = []
    for pause, word in log:
        now += pause
        entries.append((len(entries) + 1, now, word))
    return entries


def tell(alarms: Alarms, index: int, now: int, word: Entry) -> None:
    """One entry of the log."""
    kind, *rest = word
    if kind == "report":
        alarms.report(now, index, report_of(rest[0], now + rest[3], rest[1], rest[2]))
    elif kind == "heart":
        alarms.reading(now, index, rest[0], now, *rest[1])
    elif kind == "sign":
        alarms.sign(now, rest[0], now + rest[1], rest[3], rest[2])
    elif kind == "act":
        alarms.act(now, rest[0], rest[1], "nurse")
    elif kind == "sent":
        alarms.sent(now, rest[0], rest[1], "log", rest[2])
    elif kind == "led":
        alarms.led(now, rest[0])
    elif kind == "rules":
        alarms.rules_set(now, rest[0])
    alarms.advance(now)


def keep_time(alarms: Alarms, until: int) -> None:
    """What a leader proposes until then, always a little late."""
    while (due := alarms.due_ms()) is not None and max(due, alarms.now_ms + 1) + 20 < until:
        alarms.advance(max(due, alarms.now_ms + 1) + 20)


def seen_of(alarms: Alarms) -> tuple[object, ...]:
    """All that there is to see of alarms."""
    return (
        alarms.beds(), alarms.episodes(), alarms.now_ms, alarms.term, alarms.next_id, alarms.rules, alarms.due_ms(),
    )  # fmt: skip


def run(log: list[tuple[int, Entry]], timely: bool) -> Tables:
    """Everything that a log makes, written entry by entry."""
    tables = Tables(DEFAULT_RULES)
    alarms = tables.load()
    for index, now, word in stamped(log):
        if timely and alarms.now_ms:
            keep_time(alarms, now)
        tell(alarms, index, now, word)
        tables.write(alarms.take_changes())
    return tables


@settings(max_examples=300, deadline=None)
@given(LOGS, st.booleans())
def test_reloaded_at_every_step_they_go_on_exactly_alike(log: list[tuple[int, Entry]], timely: bool) -> None:
    tables, other = Tables(DEFAULT_RULES), Tables(DEFAULT_RULES)
    alarms, reloaded = tables.load(), other.load()
    for index, now, word in stamped(log):
        for one in (alarms, reloaded):
            if timely and one.now_ms:
                keep_time(one, now)
            tell(one, index, now, word)
        changes, others = alarms.take_changes(), reloaded.take_changes()
        assert changes == others
        tables.write(changes)
        other.write(others)
        reloaded = other.load()
        assert seen_of(alarms) == seen_of(reloaded)


@settings(max_examples=300, deadline=None)
@given(LOGS, st.lists(st.booleans(), min_size=60, max_size=60))
def test_however_entries_are_gathered_the_state_is_the_same(log: list[tuple[int, Entry]], cuts: list[bool]) -> None:
    single, gathered = run(log, timely=False), Tables(DEFAULT_RULES)
    alarms = gathered.load()
    for cut, (index, now, word) in zip(cuts, stamped(log), strict=False):
        tell(alarms, index, now, word)
        if cut:
            gathered.write(alarms.take_changes())
    gathered.write(alarms.take_changes())
    assert vars(gathered) == vars(single)


@settings(max_examples=300, deadline=None)
@given(LOGS, st.integers(0, 40_000))
def test_clock_entries_that_come_again_or_late_change_nothing(log: list[tuple[int, Entry]], back: int) -> None:
    alarms = Tables(DEFAULT_RULES).load()
    for index, now, word in stamped(log):
        tell(alarms, index, now, word)
        alarms.take_changes()
        before = seen_of(alarms)
        alarms.advance(now)
        alarms.advance(now - back)
        changes = alarms.take_changes()
        assert seen_of(alarms) == before
        assert (changes.beds, changes.heard, changes.episodes, changes.events) == ((), (), (), ())


@settings(max_examples=300, deadline=None)
@given(LOGS)
def test_nothing_happens_before_it_is_due(log: list[tuple[int, Entry]]) -> None:
    alarms = Tables(DEFAULT_RULES).load()
    for index, now, word in stamped(log):
        tell(alarms, index, now, word)
        alarms.take_changes()
        due = alarms.due_ms()
        if due is not None:
            assert due > alarms.now_ms
            alarms.advance(due - 1)
            changes = alarms.take_changes()
            assert (changes.beds, changes.heard, changes.episodes, changes.events) == ((), (), (), ())


@settings(max_examples=500, deadline=None)
@given(LOGS, st.booleans())
def test_one_open_episode_for_a_patient_and_a_cause_and_each_ends_as_it_may(
    log: list[tuple[int, Entry]], timely: bool
) -> None:
    tables = Tables(DEFAULT_RULES)
    alarms = tables.load()
    for index, now, word in stamped(log):
        if timely and alarms.now_ms:
            keep_time(alarms, now)
        tell(alarms, index, now, word)
        tables.write(alarms.take_changes())
        running = [(one.patient_id, one.cause) for one in tables.episodes.values() if one.state != NORMAL]
        assert len(running) == len(set(running))
    assert list(tables.episodes) == list(range(1, tables.next_id))
    for episode in tables.episodes.values():
        assert (episode.state == NORMAL) == (episode.resolved_at_ms is not None) == bool(episode.resolved_how)
        assert episode.state != ACKNOWLEDGED or episode.acknowledged_at_ms is not None
        assert episode.state not in (UNACKNOWLEDGED, RETURNED) or episode.acknowledged_at_ms is None  # latched
        assert (episode.state == RETURNED) <= (episode.returned_at_ms is not None)
        if episode.resolved_how == SEEN:
            assert episode.acknowledged_at_ms is not None
            assert episode.returned_at_ms is not None
        if episode.resolved_how == FOLDED:
            assert episode.cause == AMBER


@settings(max_examples=300, deadline=None)
@given(LOGS)
def test_what_is_acknowledged_never_escalates(log: list[tuple[int, Entry]]) -> None:
    tables = run(log, timely=True)
    seen: set[int] = set()
    for event in tables.events:
        if event.what == WAS_ACKNOWLEDGED:
            seen.add(event.episode_id)
        assert event.what != ESCALATED or event.episode_id not in seen


@settings(max_examples=300, deadline=None)
@given(LOGS)
def test_the_same_log_makes_the_same_tables(log: list[tuple[int, Entry]]) -> None:
    assert vars(run(log, timely=True)) == vars(run(log, timely=True))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from((100, 900, 2000, 60_000)), min_size=1, max_size=12),
    st.integers(1, 8),
    st.integers(500, 20_000),
    st.integers(500, 10_000),
)
def test_a_gap_pauses_a_streak_and_never_resets_it(pauses: list[int], readings: int, rate_ms: int, gap_ms: int) -> None:
    rules = AlarmRules(rate_readings=readings, rate_ms=rate_ms, gap_ms=gap_ms)
    alarms = Alarms(rules, (), (), 0, 1)
    now, ran = START, 0
    for number, pause in enumerate(pauses, 1):
        now += pause
        ran += min(pause, gap_ms) if number > 1 else 0
        alarms.reading(now, number, "bed-1", now, 150.0, *HIGH)
        alarms.reading(now, number, "bed-1", now, 0.0, "invalid_system", "sensor_off")
        raised = any(one.cause == "HEART_RATE" for one in alarms.episodes())
        assert raised == (number >= readings or ran >= rate_ms)
        if raised:
            break
