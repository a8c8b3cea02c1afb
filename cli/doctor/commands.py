"""``hfzmq doctor``: looks at this machine, a data directory and the mesh, and says what to do about each finding.

Touches what its parts touch, stdout. Keeps: it changes nothing; one part that cannot look hides no other; exit 0 when
nothing needs doing, 1 otherwise.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import click

from hfzmq.cli.doctor import findings as severity
from hfzmq.cli.doctor.findings import Finding, needs_doing, sorted_findings
from hfzmq.cli.format import json_text, printable
from hfzmq.cli.options import DEFAULT_CONFIG, NO_KEY, key_option, load_config, output_option
from hfzmq.clinical.alarm.settings import rules_of
from hfzmq.config import Config
from hfzmq.errors import ConfigError, HfzmqError, KeysError
from hfzmq.settings import Timing

SIGNS = {severity.CRITICAL: "✕", severity.WARNING: "▲", severity.NOTE: "i", severity.OK: "●"}


@click.command()
@click.option(
    "--config",
    "config_path",
    metavar="FILE",
    envvar="HFZMQ_CONFIG",
    show_envvar=True,
    help=f"The peers of the mesh.  [default: {DEFAULT_CONFIG}, where there is one]",
)
@key_option
@click.option("--data-dir", type=click.Path(path_type=Path), metavar="DIR", help="Where a peer's database lives.")
@output_option("table", "json")
def doctor(config_path: str | None, data_dir: Path | None, output: str) -> int:
    """What is wrong on this machine and in the mesh, why it matters, and the command that mends it.

    Run it on each peer's machine, with its --data-dir. Exit 0 when nothing needs doing, 1 otherwise.
    """
    path = config_path or (DEFAULT_CONFIG if Path(DEFAULT_CONFIG).exists() else "")
    config, unread = _loaded(path)
    found = sorted_findings([*unread, *examine(config, data_dir, path)])
    if output == "json":
        click.echo(json_text([one._asdict() for one in found]))
    else:
        click.echo("\n".join(lines(found)))
    return 1 if needs_doing(found) else 0


def _loaded(path: str) -> tuple[Config | None, list[Finding]]:
    """The configuration at ``path``; or what is wrong with it, and all that needs none is looked at. ConfigError where
    there is no such file."""
    if not path:
        return None, []
    try:
        config = load_config(path, key=NO_KEY)
    except HfzmqError as error:
        if not os.path.isfile(path):
            raise
        why = "no peer starts with it, and no command; neither the mesh nor the ports were looked at"
        do = f"{error.hint}; then hfzmq config check --config {path}"
        return None, [Finding(severity.CRITICAL, "config", str(error), why, do)]
    with suppress(KeysError):  # then whatever asks the mesh says what is wrong with the key, and all else is told
        config = load_config(path)
    try:
        rules_of(config)
    except ConfigError as error:
        why = "no peer starts with it, and none rereads it: what else has changed in it is not in force either"
        do = f"{error.hint}; then hfzmq config check --config {path}"
        return config, [Finding(severity.CRITICAL, "config", str(error), why, do)]
    return config, []


def examine(config: Config | None, data_dir: Path | None, path: str) -> Iterable[Finding]:
    """Everything that can be looked at with what was given; ``path``: of the configuration, '' for none."""
    from hfzmq.cli.doctor import disk, keys, machine, mesh, versions

    lease_ms = (config.timing if config else Timing()).lease_ms
    parts: list[tuple[str, Callable[[], Iterable[Finding]]]] = [
        ("versions", versions.look),
        ("descriptors", machine.descriptors),
        ("keys", lambda: keys.look(config, _key_directories(path, data_dir), _here(config, data_dir))),
    ]
    if data_dir:
        parts.append(("directory", lambda: disk.look(data_dir, lease_ms)))
    else:
        parts.append(("directory", lambda: [_not_looked_at("--data-dir DIR", "its disk was not looked at")]))
    if config:
        parts.append(("ports", lambda: machine.ports(config, _here(config, data_dir))))
        parts.append(("reach", lambda: mesh.look(config)))
    elif not path:
        parts.append(("reach", lambda: [_not_looked_at("--config FILE", "the mesh was not looked at")]))
    for name, part in parts:
        try:
            yield from part()
        except KeysError as error:
            why = "without a key in force the mesh tells nothing, and was not looked at"
            yield Finding(severity.CRITICAL, "keys", str(error), why, error.hint)
        except (HfzmqError, OSError) as error:
            told = f"could not be looked at: {error}"
            yield Finding(severity.WARNING, name, told, "one part of the doctor has failed", "hfzmq --debug doctor")


def lines(found: Iterable[Finding]) -> list[str]:
    """For people: a line a finding, and below it why and what to do."""
    told: list[str] = []
    for one in found:
        told.append(f"{SIGNS[one.severity]} {one.severity:8}  {one.check}: {printable(one.what)}")
        told += [f"{'':12}why: {printable(one.why)}"] if one.why else []
        told += [f"{'':12}do:  {printable(one.do)}"] if one.do else []
    doing = sum(one.severity in severity.NEEDS_DOING for one in found)
    told.append(f"{doing} to be done" if doing else "nothing needs doing")
    return told


def _not_looked_at(option: str, what: str) -> Finding:
    return Finding(severity.NOTE, "directory" if "dir" in option else "reach", what, "", f"hfzmq doctor {option}")


def _key_directories(path: str, data_dir: Path | None) -> list[Path]:
    beside = [data_dir] if data_dir else []
    beside += [Path(path).resolve().parent] if path else []
    return [directory / "keys" for directory in beside]


def _here(config: Config | None, data_dir: Path | None) -> list[int]:
    """Which peers are of this machine: whose file lies in the directory; else those whose host is an address here."""
    if config is None:
        return []
    from hfzmq.cli.doctor.machine import is_here

    names = [re.fullmatch(r"hfzmq_(\d+)\.db", path.name) for path in data_dir.glob("*.db")] if data_dir else []
    ids = [int(name[1]) for name in names if name]
    known = [peer for peer in config.peer_ids if peer in ids]
    return known or [peer.id for peer in config.peers if is_here(peer.host)]
