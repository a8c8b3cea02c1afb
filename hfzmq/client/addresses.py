"""Where a client finds the peers: as the mesh says, and as its own file says where that fails.

Touches nothing. Must not know: sockets, what is asked. Keeps: whatever a peer of the file was called by is never
forgotten, so that a wrong or old list cannot cut a client off; a list is only ever replaced by a newer one, but where
its members are is what was told last.

    members of the mesh (or, as long as none told who they are, the peers of the file) -- asked first
    peers of the file that are no members, peers that a hint named                     -- when no member can help

A peer may have several addresses (the mesh's, a hint's, the file's): the next one is taken when one fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hfzmq.config import PeerAddress
from hfzmq.wire.members import Told, ToldMember

HINTS_MAX = 64

Address = tuple[str, int]


class Addresses:
    """Host and client port of each peer, by its id; see the module."""

    def __init__(self, peers: Iterable[PeerAddress], told: Told | None = None) -> None:
        self._file: dict[int, Address] = {peer.id: (peer.host, peer.client_port) for peer in peers}
        self._hinted: dict[int, Address] = {}
        self._turn: dict[int, int] = {}  # which of a peer's addresses is the present one
        self.told: Told | None = None
        if told is not None:
            self.learn(told)

    @property
    def index(self) -> int:
        """Of the list that is known; -1 for none."""
        return -1 if self.told is None else self.told.index

    def learn(self, told: Told) -> bool:
        """Take a newer list; False when it is none."""
        if told.index <= self.index:
            return False
        self.told = told
        self._turn.clear()
        return True

    def learn_keys(self, told: Told) -> None:
        """Of a list that is as new as the one that is known, take what it says of the peers' keys."""
        if self.told is not None and told.index == self.told.index:
            self.told = replace(self.told, keys=told.keys)

    def learn_places(self, told: Told) -> bool:
        """Of a list that is as new as the one that is known, take where the members are: the first ones are moved by
        the files of the machines, and no list becomes newer by that. True when somebody has moved."""
        if self.told is None or told.index != self.index:
            return False
        known = {member.id: member for member in self.told.members}
        here = {member.id: member for member in told.members}
        moved = [peer for peer in known if peer in here and known[peer][:5] != here[peer][:5]]
        for peer in moved:
            known[peer] = ToldMember(*here[peer][:5], *known[peer][5:])
            self._turn.pop(peer, None)
        self.told = replace(self.told, members=tuple(known.values()))
        return bool(moved)

    def hint(self, peer: int, host: str, port: int) -> bool:
        """Somebody said where ``peer`` is; False when nothing can be made of it."""
        if not (peer > 0 and host and 0 < port < 65_536):
            return False
        if peer not in self and len(self._hinted) >= HINTS_MAX:
            return False
        if (host, port) not in self._all(peer):
            self._hinted[peer] = (host, port)
        return True

    def __contains__(self, peer: object) -> bool:
        return peer in self._file or peer in self._hinted or peer in self.members

    def __getitem__(self, peer: int) -> Address:
        """Where ``peer`` is to be asked now; KeyError for one that nobody named."""
        known = self._all(peer)
        if not known:
            raise KeyError(peer)
        return known[self._turn.get(peer, 0) % len(known)]

    def at(self, host: str, port: int) -> int:
        """Who is there, as far as anybody said; KeyError for nobody."""
        for peer in (*self.members, *self.others):
            if (host, port) in self._all(peer):
                return peer
        raise KeyError((host, port))

    def failed(self, peer: int) -> None:
        """``peer`` was of no use where it was asked: the next address is due, if it has several."""
        self._turn[peer] = self._turn.get(peer, 0) + 1

    @property
    def members(self) -> list[int]:
        """The ids to ask first, rising: never none."""
        return sorted(self._file) if self.told is None else [member.id for member in self.told.members]

    @property
    def others(self) -> list[int]:
        """The ids to ask when no member can help, rising."""
        return sorted((self._file.keys() | self._hinted.keys()) - set(self.members))

    def everywhere(self) -> list[Address]:
        """Every address, each once, members first."""
        found = [address for peer in (*self.members, *self.others) for address in self._all(peer)]
        return list(dict.fromkeys(found))

    def _all(self, peer: int) -> list[Address]:
        member = self.told.of(peer) if self.told is not None else None
        mesh = (member.host, member.client_port) if member else None
        known = (mesh, self._file.get(peer), self._hinted.get(peer))
        return list(dict.fromkeys(address for address in known if address is not None))
