"""The generator: exactly the configured share of each kind, the same again from the same seed, plausible in between."""

from __future__ import annotations

import itertools
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfzmq.cli.stream.generator import BLOCK, KINDS, Generator, patient_names, quota
from hfzmq.client.traffic import check_sent
from hfzmq.clinical.heart_rate import CORRUPTED, PHYSIOLOGICAL, SYSTEM, VALID, Reading, Verdict, judge, rules_of
from hfzmq.clinical.report import TIMESTAMP_MS_MAX
from hfzmq.config import HeartRate

START = 1_700_000_000_000
RATES = HeartRate()

ranges = (
    st.lists(st.integers(1, 300), min_size=4, max_size=4, unique=True)
    .map(sorted)
    .map(lambda four: HeartRate(invalid_min=four[0], valid_min=four[1], valid_max=four[2], invalid_max=four[3]))
)
shares = st.fractions(0, 1, max_denominator=1000)


def made(
    count: int, share: Fraction, seed: int = 1, patients: int = 7, rates: HeartRate = RATES, known: bool = True
) -> list[Reading]:
    generator = Generator(patient_names(patients), rates, share, seed, count if known else None)
    return [generator.next(START + number) for number in range(count)]


def verdicts(readings: list[Reading], rates: HeartRate = RATES) -> Counter[Verdict]:
    """What the mesh will say of them, hours later."""
    now_ms = START + 10 * 3_600_000
    rules = rules_of(rates)
    return Counter(judge(one.value, one.timestamp, now_ms, rules, one.raw_payload) for one in readings)


def wanted(count: int, share: Fraction) -> dict[str, int]:
    invalid = quota(count, share)
    return {kind: (invalid + 5 - place) // 6 for place, kind in enumerate(KINDS)}


def by_anomaly(found: Counter[Verdict]) -> dict[str, int]:
    names = {"unparsable": "corrupted"}
    return {
        kind: sum(n for verdict, n in found.items() if names.get(verdict.anomaly or "", verdict.anomaly) == kind)
        for kind in KINDS
    }


def test_ten_thousand_readings_with_a_fifth_invalid_are_these() -> None:
    found = verdicts(made(10_000, Fraction("0.2")))
    assert {(verdict.status, verdict.anomaly): count for verdict, count in found.items()} == {
        (VALID, None): 8000,
        (PHYSIOLOGICAL, "high"): 334,
        (PHYSIOLOGICAL, "low"): 334,
        (SYSTEM, "sensor_off"): 333,
        (SYSTEM, "impossible"): 333,
        (SYSTEM, "future"): 333,
        (CORRUPTED, "unparsable"): 333,
    }


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 1500), shares, st.integers(0, 2**32), st.integers(1, 40), ranges)
def test_of_any_count_and_share_exactly_so_many_are_of_each_kind(
    count: int, share: Fraction, seed: int, patients: int, rates: HeartRate
) -> None:
    found = verdicts(made(count, share, seed, patients, rates), rates)
    assert by_anomaly(found) == wanted(count, share)
    assert found[Verdict(VALID, None)] == count - quota(count, share)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 12), shares, st.integers(0, 2**32))
def test_without_an_end_the_share_is_exact_after_every_whole_block(blocks: int, share: Fraction, seed: int) -> None:
    readings = made(blocks * BLOCK + 57, share, seed, known=False)
    for place in range(0, blocks * BLOCK + 1, BLOCK):
        assert by_anomaly(verdicts(readings[:place])) == wanted(place, share)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), shares, st.integers(0, 2**32), st.integers(1, 40))
def test_the_same_seed_makes_the_same_stream(count: int, share: Fraction, seed: int, patients: int) -> None:
    assert made(count, share, seed, patients) == made(count, share, seed, patients)


def test_another_seed_makes_another_stream() -> None:
    assert made(200, Fraction(1, 5), 1) != made(200, Fraction(1, 5), 2)


@pytest.mark.parametrize("share", ["0", "1", "0.005", "0.995"])
def test_the_edges_of_the_share_are_kept_exactly(share: str) -> None:
    found = verdicts(made(1000, Fraction(share)))
    assert found[Verdict(VALID, None)] == 1000 - int(1000 * Fraction(share))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), ranges, st.integers(1, 20))
def test_a_patients_valid_rates_wander_inside_the_valid_range_and_do_not_leap(
    seed: int, rates: HeartRate, patients: int
) -> None:
    of_each: dict[str, list[float]] = {}
    for one in made(patients * 200, Fraction(0), seed, patients, rates):
        assert one.value is not None
        of_each.setdefault(one.patient_id, []).append(one.value)
    assert len(of_each) == patients
    for values in of_each.values():
        assert len(values) == 200
        assert all(rates.valid_min <= value <= rates.valid_max for value in values)
        assert all(abs(after - before) <= 15 for before, after in itertools.pairwise(values))


def test_a_ward_is_not_all_of_one_rate() -> None:
    values = [one.value for one in made(1000, Fraction(0), patients=20)]
    assert len(set(values)) > 20


def test_what_is_invalid_is_spread_within_a_block() -> None:
    readings = made(2000, Fraction("0.2"))
    places = {
        number % BLOCK
        for number, one in enumerate(readings)
        if judge(one.value, one.timestamp, START + 1, rules_of(RATES), one.raw_payload).status != VALID
    }
    assert len(places) > 60


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), shares, ranges)
def test_every_reading_can_be_sent_and_stored(seed: int, share: Fraction, rates: HeartRate) -> None:
    for one in made(300, share, seed, rates=rates):
        assert check_sent(one) is None
        assert one.timestamp <= TIMESTAMP_MS_MAX


def test_patients_take_turns() -> None:
    assert [one.patient_id for one in made(5, Fraction(1, 5), patients=2)] == [
        "P-001",
        "P-002",
        "P-001",
        "P-002",
        "P-001",
    ]
