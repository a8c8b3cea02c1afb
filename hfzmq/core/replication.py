"""How the leader's log becomes everybody's: pipelined appends, cumulative acks, and the follower's side of both.

Touches nothing. Must not know: elections, clients, sessions.

    probing --accepted--> streaming: next runs ahead of match, at most ``inflight_*`` beyond it
       ^---- refused (a lost, late or conflicting append) ----'
       '--what it needs is compacted--> offered a snapshot, until it says that it holds the base

Keeps: ``match`` is what a follower said is durable, and never falls; learners are sent everything and counted never;
commit is the highest index that a majority has durable and whose entry is of the leader's own term; nothing at or below
the follower's commit is dropped.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import NamedTuple

from hfzmq.core.log import Log
from hfzmq.core.membership import Members
from hfzmq.core.messages import AppendReply, AppendRequest, SnapshotOffer
from hfzmq.core.quorum import reached
from hfzmq.core.types import Entry
from hfzmq.settings import Limits, Timing

PULLING_LEASES = 600  # so long the log is kept for one that answers nothing while it takes a snapshot in


class Accepted(NamedTuple):
    """The logs agree up to ``match`` once ``truncate_from`` on is dropped and ``added`` is added."""

    match: int
    truncate_from: int | None
    added: tuple[Entry, ...]


class Refused(NamedTuple):
    """The follower's log does not agree at ``prev``; it may at ``hint``, the highest candidate."""

    hint: int


def receive(log: Log, commit: int, request: AppendRequest) -> Accepted | Refused:
    """Decide what an append does to a follower's log; changes nothing."""
    prev, entries = request.prev, request.entries
    match = prev.index + len(entries)
    if prev.index < log.base.index:  # a late one; nothing is claimed of what is compacted here and cannot be compared
        known = log.base.index - prev.index
        if len(entries) < known or entries[known - 1].chain != log.base.chain:
            return Refused(commit)
        entries = entries[known:]
    elif not log.holds(prev):
        return Refused(_agreement_hint(log, commit, prev.index))
    for number, entry in enumerate(entries):
        if entry.index > log.last.index:
            return Accepted(match, None, entries[number:])
        mine = log.entry_at(entry.index)
        if mine.term != entry.term:
            assert entry.index > commit, "a committed entry would be dropped"
            return Accepted(match, entry.index, entries[number:])
        if mine.chain != entry.chain:
            return Refused(commit)  # same term, other content: a damaged log somewhere; never take it in
    return Accepted(match, None, ())


def _agreement_hint(log: Log, commit: int, prev_index: int) -> int:
    """Skip a whole conflicting term at once; what is committed agrees."""
    if prev_index > log.last.index:
        return log.last.index
    index = prev_index
    term = log.place_at(index).term
    while index > commit and index > log.base.index and log.place_at(index).term == term:
        index -= 1
    return index


class Progress:
    """What the leader knows of one follower."""

    __slots__ = (
        "acked_ms",
        "acked_round",
        "incarnation",
        "inflight",
        "inflight_bytes",
        "match",
        "next",
        "probing",
        "pulls",
        "refused_next",
        "sent_ms",
    )

    def __init__(self, incarnation: bytes | None, next_index: int, now_ms: float) -> None:
        self.incarnation = incarnation
        self.match = 0
        self.next = next_index
        self.probing = True
        self.pulls = False  # it was offered a snapshot and does not hold where the log begins yet
        self.inflight: deque[tuple[int, int]] = deque()  # (last index, bytes) of each append under way
        self.inflight_bytes = 0
        self.refused_next = 0  # where it was last refused: asked there again, it is not asked at once
        self.sent_ms = float("-inf")
        self.acked_ms = now_ms  # when the newest append that it answered was sent
        self.acked_round = 0


