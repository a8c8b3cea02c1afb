"""Logistic regression as R's ``glm`` fits it: no penalty, Newton's steps, at most 25 of them.

Touches nothing. Must not know: patients, files. Keeps: where the data separate (a month in which nobody died) the
coefficients run off and stop where ``glm`` stops, so that probabilities go to 0 or 1 and stay finite.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

STEPS_MAX = 25
DEVIANCE_SHARE = 1e-8  # glm.control's epsilon
RIDGE = 1e-9  # against columns that say nothing in this sample; moves no digit that is shown


def fit_predict(train: Array, died: Array, test: Array) -> Array:
    """Probabilities (m,) of the rows ``test`` (m, k), fitted to ``train`` (n, k) and ``died`` (n,)."""
    mean, scale = train.mean(axis=0), train.std(axis=0)
    scale[scale == 0] = 1.0
    rows = np.column_stack((np.ones(len(train)), (train - mean) / scale))
    found = np.zeros(rows.shape[1])
    before = np.inf
    for _ in range(STEPS_MAX):
        p = _sigmoid(rows @ found)
        weights = np.maximum(p * (1 - p), 1e-12)
        hessian = (rows.T * weights) @ rows + RIDGE * np.eye(rows.shape[1])
        found = found + np.linalg.solve(hessian, rows.T @ (died - p) - RIDGE * found)
        p = np.clip(_sigmoid(rows @ found), 1e-15, 1 - 1e-15)
        deviance = float(-2 * (died * np.log(p) + (1 - died) * np.log(1 - p)).sum())
        if abs(deviance - before) / (abs(deviance) + 0.1) < DEVIANCE_SHARE:
            break
        before = deviance
    return _sigmoid(np.column_stack((np.ones(len(test)), (test - mean) / scale)) @ found)


def _sigmoid(logit: Array) -> Array:
    found: Array = 1 / (1 + np.exp(-np.clip(logit, -500, 500)))
    return found
