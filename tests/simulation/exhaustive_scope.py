"""The bounds of an exhaustive search, its states and what it sees: values only, in small numbers.

A state is what each of three peers is (a number of ``exhaustive_core``), the messages in flight, who has led which term
and what was committed, and what of the scope is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

PEERS = 3
COLD, FOUNDED, BEGUN = "cold", "founded", "begun"
STARTS = (COLD, FOUNDED, BEGUN)


class Scope(NamedTuple):
    """The bounds. All counts are of the whole mesh, over the whole of a run."""

    terms: int = 2  # nobody campaigns beyond this term
    entries: int = 1  # requests of clients, beside the no-op of each term
    asks: int = 1  # how often clients ask (more than entries: a request comes again)
    campaigns: int = 2  # rounds of pre-votes
    beats: int = 0  # keep-alives
    crashes: int = 0
    doubles: int = 0  # messages delivered twice
    start: str = FOUNDED  # cold: the mesh is yet to be founded, by all three; begun: term 1 is over, all voted for
    # peer 1, whose no-op is on its own disk alone
    prompt: bool = False  # a disk has synced before anything else happens to its peer: fewer orders, not all


class Left(NamedTuple):
    """What of the scope is left."""

    asked: tuple[int, ...]
    asks: int
    campaigns: int
    beats: int
    crashes: int
    doubles: int


class State(NamedTuple):
    """Small numbers: the peers' local states, flights, who led each term (-1: nobody), the committed chains."""

    peers: tuple[int, ...]
    flights: tuple[int, ...]  # (message * 9 + source * 3 + target), rising
    led: tuple[int, ...]
    committed: tuple[bytes, ...]
    left: Left


Move = tuple[Any, ...]  # (kind, peer, ...)


# A renaming: (seats turned by, mirrored). Seat i becomes (i + turn) or (turn - i).
RENAMINGS = tuple((turn, mirrored) for mirrored in (False, True) for turn in range(PEERS))
SEATS = {(t, m): tuple((t - i if m else i + t) % PEERS for i in range(PEERS)) for t, m in RENAMINGS}
LINKS = {
    name: tuple(seats[link // PEERS] * PEERS + seats[link % PEERS] for link in range(PEERS * PEERS))
    for name, seats in SEATS.items()
}


@dataclass
class Result:
    """What a search saw. ``frontier`` is how many states were seen but not gone on from: 0 means exhausted."""

    states: int
    moves: int
    depth: int
    frontier: int
    locals: int
    seconds: float
    violation: str = ""
    story: tuple[str, ...] = ()
    acked: int = 0  # states in which a request was acknowledged
    led: int = 0  # the latest term that had a leader

    def line(self) -> str:
        """One line for a person."""
        end = "exhausted" if not self.frontier else f"NOT exhausted, {self.frontier:,} states wait"
        return (
            f"states {self.states:,}  moves {self.moves:,}  depth {self.depth}  peers' states {self.locals:,}  "
            f"acks {self.acked:,}  terms led {self.led}  {self.seconds:.1f} s  {end}  "
            f"{self.violation or 'no violation'}"
        )