class Followers:
    """The leader's side, from winning an election to losing the lead."""

    def __init__(self, me: int, members: Members, log: Log, limits: Limits, timing: Timing, now_ms: float) -> None:
        self._me = me
        self._members = members
        self._log = log
        self._limits = limits
        self._heartbeat_ms = timing.heartbeat_ms
        self._lease_ms = timing.lease_ms
        self.round = 0
        self._round_sent_ms: dict[int, float] = {0: now_ms}
        self.progress: dict[int, Progress] = {}
        self._voting: list[Progress] = []
        self._voters = 0
        self.reconfigure(now_ms)

    def reconfigure(self, now_ms: float) -> None:
        """The members have changed. Another life of a peer has promised nothing: its progress begins anew."""
        before, self.progress = self.progress, {}
        for member in self._members.now.members:
            old = before.get(member.peer)
            if member.peer != self._me:
                kept = old is not None and old.incarnation == member.incarnation
                new = Progress(member.incarnation, self._log.last.index + 1, now_ms)
                self.progress[member.peer] = old if old and kept else new
        voters = self._members.now.voters
        self._voting = [progress for peer, progress in self.progress.items() if peer in voters]
        self._voters = len(voters)

    # ------------------------------------------------------------ sending

    def appends(
        self, now_ms: float, term: int, commit: int, force: bool = False
    ) -> list[tuple[int, AppendRequest | SnapshotOffer]]:
        """What to send now: new entries as far as the pipeline allows, a probe or a keep-alive where one is due.

        ``force`` sends to everyone, for a quorum round."""
        number, last = self.round + 1, self._log.last.index
        out: list[tuple[int, AppendRequest | SnapshotOffer]] = []
        for peer, progress in self.progress.items():
            before = len(out)
            while progress.next <= last and self._may_stream(progress):
                out.append((peer, self._stream(progress, term, commit, number)))
            if len(out) == before and (force or now_ms - progress.sent_ms >= self._heartbeat_ms):
                if progress.next <= self._log.base.index:
                    out.append((peer, SnapshotOffer(term, number)))
                else:
                    out.append((peer, AppendRequest(term, self._log.place_at(progress.next - 1), (), commit, number)))
            if len(out) > before:
                progress.sent_ms = now_ms
        if out or force:  # a round of nobody is answered by all: two voters may just have become one
            self.round = number
            self._round_sent_ms[number] = now_ms
            self._forget_rounds(now_ms)
        return out

    def next_send_ms(self) -> float:
        """When the next keep-alive is due."""
        return min((p.sent_ms + self._heartbeat_ms for p in self.progress.values()), default=float("inf"))

    def _may_stream(self, progress: Progress) -> bool:
        return (
            not progress.probing
            and self._log.base.index < progress.next <= self._log.last.index
            and len(progress.inflight) < self._limits.inflight_appends_max
            and progress.inflight_bytes < self._limits.inflight_bytes_max
        )

    def _stream(self, progress: Progress, term: int, commit: int, number: int) -> AppendRequest:
        prev = self._log.place_at(progress.next - 1)
        entries = self._log.after(prev.index, self._limits.append_bytes_max)
        size = sum(entry.cost_bytes for entry in entries)
        progress.next = entries[-1].index + 1
        progress.inflight.append((entries[-1].index, size))
        progress.inflight_bytes += size
        return AppendRequest(term, prev, entries, commit, number)

    def _forget_rounds(self, now_ms: float) -> None:
        """An answer to something sent longer than a lease ago proves nothing that is of use."""
        for number, sent_ms in list(itertools.islice(self._round_sent_ms.items(), 8)):
            if now_ms - sent_ms <= self._lease_ms:
                break
            del self._round_sent_ms[number]

    # ------------------------------------------------------------ receiving

    def on_reply(self, peer: int, reply: AppendReply) -> None:
        """An answer in the leader's own term."""
        progress = self.progress.get(peer)
        if progress is None or reply.match > self._log.last.index:
            return
        if reply.round > progress.acked_round and reply.round in self._round_sent_ms:
            progress.acked_round = reply.round
            progress.acked_ms = self._round_sent_ms[reply.round]
        if reply.accepted:
            if reply.match > progress.match:
                progress.match, progress.refused_next = reply.match, 0
            while progress.inflight and progress.inflight[0][0] <= progress.match:
                progress.inflight_bytes -= progress.inflight.popleft()[1]
            progress.next = max(progress.next, progress.match + 1)
            progress.probing = progress.pulls = False
        else:
            # Whatever was under way is sent again: a doubled append is harmless, a missing one is not.
            # Who was offered a snapshot, or asked below where its log begins, says how far it is by now; anybody else
            # is asked at an earlier place each time.
            progress.pulls = progress.next <= self._log.base.index
            says = progress.pulls or reply.match >= progress.next
            back = reply.match + 1 if says else min(reply.match + 1, progress.next - 1 or 1)
            progress.next = max(progress.match + 1, back)
            progress.probing = True
            progress.inflight.clear()
            progress.inflight_bytes = 0
            if progress.next != progress.refused_next:
                progress.refused_next = progress.next
                progress.sent_ms = float("-inf")  # ask at once

    # ------------------------------------------------------------ counting

    def needed(self, now_ms: float) -> int:
        """Up to where every follower that answers has the log; who answers nothing is not waited for. Who takes a
        snapshot in is: checking a large one keeps it from answering; cut meanwhile, the log would begin after it."""
        patience_ms = {False: 2 * self._lease_ms, True: PULLING_LEASES * self._lease_ms}
        answering = [
            one.match
            for one in self.progress.values()
            if one.acked_round and now_ms - one.acked_ms < patience_ms[one.pulls]
        ]
        return min(answering, default=self._log.last.index)

    def committed(self, term: int) -> int:
        """The highest index that a majority has durable, if its entry is of ``term``; 0 otherwise."""
        matches = [progress.match for progress in self._voting]
        index = reached([self._log.durable, *matches], self._voters)
        if index <= self._log.base.index or self._log.place_at(index).term != term:
            return 0  # an earlier term's entry commits only below one of ours
        return index

    def quorum_ms(self, now_ms: float) -> float:
        """The latest moment such that a majority has answered something sent no earlier: until then it surely led."""
        times = [progress.acked_ms for progress in self._voting]
        times.append(now_ms)
        times.sort(reverse=True)
        return times[self._voters // 2]

    def answering(self, now_ms: float) -> int:
        """How many voters, this one too, have answered something that was sent within a lease."""
        return 1 + sum(1 for one in self._voting if one.acked_round and now_ms - one.acked_ms < self._lease_ms)

    def quorum_round(self) -> int:
        """The highest round that a majority has answered."""
        return reached([self.round, *(progress.acked_round for progress in self._voting)], self._voters)

    def caught_up(self, peer: int) -> bool:
        """Whether a follower streams and holds all that the leader does."""
        progress = self.progress.get(peer)
        return progress is not None and not progress.probing and progress.match == self._log.last.index

    def close_behind(self, peer: int) -> bool:
        """Whether a follower streams and does not fill its pipeline: it would soon be caught up."""
        progress = self.progress.get(peer)
        return (
            progress is not None
            and not progress.probing
            and len(progress.inflight) < self._limits.inflight_appends_max
            and progress.inflight_bytes < self._limits.inflight_bytes_max
        )
