"""The network and how it learns: five sign-monotone members, taught by the patients and by a random forest, merged into
one plain network.

Touches the processor for some seconds, and TensorFlow's settings of this process. Must not know: files, the mesh.
Keeps: kernels have the sign of their feature at every step; the same cohort, seed and versions give the same weights to
the last bit (one thread, deterministic ops, all chance from seeded numpy generators). TensorFlow, keras and
scikit-learn are imported when a fit begins and never before.

Recipe: each member has tanh 16 -> tanh 8 -> sigmoid on standardised features and sees the real rows (weight 0.3) and
1,500 made-up ones (weight 0.7): bootstrap rows with every feature swapped for another patient's one time in four and a
little jitter, labelled softly by the forest. Full batch, Adam. The merged network's logit is the members' mean.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hfzmq.errors import HfzmqError
from hfzmq.model.features import FEATURES, SIGNS, Cohort

Floats = NDArray[np.float32]
Progress = Callable[[str, float], None]  # what is being done, and the share of it that is done (0..1)

_STEPS_A_CALL = 50  # so that progress moves; the steps are the same however they are cut


class Recipe(NamedTuple):
    """What a fit depends on beside data, seed and versions. ``decay``: from this share of the steps, this factor."""

    members: int = 5
    hidden: tuple[int, int] = (16, 8)
    trees: int = 400
    leaf_rows_min: int = 3
    synthetic_rows: int = 1500
    real_weight: float = 0.3
    synthetic_weight: float = 0.7
    swap_probability: float = 0.25
    jitter_sd: tuple[float, ...] = (0.1, 0.1, 0.05, 0.1, 0.04)  # in standard deviations, in the order of FEATURES
    bias_spread: tuple[float, float] = (3.0, 2.0)  # hidden biases start anywhere in +- this, see _start
    learning_rate: float = 0.01
    steps: int = 500
    decay: tuple[tuple[float, float], ...] = ((0.80, 0.6), (0.87, 0.3), (0.94, 0.1))


RECIPE = Recipe()


class Fitted(NamedTuple):
    """A trained network: kernels and biases of the merged layers (see modelfile.ModelFile), and the StandardScaler."""

    kernels: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    scaler: Any


class Toolkit(NamedTuple):
    """The modules of the extra ``train``."""

    tf: Any
    keras: Any
    sklearn: Any
    joblib: Any


def toolkit() -> Toolkit:
    """Import what training needs, quietly, on one thread and with deterministic ops. HfzmqError when it is missing."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its kernels differ from one kind of CPU to the next
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        with _quiet_stderr():
            names = ("tensorflow", "keras", "sklearn", "joblib")
            tools = Toolkit(*(importlib.import_module(name) for name in names))
        importlib.import_module("sklearn.ensemble")
        importlib.import_module("sklearn.preprocessing")
    except ImportError as error:
        missing = error.name or str(error)
        hint = "pip install 'hfzmq[train]'"
        raise HfzmqError(f"training needs tensorflow, scikit-learn and joblib: no {missing} here", hint=hint) from error
    threading = tools.tf.config.threading
    try:
        tools.tf.config.set_visible_devices([], "GPU")
        if threading.get_intra_op_parallelism_threads() != 1:
            threading.set_intra_op_parallelism_threads(1)
        if threading.get_inter_op_parallelism_threads() != 1:
            threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        hint = "train in a process of its own: hfzmq model train"
        raise HfzmqError("tensorflow already runs in this process with other settings", hint=hint) from error
    if tools.keras.config.backend() != "tensorflow":
        raise HfzmqError(f"keras runs on {tools.keras.config.backend()} here", hint="export KERAS_BACKEND=tensorflow")
    tools.tf.config.experimental.enable_op_determinism()
    tools.tf.get_logger().setLevel("ERROR")  # it warns that each fit makes a function of its own
    return tools


