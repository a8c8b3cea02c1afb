"""How a peer asks for votes and answers those who ask: Election's decisions as messages, held back where they promise.

Touches nothing. Must not know: appends, clients, what a leader does once it has won.

Keeps (I2): a vote, one's own too, counts and is answered only after it is on synced storage; a pre-vote promises
nothing and leaves at once.
"""

from __future__ import annotations

from hfzmq.core.contract import FOLLOWER, Effect, Send
from hfzmq.core.election import Election
from hfzmq.core.liveness import Liveness
from hfzmq.core.log import Log
from hfzmq.core.membership import Members
from hfzmq.core.messages import VoteReply, VoteRequest
from hfzmq.core.promises import Promises

ASK_AGAIN_AFTER = 0.1  # of a lease: a campaign repeats its requests, for they may be lost or early


class Campaign:
    """The votes of one peer. Effects are returned; promises go to ``promises``."""

    def __init__(
        self,
        me: int,
        members: Members,
        lease_ms: int,
        election: Election,
        log: Log,
        liveness: Liveness,
        promises: Promises,
    ) -> None:
        self._me = me
        self._members = members
        self._lease_ms = lease_ms
        self._election = election
        self._log = log
        self._liveness = liveness
        self._promises = promises
        self._ask_again_ms = 0.0

    def due_ms(self, now_ms: float) -> float:
        """When ``watch`` has something to do next, if nothing is heard until then."""
        at = self._election.campaign_at_ms(self._lower_alive(now_ms))
        return at if self._election.role == FOLLOWER else min(at, self._ask_again_ms)

    def watch(self, now_ms: float) -> list[Effect]:
        """Begin a round of pre-votes when one is due; repeat what was asked in the round that is open."""
        if now_ms >= self._election.campaign_at_ms(self._lower_alive(now_ms)):
            self._election.become_precandidate(now_ms)
            if self._members.now.voters == (self._me,):
                return self.run(now_ms, hand_over=False)
            return self._ask(now_ms)
        if self._election.role != FOLLOWER and now_ms >= self._ask_again_ms:
            return self._ask(now_ms)
        return []

    def run(self, now_ms: float, hand_over: bool) -> list[Effect]:
        """Campaign in the next term."""
        self._promises.forget()  # those of the term that this leaves behind
        self._election.become_candidate(now_ms, hand_over)
        # One's own, once it is durable.
        self._promises.promise(self._me, VoteReply(self._election.term, False, True, self._election.incarnation))
        return self._ask(now_ms)

    def answer(self, now_ms: float, sender: int, incarnation: bytes, request: VoteRequest) -> list[Effect]:
        """Grant, refuse or keep silent. Whoever asks is answered, a member here or not: it is the candidate who counts,
        by the members of its own log, which may be newer than this one's."""
        reply = self._election.consider(now_ms, (sender, incarnation), request, self._log.last)
        if reply is None:
            return []
        if request.pre:
            return [Send(sender, reply)]
        self._promises.promise(sender, reply)
        return []

    def _lower_alive(self, now_ms: float) -> int:
        return self._liveness.lower_alive(now_ms, self._members.now.voters)

    def _ask(self, now_ms: float) -> list[Effect]:
        self._ask_again_ms = now_ms + ASK_AGAIN_AFTER * self._lease_ms
        request = self._election.request(self._log.last)
        others = [peer for peer in self._members.now.voters if peer != self._me]
        if request.pre:
            return [Send(peer, request) for peer in others]
        for peer in others:
            self._promises.promise(peer, request)
        return []
