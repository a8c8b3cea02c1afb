"""How the shipped weights behave, whatever they predict: monotone, bounded, equal to Keras, quick.

Touches the clock, and TensorFlow when asked for Keras' answer. Must not know: patients. Keeps: every number is measured
here and now; a time is the best of several medians, because other programs share the machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hfzmq.model import network
from hfzmq.model.features import FEATURES, SIGNS
from hfzmq.model.inference import RiskModel
from hfzmq.model.measure import KERAS_ROWS, median_s, monotone_violations

ROWS = 10_000


def shipped(model: RiskModel, probes: int) -> dict[str, Any]:
    """Named numbers about ``model``: probes, range, distance from Keras, times."""
    rng = np.random.default_rng(2021)
    low, high = model.parts.low, model.parts.high
    box = rng.uniform(low, high, (KERAS_ROWS, len(FEATURES)))
    study = model.probabilities(box)[1]
    in_keras = network.answers(network.to_keras(network.toolkit(), model.parts.kernels, model.parts.biases))
    standardised = (box - model.parts.mean) / model.parts.scale
    worst = np.where(np.array(SIGNS) > 0, high, low)
    corners = np.concatenate(model.probabilities(np.array([worst, low + high - worst])))
    return {
        "weights_sha256": model.parts.weights_sha256,
        "monotone_probes": probes,
        "monotone_violations": monotone_violations(model, probes, rng),
        "lowest": float(corners.min()),
        "highest": float(corners.max()),
        "guarded_ceiling": model.ceiling(),
        "numpy_keras_difference_max": float(np.abs(study - in_keras(standardised)).max()),
        "one_reading_us": min(median_s(lambda: model.judge(70.0, 130.0, 1.9, 30.0, 40), 2000) for _ in range(5)) * 1e6,
        "rows_10000_ms": min(median_s(lambda: model.probabilities(box[:ROWS]), 15) for _ in range(5)) * 1e3,
    }
