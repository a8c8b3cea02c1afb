"""The risk of one reading, or of many: numpy alone.

Touches one file, when a model is loaded. Must not know: keras, the mesh, the screen. Keeps: more age or creatinine,
less sodium or ejection fraction never lowers a probability, and the day alone never lowers the guarded one; a value
outside the training range is clamped and flagged, never extrapolated; a value that no living adult has is refused.

Two numbers, one network. ``probability_study`` takes the day as it is, as the published protocol does; there ``day``
is half the answer, because it is the day on which follow-up *ended*. ``probability``, the guarded one, which sets the
tier, holds the day at the model's day floor: what age and labs say, whenever they are asked.

A value that is missing (None) is not made up: because risk only rises or only falls with it, the probabilities with it
at the 5th and at the 95th percentile of the training set are two ends, between which it lies if the value does. One
patient in ten of the training set is beyond those percentiles (the model card counts what came of it).
"""

from __future__ import annotations

from operator import mul
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hfzmq.clinical.report import DAY_RAW, STUDY_LOWEST, VITALS, check_vital, low_flag, missing_flags
from hfzmq.clinical.tiers import tier_between
from hfzmq.config import Thresholds
from hfzmq.errors import InvalidInput
from hfzmq.model import modelfile
from hfzmq.model.features import DAY, FEATURES, SIGNS

PACKAGED = Path(__file__).with_name("weights") / modelfile.FILE_NAME

DAY_CLAMPED = "day_clamped"  # the day lies below the day floor or beyond the training range
DAY_DRIVEN = "day_driven"  # the two numbers fall into different tiers
EXTRAPOLATED = "extrapolated:"  # and a feature: its value lies outside the training range
UNUSUAL = "unusual_combination"  # each value may be common, together they lie farther out than 99 % of the training set

# What check_vital would accept, for the quick way through ``judge``.
_TYPES = tuple((int,) if vital.name == "day" else (float, int) for vital in VITALS)
# Stays in a core's cache, and below what makes OpenBLAS start threads (they wait for each other on a busy machine).
_BLOCK_ROWS = 64


class Judgement(NamedTuple):
    """What the model says of one reading: two probabilities in 0..1 and the flags, in alphabetical order.

    ``probability`` is guarded and sets the tier and the alarm; ``probability_study`` is for details, unless the model
    was loaded with ``raw_day``: then ``probability`` is the same number. Where a value is missing both are upper ends
    (with it at the worse of its 5th and 95th percentile), the two ``_low`` are the lower ones; else these are equal.
    """

    probability: float
    probability_study: float
    flags: tuple[str, ...]
    probability_low: float
    probability_study_low: float


