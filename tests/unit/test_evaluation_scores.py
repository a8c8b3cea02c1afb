"""The arithmetic of an evaluation, against definitions written out by hand."""

from __future__ import annotations

import math
from itertools import product
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfzmq.cli.results_file import plain
from hfzmq.model import RiskModel
from hfzmq.model.evaluation import evaluate, scores, survival
from hfzmq.model.evaluation.goals import GOALS, Goal, bound_words, look_up, verdict_words, verdicts

DIED = np.array([1, 1, 1, 0, 0, 0, 0, 0], dtype=float)
P = np.array([0.9, 0.6, 0.2, 0.7, 0.4, 0.3, 0.2, 0.1])

samples = st.integers(4, 30).flatmap(
    lambda n: st.tuples(
        st.lists(st.booleans(), min_size=n, max_size=n),
        st.lists(st.sampled_from([0.05, 0.2, 0.35, 0.5, 0.65, 0.8]), min_size=n, max_size=n),
    )
)


def test_mcc_f1_and_accuracy_are_those_of_the_confusion_at_a_half() -> None:
    assert scores.confusion(DIED, P) == (2, 1, 4, 1)
    assert scores.mcc(DIED, P) == pytest.approx((2 * 4 - 1 * 1) / math.sqrt(3 * 3 * 5 * 5))
    assert scores.f1(DIED, P) == pytest.approx(4 / 6)
    assert scores.accuracy(DIED, P) == 6 / 8
    assert scores.mcc(DIED, np.zeros(8)) == 0.0


@settings(max_examples=100, deadline=None)
@given(samples)
def test_the_roc_auc_counts_pairs_and_ties_half(sample: tuple[list[bool], list[float]]) -> None:
    died, p = np.array(sample[0], dtype=float), np.array(sample[1])
    pairs = [(a > b) + 0.5 * (a == b) for a, b in product(p[died == 1], p[died == 0])]
    found = scores.roc_auc(died, p)
    assert math.isnan(found) if not pairs else found == pytest.approx(np.mean(pairs))


@settings(max_examples=100, deadline=None)
@given(samples)
def test_the_pr_auc_is_the_mean_precision_at_each_recall_step(sample: tuple[list[bool], list[float]]) -> None:
    died, p = np.array(sample[0], dtype=float), np.array(sample[1])
    if not 0 < died.sum() < len(died):
        assert math.isnan(scores.pr_auc(died, p))
        return
    expected, before = 0.0, 0.0
    for threshold in sorted(set(p.tolist()), reverse=True):
        called = p >= threshold
        recall, precision = died[called].sum() / died.sum(), died[called].mean()
        expected, before = expected + (recall - before) * precision, recall
    assert scores.pr_auc(died, p) == pytest.approx(expected)


def test_the_swapped_auc_is_the_mean_of_both_predictive_values() -> None:
    assert scores.swapped_auc(DIED, P) == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_a_calibrated_sample_has_slope_one_intercept_nought_and_no_error() -> None:
    p = np.repeat([0.15, 0.45, 0.75], 2000)
    died = np.concatenate([np.arange(2000) < 2000 * share for share in (0.15, 0.45, 0.75)]).astype(float)
    slope, intercept = scores.calibration_line(died, p)
    assert slope == pytest.approx(1, abs=1e-6)
    assert intercept == pytest.approx(0, abs=1e-6)
    assert scores.expected_calibration_error(died, p) == pytest.approx(0, abs=1e-9)


def test_too_bold_probabilities_have_a_slope_below_one_and_too_low_ones_an_intercept_above_nought() -> None:
    rng = np.random.default_rng(1)
    logit = rng.normal(0, 1, 20_000)
    died = (rng.random(20_000) < 1 / (1 + np.exp(-logit))).astype(float)
    bold, low = 1 / (1 + np.exp(-2 * logit)), 1 / (1 + np.exp(-(logit - 0.7)))
    assert scores.calibration_line(died, bold)[0] == pytest.approx(0.5, abs=0.03)
    assert scores.calibration_line(died, low)[1] == pytest.approx(0.7, abs=0.05)
    assert scores.expected_calibration_error(died, bold) > 0.05


def test_the_steps_of_a_reliability_curve_hold_everybody_once() -> None:
    bins = scores.reliability(DIED, np.append(P[:-1], 1.0))
    assert sum(b.patients for b in bins) == len(DIED)


def test_the_roc_curve_goes_from_corner_to_corner_and_holds_the_auc() -> None:
    false, true = scores.roc_points(DIED, P)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    area = float(((true[1:] + true[:-1]) / 2 * np.diff(false)).sum())
    assert area == pytest.approx(scores.roc_auc(DIED, P))


def test_a_bootstrap_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(60):
        sample = rng.normal(0, 1, 50)
        low, high = scores.bootstrap_interval(lambda who, s=sample: float(s[who].mean()), 50, 300, trial)  # type: ignore[misc]
        covered += low <= 0 <= high
    assert covered >= 50


def test_the_p_of_overlapping_splits_is_more_careful_than_that_of_independent_ones() -> None:
    differences = np.random.default_rng(4).normal(0.02, 0.1, 100)
    assert scores.resampled_p(differences, 239, 60) > scores.resampled_p(differences, 239, 1)
    z = differences.mean() / (differences.std(ddof=1) * math.sqrt(1 / 100 + 60 / 239))  # Nadeau and Bengio, 2003
    assert scores.resampled_p(differences, 239, 60) == pytest.approx(2 * (1 - NormalDist().cdf(abs(z))))
    assert scores.resampled_p(np.zeros(5), 239, 60) == 1.0


