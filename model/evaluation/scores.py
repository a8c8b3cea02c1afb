"""Scores of probabilities against outcomes: plain numbers, numpy alone.

Touches nothing. Must not know: models, patients, files. Keeps: ``died`` is 0.0 or 1.0, ``p`` is in 0..1, both (n,); a
score that a sample cannot give (one outcome only) is NaN, never a flattering number.
"""

from __future__ import annotations

from collections.abc import Callable
from math import erfc
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Score = Callable[[Array, Array], float]  # (died, p) -> score

NAN = float("nan")


class Confusion(NamedTuple):
    """How many were called right and wrong at a threshold."""

    tp: int
    fp: int
    tn: int
    fn: int


def confusion(died: Array, p: Array, threshold: float = 0.5) -> Confusion:
    """A probability on the threshold counts as death."""
    called, truth = p >= threshold, died == 1
    return Confusion(
        int((called & truth).sum()),
        int((called & ~truth).sum()),
        int((~called & ~truth).sum()),
        int((~called & truth).sum()),
    )


def mcc(died: Array, p: Array) -> float:
    """Matthews' correlation at threshold 0.5; an empty margin counts as 1, as the published code does."""
    tp, fp, tn, fn = confusion(died, p)
    margins = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return float((tp * tn - fp * fn) / np.sqrt(float(margins or 1)))


def f1(died: Array, p: Array) -> float:
    """F1 of the deaths at threshold 0.5."""
    tp, fp, _, fn = confusion(died, p)
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else NAN


def accuracy(died: Array, p: Array) -> float:
    """Share of right calls at threshold 0.5."""
    return float(((p >= 0.5) == (died == 1)).mean())


def roc_auc(died: Array, p: Array) -> float:
    """Chance that one who died has the higher probability of a pair; ties count half."""
    deaths = int((died == 1).sum())
    if not 0 < deaths < len(died):
        return NAN
    ranks = _ranks(p)[died == 1].sum() - deaths * (deaths + 1) / 2
    return float(ranks / (deaths * (len(died) - deaths)))


def swapped_auc(died: Array, p: Array) -> float:
    """What the published code calls ROC AUC: of 0/1 calls, with truth and call exchanged (the mean of PPV and NPV)."""
    return roc_auc((p >= 0.5).astype(np.float64), died)


def pr_auc(died: Array, p: Array) -> float:
    """Average precision: the step-wise area under precision over recall."""
    if not 0 < (died == 1).sum() < len(died):
        return NAN
    order = np.argsort(-p, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)  # ties are called together
    found = np.cumsum(died[order])[ends]
    return float((np.diff(found, prepend=0.0) * found / (ends + 1)).sum() / found[-1])


def brier(died: Array, p: Array) -> float:
    """Mean squared distance between probability and outcome."""
    return float(((p - died) ** 2).mean())


def calibration_line(died: Array, p: Array) -> tuple[float, float]:
    """(slope, intercept): slope of logit(outcome) on logit(p), 1 is ideal; intercept with the slope held at 1, 0 is
    ideal (above: too low on average)."""
    logit = np.log(p / (1 - p))
    slope = _newton(np.column_stack((np.ones_like(p), logit)), died, np.zeros_like(p))[1]
    intercept = _newton(np.ones((len(p), 1)), died, logit)[0]
    return float(slope), float(intercept)


def expected_calibration_error(died: Array, p: Array, bins: int = 10) -> float:
    """Mean distance between p and the share that died, over ``bins`` equal steps of p, weighted by patients."""
    return float(sum(abs(b.died - b.predicted) * b.patients for b in reliability(died, p, bins)) / len(p))


class Bin(NamedTuple):
    """Patients whose probability lies in one step: mean prediction, share that died, how many."""

    predicted: float
    died: float
    patients: int


def reliability(died: Array, p: Array, bins: int = 10) -> tuple[Bin, ...]:
    """The steps that hold somebody, from low to high."""
    which = np.minimum((p * bins).astype(int), bins - 1)
    inside = [which == k for k in range(bins)]
    return tuple(Bin(float(p[i].mean()), float(died[i].mean()), int(i.sum())) for i in inside if i.any())


def roc_points(died: Array, p: Array) -> tuple[Array, Array]:
    """(false positive rates, true positive rates), from (0, 0) to (1, 1)."""
    order = np.argsort(-p, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)
    hits = np.cumsum(died[order])[ends]
    false = ends + 1 - hits
    return np.concatenate(([0.0], false / false[-1])), np.concatenate(([0.0], hits / hits[-1]))


def bootstrap_interval(
    score: Callable[[NDArray[np.int64]], float], patients: int, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of ``score``, which takes the numbers of the patients that were drawn (with replacement)."""
    rng = np.random.default_rng(seed)
    return middle(np.array([score(rng.integers(patients, size=patients)) for _ in range(draws)]))


def middle(values: Array) -> tuple[float, float]:
    """The middle 95 % of those that are numbers; (NaN, NaN) where none is."""
    known = values[np.isfinite(values)]
    if not known.size:
        return NAN, NAN
    low, high = np.quantile(known, (0.025, 0.975))
    return float(low), float(high)


def mean(values: Array) -> float:
    """Of those that are numbers; NaN where none is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else NAN


def resampled_p(differences: Array, trained_on: int, tested_on: int) -> float:
    """Two-sided p of the mean of ``differences`` over repeated splits being 0, with Nadeau and Bengio's correction for
    training sets that overlap; Student's t taken as normal, as there are a hundred splits."""
    n = len(differences)
    spread = float(differences.var(ddof=1)) * (1 / n + tested_on / trained_on)
    if spread == 0:
        return 1.0 if differences.mean() == 0 else 0.0
    z = abs(float(differences.mean())) / np.sqrt(spread)
    return erfc(z / 2**0.5)


def _ranks(values: Array) -> Array:
    """Ranks from 1, ties at their mean."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Array = (last - (counts - 1) / 2)[where.ravel()]
    return ranks


def _newton(columns: Array, died: Array, offset: Array) -> Array:
    found = np.zeros(columns.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-(offset + columns @ found)))
        step = np.linalg.solve((columns.T * (p * (1 - p))) @ columns, columns.T @ (died - p))
        found += step
        if np.abs(step).max() < 1e-10:
            break
    return found
