"""Storms of a chosen size. The size is part of a storm's name: the same seed at another size is another storm.

The drawn size (3 or 5 peers, 20 lease times of chaos) is what tests run; the issue's size is what a campaign counts.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.simulation.storm import TIMING, Outcome, Storm

PEERS, FAULTS, LEASES = 5, 20, 100  # a storm counts from these on


class Size(NamedTuple):
    """``peers`` 0: the seed draws it. ``chaos_leases``: for so many lease times faults happen; healing comes after."""

    peers: int = 0
    chaos_leases: int = 20

    def options(self) -> str:
        """What ``python -m tests.simulation`` must be told to run a storm of this size."""
        words = (f" --peers {self.peers}" if self.peers else "") + (
            f" --chaos-leases {self.chaos_leases}" if self.chaos_leases != DRAWN.chaos_leases else ""
        )
        return words.strip()


DRAWN = Size()
FULL = Size(PEERS, LEASES)


class Told(NamedTuple):
    """What one storm did. ``lease_times`` is simulated time, healing included."""

    seed: int
    events: int
    faults: int
    acks: int
    leaders: int
    lease_times: int
    fingerprint: int
    counts: bool
    violation: str | None


def storm(seed: int, size: Size = DRAWN, tracing: bool = False, members: bool = True) -> Storm:
    """The storm of a seed at a size."""
    return Storm(seed, tracing, chaos_ms=float(size.chaos_leases * TIMING.lease_ms), peers=size.peers, members=members)


def tell(seed: int, size: Size = DRAWN) -> Told:
    """Run it. It counts if it had the peers, the faults and the lease times of chaos that the goal asks for."""
    one = storm(seed, size)
    outcome: Outcome = one.run()
    counts = outcome.peers >= PEERS and outcome.faults >= FAULTS and size.chaos_leases >= LEASES
    return Told(
        seed, outcome.events, outcome.faults, outcome.acks, outcome.leaders, int(one.world.now / TIMING.lease_ms),
        outcome.fingerprint, counts, outcome.violation,
    )  # fmt: skip


def replay(seed: int, size: Size = DRAWN) -> str:
    """The command that shows a storm event by event."""
    return " ".join(f"python -m tests.simulation --seed {seed} {size.options()} --trace".split())
