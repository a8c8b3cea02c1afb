"""What exists only while this peer leads: its followers' progress, the clients that wait, the hand-over.

Touches nothing. Must not know: votes and timers of a campaign, what is on disk (it is told). Made when an election is
won, thrown away when the lead is lost.

    opened --no-op committed--> serves --a lower id is well--> hands over --deposed--> ended
                                  ^------------ not deposed within a lease ---'

Keeps (I9): nobody is served before the no-op of the term has committed; an answer that only the present leader may give
waits for a quorum round that began after the question; without a quorum round for 0.8 T, or a sync for T, it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hfzmq.core.changes import Changes
from hfzmq.core.contract import CONFLICT, GAP, READ, REMOVE, TRANSFER, Change, Effect, Proposal, Reply, Route, Send
from hfzmq.core.handover import HandOver
from hfzmq.core.liveness import Liveness
from hfzmq.core.log import Log
from hfzmq.core.membership import Member, Members, Membership, encode
from hfzmq.core.messages import AppendReply, TimeoutNow
from hfzmq.core.pending import Pending, Unconfirmed
from hfzmq.core.replication import Followers
from hfzmq.core.sessions import Sessions
from hfzmq.core.types import BATCH, CONFIG, NOOP, Entry, Origin
from hfzmq.settings import PEER_ID_MAX, Limits, Timing

NO_QUORUM_AFTER = 0.8  # of a lease, since the last quorum round: the leader steps down

Append = Callable[[int, "Origin | None", bytes], Entry]
"""Puts an entry of a kind at the end of this peer's log, to be written and sent."""


