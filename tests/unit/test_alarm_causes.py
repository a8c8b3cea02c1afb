"""What raises an alarm, what ends its cause, and what must not raise one."""

from __future__ import annotations

import pytest

from hfzmq.clinical.alarm.notes import Note, read_note
from hfzmq.clinical.alarm.rules import AlarmRules, Expected
from hfzmq.clinical.alarm.ward import EVER
from tests.unit.alarm_ward import HIGH, LOW, START, Ward, report_of

QUIET = AlarmRules(silent_ms=86_400_000, away_ms=86_400_000)
OFF = ("invalid_system", "sensor_off")

# ------------------------------------------------------------ RED


def test_a_value_that_jitters_on_the_threshold_raises_once() -> None:
    ward = Ward(QUIET)
    for number in range(200):
        ward.report(1000 + number * 1000, (0.601, 0.599, 0.56, 0.61)[number % 4])
        if number == 50:
            ward.act(1000 + number * 1000, "ack")
    assert ward.states() == [("RED", "acknowledged")]
    assert ward.whats().count("raised") == 1


def test_red_ends_only_below_its_lower_threshold() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.6)
    ward.report(2000, 0.55)
    assert ward.states() == [("RED", "unacknowledged")]
    ward.report(3000, 0.5499)
    assert ward.states()[0] == ("RED", "returned")


def test_red_after_two_readings_is_for_the_site_to_set() -> None:
    ward = Ward(QUIET._replace(red_readings=2, amber_readings=0))
    ward.report(1000, 0.9)
    ward.report(2000, 0.5)  # below red_off: the streak is over
    ward.report(3000, 0.9)
    assert ward.states() == []
    ward.report(4000, 0.58)  # neither on nor off
    ward.report(5000, 0.9)
    assert ward.states() == [("RED", "unacknowledged")]


def test_a_gap_pauses_a_red_streak_and_does_not_reset_it() -> None:
    ward = Ward(QUIET._replace(red_readings=2, amber_ms=0, amber_readings=3))
    ward.report(1000, 0.9)
    ward.run(2000, 500_000, 1000)
    ward.report(501_000, 0.9)
    assert ward.states() == [("RED", "unacknowledged")]


def test_unknown_counts_as_the_highest_that_it_can_be_and_ends_nothing() -> None:
    ward = Ward(QUIET._replace(amber_ms=0, amber_readings=1))
    ward.report(1000, 0.5, tier="UNKNOWN")  # GREEN or AMBER
    assert ward.states() == [("AMBER", "unacknowledged")]
    assert ward.tables.episodes[1].note == "UNKNOWN"
    ward.report(2000, 0.6, tier="UNKNOWN")  # it may be RED
    assert ("RED", "unacknowledged") in ward.states()
    ward.act(2500, "ack")
    for number in range(3):
        ward.report(3000 + number * 1000, 0.5, tier="UNKNOWN")  # below red_off, and yet not over
    assert ("RED", "acknowledged") in ward.states()
    ward.report(9000, 0.1)
    assert "RED" not in [cause for cause, state in ward.states() if state != "normal"]


def test_an_unknown_that_says_it_is_green_counts_as_red_and_ends_nothing() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.1, tier="UNKNOWN")
    assert ward.states() == [("RED", "unacknowledged")]
    assert ward.tables.episodes[1].note == "UNKNOWN"
    ward.report(2000, 0.1, tier="UNKNOWN")
    assert ward.states() == [("RED", "unacknowledged")]
    ward.green(3000)
    assert ward.states() == [("RED", "returned")]


