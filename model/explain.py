"""Why a probability is what it is: exact Shapley values over the five inputs.

Touches nothing; the model is handed in. Must not know: files, the screen. Keeps: base and contributions add up to the
probability that the model gives (to 1e-12); an input that the number does not read (the day, of the guarded one)
contributes nothing.

An input's contribution is how much knowing it moves the mean probability of the model's background (64 made-up
patients, evenly spread over risk), averaged over every order in which the five can become known: 32 sets of known
inputs, each judged against all of the background. It says what moved this number, not what made this patient ill.
"""

from __future__ import annotations

from math import factorial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hfzmq.model.features import DAY, FEATURES
from hfzmq.model.inference import RiskModel

Array = NDArray[np.float64]

N = len(FEATURES)
_KNOWN = np.array([[bool(number >> k & 1) for k in range(N)] for number in range(1 << N)])  # (32, 5)


def _weights() -> Array:
    """(5, 32): what each set's mean probability counts for in each input's contribution."""
    found = np.zeros((N, 1 << N))
    for number, known in enumerate(_KNOWN):
        size = int(known.sum())
        for k in range(N):
            others = size - 1 if known[k] else size
            weight = factorial(others) * factorial(N - 1 - others) / factorial(N)
            found[k, number] = weight if known[k] else -weight
    return found


_WEIGHTS = _weights()


class Explanation(NamedTuple):
    """``probability`` = ``base`` + the sum of ``contributions``, which follow FEATURES; ``base``: the mean of the
    background. ``used``: the values that it was reckoned with: inside the training range, the day of the guarded number
    held. ``flags``: as of a judgement."""

    probability: float
    base: float
    contributions: tuple[float, ...]
    used: tuple[float, ...]
    flags: tuple[str, ...]

    def top(self, count: int = 2, least: float = 0.005) -> tuple[tuple[str, float], ...]:
        """The inputs that moved it most, (name, contribution), the largest first; none below ``least``."""
        order = sorted(zip(FEATURES, self.contributions, strict=True), key=lambda pair: -abs(pair[1]))
        return tuple(pair for pair in order[:count] if abs(pair[1]) >= least)


def explain(
    model: RiskModel,
    age: float,
    serum_sodium: float,
    serum_creatinine: float,
    ejection_fraction: float,
    day: int,
    *,
    study: bool = False,
) -> Explanation:
    """Of the guarded probability, or of the ``study`` one. InvalidInput as ``RiskModel.judge``; a value outside the
    training range counts as its edge."""
    values = (age, serum_sodium, serum_creatinine, ejection_fraction, day)
    flags = model.judge(*values).flags  # refuses what is no reading
    background = model.parts.background
    rows = np.where(_KNOWN[:, None, :], np.array(values, dtype=np.float64), background[None, :, :])
    p = model.probabilities(rows.reshape(-1, N))[1 if study else 0]
    means = p.reshape(len(_KNOWN), len(background)).mean(axis=1)
    used = np.clip(np.array(values, dtype=np.float64), model.parts.low, model.parts.high).tolist()
    if not study:
        used[DAY] = model.parts.day_floor
    return Explanation(float(means[-1]), float(means[0]), tuple((_WEIGHTS @ means).tolist()), tuple(used), flags)
