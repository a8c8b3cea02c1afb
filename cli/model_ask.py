"""``hfzmq model predict`` and ``explain``: what the model says of one reading, or of a file of them, and why.

Touches the files it is given, stdin, stdout and stderr. Keeps: stdout carries answers only; a line that cannot be
judged is named on stderr with its number and field, and the others are judged all the same; a value that was not given
is not made up: the answer is then two ends, and UNKNOWN where these are not of one tier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hfzmq.cli.format import counted, csv_line, json_line, json_text, table
from hfzmq.cli.format import number as plain
from hfzmq.cli.options import CSV_NOTE, output_option
from hfzmq.clinical.risk_words import NOT_A_DEVICE, RISK_OF, STUDY_RISK_OF
from hfzmq.errors import InvalidInput

if TYPE_CHECKING:
    from hfzmq.cli.bedside.readings import Reading
    from hfzmq.config import Thresholds
    from hfzmq.model.inference import RiskModel

FILE = click.Path(path_type=Path)
F = TypeVar("F", bound=Callable[..., Any])
Vitals = tuple[Any, Any, Any, Any, Any]

NAMES = ("age", "serum_sodium", "serum_creatinine", "ejection_fraction", "day")
OPTIONS = ("--age", "--sodium", "--creatinine", "--ef", "--day")


def reading_options(function: F) -> F:
    """The five values of one reading, each optional, and ``--model``."""
    units = ("YEARS", "MEQ_PER_L", "MG_PER_DL", "PERCENT", "DAYS")
    says = ("", "Serum sodium.", "Serum creatinine.", "Ejection fraction.", "Days since follow-up began.")
    packaged = "A hf_model.npz.  [default: the packaged one]"
    function = click.option("--model", "path", type=FILE, metavar="FILE", help=packaged)(function)
    for name, option, unit, said in reversed(tuple(zip(NAMES, OPTIONS, units, says, strict=True))):
        kind = int if name == "day" else float
        function = click.option(option, name, type=kind, metavar=unit, help=said)(function)
    return function


@click.command(short_help="Judge one reading, or each line of a file.")
@click.argument("source", required=False, metavar="[FILE|-]")
@reading_options
@click.option(
    "-o", "--output", type=click.Choice(("table", "json", "jsonl", "csv"), case_sensitive=False),
    help=f"How to print it. {CSV_NOTE}  [default: a table of one reading; a file's answers as the file: csv or jsonl]",
)  # fmt: skip
def predict(source: str | None, path: Path | None, output: str | None, **vitals: Any) -> None:
    """Judge one reading, or each line of a CSV or JSON lines file.

    The guarded probability sets the tier: of death within about 90 days of the start of follow-up, as the study's
    patients had it. The study's takes the day as it is, for details: of having died by the end of a follow-up of that
    many days. A value left out (no option, an empty cell, null or no key) is not known: then probability and
    probability_low are what it is with the value at its 5th and 95th percentile in the training set. One patient in ten
    is beyond these. A CSV has all five columns, though cells may be empty; an unknown JSON key is refused.

    Exit codes: 0 all was judged; 6 a line was not, or there is none; 5 no such file.

    \b
    hfzmq model predict --age 75 --sodium 130 --creatinine 1.9 --ef 20 --day 4
    hfzmq model predict patients.csv > judged.csv
    """
    given = tuple(vitals[name] for name in NAMES)
    if source is None and given == (None,) * len(NAMES):
        raise click.UsageError("a reading (--age 75 ...) or a file is needed")
    if source is not None and given != (None,) * len(NAMES):
        raise click.UsageError("a reading or a file, not both")
    from hfzmq.model.inference import RiskModel

    risk = RiskModel.load(path)
    if source is not None:
        _predict_file(risk, source, output)
        return
    value = judged(risk, given)
    if output in (None, "table"):
        click.echo(_single(value))
    elif output == "csv":
        click.echo(csv_line(value) + "\n" + csv_line(_cells(value)))
    else:
        click.echo(json_text(value) if output == "json" else json_line(value))


def judged(risk: RiskModel, vitals: Vitals) -> dict[str, Any]:
    """What is printed of one reading; InvalidInput."""
    from hfzmq.clinical.tiers import tier_between

    found = risk.judge(*vitals)
    return {
        "probability": found.probability,
        "tier": tier_between(found.probability_low, found.probability, risk.thresholds),
        "probability_low": found.probability_low,
        "probability_study": found.probability_study,
        "probability_study_low": found.probability_study_low,
        "tier_study": tier_between(found.probability_study_low, found.probability_study, risk.thresholds),
        "flags": list(found.flags),
        "model_id": risk.model_id,
    }


def _single(value: dict[str, Any]) -> str:
    guarded = _between(value["probability_low"], value["probability"])
    study = _between(value["probability_study_low"], value["probability_study"])
    rows = [
        ("guarded", guarded, value["tier"], "sets the tier and the alarm"),
        ("study", study, value["tier_study"], "raw day, for details only"),
    ]
    last = _last_lines(value["flags"], value["model_id"])
    return f"{table(('number', 'probability', 'tier', 'use'), rows)}\n{last}\n{_OF}"


_OF = f"guarded: a risk of {RISK_OF}\nstudy: of {STUDY_RISK_OF}; {NOT_A_DEVICE}"


def _between(low: float, high: float) -> str:
    return f"{high:.4f}" if low == high else f"{low:.4f} to {high:.4f}"


def _last_lines(flags: Sequence[str], model_id: str) -> str:
    return f"flags: {', '.join(flags) or 'none'}\nmodel: {model_id}"


def _predict_file(risk: RiskModel, source: str, output: str | None) -> None:
    from hfzmq.cli.bedside.output import ProgressLine
    from hfzmq.cli.bedside.readings import Refused
    from hfzmq.cli.model_lines import read_lines

    lines = read_lines(source)
    done = refused = 0
    progress = ProgressLine(lambda: f"{lines.name}: {counted(done, 'line')} judged, {refused} refused")
    rows: list[dict[str, Any]] = []
    written = output or ("jsonl" if lines.is_json else "csv")
    for item in lines:
        try:
            if isinstance(item, Refused):
                raise InvalidInput(item.field, item.bound, hint=item.hint)
            value = _row(item, lines.number, judged(risk, item.vitals))
        except InvalidInput as error:
            refused += 1
            hint = f" ({error.hint})" if error.hint else ""
            click.echo(f"{lines.name}:{lines.number}: {error}{hint}", err=True)
            continue
        done += 1
        if written == "csv":
            click.echo((csv_line(value) + "\n" if done == 1 else "") + csv_line(_cells(value)))
        elif written == "jsonl":
            click.echo(json_line(value))
        else:
            rows.append(value)
        progress.turn()
    progress.end()
    if written == "json":
        click.echo(json_text(rows))
    elif written == "table" and rows:
        click.echo(table(tuple(rows[0]), [_cells(_rounded(row, risk.thresholds)) for row in rows]))
    if not done and not refused:
        raise InvalidInput(lines.name, "a header and readings", hint="there is no reading in it")
    click.echo(f"{counted(done, 'line')} judged, {refused} refused", err=True)
    if refused:
        bound = f"a reading in every line: {refused} of {done + refused} cannot be judged"
        raise InvalidInput(lines.name, bound, hint="each is named above, with what is wrong; the others were judged")


def _row(reading: Reading, line: int, value: dict[str, Any]) -> dict[str, Any]:
    return {"line": line, "patient_id": reading.patient_id, **dict(zip(NAMES, reading.vitals, strict=True)), **value}


def _rounded(value: dict[str, Any], thresholds: Thresholds) -> dict[str, Any]:
    """For people: four digits, or as many as keep a probability in its tier."""
    from hfzmq.cli.screens.words import probability

    names = [name for name in value if name.startswith("probability")]
    return value | {name: probability(value[name], thresholds, 4) for name in names}


def _cells(value: dict[str, Any]) -> list[Any]:
    return [",".join(cell) if isinstance(cell, list) else cell for cell in value.values()]


@click.command(short_help="Say which value moved the probability, and how far.")
@reading_options
@click.option("--study", is_flag=True, help="Explain the study's number, which reads the day.")
@output_option("table", "json")
def explain(path: Path | None, study: bool, output: str, **vitals: Any) -> None:
    """Say which value moved the probability, and by how much: exact Shapley values.

    Base and contributions add up to the probability: of death within about 90 days of the start of follow-up, as the
    study's patients had it; with --study of having died by the end of a follow-up of that many days. They say what
    moved this number, not what made the patient ill. A value outside the training range counts as its edge.

    \b
    hfzmq model explain --age 75 --sodium 130 --creatinine 1.9 --ef 20 --day 4
    """
    for name, option in zip(NAMES, OPTIONS, strict=True):
        if vitals[name] is None:
            raise click.UsageError(f"{option} is needed: what is not known moves nothing")
    from hfzmq.model.explain import explain as explain_reading
    from hfzmq.model.inference import RiskModel

    risk = RiskModel.load(path)
    found = explain_reading(risk, *(vitals[name] for name in NAMES), study=study)
    contributions = {name: round(moved, 12) + 0.0 for name, moved in zip(NAMES, found.contributions, strict=True)}
    used = dict(zip(NAMES, found.used, strict=True))
    number = "study" if study else "guarded"
    if output == "json":
        value = {"number": number, "probability": found.probability, "base": found.base}
        values = {name: vitals[name] for name in NAMES}
        about = {"values": values, "used": used, "flags": list(found.flags), "model_id": risk.model_id}
        click.echo(json_text({**value, "contributions": contributions, **about}))
        return
    rows = [
        (name, plain(vitals[name]), "" if used[name] == vitals[name] else plain(used[name]), f"{moved + 0.0:+.4f}")
        for name, moved in contributions.items()
    ]
    rows.sort(key=lambda row: -abs(contributions[row[0]]))
    click.echo(table(("input", "value", "counted as", "moves it by"), rows))
    click.echo(f"{found.base:.4f} {sum(found.contributions):+.4f} = {found.probability:.4f} ({number})")
    click.echo(_last_lines(found.flags, risk.model_id))
    click.echo(f"a risk of {STUDY_RISK_OF if study else RISK_OF}; {NOT_A_DEVICE}")
