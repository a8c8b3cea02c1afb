"""``hfzmq scenario``: the command line of the scenarios.

Touches the command line, signals, the output folder; the rest is imported when a scenario is run. Keeps: exit 0 only if
every round passed; Ctrl-C and SIGTERM leave no process behind.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hfzmq.cli.groups import HelpGroup
from hfzmq.cli.options import Seconds, config_option, load_config
from hfzmq.cli.scenario.catalogue import LONG_RUNNING, SCENARIOS, Scenario, find
from hfzmq.errors import DataDirError, InvalidInput
from hfzmq.secret_files import BEDSIDE_KEY

if TYPE_CHECKING:
    from hfzmq.cli.scenario.round import Result, Round
    from hfzmq.cli.scenario.show import Show

REPEAT_MAX = 999
SEED_BELOW = 1_000_000
LONG_RUNNING_S = 60.0
DEFAULT_OUT = "hfzmq-scenarios"


@click.group(cls=HelpGroup)
def scenario() -> None:
    """Inject faults into a mesh of real processes, and prove from the peers' files that nothing is lost."""


@scenario.command("ls")
def list_scenarios() -> None:
    """List the scenarios and what each of them does."""
    import textwrap

    for one in SCENARIOS:
        click.echo(f"{one.name} ({one.slug})")
        click.echo(textwrap.fill(one.about, 80, initial_indent="  ", subsequent_indent="  "))


@scenario.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="All nine of them.")
@click.option("--repeat", type=click.IntRange(1, REPEAT_MAX), default=1, show_default=True, metavar="N",
              help="Run each so many times in a row, each time in a new mesh.")  # fmt: skip
@click.option("--duration", "duration_s", type=Seconds(1, 31 * 86_400), metavar="S",
              help="How long Long-Running Stability injects faults.  [default: 60]")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), metavar="N", help="Choose the faults of Long-Running Stability as a "
              "round with this seed did (its result.json tells).  [default: others each time]")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Takes all that is written; new or empty.  [default: ./hfzmq-scenarios/<date>-<time>]")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object a round on stdout, one a line.")
