"""``hfzmq model``: the group, and ``train``.

Touches the files it is given, stdout and stderr. Keeps: numpy and TensorFlow are imported when a command needs them and
never for ``--help``; stdout carries what was asked for (written files, a judgement), stderr the progress and warnings.
"""

from __future__ import annotations

import time
from pathlib import Path

import click

from hfzmq.cli.groups import HelpGroup
from hfzmq.cli.model_ask import explain, predict
from hfzmq.cli.model_data import data as data_command
from hfzmq.cli.model_evaluate import evaluate
from hfzmq.cli.results_file import circumstances, progress, write_results

FILE = click.Path(path_type=Path)
STAGES = {
    "tensorflow": "starting TensorFlow",
    "teacher": "growing the forest that teaches",
    "network": "training the network",
    "measure": "measuring the model",
}


@click.group("model", cls=HelpGroup)
def model() -> None:
    """The risk model: train it, evaluate it, ask it. Research software, not a medical device."""


@model.command(short_help="Train on a CSV and write the model's files.")
@click.option("--data", type=FILE, required=True, metavar="FILE", help="hf.csv: UCI data set 519, or its columns.")
@click.option("--out", type=FILE, default=Path("out/model"), show_default=True, metavar="DIR", help="For the files.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=2021, show_default=True, metavar="N")
@click.option("--results", type=FILE, metavar="FILE", help="Also write what was measured, as JSON.")
@click.option("--evaluation", type=FILE, metavar="FILE", help="Results of 'evaluate': the model file carries them.")
def train(data: Path, out: Path, seed: int, results: Path | None, evaluation: Path | None) -> None:
    """Train on every patient of a CSV and write the model's files; needs the extra 'train'.

    \b
    hfzmq model train --data hf.csv
    hfzmq model predict --model out/model/hf_model.npz --age 75 --sodium 130 --creatinine 1.9 --ef 20 --day 4
    """
    from hfzmq.model.train import train as train_model

    began = time.perf_counter()
    with progress(STAGES) as tell:
        trained = train_model(data, out, seed, tell, evaluation=evaluation)
    for warning in trained.warnings:
        click.echo(f"warning: {warning}", err=True)
    origin = trained.results["data"]
    click.echo(f"data: {origin['origin']}, sha256 {origin['sha256']}", err=True)
    for name, sha256 in trained.files.items():
        click.echo(f"{sha256}  {out / name}")
    if results is not None:
        sha256_of = dict(trained.files)
        write_results(results, {**circumstances("hfzmq model train"), **trained.results, "files": sha256_of})
    click.echo(f"trained in {time.perf_counter() - began:.1f} s", err=True)


for _command in (evaluate, data_command, predict, explain):
    model.add_command(_command)
