"""From a CSV to a model's files: read, fit, write, check what was written, measure.

Touches the data file, the folder ``out``, the processor for some seconds. Must not know: the screen, the mesh. Keeps:
hf_model.npz, heart_failure_model.h5 and hf_scaler.gz are the same bytes for the same data, seed and versions (the
.keras carries a timestamp of its own); a file in ``out`` is whole whenever the process dies, and where SHA256SUMS lies
beside the others they are all of one training. Imports no TensorFlow until ``train`` is called.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import logging
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hfzmq.clinical.tiers import DEFAULT_THRESHOLDS
from hfzmq.errors import HfzmqError, InvalidInput, NotFound
from hfzmq.model import modelfile, network
from hfzmq.model.evaluation import protocol
from hfzmq.model.features import DAY, DAY_FLOOR, Cohort, load_cohort
from hfzmq.model.inference import RiskModel
from hfzmq.model.measure import measure
from hfzmq.model.network import RECIPE, Progress, Recipe

KERAS_NAME = "heart_failure_model.keras"
H5_NAME = "heart_failure_model.h5"
SCALER_NAME = "hf_scaler.gz"
SUMS_NAME = "SHA256SUMS"
_MADE_IN = ".being-made"
QUANTILE_LEVELS = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
DISTANCE_LEVEL = 0.99
BACKGROUND_ROWS = 64
SEED = 2021


class Trained(NamedTuple):
    """What a training left behind.

    ``files``: sha256 of each file in the folder; ``results``: plain data for a results file; ``warnings``: sentences
    about a model that trained but should not be relied on as it is.
    """

    files: Mapping[str, str]
    results: Mapping[str, Any]
    warnings: tuple[str, ...]


def train(
    data: Path,
    out: Path,
    seed: int = SEED,
    progress: Progress = lambda stage, share: None,
    recipe: Recipe = RECIPE,
    evaluation: Path | None = None,
) -> Trained:
    """Train on every row of ``data`` (a CSV, see features) and write the model's files into ``out``, made if need be.

    ``evaluation``: a results file of ``hfzmq model evaluate`` about these data and this recipe, whose figures the model
    file is to carry. Raises InvalidInput or NotFound for the files that it reads, HfzmqError when the extra ``train``
    is missing or ``out`` cannot be written. ``progress(stage, share)`` is called from this thread.
    """
    cohort = load_cohort(data)
    figures = {} if evaluation is None else figures_of(evaluation, cohort, recipe)
    began = time.perf_counter()
    progress("tensorflow", 0.0)
    tools = network.toolkit()
    progress("tensorflow", 1.0)
    loaded = time.perf_counter()
    fitted = network.fit(cohort, seed, recipe, progress)
    done = time.perf_counter()
    parts = parts_of(cohort, fitted, seed, recipe, versions(tools))._replace(evaluation=figures)
    keras_model = network.to_keras(tools, fitted.kernels, fitted.biases)
    try:
        files = _write(tools, out, parts, fitted.scaler, keras_model)
    except OSError as error:
        raise HfzmqError(f"cannot write {out}: {error.strerror or error}", hint="choose another --out") from None
    progress("measure", 0.0)
    model = RiskModel.load(out / modelfile.FILE_NAME)
    measured = measure(model, cohort, network.answers(keras_model))
    progress("measure", 1.0)
    results = {
        "seed": seed,
        "recipe": recipe._asdict(),
        "versions": dict(parts.versions),
        "data": {"sha256": cohort.sha256, "origin": cohort.origin},
        "weights_sha256": parts.weights_sha256,
        "seconds": {"import": round(loaded - began, 2), "fit": round(done - loaded, 2)},
        "measured": measured,
    }
    return Trained(files, results, _warnings(model, cohort))


def figures_of(path: Path, cohort: Cohort, recipe: Recipe) -> dict[str, float]:
    """What the results file of an evaluation says of each goal about held-out patients, by its path. NotFound;
    InvalidInput when it is none, was cut short, or is about other data or another recipe."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        about = (told["data"]["sha256"], told["recipe"])
        size = (told["splits"]["count"], told["folds"]["repeats"])
        goals = [(goal["path"], goal["measured"]) for goal in told["goals"]]
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError):
        hint = "hfzmq model evaluate --data hf.csv --results FILE writes one"
        raise InvalidInput(str(path), "a results file of hfzmq model evaluate", hint=hint) from None
    if about != (cohort.sha256, json.loads(json.dumps(recipe._asdict()))):
        raise InvalidInput(str(path), "an evaluation of these data and this recipe", hint="evaluate again")
    if size != (protocol.SPLITS, protocol.REPEATS):
        bound = f"an evaluation of {protocol.SPLITS} splits and {protocol.REPEATS} repeats of folds"
        raise InvalidInput(str(path), bound, got="{} and {}".format(*size), hint="evaluate again, without --quick")
    return {
        name: round(float(value), 6) for name, value in goals if not name.startswith("shipped.") and value is not None
    }


