"""The tables of reads in docs/performance.md, made from the results files: ``python -m tests.reads.document``.

Keeps: only what stands between the marks changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hfzmq.cli.format import thousands
from tests.provenance import ROOT

DOCUMENT = ROOT / "docs" / "performance.md"
READS, WRITING = (ROOT / "docs" / "results" / name for name in ("reads.json", "reads_writing.json"))
BEGIN, END = "<!-- reads: python -m tests.reads.document -->\n", "<!-- end of reads -->"


def markdown(told: Mapping[str, Any]) -> str:
    """One line for each question: how long it takes at the largest size, and its steps at each size."""
    sizes, last = told["sizes"], told["sizes"][-1]
    heads = ["question", "rows", "warm p50 ms", "p99", "cold p50 ms", "max", "goal"]
    heads += [f"steps at {thousands(size['reports'])}" for size in sizes]
    lines = [f"| {' | '.join(row)} |" for row in (heads, ["---", *["---:"] * (len(heads) - 1)])]
    for number, one in enumerate(last["questions"]):
        figures = [f"{one[key]:.2f}" for key in ("warm_p50", "warm_p99", "cold_p50", "cold_max")]
        steps = [thousands(size["questions"][number]["steps"]) for size in sizes]
        goal = "holds" if one["holds"] else "**late**"
        lines.append(f"| {' | '.join([one['question'], thousands(one['rows']), *figures, goal, *steps])} |")
    late = [one for one in last["questions"] if not one["holds"]]
    why = [f"- *{one['question']}*: {one['may_be_late'] or '**nothing explains it**'}." for one in late]
    what = ", ".join(f"{thousands(last[key])} {key}" for key in ("readings", "alerts", "alarms", "patients"))
    filled = ", ".join(
        f"{thousands(size['reports_filled_a_second'])}/s" for size in sizes if size["reports_filled_a_second"]
    )
    lines += [
        "",
        f"Times at {thousands(last['reports'])} reports, with {what}, in a file of "
        f"{last['file_bytes'] / (1 << 20):,.0f} MiB. Goal: {told['goal_ms']:g} ms, warm p99 and cold p50; {len(late)} "
        f"of {len(last['questions'])} are late. Filled at {filled or 'an earlier time'}. {_where(told)}",
    ]
    if why:
        lines += ["", "Late:", "", *why]
    return "\n".join(lines) + "\n"


def writing(told: Mapping[str, Any]) -> str:
    """One line for each way to find a patient's reports: what it costs to store one."""
    rows = [["a patient's reports are found by", "CPU us, median", "CPU us, mean", "pages of the WAL"]]
    rows += [["---", "---:", "---:", "---:"]]
    rows += [[name, *(f"{value:g}" for value in one.values())] for name, one in told["ways"].items()]
    what = str(told["what"])
    return (
        "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", f"{what[0].upper()}{what[1:]}. {_where(told)}"])
        + "\n"
    )


def _where(told: Mapping[str, Any]) -> str:
    dirty = "-dirty" if told["dirty"] else ""
    return (
        f"(`{told['command']}`, {told['date']}, commit {told['commit'][:10]}{dirty}, source {told['source']}, "
        f"{told['cores']} cores, load {told['load_average_1min']:g} at the end)"
    )


def put(text: str, tables: Sequence[str]) -> str:
    """A document with the tables between its marks. ValueError: it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no {BEGIN.strip()} and {END}")
    return "\n".join([f"{before}{begin}", *tables, f"{end}{after}"])


def main() -> None:
    """Bring docs/performance.md up to date."""
    tables = [
        made(json.loads(file.read_text())) for file, made in ((READS, markdown), (WRITING, writing)) if file.exists()
    ]
    DOCUMENT.write_text(put(DOCUMENT.read_text(), tables))


if __name__ == "__main__":
    main()
