"""``hfzmq units``: the systemd units and the alert rules that come with this hfzmq, shown or installed.

Touches stdout; for ``install``, files below a prefix. Must not know what a daemon does. Keeps: ExecStart names an
hfzmq that can be run, or the command fails; a file that somebody has changed is not overwritten without ``--force``;
nothing is enabled or started here, the next steps are said on stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import click

from hfzmq.cli.groups import HelpGroup
from hfzmq.errors import HfzmqError

SERVICE, TARGET, RULES = "hfzmq@.service", "hfzmq.target", "hfzmq.rules.yml"
PLACEHOLDER = "@HFZMQ@"
UNIT_DIRECTORY = Path("etc/systemd/system")
HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # what the unit's ProtectHome and PrivateTmp hide
NEXT = """\
next: the mesh's file as /etc/hfzmq/peers.yaml (hfzmq config init),
      this peer's key as /etc/hfzmq/keys/peer-N.secret (hfzmq keys init), then
      systemctl daemon-reload
      systemctl enable --now hfzmq.target hfzmq@N"""


F = TypeVar("F", bound=Callable[..., Any])


@click.group(cls=HelpGroup)
def units() -> None:
    """systemd units and Prometheus alert rules: show them, install the units."""


def _exec_option(function: F) -> F:
    return click.option(
        "--exec", "program", metavar="PATH", help="The hfzmq that the unit runs.  [default: this environment's]"
    )(function)


@units.command()
@click.argument(
    "names", metavar="[service|target|rules]...", type=click.Choice(("service", "target", "rules")), nargs=-1
)
@_exec_option
def show(names: tuple[str, ...], program: str | None) -> None:
    """Print them to stdout; without a name the service.

    \b
    hfzmq units show rules > /etc/prometheus/hfzmq.rules.yml
    """
    for name in names or ("service",):
        if name == "service":
            click.echo(service(program), nl=False)
        else:
            click.echo(_packaged(TARGET if name == "target" else RULES), nl=False)


@units.command()
@click.option(
    "--prefix",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/"),
    show_default=True,
    metavar="DIR",
    help="Below this root.",
)
@_exec_option
@click.option("--force", is_flag=True, help="Also over files that are there and differ.")
def install(prefix: Path, program: str | None, force: bool) -> None:
    """Write hfzmq@.service and hfzmq.target to DIR/etc/systemd/system; prints each path."""
    directory = prefix / UNIT_DIRECTORY
    texts = {directory / SERVICE: service(program), directory / TARGET: _packaged(TARGET)}
    try:
        differing = [path for path, text in texts.items() if path.exists() and path.read_text() != text]
        if differing and not force:
            raise HfzmqError(
                f"{differing[0]} is there and differs",
                hint="hfzmq units install --force; changes of yours belong into a drop-in: systemctl edit hfzmq@N",
            )
        directory.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            beside = path.with_name(f".{path.name}.new")
            beside.write_text(text)
            beside.chmod(0o644)
            beside.replace(path)
            click.echo(str(path))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise HfzmqError(f"cannot write below {directory}: {why}", hint="as root, or with --prefix DIR") from None
    click.echo(NEXT, err=True)


def service(program: str | None = None) -> str:
    """The text of hfzmq@.service. HfzmqError: ``program`` (None: this environment's hfzmq) cannot be run."""
    path = Path(program) if program else Path(sys.executable).with_name("hfzmq")
    if not path.is_absolute() or not (path.is_file() and os.access(path, os.X_OK)):
        why = "is no absolute path" if not path.is_absolute() else "is not there, or cannot be run"
        raise HfzmqError(f"{path} {why}", hint="where it is: command -v hfzmq; then --exec PATH")
    hidden = next((place for place in HIDDEN if path.is_relative_to(place)), None)
    if hidden:
        click.echo(f"warning: {path}: the unit hides {hidden} from it; install hfzmq below /opt or /usr", err=True)
    return _packaged(SERVICE).replace(PLACEHOLDER, _quoted(str(path)))


def _quoted(path: str) -> str:
    """As one word of ExecStart."""
    word = path.replace("%", "%%").replace("$", "$$")
    if any(sign in word for sign in " \t\"'\\;"):
        word = '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return word


def _packaged(name: str) -> str:
    return (files("hfzmq") / "daemon" / "units" / name).read_text(encoding="utf-8")
