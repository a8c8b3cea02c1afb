"""From committed to applied: one Apply at a time, in order, bounded.

Touches nothing. Must not know: who leads, who waits. Keeps (I6): ``index`` never goes back; an entry is judged by its
session once more here, so that what a session has stored changes only as committed entries are applied.
"""

from __future__ import annotations

from hfzmq.core.contract import Apply
from hfzmq.core.log import Log
from hfzmq.core.sessions import Sessions
from hfzmq.core.types import Entry

APPLY_BYTES_MAX = 1 << 20  # of one Apply, so that catching up never stalls the loop


class Applying:
    """How far the tables are: ``index``, ``state_hash``. A power cut may take the last back (contract.Applied)."""

    def __init__(self, log: Log, sessions: Sessions, index: int, state_hash: bytes) -> None:
        self._log = log
        self._sessions = sessions
        self.index = index
        self.state_hash = state_hash
        self.handed_out = index  # in an Apply that may still be under way
        self._repeats: frozenset[int] = frozenset()  # of that Apply

    def hand_out(self, commit: int) -> Apply | None:
        """The next entries to apply; None while the last ones are under way or where there are none."""
        if commit == self.handed_out or self.handed_out > self.index:
            return None
        entries: list[Entry] = []
        size = 0
        for entry in self._log.between(self.handed_out, commit):
            size += entry.cost_bytes
            if entries and size > APPLY_BYTES_MAX:
                break
            entries.append(entry)
        self.handed_out = entries[-1].index
        fresh = tuple(self._sessions.apply(entry) for entry in entries)
        self._repeats = frozenset(entry.index for entry, new in zip(entries, fresh, strict=True) if not new)
        return Apply(tuple(entries), fresh)

    def reset(self, index: int, state_hash: bytes) -> None:
        """A snapshot brings the tables of ``index``."""
        self.index = self.handed_out = index
        self.state_hash = state_hash
        self._repeats = frozenset()

    def applied(self, index: int, state_hash: bytes) -> tuple[int, frozenset[int]]:
        """The tables are at ``index``; returns the first index that is new, and which of them only
        repeated what was stored."""
        first, self.index, self.state_hash = self.index + 1, index, state_hash
        return first, self._repeats
