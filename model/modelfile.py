"""hf_model.npz: everything that inference needs, in one file without a pickle.

Touches one file, when asked. Must not know: keras, the mesh. Keeps: the same model gives the same bytes (stored, no
timestamps); a file that was read is whole, has the right shapes, is monotone by its own signs, and its checksum fits.
Anything else is refused as InvalidInput. Members that are not known here are checked to hold no pickle and left alone:
a later hfzmq may add some.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hfzmq.clinical.report import VITALS
from hfzmq.config import Thresholds
from hfzmq.errors import HfzmqError, InvalidInput, NotFound
from hfzmq.model.features import DAY, FEATURES, SIGNS, UNITS

FILE_NAME = "hf_model.npz"
FORMAT = 2
BYTES_MAX = 4 << 20
MISSING_LEVELS = (0.05, 0.95)  # a value that is missing is taken to lie between these quantiles of the training set
MEMBERS_MAX = 100
WIDTH_MAX = 1024

# What decides an answer, in the order of the checksum; the rest of the file says where it came from.
_JUDGING = (
    "format", "kernel_1", "bias_1", "kernel_2", "bias_2", "kernel_3", "bias_3", "mean", "scale", "low", "high",
    "day_floor", "thresholds", "signs", "feature_order", "units", "quantile_levels", "quantiles", "background",
    "whitening", "distance_max",
)  # fmt: skip
_ORIGIN = ("seed", "data_sha256", "versions", "recipe", "evaluation", "weights_sha256")
_REFUSALS = (
    zipfile.BadZipFile, zlib.error, struct.error, ValueError, TypeError, EOFError, KeyError, IndexError, OverflowError,
    MemoryError, NotImplementedError, RuntimeError, SyntaxError, OSError, lzma.LZMAError,
)  # fmt: skip


_NOT_OURS = (b"\x89HDF", b"\x1f\x8b")  # .h5; the scaler's gzip


class ModelFile(NamedTuple):
    """A trained model. Arrays follow FEATURES.

    ``kernels``, ``biases``: float32, (5, h1), (h1,), (h1, h2), (h2,), (h2, 1), (1,), for standardised features;
    ``mean``, ``scale``: (5,) float64 of the StandardScaler; ``low``, ``high``: (5,) float64, the training range;
    ``quantiles``: (5, q) float64 at ``quantile_levels`` (q,), MISSING_LEVELS among them; ``day_floor``: days;
    ``background``: (b, 5) made-up patients, evenly spread over risk, whom an explanation compares with; ``whitening``:
    (4, 4), turns the standardised inputs but the day into uncorrelated ones, whose length is the distance from the
    middle of the training set, and ``distance_max`` is what 99 % of it stay below; ``versions`` of what trained it;
    ``evaluation``: figures of the evaluation that it was published with, {} for none.
    """

    kernels: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    day_floor: float
    thresholds: Thresholds
    quantile_levels: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    background: NDArray[np.float64]
    whitening: NDArray[np.float64]
    distance_max: float
    seed: int
    data_sha256: str
    versions: Mapping[str, str]
    recipe: Mapping[str, Any]
    evaluation: Mapping[str, Any]

    @property
    def weights_sha256(self) -> str:
        """Checksum of all that decides an answer, its flags or its explanation; not of where it came from."""
        return _checksum(_members(self))


def save(path: Path, model: ModelFile) -> None:
    """Write ``model`` as an npz whose bytes depend on nothing but ``model``."""
    members: dict[str, NDArray[Any]] = {**_members(model), "weights_sha256": np.array(model.weights_sha256)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in members.items():
            body = io.BytesIO()
            np.lib.format.write_array(body, array, version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, body.getvalue())


def load(path: Path) -> ModelFile:
    """Read and check a model. NotFound when there is none; InvalidInput says what is wrong with the one there is."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise _refusal(path, f"a file {FILE_NAME}")
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except OSError as error:
        hint = "train one: hfzmq model train --data hf.csv"
        raise NotFound(f"no model at {path}: {error.strerror or error}", hint=hint) from None
    if path.suffix in (".h5", ".keras") or content.startswith(_NOT_OURS):
        hint = f"give the {FILE_NAME} that lies beside it: inference reads nothing else"
        raise InvalidInput(str(path), f"a {FILE_NAME}, this is another kind of file", hint=hint)
    try:
        members = _read_members(content)
        model = _from_members(members)
        problem = _problem(model, members)
    except HfzmqError:
        raise
    except _REFUSALS as error:
        cause = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise _refusal(path, f"a whole {FILE_NAME} without pickles ({cause})") from None
    if problem:
        raise _refusal(path, problem)
    return model


