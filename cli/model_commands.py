"""``hfzmq model``: train the risk model, ask it about one reading.

Touches the files it is given, stdout and stderr. Keeps: numpy and TensorFlow are imported when a command needs them and
never for ``--help``; stdout carries what was asked for (written files, a judgement), stderr the progress and warnings.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

from hfzmq.cli.format import json_text, table
from hfzmq.cli.options import output_option
from hfzmq.errors import HfzmqError

FILE = click.Path(path_type=Path)
STAGES = {
    "tensorflow": "starting TensorFlow",
    "teacher": "growing the forest that teaches",
    "network": "training the network",
    "measure": "measuring the model",
}


@click.group("model")
def model() -> None:
    """Train the risk model, or ask it about one reading. Research software, not a medical device."""


@model.command()
@click.option("--data", type=FILE, required=True, metavar="FILE", help="hf.csv: UCI data set 519, or its columns.")
@click.option("--out", type=FILE, default=Path("out/model"), show_default=True, metavar="DIR", help="For the files.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=2021, show_default=True, metavar="N")
@click.option("--results", type=FILE, metavar="FILE", help="Also write what was measured, as JSON.")
def train(data: Path, out: Path, seed: int, results: Path | None) -> None:
    """Train on every patient of a CSV and write the model's files; needs the extra 'train'.

    \b
    hfzmq model train --data hf.csv
    hfzmq model predict --model out/model/hf_model.npz --age 75 --sodium 130 --creatinine 1.9 --ef 20 --day 4
    """
    from hfzmq.model.train import train as train_model

    began = time.perf_counter()
    with _progress() as progress:
        trained = train_model(data, out, seed, progress)
    for warning in trained.warnings:
        click.echo(f"warning: {warning}", err=True)
    origin = trained.results["data"]
    click.echo(f"data: {origin['origin']}, sha256 {origin['sha256']}", err=True)
    for name, sha256 in trained.files.items():
        click.echo(f"{sha256}  {out / name}")
    if results is not None:
        sha256_of = dict(trained.files)
        _write_results(results, {**_circumstances(), **trained.results, "files": sha256_of})
    click.echo(f"trained in {time.perf_counter() - began:.1f} s", err=True)


@model.command()
@click.option("--age", type=float, required=True, metavar="YEARS")
@click.option("--sodium", type=float, required=True, metavar="MEQ_PER_L", help="Serum sodium.")
@click.option("--creatinine", type=float, required=True, metavar="MG_PER_DL", help="Serum creatinine.")
@click.option("--ef", type=float, required=True, metavar="PERCENT", help="Ejection fraction.")
@click.option("--day", type=int, required=True, metavar="DAYS", help="Days since follow-up began.")
@click.option("--model", "path", type=FILE, metavar="FILE", help="A hf_model.npz.  [default: the packaged one]")
@output_option("table", "json")
def predict(age: float, sodium: float, creatinine: float, ef: float, day: int, path: Path | None, output: str) -> None:
    """Judge one reading: the guarded probability and its tier; beside it the raw-day figure of the study.

    \b
    hfzmq model predict --age 75 --sodium 130 --creatinine 1.9 --ef 20 --day 4
    """
    from hfzmq.clinical.tiers import tier_of
    from hfzmq.model.inference import RiskModel

    risk = RiskModel.load(path)
    judged = risk.judge(age, sodium, creatinine, ef, day)
    value = {
        "probability": judged.probability,
        "tier": tier_of(judged.probability, risk.thresholds),
        "probability_study": judged.probability_study,
        "tier_study": tier_of(judged.probability_study, risk.thresholds),
        "flags": list(judged.flags),
        "model_id": risk.model_id,
    }
    if output == "json":
        click.echo(json_text(value))
        return
    rows = [
        ("guarded", f"{judged.probability:.4f}", value["tier"], "sets the tier and the alarm"),
        ("study", f"{judged.probability_study:.4f}", value["tier_study"], "raw day, for details only"),
    ]
    click.echo(table(("number", "probability", "tier", "use"), rows))
    click.echo(f"flags: {', '.join(judged.flags) or 'none'}")
    click.echo(f"model: {risk.model_id}")


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """What ``train`` calls with (stage, share): a bar on a terminal, one line a stage elsewhere; on stderr."""
    if not sys.stderr.isatty():
        seen: set[str] = set()

        def say(stage: str, share: float) -> None:
            if stage not in seen:
                seen.add(stage)
                click.echo(f"{STAGES.get(stage, stage)} ...", err=True)

        yield say
        return

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<32}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def move(stage: str, share: float) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(STAGES.get(stage, stage), total=1.0)
            bars.update(tasks[stage], completed=share)

        yield move


def _circumstances() -> dict[str, Any]:
    """When, from which commit, on how many cores and how busy: what a number needs to be compared."""
    return {
        "command": "hfzmq model train",
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average_1min": round(os.getloadavg()[0], 2),  # who else was using them
    }


def _commit() -> str | None:
    """The commit of this checkout, with '-dirty' when files differ from it; None when this is no checkout."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():  # installed: whatever repository lies around it is not ours
        return None
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _write_results(path: Path, value: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json_text(value) + "\n", encoding="utf-8")
    except OSError as error:
        raise HfzmqError(f"cannot write {path}: {error.strerror or error}", hint="choose another --results") from None
