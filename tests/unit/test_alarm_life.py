"""The life of an alarm: raised, seen, returned, ended; escalation; what an operator's hand does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hfzmq.clinical.alarm.rules import AlarmRules
from hfzmq.clinical.alarm.types import ALREADY, DONE, NOT_FOUND, Calmed
from tests.unit.alarm_ward import HIGH, START, Ward

QUIET = AlarmRules(silent_ms=86_400_000, away_ms=86_400_000)  # silence is another test's matter


def red(ward: Ward) -> None:
    ward.report(1000, 0.9)


def calm(ward: Ward) -> None:
    ward.green(2000)


def ack(ward: Ward) -> None:
    ward.act(3000, "ack")


def resolve(ward: Ward) -> None:
    ward.act(4000, "resolve")


def red_again(ward: Ward) -> None:
    ward.report(5000, 0.9)


def leave(ward: Ward) -> None:
    ward.act(6000, "discharge")


@pytest.mark.parametrize(
    ("steps", "states"),
    [
        ([red], ["unacknowledged"]),
        ([red, calm], ["returned"]),
        ([red, ack], ["acknowledged"]),
        ([red, resolve], ["normal"]),
        ([red, leave], ["normal"]),
        ([red, calm, ack], ["normal"]),
        ([red, ack, calm], ["normal"]),
        ([red, calm, resolve], ["normal"]),
        ([red, calm, red_again], ["unacknowledged"]),
        ([red, calm, red_again, leave], ["normal"]),
        ([red, ack, ack], ["acknowledged"]),
        ([red, ack, red_again], ["acknowledged"]),
        ([red, ack, resolve], ["normal"]),
        ([red, resolve, red_again], ["normal"]),
        ([red, calm, ack, red_again], ["normal", "unacknowledged"]),
        ([red, resolve, calm, red_again], ["normal", "unacknowledged"]),
        ([red, calm, resolve, red_again], ["normal", "unacknowledged"]),
        ([red, leave, red_again], ["normal", "unacknowledged"]),
    ],
    ids=lambda value: "-".join(getattr(one, "__name__", one) for one in value),
)
def test_each_transition_leads_where_the_table_says(steps: list[Callable[[Ward], None]], states: list[str]) -> None:
    ward = Ward(QUIET)
    for step in steps:
        step(ward)
    assert [state for _, state in ward.states()] == states


def test_a_red_report_raises_one_episode_that_names_it() -> None:
    ward = Ward()
    number = ward.report(1000, 0.81)
    (episode,) = ward.tables.episodes.values()
    assert (episode.cause, episode.state, episode.raised_at_ms) == ("RED", "unacknowledged", START + 1000)
    assert (episode.raised_by, episode.note, episode.value) == (number, "RED", 0.81)
    assert ward.tables.alerted == [number]


def test_the_worst_and_the_last_value_are_kept() -> None:
    ward = Ward()
    for at, probability in ((1000, 0.7), (2000, 0.95), (3000, 0.62)):
        ward.report(at, probability)
    (episode,) = ward.tables.episodes.values()
    assert (episode.value, episode.least, episode.most) == (0.62, 0.62, 0.95)
    assert ward.tables.alerted == [1]


def test_an_alarm_that_ends_unseen_stays_until_it_is_seen() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.9)
    ward.green(2000)
    ward.run(3000, 600_000, 60_000)
    assert ward.states() == [("RED", "returned")]
    assert ward.act(700_000, "ack") == DONE
    (episode,) = ward.tables.episodes.values()
    assert (episode.state, episode.resolved_how) == ("normal", "seen")
    assert (episode.returned_at_ms, episode.acknowledged_at_ms) == (START + 2000, START + 700_000)


def test_the_journal_tells_the_whole_life() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.9)
    ward.green(2000)
    ward.report(3000, 0.9)
    ward.act(4000, "ack", 1, "Ada")
    ward.green(5000)
    assert ward.told() == [
        (1000, "raised", "RED"),
        (1000, "escalated", "1"),
        (2000, "returned", ""),
        (3000, "recurred", ""),
        (4000, "acknowledged", "Ada"),
        (5000, "returned", ""),
        (5000, "ended", "seen"),
    ]


# ------------------------------------------------------------ escalation


def test_an_unseen_alarm_escalates_at_once_after_a_minute_and_after_three() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.9)
    ward.run(1000, 400_000, 500)
    assert [(at, detail) for at, what, detail in ward.told() if what == "escalated"] == [
        (1000, "1"),
        (61_000, "2"),
        (181_000, "3"),
    ]
    (episode,) = ward.tables.episodes.values()
    assert (episode.step, episode.step_at_ms) == (3, START + 181_000)


def test_an_alarm_that_was_seen_never_escalates() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.9)
    ward.act(60_999, "ack")
    ward.run(61_000, 400_000)
    assert ward.tables.episodes[1].step == 1


def test_an_alarm_that_ended_unseen_escalates_all_the_same() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.9)
    ward.green(2000)
    ward.run(3000, 62_000)
    assert (ward.tables.episodes[1].state, ward.tables.episodes[1].step) == ("returned", 2)


def test_a_notice_has_only_the_first_step() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.4)
    ward.report(2000, 0.4)
    ward.run(3000, 400_000)
    assert ward.states() == [("AMBER", "unacknowledged")]
    assert ward.tables.episodes[1].step == 1


def test_steps_that_were_missed_are_all_taken_when_time_comes_to_it() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.9)
    ward.pass_to(300_000)
    assert [detail for _, what, detail in ward.told() if what == "escalated"] == ["1", "2", "3"]
    assert ward.tables.episodes[1].step_at_ms == START + 300_000  # and not when nobody was told


def test_other_steps_are_for_the_site_to_set() -> None:
    ward = Ward(QUIET._replace(steps_ms=(5000,)))
    ward.report(1000, 0.9)
    assert ward.tables.episodes[1].step == 0
    ward.pass_to(5999)
    assert ward.tables.episodes[1].step == 0
    ward.pass_to(6000)
    assert ward.tables.episodes[1].step == 1


# ------------------------------------------------------------ what an operator's hand does


def test_acknowledging_twice_changes_nothing_more() -> None:
    ward = Ward()
    ward.report(1000, 0.9)
    assert ward.act(2000, "ack", 1, "Ada") == DONE
    before = ward.tables.episodes[1], len(ward.tables.events)
    assert ward.act(3000, "ack", 1, "Bob") == ALREADY
    assert (ward.tables.episodes[1], len(ward.tables.events)) == before


def test_what_is_not_there_is_not_found_and_what_is_over_is_already_so() -> None:
    ward = Ward(QUIET)
    assert ward.act(1000, "ack", 1) == NOT_FOUND
    assert ward.act(1000, "ack", "nobody") == NOT_FOUND
    assert ward.act(1000, "ack", 0) == NOT_FOUND
    ward.report(2000, 0.9)
    ward.green(3000)
    ward.act(4000, "ack", 1)
    assert ward.act(5000, "ack", 1) == ALREADY
    ward.pass_to(4000 + 3_600_000)
    assert ward.alarms.episodes() == ()  # long over: forgotten here, not in the tables
    assert ward.act(4_000_000, "resolve", 1) == ALREADY
    assert ward.act(4_000_000, "discharge", 1) == NOT_FOUND
    assert ward.act(4_000_000, "ack", 2) == NOT_FOUND


def test_all_of_a_patient_are_acknowledged_by_his_name() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.9)
    for at in (2000, 3000, 4000):
        ward.heart(at, 150.0, *HIGH)
    ward.report(5000, 0.9, "bed-2")
    assert ward.act(6000, "ack", "bed-1") == DONE
    assert ward.states() == [("RED", "acknowledged"), ("HEART_RATE", "acknowledged")]
    assert ward.states("bed-2") == [("RED", "unacknowledged")]


def test_a_resolved_cause_that_is_still_on_is_silent_until_it_came_again() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.9)
    assert ward.act(2000, "resolve", 1, "Ada") == DONE
    assert (ward.tables.episodes[1].resolved_how, ward.tables.episodes[1].resolved_by) == ("resolved", "Ada")
    for at in range(3000, 60_000, 1000):
        ward.report(at, 0.9)
    assert len(ward.tables.episodes) == 1
    ward.green(61_000)
    ward.report(62_000, 0.9)
    assert ward.states() == [("RED", "normal"), ("RED", "unacknowledged")]


def test_a_discharged_bed_has_no_alarms_and_no_silence_until_it_speaks() -> None:
    ward = Ward()
    ward.report(1000, 0.9)
    assert ward.act(2000, "discharge") == DONE
    ward.run(3000, 300_000)
    assert ward.states() == [("RED", "normal")]
    assert ward.tables.episodes[1].resolved_how == "discharged"
    assert ward.act(300_000, "discharge") == ALREADY
    ward.heart(301_000, 80.0)
    ward.run(302_000, 331_000)
    assert ward.states() == [("RED", "normal"), ("NO_DATA", "unacknowledged")]


def test_a_discharged_bed_is_not_woken_by_what_was_told_before() -> None:
    ward = Ward()
    ward.green(1000)
    ward.act(2000, "discharge")
    ward.green(30_000, told=1000)
    ward.green(31_000, told=500)
    ward.heart(32_000, 0.0, "invalid_system", "sensor_off")
    ward.run(33_000, 200_000)
    assert ward.states() == []


# ------------------------------------------------------------ RED over AMBER


def test_a_red_takes_the_place_of_the_beds_notice() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.4)
    ward.report(2000, 0.4)
    ward.report(3000, 0.9)
    assert ward.states() == [("AMBER", "normal"), ("RED", "unacknowledged")]
    assert ward.tables.episodes[1].resolved_how == "folded"


def test_no_notice_is_raised_beside_a_red_and_it_comes_when_the_red_is_over() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.9)
    for at in range(2000, 60_000, 1000):
        ward.report(at, 0.4)
    assert ward.states() == [("RED", "returned")]
    ward.act(60_000, "ack")
    assert ward.states() == [("RED", "normal"), ("AMBER", "unacknowledged")]


def test_a_notice_that_was_seen_does_not_come_again_after_a_red() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.4)
    ward.report(2000, 0.4)
    ward.act(3000, "ack")
    ward.report(4000, 0.9)
    ward.act(5000, "ack")
    for at in range(6000, 60_000, 1000):
        ward.report(at, 0.4)
    assert ward.states() == [("AMBER", "normal"), ("RED", "normal")]
    ward.green(61_000)
    ward.report(62_000, 0.4)
    ward.report(63_000, 0.4)
    assert ward.states()[2:] == [("AMBER", "unacknowledged")]


def test_a_bed_that_goes_from_red_to_green_raises_no_notice_on_its_way() -> None:
    ward = Ward(QUIET)
    for at in (1000, 2000, 3000):
        ward.report(at, 0.9)
    ward.act(4000, "ack")
    ward.green(5000)
    assert ward.states() == [("RED", "normal")]


# ------------------------------------------------------------ notifications


def test_what_is_owed_is_owed_until_it_is_known_to_be_sent() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.9)
    channels = [["log", "bell"], ["mail"]]
    assert [(one.step, one.channel) for one in ward.alarms.owed(channels)] == [(1, "log"), (1, "bell")]
    ward.alarms.sent(START + 1500, 1, 1, "log", True)
    ward.alarms.sent(START + 1600, 1, 1, "bell", False)
    assert [(one.step, one.channel) for one in ward.alarms.owed(channels)] == [(1, "bell")]
    ward.pass_to(61_000)
    ward.act(62_000, "ack")
    ward.green(63_000)  # over, and still owed
    assert [(one.step, one.channel) for one in ward.alarms.owed(channels)] == [(1, "bell"), (2, "mail")]
    assert [line for line in ward.told() if line[1] in ("sent", "failed")] == [
        (1500, "sent", "1:log"),
        (1600, "failed", "1:bell"),
    ]


def test_a_failure_is_a_line_once_with_its_cause_and_the_delivery_ends_it() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.9)
    for at in (1500, 1600, 1700):
        ward.alarms.sent(START + at, 1, 1, "mail", False, 1, "the connection was refused")
    ward.pass_to(1800)
    assert list(ward.tables.episodes[1].failing) == ["1:mail"]
    ward.alarms.sent(START + 1900, 1, 1, "mail", True, 4)
    ward.pass_to(1900)
    assert ward.tables.episodes[1].sent == ("1:mail",)
    assert list(ward.tables.episodes[1].failing) == []
    assert [line for line in ward.told() if line[1] in ("sent", "failed")] == [
        (1500, "failed", "1:mail the connection was refused"),
        (1900, "sent", "1:mail after 4 tries"),
    ]


def test_a_delivery_that_is_told_again_or_cannot_be_changes_nothing() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.9)
    ward.alarms.sent(START + 1500, 1, 1, "log", True)
    ward.pass_to(1500)
    before = ward.tables.episodes[1], len(ward.tables.events)
    ward.alarms.sent(START + 1600, 1, 1, "log", True)
    ward.alarms.sent(START + 1600, 1, 2, "mail", True)  # a step that was not reached
    ward.alarms.sent(START + 1600, 7, 1, "log", True)  # an episode that never was
    ward.pass_to(1700)
    assert (ward.tables.episodes[1], len(ward.tables.events)) == before


def test_what_has_ended_well_says_which_heart_rate_alerts_are_resolved() -> None:
    ward = Ward(QUIET)
    for at in (1000, 2000, 3000):
        ward.heart(at, 150.0, *HIGH)
    ward.act(4000, "ack")
    assert ward.tables.calmed == []
    for at in (5000, 6000, 7000):
        ward.heart(at, 80.0)
    assert ward.tables.calmed == [Calmed("bed-1", "HEART_RATE")]
