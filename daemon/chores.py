"""What the loop does besides messages: everything that can wait for EVERY_MS is done once in EVERY_MS.

    a turn of the loop --EVERY_MS since the last time--> all chores --what the log is to be told--> the loop
           `-----------sooner-----------> nothing: the turns of a busy peer are many and short, and each of these looks
                                          costs as much as a message

Touches the parts of the daemon that it is handed. Must not know: messages, the core's decisions, what is being written.
Keeps: what was owed when a turn ended is done within EVERY_MS, also where nothing comes in any more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hfzmq.core.contract import Proposal
from hfzmq.core.replica import Replica
from hfzmq.daemon.about import About
from hfzmq.daemon.backups import Backups
from hfzmq.daemon.hearsay import Hearsay
from hfzmq.daemon.passing import Passing
from hfzmq.daemon.sockets import Sockets
from hfzmq.daemon.transfer import Transfers
from hfzmq.daemon.vitals import Vitals
from hfzmq.daemon.voice import Voice
from hfzmq.daemon.watch import Watch

EVERY_MS = 20.0  # a person, a lease or a connection does not notice so much
DEAD_AFTER_LEASES = 3


@dataclass(slots=True)
class Chores:
    """Of one daemon, with all the parts that want to be looked after. Times are monotonic, in ms."""

    lease_ms: int
    replica: Replica
    about: About
    sockets: Sockets
    voice: Voice
    hearsay: Hearsay
    passing: Passing
    watch: Watch
    transfers: Transfers
    backups: Backups
    vitals: Vitals
    _next_ms: float = -math.inf
    _owed: bool = True  # something has happened since the last time

    def happened(self) -> None:
        """A message came in: it may have left something to do."""
        self._owed = True

    def hurry(self) -> None:
        """A message came in whose sender waits for what is done here."""
        self._owed, self._next_ms = True, -math.inf

    def wake_at_ms(self, now_ms: float) -> float:
        """The latest moment for the next ``turn``."""
        if self._owed:
            return self._next_ms
        asked_ms = min(
            self.transfers.wake_at_ms(),
            self.watch.wake_at_ms(now_ms),
            self.vitals.wake_at_ms(),
            self.backups.wake_at_ms(),
        )
        return max(asked_ms, self._next_ms)

    def are_due(self, now_ms: float) -> bool:
        """Whether ``turn`` would do anything."""
        return now_ms >= self._next_ms

    def turn(self, now_ms: float) -> Proposal | None:
        """Do all of them, if it is time to; what the leader has to tell the log now, if anything."""
        if now_ms < self._next_ms:
            return None
        self._next_ms, self._owed = now_ms + EVERY_MS, False
        replica, sockets = self.replica, self.sockets
        self.transfers.tick(now_ms)
        self.backups.tick(now_ms)
        self.voice.introduce(now_ms, replica.membership)
        sockets.mind_the_door(now_ms)
        sockets.mind_the_weight(now_ms)
        sockets.links.make_refused_anew(now_ms)
        self.hearsay.turn(now_ms, replica, self.about.addresses)
        self._renew_the_dead(now_ms)
        self.passing.turn(now_ms, replica.known_leader(now_ms))
        return self.watch.turn(now_ms, replica.serves)

    def _renew_the_dead(self, now_ms: float) -> None:
        replica = self.replica
        for peer in replica.membership.voters + replica.membership.learners:
            last = replica.liveness.last_of(peer)
            if peer != replica.me and last and now_ms - last[0] > DEAD_AFTER_LEASES * self.lease_ms:
                self.sockets.links.renew(peer)
                replica.liveness.forget(peer)  # so that this happens once a death
