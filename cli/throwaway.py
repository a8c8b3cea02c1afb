"""Keys for a mesh that lives as long as its folder: a demo, a scenario, a test.

Touches one folder. Must not know: who uses them. Keeps: they are made as real ones are, in files of their own beside
the configuration, so that nothing that is shown or tested runs on plain text.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hfzmq.access import ADMIN, CLIENT, PEER, name_of_peer
from hfzmq.config import Config
from hfzmq.key_section import Keys, OwnKey
from hfzmq.secret_files import ADMIN_NAME, DIRECTORY, SUFFIX, WARD_NAME, write_secret


def with_throwaway_keys(config: Config, folder: Path, peers: Iterable[int] | None = None) -> Config:
    """``config`` with a new key for each of ``peers`` (None: its own), an admin and a client, whose secret halves lie
    in ``folder``/keys; its ``own`` key is the admin's."""

    def make(name: str, role: str) -> OwnKey:
        return write_secret(folder / DIRECTORY / f"{name}{SUFFIX}", name, role)

    ids = config.peer_ids if peers is None else peers
    listed = tuple((peer, make(name_of_peer(peer), PEER).public) for peer in ids)
    admin = make(ADMIN_NAME, ADMIN)
    ward = make(WARD_NAME, CLIENT)
    return config._replace(keys=Keys(listed, ((ADMIN_NAME, admin.public),), ((WARD_NAME, ward.public),), own=admin))
