"""The tables of the model card, made from the results files that the commands wrote.

    python -m hfzmq.model.evaluation.card docs/results/model_evaluate.json docs/results/model_train.json

Touches those files, when run as a command. Must not know how anything was measured. Keeps: every figure on the card
stands in a results file; a test holds the card against these tables.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hfzmq.model.evaluation.goals import Verdict, bound_words, verdict_words, verdicts


def goals_table(results: Mapping[str, Any]) -> str:
    """Every goal: what was measured beside what was published and what it must be."""
    heads = ("check", "published", "measured", "95 %", "must", "")
    return _markdown(heads, goal_rows(verdicts(results, True), section_as="**{}**"))


def goal_rows(found: Sequence[Verdict], section_as: str = "{}", check_as: str = "{}") -> list[tuple[str, ...]]:
    """Section by section, in words: the check, what was published, measured, its interval, what it must be, the
    verdict. ``section_as`` and ``check_as``: how a section's and a check's name are set."""
    rows: list[tuple[str, ...]] = []
    section = ""
    for one in found:
        if one.goal.section != section:
            section = one.goal.section
            rows.append((section_as.format(section), "", "", "", "", ""))
        interval = "" if one.interval is None else f"{figure(one.interval[0])} to {figure(one.interval[1])}"
        measured = (check_as.format(one.goal.check), one.goal.published, figure(one.measured), interval)
        rows.append((*measured, bound_words(one.goal), verdict_words(one)))
    return rows


def day_table(results: Mapping[str, Any]) -> str:
    """What the raw day does, and what the guarded number is worth."""
    raw, guarded = results["raw_day"], results["guarded"]
    later, cox = guarded["alive_at_day_floor"], guarded["cox"]
    largest = max(abs(b["died"] - b["predicted"]) for b in results["calibration"]["bins"])
    rows = [
        ("the day alone, as a score for death: AUC", figure(raw["auc_of_the_day_alone"])),
        ("raw day, tenths of the scale, the 100 splits: largest distance of predicted and died", figure(largest)),
        ("raw day, asked at day 0: Brier within 90 days; of a constant", f"{figure(raw['brier_at_day_0'])}; "
         f"{figure(guarded['constant_brier'])}"),
        ("raw day: share RED with everybody at day 5; at day 280", f"{share(raw['red_share_all_at_day_5'])}; "
         f"{share(raw['red_share_all_at_day_280'])}"),
        ("raw day: RED at day 5 and GREEN at day 280, unchanged labs", share(raw["red_at_day_5_green_at_day_280"])),
        ("were the day clipped to 100..285: RED by day 100, not RED at day 280, unchanged labs",
         share(raw["red_until_day_100_not_red_at_day_280_were_the_day_clipped"])),
        ("guarded (held at 100): RED and not RED later, unchanged labs", "0 %, by construction"),
        ("guarded, mean at day 0; deaths within 90 days", f"{figure(guarded['predicted'])}; "
         f"{figure(guarded['observed'])}"),
        ("Cox's regression, same inputs and folds: Brier; C", f"{figure(cox['brier'])}; {figure(cox['c'])}"),
        (f"alive at day {later['day']:g}: predicted; died within 90 more days",
         f"{figure(later['predicted'])}; {figure(later['observed_in_90_more_days'])}"),
    ]  # fmt: skip
    return _markdown(("held out, 10 x 5 folds", ""), rows)


def guarded_table(results: Mapping[str, Any]) -> str:
    """The tiers that reach a bed: how many patients are in each, how many of these died, how many of the deaths it
    holds."""
    rows = []
    for name in ("GREEN", "AMBER", "RED"):
        tier = results["guarded"]["tiers"][name]
        cells = [f"{share(tier[key])} ({_interval(tier[key + '_interval'])})" for key in ("share", "died", "deaths")]
        rows.append((name, *cells))
    heads = ("guarded tier at day 0", "of the patients", "of these died within 90 days", "of all who did, were here")
    return _markdown(heads, rows)


def withheld_table(results: Mapping[str, Any]) -> str:
    """What became of the two ends when a value that is known was withheld."""
    rows = []
    for name, found in results["withheld"].items():
        outside = f"{share(found['outside'] / found['patients'])} ({share(found['above'] / found['patients'])} above)"
        definite, wrong = found["definite"], found["wrong"]
        rows.append((name, outside, f"{definite} of {found['patients']}", f"{wrong}, {found['too_low']} too low"))
    heads = ("withheld", "the number was outside the ends", "a tier was said", "another than with the value")
    return _markdown(heads, rows)


def beside_table(results: Mapping[str, Any]) -> str:
    """Our recipe and their best logistic regression on the same splits, and whether the difference is one."""
    splits = results["splits"]
    ours, theirs, p = splits["ours"], splits["their_best_logistic"], splits["p_of_no_difference"]
    words = ("MCC", "F1", "accuracy", "ROC AUC", "PR AUC", "Brier")
    rows = [
        (word, figure(ours[name]), figure(theirs[name]), f"{p[name]:.2f}") for word, name in zip(words, p, strict=True)
    ]
    return _markdown(("100 random splits", "this recipe", "their logistic regression", "p of no difference"), rows)


def shipped_table(results: Mapping[str, Any], trained: Mapping[str, Any]) -> str:
    """Which weights, made and measured when and from what."""
    shipped, versions, fits = results["shipped"], trained["versions"], results["fits"]
    kept = f", {fits['remembered']} of {fits['count']} fits remembered from before" if fits["remembered"] else ""
    rows = [
        ("weights sha256; model id", f"`{shipped['weights_sha256']}`; `{shipped['weights_sha256'][:12]}`"),
        ("data sha256", f"`{results['data']['sha256']}`"),
        ("seed", str(trained["seed"])),
        ("trained", f"{trained['date'][:10]}, commit `{trained['commit'][:12]}`, {trained['seconds']['fit']} s"),
        ("evaluated", f"{results['date'][:10]}, commit `{results['commit'][:12]}`, {results['seconds']['all'] / 60:.0f}"
         f" min on {results['cores']} cores (load {results['load_average_1min']}){kept}"),
        ("with", f"TensorFlow {versions['tensorflow']}, Keras {versions['keras']}, scikit-learn "
         f"{versions['scikit-learn']}, numpy {versions['numpy']}"),
        ("the sickest patient of the training range, guarded", figure(shipped["guarded_ceiling"])),
    ]  # fmt: skip
    return _markdown(("shipped", ""), rows)


def figure(value: float) -> str:
    """``0.914``; small and large ones with three digits that count."""
    if value == 0 or math.isnan(value):
        return "0" if value == 0 else "no value"
    return f"{value:.3g}" if abs(value) < 1e-3 or abs(value) >= 10 else f"{value:.3f}"


def _interval(ends: Sequence[float]) -> str:
    return f"{ends[0] * 100:.0f} to {ends[1] * 100:.0f}"


def share(value: float) -> str:
    """``12.9 %``."""
    return f"{value * 100:.1f} %"


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def tables(results: Mapping[str, Any], trained: Mapping[str, Any]) -> tuple[str, ...]:
    """All of them, in the order of the card."""
    about_tiers = (guarded_table(results), withheld_table(results))
    return (
        goals_table(results),
        beside_table(results),
        *about_tiers,
        day_table(results),
        shipped_table(results, trained),
    )


if __name__ == "__main__":
    evaluated, made = (json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:3])
    sys.stdout.write("\n\n".join(tables(evaluated, made)) + "\n")