def test_the_note_says_both_ends_of_what_is_not_known_and_nothing_of_it_once_it_is_known() -> None:
    ward = Ward(QUIET)

    def told(at: int, probability: float, tier: str, flags: str) -> str:
        row = report_of("bed-1", START + at, probability, tier)._replace(flags=flags)
        ward.alarms.report(START + at, at, row)
        ward.pass_to(at)
        return ward.tables.episodes[1].note

    hole = "missing:serum_creatinine,probability_low:"
    assert told(1000, 0.66, "UNKNOWN", f"{hole}0.031207") == "UNKNOWN 0.031207"
    assert told(2000, 0.7, "UNKNOWN", f"{hole}0.05") == "UNKNOWN 0.050000"
    assert told(3000, 0.8, "RED", "") == "RED"
    assert told(4000, 0.66, "UNKNOWN", f"{hole}0.2,day_raw") == "UNKNOWN 0.200000 raw day"
    assert told(5000, 0.8, "RED", "day_raw") == "RED raw day"
    assert ward.whats().count("raised") == 1
    assert ward.tables.load().episode(1) == ward.alarms.episode(1)


@pytest.mark.parametrize("note", ["", "RED", "high", "UNKNOWN", "UNKNOWN x", "no heart rate"])
def test_a_note_that_says_no_more_than_a_word_is_read_as_that(note: str) -> None:
    assert read_note(note) == Note(note)


# ------------------------------------------------------------ AMBER


def test_amber_is_raised_by_two_of_the_last_three() -> None:
    ward = Ward(QUIET)
    for at, probability in ((1000, 0.4), (2000, 0.1), (3000, 0.1), (4000, 0.4), (5000, 0.1)):
        ward.report(at, probability)
    assert ward.states() == []
    ward.report(6000, 0.4)
    assert ward.states() == [("AMBER", "unacknowledged")]
    assert ward.tables.alerted == [6]


def test_amber_is_raised_by_fifteen_seconds_alone() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.4)
    assert ward.alarms.due_ms() == START + min(16_000, 1000 + QUIET.away_ms // 3)
    ward.pass_to(15_999)
    assert ward.states() == []
    ward.pass_to(16_000)
    assert ward.states() == [("AMBER", "unacknowledged")]
    assert ward.tables.episodes[1].raised_by == 1


def test_one_amber_reading_followed_by_green_raises_nothing() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.4)
    ward.green(8000)
    ward.run(9000, 60_000)
    assert ward.states() == []


def test_a_gap_pauses_an_amber_streak_and_does_not_reset_it() -> None:
    ward = Ward(QUIET._replace(amber_readings=0, amber_ms=15_000, gap_ms=6000))
    ward.report(1000, 0.4)
    ward.report(5000, 0.4)  # 4 s
    ward.run(6000, 100_000)  # 6 s of which count, then it is a gap
    assert ward.states() == []
    ward.report(101_000, 0.4)
    assert ward.states() == []
    ward.pass_to(105_999)
    assert ward.states() == []
    ward.pass_to(106_000)
    assert ward.states() == [("AMBER", "unacknowledged")]


def test_an_amber_that_time_alone_brings_back_shows_the_number_that_did_it() -> None:
    ward = Ward(QUIET._replace(amber_readings=0, amber_ms=15_000, gap_ms=20_000))
    ward.report(1000, 0.45)
    ward.run(1000, 17_000, 500)
    ward.report(18_000, 0.1)
    assert ward.states() == [("AMBER", "returned")]
    ward.report(20_000, 0.31)
    ward.run(20_000, 37_000, 500)
    assert ward.states() == [("AMBER", "unacknowledged")]
    episode = ward.tables.episodes[1]
    assert (episode.value, episode.least, episode.most) == (0.31, 0.31, 0.45)


def test_amber_too_has_its_thresholds_apart() -> None:
    ward = Ward(QUIET)
    for number in range(100):
        ward.report(1000 + 1000 * number, (0.31, 0.29)[number % 2])
        if number == 20:
            ward.act(1000 + 1000 * number, "ack")
    assert ward.states() == [("AMBER", "acknowledged")]
    ward.green(200_000, probability=0.26)
    assert ward.states() == [("AMBER", "acknowledged")]
    ward.green(201_000, probability=0.24)
    assert ward.states() == [("AMBER", "normal")]


# ------------------------------------------------------------ HEART_RATE


