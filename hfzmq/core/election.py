"""Who leads: bully order made safe by terms, durable votes and pre-votes.

Touches nothing. Must not know: the log (it is handed places), replication, sessions.

    follower --campaign due--> precandidate --majority would--> candidate --majority does--> leader
       ^            (nothing changes, no timer is reset)   (term + 1, own vote durable)        |
       +------- a leader is heard, a later term is seen, the round is over, no quorum ---------+

Keeps: one vote a term, durable before it is answered (``promises`` holds answers back until then); only ``become_*``
writes the role; the term never falls. Bully order is a timer: the more lower ids are alive, the later a peer campaigns.
"""

from __future__ import annotations

from random import Random

from hfzmq.core.contract import CANDIDATE, FOLLOWER, LEADER, PRECANDIDATE
from hfzmq.core.membership import Member, Members
from hfzmq.core.messages import VoteReply, VoteRequest
from hfzmq.core.types import HardState, Place

STAGGER = 0.2  # of a lease, for each lower id that is alive
JITTER = 0.05  # of a lease, at most; doubled with each round that nobody won, for those who meet once meet again
JITTER_MOST = 0.4
ROUND = 0.5  # of a lease: how long a campaign waits for votes


class Election:
    """Role, term, vote and the timers of one peer. Times in milliseconds of a monotonic clock."""

    def __init__(
        self, myself: Member, members: Members, lease_ms: int, rng: Random, hard_state: HardState, now_ms: float
    ) -> None:
        assert myself.incarnation is not None, "a peer knows its own incarnation"
        self._me = myself.peer
        self.incarnation = myself.incarnation
        self._members = members
        self._lease_ms = lease_ms
        self._rng = rng
        self.role = FOLLOWER
        self.term = hard_state.term
        self.vote = hard_state.vote
        self._voted_for: tuple[int, bytes] | None = None  # whom the vote of this life went to; unknown after a restart
        self.leader = 0
        self.lease_until_ms = now_ms + lease_ms
        self._round_until_ms = 0.0
        self.asked_ms = 0  # when the last round began
        self._jitter_ms = 0.0
        self._lost_rounds = 0  # since a leader was last heard
        self.grants: dict[int, bytes] = {}  # of the round: voter -> its incarnation
        self.hand_over = False
        self._draw_jitter()

    # ------------------------------------------------------------ only these change role

    def become_follower(self, now_ms: float, term: int, leader: int) -> None:
        """Follow ``leader`` (0: nobody yet) in ``term``, which is never an earlier one."""
        assert term >= self.term, "a term never falls"
        if term > self.term:
            self.term, self.vote, self._voted_for = term, 0, None
        if self.role == LEADER:
            self.lease_until_ms = now_ms  # nobody leads any more, and that is known here first
        self.role = FOLLOWER
        self.leader = leader
        self.hand_over = False
        self._draw_jitter()

    def become_precandidate(self, now_ms: float) -> None:
        """Ask who would vote, changing nothing."""
        assert self.role != LEADER, "a leader does not campaign"
        self._lost_rounds += self.role != FOLLOWER
        self.role = PRECANDIDATE
        self.leader = 0
        self._open_round(now_ms)
        self.grants[self._me] = self.incarnation

    def become_candidate(self, now_ms: float, hand_over: bool) -> None:
        """Campaign in the next term with one's own vote, which counts once it is durable."""
        assert self.role != LEADER, "a leader does not campaign"
        self.role = CANDIDATE
        self.term += 1
        self.vote, self._voted_for = self._me, (self._me, self.incarnation)
        self.leader = 0
        self.hand_over = hand_over
        self._open_round(now_ms)

    def become_leader(self) -> None:
        """Lead the term that a majority has voted for."""
        assert self.role == CANDIDATE, "only a candidate wins"
        self.role = LEADER
        self.leader = self._me
        self._lost_rounds = 0

    # ------------------------------------------------------------ timers

    def renew_lease(self, now_ms: float, leader: int) -> None:
        """The leader of this term, or a later one, is alive."""
        self.lease_until_ms = now_ms + self._lease_ms
        self.leader = leader
        self._lost_rounds = 0
        if self.role != FOLLOWER:
            assert self.role != LEADER, "a leader hears no other in its term"
            self.become_follower(now_ms, self.term, leader)

    def end_lease(self, now_ms: float) -> None:
        """The leader says itself that it does not lead any more."""
        self.lease_until_ms = min(self.lease_until_ms, now_ms)
        self.leader = 0

    def hears_leader(self, now_ms: float) -> bool:
        """Whether this peer leads or its lease on a leader still runs."""
        return self.role == LEADER or now_ms < self.lease_until_ms

    def campaign_at_ms(self, lower_alive: int) -> float:
        """When to campaign (again) if nothing is heard until then."""
        stagger = STAGGER * self._lease_ms * lower_alive + self._jitter_ms
        start = self.lease_until_ms if self.role == FOLLOWER else self._round_until_ms
        return start + stagger

    # ------------------------------------------------------------ votes

    def request(self, last: Place) -> VoteRequest:
        """What a precandidate or candidate asks of the others."""
        pre = self.role == PRECANDIDATE
        founders = self._members.now.founders
        if pre:
            return VoteRequest(self.term + 1, last, True, False, founders, self.asked_ms)
        return VoteRequest(self.term, last, False, self.hand_over, founders)

    def consider(
        self, now_ms: float, candidate: tuple[int, bytes], request: VoteRequest, last: Place
    ) -> VoteReply | None:
        """Answer the request of a (peer, incarnation); None is silence: a live leader is heard and the request is not
        its hand-over.

        The caller has already followed a later term of a real request (``heeds`` says when it may). A granted real vote
        is to be made durable before the reply leaves.
        """
        up_to_date = (request.last.term, request.last.index) >= (last.term, last.index)
        if request.founders and request.founders != self._members.now.founders:
            up_to_date = False  # it would found a mesh of other peers, or one that is founded already
        asker, asked_ms = candidate[1], request.asked_ms
        if request.pre:
            granted = request.term > self.term and up_to_date and not self.hears_leader(now_ms)
            return VoteReply(request.term if granted else self.term, True, granted, asker, asked_ms)
        if request.term < self.term:
            return VoteReply(self.term, False, False, asker, asked_ms)
        if not self.heeds(now_ms, request):
            return None
        free = self.vote == 0 or self._voted_for == candidate
        granted = request.term == self.term and up_to_date and free
        if granted and self.vote == 0:  # a repeated request must not move the timer again
            self.vote, self._voted_for = candidate[0], candidate
            self.become_follower(now_ms, self.term, 0)
            self.lease_until_ms = now_ms + self._lease_ms  # a real vote, unlike a pre-vote, waits for its candidate
        return VoteReply(self.term, False, granted, asker, asked_ms)

    def heeds(self, now_ms: float, request: VoteRequest) -> bool:
        """Whether a real request may move this peer to its term: no live leader is heard, or it hands over."""
        return request.hand_over or not self.hears_leader(now_ms) or (self.vote != 0 and request.term == self.term)

    def count(self, voter: int, incarnation: bytes, reply: VoteReply) -> bool:
        """Take a granted vote in; True when this one makes the majority of a round that is still open. A real vote
        stands for the whole term; who would have voted in an earlier round may hear a leader by now."""
        wanted = (PRECANDIDATE, self.term + 1) if reply.pre else (CANDIDATE, self.term)
        if (self.role, reply.term) != wanted or not reply.granted or reply.candidate != self.incarnation:
            return False
        if reply.pre and reply.asked_ms != self.asked_ms:
            return False
        if voter not in self._members.now.voters:
            return False
        majority = self._members.now.majority
        before = len(self.grants)
        self.grants.setdefault(voter, incarnation)
        return before < majority <= len(self.grants)

    # ------------------------------------------------------------ internal

    def _open_round(self, now_ms: float) -> None:
        self.grants = {}
        self._round_until_ms = now_ms + ROUND * self._lease_ms
        self.asked_ms = int(now_ms)
        self._draw_jitter()

    def _draw_jitter(self) -> None:
        most = min(JITTER * 2.0 ** min(self._lost_rounds, 8), JITTER_MOST)
        self._jitter_ms = self._rng.uniform(0, most * self._lease_ms)
