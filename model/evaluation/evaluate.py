"""The whole evaluation: the harness, the published splits, the folds, the day left out, the guarded number, and the
shipped weights; every number by a name, rounded for reading only where it is printed.

Touches what ``crossfit`` touches, and the clock (inference is timed). Must not know: the screen, plots. Keeps: nothing
that is reported about predictions was made by a fit that had seen the patient; an interval of folds is a bootstrap over
patients, one of splits the middle 95 % of the splits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hfzmq.clinical.tiers import tier_of
from hfzmq.model import network
from hfzmq.model.dataset import published_table
from hfzmq.model.evaluation import protocol, scores, survival
from hfzmq.model.evaluation.crossfit import AT_5, EARLY, GUARDED, LATE, OWN, Fit, Held, crossfit
from hfzmq.model.evaluation.protocol import Cut
from hfzmq.model.evaluation.shipped import shipped
from hfzmq.model.evaluation.withheld import withheld
from hfzmq.model.features import DAY, Cohort
from hfzmq.model.inference import RiskModel
from hfzmq.model.network import RECIPE, Recipe
from hfzmq.model.train import versions

Array = NDArray[np.float64]
Progress = Callable[[str, float], None]

HORIZON_DAYS = 90
SEED = 2021  # of the first fit; each has its own
NAMES: Mapping[str, scores.Score] = {
    "mcc": scores.mcc, "f1": scores.f1, "accuracy": scores.accuracy, "roc_auc": scores.roc_auc,
    "pr_auc": scores.pr_auc, "brier": scores.brier,
}  # fmt: skip


class Size(NamedTuple):
    """How much is fitted. The goals are about WHOLE alone."""

    splits: int = protocol.SPLITS
    repeats: int = protocol.REPEATS
    harness: int = 10  # times as many splits
    draws: int = 1000  # of a bootstrap
    probes: int = 500_000


WHOLE = Size()
QUICK = Size(4, 1, 1, 50, 10_000)


class Evaluation(NamedTuple):
    """``results``: plain data for a results file. ``curves``: what the plots draw."""

    results: dict[str, Any]
    curves: dict[str, Any]


def evaluate(
    cohort: Cohort,
    content: bytes,
    model: RiskModel,
    memory: Path,
    processes: int,
    progress: Progress = lambda stage, share: None,
    size: Size = WHOLE,
    recipe: Recipe = RECIPE,
) -> Evaluation:
    """Run it all on ``cohort`` (``content``: the bytes of its file, for the columns that only the published models
    use). ``model``: whose weights are shipped. Errors as ``crossfit``'s."""
    network.toolkit()  # what is missing is said now, and not after minutes
    began = time.perf_counter()
    splits = protocol.published_splits(len(cohort.x), size.splits)
    folds = protocol.stratified_folds(cohort.died, repeats=size.repeats)
    progress("logistic", 0.0)
    table = published_table(content, cohort.name)
    harness = _harness(table, cohort.died, size, progress)
    theirs = protocol.held_out(protocol.published_three(table), cohort.died, splits)
    jobs = {"split": splits, "fold": folds, "without day": splits}
    fits = [
        Fit(f"{kind} {number}", cut, SEED + number, kind != "without day")
        for kind, cuts in jobs.items()
        for number, cut in enumerate(cuts)
    ]
    kept: list[int] = []  # how many were remembered: the first number that is told

    def fitting(done: int, of: int) -> None:
        kept.append(done)
        progress("fits", done / of)

    found = crossfit(cohort, fits, recipe, memory, processes, fitting)
    fitted = time.perf_counter()
    of = {kind: [found[f"{kind} {number}"] for number in range(len(cuts))] for kind, cuts in jobs.items()}
    progress("scores", 0.0)
    ours = tuple(held[OWN] for held in of["split"])
    repeats = {key: _by_repeat(of["fold"], folds, key, len(cohort.x)) for key in (OWN, GUARDED, EARLY, AT_5, LATE)}
    results: dict[str, Any] = {
        "fits": {"count": len(fits), "remembered": kept[0]},
        "harness": harness,
        "splits": _splits(cohort.died, splits, ours, theirs),
        "calibration": _calibration(cohort.died, splits, ours),
        "folds": _folds(cohort.died, repeats[OWN], size.draws),
        "blind": _means(splits, cohort.died, tuple(held[OWN] for held in of["without day"])),
        "guarded": _guarded(cohort, folds, repeats, model, size.draws),
        "raw_day": _raw_day(cohort, repeats, model),
        "tiers": _tiers(cohort.died, repeats[OWN], model, size.draws),
        "withheld": withheld(model, cohort),
    }
    progress("scores", 0.5)
    results["shipped"] = shipped(model, size.probes)
    results["versions"] = versions(network.toolkit())
    progress("scores", 1.0)
    results["seconds"] = {"fits": round(fitted - began, 1), "all": round(time.perf_counter() - began, 1)}
    curves = {
        "died": np.concatenate([cohort.died[cut.test] for cut in splits]),
        "ours": np.concatenate(ours),
        "theirs": np.concatenate(theirs),
        "tiers": results["tiers"],
        "guarded_tiers": results["guarded"]["tiers"],
    }
    return Evaluation(results, curves)