@pytest.mark.parametrize("verdict", [HIGH, LOW])
def test_three_rates_outside_the_range_raise_and_three_inside_end(verdict: tuple[str, str]) -> None:
    ward = Ward(QUIET)
    for at in (1000, 2000):
        ward.heart(at, 150.0, *verdict)
    assert ward.states() == []
    ward.heart(3000, 151.0, *verdict)
    assert ward.states() == [("HEART_RATE", "unacknowledged")]
    episode = ward.tables.episodes[1]
    assert (episode.raised_by, episode.note, episode.value) == (3, verdict[1], 151.0)
    for at in (4000, 5000):
        ward.heart(at, 80.0)
    assert ward.states() == [("HEART_RATE", "unacknowledged")]
    ward.heart(6000, 80.0)
    assert ward.states() == [("HEART_RATE", "returned")]
    assert ward.tables.alerted == []


def test_a_rate_inside_the_range_ends_a_streak() -> None:
    ward = Ward(QUIET)
    for number in range(60):
        ward.heart(1000 + 1000 * number, *((80.0, "valid", "") if number % 3 == 2 else (130.0, *HIGH)))
    assert ward.states() == []


def test_a_rate_that_jitters_on_the_threshold_raises_once() -> None:
    ward = Ward(QUIET)
    for number in range(300):
        valid = number % 4 == 3 or (number > 10 and number % 2)
        ward.heart(1000 + 1000 * number, 119.0 if valid else 121.0, *(("valid", "") if valid else HIGH))
        if number == 20:
            ward.act(1000 + 1000 * number, "ack")
    assert ward.states() == [("HEART_RATE", "acknowledged")]


def test_rates_outside_for_long_enough_raise_before_there_are_many() -> None:
    ward = Ward(QUIET._replace(rate_readings=10))
    ward.heart(1000, 150.0, *HIGH)
    ward.run(2000, 20_000)
    assert ward.states() == []  # one reading is no streak, however long ago
    ward.heart(21_000, 150.0, *HIGH)
    assert ward.states() == [("HEART_RATE", "unacknowledged")]


def test_a_gap_pauses_a_streak_of_rates_and_does_not_reset_it() -> None:
    ward = Ward(QUIET._replace(rate_readings=3, rate_ms=30_000, gap_ms=5000))
    ward.heart(1000, 150.0, *HIGH)
    ward.heart(2000, 150.0, *HIGH)
    for at in range(3000, 300_000, 1000):
        ward.heart(at, 0.0, *OFF)
    assert ward.states() == []
    ward.heart(301_000, 150.0, *HIGH)
    assert ward.states() == [("HEART_RATE", "unacknowledged")]


def test_a_recording_with_zeros_and_gaps_raises_no_heart_rate_alarm_and_one_no_data() -> None:
    ward = Ward()
    for second in range(1, 301):
        if 60 <= second < 120:
            ward.heart(second * 1000, 0.0, *OFF)
        elif 200 <= second < 220:
            ward.pass_to(second * 1000)  # a gap, shorter than the limit
        elif second % 50 == 0:
            ward.heart(second * 1000, None, "corrupted", "unparsable")
        else:
            ward.heart(second * 1000, 80.0)
    assert ward.states() == [("NO_DATA", "returned")]
    assert ward.tables.episodes[1].raised_at_ms == START + (59 + 30) * 1000


# ------------------------------------------------------------ NO_DATA


@pytest.mark.parametrize("speak", ["report", "heart", "green"])
def test_whatever_a_bed_says_its_silence_is_an_alarm_at_the_limit(speak: str) -> None:
    ward = Ward()
    if speak == "report":
        ward.report(1000, 0.2)
    elif speak == "heart":
        ward.heart(1000, 80.0)
    else:
        ward.green(1000)
    ward.run(2000, 30_000, 250)
    ward.pass_to(30_999)
    assert ward.states() == []
    ward.pass_to(31_000)
    assert ward.states() == [("NO_DATA", "unacknowledged")]
    assert ward.tables.episodes[1].value is None


