"""A simulated disk: what is synced, transaction by transaction, and the snapshot that can be taken of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hfzmq.core.contract import Apply, Compact, Persist
from hfzmq.core.membership import Member, Members, Membership, bootstrap
from hfzmq.core.sessions import Session, SessionKey
from hfzmq.core.types import START, Entry, HardState, Place
from hfzmq.settings import PeerAddress


def address(peer: int) -> PeerAddress:
    """Where a simulated peer would be."""
    return PeerAddress(peer, f"peer-{peer}", 7000, 7001, 7002)


def first_peers(peers: tuple[int, ...]) -> Membership:
    """The bootstrap: these peers, of incarnations that nobody knows yet."""
    return bootstrap(address(peer) for peer in peers)


def founded(peers: tuple[int, ...]) -> Membership:
    """These peers with the incarnations that simulated peers begin with."""
    return Membership(0, tuple(Member(address(peer), first_incarnation(peer)) for peer in peers))


def first_incarnation(peer: int) -> bytes:
    """The incarnation of a simulated peer until it loses its disk."""
    return b"%d.1" % peer


@dataclass
class Disk:
    """What is synced. Rows are (session, seq, digest), in the order in which they were stored; ``membership`` is the
    one in force at ``base``, where the log begins."""

    hard_state: HardState = field(default_factory=lambda: HardState(0, 0))
    log: list[Entry] = field(default_factory=list)
    applied: int = 0
    state_hash: bytes = bytes(16)
    sessions: dict[SessionKey, Session] = field(default_factory=dict)
    rows: list[tuple[SessionKey, int, bytes]] = field(default_factory=list)
    base: Place = START
    membership: Membership = field(default_factory=lambda: first_peers((1, 2, 3)))

    @property
    def last(self) -> int:
        """The index of the last entry."""
        return self.base.index + len(self.log)

    def holds(self, index: int, chain: bytes) -> bool:
        """Whether this entry is here; what is compacted was, for only what is applied may be."""
        if index < self.base.index:
            return True
        if index == self.base.index:
            return self.base.chain == chain
        return index <= self.last and self.log[index - self.base.index - 1].chain == chain

    def members(self) -> Membership:
        """The members that the log says."""
        return Members(self.membership, self.log).now

    def undo(self, effect: Apply) -> Callable[[], None]:
        """What takes back this Apply, which is about to be written: as long as nothing is written after it."""
        keys = {entry.origin.session for entry in effect.entries if entry.origin}
        applied, state_hash, rows = self.applied, self.state_hash, len(self.rows)
        sessions = {key: self.sessions.get(key) for key in keys}

        def back() -> None:
            self.applied, self.state_hash = applied, state_hash
            del self.rows[rows:]
            for key, session in sessions.items():
                if session is None:
                    self.sessions.pop(key, None)
                else:
                    self.sessions[key] = session

        return back

    def write(self, effect: Persist | Apply | Compact) -> None:
        """One transaction."""
        if isinstance(effect, Persist):
            if effect.hard_state:
                self.hard_state = effect.hard_state
            if effect.truncate_from is not None:
                del self.log[effect.truncate_from - self.base.index - 1 :]
            self.log.extend(effect.entries)
        elif isinstance(effect, Compact):
            assert self.base.index < effect.place.index <= self.applied
            assert self.holds(effect.place.index, effect.place.chain)
            del self.log[: effect.place.index - self.base.index]
            self.base, self.membership = effect.place, effect.membership
        else:
            self._apply(effect)

    def _apply(self, effect: Apply) -> None:
        for entry, fresh in zip(effect.entries, effect.fresh, strict=True):
            assert entry.index == self.applied + 1
            self.applied = entry.index
            self.state_hash = hashlib.blake2b(self.state_hash + entry.chain + bytes([fresh]), digest_size=16).digest()
            if fresh and entry.origin:
                key, seq, digest = entry.origin.session, entry.origin.seq, entry.origin.digest
                self.sessions[key] = Session(seq, digest, entry.term, entry.index)
                self.rows.append((key, seq, digest))

    def snapshot(self) -> Disk:
        """What another peer needs to go on from ``applied``: no log, no hard state."""
        place = self.base
        if self.applied > self.base.index:
            entry = self.log[self.applied - self.base.index - 1]
            place = Place(entry.index, entry.term, entry.chain)
        membership = Members(self.membership, self.log).at(self.applied)
        return replace(
            self, hard_state=HardState(0, 0), log=[], sessions=dict(self.sessions), rows=list(self.rows),
            base=place, membership=membership,
        )  # fmt: skip

    def install(self, snapshot: Disk) -> None:
        """A snapshot takes the place of everything but the hard state."""
        self.log, self.rows, self.sessions = [], list(snapshot.rows), dict(snapshot.sessions)
        self.applied, self.state_hash = snapshot.applied, snapshot.state_hash
        self.base, self.membership = snapshot.base, snapshot.membership