def fit(cohort: Cohort, seed: int, recipe: Recipe, progress: Progress) -> Fitted:
    """Train on every row of ``cohort``. HfzmqError when the extra is missing or the loss is no number."""
    tools = toolkit()
    progress("teacher", 0.0)
    scaler = tools.sklearn.preprocessing.StandardScaler().fit(cohort.x)
    teacher = tools.sklearn.ensemble.RandomForestClassifier(
        recipe.trees, min_samples_leaf=recipe.leaf_rows_min, random_state=seed, n_jobs=1
    ).fit(cohort.x, cohort.died)
    draws, starts = [], []
    for member in range(recipe.members):
        rng = np.random.default_rng([seed, member])
        starts.append(_start(rng, recipe))
        draws.append(synthetic_rows(cohort.x, rng, recipe))
    taught = np.split(teacher.predict_proba(np.vstack(draws))[:, 1], recipe.members)  # one walk through the forest
    rows = [scaler.transform(np.vstack((cohort.x, made_up))) for made_up in draws]
    labels = [np.concatenate((cohort.died, label)) for label in taught]
    progress("teacher", 1.0)
    weights = np.concatenate(
        (
            np.full(len(cohort.x), recipe.real_weight / len(cohort.x)),
            np.full(recipe.synthetic_rows, recipe.synthetic_weight / recipe.synthetic_rows),
        )
    )
    kernels, biases = _descend(tools, np.stack(rows), np.stack(labels), weights, starts, recipe, progress)
    return Fitted(*merge(kernels, biases), scaler)


def synthetic_rows(x: NDArray[np.float64], rng: np.random.Generator, recipe: Recipe) -> NDArray[np.float64]:
    """(synthetic_rows, 5) made-up patients between those of ``x`` (n, 5), inside the range of ``x``."""
    shape = (recipe.synthetic_rows, x.shape[1])
    rows = x[rng.integers(len(x), size=shape[0])]
    donors = rng.integers(len(x), size=shape)
    rows = np.where(rng.random(shape) < recipe.swap_probability, x[donors, np.arange(shape[1])], rows)
    jittered = rows + rng.normal(size=shape) * x.std(axis=0) * np.array(recipe.jitter_sd)
    inside: NDArray[np.float64] = jittered.clip(x.min(axis=0), x.max(axis=0))
    return inside


def merge(kernels: list[Floats], biases: list[Floats]) -> tuple[tuple[Floats, ...], tuple[Floats, ...]]:
    """One plain network out of m members, exactly: its logit is the mean of theirs.

    ``kernels``: (m, 5, h1), (m, h1, h2), (m, h2, 1); ``biases``: (m, 1, h1), (m, 1, h2), (m, 1, 1). Returned: kernels
    (5, m h1), (m h1, m h2) block diagonal, (m h2, 1), and biases (m h1,), (m h2,), (1,).
    """
    first, second, third = kernels
    members, wide, narrow = second.shape
    blocks = np.zeros((members * wide, members * narrow), np.float32)
    for m in range(members):
        blocks[m * wide : (m + 1) * wide, m * narrow : (m + 1) * narrow] = second[m]
    return (
        (np.ascontiguousarray(np.concatenate(list(first), axis=1)), blocks, third.reshape(-1, 1) / np.float32(members)),
        (biases[0].ravel(), biases[1].ravel(), biases[2].mean(axis=0, dtype=np.float64).astype(np.float32).ravel()),
    )


def to_keras(tools: Toolkit, kernels: tuple[Floats, ...], biases: tuple[Floats, ...]) -> Any:
    """The merged network as a plain ``keras.Sequential`` (tanh, tanh, sigmoid) that loads anywhere."""
    layers = tools.keras.layers
    network = tools.keras.Sequential(name="heart_failure_model")
    network.add(tools.keras.Input((len(FEATURES),), name="standardised_features"))
    for number, (kernel, activation) in enumerate(zip(kernels, ("tanh", "tanh", "sigmoid"), strict=True), 1):
        name = f"hidden_{number}" if activation == "tanh" else "risk"
        network.add(layers.Dense(kernel.shape[1], activation, kernel_initializer="zeros", name=name))
    network.set_weights([array for pair in zip(kernels, biases, strict=True) for array in pair])
    return network