def test_a_bed_that_speaks_again_ends_its_silence() -> None:
    ward = Ward()
    ward.green(1000)
    ward.run(2000, 40_000)
    ward.act(40_000, "ack")
    ward.green(41_000)
    assert ward.states() == [("NO_DATA", "normal")]
    ward.run(42_000, 71_000)
    assert ward.states() == [("NO_DATA", "normal"), ("NO_DATA", "unacknowledged")]


def both(ward: Ward, begin: int, end: int, *, risk: bool = True, rate: float | None = 80.0) -> None:
    """A bed with a risk client and a heart-rate stream, second by second; ``rate`` 0: the sensor fell off."""
    for at in range(begin, end + 1, 1000):
        if risk:
            ward.green(at)
        if rate is not None:
            ward.heart(at, rate, *(OFF if rate == 0 else ("valid", "")))
        ward.pass_to(at)


def notes(ward: Ward) -> list[str]:
    return [one.note for one in ward.tables.episodes.values()]


@pytest.mark.parametrize("rate", [None, 0.0])
def test_a_sensor_that_fell_off_is_told_though_the_beds_risk_client_goes_on(rate: float | None) -> None:
    ward = Ward()
    both(ward, 1000, 60_000)
    both(ward, 61_000, 89_000, rate=rate)
    assert ward.states() == []
    both(ward, 90_000, 200_000, rate=rate)
    assert (ward.states(), notes(ward)) == ([("NO_DATA", "unacknowledged")], ["no heart rate"])
    assert ward.tables.episodes[1].raised_at_ms == START + 90_000
    both(ward, 201_000, 210_000)
    assert ward.states() == [("NO_DATA", "returned")]


def test_a_sensor_that_never_gave_a_number_is_told_though_the_beds_risk_client_goes_on() -> None:
    ward = Ward()
    both(ward, 1000, 60_000, rate=None)
    both(ward, 61_000, 91_000, rate=0.0)
    assert (ward.states(), notes(ward)) == ([("NO_DATA", "unacknowledged")], ["no heart rate"])
    assert ward.tables.episodes[1].raised_at_ms == START + 91_000


def test_a_sensor_that_is_off_writes_its_bed_once_however_long_it_says_so() -> None:
    ward = Ward(QUIET)
    ward.green(1000)
    ward.heart(2000, 0.0, *OFF)
    for at in range(3000, 10_000, 1000):
        ward.alarms.reading(START + at, at, "bed-1", START + at, 0.0, *OFF)
        ward.alarms.advance(START + at)
        assert ward.alarms.take_changes().beds == ()


def test_a_risk_client_that_died_is_told_though_heart_rates_go_on() -> None:
    ward = Ward()
    both(ward, 1000, 60_000)
    both(ward, 61_000, 90_000, risk=False)
    assert (ward.states(), notes(ward)) == ([("NO_DATA", "unacknowledged")], ["no risk judgement"])


def test_a_bed_that_falls_silent_bit_by_bit_is_one_alarm_whose_words_say_what_is_missing() -> None:
    ward = Ward()
    both(ward, 1000, 60_000)
    both(ward, 61_000, 70_000, rate=None)
    ward.run(71_000, 110_000)
    assert notes(ward) == ["no heart rate, no risk judgement"]
    both(ward, 111_000, 111_000, risk=False)
    assert notes(ward) == ["no risk judgement"]
    both(ward, 112_000, 112_000)
    assert ward.states() == [("NO_DATA", "returned")]
    assert [what for what in ward.whats() if what not in ("escalated", "sent")] == [
        "raised", "missing", "missing", "returned",
    ]  # fmt: skip


@pytest.mark.parametrize("action", ["ack", "resolve"])
def test_who_has_seen_that_a_sensor_is_off_is_told_again_when_the_bed_falls_silent(action: str) -> None:
    ward = Ward()
    both(ward, 1000, 10_000)
    both(ward, 11_000, 50_000, rate=0.0)
    ward.act(50_000, action)
    both(ward, 51_000, 400_000, rate=0.0)
    assert len(ward.states()) == 1
    ward.run(401_000, 440_000)
    assert ward.states() == [("NO_DATA", "normal"), ("NO_DATA", "unacknowledged")]
    assert notes(ward)[1] == "no heart rate, no risk judgement"
    both(ward, 441_000, 450_000, rate=0.0)
    assert ward.states()[1] == ("NO_DATA", "unacknowledged")  # the sensor is still off, and nobody has seen this one
    assert notes(ward)[1] == "no heart rate"


