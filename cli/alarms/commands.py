"""``hfzmq alarms``: list, acknowledge, resolve, discharge, watch, count, and try other rules.

Touches the command line, stdout (data only), stderr. Everything heavy is imported when a command runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hfzmq.cli.groups import HelpGroup
from hfzmq.cli.layout import folded, terminal_width
from hfzmq.cli.options import (
    ID_MAX,
    SECONDS_MAX,
    Probability,
    Seconds,
    config_option,
    load_config,
    output_option,
    peer_option,
)
from hfzmq.clinical.alarm.types import ACK, CAUSES, DISCHARGE, RESOLVE, STATES
from hfzmq.errors import TimedOut

if TYPE_CHECKING:
    from hfzmq.cli.alarms.act import Target
    from hfzmq.config import Config

NUMBER = click.IntRange(1, ID_MAX)
OPEN = "open"

F = TypeVar("F", bound=Callable[..., Any])

_TIMEOUT = click.option(
    "--timeout", "timeout_s", type=Seconds(0.1, 86_400), default=10, show_default=True, metavar="S", help="Ask so long."
)
_BY = click.option("--by", metavar="NAME", help="Who acts.  [default: the login name]")
_SAID = output_option("text", "json")
_DB = click.option(
    "--db", type=click.Path(path_type=Path), metavar="FILE", help="Read this database, without a daemon."
)
_CONSISTENT = click.option(
    "--consistent", is_flag=True, help="From the leader, after a quorum round: nothing is missing."
)


def _together(*options: Callable[[F], F]) -> Callable[[F], F]:
    def add(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return add


_TARGETS = _together(
    click.argument("ids", nargs=-1, type=NUMBER, metavar="[ID]..."),
    click.option("--patient", metavar="ID", help="All alarms of this patient."),
    _BY,
    config_option,
    _TIMEOUT,
    _SAID,
)


@click.group(cls=HelpGroup)
def alarms() -> None:
    """The alarms: what is open, who has seen it. Research software, not a medical device."""


@alarms.command("ls")
@click.option("--all", "everything", is_flag=True, help="Also those that are over.")
@click.option("--patient", metavar="ID", help="Of one patient only.")
@click.option(
    "--state", type=click.Choice((OPEN, *STATES), case_sensitive=False), help="In one state only.  [default: open]"
)
@click.option("--last", type=NUMBER, metavar="N", help="Only the newest N of them.")
@click.option("--history", type=NUMBER, metavar="ID", help="Instead: what happened to this alarm, line by line.")
@config_option
@_DB
@peer_option
@_CONSISTENT
@output_option("table", "json", "jsonl", "csv")
@click.pass_context
def ls(
    ctx: click.Context,
    everything: bool,
    patient: str | None,
    state: str | None,
    last: int | None,
    history: int | None,
    config_path: str,
    db: Path | None,
    peer: int | None,
    consistent: bool,
    output: str,
) -> None:
    """The open alarms, the most urgent first; from a peer or from a file."""
    from hfzmq.cli.alarms import listing

    if everything and state is not None:
        raise click.UsageError("--all and --state do not go together")
    if history is not None and (everything or state or last or patient):
        raise click.UsageError("--history is of one alarm: leave --all, --state, --last and --patient out")
    where = (config_path, db, peer, consistent)
    if history is not None:
        listing.show_history(ctx, where, history, output, terminal_width())
        return
    wanted = None if everything else state or OPEN
    listing.show_alarms(ctx, where, patient, wanted, last, output, terminal_width())


@alarms.command("ack")
@_TARGETS
@click.option("--all", "everything", is_flag=True, help="All that nobody has seen, as after an outage: shows them, and "
              "asks. With --patient: of this patient.")  # fmt: skip
@click.option("--cause", type=click.Choice(CAUSES, case_sensitive=False), help="With --all: of this cause only.")
@click.option("--yes", is_flag=True, help="With --all: do not ask.")
def ack(everything: bool, cause: str | None, yes: bool, **given: Any) -> None:
    """Say that alarms ID... were seen. It lasts until their cause ends.

    \b
    hfzmq alarms ack 12 13 --by ann
    hfzmq alarms ack --all --cause NO_DATA
    """
    if not everything:
        if cause is not None or yes:
            raise click.UsageError("--cause and --yes go with --all")
        _act_on_all(ACK, **given)
        return
    if given.pop("ids"):
        raise click.UsageError("either alarms by their ids, or --all")
    from hfzmq.cli.alarms.acting import acknowledge_all

    acknowledge_all(cause, yes=yes, **given)


@alarms.command("resolve")
@_TARGETS
def resolve(**given: Any) -> None:
    """End alarms ID... by hand; a cause that goes on raises nothing new before it has ended."""
    _act_on_all(RESOLVE, **given)


@alarms.command("discharge")
@click.argument("patient", metavar="PATIENT")
@_BY
@config_option
@_TIMEOUT
@_SAID
def discharge(patient: str, by: str | None, config_path: str, timeout_s: float, output: str) -> None:
    """PATIENT has left: ends all alarms of the bed, and its silence is none until it speaks again."""
    _act(DISCHARGE, [patient], by, config_path, timeout_s, output)


@alarms.command("watch")
@click.option("--count", type=NUMBER, metavar="N", help="End after so many lines.")
@click.option("--timeout", "timeout_s", type=Seconds(0.1, SECONDS_MAX), metavar="S", help="End after so long; "
              "8 if --count is not reached.")  # fmt: skip
@click.option("--after", "after_id", type=click.IntRange(0, ID_MAX), metavar="ID", help="From the line after this one "
              "on.  [default: from now on]")  # fmt: skip
@config_option
@output_option("text", "jsonl")
def watch(count: int | None, timeout_s: float | None, after_id: int | None, config_path: str, output: str) -> None:
    """Each thing that happens to an alarm as it happens: raised, seen, escalated, delivered, over.

    Goes on over any failover; no line comes twice, none is left out. Exit 0 after --count lines, or when --timeout is
    over and no --count was asked for; 8 when --timeout is over before --count lines came.
    """
    config = load_config(config_path)
    from hfzmq.cli.alarms.follow import Follower, as_json, as_sentence

    until = time.monotonic() + timeout_s if timeout_s is not None else float("inf")
    follower = Follower(config, lambda sentence: click.echo(sentence, err=True))
    begun = follower.begin(after_id, until)
    click.echo(f"watching from line {begun + 1} of the journal on", err=True)
    seen = 0
    for line in follower.lines(until):
        click.echo(as_json(line) if output == "jsonl" else folded(as_sentence(line), terminal_width()))
        seen += 1
        if seen == count:
            return
    if count is not None:
        hint = f"go on from there: --after {begun + seen}"
        raise TimedOut(f"{seen} of {count} lines came within {timeout_s:g} s", hint=hint)


_DAYS = click.option(
    "--days", type=Seconds(0.001, 36_500), default=7, show_default=True, metavar="D", help="The last so many days."
)


@alarms.command("stats")
@_DAYS
@click.option("--patient", metavar="ID", help="Of one patient only.")
@click.option(
    "--within", "within_s", type=Seconds(0.1, 86_400), default=60, show_default=True, metavar="S", help="Seen in time."
)
@config_option
@_DB
@output_option("table", "json")
@click.pass_context
def stats(
    ctx: click.Context,
    days: float,
    patient: str | None,
    within_s: float,
    config_path: str,
    db: Path | None,
    output: str,
) -> None:
    """Alarms per bed and day, how many were seen in time, and the noisiest beds.

    Seen in time: somebody acknowledged or resolved it within --within seconds. An alarm whose cause ended by itself
    stays open until it is seen, and counts like any other. Left out are those that nobody could see in time: an AMBER
    that became RED unseen, the unseen alarms of a bed that was discharged, and what is younger than --within.
    """
    from hfzmq.cli.alarms.reckon import show_stats

    show_stats(_config_unless(ctx, db, config_path), db, days, patient, within_s, output)


@alarms.command("simulate")
@click.option("--red", type=Probability(), metavar="P", help="RED from this probability on.")
@click.option("--amber", type=Probability(), metavar="P", help="AMBER from this probability on.")
@click.option("--delay", "delay_s", type=Seconds(0, 86_400), metavar="S", help="AMBER after so long, and by nothing "
              "else.")  # fmt: skip
@click.option(
    "--set", "settings", multiple=True, metavar="RULE=VALUE", help="Any rule of docs/alarms.md; several times."
)
@click.option(
    "--seen-after", "seen_after_s", type=Seconds(0, 86_400), default=30, show_default=True, metavar="S",
    help="Suppose that each alarm is seen after so long.",
)  # fmt: skip
@_DAYS
@config_option
@_DB
@output_option("table", "json")
@click.pass_context
def simulate(
    ctx: click.Context,
    red: float | None,
    amber: float | None,
    delay_s: float | None,
    settings: tuple[str, ...],
    seen_after_s: float,
    days: float,
    config_path: str,
    db: Path | None,
    output: str,
) -> None:
    """What is stored, once more under other rules, beside those in force: alarms per bed and day.

    \b
    hfzmq alarms simulate --amber 0.5 --delay 15
    hfzmq alarms simulate --set rate_readings=5 --set silent_ms=60000 --db hfzmq_1.db
    """
    if red is None and amber is None and delay_s is None and not settings:
        raise click.UsageError("say what is to be different: --red, --amber, --delay or --set")
    from hfzmq.cli.alarms.reckon import show_simulation

    config = _config_unless(ctx, db, config_path)
    show_simulation(config, db, days, red, amber, delay_s, settings, seen_after_s, output)


# ------------------------------------------------------------ the parts


def _config_unless(ctx: click.Context, db: Path | None, config_path: str) -> Config | None:
    """The mesh's file, unless a database is read."""
    if db is None:
        return load_config(config_path)
    from hfzmq.cli.options import given

    if given(ctx, "config_path"):
        raise click.UsageError("--db reads a file: leave --config out")
    return None


def _act_on_all(action: str, ids: tuple[int, ...], patient: str | None, **given: Any) -> None:
    if bool(ids) == (patient is not None):
        also = ", or --all" if action == ACK else ""
        raise click.UsageError(f"either alarms by their ids, or --patient{also}")
    _act(action, list(dict.fromkeys(ids)) if patient is None else [patient], **given)


def _act(action: str, targets: list[Target], by: str | None, config_path: str, timeout_s: float, output: str) -> None:
    from hfzmq.cli.alarms.acting import act_on

    act_on(action, targets, by, config_path, timeout_s, output)
