"""Who is heard, and what they said last: the mesh as this peer's heartbeats paint it.

Touches nothing. Keeps: hints only. An election may be early or late because of what stands here, never wrong.
"""

from __future__ import annotations

from hfzmq.core.contract import FOLLOWER, LEADER, PRECANDIDATE
from hfzmq.core.membership import Membership
from hfzmq.core.messages import Heartbeat


class Liveness:
    """The last heartbeat of each peer and when it came; alive means within ``lease_ms``."""

    def __init__(self, me: int, lease_ms: int) -> None:
        self._me = me
        self._lease_ms = lease_ms
        self._last: dict[int, tuple[float, Heartbeat]] = {}

    def heard(self, now_ms: float, sender: int, heartbeat: Heartbeat) -> None:
        """A heartbeat came in."""
        self._last[sender] = (now_ms, heartbeat)

    def forget(self, peer: int) -> None:
        """A peer is judged dead."""
        self._last.pop(peer, None)

    def last_of(self, peer: int) -> tuple[float, Heartbeat] | None:
        """When a peer was last heard and what it said; None when never."""
        return self._last.get(peer)

    def alive(self, now_ms: float) -> tuple[int, ...]:
        """The other peers heard within a lease, rising."""
        return tuple(sorted(peer for peer, (at, _) in self._last.items() if now_ms - at < self._lease_ms))

    def lower_alive(self, now_ms: float, voters: tuple[int, ...]) -> int:
        """How many voters that should lead before this one are heard and willing."""
        count = 0
        for peer, (at, beat) in self._last.items():  # asked at every step: nothing is sorted or built for it
            if peer < self._me and now_ms - at < self._lease_ms and beat.willing and peer in voters:
                count += 1
        return count

    def hears_majority(self, now_ms: float, membership: Membership) -> bool:
        """Whether this peer and those it hears make a quorum."""
        alive = self.alive(now_ms)
        return sum(1 for voter in membership.voters if voter == self._me or voter in alive) >= membership.majority

    def fit_to_lead(self, now_ms: float, peer: int, membership: Membership) -> bool:
        """Whether ``peer`` is heard, hears this one, hears a majority, and is willing."""
        last = self._last.get(peer)
        if last is None or now_ms - last[0] >= self._lease_ms:
            return False
        beat = last[1]
        if not beat.willing or self._me not in beat.hears:
            return False
        heard_by_it = 0
        for voter in membership.voters:
            heard_by_it += voter == peer or voter in beat.hears
        return heard_by_it >= membership.majority

    def live_leader(self, now_ms: float, term: int) -> int:
        """Who says, freshly and with a live disk and quorum, that it leads ``term`` or a later one; 0 for nobody."""
        claims = [
            (beat.term, peer)
            for peer, (at, beat) in self._last.items()
            if now_ms - at < self._lease_ms and renews_lease(beat, self._lease_ms) and beat.term >= term
        ]
        return max(claims)[1] if claims else 0


def renews_lease(beat: Heartbeat, lease_ms: int) -> bool:
    """A leader's heartbeat counts only while its last sync and its last quorum round are younger than the lease: a
    leader with a dead disk must not look alive."""
    return beat.role == LEADER and beat.fsync_age_ms < lease_ms and beat.quorum_age_ms < lease_ms


def leads_no_more(beat: Heartbeat, term: int) -> bool:
    """Whether the leader of ``term`` says that it has lost the lead. As a candidate of this very term it has yet to win
    it: that heartbeat is late."""
    if beat.term == term:
        return beat.role in (FOLLOWER, PRECANDIDATE)
    return beat.term > term and beat.role != LEADER
