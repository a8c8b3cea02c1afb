"""Every reading gets one verdict: a number is believed only when a heart can beat so and a device can say so."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfzmq.clinical import heart_rate
from hfzmq.clinical.heart_rate import (
    CATEGORY_OF,
    NO_VALUE,
    POSSIBLE_MAX,
    STATUSES,
    VERDICTS,
    HeartRateRules,
    Reading,
    Verdict,
    check_reading,
    judge,
    number_of,
    parse_value,
    rules_of,
)
from hfzmq.config import HeartRate

NOW = 1_700_000_000_000
RULES = HeartRateRules()
ROW = Reading("bed-1", NOW, 72.0, "72")

ranges = st.tuples(st.integers(2, 298), st.integers(2, 298)).filter(lambda pair: pair[0] < pair[1])
rules = st.builds(lambda pair, ahead: HeartRateRules(pair[0], pair[1], ahead), ranges, st.integers(0, 60_000))
values = st.none() | st.integers() | st.floats() | st.sampled_from(sorted(NO_VALUE))


@pytest.mark.parametrize(
    ("value", "status", "anomaly"),
    [
        (50, "valid", None),
        (120, "valid", None),
        (72.5, "valid", None),
        (49.999, "invalid_physiological", "low"),
        (0.5, "invalid_physiological", "low"),
        (120.001, "invalid_physiological", "high"),
        (300, "invalid_physiological", "high"),
        (0, "invalid_system", "sensor_off"),
        (-0.0, "invalid_system", "sensor_off"),
        (-1, "invalid_system", "sensor_off"),
        (-100.0, "invalid_system", "sensor_off"),
        (-999, "invalid_system", "sensor_off"),
        (-2, "invalid_system", "impossible"),
        (300.5, "invalid_system", "impossible"),
        (10**400, "invalid_system", "impossible"),
        (math.nan, "invalid_system", "impossible"),
        (math.inf, "invalid_system", "impossible"),
        (-math.inf, "invalid_system", "impossible"),
        (None, "invalid_system", "missing"),
        (True, "corrupted", "unparsable"),
        ("72", "corrupted", "unparsable"),
        (b"\x00", "corrupted", "unparsable"),
        ([72], "corrupted", "unparsable"),
    ],
)
def test_a_value_gets_the_verdict_that_was_agreed(value: object, status: str, anomaly: str | None) -> None:
    assert judge(value, NOW, NOW, RULES) == Verdict(status, anomaly)


@pytest.mark.parametrize(
    ("payload", "anomaly"), [("", "missing"), (" NULL ", "missing"), ("N/A", "missing"), ("7#2", "unparsable")]
)
def test_no_number_is_missing_where_nothing_was_sent_and_corrupted_where_something_was(
    payload: str, anomaly: str
) -> None:
    assert judge(None, NOW, NOW, RULES, payload).anomaly == anomaly


def test_a_stamp_ahead_of_the_leader_by_more_than_the_allowance_is_from_the_future() -> None:
    assert judge(72, NOW + RULES.future_ms, NOW, RULES) == Verdict("valid", None)
    assert judge(72, NOW + RULES.future_ms + 1, NOW, RULES) == Verdict("invalid_system", "future")
    assert judge(-999, NOW + 10**9, NOW, RULES) == Verdict("invalid_system", "sensor_off")
    assert judge(72, NOW - 10**9, NOW, RULES) == Verdict("valid", None)


@given(values, st.integers(0, 2 * NOW), rules)
def test_a_reading_is_valid_exactly_when_its_number_is_in_the_range_and_its_stamp_is_not_ahead(
    value: float | None, stamp: int, of: HeartRateRules
) -> None:
    found = judge(value, stamp, NOW, of)
    in_range = value is not None and of.valid_min <= value <= of.valid_max
    assert (found.status == "valid") == (in_range and stamp <= NOW + of.future_ms)
    assert found in VERDICTS
    assert (found.anomaly is None) == (found.status == "valid")


@given(st.sampled_from(sorted(NO_VALUE)), rules, st.integers(0, 2 * NOW))
def test_a_number_that_means_no_value_is_never_a_rate_whatever_the_rules_are(
    value: float, of: HeartRateRules, stamp: int
) -> None:
    assert judge(value, stamp, NOW, of) == Verdict("invalid_system", "sensor_off")


@given(st.floats(), rules)
def test_only_what_a_heart_and_a_device_can_do_is_called_physiological(value: float, of: HeartRateRules) -> None:
    possible = 0 < value <= POSSIBLE_MAX
    assert (judge(value, NOW, NOW, of).status in ("valid", "invalid_physiological")) == possible


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_read_from_its_own_text(value: float) -> None:
    assert parse_value(f"  {value!r}\r\n") == value


@given(st.text(max_size=30))
def test_any_text_is_a_number_or_none_and_a_number_only_where_python_reads_the_same(payload: str) -> None:
    found = parse_value(payload)
    assert found is None or found == float(payload) or (math.isnan(found) and math.isnan(float(payload)))


@pytest.mark.parametrize(
    "payload", ["", " ", "72 bpm", "72,5", "7 2", "1_000", "٧٢", "0x48", "72;73", "--72", ".", "e5", "1" * 5000]
)
def test_what_would_have_to_be_guessed_is_no_number(payload: str) -> None:
    assert parse_value(payload) is None


@pytest.mark.parametrize("payload", ["nan", "-NaN", "inf", "-Infinity", "1e999"])
def test_a_number_that_cannot_be_is_read_and_judged_as_one(payload: str) -> None:
    assert judge(parse_value(payload), NOW, NOW, RULES, payload) == Verdict("invalid_system", "impossible")


@given(values)
def test_what_is_stored_of_a_value_is_a_finite_number_without_a_sign_on_zero_or_nothing(value: float | None) -> None:
    found = number_of(value)
    if found is None:
        assert value is None or not math.isfinite(value if isinstance(value, float) else math.inf)
    else:
        assert value is not None
        assert found == value or abs(found - value) <= abs(value) * 1e-15  # a large int
        assert math.isfinite(found)
        assert math.copysign(1, found) == 1 or found < 0


def test_every_status_but_valid_has_its_category() -> None:
    assert set(CATEGORY_OF) == set(STATUSES) - {"valid"}
    assert {verdict.status for verdict in VERDICTS} == set(STATUSES)
    assert len(VERDICTS) == len(set(VERDICTS))


def test_the_rules_are_those_of_the_configuration() -> None:
    assert rules_of(HeartRate()) == RULES
    assert rules_of(HeartRate(40, 130, 7)) == HeartRateRules(40, 130, 7)


def test_a_reading_can_be_stored_whatever_its_value_is() -> None:
    for value in (72, None, math.nan, "x", True, -5):
        assert check_reading(ROW._replace(value=value)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (ROW[:3], "row"),
        ((*ROW, 1), "row"),
        ("bed-1", "row"),
        (ROW._replace(patient_id=""), "patient_id"),
        (ROW._replace(patient_id=" bed"), "patient_id"),
        (ROW._replace(timestamp=NOW // 1000), "timestamp"),
        (ROW._replace(timestamp=float(NOW)), "timestamp"),  # type: ignore[arg-type]
        (ROW._replace(timestamp=True), "timestamp"),
        (ROW._replace(raw_payload=None), "raw_payload"),  # type: ignore[arg-type]
        (ROW._replace(raw_payload="x" * (heart_rate.RAW_CHARS_MAX + 1)), "raw_payload"),
    ],
)
def test_a_row_that_no_table_can_take_is_refused_by_its_field(row: object, field: str) -> None:
    refusal = check_reading(row)
    assert refusal is not None
    assert refusal.field == field
