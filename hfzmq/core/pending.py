"""Clients that wait for the leader: requests queued, requests appended, consistent reads.

Touches nothing. Must not know: peers, votes. Exists only in effect while this peer leads.

    queued --may propose--> appended at an index --applied--> ACK
    read, or a request out of order --quorum round shown, index applied--> READ, CONFLICT, GAP
    anything --the lead is lost--> NOT_LEADER: 'unknown, ask again'

Keeps: what waits is bounded (beyond it BUSY); a request that comes again waits at the place of the first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from hfzmq.core.contract import ACK, BUSY, CONFLICT, GAP, NOT_LEADER, READ, Proposal, Reply, Route
from hfzmq.core.sessions import AGAIN, NEW, Sessions
from hfzmq.core.sessions import CONFLICT as OTHER_DIGEST
from hfzmq.core.types import ENTRY_HEAD_BYTES, Entry, Origin
from hfzmq.settings import Limits

BUSY_RETRY_MS = 50


class Waiter(NamedTuple):
    """Who waits at an index, for what, and the term of the entry there."""

    route: Route
    origin: Origin
    term: int


class Unconfirmed(NamedTuple):
    """An answer that only the present leader may give: it leaves when a majority has answered ``round`` and ``at`` is
    applied."""

    round: int
    at: int
    reply: Reply


class Pending:
    """Who waits for what."""

    def __init__(self, sessions: Sessions, limits: Limits) -> None:
        self._sessions = sessions
        self._limits = limits
        self._uncommitted_bytes = 0
        self._queued: deque[Proposal] = deque()
        self._queued_bytes = 0
        self._waiting: dict[int, list[Waiter]] = {}
        self._unconfirmed: list[Unconfirmed] = []

    def begin(self, tail: Sequence[Entry], commit: int) -> None:
        """This peer leads: ``tail`` is what its log holds beyond what is applied."""
        self._sessions.rebuild(tail)
        self._uncommitted_bytes = _cost(entry for entry in tail if entry.index > commit)

    def queue(self, proposal: Proposal) -> Reply | None:
        """Keep it until proposals are allowed."""
        if self._queued_bytes + self._uncommitted_bytes > self._limits.uncommitted_bytes_max:
            return Reply(proposal.route, BUSY, seq=proposal.origin.seq, retry_ms=BUSY_RETRY_MS)
        self._queued.append(proposal)
        self._queued_bytes += len(proposal.body) + ENTRY_HEAD_BYTES
        return None

    def next_queued(self) -> Proposal | None:
        """The oldest that was queued."""
        if not self._queued:
            return None
        proposal = self._queued.popleft()
        self._queued_bytes -= len(proposal.body) + ENTRY_HEAD_BYTES
        return proposal

    def propose(self, proposal: Proposal, applied: int, append: Callable[[Proposal], Entry]) -> Reply | None:
        """Judge a request: answer it, let it wait where it stands, or ``append`` it and let it wait there."""
        origin, route = proposal.origin, proposal.route
        verdict, session = self._sessions.judge(origin)
        if verdict == NEW:
            if self._uncommitted_bytes > self._limits.uncommitted_bytes_max:
                return Reply(route, BUSY, seq=origin.seq, retry_ms=BUSY_RETRY_MS)
            entry = append(proposal)
            self._sessions.expect(entry)
            self._uncommitted_bytes += entry.cost_bytes
            self._waiting.setdefault(entry.index, []).append(Waiter(route, origin, entry.term))
            return None
        if verdict == AGAIN:
            if session.index <= applied:
                return Reply(route, ACK, seq=origin.seq, term=session.term, index=session.index)
            self._waiting.setdefault(session.index, []).append(Waiter(route, origin, session.term))
            return None
        if verdict == OTHER_DIGEST:
            return Reply(route, CONFLICT, seq=origin.seq, term=session.term, index=session.index)
        return Reply(route, GAP, seq=origin.seq, expected=session.seq + 1)

    def committed(self, entries: Sequence[Entry]) -> None:
        """These no longer count as uncommitted."""
        self._uncommitted_bytes -= _cost(entries)

    def applied(self, first: int, last: int, repeats: frozenset[int]) -> list[Reply]:
        """Answer who waited at these indexes. ``repeats`` stored nothing: there it counts what stands elsewhere."""
        replies = []
        if self._waiting:
            for index in range(first, last + 1):
                for route, origin, term in self._waiting.pop(index, ()):
                    if index not in repeats:
                        replies.append(Reply(route, ACK, seq=origin.seq, term=term, index=index))
                        continue
                    stored = self._sessions.last_stored(origin.session)
                    kept = (stored.seq, stored.digest) == (origin.seq, origin.digest)
                    status = ACK if kept else CONFLICT
                    replies.append(Reply(route, status, seq=origin.seq, term=stored.term, index=stored.index))
        return replies

    def hold(self, answer: Unconfirmed) -> None:
        """Keep an answer until it is known that this peer led when it was asked."""
        self._unconfirmed.append(answer)

    def confirmed(self, shown: int, applied: int) -> list[Reply]:
        """The answers whose round a majority has answered and whose index is applied."""
        if not self._unconfirmed:
            return []
        ready = [held.reply for held in self._unconfirmed if held.round <= shown and held.at <= applied]
        self._unconfirmed = [held for held in self._unconfirmed if held.round > shown or held.at > applied]
        return [replace(reply, index=applied) if reply.status == READ else reply for reply in ready]

    def turn_away(self, term: int, leader: int) -> list[Reply]:
        """The lead is lost. What was asked for may still commit; whoever asks again finds it."""
        away = [(waiter.route, waiter.origin.seq) for waiters in self._waiting.values() for waiter in waiters]
        away += [(proposal.route, proposal.origin.seq) for proposal in self._queued]
        away += [(held.reply.route, held.reply.seq) for held in self._unconfirmed]
        self._waiting.clear()
        self._queued.clear()
        self._queued_bytes = 0
        self._unconfirmed.clear()
        return [Reply(route, NOT_LEADER, seq=seq, term=term, leader=leader) for route, seq in away]


def _cost(entries: Iterable[Entry]) -> int:
    """What clients' entries weigh; a no-op waits for nobody."""
    return sum(entry.cost_bytes for entry in entries if entry.origin)
