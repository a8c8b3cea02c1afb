"""What this peer is told to keep: the log, the members it names, and what waits for both to be on disk.

Touches nothing. Must not know: why something is appended or dropped. Keeps: log, members and the Persist that is
gathering change together; the log is compacted only below what is applied, and never so far that a restart could not
tell the members.
"""

from __future__ import annotations

from collections.abc import Sequence

from hfzmq.core.contract import Compact, Effect
from hfzmq.core.log import Log
from hfzmq.core.membership import Members, Membership
from hfzmq.core.promises import Promises
from hfzmq.core.types import Entry, HardState, Origin, Place, chained
from hfzmq.settings import Limits

WAIT_FOR = 8, 4  # times the entries and bytes that are to be kept: so much waits for followers that are on their way


class Journal:
    """One peer's ``log``, its ``members`` and its ``promises``."""

    def __init__(self, me: int, membership: Membership, log: Log, hard_state: HardState, now_ms: float) -> None:
        self.log = log
        self.members = Members(membership, log.between(log.base.index, log.last.index))
        self.promises = Promises(me, hard_state, now_ms)

    def append(self, term: int, kind: int, origin: Origin | None, body: bytes) -> Entry:
        """A new entry at the end."""
        entry = chained(self.log.last, term, kind, origin, body)
        self.add((entry,))
        return entry

    def add(self, entries: Sequence[Entry]) -> None:
        """These follow what is there; a change of members is in force from here on."""
        self.log.append(entries)
        self.members.add(entries)
        self.promises.add(entries)

    def drop_from(self, index: int, commit: int) -> None:
        """The entries from ``index`` on do not agree with the leader's; a change of members is taken back."""
        assert index > commit, "a committed entry would be dropped"
        self.log.truncate_from(index)
        self.members.drop_from(index)
        self.promises.drop_from(index)

    def hand_out(self, now_ms: float, hard_state: HardState, probe: bool = False) -> list[Effect]:
        """The Persist that has gathered, and what may be sent without waiting for it."""
        token, effects = self.promises.hand_out(now_ms, hard_state, probe)
        if token is not None:
            self.log.persisting(token)
        return effects

    def compact(self, applied: int, needed: int, limits: Limits) -> list[Effect]:
        """Cut the log when it has grown to twice what is to be kept behind what is applied. What followers still need,
        after ``needed``, is kept up to several times as much: a snapshot that is older than the log is of no use."""
        log = self.log
        entries = log.last.index - log.base.index
        if entries <= 2 * limits.log_entries_keep and log.bytes <= 2 * limits.log_bytes_keep:
            return []
        index, left = log.base.index, log.bytes
        upto = min(applied, log.durable)
        if entries <= WAIT_FOR[0] * limits.log_entries_keep and log.bytes <= WAIT_FOR[1] * limits.log_bytes_keep:
            upto = min(upto, needed)
        while index < upto and (log.last.index - index > limits.log_entries_keep or left > limits.log_bytes_keep):
            index += 1
            left -= log.entry_at(index).cost_bytes
        if index == log.base.index:
            return []
        log.compact(index)
        self.members.forget_below(index)
        return [Compact(log.base, self.members.at(index))]

    def reset(self, base: Place, membership: Membership) -> None:
        """A snapshot took the place of everything."""
        self.log.reset(base)
        self.members.reset(membership)
