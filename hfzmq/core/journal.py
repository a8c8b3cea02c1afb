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

A_CUT = 1_000, 4 << 20  # so many entries, or bytes, are cut at once: 20,000 entries held the loop up for 13 ms
A_PART = 4  # or this part of what is too much, where that is more: after a long wait for a follower
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
        """Cut what is applied by a step once the log is a step longer than what is to be kept. What followers still
        need, after ``needed``, is kept up to several times as much: a snapshot that is older than the log is of no
        use."""
        log, keep = self.log, (limits.log_entries_keep, limits.log_bytes_keep)
        many, heavy = min(keep[0], A_CUT[0]), min(keep[1], A_CUT[1])
        too_many, too_heavy = log.last.index - log.base.index - keep[0], log.bytes - keep[1]
        if too_many <= many and too_heavy <= heavy:
            return []
        upto = min(applied, log.durable)
        if too_many <= (WAIT_FOR[0] - 1) * keep[0] and too_heavy <= (WAIT_FOR[1] - 1) * keep[1]:
            upto = min(upto, needed)
        if too_heavy > A_PART * heavy:  # as when large entries come in behind many small ones: weight alone counts
            many = log.last.index - log.base.index
        many, heavy = max(many, too_many // A_PART), max(heavy, too_heavy // A_PART)
        cut = weight = 0
        while log.base.index + cut < upto and (cut < too_many or weight < too_heavy) and cut < many and weight < heavy:
            cut += 1
            weight += log.entry_at(log.base.index + cut).cost_bytes
        if cut == 0:
            return []
        log.compact(log.base.index + cut)
        self.members.forget_below(log.base.index)
        return [Compact(log.base, self.members.at(log.base.index))]

    def reset(self, base: Place, membership: Membership) -> None:
        """A snapshot took the place of everything."""
        self.log.reset(base)
        self.members.reset(membership)
