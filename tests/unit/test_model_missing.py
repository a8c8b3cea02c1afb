"""What is said when a value is missing or a patient is unlike the others; and why a number is what it is."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfzmq.clinical.report import FLAGS_CHARS_MAX, VITALS, Report, check_row, low_flag, low_of, study_low_of
from hfzmq.clinical.tiers import AMBER, GREEN, RED, UNKNOWN, tier_between
from hfzmq.errors import InvalidInput
from hfzmq.model import Judgement, RiskModel
from hfzmq.model.explain import explain
from hfzmq.model.features import DAY, FEATURES, SIGNS, load_cohort

MODEL = RiskModel.load()
LEVELS = MODEL.parts.quantile_levels.tolist()
P05, P95 = (MODEL.parts.quantiles[:, LEVELS.index(level)] for level in (0.05, 0.95))

readings = st.tuples(*(st.floats(vital.low, vital.high) for vital in VITALS[:-1]), st.integers(0, 400))
some_missing = st.sets(st.integers(0, 4), min_size=1, max_size=4).filter(lambda gone: not {0, 1, 2, 3} <= gone)


def without(reading: tuple[Any, ...], gone: set[int]) -> tuple[Any, ...]:
    return tuple(None if place in gone else value for place, value in enumerate(reading))


def whole(values: list[Any]) -> tuple[Any, ...]:
    return (*values[:DAY], int(values[DAY]))


def judged_whole(values: list[Any]) -> Judgement:
    return MODEL.judge(*whole(values))


@settings(max_examples=200, deadline=None)
@given(readings, some_missing, st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_whatever_the_missing_value_was_between_its_percentiles_the_probability_lies_between_the_two_ends(
    reading: tuple[Any, ...], gone: set[int], shares: list[float]
) -> None:
    judged = MODEL.judge(*without(reading, gone))
    filled = [
        float(P05[place] + shares[place] * (P95[place] - P05[place])) if place in gone else value
        for place, value in enumerate(reading)
    ]
    known = judged_whole(filled)
    assert judged.probability_low - 1e-12 <= known.probability <= judged.probability + 1e-12
    assert judged.probability_study_low - 1e-12 <= known.probability_study <= judged.probability_study + 1e-12
    assert {flag for flag in judged.flags if flag.startswith("missing:")} == {f"missing:{FEATURES[k]}" for k in gone}


def test_the_ends_are_those_of_the_fifth_and_the_ninety_fifth_percentile() -> None:
    for k in range(DAY):
        reading = [70.0, 134.0, 1.4, 32.0, 40]
        found = MODEL.judge(*(None if place == k else value for place, value in enumerate(reading)))  # type: ignore[arg-type]
        ends = []
        for value in (P05[k], P95[k]):
            reading[k] = float(value)
            ends.append(MODEL.judge(*reading).probability)  # type: ignore[arg-type]
        assert (found.probability_low, found.probability) == pytest.approx(tuple(ends[:: SIGNS[k]]), abs=1e-12)


def test_a_missing_day_leaves_the_guarded_number_one_number() -> None:
    found, known = MODEL.judge(70.0, 134.0, 1.4, 32.0, None), MODEL.judge(70.0, 134.0, 1.4, 32.0, 40)
    assert found.probability == found.probability_low == pytest.approx(known.probability, abs=1e-15)
    assert "missing:day" in found.flags
    assert "day_clamped" not in found.flags


def test_a_missing_day_leaves_the_studys_number_two_ends_which_a_report_carries() -> None:
    found = MODEL.judge(60.0, 137.0, 1.1, 38.0, None)
    first, last = (MODEL.judge(60.0, 137.0, 1.1, 38.0, int(day[DAY])).probability_study for day in (P05, P95))
    assert found.probability_study == pytest.approx(first)
    assert found.probability_study_low == pytest.approx(last)
    assert last < 0.3 < 0.6 < first
    flags = ",".join(found.flags)
    assert found.probability_study_low - 1e-6 <= study_low_of(first, flags) <= found.probability_study_low
    assert study_low_of(first, "missing:day") == 0.0
    assert study_low_of(first, "day_clamped") == first


def test_two_numbers_of_which_one_is_not_known_are_told_apart_by_their_tiers() -> None:
    assert "day_driven" in MODEL.judge(60.0, 137.0, 1.1, None, 38).flags  # UNKNOWN and RED
    assert "day_driven" not in MODEL.judge(60.0, 137.0, 1.1, 38.0, None).flags  # there is no day that could drive


def test_nothing_known_of_the_patient_is_refused_and_a_wrong_value_beside_a_missing_one_too() -> None:
    with pytest.raises(InvalidInput, match="at least one value of the patient"):
        MODEL.judge(None, None, None, None, 40)
    with pytest.raises(InvalidInput, match="serum_creatinine"):
        MODEL.judge(None, 134.0, 88.0, 32.0, 40)
    with pytest.raises(InvalidInput, match="day"):
        MODEL.judge(None, 134.0, 1.4, 32.0, 40.5)  # type: ignore[arg-type]


def test_two_ends_in_one_tier_are_that_tier_and_otherwise_unknown() -> None:
    assert [tier_between(*ends) for ends in ((0.1, 0.29), (0.3, 0.59), (0.6, 0.9))] == [GREEN, AMBER, RED]
    assert {tier_between(*ends) for ends in ((0.29, 0.3), (0.1, 0.7), (0.59, 0.6))} == {UNKNOWN}


# ------------------------------------------------------------------------------------------------------------ a report

ROW = Report("P-1", 1_700_000_000_000, 70.0, 134.0, 1.4, 32.0, 40, 0.45, AMBER, 0.4, "m", "")


def test_a_report_carries_what_is_missing_and_how_low_the_risk_can_be() -> None:
    flags = "missing:serum_creatinine,probability_low:0.118604"
    row = ROW._replace(serum_creatinine=None, tier=UNKNOWN, flags=flags)
    assert check_row(row) is None
    assert low_of(row.probability, row.flags) == 0.118604
    assert low_of(0.45, "day_clamped") == 0.45


def test_a_number_that_misses_the_day_alone_has_one_end_in_its_report_too() -> None:
    found = MODEL.judge(70.0, 134.0, 1.4, 32.0, None)
    assert low_of(found.probability, ",".join(found.flags)) == found.probability


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"serum_creatinine": None}, "serum_creatinine"),
        ({"serum_creatinine": None, "flags": "missing:age"}, "serum_creatinine"),
        ({"serum_creatinine": None, "flags": "amissing:serum_creatinine"}, "serum_creatinine"),
        ({"day": None}, "day"),
        (
            dict.fromkeys(("age", "serum_sodium", "serum_creatinine", "ejection_fraction"))
            | {"flags": "missing:age,missing:serum_sodium,missing:serum_creatinine,missing:ejection_fraction"},
            "age",
        ),
    ],
)
def test_a_report_with_a_hole_that_it_does_not_admit_is_refused(change: dict[str, Any], field: str) -> None:
    refusal = check_row(ROW._replace(**change))
    assert refusal is not None
    assert refusal.field == field


@given(st.floats(0, 1))
def test_the_low_end_that_a_report_carries_is_never_above_the_models(low: float) -> None:
    said = low_of(1.0, "day_driven,missing:age," + low_flag(low))
    assert low - 1e-6 <= said <= low


@pytest.mark.parametrize("flags", ["missing:age", "missing:age,probability_low:x", "missing:age,probability_low:0.9"])
def test_a_low_end_that_is_not_said_or_cannot_be_is_nought(flags: str) -> None:
    assert low_of(0.45, flags) == 0.0


# -------------------------------------------------------------------------------------------------------- the raw day

RAW = RiskModel.load(raw_day=True)


@settings(max_examples=100, deadline=None)
@given(readings, st.sets(st.integers(0, 4), max_size=4).filter(lambda gone: not {0, 1, 2, 3} <= gone))
def test_asked_for_the_raw_day_the_studys_number_sets_the_tier_and_says_so(
    reading: tuple[Any, ...], gone: set[int]
) -> None:
    raw, guarded = RAW.judge(*without(reading, gone)), MODEL.judge(*without(reading, gone))
    assert raw.probability == raw.probability_study == guarded.probability_study
    assert raw.probability_low <= raw.probability
    assert (raw.probability_low == raw.probability) == (not gone)
    assert "day_raw" in raw.flags
    assert "day_driven" not in raw.flags
    assert "day_raw" not in guarded.flags
    assert len(",".join(raw.flags)) <= FLAGS_CHARS_MAX


# ------------------------------------------------------------------------------------------------------------ unlike


def test_what_lies_farther_out_than_the_training_set_is_unusual_and_the_middle_never() -> None:
    middle = MODEL.parts.quantiles[:, LEVELS.index(0.5)].tolist()
    assert "unusual_combination" not in judged_whole(middle).flags
    seen = set()
    for values in itertools.product(*zip(MODEL.parts.low[:DAY], P05[:DAY], P95[:DAY], strict=True)):
        z = (np.array(values) - MODEL.parts.mean[:DAY]) / MODEL.parts.scale[:DAY]
        distance = float(np.sqrt(((MODEL.parts.whitening @ z) ** 2).sum()))
        flagged = "unusual_combination" in judged_whole([*map(float, values), 120]).flags
        assert flagged == (distance > MODEL.parts.distance_max)
        seen.add(flagged)
    assert seen == {True, False}
    assert 2 < MODEL.parts.distance_max < 10


def test_a_hundredth_of_the_patients_it_learned_from_is_unusual(published_csv: Path) -> None:
    rows = load_cohort(published_csv).x.tolist()
    assert sum("unusual_combination" in judged_whole(row).flags for row in rows) == 3  # of 299


# --------------------------------------------------------------------------------------------------------------- why


@settings(max_examples=60, deadline=None)
@given(readings, st.booleans())
def test_base_and_contributions_add_up_to_the_probability(reading: tuple[Any, ...], study: bool) -> None:
    found = explain(MODEL, *reading, study=study)
    judged = MODEL.judge(*reading)
    assert found.base + sum(found.contributions) == pytest.approx(found.probability, abs=1e-12)
    assert found.probability == pytest.approx(judged.probability_study if study else judged.probability, abs=1e-12)
    if not study:
        assert found.contributions[DAY] == pytest.approx(0, abs=1e-12)


def test_contributions_are_the_mean_over_every_order_of_knowing() -> None:
    reading = (75.0, 130.0, 1.9, 20.0, 4)
    rows, given = MODEL.parts.background, np.array(reading)

    def mean(known: tuple[int, ...]) -> float:
        filled = rows.copy()
        filled[:, list(known)] = given[list(known)]
        return float(MODEL.probabilities(filled)[1].mean())

    orders = list(itertools.permutations(range(5)))
    moved = np.zeros(5)
    for order in orders:
        for place, k in enumerate(order):
            moved[k] += mean(order[: place + 1]) - mean(order[:place])
    found = explain(MODEL, *reading, study=True)
    assert found.contributions == pytest.approx(moved / len(orders), abs=1e-12)
    assert found.base == pytest.approx(mean(()), abs=1e-12)


def test_a_value_that_is_worse_than_all_of_the_background_raises_the_risk_and_a_better_one_lowers_it() -> None:
    worst = np.where(np.array(SIGNS) > 0, MODEL.parts.high, MODEL.parts.low).tolist()
    best = np.where(np.array(SIGNS) > 0, MODEL.parts.low, MODEL.parts.high).tolist()
    assert min(explain(MODEL, *whole(worst)).contributions[:DAY]) > 0
    assert max(explain(MODEL, *whole(best)).contributions[:DAY]) < 0


def test_the_top_contributions_are_the_largest_and_none_that_says_nothing() -> None:
    found = explain(MODEL, 75.0, 130.0, 1.9, 20.0, 4)
    assert [name for name, _ in found.top(2)] == ["ejection_fraction", "serum_creatinine"]
    assert "day" not in [name for name, _ in found.top(5)]


def test_the_background_is_made_up_and_spread_over_risk_as_the_cohort_is() -> None:
    rows = MODEL.parts.background
    assert rows.shape == (64, 5)
    risks = MODEL.probabilities(rows)[0]
    assert (np.diff(risks) >= 0).all()
    assert 0.15 < risks.mean() < 0.30