def _refusal(path: Path, bound: str) -> InvalidInput:
    return InvalidInput(str(path), bound, hint="copy the file again, or retrain: hfzmq model train --data hf.csv")


def _members(model: ModelFile) -> dict[str, NDArray[Any]]:
    """The arrays of the file, little-endian, without the checksum."""
    weights = {
        name: array
        for layer, (kernel, bias) in enumerate(zip(model.kernels, model.biases, strict=True), 1)
        for name, array in ((f"kernel_{layer}", kernel), (f"bias_{layer}", bias))
    }
    return {
        "format": np.array(FORMAT, "<i8"),
        **{name: np.ascontiguousarray(array, "<f4") for name, array in weights.items()},
        **{n: np.ascontiguousarray(getattr(model, n), "<f8") for n in ("mean", "scale", "low", "high")},
        "day_floor": np.array(model.day_floor, "<f8"),
        "thresholds": np.array(model.thresholds, "<f8"),
        "signs": np.array(SIGNS, "<i8"),
        "feature_order": np.array(FEATURES, "<U32"),
        "units": np.array(UNITS, "<U32"),
        "quantile_levels": np.ascontiguousarray(model.quantile_levels, "<f8"),
        "quantiles": np.ascontiguousarray(model.quantiles, "<f8"),
        "background": np.ascontiguousarray(model.background, "<f8"),
        "whitening": np.ascontiguousarray(model.whitening, "<f8"),
        "distance_max": np.array(model.distance_max, "<f8"),
        "seed": np.array(model.seed, "<i8"),
        "data_sha256": np.array(model.data_sha256, "<U64"),
        "versions": np.array(json.dumps(model.versions, sort_keys=True)),
        "recipe": np.array(json.dumps(model.recipe, sort_keys=True)),
        "evaluation": np.array(json.dumps(model.evaluation, sort_keys=True)),
    }


def _read_members(content: bytes) -> dict[str, NDArray[Any]]:
    if len(content) > BYTES_MAX:
        raise ValueError(f"more than {BYTES_MAX} bytes")
    members: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if len(entries) > MEMBERS_MAX or sum(entry.file_size for entry in entries) > BYTES_MAX:
            raise ValueError(f"more than {MEMBERS_MAX} members or {BYTES_MAX} bytes")
        for entry in entries:
            name = entry.filename.removesuffix(".npy")
            if name in members:
                raise ValueError(f"{name} is there twice")
            body = io.BytesIO(archive.read(entry))
            members[name] = np.lib.format.read_array(body, allow_pickle=False)
    missing = [name for name in _JUDGING + _ORIGIN if name not in members]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    return members


