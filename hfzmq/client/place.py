"""Who a client is, and where its queue lies when nobody says.

Touches the environment, to read it.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from hfzmq.client.traffic import REPORTS, Traffic
from hfzmq.errors import InvalidInput
from hfzmq.wire.requests import CLIENT_CHARS_MAX


def check_client_id(client_id: object) -> None:
    """InvalidInput unless ``client_id`` can name a client on the wire."""
    if not isinstance(client_id, str) or not 1 <= len(client_id) <= CLIENT_CHARS_MAX or not client_id.isprintable():
        raise InvalidInput("client_id", f"1 to {CLIENT_CHARS_MAX} printable characters", got=client_id)


def default_queue_dir(client_id: str, mesh_id: bytes, traffic: Traffic = REPORTS) -> Path:
    """``$XDG_STATE_HOME/hfzmq/<client id>/<start of the mesh id>``: one queue for all lives of a client in a mesh; that
    of readings lies beside it and ends in ``-readings``."""
    state = os.environ.get("XDG_STATE_HOME") or ""
    home = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    name = quote(client_id, safe=" ")
    mesh = mesh_id.hex()[:8] + ("" if traffic == REPORTS else f"-{traffic.word}")
    return home / "hfzmq" / (name if name.strip(".") else f"_{name}") / mesh
