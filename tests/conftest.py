"""What all tests share: the patients, real ones where they are at hand; examples that no clock judges."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples each time, and however slow the machine is: a failure can be run again, and a busy core is none.
settings.register_profile(
    "hfzmq", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("hfzmq")

# A shell starts what it puts into the background (`make test &`) with Ctrl-C ignored, and so would be all that the
# tests start and then end by Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]


def _given() -> Path | None:
    """A data set that is at hand: HFZMQ_DATA, or shared/data/hf.csv beside the checkout."""
    places = (os.environ.get("HFZMQ_DATA"), ROOT.parent / "shared" / "data" / "hf.csv")
    return next((Path(path) for path in places if path and Path(path).is_file()), None)


@pytest.fixture(scope="session")
def patients_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real patients where they are at hand; elsewhere a seeded cohort."""
    given = _given()
    if given is not None:
        return given
    from hfzmq.model.features import synthetic_csv

    path = tmp_path_factory.mktemp("cohort") / "cohort.csv"
    path.write_text(synthetic_csv(299, seed=519))
    return path


@pytest.fixture(scope="session")
def published_csv() -> Path:
    """The 299 published patients, byte for byte; where they are not at hand the test is skipped."""
    from hfzmq.model.features import PUBLISHED_SHA256

    path = _given()
    if path is None or hashlib.sha256(path.read_bytes()).hexdigest() != PUBLISHED_SHA256:
        pytest.skip("the published hf.csv is not here: set HFZMQ_DATA to it")
    return path
