"""The polite half of the bully: the leader gives the lead to a lower id that has been well for long enough.

Touches nothing. Must not know: votes and logs; it is told who is fit.

    idle --a lower id fit for settle_ms--> draining --caught up--> told --deposed--> (no longer leader)
      ^---------------------------- not deposed within a lease: abort --------------------'

Keeps: a flapping peer is trusted later each time (settle doubles after each hand-over or abort, up to ten minutes); an
aborted hand-over loses nothing, for proposals wait in the leader meanwhile.
"""

from __future__ import annotations

from typing import NamedTuple

SETTLE_MS_MAX = 600_000
TRUST_AFTER_LEASES = 600
GRACE = 0.5  # of a lease: so long a peer may look unfit without having to settle anew


class Transfer(NamedTuple):
    """A hand-over under way: to whom, since when, and whether TimeoutNow was sent."""

    target: int
    since_ms: float
    told: bool


class HandOver:
    """What a peer remembers of its would-be successors. It survives losing and regaining the lead."""

    def __init__(self, me: int, settle_ms: int, lease_ms: int) -> None:
        self._me = me
        self._settle_ms = settle_ms
        self._lease_ms = lease_ms
        self._well_since_ms: dict[int, float] = {}
        self._last_fit_ms: dict[int, float] = {}
        self._settle_of: dict[int, float] = {}
        self.transfer: Transfer | None = None
        self._leader = 0
        self._leader_since_ms = 0.0

    def look(self, now_ms: float, fit: tuple[int, ...]) -> None:
        """``fit`` are the lower ids that could lead right now; begins a hand-over when the lowest settled one may."""
        for peer in fit:
            self._well_since_ms.setdefault(peer, now_ms)
            self._last_fit_ms[peer] = now_ms
        for peer in list(self._well_since_ms):
            # One append that was overtaken, and so refused, is no illness.
            if now_ms - self._last_fit_ms[peer] > GRACE * self._lease_ms:
                del self._well_since_ms[peer]
        if self.transfer is None:
            for peer in sorted(fit):
                if now_ms - self._well_since_ms[peer] >= self._settle_of.get(peer, self._settle_ms):
                    self.begin(now_ms, peer)
                    return

    def begin(self, now_ms: float, target: int, asked: bool = False) -> None:
        """Stop proposals and wait for ``target`` to hold everything. ``asked``: somebody wants it, and that is no
        flapping."""
        self.transfer = Transfer(target, now_ms, False)
        if not asked:
            # At least a lease, so that doubling means something where settling is set to nothing.
            settle = max(self._settle_of.get(target, self._settle_ms), self._lease_ms)
            self._settle_of[target] = min(2 * settle, SETTLE_MS_MAX)

    def tell(self) -> int:
        """The target holds everything: returns whom to send TimeoutNow."""
        assert self.transfer is not None
        assert not self.transfer.told
        self.transfer = self.transfer._replace(told=True)
        return self.transfer.target

    def overdue(self, now_ms: float) -> bool:
        """Whether the hand-over has taken longer than a lease: then it is aborted and proposals go on."""
        return self.transfer is not None and now_ms - self.transfer.since_ms > self._lease_ms

    def stop(self) -> None:
        """Aborted, or deposed as wished. Whoever is to be trusted next starts settling anew."""
        self.transfer = None
        self._well_since_ms.clear()

    def led_by(self, now_ms: float, leader: int) -> None:
        """Who leads now (0: nobody). Whoever has led for long is trusted anew."""
        if leader != self._leader:
            self._leader, self._leader_since_ms = leader, now_ms
        elif leader and now_ms - self._leader_since_ms > TRUST_AFTER_LEASES * self._lease_ms:
            self.trust(leader)

    def trust(self, peer: int) -> None:
        """A peer has led for long: its past is forgotten."""
        self._settle_of.pop(peer, None)
