"""``hfzmq model data``: fetch the published data set, or say whether a file is it.

Touches the network and one file. Keeps: nothing is written that is not the published data set; its sha256 and to whom
it is owed are always said.
"""

from __future__ import annotations

from pathlib import Path

import click

from hfzmq.errors import HfzmqError, InvalidInput, NotFound

FILE = click.Path(path_type=Path)


@click.command(short_help="Fetch the published data set, or check a file.")
@click.option("--out", type=FILE, default=Path("hf.csv"), show_default=True, metavar="FILE", help="Where to write it.")
@click.option("--check", type=FILE, metavar="FILE", help="Fetch nothing: is this file the published data set?")
def data(out: Path, check: Path | None) -> None:
    """Fetch UCI data set 519 (299 patients, CC BY 4.0) and check its sha256.

    \b
    hfzmq model data --out hf.csv
    """
    from hfzmq.model import dataset
    from hfzmq.model.features import PUBLISHED_SHA256

    where = dataset.URL if check is None else str(check)
    bytes_there = dataset.fetch() if check is None else _read(check)
    content = dataset.canonical(bytes_there, where)
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
        click.echo(f"{found}  {out}")
    else:
        click.echo(f"{dataset.sha256(bytes_there)}  {check}")
        if bytes_there != content:
            click.echo(
                "the patients of the published data set, written otherwise: train and evaluate go by the bytes and "
                "call it another one; hfzmq model data fetches the published ones",
                err=True,
            )
    click.echo(dataset.ATTRIBUTION, err=True)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        hint = "without --check it is fetched, where there is internet"
        raise NotFound(f"{path}: {error.strerror or error}", hint=hint) from None