def test_after_a_discharge_a_bed_is_missed_by_what_it_tells_then() -> None:
    ward = Ward()
    both(ward, 1000, 10_000)
    ward.act(11_000, "discharge")
    both(ward, 100_000, 200_000, rate=None)
    assert ward.states() == []


def test_a_bed_that_was_never_heard_and_whose_first_word_is_a_zero_stays_one_alarm() -> None:
    ward = Ward()
    ward.alarms.rules_set(START + 1000, AlarmRules(expected=(Expected("bed-1", 5000),)))
    ward.run(1000, 10_000)
    assert notes(ward) == ["never heard"]
    ward.act(10_500, "ack")
    ward.heart(11_000, 0.0, *OFF)
    assert (ward.states(), notes(ward)) == ([("NO_DATA", "acknowledged")], ["no heart rate"])
    ward.heart(12_000, 80.0)
    assert ward.states() == [("NO_DATA", "normal")]


def test_a_bed_that_never_sent_anything_is_missed_if_it_is_expected() -> None:
    ward = Ward()
    rules = AlarmRules(expected=(Expected("bed-1"), Expected("bed-2", 5000)))
    ward.alarms.rules_set(START + 1000, rules)
    ward.run(1000, 6000)
    assert ward.states("bed-2") == [("NO_DATA", "unacknowledged")]
    ward.run(6000, 30_500, 500)
    assert ward.states("bed-1") == []
    ward.run(31_000, 31_000)
    assert ward.states("bed-1") == [("NO_DATA", "unacknowledged")]


def test_a_bed_that_is_expected_no_more_and_never_spoke_is_not_missed() -> None:
    ward = Ward()
    ward.alarms.rules_set(START + 1000, AlarmRules(expected=(Expected("bed-1"), Expected("bed-2"))))
    ward.run(1000, 40_000)
    ward.alarms.rules_set(START + 40_000, AlarmRules(expected=(Expected("bed-2"),)))
    ward.run(40_000, 100_000)
    assert ward.states("bed-1") == [("NO_DATA", "normal")]
    assert ward.states("bed-2") == [("NO_DATA", "unacknowledged")]


def test_a_bed_whose_first_word_cannot_be_believed_is_watched_from_then_on() -> None:
    ward = Ward()
    ward.heart(1000, -999.0, *OFF)
    ward.run(2000, 30_000)
    assert ward.states() == []
    ward.run(31_000, 31_000)
    assert ward.states() == [("NO_DATA", "unacknowledged")]


def test_what_was_told_before_is_no_sign_of_life() -> None:
    ward = Ward()
    ward.green(1000)
    for at in range(2000, 31_001, 1000):
        ward.green(at, told=1000)
    assert ward.states() == [("NO_DATA", "unacknowledged")]


def test_a_bed_that_goes_on_after_one_stamp_from_the_future_is_heard_and_judged_again() -> None:
    ward = Ward()
    ward.late(1000, 0.9, told=86_400_000)  # its clock was a day ahead
    for at in range(2000, 60_001, 1000):
        ward.green(at)
    assert ward.states() == [("RED", "returned")]


def test_a_red_after_a_discharge_is_raised_though_the_beds_clock_was_ahead() -> None:
    ward = Ward()
    ward.late(1000, 0.9, told=86_400_000)  # its clock was a day ahead
    ward.act(2000, "discharge")
    ward.report(60_000, 0.9)
    assert ("RED", "unacknowledged") in ward.states()


def test_an_older_sign_does_not_calm_a_red_bed() -> None:
    ward = Ward()
    ward.report(5000, 0.9)
    ward.green(6000, told=4000)
    assert ward.states() == [("RED", "unacknowledged")]


