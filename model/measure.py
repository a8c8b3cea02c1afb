"""A handful of honest numbers about a model that was just trained, while its cohort and its keras twin are at hand.

Touches the clock, to time inference. Must not know: how the model was trained, files. Keeps: every number is computed
here and now. They are *in sample*: how the model behaves, not how well it predicts; that needs held-out patients.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hfzmq.clinical.tiers import GREEN, RED, tier_of
from hfzmq.model.features import DAY, FEATURES, SIGNS, Cohort
from hfzmq.model.inference import RiskModel

Array = NDArray[np.float64]

KERAS_ROWS = 100_000
PROBES = 100_000
DAYS_LATER = 30


def measure(model: RiskModel, cohort: Cohort, keras_probability: Callable[[Array], Array]) -> dict[str, Any]:
    """Named numbers, rounded for reading. ``keras_probability`` takes standardised rows (n, 5) and returns (n,)."""
    rng = np.random.default_rng(0)
    low, high = model.parts.low, model.parts.high
    box = rng.uniform(low, high, (KERAS_ROWS, len(FEATURES)))
    in_keras = keras_probability((box - model.parts.mean) / model.parts.scale)
    study = model.probabilities(box)[1]
    at_day_0, study_at_day_0 = model.probabilities(_on_day(cohort.x, 0))
    return {
        "patients": len(cohort.x),
        "deaths": int(cohort.died.sum()),
        "numpy_keras_difference_max": float(f"{np.abs(study - in_keras).max():.2g}"),
        "study_probability_range": [round(float(study.min()), 4), round(float(study.max()), 4)],
        "monotone_probes": PROBES,
        "monotone_violations": monotone_violations(model, PROBES, rng),
        "guarded_ceiling": round(model.ceiling(), 4),
        "in_sample": {
            "guarded_mean_at_day_0": round(float(at_day_0.mean()), 4),
            "study_mean_at_day_0": round(float(study_at_day_0.mean()), 4),
            "guarded_tier_shares_at_day_0": _shares(model, at_day_0),
            "study_red_share_all_at_day_5": _red_share(model, _on_day(cohort.x, 5)),
            "study_red_share_all_at_day_280": _red_share(model, _on_day(cohort.x, 280)),
            "study_red_at_day_5_green_at_day_280": _turned_green(model, cohort.x),
        },
        f"red_no_longer_red_{DAYS_LATER}_days_later": {
            "guarded": _cleared(model, box[:5000], model.parts.day_floor, guarded=True),
            "were_the_day_clipped_to_floor_and_range_instead": _cleared(
                model, box[:5000], model.parts.day_floor, guarded=False
            ),
        },
        "one_reading_us": round(median_s(lambda: model.judge(70, 130, 1.9, 30, 40), 2000) * 1e6, 1),
        "rows_10000_both_numbers_ms": round(median_s(lambda: model.probabilities(box[:10_000]), 15) * 1e3, 1),
    }


def monotone_violations(model: RiskModel, probes: int, rng: np.random.Generator) -> int:
    """How many of ``probes`` random patients get a lower probability when one random feature gets worse."""
    low, high = model.parts.low, model.parts.high
    rows = rng.uniform(low, high, (probes, len(FEATURES)))
    feature = rng.integers(len(FEATURES), size=probes)
    each = np.arange(probes)
    worst = np.where(np.array(SIGNS) > 0, high, low)[feature]
    worse = rows.copy()
    worse[each, feature] += rng.random(probes) * (worst - rows[each, feature])
    before, after = model.probabilities(rows), model.probabilities(worse)
    return int(sum((b > a + 1e-12).sum() for b, a in zip(before, after, strict=True)))


def _on_day(x: Array, day: float) -> Array:
    moved: Array = x.copy()
    moved[:, DAY] = day
    return moved


def _tiers(model: RiskModel, probabilities: Array) -> NDArray[np.str_]:
    return np.array([tier_of(p, model.thresholds) for p in probabilities.tolist()])


def _shares(model: RiskModel, probabilities: Array) -> dict[str, float]:
    tiers = _tiers(model, probabilities).tolist()
    return {tier: round(tiers.count(tier) / len(tiers), 4) for tier in ("GREEN", "AMBER", "RED")}


def _red_share(model: RiskModel, rows: Array) -> float:
    return round(float((_tiers(model, model.probabilities(rows)[1]) == RED).mean()), 4)


def _turned_green(model: RiskModel, x: Array) -> float:
    early, late = (_tiers(model, model.probabilities(_on_day(x, day))[1]) for day in (5, 280))
    return round(float(((early == RED) & (late == GREEN)).mean()), 4)


def _cleared(model: RiskModel, rows: Array, first_day: float, *, guarded: bool) -> float:
    """The share of RED patients who are not RED DAYS_LATER, nothing else changed, over days from ``first_day``."""
    red = cleared = 0
    for day in np.arange(first_day, model.parts.high[DAY] - DAYS_LATER, 5):
        now, later = (model.probabilities(_on_day(rows, d))[0 if guarded else 1] for d in (day, day + DAYS_LATER))
        was_red = now >= model.thresholds.red_from
        red += int(was_red.sum())
        cleared += int((was_red & (later < model.thresholds.red_from)).sum())
    return round(cleared / red, 4) if red else 0.0


def median_s(call: Callable[[], object], times: int) -> float:
    """Seconds that one ``call`` takes, the median of ``times``."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        spent.append(time.perf_counter() - began)
    return float(np.median(spent))