class RiskModel:
    """A loaded model. Immutable, safe to share between threads."""

    def __init__(self, parts: modelfile.ModelFile, raw_day: bool = False) -> None:
        """``parts`` as ``modelfile.load`` returns them, checked; ``raw_day``: see ``load``."""
        self.parts = parts
        self._raw_day = raw_day
        self.thresholds = parts.thresholds
        self.model_id = parts.weights_sha256[:12]
        # float64 throughout, the scaler folded into the first layer: what is left is the rounding of the last bit.
        first, second, third = (kernel.astype(np.float64) for kernel in parts.kernels)
        self._kernel_1 = first / parts.scale[:, None]
        self._bias_1 = parts.biases[0] - (parts.mean / parts.scale) @ first
        self._kernel_2, self._bias_2 = second, parts.biases[1].astype(np.float64)
        self._kernel_3, self._bias_3 = third[:, 0], float(parts.biases[2][0])
        self._low: list[float] = parts.low.tolist()
        self._high: list[float] = parts.high.tolist()
        self._day_floor = parts.day_floor
        self._whitening: list[list[float]] = (parts.whitening / np.delete(parts.scale, DAY)).tolist()
        self._middle: list[float] = np.delete(parts.mean, DAY).tolist()
        self._distance_max = parts.distance_max
        # What stands in for a missing value: (for the lowest risk, for the highest).
        levels = parts.quantile_levels.tolist()
        ends = [parts.quantiles[:, levels.index(level)].tolist() for level in modelfile.MISSING_LEVELS]
        for end in ends:
            end[DAY] = int(end[DAY])
        self._ends = [(low, high) if sign > 0 else (high, low) for low, high, sign in zip(*ends, SIGNS, strict=True)]

    @classmethod
    def load(cls, path: Path | None = None, raw_day: bool = False) -> RiskModel:
        """The model in ``path``, or the packaged one. NotFound; InvalidInput when damaged, altered or no model.

        With ``raw_day``, ``judge`` gives the study's number in place of the guarded one, and says so by a flag.
        """
        return cls(modelfile.load(PACKAGED if path is None else path), raw_day)

    def judge(
        self,
        age: float | None,
        serum_sodium: float | None,
        serum_creatinine: float | None,
        ejection_fraction: float | None,
        day: int | None,
        *,
        thresholds: Thresholds | None = None,
    ) -> Judgement:
        """Judge one reading, in the units of VITALS: years, mEq/L, mg/dL, %, whole days since follow-up began.

        None: not known, and never guessed (see Judgement). ``thresholds`` (None: the model's own) decide only the flag
        ``day_driven``. InvalidInput names the field and its bound when a value is none that a living adult can have, or
        when there is no value of a patient at all (a day alone says nothing).
        """
        values: tuple[Any, ...] = (age, serum_sodium, serum_creatinine, ejection_fraction, day)
        if None in values:
            return self._judge_between(values, thresholds)
        flags: list[str] = []
        study = self._inside(values, flags)
        guarded = study.copy()
        guarded[DAY] = self._day_floor
        p, p_study = self._forward(np.array((guarded, study), dtype=np.float64)).tolist()
        p = p_study if self._raw_day else p
        self._flag_day(values[DAY], (p, p), (p_study, p_study), thresholds, flags)
        self._flag_distance(values, flags)
        return Judgement(p, p_study, tuple(sorted(flags)), p, p_study)

    def _judge_between(self, values: tuple[Any, ...], thresholds: Thresholds | None) -> Judgement:
        """The two ends of what can be said with some of ``values`` missing."""
        if all(value is None for value in values[:DAY]):
            raise InvalidInput(FEATURES[0], "at least one value of the patient", hint="without any there is no risk")
        flags = [*missing_flags(values)]
        ends = []
        for end in (0, 1):
            filled = [pair[end] if value is None else value for value, pair in zip(values, self._ends, strict=True)]
            ends.append(self._inside(tuple(filled), flags if end else []))
        guarded = [end.copy() for end in ends]
        for held in guarded:
            held[DAY] = self._day_floor
        low, high, low_study, p_study = self._forward(np.array((*guarded, *ends), dtype=np.float64)).tolist()
        if self._raw_day:
            low, high = low_study, p_study
        elif None not in values[:DAY]:
            low = high  # it does not read the day; equal rows may differ in the last bit
        self._flag_day(values[DAY], (low, high), (low_study, p_study), thresholds, flags)
        if None not in values[:DAY]:
            self._flag_distance(values, flags)
        flags += (low_flag(low), low_flag(low_study, STUDY_LOWEST))
        return Judgement(high, p_study, tuple(sorted(flags)), low, low_study)

    def _inside(self, values: tuple[Any, ...], flags: list[str]) -> list[float]:
        """``values`` clamped to the training range, with a flag for each that lay outside; InvalidInput."""
        inside: list[float] = []
        for vital, value, low, high, types in zip(VITALS, values, self._low, self._high, _TYPES, strict=True):
            if type(value) in types and low <= value <= high:  # the training range lies inside the vital's bounds
                inside.append(value)
                continue
            refusal = check_vital(vital, value)
            if refusal is not None:
                raise InvalidInput(refusal.field, refusal.bound, got=value, hint=refusal.hint)
            inside.append(min(max(value, low), high))
            if inside[-1] != value:
                flags.append(EXTRAPOLATED + vital.name)
        return inside

    def _flag_day(
        self,
        day: float | None,
        ends: tuple[float, float],
        study_ends: tuple[float, float],
        thresholds: Thresholds | None,
        flags: list[str],
    ) -> None:
        if self._raw_day:
            flags.append(DAY_RAW)
        if day is None:
            return
        if not self._day_floor <= day <= self._high[DAY]:
            flags.append(DAY_CLAMPED)
        limits = self.thresholds if thresholds is None else thresholds
        if tier_between(*ends, limits) != tier_between(*study_ends, limits):
            flags.append(DAY_DRIVEN)

    def _flag_distance(self, values: tuple[Any, ...], flags: list[str]) -> None:
        """By Mahalanobis' distance of ``values`` without the day from the middle of the training set; in plain Python,
        which is quicker than numpy for four numbers."""
        apart = [value - middle for value, middle in zip(values, self._middle, strict=False)]
        if sum(sum(map(mul, row, apart)) ** 2 for row in self._whitening) > self._distance_max**2:
            flags.append(UNUSUAL)

    def probabilities(self, rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(guarded, study) probabilities, each (n,), of ``rows`` (n, 5) in the order of FEATURES.

        For many rows that have been checked before: values are clamped to the training range and nothing is refused but
        the shape (InvalidInput). A NaN gives NaN, save in ``day``, which the guarded number does not read.
        """
        table = np.asarray(rows, dtype=np.float64)
        if table.ndim != 2 or table.shape[1] != len(FEATURES):
            raise InvalidInput("rows", f"shape (n, {len(FEATURES)}): " + ", ".join(FEATURES), got=table.shape)
        guarded, study = np.empty(len(table)), np.empty(len(table))
        for start in range(0, len(table), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            inside = table[block].clip(self.parts.low, self.parts.high)
            study[block] = self._forward(inside)
            inside[:, DAY] = self._day_floor
            guarded[block] = self._forward(inside)
        return guarded, study

    def ceiling(self) -> float:
        """The highest guarded probability that any patient can get: the worst corner of the training range."""
        corner = np.where(np.array(SIGNS) > 0, self.parts.high, self.parts.low)
        return float(self.probabilities(corner[None, :])[0][0])

    def _forward(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) probabilities of (n, 5) rows inside the training range."""
        hidden = rows @ self._kernel_1
        hidden += self._bias_1
        np.tanh(hidden, out=hidden)
        hidden = hidden @ self._kernel_2
        hidden += self._bias_2
        np.tanh(hidden, out=hidden)
        logit = hidden @ self._kernel_3 + self._bias_3
        probability: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-logit))
        return probability
