"""``hfzmq reports``: the stored risk reports.

Touches the command line; page_command does the rest.
"""

from __future__ import annotations

from typing import Any

import click

from hfzmq.cli.page_command import Shown, page_options, read
from hfzmq.cli.page_source import REPORTS
from hfzmq.clinical.tiers import TIERS

SHOWN = Shown(
    REPORTS,
    (
        ("id", "id"),
        ("time", "timestamp"),
        ("patient", "patient_id"),
        ("tier", "tier"),
        ("probability", "probability"),
        ("age years", "age"),
        ("sodium mEq/L", "serum_sodium"),
        ("creatinine mg/dL", "serum_creatinine"),
        ("EF %", "ejection_fraction"),
        ("day", "day"),
        ("flags", "flags"),
    ),
)


@click.command()
@page_options
@click.option("--tier", type=click.Choice(TIERS, case_sensitive=False), help="Of one tier only.")
@click.pass_context
def reports(ctx: click.Context, /, tier: str | None, **given: Any) -> None:
    """Read the stored reports, from a peer or from a file."""
    read(ctx, SHOWN, tier, **given)
