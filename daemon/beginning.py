"""Which members a daemon begins with: those of its file; of peers.yaml while no mesh is known to have been founded.

Touches the data directory, to look only. Must not know: who leads. Keeps: whoever joins a mesh, or has lost what it
once held, founds none.
"""

from __future__ import annotations

from hfzmq.config import Config
from hfzmq.core.membership import Membership, bootstrap
from hfzmq.storage import Store


def first_members(config: Config, me: int, store: Store, joins: bool) -> Membership:
    """The members that the file of peer ``me`` holds. A file that is new holds those of peers.yaml, which may list more
    peers than founded the mesh that this one is to join (``joins``). Whoever has ever set files aside belonged to a
    mesh, which may live on without it: it must not found another one, at later starts either."""
    found = store.recovered.membership
    forgot = store.amnesia or any(store.path.parent.glob(f"aside-*/{store.path.stem}.*"))
    if (joins or forgot) and not found.founded:
        return bootstrap(peer for peer in config.peers if peer.id != me)
    return found
