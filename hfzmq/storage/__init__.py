"""SQLite: what survives a crash. ``Store`` is the one writer of a peer's file, ``Reader`` reads it, live or offline.

Touches the disk. Must not know: sockets, roles, who leads. One file a peer, ``hfzmq_<id>.db``; its tables: schema.sql.
"""

from hfzmq.storage.identity import Identity
from hfzmq.storage.reader import Reader
from hfzmq.storage.recovery import Recovered
from hfzmq.storage.scrub import Scrubber
from hfzmq.storage.store import Store

__all__ = ["Identity", "Reader", "Recovered", "Scrubber", "Store"]
