"""The evaluation, end to end on made-up patients: nothing held out is ever learned from, and what was done is kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hfzmq.cli.main import main
from hfzmq.cli.model_evaluate import goals_table
from hfzmq.errors import HfzmqError
from hfzmq.model import RiskModel, network
from hfzmq.model.evaluation import crossfit as cf
from hfzmq.model.evaluation import evaluate as ev
from hfzmq.model.evaluation import plots, protocol
from hfzmq.model.evaluation.goals import GOALS, look_up, verdicts
from hfzmq.model.features import DAY, Cohort, parse_cohort, synthetic_csv
from hfzmq.model.network import RECIPE
from hfzmq.model.train import versions
from tests.training import NEEDS_TRAINING

pytestmark = NEEDS_TRAINING

QUICK = RECIPE._replace(trees=20, steps=20, synthetic_rows=200)
CONTENT = synthetic_csv(150, seed=8).encode()
VERSIONS = {"made": "here"}


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return parse_cohort(CONTENT, "made up")


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No processes of their own: the names of the fits that were run."""
    ran: list[str] = []

    def run(cohort: Cohort, fits: Any, recipe: Any, made_by: Any, processes: int) -> Any:
        for fit in fits:
            ran.append(fit.name)
            yield fit.name, cf.fit_one(cohort, fit, recipe, made_by)

    monkeypatch.setattr(cf, "_run", run)
    return ran


def fits_of(cohort: Cohort, count: int) -> list[cf.Fit]:
    cuts = protocol.published_splits(len(cohort.x), count)
    return [cf.Fit(f"split {number}", cut, number) for number, cut in enumerate(cuts)]


def test_what_was_held_out_is_never_learned_from(cohort: Cohort) -> None:
    fit = fits_of(cohort, 1)[0]
    before = cf.fit_one(cohort, fit, QUICK, VERSIONS)
    died, x = cohort.died.copy(), cohort.x.copy()
    died[fit.cut.test] = 1 - died[fit.cut.test]
    changed_outcomes = cf.fit_one(cohort._replace(died=died), fit, QUICK, VERSIONS)
    assert changed_outcomes == before
    x[fit.cut.test[1:]] = x[fit.cut.train[0]]  # all but the first of those held out become somebody else
    alone = cf.fit_one(cohort._replace(x=x), fit, QUICK, VERSIONS)
    assert {key: values[0] for key, values in alone.items()} == {key: values[0] for key, values in before.items()}
    died[fit.cut.train] = 1 - died[fit.cut.train]
    assert cf.fit_one(cohort._replace(died=died), fit, QUICK, VERSIONS) != before


def test_a_fit_without_the_day_says_the_same_on_every_day(cohort: Cohort) -> None:
    fit = fits_of(cohort, 1)[0]._replace(with_day=False)
    blind = cf.fit_one(cohort, fit, QUICK, VERSIONS)
    x = cohort.x.copy()
    x[:, DAY] = np.random.default_rng(1).permutation(x[:, DAY])
    assert cf.fit_one(cohort._replace(x=x), fit, QUICK, VERSIONS) == blind
    assert blind[cf.OWN] == pytest.approx(blind[cf.AT_5], abs=1e-12)
    assert blind[cf.OWN] == pytest.approx(blind[cf.LATE], abs=1e-12)


def test_a_run_that_was_stopped_goes_on_and_a_line_that_was_cut_off_is_computed_again(
    cohort: Cohort, tmp_path: Path, in_this_process: list[str]
) -> None:
    fits = fits_of(cohort, 3)
    told: list[tuple[int, int]] = []

    def run() -> dict[str, cf.Held]:
        return cf.crossfit(cohort, fits, QUICK, tmp_path, 1, lambda done, of: told.append((done, of)))

    first = run()
    assert in_this_process == ["split 0", "split 1", "split 2"]
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    (path,) = tmp_path.glob("fits-*.jsonl")
    path.write_bytes(path.read_bytes()[:-100])
    in_this_process.clear()
    again = run()
    assert in_this_process == ["split 2"]
    for name, held in first.items():
        assert all(np.array_equal(held[key], again[name][key]) for key in held), name
    in_this_process.clear()
    run()
    assert in_this_process == []
    cf.crossfit(cohort, [fits[0]._replace(seed=9)], QUICK, tmp_path, 1, lambda done, of: None)
    assert in_this_process == ["split 0"]  # another seed is another fit


