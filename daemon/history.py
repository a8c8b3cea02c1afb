"""Which history of the mesh a peer belongs to: what its messages name, and what the gate lets pass.

Touches nothing. Must not know: sockets, what is done about another one. Why there is one: when all disks of a mesh are
emptied and it is begun anew under the same id and keys, an old disk that comes back looks like a member. A snapshot of
the new mesh would take the place of the only copy of what it holds, and the core's rules are for logs that began with
one entry.

    b"" --an entry with a body is applied--> 16 bytes, for good (storage/apply.py); set aside, restored: b"" again

Keeps: two peers that name different histories share no entry that was acknowledged in either; peers of one mesh that
was begun once never name different ones.
"""

from __future__ import annotations

from hfzmq.core.replica import Replica
from hfzmq.storage import Store
from hfzmq.storage.apply import first_history


def history_of(store: Store, replica: Replica) -> bytes:
    """16 bytes; b"" while nobody can know.

    A leader knows before its first entry is applied: whatever anybody has applied stands in its log. So it never counts
    a peer of another history for that entry either. Whoever does not lead may hold an entry that will be dropped."""
    if store.history or replica.leading is None:
        return store.history
    return first_history(replica.log.between(replica.applied, replica.log.last.index))
