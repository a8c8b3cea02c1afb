"""The gate: which bytes from other peers may reach the core.

Touches nothing. Keeps: what passes is a whole message of this mesh, from a voter, to this peer, from the newest life of
the one incarnation that was met first; all else is dropped and counted. Nothing relies on it for safety: a message that
slips through late is harmless.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping

from hfzmq.core.messages import Heartbeat, Message
from hfzmq.errors import WireError
from hfzmq.wire import peers

log = logging.getLogger("hfzmq.gate")


class Gate:
    """Checks envelopes for the daemon ``me`` of ``mesh_id``.

    ``met``: the incarnations that this peer met in earlier lives; ``meet`` keeps a new one for good, before its first
    message passes: a peer that has lost its disk must not pass for the one that made promises."""

    def __init__(
        self,
        mesh_id: bytes,
        me: int,
        voters: tuple[int, ...],
        counters: Counter[str],
        met: Mapping[int, bytes],
        meet: Callable[[int, bytes], None],
    ) -> None:
        self._mesh_id = mesh_id
        self._me = me
        self._voters = voters
        self._counters = counters
        self._met = met
        self._meet = meet
        self._warned: set[int] = set()
        self._lives: dict[int, tuple[bytes, int]] = {}  # peer -> (incarnation, newest boot)

    @property
    def refused_peers(self) -> list[int]:
        """Peers that have come with other data than those met first: their disks are lost, or they are others."""
        return sorted(self._warned)

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
        if sender.peer not in self._lives:
            self._lives[sender.peer] = (self._met_first(sender), 0)
        incarnation, boot = self._lives[sender.peer]
        if sender.incarnation != incarnation:
            if sender.peer not in self._warned:
                self._warned.add(sender.peer)
                log.warning("peer %d speaks with other data than before: it is not heard", sender.peer)
            self._counters["peer_message_other_incarnation"] += 1
            return None
        if sender.boot < boot:
            self._counters["peer_message_earlier_life"] += 1
            return None
        self._lives[sender.peer] = (incarnation, sender.boot)
        return sender.peer, letter.content

    def _met_first(self, sender: peers.Sender) -> bytes:
        known = self._met.get(sender.peer)
        if known is None:
            self._meet(sender.peer, sender.incarnation)
            return sender.incarnation
        return known
