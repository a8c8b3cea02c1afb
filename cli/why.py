"""The why-line: which values moved a bed's probability most, in words.

Touches one file, the packaged model, when the first bed is asked about. Must not know: screens, the mesh. Keeps: it
explains the number that is shown or says nothing (another model's report, or one that this model judges otherwise, has
no why here; of a report by the raw day it explains that number); GREEN needs none; where missing values leave two ends
it names them instead, for then there is no one number. A guarded number does not read the day: without it, it is one
number still.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hfzmq.cli.format import number
from hfzmq.clinical.report import DAY_RAW, MISSING, VITALS, Report, missing_flags
from hfzmq.clinical.tiers import GREEN
from hfzmq.errors import HfzmqError, InvalidInput

if TYPE_CHECKING:
    from hfzmq.model.inference import RiskModel

SHORT = {"age": "age", "serum_sodium": "Na", "serum_creatinine": "creat", "ejection_fraction": "EF", "day": "day"}
REMEMBERED_MAX = 5000
SAME_WITHIN = 1e-6  # of probability: the same weights on another machine
DAY_ALONE = (MISSING + "day",)

Why = tuple[str, ...]  # ("EF 20 +0.22", "creat 1.9 +0.12"), the largest first; () for nothing to say


class Whys:
    """``model``: None for the packaged one, loaded when it is needed; without one there is no why. For one thread."""

    def __init__(self, model: RiskModel | None = None) -> None:
        self._model = model
        self._absent = False
        self._known: dict[tuple[object, ...], Why] = {}

    def of_report(self, report: Report) -> Why:
        """Of a report, whoever judged it."""
        if report.tier == GREEN or self._loaded() is None or report.model_id != self._loaded_id():
            return ()
        return self.of(report[2:7], report.probability, report.tier, DAY_RAW in report.flags.split(","))

    def of(self, vitals: Sequence[float | None], probability: float, tier: str, raw_day: bool = False) -> Why:
        """Of the five ``vitals`` that the model judged as ``probability``, the guarded one or that by the raw day."""
        key = (*vitals, probability, raw_day)
        if tier == GREEN:
            return ()
        if key not in self._known:
            if len(self._known) >= REMEMBERED_MAX:
                self._known.clear()
            self._known[key] = self._made(vitals, probability, raw_day)
        return self._known[key]

    def knows(self, vitals: Sequence[float | None], probability: float, tier: str, raw_day: bool = False) -> bool:
        """Whether ``of`` has its answer at hand: making one takes some milliseconds."""
        return tier == GREEN or (*vitals, probability, raw_day) in self._known

    def _made(self, vitals: Sequence[float | None], probability: float, raw_day: bool) -> Why:
        gone = missing_flags(vitals)
        not_known = tuple(f"{SHORT[flag[len(MISSING) :]]} not known" for flag in gone)
        if gone and (raw_day or gone != DAY_ALONE):
            return not_known
        model = self._loaded()
        if model is None:
            return not_known
        from hfzmq.model.explain import explain

        known = [value or 0 for value in vitals]  # None is the day alone, which the guarded number does not read
        try:
            found = explain(model, *known, study=raw_day)  # type: ignore[arg-type]
        except InvalidInput:
            return ()
        if abs(found.probability - probability) > SAME_WITHIN:
            return not_known
        value_of = {vital.name: value for vital, value in zip(VITALS, known, strict=True)}
        return tuple(f"{SHORT[name]} {number(value_of[name])} {moved:+.2f}" for name, moved in found.top())

    def _loaded(self) -> RiskModel | None:
        if self._model is None and not self._absent:
            from hfzmq.model.inference import RiskModel

            try:
                self._model = RiskModel.load()
            except HfzmqError:  # a board shows what it is told, with or without a model of its own
                self._absent = True
        return self._model

    def _loaded_id(self) -> str:
        return "" if self._model is None else self._model.model_id
