"""Training, end to end: the same seed gives the same bytes, and the files agree with each other."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hfzmq.cli import model_commands
from hfzmq.clinical.report import VITALS
from hfzmq.errors import HfzmqError, InvalidInput, NotFound
from hfzmq.model import RiskModel, modelfile, train
from hfzmq.model.features import FEATURES, PUBLISHED_SHA256, load_cohort, synthetic_csv
from hfzmq.model.inference import PACKAGED
from hfzmq.model.network import RECIPE, Fitted, merge
from tests.training import NEEDS_TRAINING

ROOT = Path(__file__).parents[2]
pytestmark = NEEDS_TRAINING

QUICK = RECIPE._replace(trees=40, steps=60, synthetic_rows=300)
NPZ, H5, KERAS, SCALER = modelfile.FILE_NAME, train.H5_NAME, train.KERAS_NAME, train.SCALER_NAME


@pytest.fixture(scope="module")
def cohort_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "synthetic.csv"
    path.write_text(synthetic_csv(200, seed=8), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(cohort_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, train.Trained]:
    out = tmp_path_factory.mktemp("trained") / "deep" / "model"
    return out, train.train(cohort_csv, out, seed=5, recipe=QUICK)


def standardised(model: RiskModel, n: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rows = np.random.default_rng(2).uniform(model.parts.low, model.parts.high, (n, len(FEATURES)))
    return rows, ((rows - model.parts.mean) / model.parts.scale).astype(np.float32)


def test_the_same_seed_gives_the_same_bytes_in_another_process(
    trained: tuple[Path, train.Trained], cohort_csv: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from hfzmq.model.train import train; from hfzmq.model.network import RECIPE;"
        "train(Path(sys.argv[1]), Path(sys.argv[2]), 5, recipe=RECIPE._replace(trees=40, steps=60, synthetic_rows=300))"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(cohort_csv), str(tmp_path)], cwd=ROOT, check=True, timeout=240,
        capture_output=True,
    )  # fmt: skip
    for name in (NPZ, H5, SCALER):
        assert (tmp_path / name).read_bytes() == (trained[0] / name).read_bytes(), name


def test_another_seed_gives_other_weights(
    trained: tuple[Path, train.Trained], cohort_csv: Path, tmp_path: Path
) -> None:
    other = train.train(cohort_csv, tmp_path, seed=6, recipe=QUICK._replace(steps=5))
    assert other.results["weights_sha256"] != trained[1].results["weights_sha256"]


def test_numpy_equals_keras_and_both_files_of_keras_load_without_custom_objects(
    trained: tuple[Path, train.Trained],
) -> None:
    import keras

    out, result = trained
    model = RiskModel.load(out / NPZ)
    rows, inputs = standardised(model, 20_000)
    ours = model.probabilities(rows)[1]
    for name in (KERAS, H5):
        network = keras.saving.load_model(out / name, compile=False)
        assert [type(layer).__name__ for layer in network.layers] == ["Dense", "Dense", "Dense"]
        assert [layer.units for layer in network.layers] == [80, 40, 1]
        theirs = np.asarray(network(inputs))[:, 0]
        assert np.abs(ours - theirs).max() <= 1e-6, name
    assert result.results["measured"]["numpy_keras_difference_max"] <= 1e-6


def test_the_scaler_file_and_the_npz_standardise_alike(trained: tuple[Path, train.Trained]) -> None:
    import joblib

    out, _ = trained
    scaler, model = joblib.load(out / SCALER), RiskModel.load(out / NPZ)
    assert np.array_equal(scaler.mean_, model.parts.mean)
    assert np.array_equal(scaler.scale_, model.parts.scale)


def test_the_merged_network_is_the_mean_of_its_members_logits() -> None:
    rng = np.random.default_rng(3)
    kernels = [rng.normal(size=shape).astype(np.float32) for shape in ((5, 5, 16), (5, 16, 8), (5, 8, 1))]
    biases = [rng.normal(size=shape).astype(np.float32) for shape in ((5, 1, 16), (5, 1, 8), (5, 1, 1))]
    x = rng.normal(size=(50, 5))
    members = np.tanh(np.tanh(x @ kernels[0] + biases[0]) @ kernels[1] + biases[1]) @ kernels[2] + biases[2]
    k, b = merge(kernels, biases)
    merged = np.tanh(np.tanh(x @ k[0] + b[0]) @ k[1] + b[1]) @ k[2] + b[2]
    assert np.abs(merged - members.mean(axis=0)).max() < 1e-5
    assert [array.shape for array in Fitted(k, b, None).kernels] == [(5, 80), (80, 40), (40, 1)]


def test_trained_again_the_files_are_the_same_save_the_figures_of_an_evaluation_of_the_same_data_and_recipe(
    trained: tuple[Path, train.Trained], cohort_csv: Path, tmp_path: Path
) -> None:
    cohort = load_cohort(cohort_csv)
    goals = [
        {"path": "splits.ours.mcc", "measured": 0.5},
        {"path": "shipped.rows_10000_ms", "measured": 9.0},
        {"path": "folds.roc_auc", "measured": None},
    ]
    about = {"data": {"sha256": cohort.sha256}, "recipe": QUICK._asdict()}
    told = {**about, "splits": {"count": 100}, "folds": {"repeats": 10}, "goals": goals}
    path = tmp_path / "evaluate.json"
    path.write_text(json.dumps(told))
    made = train.train(cohort_csv, tmp_path / "out", seed=5, recipe=QUICK, evaluation=path)
    with_figures = modelfile.load(tmp_path / "out" / NPZ)
    assert with_figures.evaluation == {"splits.ours.mcc": 0.5}
    assert made.results["weights_sha256"] == trained[1].results["weights_sha256"]
    assert {name: made.files[name] for name in (H5, SCALER)} == {name: trained[1].files[name] for name in (H5, SCALER)}
    others: list[Any] = [told | {"recipe": RECIPE._asdict()}, told | {"data": {"sha256": "0" * 64}}]
    others += [told | {"splits": {"count": 4}}, told | {"folds": {"repeats": 1}}]  # as with --quick
    for wrong in [*others, {"goals": []}, [], "x"]:
        path.write_text(json.dumps(wrong))
        with pytest.raises(InvalidInput, match="evaluat"):
            train.figures_of(path, cohort, QUICK)
    with pytest.raises(NotFound):
        train.figures_of(tmp_path / "nowhere.json", cohort, QUICK)


def test_the_sums_name_every_file_and_the_file_says_where_it_comes_from(
    trained: tuple[Path, train.Trained], cohort_csv: Path
) -> None:
    out, result = trained
    lines = dict(line.split("  ")[::-1] for line in (out / train.SUMS_NAME).read_text(encoding="utf-8").splitlines())
    assert set(lines) == {NPZ, H5, KERAS, SCALER}
    assert lines == {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in lines} == result.files
    parts = modelfile.load(out / NPZ)
    assert parts.data_sha256 == hashlib.sha256(cohort_csv.read_bytes()).hexdigest()
    assert parts.seed == 5
    assert parts.recipe["steps"] == 60
    assert {"tensorflow", "keras", "numpy", "scikit-learn"} <= set(parts.versions)
    assert parts.quantiles.shape == (5, len(train.QUANTILE_LEVELS))
    assert np.array_equal(parts.quantiles[:, 0], parts.low)
    with zipfile.ZipFile(out / NPZ) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_another_data_set_is_trained_on_but_not_in_silence(trained: tuple[Path, train.Trained]) -> None:
    assert any("not the published data set" in warning for warning in trained[1].warnings)
    assert trained[1].results["data"]["origin"] == "not the published data set"


def test_a_synthetic_cohort_is_learned_in_the_right_direction(trained: tuple[Path, train.Trained]) -> None:
    model = RiskModel.load(trained[0] / NPZ)
    best = np.where(np.array([1, -1, 1, -1, -1]) > 0, model.parts.low, model.parts.high)[None]
    assert model.probabilities(best)[0][0] < 0.3 < model.ceiling()
    assert trained[1].results["measured"]["monotone_violations"] == 0


# ------------------------------------------------------------------------------------------------------- the real data


def test_the_real_data_give_the_packaged_weights(published_csv: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        model_commands.model,
        [
            "train",
            "--data",
            str(published_csv),
            "--out",
            str(tmp_path),
            "--results",
            str(tmp_path / "results.json"),
            "--evaluation",
            str(ROOT / "docs" / "results" / "model_evaluate.json"),
        ],
        catch_exceptions=False,
    )
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in (H5, KERAS, NPZ, SCALER)
    ]
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results["data"] == {"sha256": PUBLISHED_SHA256, "origin": "the published data set"}
    assert results["measured"]["patients"] == 299
    packaged, fresh = RiskModel.load(), RiskModel.load(tmp_path / NPZ)
    rows, _ = standardised(packaged, 20_000)
    for ours, theirs in zip(packaged.probabilities(rows), fresh.probabilities(rows), strict=True):
        assert np.abs(ours - theirs).max() <= 0.02
    bits = ("tensorflow", "keras", "numpy", "scikit-learn", "machine", "simd")
    if all(packaged.parts.versions[name] == fresh.parts.versions[name] for name in bits):
        assert fresh.parts.weights_sha256 == packaged.parts.weights_sha256
        assert (tmp_path / NPZ).read_bytes() == PACKAGED.read_bytes()


# --------------------------------------------------------------------------------------------------------- the command


def test_predict_prints_both_numbers_their_tiers_and_the_flags() -> None:
    reading = ["--age", "75", "--sodium", "130", "--creatinine", "1.9", "--ef", "20", "--day", "4"]
    asked = CliRunner().invoke(model_commands.model, ["predict", *reading, "-o", "json"], catch_exceptions=False)
    value = json.loads(asked.stdout)
    judged = RiskModel.load().judge(75.0, 130.0, 1.9, 20.0, 4)
    assert (value["probability"], value["probability_study"]) == judged[:2]
    assert tuple(value["flags"]) == judged.flags
    assert value["model_id"] == RiskModel.load().model_id
    shown = CliRunner().invoke(model_commands.model, ["predict", *reading], catch_exceptions=False).stdout
    for text in (f"{judged.probability:.4f}", f"{judged.probability_study:.4f}", value["tier"], *judged.flags):
        assert text in shown


@pytest.mark.parametrize("vital", VITALS, ids=lambda vital: str(vital.name))
def test_predict_refuses_what_no_adult_has(vital: Any) -> None:
    reading = dict(
        zip(("--age", "--sodium", "--creatinine", "--ef", "--day"), ("75", "130", "1", "20", "4"), strict=True)
    )
    option = list(reading)[FEATURES.index(vital.name)]
    reading[option] = str(int(vital.high) + 1)
    done = CliRunner().invoke(model_commands.model, ["predict", *(word for pair in reading.items() for word in pair)])
    assert isinstance(done.exception, InvalidInput)
    assert done.exception.field == vital.name


def test_a_missing_extra_is_an_error_that_says_what_to_install(
    cohort_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(HfzmqError, match="training needs tensorflow") as refused:
        train.train(cohort_csv, tmp_path)
    assert "hfzmq[train]" in refused.value.hint


def test_a_folder_that_cannot_be_written_is_an_error_and_no_traceback(cohort_csv: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(HfzmqError, match="cannot write"):
        train.train(cohort_csv, tmp_path / "file" / "model", recipe=QUICK._replace(steps=5))
