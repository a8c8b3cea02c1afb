"""What may be said together to ``hfzmq bench``: what contradicts itself, or would change nothing, is refused.

Touches the command line. Must not know: how anything is measured.
"""

from __future__ import annotations

import click

from hfzmq.settings import Limits

# What --growth decides by itself.
VARIED = ("clients", "batch", "report_bytes", "baseline", "plain", "kills", "minutes", "config_path", "yes")
ENVELOPE_BYTES = 512  # of a request, around its reports


def check(
    clients: int | None, batch: int | None, baseline: bool, plain: bool, kills: int | None, minutes: float | None,
    config_path: str | None, yes: bool,
) -> None:  # fmt: skip
    """Which of the kinds of measurement is asked for, and that nothing is said that does not go with it."""
    if kills and minutes:
        raise click.UsageError("--failover or --minutes, not both")
    if baseline and (kills or minutes or config_path):
        raise click.UsageError("--baseline goes with workloads on a mesh that is started for it")
    if kills and (clients or batch):
        raise click.UsageError("--failover has one steady writer: neither --clients nor --batch")
    _check_unused(kills, minutes, config_path)
    if config_path and (kills or plain):
        raise click.UsageError("--config is for a mesh that runs as it is: neither --failover nor --plain")
    if yes and not config_path:
        raise click.UsageError("--yes goes with --config")
    if config_path and not yes:
        raise click.UsageError(
            "--config stores made-up reports of made-up beds in that mesh, for ever, and people see them: say --yes"
        )


def _check_unused(kills: int | None, minutes: float | None, config_path: str | None) -> None:
    """What would be taken and change nothing."""
    for other, names in (
        (kills and "--failover", ("seconds", "rounds", "beds", "report_bytes")),
        (minutes and "--minutes", ("seconds", "rounds")),
        (config_path and "--config", ("lease_ms",)),
    ):
        for option in click.get_current_context().command.params:
            if other and option.name in names and given(option):
                raise click.UsageError(f"{option.opts[-1]} changes nothing with {other}: leave it out")


def check_growth(growth: str | None, rows_max: int | None) -> None:
    """What --growth decides by itself is not to be said."""
    if rows_max and growth not in ("all", "stored"):
        raise click.UsageError("--rows-max goes with --growth, of stored reports")
    params = click.get_current_context().command.params
    said = [option.opts[-1] for option in params if option.name in VARIED and given(option)]
    if growth and said:
        raise click.UsageError(f"--growth measures meshes of its own, in its own steps: no {said[0]}")


def check_weight(batch: int, report_bytes: int, limits: Limits) -> None:
    """A daemon cuts off whoever sends a message longer than its limit."""
    most = limits.client_message_bytes_max
    if batch * report_bytes + ENVELOPE_BYTES > most:
        fits = (most - ENVELOPE_BYTES) // report_bytes
        raise click.UsageError(
            f"--batch {batch}: a request has {most} bytes at most, that is {fits} reports of {report_bytes} bytes"
        )


def given(option: click.Parameter) -> bool:
    """Whether somebody said it, on the command line or in the environment."""
    source = click.get_current_context().get_parameter_source(option.name or "")
    return source is not click.core.ParameterSource.DEFAULT
