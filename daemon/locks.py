"""The keys at work in one daemon: who may pass now, and what ends when a key goes out of force.

    peers.yaml, the log --> Keyring --out of force--> a line for people; the heartbeats' listeners show keys again;
                                                      connections to other peers follow the keys they serve with

Touches the sockets it is handed. Must not know: the core. Keeps: a message is judged by the keys in force at
the moment it is taken, so that a revoked key is out at its next message; without keys everybody passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hfzmq.access import ADMIN, PEER, AccessList, Listed, fingerprint
from hfzmq.config import PeerAddress
from hfzmq.daemon.keyring import Keyring
from hfzmq.daemon.sockets import Sockets
from hfzmq.key_section import Keys
from hfzmq.storage.access_book import AccessBook


class Locks:
    """Of the daemon with these ``sockets``. ``addresses()``: of whom it speaks to; ``note(text)``: tell people."""

    def __init__(
        self,
        keyring: Keyring | None,
        sockets: Sockets,
        addresses: Callable[[], Iterable[PeerAddress]],
        note: Callable[[str], None],
    ) -> None:
        self._keyring = keyring
        self._sockets = sockets
        self._addresses = addresses
        self._note = note
        self._seen: tuple[AccessBook | None, int] = (None, 0)  # what was taken in last

    def speaker(self, key: str) -> int | None:
        """The peer that may speak with ``key``: 0 for none, None where there are no keys."""
        return None if self._keyring is None else self._keyring.peer_of(key)

    def role(self, key: str) -> str | None:
        """What a client with ``key`` may do; None: nothing at all."""
        return ADMIN if self._keyring is None else self._keyring.role_of(key)

    def name(self, key: str) -> str:
        """Whose key it is, for people; '' where there are no keys."""
        one = None if self._keyring is None else self._keyring.in_force.of(key)
        return "" if one is None else one.name

    def in_force(self) -> AccessList:
        """The list as it is now; empty where there are no keys."""
        return AccessList() if self._keyring is None else self._keyring.in_force

    def reread(self, keys: Keys | None) -> None:
        """peers.yaml was read again."""
        if self._keyring is not None and keys is not None:
            self._changed(self._keyring.reread(keys))

    def applied(self, book: AccessBook) -> None:
        """Entries were applied, or a snapshot taken; ``book`` has what the log says of keys now."""
        if self._keyring is not None and (book, book.version) != self._seen:
            self._seen = (book, book.version)
            self._changed(self._keyring.told(book.issued, book.revoked))

    def _changed(self, out: list[Listed]) -> None:
        for one in out:
            self._note(f"the key of {one.name} ({fingerprint(one.key)}) is out of force")
        if any(one.role == PEER for one in out):
            self._sockets.mute_the_revoked()
        self._sockets.connect(self._addresses())
