"""Rows of a stored table, from a peer or from a file, as a table, JSON, JSON lines or CSV: what ``hfzmq reports`` and
``hfzmq readings`` share.

Touches stdout (data only) and stderr (how fresh it is). Keeps: rows come in the order of their ids; a number is printed
in full; a page is printed as it comes, except where a table must know how wide its columns are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from hfzmq.cli.format import cell, csv_line, json_line, local_time, thousands, width_of
from hfzmq.cli.format import table as aligned
from hfzmq.cli.layout import as_text, stacked, terminal_width
from hfzmq.cli.options import ID_MAX, config_option, given, load_config, output_option, peer_option
from hfzmq.cli.page_source import (
    PAGE_ROWS,
    FileSource,
    Filter,
    MeshSource,
    Page,
    Source,
    Table,
    read_all,
    read_last,
)
from hfzmq.cli.screens.words import risk
from hfzmq.clinical.report import Refusal, check_patient_id, low_of
from hfzmq.clinical.tiers import DEFAULT_THRESHOLDS
from hfzmq.config import Thresholds
from hfzmq.errors import InvalidInput

LAST_DEFAULT = 20
COUNT = click.IntRange(1, ID_MAX)

F = TypeVar("F", bound=Callable[..., Any])


class Shown(NamedTuple):
    """A table and how it looks as one: (head, column) of the columns that are shown, what fits a screen."""

    table: Table
    columns: tuple[tuple[str, str], ...]


def page_options(function: F) -> F:
    """The options that say which rows, from where and how they are printed; ``read`` takes what they give."""
    options = (
        config_option,
        click.option("--db", type=click.Path(path_type=Path), metavar="FILE", help="Read this database, without a "
                     "daemon."),
        peer_option,
        click.option("--patient", metavar="ID", help="Of one patient only."),
        click.option("--last", type=COUNT, metavar="N", help=f"The newest N.  [default: {LAST_DEFAULT}]"),
        click.option("--after-id", type=click.IntRange(0, ID_MAX), metavar="N", help="From the one after id N on."),
        click.option("--limit", type=COUNT, metavar="N", help="With --after-id: at most N.  [default: 100]"),
        click.option("--all", "everything", is_flag=True, help="All of them."),
        click.option("--consistent", is_flag=True, help="From the leader, after a quorum round: nothing is missing."),
        output_option("table", "json", "jsonl", "csv"),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def read(
    ctx: click.Context,
    shown: Shown,
    kind: str | None,
    config_path: str,
    db: Path | None,
    peer: int | None,
    patient: str | None,
    last: int | None,
    after_id: int | None,
    limit: int | None,
    everything: bool,
    consistent: bool,
    output: str,
) -> None:
    """Print the rows of a table that the options (see ``page_options``) ask for; ``kind``: the table's own filter."""
    _check_together(last, after_id, limit, everything)
    check_patient(patient)
    source = source_of(ctx, shown.table, config_path, db, peer, consistent)
    pages = _pages(source, Filter(patient, kind), last, after_id, limit, everything)
    first = next(pages)
    say_freshness(first, db, shown.table)
    if output == "table":
        thresholds = Thresholds() if db else load_config(config_path).thresholds
        _show_table([first, *pages], shown, thresholds)
    else:
        show_for_machines(chain((first,), pages), output)


def source_of(
    ctx: click.Context, table: Table, config_path: str, db: Path | None, peer: int | None, consistent: bool
) -> Source:
    """Where the options say that ``table`` is read; a usage error when they do not go together."""
    if consistent and peer is not None:
        raise click.UsageError("--consistent is answered by the leader: leave --peer out")
    if db is not None and (peer is not None or consistent or given(ctx, "config_path")):
        raise click.UsageError("--db reads a file: leave --config, --peer and --consistent out")
    return FileSource(db, table) if db else MeshSource(load_config(config_path), peer, consistent, table)


def check_patient(patient: str | None) -> None:
    """InvalidInput for what cannot be the id of a patient."""
    refusal: Refusal | None = None if patient is None else check_patient_id(patient)
    if refusal is not None:
        raise InvalidInput(refusal.field, refusal.bound, got=patient, hint=refusal.hint)


def _check_together(last: int | None, after_id: int | None, limit: int | None, everything: bool) -> None:
    named = [
        name
        for name, is_given in (
            ("--last", last is not None),
            ("--after-id", after_id is not None),
            ("--all", everything),
        )
        if is_given
    ]
    if len(named) > 1 and named != ["--after-id", "--all"]:
        raise click.UsageError(f"{' and '.join(named)} do not go together")
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
            after_id = int(page.rows[-1][page.fields.index(source.table.id_field)])


def say_freshness(page: Page, db: Path | None, table: Table) -> None:
    """How far what is shown may be behind, on stderr."""
    if db is not None:
        click.echo(f"from the file {db}: what its peer has not applied yet is not in it", err=True)
    elif page.stale_ms is None:
        click.echo(f"warning: peer {page.peer} hears no leader: newer {table.noun}s may be missing", err=True)
    else:
        how = "leads" if page.stale_ms == 0 else f"heard its leader {page.stale_ms} ms ago"
        lacks = (
            f", and is {thousands(page.behind)} entr{'y' if page.behind == 1 else 'ies'} behind" if page.behind else ""
        )
        click.echo(f"from peer {page.peer}, which {how}{lacks}", err=True)


def show_for_machines(pages: Iterable[Page], output: str) -> None:
    """All columns as ``json``, ``jsonl`` or ``csv``, page by page as they come."""
    if output == "json":
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


def _show_table(pages: list[Page], shown: Shown, thresholds: Thresholds) -> None:
    rows = [dict(zip(page.fields, row, strict=True)) for page in pages for row in page.rows]
    if not rows:
        click.echo(f"no {shown.table.noun} is stored that fits", err=True)
    click.echo(table_text(rows, shown, terminal_width(), thresholds))


def table_text(
    rows: Sequence[dict[str, Any]], shown: Shown, width: int | None, thresholds: Thresholds = DEFAULT_THRESHOLDS
) -> str:
    """The rows as a table, a risk with so many digits that it looks like no other tier; where that is wider than
    ``width`` (of the terminal, None: any), each row by itself, one field a line, so that the terminal breaks no number
    in two."""
    heads = [head for head, _ in shown.columns]
    cells = [[_cell(row, key, thresholds) for _, key in shown.columns] for row in rows]
    found = aligned(heads, cells)
    if width is None or not rows or max(map(width_of, found.split("\n"))) <= width:
        return found
    return as_text([], [stacked(heads, list(map(cell, line)), width) for line in cells])


def _cell(row: dict[str, Any], key: str, thresholds: Thresholds) -> object:
    value = row.get(key)
    if key == "probability" and isinstance(value, float):
        return risk(low_of(value, str(row.get("flags", ""))), value, thresholds, 4)  # in full: -o json, jsonl, csv
    return local_time(value) if key == "timestamp" and isinstance(value, int) else value


def _show_json(pages: Iterable[Page]) -> None:
    before = "[\n"
    for page in pages:
        for row in page.rows:
            click.echo(before + "  " + json_line(dict(zip(page.fields, row, strict=True))), nl=False)
            before = ",\n"
    click.echo("[]" if before == "[\n" else "\n]")
