"""The plot of growth: above how many reports a second, below how soon, for each thing that grows.

Touches one file, through matplotlib, which is imported when it is drawn. Must not know: how anything was measured.
Keeps: the same results give the same bytes with the same matplotlib; colour is never the only signal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hfzmq.cli.bench.table import AXIS_HEADS
from hfzmq.errors import HfzmqError
from hfzmq.model.evaluation.plots import OURS, THEIRS, drawing

STYLES = ((OURS, "o"), (THEIRS, "s"))  # colour and mark of a workload, in their order
MS = 1000
LINEAR = "peers"  # the axis whose steps do not multiply
TICKED = ("peers", "bytes")  # the axes whose steps are no powers of ten
# Above its panel: whatever the figures are, it hides none.
LEGEND = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2, "frameon": False, "fontsize": 7, "handlelength": 3}


def draw(told: Mapping[str, Any], path: Path) -> None:
    """Of the section ``growth`` of a results file. HfzmqError: no matplotlib, or the file cannot be written."""
    axes = [axis for axis in AXIS_HEADS if axis in told]
    with drawing("see the tables") as plt:
        figure, grid = plt.subplots(
            2, len(axes), figsize=(1 + 2.7 * len(axes), 5.6), sharey="row", layout="constrained", squeeze=False
        )
        for column, axis in enumerate(axes):
            _column(plt, grid[0][column], grid[1][column], axis, told[axis]["points"])
        grid[0][0].set(ylabel="reports a second")
        grid[1][0].set(ylabel="ms from request to answer")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, metadata={"Date": None, "Creator": None} if path.suffix == ".svg" else None)
        except OSError as error:
            raise HfzmqError(f"cannot write {path}: {error.strerror or error}", hint="give another place") from None
        finally:
            plt.close(figure)


def _column(plt: Any, rates: Any, latencies: Any, axis: str, points: Sequence[Mapping[str, Any]]) -> None:
    for (name, line), (colour, mark) in zip(_lines(axis, points).items(), STYLES, strict=False):
        values = [point["value"] for point in line]
        rates.plot(values, [point["rate"] for point in line], mark + "-", color=colour, label=name, markersize=4)
        for key, words, dashes in (("p50_us", "p50", "-"), ("p99_us", "p99", "--")):
            ms = [point[key] / MS for point in line]
            latencies.plot(values, ms, mark + dashes, color=colour, label=f"{name}, {words}", markersize=4)
    steps = sorted({point["value"] for point in points})
    for panel in (rates, latencies):
        panel.set_yscale("log")
        panel.grid(axis="y", which="both", color="#dddddd", linewidth=0.6)
        panel.yaxis.set_major_formatter(_plain)
        panel.yaxis.set_minor_formatter(_plain)
        panel.tick_params(axis="y", which="minor", labelsize=6)
        if axis != LINEAR:
            panel.set_xscale("log")
        if axis in TICKED:
            panel.set_xticks(steps, [str(step) for step in steps])
            panel.xaxis.set_minor_locator(plt.NullLocator())
        panel.legend(**LEGEND)
    latencies.set(xlabel=AXIS_HEADS[axis])


def _plain(value: float, place: int) -> str:
    """A number on an axis; of those between two powers of ten every other one."""
    digit = f"{value:e}"[0]
    return f"{value:,g}" if digit in "1235" else ""


def _lines(axis: str, points: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The points of each workload; along the clients' axis that is what grows."""
    if axis == "clients":
        return {"n x 1": [*points]}
    names = dict.fromkeys(point["workload"] for point in points)
    return {name: [point for point in points if point["workload"] == name] for name in names}
