"""Lazy Pirate and the client's own queue on disk: reports reach the mesh exactly once.

Touches sockets and one directory. ``Client`` is what scripts use; ``ask`` holds the one-off questions of the commands.
"""

from hfzmq.client.client import Client
from hfzmq.client.ledger import ClientState

__all__ = ["Client", "ClientState"]
