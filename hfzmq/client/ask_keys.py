"""Which keys the peers know: issued, revoked, listed in their files, each by its own word.

Touches sockets (through client.ask). Must not know: what is made of it. Keeps: a peer that does not tell, or tells what
cannot be read, is left out; the best informed one comes first.
"""

from __future__ import annotations

from contextlib import suppress

from hfzmq.access import AccessList
from hfzmq.client.ask import ask_all
from hfzmq.config import Config
from hfzmq.errors import HfzmqError, WireError
from hfzmq.wire.access import read_access


def ask_keys(config: Config, timeout_ms: int, served: dict[int, str] | None = None) -> list[AccessList]:
    """What each peer that answers knows; none where nobody does. ``served``: see ask_all."""
    found: list[tuple[int, AccessList]] = []
    with suppress(HfzmqError):  # why the mesh is not reached, whoever asks for its status says
        for answer in ask_all(config, "keys", timeout_ms=timeout_ms, served=served).values():
            if answer is None or answer.get("status") != "OK":
                continue
            with suppress(WireError):
                applied = answer.get("applied_index")
                found.append((applied if type(applied) is int else 0, read_access(answer)))
    return [access for _, access in sorted(found, key=lambda one: -one[0])]