class Leadership:
    """The lead of one term. ``append`` writes to the log; ``hand_over`` is the peer's memory of would-be successors."""

    def __init__(
        self,
        me: int,
        members: Members,
        timing: Timing,
        limits: Limits,
        log: Log,
        sessions: Sessions,
        liveness: Liveness,
        hand_over: HandOver,
        append: Append,
        now_ms: float,
    ) -> None:
        self._me = me
        self._members = members
        self._lease_ms = timing.lease_ms
        self._log = log
        self._liveness = liveness
        self._hand_over = hand_over
        self._append = append
        self.followers = Followers(me, members, log, limits, timing, now_ms)
        self.changes = Changes(me, members, liveness, self.followers, timing.lease_ms)
        self._pending = Pending(sessions, limits)
        self._round_wanted = False  # by an answer that waits for a quorum round which is yet to begin
        self._forced_round = 0
        self._noop = 0  # index of the entry that opens this term

    def open(self, now_ms: float, applying: int, commit: int, incarnations: dict[int, bytes]) -> None:
        """Begin: what the log holds beyond what is applied is on its way; the no-op of the term follows it. The first
        leader of all has everybody's vote, and its first entry says which ``incarnations`` they are of."""
        self._hand_over.stop()
        self._pending.begin(self._log.between(applying, self._log.last.index), commit)
        if self._members.now.founded:
            self._noop = self._append(NOOP, None, b"").index
        else:
            self._noop = self._reconfigure(now_ms, self._members.now.bound(incarnations))

    def _reconfigure(self, now_ms: float, membership: Membership) -> int:
        index = self._append(CONFIG, None, encode(membership)).index
        self.followers.reconfigure(now_ms)
        return index

    def end(self, term: int) -> list[Reply]:
        """Whoever waits is told to ask elsewhere; what they asked for may still commit, and is then found again."""
        successor = self._hand_over.transfer.target if self._hand_over.transfer else 0
        self._hand_over.stop()
        return self._pending.turn_away(term, successor) + self.changes.turn_away(term, successor)

    def serves(self, commit: int) -> bool:
        """Whether the no-op has committed: only then may it acknowledge or answer consistent reads."""
        return self._noop <= commit

    # ------------------------------------------------------------ clients

    def propose(self, proposals: Iterable[Proposal], commit: int, applied: int) -> list[Reply]:
        """Judge requests, or queue them while proposals are not allowed."""
        replies: list[Reply] = []
        for proposal in proposals:
            if self._may_propose(commit):
                replies += self._judge(proposal, commit, applied)
            else:
                busy = self._pending.queue(proposal)
                replies += [busy] if busy else []
        return replies

    def read(self, route: Route, term: int, commit: int, applied: int) -> list[Reply]:
        """A consistent read begins."""
        return self._confirm(Reply(route, READ, term=term), commit, applied)

    def asked(self, now_ms: float, member: Member) -> None:
        """A stranger would like to be a member."""
        self.changes.asked(now_ms, member)

    def change(self, now_ms: float, event: Change, term: int, commit: int, applied: int) -> list[Reply]:
        """An operator wants other members, or another leader."""
        busy = not self._may_propose(commit) or self._members.now.index > applied
        if event.action == TRANSFER or (event.action == REMOVE and event.peer == self._me):
            return [self._give_away(now_ms, event, term, busy)]
        membership, reply = self.changes.judge(now_ms, event, term, busy)
        if membership:
            self.changes.wait(self._reconfigure(now_ms, membership), event.route)
        return [reply] if reply else []

    def _give_away(self, now_ms: float, event: Change, term: int, busy: bool) -> Reply:
        """Hand the lead to a peer that was named; a leader that is to leave first gives the lead to the fittest."""
        fit = self._fit(now_ms)
        target = event.peer if event.action == TRANSFER else min(fit, default=0)
        refusal = self.changes.refuse_lead(event, target, fit)
        if refusal or busy:
            return refusal or self.changes.busy(event)
        if target != self._me:
            self._hand_over.begin(now_ms, target, asked=True)
        return self.changes.done(event, term) if event.action == TRANSFER else self.changes.busy(event)

    def _may_propose(self, commit: int) -> bool:
        return self.serves(commit) and self._hand_over.transfer is None

    def _judge(self, proposal: Proposal, commit: int, applied: int) -> list[Reply]:
        reply = self._pending.propose(proposal, applied, self._append_request)
        if reply and reply.status in (CONFLICT, GAP):
            return self._confirm(reply, commit, applied)
        return [reply] if reply else []

    def _append_request(self, proposal: Proposal) -> Entry:
        return self._append(BATCH, proposal.origin, proposal.body)

    def _confirm(self, reply: Reply, commit: int, applied: int) -> list[Reply]:
        """Let an answer wait for a round that begins after it: who was deposed unnoticed must not give it."""
        self._round_wanted = len(self._members.now.voters) > 1
        self._pending.hold(Unconfirmed(self.followers.round + self._round_wanted, commit, reply))
        return self._confirmed(applied)

    def _confirmed(self, applied: int) -> list[Reply]:
        return self._pending.confirmed(self.followers.quorum_round(), applied)

    def _propose_queued(self, commit: int, applied: int) -> list[Reply]:
        replies: list[Reply] = []
        while self._may_propose(commit):
            proposal = self._pending.next_queued()
            if proposal is None:
                break
            replies += self._judge(proposal, commit, applied)
        return replies

    # ------------------------------------------------------------ commit

    def on_append_reply(self, peer: int, reply: AppendReply) -> None:
        """A follower has answered in this term."""
        self.followers.on_reply(peer, reply)

    def advance(self, term: int, commit: int, applied: int) -> tuple[int, list[Reply]]:
        """The commit index as the followers' answers and one's own disk make it, and what may be said because of it."""
        replies: list[Reply] = []
        index = self.followers.committed(term)
        if index > commit:
            self._pending.committed(self._log.between(commit, index))
            commit = index
            replies = self._propose_queued(commit, applied)
        return commit, replies + self._confirmed(applied)

    def applied(self, first: int, last: int, repeats: frozenset[int]) -> list[Reply]:
        """These indexes are in the tables now: acknowledge who waited for them."""
        return self._pending.applied(first, last, repeats) + self.changes.applied(last) + self._confirmed(last)

    def appends(self, now_ms: float, term: int, commit: int) -> list[Effect]:
        """What followers are to be sent now."""
        # One forced round at a time: whoever asks meanwhile waits for the next, which begins when this one is answered.
        force = self._round_wanted and self.followers.quorum_round() >= self._forced_round
        if force:
            self._round_wanted, self._forced_round = False, self.followers.round + 1
        return [Send(to, request) for to, request in self.followers.appends(now_ms, term, commit, force)]

    # ------------------------------------------------------------ the clock

    def deadline_ms(self, now_ms: float, synced_ms: float) -> float:
        """Until when it may go on, if nothing is heard and nothing synced."""
        deadline = synced_ms + self._lease_ms
        if len(self._members.now.voters) > 1:
            deadline = min(deadline, self.followers.quorum_ms(now_ms) + NO_QUORUM_AFTER * self._lease_ms)
        return deadline

    def over(self, now_ms: float, synced_ms: float) -> str:
        """Why it may not lead any more; "" while it may."""
        if now_ms <= self.deadline_ms(now_ms, synced_ms):
            return ""
        return "its disk has not synced" if now_ms > synced_ms + self._lease_ms else "no quorum answers"

    def watch(self, now_ms: float, term: int, commit: int, applied: int, resigned: bool) -> list[Effect]:
        """Begin, go on with or abort a hand-over."""
        out: list[Effect] = []
        if self._hand_over.overdue(now_ms):
            self._hand_over.stop()
            out += self._propose_queued(commit, applied)
        if self.serves(commit) and not resigned:
            self._hand_over.look(now_ms, self._fit(now_ms, self._me))
        if self._may_propose(commit) and self._members.now.index <= applied and not resigned:
            membership = self.changes.due(now_ms, commit)
            if membership:
                self._reconfigure(now_ms, membership)
        transfer = self._hand_over.transfer
        if transfer and not transfer.told and self.followers.caught_up(transfer.target):
            out.append(Send(self._hand_over.tell(), TimeoutNow(term)))
        return out

    def resign(self, now_ms: float) -> None:
        """Give the lead to the lowest id that is well, at once."""
        fit = self._fit(now_ms)
        if fit:
            self._hand_over.stop()
            self._hand_over.begin(now_ms, min(fit), asked=True)

    def _fit(self, now_ms: float, below: int = PEER_ID_MAX + 1) -> tuple[int, ...]:
        return tuple(
            peer
            for peer in self._members.now.voters
            if peer != self._me
            and peer < below
            and self.followers.close_behind(peer)
            and self._liveness.fit_to_lead(now_ms, peer, self._members.now)
        )
