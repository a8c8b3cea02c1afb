"""What ``hfzmq keys show`` shows: the list of the file, what the log has changed, the secret keys that lie here.

Touches a directory and, through the mesh, sockets. Keeps: only the mesh can say that a key is in force; where it was
not asked or told nothing, a note says so and what is shown is said to be the file's; a key that is revoked anywhere is
shown as such, and one that the mesh has just refused as that.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import click

from hfzmq.access import FILE, AccessList, Listed, fingerprint
from hfzmq.cli.options import KEY_FILE
from hfzmq.config import Config
from hfzmq.errors import HfzmqError
from hfzmq.key_section import OwnKey
from hfzmq.secret_files import COMMAND_KEY, SecretFile, secret_files, with_own_key

YES, REVOKED, BY_FILE, REFUSED = "yes", "revoked", "by the file", "refused by the mesh"
MESH = "mesh"  # where a key is revoked that nobody lists


class Row(NamedTuple):
    """One key. ``in_force``: YES and REVOKED, BY_FILE where the mesh told nothing, REFUSED; ``secret``: the file with
    its secret half, '' where that is not here; ``mode``: of that file."""

    name: str
    role: str
    peer: int | None
    revoked: bool
    in_force: str
    source: str
    fingerprint: str
    key: str
    secret: str
    mode: str


class _Told(NamedTuple):
    """``known``: None where the mesh told nothing; ``refused``: the pair that a peer would not have."""

    known: AccessList | None
    refused: OwnKey | None


def rows_of(config: Config, directory: Path, offline: bool) -> tuple[list[Row], list[str]]:
    """All keys that are known, and what is worth a note."""
    from hfzmq.cli.access.files import keys_of

    keys = keys_of(config)
    notes: list[str] = []
    if offline:
        notes.append(f"by {config.path} alone: what was issued or revoked through the mesh does not stand there")
    told = _Told(None, None) if offline else _asked(config, notes)
    known = told.known or AccessList()
    access = AccessList([*keys.listed(), *known.listed.values()], {*keys.revoked, *known.revoked})
    files = secret_files(directory)
    secrets = {one.public: one for one in files if one.public}
    notes += [one.fault for one in files if one.fault]
    rows = []
    unknown = [
        Listed(key, "", "", 0, FILE if key in keys.revoked else MESH)
        for key in sorted(access.revoked - set(access.listed))
    ]
    if unknown:
        notes.append("no longer listed: a peer's former key, or one that was revoked by itself; whose, nobody knows")
    for one in [*access.listed.values(), *unknown]:
        secret = secrets.pop(one.key, None)
        mode = f"{secret.mode:04o}" if secret else ""
        rows.append(
            Row(one.name, one.role, one.peer or None, one.key in access.revoked, _in_force(one.key, access, told),
                one.source, fingerprint(one.key), one.key, str(secret.path) if secret else "", mode)
        )  # fmt: skip
    for left in secrets.values():
        notes.append(f"{left.path}: {_unlisted(left.public, config.path, told)}")
    if told.refused is not None:
        notes += _next(told.refused, files, access.revoked)
    return rows, notes


def _asked(config: Config, notes: list[str]) -> _Told:
    """What the mesh says; why it told nothing goes to ``notes``."""
    from hfzmq.cli.access.mesh import ASK_MS, Mesh
    from hfzmq.client.ask import ask_all
    from hfzmq.client.key_faults import sentence
    from hfzmq.client.line import AUTH

    refusing: dict[int, str] = {}
    own: OwnKey | None = None
    known: AccessList | None = None
    try:
        named = click.get_current_context().find_root().meta.get(KEY_FILE)
        config = with_own_key(config, COMMAND_KEY, os.environ, named)
        own = config.keys.own if config.keys is not None else None
        ask_all(config, "status", timeout_ms=ASK_MS, refusing=refusing)
        known = Mesh(config, 3.0).known()
    except HfzmqError as error:
        notes.append(f"by {config.path} alone, for the mesh told nothing: {error}")
    by = {peer: fault for peer, fault in refusing.items() if fault == AUTH}
    if by and known is not None:
        notes.append(sentence(config.keys, by, config.path)[0])
    return _Told(known, own if by else None)


def _in_force(key: str, access: AccessList, told: _Told) -> str:
    if key in access.revoked:
        return REVOKED
    if told.refused is not None and told.refused.public == key:
        return REFUSED
    return BY_FILE if told.known is None else YES


def _unlisted(key: str, file: str, told: _Told) -> str:
    """Of a secret key that lies here."""
    if told.refused is not None and told.refused.public == key:
        return f"{file} does not list this key, and the mesh refuses it: revoked there, or never issued"
    if told.known is not None:
        return "nobody knows this key yet"
    return f"{file} does not list this key; the mesh may know it"


def _next(refused: OwnKey, files: list[SecretFile], revoked: Collection[str]) -> list[str]:
    """What to do with a pair that the mesh would not have."""
    others = [one.path.name for one in files if one.public and one.public not in (refused.public, *revoked)]
    path = refused.path
    notes = [f"is {path} revoked? then put it away, so that no command takes it: mv {path} {path}.old"]
    if others:
        notes.insert(0, f"ask with another key: hfzmq keys show --key FILE; here lie {', '.join(others)}")
    return notes
