"""What a daemon begins with: the replica that its file holds, and which members: those of the file; those of peers.yaml
while no mesh is known to have been founded.

Touches the data directory, to look only. Must not know: who leads. Keeps: whoever joins a mesh, or has lost what it
once held, founds none.
"""

from __future__ import annotations

import re
from random import Random

from hfzmq.config import Config, PeerAddress
from hfzmq.core.membership import Member, Membership, bootstrap
from hfzmq.core.replica import Replica
from hfzmq.core.sessions import Sessions
from hfzmq.storage import Store


def first_replica(
    config: Config, me: int, store: Store, sessions: Sessions, joins: bool, now_ms: float, boot: int
) -> Replica:
    """The replica of peer ``me`` as its file left it. ``boot``: this start, as its messages name it; ``joins``: it
    belongs to a mesh that exists."""
    recovered = store.recovered
    return Replica(
        Member(config.peer(me), store.identity.incarnation),
        first_members(config, me, store, joins),
        config.timing,
        config.limits,
        Random(),
        recovered.hard_state,
        recovered.log,
        sessions,
        recovered.applied,
        recovered.state_hash,
        now_ms,
        boot,
        tuple(peer.id for peer in config.peers),
    )


def others_here(store: Store) -> list[int]:
    """The ids of other peers whose files lie beside that of ``store``."""
    names = (re.fullmatch(r"hfzmq_(\d+)", path.stem) for path in store.path.parent.glob("hfzmq_*.db"))
    return sorted(int(name[1]) for name in names if name and name[0] != store.path.stem)


def others_files(me: int, store: Store) -> str:
    """What to say where peer ``me`` begins with nothing beside the files of another peer; '' where it does not: two
    volumes that were mounted the wrong way round look like two disks that are lost."""
    found = sorted(path.name for path in store.path.parent.glob("hfzmq_*.db") if path != store.path)
    if not found or store.identity.boot_no > 1 or store.amnesia:
        return ""
    return (
        f"peer {me} begins with nothing, and {store.path.parent} holds {', '.join(found)}, of another peer: is this "
        "the wrong directory, or a volume mounted in another's place? then stop it, and put that right"
    )


def moved_away(here: PeerAddress, members: Membership, store: Store) -> str:
    """What to say where this peer is not ``here`` for the other ``members``: one that joined later, or came back with
    an empty disk, is where it was then, whatever peers.yaml says; '' where it is."""
    member = members.of(here.id)
    if member is None or not member.joined or member.incarnation != store.identity.incarnation:
        return ""
    if member.address == here:
        return ""
    return (
        f"peer {here.id} is at {_told(here)} in peers.yaml, and the others look for it at {_told(member.address)}, "
        f"where it was when it joined: put that back; or stop it, move {store.path.parent} aside, and start it: it is "
        "taken in where it is then"
    )


def _told(address: PeerAddress) -> str:
    return f"{address.host}:{','.join(map(str, address[2:]))}"


def first_members(config: Config, me: int, store: Store, joins: bool) -> Membership:
    """The members that the file of peer ``me`` holds. A file that is new holds those of peers.yaml, which may list more
    peers than founded the mesh that this one is to join (``joins``). Whoever has ever set files aside belonged to a
    mesh, which may live on without it: it must not found another one, at later starts either."""
    found = store.recovered.membership
    forgot = store.amnesia or any(store.path.parent.glob(f"aside-*/{store.path.stem}.*"))
    if (joins or forgot) and not found.founded:
        return bootstrap(peer for peer in config.peers if peer.id != me)
    return found