def _harness(table: Array, died: Array, size: Size, progress: Progress) -> dict[str, Any]:
    """Their model on our harness, many times: does it give the numbers that they published?"""
    columns, found = protocol.published_all(table), []
    for seed in range(size.harness):
        cuts = protocol.published_splits(len(died), size.splits, seed)
        p = protocol.held_out(columns, died, cuts)
        found.append([protocol.each(cuts, died, p, score) for score in (scores.mcc, scores.swapped_auc)])
        progress("logistic", (seed + 1) / size.harness)
    each = np.array(found).mean(axis=2)
    return {
        **{name: float(each[:, k].mean()) for k, name in enumerate(("mcc", "swapped_auc"))},
        **{f"{name}_interval": list(scores.middle(each[:, k])) for k, name in enumerate(("mcc", "swapped_auc"))},
        "splits": size.harness * size.splits,
    }


def _splits(died: Array, cuts: tuple[Cut, ...], ours: tuple[Array, ...], theirs: tuple[Array, ...]) -> dict[str, Any]:
    a, b = _means(cuts, died, ours), _means(cuts, died, theirs)
    learned, held = len(cuts[0].train), len(cuts[0].test)
    p_values = {}
    for name, score in NAMES.items():
        difference = protocol.each(cuts, died, ours, score) - protocol.each(cuts, died, theirs, score)
        p_values[name] = scores.resampled_p(difference, learned, held)
    return {
        "count": len(cuts),
        "trained_on": learned,
        "held_out": held,
        "ours": a,
        "their_best_logistic": b,
        "brier_ratio": a["brier"] / b["brier"],
        "auc_gap_ratio": (1 - a["roc_auc"]) / (1 - b["roc_auc"]),
        "p_of_no_difference": p_values,
    }


def _calibration(died: Array, cuts: Sequence[Cut], ours: Sequence[Array]) -> dict[str, Any]:
    truth, p = np.concatenate([died[cut.test] for cut in cuts]), np.concatenate(ours)
    slope, intercept = scores.calibration_line(truth, p)
    bins = [b._asdict() for b in scores.reliability(truth, p)]
    ece = scores.expected_calibration_error(truth, p)
    return {"slope": slope, "intercept": intercept, "ece": ece, "bins": bins, "predictions": len(p)}


def _folds(died: Array, p: Array, draws: int) -> dict[str, Any]:
    """``p`` (repeats, n): each patient's, by a fit that had not seen it."""
    found: dict[str, Any] = {"repeats": len(p), "patients": len(died)}
    for name, score in NAMES.items():

        def mean(who: NDArray[np.int64], score: scores.Score = score) -> float:
            return float(np.mean([score(died[who], row[who]) for row in p]))

        found[name], found[f"{name}_interval"] = _with_interval(mean, len(died), draws)
    return found