def _from_members(members: Mapping[str, NDArray[Any]]) -> ModelFile:
    if members["format"].item() != FORMAT:
        raise ValueError(f"format {FORMAT} expected, this is {members['format'].item()}")
    thresholds = members["thresholds"]
    if thresholds.shape != (2,):
        raise ValueError("two thresholds expected")
    return ModelFile(
        kernels=tuple(members[f"kernel_{layer}"] for layer in (1, 2, 3)),
        biases=tuple(members[f"bias_{layer}"] for layer in (1, 2, 3)),
        mean=members["mean"],
        scale=members["scale"],
        low=members["low"],
        high=members["high"],
        day_floor=float(members["day_floor"].item()),
        thresholds=Thresholds(*(float(value) for value in thresholds)),
        quantile_levels=members["quantile_levels"],
        quantiles=members["quantiles"],
        background=members["background"],
        whitening=members["whitening"],
        distance_max=float(members["distance_max"].item()),
        seed=int(members["seed"].item()),
        data_sha256=str(members["data_sha256"].item()),
        versions=dict(json.loads(members["versions"].item())),
        recipe=dict(json.loads(members["recipe"].item())),
        evaluation=dict(json.loads(members["evaluation"].item())),
    )


def _problem(model: ModelFile, members: Mapping[str, NDArray[Any]]) -> str:
    """What keeps ``model`` from being used, in words; '' when nothing does."""
    n = len(FEATURES)
    for name, expected in (("feature_order", FEATURES), ("units", UNITS), ("signs", SIGNS)):
        if tuple(members[name].ravel().tolist()) != expected:
            return f"{name} {', '.join(map(str, expected))}"
    first, second = (kernel.shape[-1] if kernel.ndim == 2 else 0 for kernel in model.kernels[:2])
    shapes = {
        **dict(zip(("kernel_1", "kernel_2", "kernel_3"), ((n, first), (first, second), (second, 1)), strict=True)),
        **dict(zip(("bias_1", "bias_2", "bias_3"), ((first,), (second,), (1,)), strict=True)),
        **dict.fromkeys(("mean", "scale", "low", "high"), (n,)),
        "quantiles": (n, len(members["quantile_levels"].ravel())),
        "quantile_levels": (members["quantile_levels"].size,),
        "background": (len(members["background"]) if members["background"].ndim else 0, n),
        "whitening": (n - 1, n - 1),
    }
    for name, shape in shapes.items():
        array = members[name]
        if array.dtype.kind != "f" or array.shape != shape or not 0 < min(shape) <= max(shape) <= WIDTH_MAX:
            return f"{name}: numbers of shape {shape}, got {array.dtype} of shape {array.shape}"
        if not np.isfinite(array).all():
            return f"{name}: finite numbers"
    if not (model.scale > 0).all() or not (model.low < model.high).all():
        return "scale above 0 and low below high"
    bounds = np.array([(vital.low, vital.high) for vital in VITALS]).T
    if (model.low < bounds[0]).any() or (model.high > bounds[1]).any():
        return "a training range inside the clinical bounds"
    if not model.low[DAY] <= model.day_floor <= model.high[DAY]:
        return f"day_floor inside the training range {model.low[DAY]:g} to {model.high[DAY]:g}"
    if not set(MISSING_LEVELS) <= set(model.quantile_levels.tolist()):
        return f"quantile_levels with {MISSING_LEVELS[0]:g} and {MISSING_LEVELS[1]:g}"
    inside = [
        (model.low[:, None] <= rows) & (rows <= model.high[:, None]) for rows in (model.quantiles, model.background.T)
    ]
    if not all(rows.all() for rows in inside) or (np.diff(model.quantiles, axis=1) < 0).any():
        return "rising quantiles, and a background, inside the training range"
    if not 0 < model.distance_max < np.inf:
        return "distance_max above 0"
    if not 0 < model.thresholds.amber_from < model.thresholds.red_from < 1:
        return "thresholds 0 < amber_from < red_from < 1"
    signed = model.kernels[0] * np.array(SIGNS)[:, None]
    if any((kernel < 0).any() for kernel in (signed, *model.kernels[1:])):
        return "kernels that keep the sign of every feature (monotone)"
    if _checksum(members) != str(members["weights_sha256"].item()):
        return "weights that fit their own checksum"
    return ""


def _checksum(members: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in _JUDGING:
        array = np.ascontiguousarray(members[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
