"""How often the two ends of a missing value are wrong: each patient's known values withheld, one at a time.

Touches nothing. Must not know: outcomes. Keeps: it is counted against what the same weights say with the value known,
on the patients that they learned from: it measures the ends, and not how well anything is predicted.
"""

from __future__ import annotations

from typing import Any

from hfzmq.clinical.tiers import TIERS, UNKNOWN, tier_between, tier_of
from hfzmq.model.features import DAY, FEATURES, Cohort
from hfzmq.model.inference import RiskModel

ROUNDING = 1e-9  # of probability


def withheld(model: RiskModel, cohort: Cohort) -> dict[str, Any]:
    """By feature (the day has no part in the guarded number), counts: ``patients``; ``outside`` the two ends, ``above``
    of these; a ``definite`` tier was said; it was ``wrong``, ``too_low`` of these."""
    found: dict[str, Any] = {}
    for feature, name in enumerate(FEATURES[:DAY]):
        counts = dict.fromkeys(("patients", "outside", "above", "definite", "wrong", "too_low"), 0)
        for row in cohort.x.tolist():
            values: list[Any] = [*row[:DAY], int(row[DAY])]
            known = model.judge(*values).probability
            values[feature] = None
            judged = model.judge(*values)
            low, high = judged.probability_low - ROUNDING, judged.probability + ROUNDING
            said = tier_between(judged.probability_low, judged.probability, model.thresholds)
            tier = tier_of(known, model.thresholds)
            counts["patients"] += 1
            counts["outside"] += not low <= known <= high
            counts["above"] += known > high
            counts["definite"] += said != UNKNOWN
            counts["wrong"] += said not in (UNKNOWN, tier)
            counts["too_low"] += said != UNKNOWN and TIERS.index(said) < TIERS.index(tier)
        found[name] = counts
    return found
