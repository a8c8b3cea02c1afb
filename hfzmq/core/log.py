"""The log in memory: what this peer has been told to keep, in order, and how much of it is on synced storage.

Touches nothing. Keeps: indexes run without a hole from ``base`` on; ``durable <= last.index``; ``truncate_from`` lowers
``durable`` at once, for what was dropped is promised no more; nothing at or below the commit index is ever dropped
(``Replica`` asserts it, for the commit index is its own).
"""

from __future__ import annotations

from collections.abc import Sequence

from hfzmq.core.types import START, Entry, Place


class Log:
    """Entries after ``base``, which is where compaction has cut or a snapshot begins. ``bytes``: what they weigh."""

    def __init__(self, entries: Sequence[Entry] = (), base: Place = START) -> None:
        self.base = base
        self._entries: list[Entry] = []
        self._pending: list[tuple[int, int]] = []  # (token, the last index it makes durable), tokens rising
        self.last = base
        self.bytes = 0
        self.append(entries)
        self.durable = self.last.index  # what was read from disk is on disk

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries; each must follow the one before."""
        for entry in entries:
            assert entry.index == self.last.index + 1, "a hole in the log"
            self._entries.append(entry)
            self.bytes += entry.cost_bytes
            self.last = Place(entry.index, entry.term, entry.chain)

    def truncate_from(self, index: int) -> None:
        """Drop the entries from ``index`` on."""
        assert self.base.index < index <= self.last.index, "nothing there to drop"
        start = index - self.base.index - 1
        self.bytes -= sum(entry.cost_bytes for entry in self._entries[start:])
        del self._entries[start:]
        self.last = self.place_at(index - 1)
        self.durable = min(self.durable, index - 1)
        self._pending = [(token, min(upto, index - 1)) for token, upto in self._pending]

    def compact(self, index: int) -> None:
        """Drop the entries up to ``index``, which is durable and applied."""
        assert self.base.index < index <= self.durable, "nothing there to drop"
        place = self.place_at(index)
        count = index - self.base.index
        self.bytes -= sum(entry.cost_bytes for entry in self._entries[:count])
        del self._entries[:count]
        self.base = place

    def reset(self, base: Place) -> None:
        """A snapshot that is on synced storage took the place of everything up to ``base``, and of all else."""
        self._entries.clear()
        self._pending.clear()
        self.bytes = 0
        self.base = self.last = base
        self.durable = base.index

    def persisting(self, token: int) -> None:
        """Everything up to ``last`` was handed to storage under ``token``."""
        self._pending.append((token, self.last.index))

    def persisted(self, token: int) -> None:
        """Storage has synced everything up to ``token``."""
        while self._pending and self._pending[0][0] <= token:
            self.durable = max(self.durable, self._pending.pop(0)[1])

    def entry_at(self, index: int) -> Entry:
        """The entry at ``index``; it must be there."""
        assert self.base.index < index <= self.last.index, "no such entry"
        return self._entries[index - self.base.index - 1]

    def place_at(self, index: int) -> Place:
        """The place at ``index``, the base included."""
        if index == self.base.index:
            return self.base
        entry = self.entry_at(index)
        return Place(index, entry.term, entry.chain)

    def holds(self, place: Place) -> bool:
        """Whether this log agrees with another one up to ``place``."""
        return self.base.index <= place.index <= self.last.index and self.place_at(place.index) == place

    def after(self, index: int, bytes_max: int) -> tuple[Entry, ...]:
        """Entries from index + 1 on, as many as ``bytes_max`` allows but at least one where there is one."""
        start = index - self.base.index
        total = 0
        for stop in range(start, len(self._entries)):
            total += self._entries[stop].cost_bytes
            if total > bytes_max and stop > start:
                return tuple(self._entries[start:stop])
        return tuple(self._entries[start:])

    def between(self, after: int, upto: int) -> tuple[Entry, ...]:
        """The entries with after < index <= upto."""
        assert after >= self.base.index, "no such entries any more"
        return tuple(self._entries[after - self.base.index : upto - self.base.index])
