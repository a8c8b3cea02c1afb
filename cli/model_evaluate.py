"""``hfzmq model evaluate``: the published protocol again, our row beside theirs, every goal with its verdict.

Touches the files it is given, stdout and stderr. Keeps: stdout carries the table of goals, stderr the progress; the
exit code is 1 when a goal that counts is missed (speed does not); nothing is imported before the command runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hfzmq.cli.format import json_text, table
from hfzmq.cli.options import output_option
from hfzmq.cli.results_file import circumstances, cores, plain, progress, write_results

if TYPE_CHECKING:
    from hfzmq.model.evaluation.goals import Verdict

FILE = click.Path(path_type=Path)
STAGES = {
    "logistic": "their logistic regression, many times",
    "fits": "our recipe on each cut",
    "scores": "scores, intervals, the shipped weights",
}
PROCESSES_MAX = 64


@click.command(short_help="Measure the recipe on patients it has not seen.")
@click.option("--data", type=FILE, required=True, metavar="FILE", help="hf.csv: UCI data set 519.")
@click.option("--model", "path", type=FILE, metavar="FILE", help="A hf_model.npz.  [default: the packaged one]")
@click.option("--results", type=FILE, metavar="FILE", help="Also write every number, as JSON.")
@click.option("--plots", type=FILE, metavar="DIR", help="Also draw ROC, calibration and tiers, as SVG and PNG.")
@click.option(
    "--work", type=FILE, default=Path("out/evaluation"), show_default=True, metavar="DIR",
    help="Remembers each fit, so that a run that was stopped goes on.",
)  # fmt: skip
@click.option("--processes", type=click.IntRange(1, PROCESSES_MAX), metavar="N", help="Fits at once.  [default: cores]")
@click.option("--quick", is_flag=True, help="A few fits only, to see that it runs: no verdict.")
@output_option("table", "json")
def evaluate(
    data: Path,
    path: Path | None,
    results: Path | None,
    plots: Path | None,
    work: Path,
    processes: int | None,
    quick: bool,
    output: str,
) -> int:
    """Measure the recipe on patients it has not seen; needs the extra 'train' and some minutes.

    Exit code 1 when a goal is missed. Speed is told and does not count: it says how busy the machine is.

    \b
    hfzmq model evaluate --data hf.csv --results evaluate.json --plots pictures
    """
    from hfzmq.model.evaluation.evaluate import QUICK, WHOLE
    from hfzmq.model.evaluation.evaluate import evaluate as run
    from hfzmq.model.evaluation.goals import verdicts
    from hfzmq.model.evaluation.plots import draw, require_matplotlib
    from hfzmq.model.features import read_cohort
    from hfzmq.model.inference import RiskModel
    from hfzmq.model.network import RECIPE

    if plots is not None:
        require_matplotlib()  # now, and not after the minutes that the rest takes
    content, cohort = read_cohort(data)
    model = RiskModel.load(path)
    at_once = processes or min(cores(), PROCESSES_MAX)
    with progress(STAGES) as tell:
        found = run(cohort, content, model, work, at_once, tell, QUICK if quick else WHOLE, RECIPE)
    applies = cohort.published and not quick
    goals = verdicts(found.results, applies)
    counting = [one for one in goals if one.goal.counts]
    missed = [one for one in counting if one.met is False]
    whole = plain(
        {
            **circumstances("hfzmq model evaluate"),
            "data": {"sha256": cohort.sha256, "origin": cohort.origin},
            "recipe": RECIPE._asdict(),
            **found.results,
            "goals": [_goal(one) for one in goals],
        }
    )
    click.echo(f"data: {cohort.origin}, sha256 {cohort.sha256}", err=True)
    click.echo(json_text(whole) if output == "json" else goals_table(goals))
    if results is not None:
        write_results(results, whole)
    if plots is not None:
        for picture in draw(found.curves, found.results, plots):
            click.echo(f"wrote {picture}", err=True)
    if not applies:
        click.echo("the bounds are about the published data set and the whole protocol: no verdict", err=True)
    else:
        click.echo(f"{len(counting) - len(missed)} of {len(counting)} goals are met", err=True)
    return 1 if missed else 0


def goals_table(goals: tuple[Verdict, ...]) -> str:
    """Section by section: what was measured beside what was published and what it must be."""
    from hfzmq.model.evaluation.card import goal_rows

    return table(("check", "published", "measured", "95 %", "must", "verdict"), goal_rows(goals, check_as="  {}"))


def _goal(one: Verdict) -> dict[str, Any]:
    goal = one.goal
    return {
        "section": goal.section,
        "check": goal.check,
        "path": goal.path,
        "published": goal.published,
        "measured": one.measured,
        "least": goal.least,
        "most": goal.most,
        "counts": goal.counts,
        "met": one.met,
    }
