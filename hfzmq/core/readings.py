"""What can be read off a replica: the half of it that changes nothing.

Touches nothing. Must not know: events. Keeps: no method here changes anything, so a screen or a test may ask at any
moment.
"""

from __future__ import annotations

from hfzmq.core.agreement import Agreement
from hfzmq.core.applying import Applying
from hfzmq.core.contract import NO_QUORUM, NOT_LEADER, Reply, Route
from hfzmq.core.election import Election
from hfzmq.core.handover import HandOver
from hfzmq.core.leadership import Leadership
from hfzmq.core.liveness import Liveness
from hfzmq.core.log import Log
from hfzmq.core.membership import Members, Membership
from hfzmq.core.messages import Heartbeat
from hfzmq.core.promises import Promises
from hfzmq.core.standing import Standing
from hfzmq.settings import Timing

DISK_HANGS_AFTER = 0.5  # of a lease, on one write: a peer does not campaign


class Readings:
    """The parts of a replica, and what they say together."""

    me: int
    log: Log
    commit: int
    election: Election
    liveness: Liveness
    agreement: Agreement
    hand_over: HandOver
    leading: Leadership | None
    resigned: bool
    _timing: Timing
    _members: Members
    _promises: Promises
    _applying: Applying
    _standing: Standing

    @property
    def membership(self) -> Membership:
        """The members in force, committed or not."""
        return self._members.now

    @property
    def committed_members(self) -> Membership:
        """The members that nothing takes back any more."""
        return self._members.at(self.commit)

    @property
    def voters(self) -> tuple[int, ...]:
        """Who counts for a quorum, rising."""
        return self._members.now.voters

    @property
    def role(self) -> str:
        """follower, precandidate, candidate or leader."""
        return self.election.role

    @property
    def term(self) -> int:
        """The current term."""
        return self.election.term

    @property
    def leader(self) -> int:
        """The leader this peer follows (itself, where it leads); 0 for nobody."""
        return self.election.leader

    @property
    def applied(self) -> int:
        """Up to where the tables are."""
        return self._applying.index

    @property
    def state_hash(self) -> bytes:
        """The hash of the tables' state at ``applied``."""
        return self._applying.state_hash

    @property
    def serves(self) -> bool:
        """Whether this peer leads and its no-op has committed: only then may it ack or answer consistent reads."""
        return self.leading is not None and self.leading.serves(self.commit)

    def known_leader(self, now_ms: float) -> int:
        """Who leads, as far as this peer can tell a client; 0 for nobody."""
        if self.election.leader and self.election.hears_leader(now_ms):
            return self.election.leader
        return self.liveness.live_leader(now_ms, self.term)

    def heartbeat(self, now_ms: float) -> Heartbeat:
        """What this peer would publish now."""
        quorum_ms = self.leading.followers.quorum_ms(now_ms) if self.leading else now_ms
        return Heartbeat(
            self.term, self.role, self.known_leader(now_ms), self.commit, self.applied, self.log.durable,
            self.log.last.index, int(now_ms - self._promises.synced_ms), int(now_ms - quorum_ms),
            self.liveness.alive(now_ms), self.may_lead(now_ms), self.state_hash,
        )  # fmt: skip

    def redirect(self, now_ms: float, route: Route, seq: int) -> Reply:
        """Where a client should ask instead."""
        leader = self.known_leader(now_ms)
        if leader and leader != self.me:
            return Reply(route, NOT_LEADER, seq=seq, term=self.term, leader=leader)
        if self.leading or self.liveness.hears_majority(now_ms, self._members.now):
            return Reply(route, NOT_LEADER, seq=seq, term=self.term)
        return Reply(route, NO_QUORUM, seq=seq, term=self.term)

    def may_lead(self, now_ms: float) -> bool:
        """Not as a learner or a stranger, not while stopping, nor on a disk that hangs: it could not even vote."""
        if self.resigned or not self._standing.votes:
            return False
        return self._promises.waiting_ms(now_ms) < DISK_HANGS_AFTER * self._timing.lease_ms
