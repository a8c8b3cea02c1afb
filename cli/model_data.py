"""``hfzmq model data``: fetch the published data set, or say whether a file is it.

Touches the network and one file. Keeps: nothing is written that is not the published data set; its sha256 and to whom
it is owed are always said.
"""

from __future__ import annotations

from pathlib import Path

import click

from hfzmq.errors import HfzmqError, InvalidInput, NotFound

FILE = click.Path(path_type=Path)


@click.command()
@click.option("--out", type=FILE, default=Path("hf.csv"), show_default=True, metavar="FILE", help="Where to write it.")
@click.option("--check", type=FILE, metavar="FILE", help="Fetch nothing: is this file the published data set?")
def data(out: Path, check: Path | None) -> None:
    """Fetch UCI data set 519 (299 patients, CC BY 4.0) and check its sha256.

    \b
    hfzmq model data --out hf.csv
    """
    from hfzmq.model import dataset
    from hfzmq.model.features import PUBLISHED_SHA256

    if check is None:
        content = dataset.canonical(dataset.fetch(), dataset.URL)
        where = dataset.URL
    else:
        where = str(check)
        try:
            content = dataset.canonical(check.read_bytes(), where)
        except OSError as error:
            raise NotFound(f"{check}: {error.strerror or error}") from None
    found = dataset.sha256(content)
    if found != PUBLISHED_SHA256:
        bound = f"the published data set, sha256 {PUBLISHED_SHA256}"
        raise InvalidInput(where, bound, got=f"sha256 {found}", hint="train and evaluate take other files and say so")
    if check is None:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_bytes(content)
        except OSError as error:
            raise HfzmqError(f"cannot write {out}: {error.strerror or error}", hint="choose another --out") from None
    click.echo(f"{found}  {out if check is None else check}")
    click.echo(dataset.ATTRIBUTION, err=True)
