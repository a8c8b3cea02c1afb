"""Judges a reading on the spot: model, tier, report.

Touches nothing; the model is handed in. Keeps: the numbers are the model's own, unrounded; where what is missing leaves
more than one tier open, the tier is UNKNOWN and the probability the upper end.
"""

from __future__ import annotations

from typing import NamedTuple

from hfzmq.cli.bedside.readings import Reading
from hfzmq.clinical.report import Report
from hfzmq.clinical.tiers import tier_between
from hfzmq.config import Thresholds
from hfzmq.model.inference import RiskModel


class Judged(NamedTuple):
    """A reading and what the model says of it; ``report`` is what the mesh is told."""

    report: Report
    flags: tuple[str, ...]


def judge(model: RiskModel, thresholds: Thresholds, reading: Reading) -> Judged:
    """The report of one reading; its tier is that of the guarded probability. InvalidInput names what is wrong."""
    found = model.judge(*reading.vitals, thresholds=thresholds)
    tier = tier_between(found.probability_low, found.probability, thresholds)
    flags = ",".join(found.flags)
    return Judged(
        Report(*reading, found.probability, tier, found.probability_study, model.model_id, flags), found.flags
    )
