"""Lazy Pirate and the client's own queue on disk: reports and readings reach the mesh exactly once.

Touches sockets and one directory. ``Client`` (reports) and ``ReadingsClient`` (heart rates) are what scripts use;
``ask`` holds the one-off questions of the commands.
"""

from hfzmq.client.client import Client, ReadingsClient
from hfzmq.client.ledger import ClientState

__all__ = ["Client", "ClientState", "ReadingsClient"]