def test_a_bed_whose_clock_was_set_back_is_heard_again() -> None:
    ward = Ward()
    ward.green(1000, told=5_000_000)
    for at in range(2000, 100_000, 1000):
        ward.green(at)
    ward.report(100_000, 0.9)
    assert ward.states() == [("RED", "unacknowledged")]


# ------------------------------------------------------------ what a client had to keep, and sends late


def test_a_late_red_of_an_illness_that_was_seen_and_is_over_raises_nothing() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.9)
    ward.act(2000, "ack")
    ward.green(9000)
    ward.late(9500, 0.9, told=5000)
    ward.late(9600, 0.9, told=8000)
    assert ward.states() == [("RED", "normal")]


def test_a_late_red_that_nobody_was_told_of_stays_until_it_is_seen() -> None:
    ward = Ward(QUIET)
    ward.green(1000)
    ward.green(90_000)
    number = ward.late(91_000, 0.9, told=50_000)
    ward.late(91_100, 0.95, told=51_000)
    assert ward.states() == [("RED", "returned")]
    assert (ward.tables.alerted, ward.tables.episodes[1].step) == ([number], 1)
    ward.act(92_000, "ack")
    ward.late(93_000, 0.9, told=52_000)
    assert ward.states() == [("RED", "normal")]


def test_a_late_red_after_calm_is_another_one() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.9)
    ward.act(2000, "ack")
    ward.green(9000)
    ward.green(60_000)
    ward.late(61_000, 0.9, told=30_000)
    assert ward.states() == [("RED", "normal"), ("RED", "returned")]


def test_a_late_amber_is_no_notice() -> None:
    ward = Ward(QUIET)
    ward.green(90_000)
    for told in (50_000, 51_000, 52_000):
        ward.late(91_000, 0.4, told=told)
    ward.run(92_000, 120_000)
    assert ward.states() == []


def test_reports_that_a_red_sign_has_overtaken_are_not_late() -> None:
    ward = Ward(QUIET)
    ward.alarms.sign(START + 9000, "bed-1", START + 9000, "RED", 0.9)
    ward.late(9100, 0.9, told=8000)
    assert ward.states() == [("RED", "unacknowledged")]


def test_a_bed_whose_clock_was_set_back_is_judged_again_after_a_while() -> None:
    ward = Ward(QUIET)
    ward.report(1000, 0.1)
    ward.report(2000, 0.2)
    ward.green(3000, told=9_000_000)
    ward.report(4000, 0.9)
    assert ward.states() == [("RED", "returned")]
    ward.report(24_000, 0.9)
    assert ward.states() == [("RED", "unacknowledged")]


def test_a_sign_of_a_red_bed_is_life_and_no_judgement() -> None:
    ward = Ward()
    ward.alarms.sign(START + 1000, "bed-1", START + 1000, "RED", 0.9)
    ward.pass_to(1000)
    assert ward.states() == []
    ward.report(1000, 0.9)
    assert ward.states() == [("RED", "unacknowledged")]


def test_after_an_outage_of_the_mesh_silence_counts_from_its_return() -> None:
    ward = Ward()
    for bed in ("bed-1", "bed-2"):
        ward.green(1000, bed)
    ward.run(2000, 10_000)
    ward.pass_to(600_000)
    assert ward.states("bed-1") == []
    ward.green(610_000, "bed-1")
    ward.run(611_000, 629_000)
    assert ward.states("bed-2") == []
    ward.run(630_000, 631_000)
    assert (ward.states("bed-1"), ward.states("bed-2")) == ([], [("NO_DATA", "unacknowledged")])


def led(ward: Ward, at: int, term: int) -> None:
    ward.alarms.led(START + at, term)
    ward.pass_to(at)


