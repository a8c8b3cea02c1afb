"""Stored data under other rules; and how a ward lives with its alarms."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from hfzmq.clinical.alarm.replay import Replayed, StoredReading, StoredReport, replay_each, varied
from hfzmq.clinical.alarm.rules import DEFAULT_RULES, AlarmRules, Expected
from hfzmq.clinical.alarm.statistics import seen_at_ms, statistics
from hfzmq.clinical.report import Refusal
from tests.unit.alarm_ward import HIGH, START, Ward, report_of

DAY = 86_400_000
NOON = START - START % DAY + DAY // 2


def reports(*told: tuple[int, float], patient: str = "bed-1") -> list[StoredReport]:
    return [
        StoredReport(number, NOON + at, report_of(patient, NOON + at, probability))
        for number, (at, probability) in enumerate(told, 1)
    ]


def rules(**changes: float) -> AlarmRules:
    made = varied(DEFAULT_RULES, **changes)  # type: ignore[arg-type]
    assert isinstance(made, AlarmRules)
    return made


def replay(stored: Iterable[StoredReport | StoredReading], rules: AlarmRules, green_after_ms: int = 60_000) -> Replayed:
    return replay_each(stored, (rules,), green_after_ms=green_after_ms)[0]


def causes(replayed: Replayed) -> list[str]:
    return [one.cause for one in replayed.episodes]


def test_a_higher_threshold_and_a_delay_make_fewer_alarms() -> None:
    told = reports(*[(minute * 120_000 + second * 1000, 0.4) for minute in range(20) for second in (0, 5, 10)])
    told += reports(*[(3_000_000 + second * 1000, 0.55) for second in range(70)])
    now, higher, longer = (
        replay(told, DEFAULT_RULES),
        replay(told, rules(amber=0.5)),
        replay(told, rules(delay_ms=60_000)),
    )
    assert (len(now.episodes), len(higher.episodes), len(longer.episodes)) == (21, 1, 1)
    assert now.per_bed_and_day("AMBER") == 21
    assert higher.per_bed_and_day() == 1
    assert now.per_bed_and_day("RED") == 0


def test_reports_that_stop_are_taken_for_green() -> None:
    replayed = replay(reports((0, 0.9), (600_000, 0.9)), DEFAULT_RULES)
    assert causes(replayed) == ["RED", "RED"]
    assert replayed.episodes[0].returned_at_ms == NOON + 60_000
    assert causes(replay(reports((0, 0.9), (600_000, 0.9)), DEFAULT_RULES, green_after_ms=900_000)) == ["RED"]


def test_time_goes_on_after_the_last_row_so_that_what_fell_silent_is_told() -> None:
    rates = [StoredReading(one, NOON + one * 1000, "bed-1", NOON, 80.0, "valid", "") for one in (1, 2, 3)]
    assert causes(replay_each(rates, (DEFAULT_RULES,))[0]) == []
    assert causes(replay_each(rates, (DEFAULT_RULES,), until_ms=NOON + 32_000)[0]) == []
    (told,) = replay_each(rates, (DEFAULT_RULES,), until_ms=NOON + 33_000)
    assert [(one.cause, one.raised_at_ms) for one in told.episodes] == [("NO_DATA", NOON + 33_000)]
    late = [one._replace(at_ms=one.at_ms + DAY // 2 - 10_000) for one in rates]
    (told,) = replay_each(late, (DEFAULT_RULES,), until_ms=NOON + DAY)
    assert [(day.beds, sum(day.raised)) for day in told.days] == [(1, 0), (0, 1)]


def test_a_bed_that_is_expected_has_its_own_limit_and_one_of_which_nothing_is_stored_is_not_missed() -> None:
    rates = [StoredReading(one, NOON + one * 60_000, "bed-1", NOON, 80.0, "valid", "") for one in range(1, 61)]
    assert causes(replay(rates, DEFAULT_RULES)) == ["NO_DATA"] * 59
    seldom = DEFAULT_RULES._replace(expected=(Expected("bed-1", 120_000), Expected("bed-2", 0)))
    assert causes(replay(rates, seldom)) == []
    (told,) = replay_each(rates, (seldom,), until_ms=NOON + DAY // 4)
    assert [(one.patient_id, one.raised_at_ms) for one in told.episodes] == [("bed-1", NOON + 3_720_000)]


def test_no_data_is_told_only_of_beds_with_heart_rates() -> None:
    assert causes(replay(reports((0, 0.1), (600_000, 0.1)), DEFAULT_RULES)) == []
    rates = [StoredReading(one, NOON + one * 1000, "bed-1", NOON, 80.0, "valid", "") for one in (1, 2, 3, 100, 101)]
    assert causes(replay(rates, DEFAULT_RULES)) == ["NO_DATA"]


def test_a_recording_with_zeros_raises_no_heart_rate_alarm() -> None:
    rates = [
        StoredReading(one, NOON + one * 1000, "bed-1", NOON, 0.0, "invalid_system", "sensor_off")
        if 100 <= one < 200
        else StoredReading(one, NOON + one * 1000, "bed-1", NOON, 80.0, "valid", "")
        for one in range(1, 300)
    ]
    replayed = replay(rates, DEFAULT_RULES)
    assert causes(replayed) == ["NO_DATA"]
    assert replayed.rows == 299
    high = [one._replace(value=150.0, status=HIGH[0], anomaly=HIGH[1]) for one in rates[:10]]
    assert causes(replay(high, DEFAULT_RULES)) == ["HEART_RATE"]


def test_each_day_is_counted_by_itself() -> None:
    told = reports((0, 0.9), (DAY, 0.9), (DAY + 600_000, 0.9))
    told.append(StoredReport(9, NOON + DAY + 700_000, report_of("bed-2", NOON + DAY, 0.9)))
    days = replay(told, DEFAULT_RULES).days
    assert [(day.start_ms, day.beds, day.raised) for day in days] == [
        (NOON - DAY // 2, 1, (1, 0, 0, 0)),
        (NOON + DAY // 2, 2, (3, 0, 0, 0)),
    ]
    assert replay(told, DEFAULT_RULES).per_bed_and_day() == pytest.approx(4 / 3)


def test_nothing_stored_is_no_alarm_and_no_share() -> None:
    assert replay([], DEFAULT_RULES) == Replayed((), (), 0)
    assert replay([], DEFAULT_RULES).per_bed_and_day() is None


def test_rows_out_of_order_are_told_when_the_one_before_was() -> None:
    told = reports((60_000, 0.9), (0, 0.9))
    assert causes(replay(told, DEFAULT_RULES)) == ["RED"]


def test_varied_rules_can_be_in_force_or_are_refused() -> None:
    assert rules(amber=0.5).amber_off == pytest.approx(0.45)
    assert rules(amber=0.04).amber_off == pytest.approx(0.02)
    assert rules(delay_ms=0).amber_readings == 1
    assert (rules(delay_ms=120_000).amber_ms, rules(delay_ms=120_000).amber_readings) == (120_000, 0)
    for refused in (
        varied(DEFAULT_RULES, amber=0.9),
        varied(DEFAULT_RULES, amber=50),
        varied(DEFAULT_RULES, delay_ms=-1),
    ):
        assert isinstance(refused, Refusal)


# ------------------------------------------------------------ statistics


def test_the_share_that_was_seen_in_time_leaves_out_what_is_not_known_yet() -> None:
    ward = Ward(AlarmRules(silent_ms=DAY, away_ms=DAY))
    for number in range(1, 5):
        ward.report(1000, 0.9, f"bed-{number}")
    ward.act(30_000, "ack", 1)
    ward.act(61_000, "resolve", 2)
    ward.act(200_000, "ack", 3)
    ward.report(250_000, 0.9, "bed-5")  # too young to judge
    ward.report(260_000, 0.4, "bed-6")
    ward.report(261_000, 0.4, "bed-6")
    ward.report(262_000, 0.9, "bed-6")  # a notice that a RED took the place of
    ward.act(262_500, "ack", "bed-6")
    stats = statistics(ward.tables.episodes.values(), START, START + 270_000, beds=6)
    assert (stats.raised, stats.judged, stats.seen_in_time, stats.unseen) == (7, 5, 3, 2)
    assert stats.share_seen_in_time == pytest.approx(0.6)
    assert dict(stats.by_cause) == {"RED": 6, "HEART_RATE": 0, "NO_DATA": 0, "AMBER": 1}
    assert stats.noisiest[0] == ("bed-6", 2)
    assert stats.escalated == (2, 1)  # bed-3 and bed-4; bed-4
    assert stats.seen_after_ms == 60_000
    assert stats.per_bed_and_day == pytest.approx(7 / (6 * 270_000 / DAY))


def test_the_unseen_alarms_of_a_bed_that_was_discharged_count_neither_as_seen_nor_as_unseen() -> None:
    ward = Ward()
    ward.report(1000, 0.9)
    ward.report(1000, 0.9, "bed-2")
    ward.act(3000, "ack", 2)
    for bed in ("bed-1", "bed-2"):
        ward.act(5000, "discharge", bed, by="Ada")
    assert seen_at_ms(ward.tables.episodes[1]) is None
    assert seen_at_ms(ward.tables.episodes[2]) == START + 3000
    stats = statistics(ward.tables.episodes.values(), START, START + 70_000, beds=2)
    assert (stats.raised, stats.judged, stats.seen_in_time, stats.unseen) == (2, 1, 1, 0)
    assert stats.seen_after_ms == 2000


def test_no_episodes_make_no_share() -> None:
    stats = statistics([], START, START, beds=0)
    assert (stats.raised, stats.share_seen_in_time, stats.per_bed_and_day, stats.noisiest) == (0, None, None, ())
