"""Who is held out when: the published splits, and stratified folds; and the published models, fitted on the same ones.

Touches nothing. Must not know: the network, files. Keeps: the rows are shuffled before every cut (the file is sorted by
follow-up time); the same numbers give the same cuts on every machine; nobody is in both halves of one.

Source: the published authors' own scripts (davidechicco/cardiovascular_heart_disease on GitHub, bin/logistic_*.r):
a random permutation, the first round(80 %) train; ``glm`` with the follow-up month as a *factor*, month = day // 30; at
threshold 0.5; their function takes (truth, prediction) and is handed (prediction, truth), see ``scores.swapped_auc``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hfzmq.model.evaluation import logistic
from hfzmq.model.features import COLUMNS, OUTCOME

Array = NDArray[np.float64]
Index = NDArray[np.int64]

SPLITS = 100
SPLITS_SEED = 2020
FOLDS, REPEATS, FOLDS_SEED = 5, 10, 2021
MONTH_DAYS = 30

_TIME, _DIED = COLUMNS.index("time"), COLUMNS.index(OUTCOME)
_LABS = [i for i in range(len(COLUMNS)) if i not in (_TIME, _DIED)]
_TWO = [COLUMNS.index("ejection_fraction"), COLUMNS.index("serum_creatinine")]


class Cut(NamedTuple):
    """Numbers of the patients to learn from and of those held out."""

    train: Index
    test: Index


def published_splits(patients: int, count: int = SPLITS, seed: int = SPLITS_SEED) -> tuple[Cut, ...]:
    """``count`` random splits, 80 to 20, not stratified: 239 and 60 of 299."""
    shuffled = np.random.RandomState(seed)
    cut = round(patients * 0.8)
    return tuple(Cut(order[:cut], order[cut:]) for order in (shuffled.permutation(patients) for _ in range(count)))


def stratified_folds(
    died: Array, folds: int = FOLDS, repeats: int = REPEATS, seed: int = FOLDS_SEED
) -> tuple[Cut, ...]:
    """``repeats`` times ``folds`` cuts; within a repeat each patient is held out once, deaths spread evenly."""
    rng = np.random.RandomState(seed)
    found = []
    for _ in range(repeats):
        classes = [rng.permutation(np.flatnonzero(died == outcome)) for outcome in (1, 0)]
        dealt = np.concatenate(classes)  # deaths first, then dealt like cards
        for fold in range(folds):
            held = np.zeros(len(died), dtype=bool)
            held[dealt[fold::folds]] = True
            found.append(Cut(np.flatnonzero(~held), np.flatnonzero(held)))
    return tuple(found)


def published_all(table: Array) -> Array:
    """Columns of their logistic regression on all features: eleven and the month as a factor. ``table`` (n, 13)."""
    return np.column_stack((table[:, _LABS], _months(table)))


def published_three(table: Array) -> Array:
    """Columns of their best model: ejection fraction, creatinine, the month as a factor."""
    return np.column_stack((table[:, _TWO], _months(table)))


def held_out(columns: Array, died: Array, cuts: tuple[Cut, ...]) -> tuple[Array, ...]:
    """For each cut, the logistic regression's probabilities of those held out."""
    return tuple(logistic.fit_predict(columns[train], died[train], columns[test]) for train, test in cuts)


def each(cuts: tuple[Cut, ...], died: Array, p: tuple[Array, ...], score: Callable[[Array, Array], float]) -> Array:
    """The score of each cut's held-out patients, (cuts,)."""
    return np.array([score(died[cut.test], held) for cut, held in zip(cuts, p, strict=True)])


def _months(table: Array) -> Array:
    """A 0/1 column for each month but the first."""
    month = table[:, _TIME] // MONTH_DAYS
    columns: Array = (month[:, None] == np.unique(month)[None, 1:]).astype(np.float64)
    return columns