def test_what_no_sample_can_give_is_no_number_and_has_no_interval() -> None:
    never = scores.bootstrap_interval(lambda who: math.nan, 10, 5)
    assert [math.isnan(end) for end in never] == [True, True]
    some = scores.bootstrap_interval(lambda who: math.nan if who[0] % 2 else 1.0, 10, 50)
    assert some == (1.0, 1.0)
    assert math.isnan(scores.mean(np.array([math.nan, math.nan])))
    assert scores.mean(np.array([math.nan, 0.25, 0.75])) == 0.5


def test_a_tier_that_nobody_is_in_and_deaths_that_nobody_died_are_no_numbers() -> None:
    tiers = evaluate._tiers(DIED, np.array([P / 2]), RiskModel.load(), 20)
    assert tiers["RED"]["share"] == 0
    assert all(math.isnan(number) for number in (tiers["RED"]["died"], *tiers["RED"]["died_interval"]))
    assert math.isnan(evaluate._ratio(0.3, 0.0))
    assert evaluate._ratio(0.3, 0.6) == 0.5


# --------------------------------------------------------------------------------------------------------- survival


def test_without_anybody_leaving_early_the_survival_scores_are_the_plain_ones() -> None:
    day = np.array([10.0, 20, 30, 200, 200, 200])
    died = np.array([1.0, 1, 1, 0, 0, 0])
    p = np.array([0.9, 0.8, 0.3, 0.4, 0.2, 0.1])
    assert survival.died_by(day, died, 90) == pytest.approx(0.5)
    assert survival.brier_by(day, died, p, 90) == pytest.approx(scores.brier(died, p))


def test_who_left_alive_early_is_counted_by_those_who_stayed() -> None:
    day, died = np.array([10.0, 50, 60, 200]), np.array([1.0, 0, 1, 0])
    assert survival.died_by(day, died, 90) == pytest.approx(1 - 3 / 4 * 1 / 2)


def test_concordance_counts_the_pairs_of_which_it_is_known_who_died_first() -> None:
    day, died = np.array([10.0, 20, 30]), np.array([1.0, 0, 1])
    assert survival.concordance(day, died, np.array([0.9, 0.1, 0.5])) == 1.0  # of the two known pairs
    assert survival.concordance(day, died, np.array([0.1, 0.9, 0.5])) == 0.0
    assert survival.concordance(day, died, np.array([0.5, 0.5, 0.5])) == 0.5


def test_cox_finds_the_hazard_ratio_that_made_the_deaths() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(4000, 1))
    day = rng.exponential(100 * np.exp(-0.8 * x[:, 0]))
    died = (day < 150).astype(float)
    day = np.minimum(day, 150)
    p = survival.cox_by(x, day, died, np.array([[-1.0], [0.0], [1.0]]), 60)
    assert p == pytest.approx(1 - np.exp(-0.6 * np.exp([-0.8, 0, 0.8])), abs=0.02)


# ------------------------------------------------------------------------------------------------------------- goals


def test_a_goal_is_met_inside_its_bounds_and_by_nothing_that_is_no_number() -> None:
    goal = next(one for one in GOALS if one.path == "calibration.slope")
    told: dict[str, Any] = {"calibration": {"slope": 1.1, "slope_interval": [0.9, 1.2]}}
    by_path = {one.goal.path: one for one in verdicts(told, True)}
    assert by_path[goal.path].met is True
    assert by_path[goal.path].interval == (0.9, 1.2)
    assert by_path["splits.ours.mcc"].met is False
    for wrong in (1.1001, 0.8999, float("nan")):
        told["calibration"]["slope"] = wrong
        assert {one.goal.path: one for one in verdicts(told, True)}[goal.path].met is False
    assert {one.met for one in verdicts(told, False)} == {None}
    for ends in ([math.nan, math.nan], [None, None]):
        told["calibration"]["slope_interval"] = ends
        assert {one.goal.path: one for one in verdicts(told, True)}[goal.path].interval is None


def test_a_number_that_is_none_is_null_in_a_results_file() -> None:
    results = {"tiers": {"RED": {"died": math.nan, "died_interval": [math.nan, 0.5], "share": 0.0}}, "words": ("a", 1)}
    assert plain(results) == {
        "tiers": {"RED": {"died": None, "died_interval": [None, 0.5], "share": 0.0}}, "words": ["a", 1],
    }  # fmt: skip


def test_bounds_are_said_as_they_are_meant() -> None:
    def said(least: float, most: float) -> str:
        return bound_words(Goal("", "", "", least, most))

    assert said(0.616, 1) == ">= 0.616"
    assert said(0, 0.112) == "<= 0.112"
    assert said(-0.05, 0.05) == "-0.05 to 0.05"
    assert said(0, 0) == "0"
    assert look_up({"a": {"b": 1}}, "a.b") == 1
    assert look_up({"a": 3}, "a.b") is None


# ------------------------------------------------------------------------------------ speed is told, and is no goal


def test_a_busy_machine_misses_no_goal_and_the_row_says_that_it_does_not_count() -> None:
    slow = {"shipped": {"one_reading_us": 900.0, "rows_10000_ms": 500.0, "highest": 1.0}}
    by_path = {one.goal.path: one for one in verdicts(slow, True)}
    for path in ("shipped.one_reading_us", "shipped.rows_10000_ms"):
        assert by_path[path].met is None
        assert verdict_words(by_path[path]) == "not counted"
        assert bound_words(by_path[path].goal).endswith(" if idle")
    assert by_path["shipped.highest"].met is False  # what is about the model counts
    assert verdict_words(by_path["shipped.highest"]) == "MISSED"
    assert [goal.path for goal in GOALS if not goal.counts] == ["shipped.one_reading_us", "shipped.rows_10000_ms"]
