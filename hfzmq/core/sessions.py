"""Exactly once, in order: what each client's session has stored, and what is on its way.

Touches nothing. Keeps: for each (client, epoch) the stored seqs are 1..k, each once; a session never silently expires.
``stored`` changes only as committed entries are applied, so it is equal on equal applied indexes; ``pending`` follows
the log's tail and is rebuilt from it when a peer becomes leader.

A retry is recognised by its seq and its digest. Clients have one request in flight, so only the last one is remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hfzmq.core.types import Entry, Origin

SessionKey = tuple[str, bytes]

NEW, AGAIN, CONFLICT, GAP = "new", "again", "conflict", "gap"


@dataclass(frozen=True, slots=True)
class Session:
    """The last request that a session has stored (or appended): its seq, digest and place."""

    seq: int
    digest: bytes
    term: int
    index: int


NOTHING = Session(0, b"", 0, 0)


class Sessions:
    """Every session of the mesh."""

    def __init__(self, stored: Mapping[SessionKey, Session] | None = None) -> None:
        self._stored: dict[SessionKey, Session] = dict(stored or {})
        self._pending: dict[SessionKey, Session] = {}

    def reset(self, stored: Mapping[SessionKey, Session]) -> None:
        """A snapshot brings other tables."""
        self._stored = dict(stored)
        self._pending.clear()

    def last_stored(self, key: SessionKey) -> Session:
        """What the tables hold for a session; NOTHING for an unknown one."""
        return self._stored.get(key, NOTHING)

    def last_known(self, key: SessionKey) -> Session:
        """What is stored or appended for a session, whichever is later."""
        stored = self._stored.get(key, NOTHING)
        pending = self._pending.get(key, NOTHING)
        return pending if pending.seq > stored.seq else stored

    def judge(self, origin: Origin) -> tuple[str, Session]:
        """Whether a request is NEW, AGAIN (it stands at the returned session's place), in CONFLICT, or leaves a GAP
        (also one that repeats a seq before the last: the client's counter is not where the mesh is)."""
        return _judge(origin, self.last_known(origin.session))

    def expect(self, entry: Entry) -> None:
        """An entry was appended: its session's next request is counted from it."""
        if entry.origin:
            origin = entry.origin
            self._pending[origin.session] = Session(origin.seq, origin.digest, entry.term, entry.index)

    def rebuild(self, tail: Iterable[Entry]) -> None:
        """Forget what was on its way; expect the entries of the log that are not applied."""
        self._pending.clear()
        for entry in tail:
            self.expect(entry)

    def apply(self, entry: Entry) -> bool:
        """Take a committed entry in. False: it repeats, conflicts or leaves a gap, and must store nothing."""
        if entry.origin is None:
            return True
        key = entry.origin.session
        verdict, _ = _judge(entry.origin, self.last_stored(key))
        pending = self._pending.get(key)
        if pending and pending.index <= entry.index:
            del self._pending[key]
        if verdict != NEW:
            return False
        self._stored[key] = Session(entry.origin.seq, entry.origin.digest, entry.term, entry.index)
        return True


def _judge(origin: Origin, last: Session) -> tuple[str, Session]:
    if origin.seq == last.seq + 1:
        return NEW, last
    if origin.seq == last.seq:
        return (AGAIN if origin.digest == last.digest else CONFLICT), last
    return GAP, last
