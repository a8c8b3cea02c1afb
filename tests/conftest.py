"""What all tests share: the patients, real ones where they are at hand; examples that no clock judges."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples each time, and however slow the machine is: a failure can be run again, and a busy core is none.
settings.register_profile(
    "hfzmq", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("hfzmq")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def patients_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 299 real patients (HFZMQ_DATA, or shared/data/hf.csv beside the checkout); elsewhere a seeded cohort."""
    for path in (os.environ.get("HFZMQ_DATA"), ROOT.parent / "shared" / "data" / "hf.csv"):
        if path and Path(path).is_file():
            return Path(path)
    from hfzmq.model.features import synthetic_csv

    path = tmp_path_factory.mktemp("cohort") / "cohort.csv"
    path.write_text(synthetic_csv(299, seed=519))
    return path
