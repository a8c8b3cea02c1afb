"""Whether all peers hold the same: equal applied index means equal state hash, and heartbeats carry both.

Touches nothing. Must not know: what the state is. Keeps (I8): who holds something else than a majority of the voters
does finds out by itself; where there is no majority, it is an alarm and nobody is judged. What a life of a peer has
said that is no member any more counts for nothing.
"""

from __future__ import annotations

from collections import OrderedDict

from hfzmq.core.membership import Members

KEPT = 512  # of one's own recent states: others are not far behind or ahead for long


class Agreement:
    """This peer's recent states against what the others say of theirs."""

    def __init__(self, members: Members, index: int, state_hash: bytes) -> None:
        self._members = members
        self._mine: OrderedDict[int, bytes] = OrderedDict({index: state_hash})
        self._said: dict[int, tuple[bytes, int, bytes]] = {}  # peer -> (incarnation, index, state's hash), the newest
        self._differs: dict[int, bytes] = {}  # peer -> incarnation

    def applied(self, index: int, state_hash: bytes) -> None:
        """This peer's tables are at ``index``."""
        self._mine[index] = state_hash
        if len(self._mine) > KEPT:
            self._mine.popitem(last=False)

    def reset(self, index: int, state_hash: bytes) -> None:
        """Other tables, of ``index``."""
        self._mine.clear()
        self._said.clear()
        self._differs.clear()
        self._mine[index] = state_hash

    def heard(self, peer: int, incarnation: bytes, index: int, state_hash: bytes) -> bool:
        """A member says where its tables are. True: a majority of the voters holds something else than this peer."""
        self._said[peer] = (incarnation, index, state_hash)
        mine = self._mine.get(index)
        if mine is None:
            return False
        if mine == state_hash:
            self._differs.pop(peer, None)
            return False
        self._differs[peer] = incarnation
        now = self._members.now
        alike = [
            other
            for other, (life, *place) in self._said.items()
            if place == [index, state_hash] and other in now.voters and now.counts(other, life)
        ]
        return len(alike) >= now.majority

    @property
    def differs(self) -> tuple[int, ...]:
        """The members that were last seen to hold something else at an equal index: an alarm."""
        now = self._members.now
        return tuple(sorted(peer for peer, life in self._differs.items() if now.counts(peer, life)))
