"""Three pictures for the model card: ROC, calibration, tiers. SVG and PNG.

Touches files, through matplotlib, which is imported when a picture is drawn. Must not know: how anything was measured.
Keeps: the same numbers give the same bytes with the same matplotlib (no dates, no random ids); every picture says what
it was drawn from, and colour is never the only signal.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hfzmq.errors import HfzmqError
from hfzmq.model.evaluation import scores

OURS, THEIRS, PLAIN = "#1b6ca8", "#b5651d", "#888888"
TIER_COLOURS = {"GREEN": "#2e8b57", "AMBER": "#e0a100", "RED": "#b22222"}
NAMES = ("model_roc", "model_calibration", "model_tiers")


def draw(curves: Mapping[str, Any], results: Mapping[str, Any], folder: Path) -> tuple[Path, ...]:
    """Write each of NAMES into ``folder`` as .svg and .png; the paths. HfzmqError when matplotlib is missing or the
    folder cannot be written."""
    written = []
    with drawing() as plt:
        makers = (_roc, _calibration, _tiers)
        for name, make in zip(NAMES, makers, strict=True):
            figure, axes = plt.subplots(figsize=(5.2, 4.2), layout="constrained")
            make(axes, curves, results)
            for suffix, metadata in ((".svg", {"Date": None, "Creator": None}), (".png", {"Software": None})):
                path = folder / (name + suffix)
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                    figure.savefig(path, metadata=metadata, dpi=120)
                except OSError as error:
                    hint = "choose another --plots"
                    raise HfzmqError(f"cannot write {path}: {error.strerror or error}", hint=hint) from None
                written.append(path)
            plt.close(figure)
    return tuple(written)


def require_matplotlib(otherwise: str = "leave --plots out") -> Any:
    """The module; HfzmqError when it is missing, which says what to do ``otherwise``."""
    try:
        return importlib.import_module("matplotlib")
    except ImportError as error:
        hint = f"pip install 'hfzmq[train]', or {otherwise}"
        raise HfzmqError(f"pictures need matplotlib: no {error.name or error} here", hint=hint) from None


@contextmanager
def drawing(otherwise: str = "leave --plots out") -> Iterator[Any]:
    """pyplot, set so that the same numbers give the same bytes. HfzmqError as with ``require_matplotlib``."""
    matplotlib = require_matplotlib(otherwise)
    matplotlib.use("Agg")
    plt = importlib.import_module("matplotlib.pyplot")
    settings = {
        "svg.hashsalt": "hfzmq", "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 9,
        "axes.spines.top": False, "axes.spines.right": False,
    }  # fmt: skip
    with matplotlib.rc_context(settings):
        yield plt


def _roc(axes: Any, curves: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    splits = results["splits"]
    lines = (
        ("ours", "this recipe", splits["ours"], OURS, "-"),
        ("theirs", "their logistic regression", splits["their_best_logistic"], THEIRS, "--"),
    )
    for key, label, values, colour, style in lines:
        false, true = scores.roc_points(curves["died"], curves[key])
        axes.plot(false, true, style, color=colour, label=f"{label}: mean AUC {values['roc_auc']:.3f}")
    axes.plot([0, 1], [0, 1], ":", color=PLAIN, label="chance: 0.5")
    axes.set(
        xlabel="share of the living called dead", ylabel="share of the dead found", xlim=(0, 1), ylim=(0, 1.01),
        title=f"Raw day, {splits['count']} random splits, held out, pooled",
    )  # fmt: skip
    axes.legend(loc="lower right", frameon=False)


def _calibration(axes: Any, curves: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    found = results["calibration"]
    axes.plot([0, 1], [0, 1], ":", color=PLAIN, label="ideal")
    bins = found["bins"]
    axes.plot([b["predicted"] for b in bins], [b["died"] for b in bins], "o-", color=OURS, label="this recipe")
    for b in bins:
        axes.annotate(str(b["patients"]), (b["predicted"], b["died"]), (4, -9), textcoords="offset points", fontsize=7)
    axes.set(
        xlabel="predicted", ylabel="died", xlim=(0, 1), ylim=(0, 1.02),
        title=f"Calibration: slope {found['slope']:.2f}, intercept {found['intercept']:+.2f}, ECE {found['ece']:.3f}\n"
        "(raw day, held out; beside each point: predictions)",
    )  # fmt: skip
    axes.legend(loc="upper left", frameon=False)


def _tiers(axes: Any, curves: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    groups = (
        ("raw day:\ndied in own follow-up", curves["tiers"]),
        (f"guarded, day 0:\ndied within {results['guarded']['horizon_days']} days", curves["guarded_tiers"]),
    )
    for group, (_, tiers) in enumerate(groups):
        for place, (tier, colour) in enumerate(TIER_COLOURS.items()):
            share, at = tiers[tier]["share"], group * 4 + place
            value = tiers[tier]["died"] if share else 0.0
            axes.bar(at, value, color=colour)
            words = f"{value:.0%}\nof {share:.0%}" if share else "nobody"
            axes.annotate(f"{tier}\n{words}", (at, value), ha="center", va="bottom")
    axes.set(ylim=(0, 1.15), ylabel="share that died", title="Deaths by tier, held out (10 x 5 folds)")
    axes.set_xticks([1, 5], [label for label, _ in groups])
