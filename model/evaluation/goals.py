"""What the model must reach, beside what was published: the table that an evaluation is held against.

Touches nothing. Must not know: how anything was measured. Keeps: a goal is met only by a number inside its bounds; a
number that is missing or NaN meets none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class Goal(NamedTuple):
    """``section`` and ``check`` for people, ``path`` of the number in the results, its inclusive bounds, and what was
    published of it or what it stands beside ('' for nothing). ``counts``: False for what says more of the machine (its
    speed, and what else it had to do) than of the model: shown, and neither met nor missed."""

    section: str
    check: str
    path: str
    least: float
    most: float
    published: str = ""
    counts: bool = True


class Verdict(NamedTuple):
    """A goal and what was measured; ``interval``: 95 %, where there is one; ``met``: None where the goal does not apply
    (another data set, a shortened run) or does not count."""

    goal: Goal
    measured: float
    interval: tuple[float, float] | None
    met: bool | None


_HARNESS = "harness: their logistic regression, all features, 10 x 100 splits"
_SPLITS = "100 random splits, 239 to learn from, 60 held out, raw day"
_RATIO = "beside their best logistic regression on the same splits"
_CALIBRATION = "calibration of the 100 splits, pooled"
_FOLDS = "10 x 5 stratified folds, raw day"
_BLIND = "without the day, 100 splits"
_GUARDED = "guarded, asked at day 0, deaths within 90 days, 10 x 5 folds"
_TIERS = "deaths by tier of the raw day (these tiers never reach a bed), own follow-up, 10 x 5 folds"
_SHIPPED = "the shipped weights"

GOALS = (
    Goal(_HARNESS, "MCC", "harness.mcc", 0.587, 0.627, "0.607"),
    Goal(_HARNESS, "'ROC AUC' as they computed it", "harness.swapped_auc", 0.803, 0.833, "0.818"),
    Goal(_SPLITS, "MCC", "splits.ours.mcc", 0.616, 1, "0.616 logistic regression"),
    Goal(_SPLITS, "F1", "splits.ours.f1", 0.719, 1, "0.719 logistic regression"),
    Goal(_SPLITS, "accuracy", "splits.ours.accuracy", 0.835, 1, "0.838 logistic regression"),
    Goal(_SPLITS, "ROC AUC", "splits.ours.roc_auc", 0.905, 1, "0.822, of 0/1 calls"),
    Goal(_SPLITS, "PR AUC", "splits.ours.pr_auc", 0.825, 1),
    Goal(_SPLITS, "Brier", "splits.ours.brier", 0, 0.112),
    Goal(_RATIO, "Brier, ratio", "splits.brier_ratio", 0, 0.90, "1"),
    Goal(_RATIO, "1 - AUC, ratio", "splits.auc_gap_ratio", 0, 0.75, "1"),
    Goal(_CALIBRATION, "slope", "calibration.slope", 0.9, 1.1, "1 is ideal"),
    Goal(_CALIBRATION, "intercept", "calibration.intercept", -0.05, 0.05, "0 is ideal"),
    Goal(_CALIBRATION, "expected calibration error", "calibration.ece", 0, 0.06, "0 is ideal"),
    Goal(_FOLDS, "ROC AUC", "folds.roc_auc", 0.905, 1),
    Goal(_FOLDS, "Brier", "folds.brier", 0, 0.112),
    Goal(_BLIND, "MCC", "blind.mcc", 0.384, 1, "0.384 random forest; 0.262 network"),
    Goal(_BLIND, "ROC AUC", "blind.roc_auc", 0.800, 1, "0.800 random forest; 0.559 network"),
    Goal(_GUARDED, "Brier", "guarded.brier", 0, 0.165, "Cox beside it"),
    Goal(_GUARDED, "predicted / observed", "guarded.ratio", 0.8, 1.2, "1 is ideal"),
    Goal(_GUARDED, "C", "guarded.c", 0.70, 1, "Cox beside it"),
    Goal(_TIERS, "GREEN, share that died", "tiers.GREEN.died", 0, 0.12),
    Goal(_TIERS, "AMBER, share that died", "tiers.AMBER.died", 0.30, 0.60),
    Goal(_TIERS, "RED, share that died", "tiers.RED.died", 0.75, 1),
    Goal(_SHIPPED, "500,000 probes 'one value worse': fell", "shipped.monotone_violations", 0, 0),
    Goal(_SHIPPED, "lowest probability", "shipped.lowest", 0.01, 1),
    Goal(_SHIPPED, "highest probability", "shipped.highest", 0, 0.99),
    Goal(_SHIPPED, "numpy against Keras, 100,000 rows", "shipped.numpy_keras_difference_max", 0, 1e-6),
    Goal(_SHIPPED, "one reading, us", "shipped.one_reading_us", 0, 50, counts=False),
    Goal(_SHIPPED, "10,000 rows, ms", "shipped.rows_10000_ms", 0, 20, counts=False),
)


def verdicts(results: Mapping[str, Any], applies: bool) -> tuple[Verdict, ...]:
    """Every goal against ``results``; an interval is read from ``<path>_interval``. ``applies``: whether this run is
    the one that the bounds are about."""
    found = []
    for goal in GOALS:
        measured = look_up(results, goal.path)
        interval = look_up(results, goal.path + "_interval")
        number = float("nan") if measured is None else float(measured)
        met = not math.isnan(number) and goal.least <= number <= goal.most
        found.append(Verdict(goal, number, _whole(interval), met if applies and goal.counts else None))
    return tuple(found)


def _whole(interval: Any) -> tuple[float, float] | None:
    """None where there is none, or where its ends are no numbers (null in a results file)."""
    if not interval or None in interval or any(map(math.isnan, interval)):
        return None
    return float(interval[0]), float(interval[1])


def look_up(results: Any, path: str) -> Any:
    """The value at a dotted path; None where there is none."""
    for name in path.split("."):
        results = results.get(name) if isinstance(results, Mapping) else None
    return results


def bound_words(goal: Goal) -> str:
    """``>= 0.616``, ``<= 0.112``, ``0.9 to 1.1``; of one that does not count, that it is for an idle machine."""
    return _bound(goal) if goal.counts else f"{_bound(goal)} if idle"


def verdict_words(one: Verdict) -> str:
    """``met``, ``MISSED``, ``not counted`` (see Goal), ``-`` where the goals do not apply."""
    if one.met is not None:
        return "met" if one.met else "MISSED"
    return "-" if one.goal.counts else "not counted"


def _bound(goal: Goal) -> str:
    if goal.least == goal.most:
        return f"{goal.least:g}"
    if goal.least == 0:
        return f"<= {goal.most:g}"
    if goal.most == 1:
        return f">= {goal.least:g}"
    return f"{goal.least:g} to {goal.most:g}"
