"""Risk tiers: a probability becomes GREEN, AMBER or RED.

Touches nothing. Keeps: a probability on a threshold belongs to the tier above it; what cannot be known is never calm.
"""

from __future__ import annotations

import math

from hfzmq.config import Thresholds

GREEN, AMBER, RED, UNKNOWN = "GREEN", "AMBER", "RED", "UNKNOWN"
TIERS = (GREEN, AMBER, RED, UNKNOWN)

# What the mesh is told; GREEN stays at the bedside. UNKNOWN is told, because what is not known may be RED.
REPORTED = frozenset((AMBER, RED, UNKNOWN))

DEFAULT_THRESHOLDS = Thresholds()


def tier_of(probability: float, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> str:
    """The tier of a probability in 0..1; UNKNOWN for NaN, because a missing answer must not look calm."""
    if math.isnan(probability):
        return UNKNOWN
    if probability >= thresholds.red_from:
        return RED
    return AMBER if probability >= thresholds.amber_from else GREEN


def tier_between(low: float, high: float, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> str:
    """The tier of a probability that lies between ``low`` and ``high``; UNKNOWN when these are not of one tier."""
    tier = tier_of(high, thresholds)
    return tier if tier_of(low, thresholds) == tier else UNKNOWN
