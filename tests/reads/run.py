"""``python -m tests.reads --rows 10000000``: how long people wait for what is stored, at more and more rows.

Fills one file, in a folder that may be kept, and stops at each size to ask every question of ``questions``, warm and
cold. ``--results docs/results/reads.json`` keeps what was found; ``python -m tests.reads.document`` writes the table of
docs/performance.md from it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from hfzmq.cli.format import table, thousands
from hfzmq.storage import Reader
from tests.provenance import origin
from tests.reads.measure import Times, Work, times_of, work_of
from tests.reads.questions import Question, questions
from tests.reads.ward import Ward, fill

GOAL_MS = 20.0
EXCUSED_MS = 1000.0  # later than that is no answer, whatever the reason
RUNS = ("hfzmq", "daemon", "tests/reads")
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
HEADS = ("question", "rows", "steps", "warm p50 ms", "p99", "cold p50 ms", "max", "")


@click.command()
@click.option("--rows", "rows_max", default=SIZES[-1], show_default=True, type=click.IntRange(1), help="At most.")
@click.option("--beds", default=Ward().beds, show_default=True, type=click.IntRange(8, 10_000))
@click.option("--dir", "kept", type=click.Path(path_type=Path), help="Keep the file here, and fill on what is there.")
@click.option("--results", type=click.Path(path_type=Path), help="Keep what was found here, as JSON.")
def main(rows_max: int, beds: int, kept: Path | None, results: Path | None) -> None:
    """Ask what people wait for, at 10,000 rows, ten times as many, and so on up to --rows; exit 1 where an answer takes
    longer than the goal at the last size, and has no reason to."""
    ward = Ward(beds)
    told: dict[str, Any] = {
        "what": "how long people wait for what is stored",
        "command": f"python -m tests.reads --rows {rows_max} --beds {beds}",
        **origin(RUNS),
        "goal_ms": GOAL_MS,
        "sizes": [],
    }
    with nullcontext(kept) if kept else tempfile.TemporaryDirectory() as folder:
        for rows in (*(size for size in SIZES if size < rows_max), rows_max):
            told["sizes"].append(_at(Path(folder or "."), ward, rows))
            told["load_average_1min"] = round(os.getloadavg()[0], 2)
            if results:
                results.parent.mkdir(parents=True, exist_ok=True)
                results.write_text(json.dumps(told, indent=1) + "\n")
    late = [one for one in told["sizes"][-1]["questions"] if not one["holds"]]
    lines = [f"  {one['question']}" + f": {one['may_be_late']}" * bool(one["may_be_late"]) for one in late]
    click.echo("\n".join([f"{len(late)} answers take longer than {GOAL_MS:g} ms", *lines]))
    sys.exit(not all(_is_excused(one) for one in late))


def _at(folder: Path, ward: Ward, rows: int) -> dict[str, Any]:
    """Fill the file to a size and ask everything."""
    folder.mkdir(parents=True, exist_ok=True)
    began, first = time.monotonic(), [0]

    def progress(stored: int) -> None:
        first[0] = first[0] or stored
        if sys.stderr.isatty():
            click.echo(f"\rfilling: {thousands(stored)} of {thousands(rows)} reports ", err=True, nl=stored >= rows)

    path = fill(folder, ward, rows, progress)
    seconds = time.monotonic() - began
    reader = Reader(path)
    try:
        size = _size(reader, path)
        rate = round((size["reports"] - first[0]) / seconds) if first[0] else None
        found = [(one, work_of(reader, one), times_of(reader, one)) for one in questions(ward, size["reports"], 1)]
    finally:
        reader.close()
    rows_told = [_figures(*one) for one in found]
    click.echo(_lines(size, rows_told))
    return {**size, "reports_filled_a_second": rate, "questions": rows_told}


def _is_excused(one: dict[str, Any]) -> bool:
    """Whether a late answer has a reason, which covers how late it is: what does not grow is late with a cold disk
    alone."""
    warm = bool(one["grows"]) or one["warm_p99"] <= GOAL_MS
    return bool(one["may_be_late"]) and warm and one["cold_p50"] <= EXCUSED_MS


def _size(reader: Reader, path: Path) -> dict[str, int]:
    def last(rows: list[tuple[Any, ...]]) -> int:
        return int(rows[0][0]) if rows else 0

    return {
        "reports": reader.count(),
        "readings": last(reader.readings(before_id=0, limit=1)),
        "alerts": last(reader.alerts(before_id=0, limit=1)),
        "alarms": last(reader.alarms(before_id=0, limit=1)),
        "journal_lines": last(reader.alarm_events(before_id=0, limit=1)),
        "patients": int(reader._rows("SELECT count(DISTINCT patient_id) FROM risk_reports")[0][0]),
        "file_bytes": path.stat().st_size,
    }


def _figures(question: Question, work: Work, times: Times) -> dict[str, Any]:
    return {
        "question": question.name,
        "rows": work.rows,
        "steps": work.steps,
        "scanned": work.scanned,
        **{name: value if isinstance(value, int) else round(value, 3) for name, value in times._asdict().items()},
        "holds": times.warm_p99 <= GOAL_MS and times.cold_p50 <= GOAL_MS,
        "grows": question.grows,
        "may_be_late": question.may_be_late,
        "plans": [{"statement": statement, "plan": list(plan)} for statement, plan in work.plans],
    }


def _lines(size: dict[str, int], rows: list[dict[str, Any]]) -> str:
    keys = ("rows", "steps", "warm_p50", "warm_p99", "cold_p50", "cold_max")
    cells = [(one["question"], *(one[key] for key in keys), "" if one["holds"] else "LATE") for one in rows]
    return "\n".join([", ".join(f"{thousands(size[key])} {key}" for key in size), table(HEADS, cells), ""])
