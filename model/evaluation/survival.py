"""Risk by a day, when some patients leave before it: Kaplan and Meier, Graf's Brier score, Harrell's C, Cox.

Touches nothing. Must not know: the network, files. Keeps: somebody who left alive before the horizon is neither counted
as alive nor as dead, but weighed by those who stayed; arrays are (n,): ``day`` of death or of the last contact,
``died`` 0.0 or 1.0, ``p`` the predicted chance of death by the horizon.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def survival(day: Array, event: Array, at: Array, *, before: bool = False) -> Array:
    """Kaplan and Meier's share still without the event at each of ``at`` (``before``: just before it)."""
    times = np.unique(day[event == 1])
    at_risk = (day[None, :] >= times[:, None]).sum(axis=1)
    events = ((day[None, :] == times[:, None]) & (event == 1)[None, :]).sum(axis=1)
    steps = np.concatenate(([1.0], np.cumprod(1 - events / at_risk)))
    found: Array = steps[np.searchsorted(times, at, side="left" if before else "right")]
    return found


def died_by(day: Array, died: Array, horizon: float) -> float:
    """The share that died by ``horizon``, by Kaplan and Meier."""
    return float(1 - survival(day, died, np.array([horizon]))[0])


def brier_by(day: Array, died: Array, p: Array, horizon: float) -> float:
    """Graf's Brier score at ``horizon``: those who left early count through those who stayed as long."""
    dead, alive = (day <= horizon) & (died == 1), day > horizon
    left = 1 - died
    weights = np.zeros(len(day))
    weights[dead] = 1 / survival(day, left, day[dead], before=True)
    weights[alive] = 1 / survival(day, left, np.array([horizon]))[0]
    return float((weights * (dead - p) ** 2).mean())


def concordance(day: Array, died: Array, p: Array) -> float:
    """Harrell's C: of the pairs in which one is known to have died first, the share in which that one had the higher
    risk; equal risks count half."""
    first = (died[:, None] == 1) & (
        (day[:, None] < day[None, :]) | ((day[:, None] == day[None, :]) & (died[None, :] == 0))
    )
    pairs = int(first.sum())
    if not pairs:
        return float("nan")
    higher = (p[:, None] > p[None, :]) + 0.5 * (p[:, None] == p[None, :])
    return float(higher[first].sum() / pairs)


def cox_by(train: Array, day: Array, died: Array, test: Array, horizon: float) -> Array:
    """The chance of death by ``horizon`` that Cox's regression (Breslow's ties and baseline), fitted to ``train``
    (n, k), gives the rows ``test`` (m, k)."""
    mean, scale = train.mean(axis=0), train.std(axis=0)
    rows, order = (train - mean) / scale, np.argsort(-day, kind="stable")
    rows, days, events = rows[order], day[order], died[order]
    last = np.searchsorted(-days, -days, side="right") - 1  # ties share one set at risk
    found = np.zeros(rows.shape[1])
    for _ in range(25):
        risk = np.exp(rows @ found)
        total = np.cumsum(risk)[last]
        first = np.cumsum(risk[:, None] * rows, axis=0)[last] / total[:, None]
        second = np.cumsum(risk[:, None, None] * rows[:, :, None] * rows[:, None, :], axis=0)[last]
        spread = second / total[:, None, None] - first[:, :, None] * first[:, None, :]
        step = np.linalg.solve(
            (events[:, None, None] * spread).sum(axis=0), (events[:, None] * (rows - first)).sum(axis=0)
        )
        found = found + step
        if np.abs(step).max() < 1e-9:
            break
    total = np.cumsum(np.exp(rows @ found))[last]
    hazard = float((events / total)[days <= horizon].sum())
    chance: Array = 1 - np.exp(-hazard * np.exp(((test - mean) / scale) @ found))
    return chance