def _guarded(
    cohort: Cohort, folds: Sequence[Cut], repeats: Mapping[str, Array], model: RiskModel, draws: int
) -> dict[str, Any]:
    """The number that sets the tier, as a risk for patients at the start of their follow-up, beside Cox's regression on
    the same four inputs and folds."""
    day, died, p = cohort.x[:, DAY], cohort.died, repeats[GUARDED]
    cox = np.empty_like(p)
    each_repeat = len(folds) // len(p)
    for number, cut in enumerate(folds):
        x = np.delete(cohort.x, DAY, axis=1)
        learned = survival.cox_by(x[cut.train], day[cut.train], died[cut.train], x[cut.test], HORIZON_DAYS)
        cox[number // each_repeat, cut.test] = learned
    observed = survival.died_by(day, died, HORIZON_DAYS)

    def brier(who: NDArray[np.int64]) -> float:
        return float(np.mean([survival.brier_by(day[who], died[who], row[who], HORIZON_DAYS) for row in p]))

    def ratio(who: NDArray[np.int64]) -> float:
        return _ratio(float(p[:, who].mean()), survival.died_by(day[who], died[who], HORIZON_DAYS))

    def concordance(who: NDArray[np.int64]) -> float:
        return float(np.mean([survival.concordance(day[who], died[who], row[who]) for row in p]))

    found: dict[str, Any] = {"horizon_days": HORIZON_DAYS, "observed": observed, "predicted": float(p.mean())}
    for name, score in (("brier", brier), ("ratio", ratio), ("c", concordance)):
        found[name], found[f"{name}_interval"] = _with_interval(score, len(died), draws)
    found["cox"] = {
        "brier": float(np.mean([survival.brier_by(day, died, row, HORIZON_DAYS) for row in cox])),
        "ratio": _ratio(float(cox.mean()), observed),
        "c": float(np.mean([survival.concordance(day, died, row) for row in cox])),
    }
    constant = np.full(len(died), observed)
    found["constant_brier"] = survival.brier_by(day, died, constant, HORIZON_DAYS)
    found["tiers"] = _guarded_tiers(day, died, p, model, draws)
    floor = model.parts.day_floor
    late = day > floor
    found["alive_at_day_floor"] = {
        "day": floor,
        "patients": int(late.sum()),
        "predicted": float(p[:, late].mean()),
        "observed_in_90_more_days": survival.died_by(day[late], died[late], floor + HORIZON_DAYS),
    }
    return found


def _guarded_tiers(day: Array, died: Array, p: Array, model: RiskModel, draws: int) -> dict[str, Any]:
    """Of each tier that reaches a bed: its ``share`` of the patients, the share of these that ``died`` by the horizon
    (Kaplan and Meier), and the share of all those ``deaths`` that it holds; each with its interval."""
    names = ("GREEN", "AMBER", "RED")
    tiers = np.array([[tier_of(value, model.thresholds) for value in row] for row in p.tolist()])

    def measured(who: NDArray[np.int64]) -> Array:
        """(tier, number)"""
        inside = np.array([tiers[:, who] == name for name in names])
        shares = inside.mean(axis=(1, 2))
        each = [
            [survival.died_by(day[who][row], died[who][row], HORIZON_DAYS) for row in rows if row.any()]
            for rows in inside
        ]
        dead = np.array([np.mean(values or [np.nan]) for values in each])
        deaths = np.nan_to_num(shares * dead)
        return np.column_stack((shares, dead, deaths / deaths.sum()))

    rng = np.random.default_rng(0)
    patients = len(died)
    drawn = np.array([measured(rng.integers(patients, size=patients)) for _ in range(draws)])
    values = measured(np.arange(patients))
    found: dict[str, Any] = {}
    for tier, name in enumerate(names):
        found[name] = {}
        for number, key in enumerate(("share", "died", "deaths")):
            found[name][key] = float(values[tier, number])
            found[name][f"{key}_interval"] = list(scores.middle(drawn[:, tier, number]))
    return found


def _raw_day(cohort: Cohort, repeats: Mapping[str, Array], model: RiskModel) -> dict[str, Any]:
    """What the raw day does when it is asked the same of everybody, by fits that had not seen the patient."""
    day, died = cohort.x[:, DAY], cohort.died
    amber, red = model.thresholds
    at_5, late, held = repeats[AT_5], repeats[LATE], repeats[GUARDED]
    was_red = held >= red
    cleared = float((late < red)[was_red].mean()) if was_red.any() else 0.0
    return {
        "auc_of_the_day_alone": scores.roc_auc(died, -day),
        "brier_at_day_0": float(np.mean([survival.brier_by(day, died, row, HORIZON_DAYS) for row in repeats[EARLY]])),
        "red_share_all_at_day_5": float((at_5 >= red).mean()),
        "red_share_all_at_day_280": float((late >= red).mean()),
        "red_at_day_5_green_at_day_280": float(((at_5 >= red) & (late < amber)).mean()),
        "red_until_day_100_not_red_at_day_280_were_the_day_clipped": cleared,
    }


def _tiers(died: Array, p: Array, model: RiskModel, draws: int) -> dict[str, Any]:
    tiers = np.array([[tier_of(value, model.thresholds) for value in row] for row in p.tolist()])
    found = {}
    for tier in ("GREEN", "AMBER", "RED"):

        def share(who: NDArray[np.int64], tier: str = tier) -> float:
            inside = tiers[:, who] == tier
            dead = (inside & (died[who] == 1)[None, :]).sum()
            return float(dead / inside.sum()) if inside.any() else float("nan")

        value, interval = _with_interval(share, len(died), draws)
        found[tier] = {"share": float((tiers == tier).mean()), "died": value, "died_interval": interval}
    return found


def _means(cuts: tuple[Cut, ...], died: Array, p: tuple[Array, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, score in NAMES.items():
        each = protocol.each(cuts, died, p, score)
        found[name], found[f"{name}_interval"] = scores.mean(each), list(scores.middle(each))
    return found


def _ratio(predicted: float, observed: float) -> float:
    return predicted / observed if observed else scores.NAN  # nobody of those that were drawn died in time


def _by_repeat(held: Sequence[Held], folds: Sequence[Cut], key: str, patients: int) -> Array:
    """(repeats, patients) out of the folds, each of which holds some patients out."""
    repeats = sum(len(cut.test) for cut in folds) // patients
    found = np.full((repeats, patients), np.nan)
    for number, (one, cut) in enumerate(zip(held, folds, strict=True)):
        found[number * repeats // len(folds), cut.test] = one[key]
    return found


def _with_interval(score: Callable[[NDArray[np.int64]], float], patients: int, draws: int) -> tuple[float, list[float]]:
    return score(np.arange(patients)), list(scores.bootstrap_interval(score, patients, draws))
