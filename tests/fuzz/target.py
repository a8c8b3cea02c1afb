"""Who is attacked, and with which keys: one daemon of a mesh, as a file that another process reads.

Touches one JSON file. Must not know: attacks, daemons. Keeps: the keys are throw-away ones of a mesh on the loopback.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from hfzmq.key_section import OwnKey

NO_KEY, STRANGER, REVOKED, CLIENT, OUTSIDER = "no key", "stranger", "revoked", "client", "outsider"


class Target(NamedTuple):
    """One daemon. ``keys``: pairs by the names above; OUTSIDER's is the key of the peer ``outsider``, which is no
    member. ``http_port``: 0 where it has none."""

    peer: int
    host: str
    client_port: int
    peer_port: int
    beat_port: int
    http_port: int
    mesh_id: bytes
    server: str
    outsider: int
    keys: dict[str, OwnKey]

    @property
    def mesh_ports(self) -> tuple[int, int, int]:
        """Those that speak ZMTP."""
        return self.client_port, self.peer_port, self.beat_port


def save(target: Target, path: Path) -> None:
    """For the process that attacks."""
    pairs = {name: [own.public, own.secret] for name, own in target.keys.items()}
    path.touch(0o600)
    path.write_text(json.dumps({**target._asdict(), "mesh_id": target.mesh_id.hex(), "keys": pairs}))


def load(path: Path) -> Target:
    """What ``save`` has written."""
    told = json.loads(path.read_text())
    told["mesh_id"] = bytes.fromhex(told["mesh_id"])
    told["keys"] = {name: OwnKey(*pair) for name, pair in told["keys"].items()}
    return Target(**told)
