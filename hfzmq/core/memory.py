"""What others have shown to have: a disk that was put back to an older state is found out by those who remember.

Touches nothing. Must not know: terms, who leads. A peer's applied index is on its synced disk before it is published: a
later start of the same incarnation that shows a lower one has lost something, whatever its own files say of
themselves: they are whole, only old. Keeps: answers of a new start count only once its first heartbeat has shown that
it still has what the one before had. What nobody remembers cannot be found (docs/guarantees.md says so).
"""

from __future__ import annotations

from typing import NamedTuple


class Shown(NamedTuple):
    """Of one incarnation: its newest start, what that one has shown, and what is known to be on its disk."""

    incarnation: bytes
    boot: int
    applied: int


class Memory:
    """The last word of each peer."""

    def __init__(self) -> None:
        self._shown: dict[int, Shown] = {}

    def believes(self, peer: int, incarnation: bytes, boot: int) -> bool:
        """Whether what this start answers may count: nothing is remembered of an earlier one, or it was looked at."""
        known = self._shown.get(peer)
        return known is None or known.incarnation != incarnation or known.boot == boot

    def heard(self, peer: int, incarnation: bytes, boot: int, applied: int) -> bool:
        """A heartbeat. False: this start has forgotten something, or is not the newest."""
        known = self._shown.get(peer)
        if known is None or known.incarnation != incarnation:
            self._shown[peer] = Shown(incarnation, boot, applied)
            return True
        if boot < known.boot or (boot > known.boot and applied < known.applied):
            return False
        self._shown[peer] = Shown(incarnation, boot, max(applied, known.applied))
        return True
