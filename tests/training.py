"""Tests of training and of evaluating: what they need, and what warns in them. ``pytestmark = NEEDS_TRAINING``."""

from __future__ import annotations

import importlib.util

import pytest

MISSING = [name for name in ("tensorflow", "sklearn", "joblib") if importlib.util.find_spec(name) is None]
NEEDS_TRAINING = [
    pytest.mark.train,
    pytest.mark.skipif(bool(MISSING), reason=f"extra 'train' is missing: {MISSING}"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # keras meets numpy 2
]
