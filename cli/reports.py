"""``hfzmq reports``: the stored reports, from a peer or from a file, as a table, JSON, JSON lines or CSV.

Touches stdout (data only) and stderr (how fresh it is). Keeps: rows come in the order of their ids; a number is printed
in full; a page is printed as it comes, except where a table must know how wide its columns are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import click

from hfzmq.cli.format import csv_line, json_line, local_time, table
from hfzmq.cli.options import ID_MAX, config_option, load_config, output_option, peer_option
from hfzmq.cli.reports_source import PAGE_ROWS, FileSource, Filter, MeshSource, Page, Source, read_all, read_last
from hfzmq.clinical.report import Refusal, check_patient_id
from hfzmq.clinical.tiers import TIERS
from hfzmq.errors import InvalidInput

LAST_DEFAULT = 20
COUNT = click.IntRange(1, ID_MAX)
TABLE_COLUMNS = (
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
)


@click.command()
@config_option
@click.option("--db", type=click.Path(path_type=Path), metavar="FILE", help="Read this database, without a daemon.")
@peer_option
@click.option("--patient", metavar="ID", help="Of one patient only.")
@click.option("--tier", type=click.Choice(TIERS, case_sensitive=False), help="Of one tier only.")
@click.option("--last", type=COUNT, metavar="N", help=f"The newest N.  [default: {LAST_DEFAULT}]")
@click.option("--after-id", type=click.IntRange(0, ID_MAX), metavar="N", help="From the one after id N on.")
@click.option("--limit", type=COUNT, metavar="N", help="With --after-id: at most N.  [default: 100]")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--consistent", is_flag=True, help="From the leader, after a quorum round: nothing is missing.")
@output_option("table", "json", "jsonl", "csv")
@click.pass_context
def reports(
    ctx: click.Context,
    config_path: str,
    db: Path | None,
    peer: int | None,
    patient: str | None,
    tier: str | None,
    last: int | None,
    after_id: int | None,
    limit: int | None,
    everything: bool,
    consistent: bool,
    output: str,
) -> None:
    """Read the stored reports, from a peer or from a file."""
    _check_together(last, after_id, limit, everything)
    if consistent and peer is not None:
        raise click.UsageError("--consistent is answered by the leader: leave --peer out")
    if db is not None and (peer is not None or consistent or _given(ctx, "config_path")):
        raise click.UsageError("--db reads a file: leave --config, --peer and --consistent out")
    refusal: Refusal | None = None if patient is None else check_patient_id(patient)
    if refusal is not None:
        raise InvalidInput(refusal.field, refusal.bound, got=patient, hint=refusal.hint)
    source: Source = FileSource(db) if db else MeshSource(load_config(config_path), peer, consistent)
    pages = _pages(source, Filter(patient, tier), last, after_id, limit, everything)
    first = next(pages)
    _say_freshness(first, db)
    _show(chain((first,), pages), output)


def _given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _check_together(last: int | None, after_id: int | None, limit: int | None, everything: bool) -> None:
    given = [
        name
        for name, is_given in (
            ("--last", last is not None),
            ("--after-id", after_id is not None),
            ("--all", everything),
        )
        if is_given
    ]
    if len(given) > 1 and given != ["--after-id", "--all"]:
        raise click.UsageError(f"{' and '.join(given)} do not go together")
    if limit is not None and (after_id is None or everything):
        raise click.UsageError("--limit goes with --after-id")


def _pages(
    source: Source, wanted: Filter, last: int | None, after_id: int | None, limit: int | None, everything: bool
) -> Iterator[Page]:
    if everything:
        yield from read_all(source, after_id or 0, wanted)
    elif after_id is None:
        yield read_last(source, last or LAST_DEFAULT, wanted)
    else:
        left = limit or 100
        while left > 0:
            page = source.page(after_id, None, min(left, PAGE_ROWS), wanted)
            yield page
            if not page.more or not page.rows:
                return
            left -= len(page.rows)
            after_id = int(page.rows[-1][page.fields.index("id")])


def _say_freshness(page: Page, db: Path | None) -> None:
    if db is not None:
        click.echo(f"from the file {db}: what its peer has not applied yet is not in it", err=True)
    elif page.stale_ms is None:
        click.echo(f"warning: peer {page.peer} hears no leader: newer reports may be missing", err=True)
    elif page.stale_ms == 0:
        click.echo(f"from peer {page.peer}, which leads", err=True)
    else:
        click.echo(f"from peer {page.peer}, which heard its leader {page.stale_ms} ms ago", err=True)


def _show(pages: Iterable[Page], output: str) -> None:
    if output == "table":
        _show_table(list(pages))
    elif output == "json":
        _show_json(pages)
    elif output == "jsonl":
        for page in pages:
            for row in page.rows:
                click.echo(json_line(dict(zip(page.fields, row, strict=True))))
    else:
        for number, page in enumerate(pages):
            if number == 0:
                click.echo(csv_line(page.fields))
            for row in page.rows:
                click.echo(csv_line(row))


def _show_table(pages: list[Page]) -> None:
    rows = [dict(zip(page.fields, row, strict=True)) for page in pages for row in page.rows]
    if not rows:
        click.echo("no report is stored that fits", err=True)
    click.echo(
        table([name for name, _ in TABLE_COLUMNS], [[_shown(row, key) for _, key in TABLE_COLUMNS] for row in rows])
    )


def _shown(row: dict[str, Any], key: str) -> object:
    value = row.get(key)
    return local_time(value) if key == "timestamp" and isinstance(value, int) else value


def _show_json(pages: Iterable[Page]) -> None:
    before = "[\n"
    for page in pages:
        for row in page.rows:
            click.echo(before + "  " + json_line(dict(zip(page.fields, row, strict=True))), nl=False)
            before = ",\n"
    click.echo("[]" if before == "[\n" else "\n]")
