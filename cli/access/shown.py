"""What ``hfzmq keys show`` shows: the list of the file, what the log has changed, the secret keys that lie here.

Touches a directory and, through the mesh, sockets. Keeps: where the mesh cannot be asked, a note says so and what is
shown is the file's; a key that is revoked anywhere is shown as such.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import click

from hfzmq.access import FILE, AccessList, Listed, fingerprint
from hfzmq.cli.options import KEY_FILE
from hfzmq.config import Config
from hfzmq.errors import HfzmqError
from hfzmq.secret_files import COMMAND_KEY, secret_files, with_own_key


class Row(NamedTuple):
    """One key. ``secret``: the file with its secret half, '' where that is not here; ``mode``: of that file."""

    name: str
    role: str
    peer: int | None
    revoked: bool
    source: str
    fingerprint: str
    key: str
    secret: str
    mode: str


def rows_of(config: Config, directory: Path, offline: bool) -> tuple[list[Row], list[str]]:
    """All keys that are known, and what is worth a note."""
    from hfzmq.cli.access.files import keys_of

    keys = keys_of(config)
    notes: list[str] = []
    listed, revoked = keys.listed(), set(keys.revoked)
    if not offline:
        try:
            from hfzmq.cli.access.mesh import Mesh

            context = click.get_current_context()
            own = with_own_key(config, COMMAND_KEY, os.environ, context.find_root().meta.get(KEY_FILE))
            known = Mesh(own, 3.0).known()
        except HfzmqError as error:
            notes.append(f"by {config.path} alone, for the mesh was not reached: {error}")
        else:
            listed, revoked = [*listed, *known.listed.values()], revoked | known.revoked
    access = AccessList(listed, revoked)
    secrets = {one.public: one for one in secret_files(directory) if one.public}
    notes += [one.fault for one in secret_files(directory) if one.fault]
    rows = []
    unknown = [Listed(key, "", "", 0, FILE) for key in sorted(revoked - set(access.listed))]
    for one in [*access.listed.values(), *unknown]:
        secret = secrets.pop(one.key, None)
        mode = f"{secret.mode:04o}" if secret else ""
        rows.append(
            Row(one.name, one.role, one.peer or None, one.key in revoked, one.source, fingerprint(one.key), one.key,
                str(secret.path) if secret else "", mode)
        )  # fmt: skip
    notes += [f"{one.path}: nobody knows this key yet" for one in secrets.values()]
    return rows, notes