def test_what_other_code_has_fitted_is_not_remembered(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = set()
    monkeypatch.setattr(network, "__file__", str(tmp_path / "network.py"))
    for code in ("DAY_FLOOR = 100", "DAY_FLOOR = 90", "DAY_FLOOR = 100"):
        (tmp_path / "features.py").write_text(code)
        keys.add(cf._key(cohort, RECIPE, {}))
    assert len(keys) == 2


def test_a_folder_that_cannot_be_used_is_an_error_with_a_next_step(cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HfzmqError, match="cannot use") as refused:
        cf.crossfit(cohort, fits_of(cohort, 1), QUICK, tmp_path / "file" / "work", 1, lambda done, of: None)
    assert "--work" in refused.value.hint


def test_an_evaluation_measures_every_goal_and_draws_the_same_pictures_twice(
    cohort: Cohort, tmp_path: Path, in_this_process: list[str]
) -> None:
    stages: list[str] = []
    model = RiskModel.load()
    found = ev.evaluate(
        cohort,
        CONTENT,
        model,
        tmp_path / "work",
        1,
        lambda stage, share: stages.append(stage),
        ev.Size(2, 1, 1, 20, 2000),
        QUICK,
    )
    assert len(in_this_process) == 2 + 5 + 2
    assert list(dict.fromkeys(stages)) == ["logistic", "fits", "scores"]
    for goal in GOALS:
        assert isinstance(look_up(found.results, goal.path), (int, float)), goal.path
    json.dumps(found.results, allow_nan=True)
    folds = found.results["folds"]
    assert folds["roc_auc_interval"][0] <= folds["roc_auc"] <= folds["roc_auc_interval"][1]
    assert found.results["versions"] == versions(network.toolkit())  # of these fits, not of the shipped weights
    assert found.results["shipped"]["monotone_violations"] == 0
    assert found.results["shipped"]["numpy_keras_difference_max"] <= 1e-6
    shown = goals_table(verdicts(found.results, False))
    assert all(goal.check in shown for goal in GOALS)
    assert "MISSED" not in shown
    pytest.importorskip("matplotlib", reason="matplotlib is not here: no pictures")
    one, two = (plots.draw(found.curves, found.results, tmp_path / name) for name in ("one", "two"))
    assert [path.name for path in one] == [name + suffix for name in plots.NAMES for suffix in (".svg", ".png")]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    assert all(path.stat().st_size > 5000 for path in one)


def test_two_processes_give_what_one_gives_and_the_command_has_no_verdict_on_other_patients(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ev, "QUICK", ev.Size(2, 1, 1, 20, 2000))
    monkeypatch.setattr(network, "RECIPE", QUICK)
    data = tmp_path / "made_up.csv"
    data.write_bytes(CONTENT)
    words = ["model", "evaluate", "--data", str(data), "--work", str(tmp_path / "work"), "--processes", "2", "--quick"]
    assert main([*words, "--results", str(tmp_path / "r.json"), "-o", "json"]) == 0
    out = capsys.readouterr()
    results = json.loads(out.out)
    assert results == json.loads((tmp_path / "r.json").read_text())
    assert {goal["met"] for goal in results["goals"]} == {None}
    assert "no verdict" in out.err
    assert "our recipe on each cut" in out.err
    (path,) = (tmp_path / "work").glob("fits-*.jsonl")
    lines = {value.pop("fit").split(" seed")[0]: value for value in map(json.loads, path.read_text().splitlines())}
    cut = protocol.published_splits(len(cohort.x), 2)[1]
    assert lines["split 1"] == cf.fit_one(cohort, cf.Fit("split 1", cut, ev.SEED + 1), QUICK, VERSIONS)


def test_a_missing_matplotlib_is_an_error_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(HfzmqError, match="pictures need matplotlib") as refused:
        plots.draw({}, {}, tmp_path)
    assert "hfzmq[train]" in refused.value.hint


def test_the_tiers_that_reach_a_bed_hold_all_deaths_and_each_share_has_an_interval(
    cohort: Cohort, tmp_path: Path, in_this_process: list[str]
) -> None:
    size = ev.Size(2, 1, 1, 20, 2000)
    results = ev.evaluate(cohort, CONTENT, RiskModel.load(), tmp_path, 1, size=size, recipe=QUICK).results
    assert results["fits"] == {"count": 9, "remembered": 0}
    tiers = results["guarded"]["tiers"]
    for key in ("share", "deaths"):
        assert sum(tier[key] for tier in tiers.values()) == pytest.approx(1)
    for tier in tiers.values():
        for key in ("share", "died", "deaths"):
            low, high = tier[f"{key}_interval"]
            assert np.isnan(tier[key]) or low <= tier[key] <= high
    again = ev.evaluate(cohort, CONTENT, RiskModel.load(), tmp_path, 1, size=size, recipe=QUICK).results
    assert again["fits"] == {"count": 9, "remembered": 9}
    assert again["guarded"] == results["guarded"]


def test_without_the_extra_train_an_evaluation_says_so_before_it_begins(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Any:
        raise HfzmqError("training needs tensorflow")

    monkeypatch.setattr(network, "toolkit", missing)
    monkeypatch.setattr(ev, "_harness", lambda *_: pytest.fail("it began"))
    with pytest.raises(HfzmqError, match="tensorflow"):
        ev.evaluate(cohort, CONTENT, RiskModel.load(), tmp_path, 1)
