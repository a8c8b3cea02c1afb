"""The tables and the plot of docs/performance.md, made from the results file: no figure there was typed by hand.

    python -m hfzmq.cli.bench.document docs/results/bench.json docs/performance.md

Touches these files, the plot's. Must not know: how anything is measured. Keeps: of the document only what stands
between the marks changes; without matplotlib nothing does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hfzmq.cli.bench.compare import short
from hfzmq.cli.bench.place import GROWTH
from hfzmq.cli.bench.table import (
    FIGURES,
    GROWTH_LEGEND,
    LEGEND,
    RATIO_LEGEND,
    cells,
    counted_back,
    growth_tables,
    minutes,
)
from hfzmq.cli.format import counted, thousands
from hfzmq.errors import HfzmqError

BEGIN, END = "<!-- figures: make bench -->\n", "<!-- end of figures -->"
PLOT = "images/bench_growth.svg"  # beside the document
RATIO_GOAL = 0.7  # of the sketch's reports/s
GAP_GOALS_MS = {1000: 1300, 150: 300}  # by the lease: the median
MESH = "hfzmq"


def markdown(results: Mapping[str, Any]) -> str:
    """All sections of a results file."""
    parts = ["\n".join(_in_short(results))]
    if "speed" in results:
        parts.append(_speed(results["speed"]))
    parts += [_failover(told) for _, told in _failovers(results)]
    if "long" in results:
        parts.append(_long(results["long"]))
    if results.get(GROWTH):
        parts.append(_growth(results[GROWTH]))
    return "\n\n".join(parts) + "\n"


def put(text: str, results: Mapping[str, Any]) -> str:
    """A document with the figures of ``results`` between its marks. ValueError: it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no {BEGIN.strip()} and {END}")
    return f"{before}{begin}\n{markdown(results)}\n{end}{after}"


def _in_short(results: Mapping[str, Any]) -> Iterable[str]:
    """A line for each thing that has a goal."""
    for workload in results.get("speed", {}).get("workloads", ()):
        mesh, ratio = workload["systems"][MESH], workload.get("ratio_to_sketch", {}).get(MESH)
        one = "a report" if workload["batch"] == 1 else f"a request of {workload['batch']} reports"
        line = f"- **{workload['name']}**: {thousands(mesh['rate'])} reports/s; {one} waits "
        line += f"{short(mesh['p50_us'] / 1000):g} ms (median)."
        if ratio:
            is_met = ratio["rate"] >= RATIO_GOAL
            line += f" {ratio['rate']:g} of the sketch's reports/s; goal {RATIO_GOAL:g}: {_met(is_met)}."
        yield line
    for _, told in _failovers(results):
        p50, goal = told["gap_ms"]["p50"], GAP_GOALS_MS.get(told["lease_ms"])
        line = f"- **kill -9 of the leader**, lease {told['lease_ms']} ms: a steady writer waits {p50:g} ms (median)"
        yield f"{line}; goal {goal:g} ms: {_met(p50 <= goal)}." if goal else f"{line}."
    if "long" in results:
        told = results["long"]
        yield f"- **{minutes(told)} of {told['workload']}**: {told['verdict']}, {_elections(told)}."


def _met(is_met: bool) -> str:
    return "met" if is_met else "**not met**"


def _elections(told: Mapping[str, Any]) -> str:
    return counted(told["elections"], "election")


def _failovers(results: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return sorted((name, told) for name, told in results.items() if name.startswith("failover"))


def _speed(told: Mapping[str, Any]) -> str:
    rows = []
    for workload in told["workloads"]:
        for system, figures in workload["systems"].items():
            cores = short(figures["rate"] * (figures["client_cpu_us"] + figures["peers_cpu_us"]) / 1e6)
            rate, *others = cells(figures, FIGURES)
            between = f"{_cell(min(figures['rates']))} to {_cell(max(figures['rates']))}"
            rows.append([workload["name"], system, rate, between, *others, cores])
        for system, ratio in workload.get("ratio_to_sketch", {}).items():
            rate, *others = (ratio[key] for key in FIGURES.values())
            rows.append([workload["name"], f"**{system} / sketch**", rate, "", *others, ""])
    rate, *heads = FIGURES
    legend = f"{LEGEND}; cores: how many were at work, of clients and peers together. {RATIO_LEGEND}."
    return "\n".join(
        [
            *_table(["workload", "system", rate, "lowest to highest", *heads, "cores"], rows),
            "",
            f"{legend} Medians of {told['rounds']} rounds of {told['seconds']:g} s, {told['beds']} beds, reports of "
            f"{told['report_bytes']} bytes on the wire. Read back from every disk: {counted_back(told)}. "
            + _where(told),
        ]
    )


def _failover(told: Mapping[str, Any]) -> str:
    gap = told["gap_ms"]
    each = ", ".join(map(str, sorted(gap["all"])))
    return (
        f"Longest gap between acknowledgements when the leader gets kill -9, lease {told['lease_ms']} ms: p50 "
        f"{gap['p50']:g} ms, of {told['kills']} kills: {each} ms. {_where(told)}"
    )


def _long(told: Mapping[str, Any]) -> str:
    faults = f" ({'; '.join(told['not_flat'])})" if told["not_flat"] else ""
    return (
        f"{minutes(told)} of {told['workload']}: {told['verdict']}{faults}; "
        f"{thousands(round(told['rate']))} reports a second, p99.9 {told['p999_us'] / 1000:.1f} ms, the longest "
        f"{told['max_us'] / 1000:.1f} ms; {_elections(told)}. {_where(told)}"
    )


def _growth(told: Mapping[str, Any]) -> str:
    parts = ["### As it grows", f"![Reports a second and latency as one thing grows]({PLOT})", f"{GROWTH_LEGEND}."]
    for axis, grown in growth_tables(told):
        part = told[axis]
        terms = (
            f"Medians of {part['rounds']} rounds of {part['seconds']:g} s; "
            f"{thousands(grown.read_back)} reports were read back. {_where(part)}"
        )
        parts += ["\n".join(_table(grown.heads, grown.rows)), terms]
    return "\n\n".join(parts)


def _where(told: Mapping[str, Any]) -> str:
    return (
        f"(`{told['command']}`, {told['date'][:10]}, commit {str(told['commit'])[:10]}, source {told['source']}, "
        f"{told['cores']} cores of {told['processor']}, load {told['load_average_before']:g} before, "
        f"a sync takes {told['disk']['fsync_p50_ms']:g} ms)"
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    marks = ["---", "---", *["---:"] * (len(heads) - 2)]
    return [f"| {' | '.join(map(_cell, row))} |" for row in (heads, marks, *rows)]


def _cell(value: object) -> str:
    return thousands(value) if isinstance(value, int) else "" if value is None else str(value)


def main(results: str, document: str) -> None:
    """Bring a document and its plot up to date. HfzmqError: there is no matplotlib to draw with."""
    path = Path(document)
    told = json.loads(Path(results).read_text(encoding="utf-8"))
    if told.get(GROWTH):
        from hfzmq.cli.bench.picture import draw

        draw(told[GROWTH], path.parent / PLOT)
    path.write_text(put(path.read_text(encoding="utf-8"), told), encoding="utf-8")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except HfzmqError as error:
        sys.exit(f"error: {error}\nhint: {error.hint}")