def test_the_time_without_a_quorum_is_no_silence_however_short_the_limit() -> None:
    ward = Ward(AlarmRules(silent_ms=5000))
    led(ward, 500, 1)
    both(ward, 1000, 10_000)
    led(ward, 18_000, 2)  # shorter than away_ms, longer than the limit
    assert ward.states() == []
    ward.run(18_000, 22_900, 100)
    assert ward.states() == []
    ward.pass_to(23_000)
    assert ward.states() == [("NO_DATA", "unacknowledged")]


def test_the_first_entry_of_another_leader_tells_no_silence_whatever_it_is() -> None:
    ward = Ward(AlarmRules(silent_ms=5000))
    led(ward, 500, 1)
    ward.green(1000)
    ward.alarms.led(START + 6000, 2)
    ward.report(6000, 0.1, "bed-2")
    assert ward.states() == []


def test_a_bed_that_talks_has_a_second_to_be_heard_by_each_new_leader() -> None:
    ward = Ward(AlarmRules(silent_ms=5000))
    led(ward, 500, 1)
    ward.green(1000)
    ward.run(1000, 5900, 100)
    led(ward, 7200, 2)
    ward.run(7200, 8100, 100)
    assert ward.states() == []
    ward.green(8150)
    for number in range(20):  # nobody leads for longer than 0.6 s
        led(ward, 9400 + 1300 * number, 3 + number)
        ward.run(9400 + 1300 * number, 10_000 + 1300 * number, 100)
    assert ward.states() == []


def test_a_silent_bed_is_told_within_its_limit_and_the_time_without_a_leader() -> None:
    ward = Ward(AlarmRules(silent_ms=5000))
    led(ward, 500, 1)
    ward.green(1000)
    for number in range(3):
        ward.run(1000 + 2000 * number, 2000 + 2000 * number, 100)
        led(ward, 3000 + 2000 * number, 2 + number)  # led for 1 s, not led for 1 s
    ward.run(7000, 8900, 100)
    assert ward.states() == []
    ward.pass_to(9000)
    assert ward.states() == [("NO_DATA", "unacknowledged")]


def test_another_leader_and_an_outage_write_no_bed_however_many_there_are() -> None:
    """Once they wrote all: with 24,000 that took longer than a lease, and nobody led for longer than that."""
    ward = Ward()
    led(ward, 500, 1)
    for number in range(50):
        ward.green(1000 + number, f"bed-{number}")
    ward.alarms.take_changes()
    for at, term in ((2000, 2), (600_000, 2), (1_200_000, 3)):
        ward.alarms.led(START + at, term)
        ward.alarms.advance(START + at)
        changes = ward.alarms.take_changes()
        assert (changes.beds, changes.heard) == ((), ())
        assert changes.listening == ward.alarms.listening != EVER


def test_a_leader_that_asks_due_ms_never_looks_as_if_the_mesh_was_away() -> None:
    ward = Ward()
    ward.green(1000)
    stamps = []
    while not ward.states():
        due = ward.alarms.due_ms()
        assert due is not None
        stamps.append(due - START)
        ward.pass_to(due - START + 40)  # a leader is never on time
    assert ward.tables.episodes[1].raised_at_ms - START == 31_000 + 40
    assert len(stamps) < 10


def test_nothing_is_due_where_nobody_is_watched() -> None:
    assert Ward().alarms.due_ms() is None


# ------------------------------------------------------------ rules


def test_rules_that_are_set_are_in_force_at_once_for_what_is_waited_for() -> None:
    ward = Ward()
    ward.green(1000)
    ward.pass_to(5000)
    ward.alarms.rules_set(START + 6000, AlarmRules(silent_ms=5500))
    ward.pass_to(6500)
    assert ward.states() == [("NO_DATA", "unacknowledged")]
    assert ward.tables.rules.silent_ms == 5500


def test_the_same_rules_again_change_nothing() -> None:
    ward = Ward()
    ward.alarms.rules_set(START + 1000, AlarmRules(silent_ms=5500))
    ward.pass_to(1000)
    ward.alarms.rules_set(START + 1000, AlarmRules(silent_ms=5500))
    changes = ward.alarms.take_changes()
    assert (changes.rules, changes.beds, changes.episodes, changes.events) == (None, (), (), ())
