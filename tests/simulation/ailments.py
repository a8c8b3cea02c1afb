"""Disks that fill and fail, in some storms. In all of them a daemon ends, as hfzmq does, and is started again.

    full:  refuses each write, whole, until there is room; a daemon that starts before there is ends at once
    fails: one sync says that it failed; what was to be written may be on the disk, or not

What becomes of a bit that flips is known before the core is asked: the storage finds it at the next start or look, and
what comes back is an empty disk under another incarnation. That is a wipe (operator.py), on no more than a minority.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.peer import Peer
    from tests.simulation.storm import Storm

SHARE = 0.3  # of the storms
PACE_MS = (700.0, 2500.0)


class Ailments:
    """Of one storm, drawn apart from all else, so that the storms without them are what they were."""

    def __init__(self, storm: Storm) -> None:
        self._storm = storm
        self._rng = Random(f"the disks of {storm.seed}")
        self._pace_ms = self._rng.choice(PACE_MS)
        self._full_share = self._rng.choice((0.0, 0.5, 1.0))

    def begin(self) -> None:
        """In some storms; from now on until the chaos is over."""
        if self._rng.random() < SHARE:
            self._plan()

    def _plan(self) -> None:
        self._storm.world.after(self._rng.expovariate(1 / self._pace_ms), self._strike)

    def _strike(self) -> None:
        if self._storm.chaos_over:
            return
        self._storm.faults += 1
        peer = self._any_peer()
        if self._rng.random() < self._full_share:
            peer.fill_disk(self._storm.world.now + self._rng.uniform(100, 4000))
        else:
            peer.fail_sync()
        self._plan()

    def _any_peer(self) -> Peer:
        peers = list(self._storm.peers.values())
        leaders = [peer for peer in peers if peer.replica and peer.replica.leading]
        return self._rng.choice(leaders if leaders and self._rng.random() < 0.5 else peers)