def answers(network: Any) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """What a Keras network of ``to_keras`` says of standardised rows (n, 5): (n,) probabilities."""

    def ask(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(network(rows.astype(np.float32)), dtype=np.float64)[:, 0]

    return ask


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Hold back what C++ prints while it loads (about GPUs that nobody asked for); an error brings it back."""
    with tempfile.TemporaryFile() as held:
        try:
            kept = os.dup(2)
        except OSError:  # this process has no stderr
            yield
            return
        try:
            os.dup2(held.fileno(), 2)
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _start(rng: np.random.Generator, recipe: Recipe) -> tuple[NDArray[np.float64], ...]:
    """One member's first kernels and biases: |Glorot uniform|, the first kernel with the features' signs.

    Kernels of one sign make all units rise together: with biases of zero every unit bends at the mean patient, none is
    left for the sickest, and after the same steps the sickest patient of all may stay below RED. Spread biases cure it.
    """
    widths = (len(FEATURES), *recipe.hidden, 1)
    parts = []
    for fan_in, fan_out, spread in zip(widths, widths[1:], (*recipe.bias_spread, 0.0), strict=False):
        parts.append(np.abs(rng.uniform(-1, 1, (fan_in, fan_out))) * np.sqrt(6 / (fan_in + fan_out)))
        parts.append(rng.uniform(-spread, spread, (1, fan_out)))
    parts[0] *= np.array(SIGNS)[:, None]
    return tuple(parts)


def _descend(
    tools: Toolkit,
    rows: NDArray[np.float64],
    labels: NDArray[np.float64],
    weights: NDArray[np.float64],
    starts: list[tuple[NDArray[np.float64], ...]],
    recipe: Recipe,
    progress: Progress,
) -> tuple[list[Floats], list[Floats]]:
    """Train all members side by side: ``rows`` (m, n, 5), ``labels`` (m, n), ``weights`` (n,); as ``merge`` takes them.

    Nothing couples the members: their losses are summed, and Adam treats every number by itself.
    """
    tf, keras = tools.tf, tools.keras
    x = tf.constant(rows, tf.float32)
    y = tf.constant(labels[:, :, None], tf.float32)
    w = tf.constant(weights[None, :, None], tf.float32)
    signs = (np.array(SIGNS, np.float32)[:, None], np.float32(1), np.float32(1))
    variables = [
        keras.Variable(np.stack(arrays).astype(np.float32), name=f"{'bias' if i % 2 else 'kernel'}_{i // 2 + 1}")
        for i, arrays in enumerate(zip(*starts, strict=True))
    ]
    k1, b1, k2, b2, k3, b3 = variables
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        [int(recipe.steps * share) for share, _ in recipe.decay],
        [recipe.learning_rate * factor for factor in (1.0, *(factor for _, factor in recipe.decay))],
    )
    optimizer = keras.optimizers.Adam(schedule)
    optimizer.build(variables)

    def step(left: Any, _: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            hidden = tf.tanh(tf.matmul(x, k1.value) + b1.value)
            hidden = tf.tanh(tf.matmul(hidden, k2.value) + b2.value)
            logits = tf.matmul(hidden, k3.value) + b3.value
            loss = tf.reduce_sum(w * tf.nn.sigmoid_cross_entropy_with_logits(y, logits))
        optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)
        for kernel, sign in zip((k1, k2, k3), signs, strict=True):
            kernel.assign(tf.maximum(kernel.value * sign, 0.0) * sign)
        return left - 1, loss

    @tf.function  # type: ignore[untyped-decorator, unused-ignore]
    def descend(steps: Any) -> Any:
        return tf.while_loop(lambda left, _: left > 0, step, (steps, tf.constant(0.0)))[1]

    loss = float("nan")
    for done in range(0, recipe.steps, _STEPS_A_CALL):
        loss = float(descend(tf.constant(min(_STEPS_A_CALL, recipe.steps - done))))
        progress("network", min(1.0, (done + _STEPS_A_CALL) / recipe.steps))
    if not np.isfinite(loss):
        raise HfzmqError("the training diverged: the loss is no number", hint="is there an extreme value in the data?")
    found = [variable.value.numpy() for variable in variables]
    return found[0::2], found[1::2]