def run(
    names: tuple[str, ...],
    everything: bool,
    repeat: int,
    duration_s: float | None,
    seed: int | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Run scenarios by NAME: peers, clients, faults, a verdict from the peers' files.

    A NAME is one that 'hfzmq scenario ls' shows, in any writing: "Leader Failure" or leader-failure. Each round starts
    its own daemons on free ports of this machine and real clients, injects what its name says, waits until the mesh has
    recovered, stops everything, and compares the files of all peers with each other and with what the clients say:

    \b
    acked         reports that the clients had acknowledged
    gap ms        the longest time between two acknowledgements, milliseconds
    lost          acknowledged, and not in the file of every peer that is well
    doubled       in some file more than once
    out of order  stored after a later one of the same client

    Failed as well: a report that nobody sent, another value, another row under the same id, a wait that took too long.
    The folder of a round keeps peers.yaml, logs, databases, the clients' histories (*.jsonl) and result.json.

    Exit codes: 0 every round passed; 1 one did not; 2 an option or a NAME is wrong; 130 ended by Ctrl-C.

    \b
    hfzmq scenario run leader-failure --repeat 5
    hfzmq scenario run --all --json > results.jsonl
    """
    chosen = _chosen(names, everything)
    for option, value in (("--duration", duration_s), ("--seed", seed)):
        if value is not None and LONG_RUNNING not in chosen:
            raise click.UsageError(f"{option} is for {LONG_RUNNING.name}, which is not among those to run")
    folder = _made(out or Path(DEFAULT_OUT) / datetime.now().strftime("%Y%m%d-%H%M%S"))
    first_seed = secrets.randbelow(SEED_BELOW) if seed is None else seed
    return _run(_planned(chosen, repeat, duration_s or LONG_RUNNING_S, first_seed, folder), repeat, folder, as_json)


@scenario.command(hidden=True)
@config_option
@click.option("--name", required=True, help="What the sessions are called, with a number after it.")
@click.option("--sessions", type=click.IntRange(1, 999), default=1, show_default=True)
@click.option("--batch", type=click.IntRange(1, 1000), default=1, show_default=True, help="Reports sent at once.")
@click.option("--interval", "interval_s", type=Seconds(0, 3600), default=0.0, show_default=True)
@click.option("--queue", type=click.Path(path_type=Path, file_okay=False), required=True, help="Of all sessions.")
def write(config_path: str, name: str, sessions: int, batch: int, interval_s: float, queue: Path) -> int:
    """Write made-up reports until SIGTERM, and say what was sent and acknowledged. Scenarios start it."""
    from hfzmq.cli.scenario.writer import Sessions
    from hfzmq.cli.scenario.writer import write as write_reports

    return write_reports(load_config(config_path, key=BEDSIDE_KEY), Sessions(name, sessions, batch, interval_s), queue)


def _chosen(names: tuple[str, ...], everything: bool) -> tuple[Scenario, ...]:
    if everything == bool(names):
        raise click.UsageError("give the NAMEs of scenarios, or --all" if not names else "NAMEs or --all, not both")
    chosen = []
    for name in names:
        found = find(name)
        if found is None:
            known = ", ".join(one.slug for one in SCENARIOS)
            raise click.UsageError(f"there is no scenario {name!r}; there are: {known}")
        chosen.append(found)
    return tuple(dict.fromkeys(chosen)) if names else SCENARIOS


def _made(folder: Path) -> Path:
    """``folder``, new or empty, in which files can be made."""
    hint = "give another one: --out DIR"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InvalidInput("--out", "a new or an empty directory", got=str(folder), hint=hint)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise DataDirError(f"cannot write into {folder}: permission denied", hint=hint)
    except OSError as error:
        raise DataDirError(f"cannot write into {folder}: {error.strerror}", hint=hint) from None
    return folder.resolve()


def _planned(chosen: tuple[Scenario, ...], repeat: int, duration_s: float, seed: int, folder: Path) -> list[Round]:
    """All rounds in their order; those of one scenario have the seeds from ``seed`` on."""
    from hfzmq.cli.scenario.plays import Terms
    from hfzmq.cli.scenario.round import Round

    return [
        Round(one, number, repeat, Terms(duration_s, seed + number - 1), folder / f"{one.slug}-{number}")
        for one in chosen
        for number in range(1, repeat + 1)
    ]


def _run(planned: list[Round], repeat: int, folder: Path, as_json: bool) -> int:
    from rich.console import Console

    from hfzmq.cli.live_screen import stop_signals
    from hfzmq.cli.scenario.show import Lines, Table
    from hfzmq.cli.scenario.table import conclusion
    from hfzmq.cli.terminal import on_terminal

    results: list[Result] = []
    try:
        with stop_signals() as stopped:

            def tick() -> None:
                if stopped():
                    raise KeyboardInterrupt

            if on_terminal() and not as_json:
                with Table(repeat, Console(highlight=False)).shown() as table:
                    _play_all(planned, results, table, tick)
            else:
                _play_all(planned, results, Lines(repeat, as_json), tick)
    finally:
        click.echo(conclusion(results, len(planned)), err=as_json)
        click.echo(f"logs, databases, histories and results are in {folder}", err=as_json)
    return 0 if len(results) == len(planned) and all(result.passed for result in results) else 1


def _play_all(planned: list[Round], results: list[Result], show: Show, tick: Callable[[], None]) -> None:
    """Run all rounds, one after the other; each finished one is added to ``results``."""
    from hfzmq.cli.scenario.round import run_round

    for this in planned:
        show.begin(this)
        try:
            result = run_round(this, tick, show.step, show.stage)
        except BrokenPipeError:  # who read our output has gone
            raise
        except OSError as error:
            cause = f"cannot write into {this.folder}: {error.strerror or error}"
            raise DataDirError(cause, hint="space and rights there? or give another one: --out DIR") from error
        results.append(result)
        show.end(result)
