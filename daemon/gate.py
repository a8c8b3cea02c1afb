"""The gate: which bytes from other peers may reach the core.

Touches nothing. Keeps: what passes is a whole message of this mesh, from a voter, to this peer, from the newest life of
the one incarnation that was met first; all else is dropped and counted. Nothing relies on it for safety: a message that
slips through late is harmless.
"""

from __future__ import annotations

import logging
from collections import Counter

from hfzmq.core.messages import Heartbeat, Message
from hfzmq.errors import WireError
from hfzmq.wire import peers

log = logging.getLogger("hfzmq.gate")


class Gate:
    """Checks envelopes for the daemon ``me`` of ``mesh_id``."""

    def __init__(self, mesh_id: bytes, me: int, voters: tuple[int, ...], counters: Counter[str]) -> None:
        self._mesh_id = mesh_id
        self._me = me
        self._voters = voters
        self._counters = counters
        self._lives: dict[int, tuple[bytes, int]] = {}  # peer -> (incarnation, newest boot)

    def admit(self, frame: bytes) -> tuple[int, Message | Heartbeat] | None:
        """Sender and message, or None for what must not pass."""
        try:
            letter = peers.decode(frame)
        except WireError:
            self._counters["peer_message_malformed"] += 1
            return None
        sender = letter.sender
        if sender.mesh_id != self._mesh_id:
            self._counters["peer_message_other_mesh"] += 1
            return None
        if sender.peer not in self._voters or sender.to not in (0, self._me):
            self._counters["peer_message_not_for_me"] += 1
            return None
        if sender.peer == self._me:
            self._counters["peer_message_with_my_id"] += 1
            return None
        incarnation, boot = self._lives.get(sender.peer, (sender.incarnation, sender.boot))
        if sender.incarnation != incarnation:
            if not self._counters["peer_message_other_incarnation"]:
                log.warning("peer %d speaks with other data than before: it is not heard", sender.peer)
            self._counters["peer_message_other_incarnation"] += 1
            return None
        if sender.boot < boot:
            self._counters["peer_message_earlier_life"] += 1
            return None
        self._lives[sender.peer] = (incarnation, sender.boot)
        return sender.peer, letter.content