def parts_of(
    cohort: Cohort, fitted: network.Fitted, seed: int, recipe: Recipe, made_by: Mapping[str, str]
) -> modelfile.ModelFile:
    """The model file of a fit; ``made_by``: see ``versions``."""
    low, high = cohort.x.min(axis=0), cohort.x.max(axis=0)
    mean, scale = (np.asarray(part, dtype=np.float64) for part in (fitted.scaler.mean_, fitted.scaler.scale_))
    whitening, distance_max = _distance(np.delete((cohort.x - mean) / scale, DAY, axis=1))
    parts = modelfile.ModelFile(
        kernels=fitted.kernels,
        biases=fitted.biases,
        mean=mean,
        scale=scale,
        low=low,
        high=high,
        day_floor=float(min(max(DAY_FLOOR, low[DAY]), high[DAY])),
        thresholds=DEFAULT_THRESHOLDS,
        quantile_levels=np.array(QUANTILE_LEVELS),
        quantiles=np.ascontiguousarray(np.quantile(cohort.x, QUANTILE_LEVELS, axis=0).T),
        background=np.empty((0, len(low))),
        whitening=whitening,
        distance_max=distance_max,
        seed=seed,
        data_sha256=cohort.sha256,
        versions=made_by,
        recipe=recipe._asdict(),
        evaluation={},
    )
    return parts._replace(background=_background(cohort, RiskModel(parts), recipe, seed))


def _distance(z: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """(whitening (4, 4), the distance that 99 % of the rows ``z`` (n, 4) stay below): Mahalanobis' distance."""
    covariance = np.cov(z, rowvar=False, bias=True) + 1e-9 * np.eye(z.shape[1])  # columns may say the same
    whitening = np.linalg.inv(np.linalg.cholesky(covariance))
    return whitening, float(np.quantile(np.sqrt(((z @ whitening.T) ** 2).sum(axis=1)), DISTANCE_LEVEL))


def _background(cohort: Cohort, model: RiskModel, recipe: Recipe, seed: int) -> NDArray[np.float64]:
    """Made-up patients (nobody's row leaves the data set), evenly spread over the guarded risk of many."""
    made_up = network.synthetic_rows(cohort.x, np.random.default_rng([seed, recipe.members]), recipe)
    by_risk = made_up[np.argsort(model.probabilities(made_up)[0], kind="stable")]
    middles = (np.arange(BACKGROUND_ROWS) + 0.5) * len(by_risk) / BACKGROUND_ROWS
    return np.ascontiguousarray(by_risk[middles.astype(int)])


def versions(tools: network.Toolkit) -> dict[str, str]:
    """What the last bit of a weight depends on, beside data, seed and recipe."""
    simd = np.show_config(mode="dicts")["SIMD Extensions"]  # type: ignore[call-overload, index, unused-ignore]
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "tensorflow": str(tools.tf.__version__),
        "keras": str(tools.keras.__version__),
        "scikit-learn": str(tools.sklearn.__version__),
        "machine": platform.machine(),
        "simd": " ".join([*simd["baseline"], *simd["found"]]),
    }


def _write(
    tools: network.Toolkit, out: Path, parts: modelfile.ModelFile, scaler: Any, keras_model: Any
) -> dict[str, str]:
    """Write every file into ``out``; sha256 by name. All are made in a folder inside it first; then the sums of before
    go, the files take their places, and the new sums come last."""
    out.mkdir(parents=True, exist_ok=True)
    made = out / _MADE_IN
    shutil.rmtree(made, ignore_errors=True)  # of a training that was killed
    made.mkdir()
    modelfile.save(made / modelfile.FILE_NAME, parts)
    with _quiet_absl():  # it warns that .h5 is an old format: that is why people ask for it
        keras_model.save(made / KERAS_NAME)
        keras_model.save(made / H5_NAME, include_optimizer=False)
    pickled = io.BytesIO()
    tools.joblib.dump(scaler, pickled)
    (made / SCALER_NAME).write_bytes(gzip.compress(pickled.getvalue(), mtime=0))
    files = {
        name: hashlib.sha256((made / name).read_bytes()).hexdigest()
        for name in (H5_NAME, KERAS_NAME, modelfile.FILE_NAME, SCALER_NAME)
    }
    (made / SUMS_NAME).write_text("".join(f"{sha}  {name}\n" for name, sha in files.items()), encoding="utf-8")
    put_in_place(made, out, (*files, SUMS_NAME))
    return files


def put_in_place(made: Path, out: Path, names: Sequence[str]) -> None:
    """Move the files ``names`` from ``made`` to ``out``, on the same disk; the last of them vouches for the others: it
    goes first and comes last. All are synced before anything in ``out`` changes."""
    for name in names:
        _sync(made / name)
    (out / names[-1]).unlink(missing_ok=True)
    _sync(out)
    for name in names[:-1]:
        (made / name).replace(out / name)
    _sync(out)
    (made / names[-1]).replace(out / names[-1])
    _sync(out)
    made.rmdir()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _warnings(model: RiskModel, cohort: Cohort) -> tuple[str, ...]:
    found = []
    if not cohort.published:
        found.append(f"{cohort.name}: not the published data set (sha256 {cohort.sha256})")
    ceiling, red_from = model.ceiling(), model.thresholds.red_from
    if ceiling < red_from:
        found.append(f"no patient can be RED: the sickest gets {ceiling:.3f}, RED starts at {red_from:g}")
    return tuple(found)


@contextmanager
def _quiet_absl() -> Iterator[None]:
    logger = logging.getLogger("absl")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
