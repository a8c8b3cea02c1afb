"""``hfzmq readings``: the stored heart rates with their verdicts, or the alerts that those gave rise to.

Touches the command line; page_command does the rest.
"""

from __future__ import annotations

from typing import Any

import click

from hfzmq.cli.page_command import Shown, page_options, read
from hfzmq.cli.page_source import ALERTS, READINGS
from hfzmq.clinical.heart_rate import CATEGORIES, STATUSES

SHOWN_READINGS = Shown(
    READINGS,
    (
        ("id", "id"),
        ("time", "timestamp"),
        ("patient", "patient_id"),
        ("HR bpm", "heartbeat_value"),
        ("verdict", "validation_status"),
        ("anomaly", "anomaly_type"),
        ("raw payload", "raw_payload"),
    ),
)
SHOWN_ALERTS = Shown(
    ALERTS,
    (
        ("alert", "alert_id"),
        ("reading", "heartbeat_id"),
        ("time", "timestamp"),
        ("patient", "patient_id"),
        ("HR bpm", "heartbeat_value"),
        ("category", "alert_category"),
        ("resolved", "resolved_flag"),
    ),
)


@click.command()
@page_options
@click.option("--status", type=click.Choice(STATUSES, case_sensitive=False), help="Of one verdict only.")
@click.option("--alerts", is_flag=True, help="The alerts: one for each reading that is not valid.")
@click.option(
    "--category", type=click.Choice(CATEGORIES, case_sensitive=False), help="With --alerts: of one category only."
)
@click.pass_context
def readings(ctx: click.Context, /, status: str | None, alerts: bool, category: str | None, **given: Any) -> None:
    """Read the stored heart rates with their verdicts, from a peer or from a file."""
    if alerts and status is not None:
        raise click.UsageError("--status is for readings: with --alerts, use --category")
    if category is not None and not alerts:
        raise click.UsageError("--category goes with --alerts")
    read(ctx, SHOWN_ALERTS if alerts else SHOWN_READINGS, category if alerts else status, **given)
