"""A peer's voice among the others: its messages under its own name, and who can be answered.

Touches the sockets it is handed. Must not know: the core's rules, the disk. Keeps: every message names this process
(mesh, peer, incarnation, boot), so that nothing it says is ever taken for what an earlier or another life has said, and
the history that its data belongs to (history.py), as of the moment it is sent.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from hfzmq.config import PeerAddress
from hfzmq.core.membership import Membership
from hfzmq.core.messages import Disowned, Heartbeat
from hfzmq.daemon.sockets import Sockets
from hfzmq.storage.identity import Identity
from hfzmq.wire import peers
from hfzmq.wire.peers import Content, Introduction

BOOT_BITS = 16


class Voice:
    """Of the process ``identity``. ``boot``: what its messages say of this start; files that were put back, or copied,
    may count a start twice, and the lower bits tell such processes apart. ``history``: b"" until told otherwise."""

    def __init__(self, identity: Identity, sockets: Sockets, lease_ms: int) -> None:
        self.history: Callable[[], bytes] = bytes
        self.boot = identity.boot_no << BOOT_BITS | secrets.randbits(BOOT_BITS)
        self._identity = identity
        self._sockets = sockets
        self._lease_ms = lease_ms
        self._introduce_at_ms = 0.0

    def send(self, to: int, content: Content) -> None:
        """To one peer; may be lost."""
        self._sockets.links.send(to, peers.encode(self._name(to), content))

    def publish(self, heartbeat: Heartbeat) -> None:
        """To all who listen; may be lost."""
        self._sockets.publish(peers.encode(self._name(0), heartbeat))

    def disown(self, peer: int, incarnation: bytes, boot: int) -> None:
        """Tell an earlier start of a peer that a later one was heard."""
        self.send(peer, Disowned(incarnation, boot))

    def introduce(self, now_ms: float, membership: Membership) -> None:
        """Who joined later tells every member where it is, once a lease: one that is behind, and has not heard of it,
        could not answer it otherwise."""
        myself = membership.of(self._identity.peer_id)
        if myself is None or not myself.joined or now_ms < self._introduce_at_ms:
            return
        self._introduce_at_ms = now_ms + self._lease_ms
        for member in membership.members:
            if member is not myself:
                self.send(member.peer, Introduction(myself.address))

    def meet(self, sender: int, address: PeerAddress, membership: Membership) -> None:
        """Somebody says where it is: of use for one that this peer's log does not name (yet)."""
        if sender == address.id and membership.of(sender) is None:
            self._sockets.links.acquaint(address)

    def _name(self, to: int) -> peers.Sender:
        who = self._identity
        return peers.Sender(who.mesh_id, who.peer_id, who.incarnation, self.boot, to, self.history())
