"""What a storm has lost, whoever ran in it: what clients were told is kept, against what the mesh holds at the end.

Must not know how the mesh works: it looks at the clients' own count of acknowledgements and at the peers' rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tests.simulation.client import Client
    from tests.simulation.storm import Storm

Row = tuple[tuple[str, bytes], int, bytes]
"""Session, seq, digest."""


class Losses(NamedTuple):
    """Requests. ``lost``: acknowledged and not with the leader when all is well again; ``gone``: of those, with no peer
    at all; ``doubled``: stored more than once; ``foreign``: stored and never sent; ``disordered``: stored before one
    that was sent earlier."""

    acked: int
    lost: int
    gone: int
    doubled: int
    foreign: int
    disordered: int

    @property
    def any(self) -> bool:
        """Whether the mesh broke its word."""
        return any(self[1:])


def losses(storm: Storm) -> Losses:
    """Of a storm that is over."""
    home = storm.peers[min(storm.peers)].disk.rows
    everywhere = {row for peer in storm.peers.values() for row in peer.disk.rows}
    return count(storm.clients.values(), home, everywhere)


def count(clients: Iterable[Client], home: Iterable[Row], everywhere: Iterable[Row]) -> Losses:
    """``home``: the leader's rows in their order. A client's ``seq`` is the first that was not acknowledged to it."""
    by_session: dict[tuple[str, bytes], list[tuple[int, bytes]]] = {}
    for session, seq, digest in home:
        by_session.setdefault(session, []).append((seq, digest))
    known = set(everywhere)
    acked = lost = gone = doubled = foreign = disordered = 0
    for client in clients:
        session = (client.name, client.epoch)
        stored = by_session.pop(session, [])
        sent = {(seq, client.origin(seq).digest) for seq in range(1, min(client.seq, client.total) + 1)}
        times = Counter(stored)
        for seq in range(1, client.seq):
            row = (seq, client.origin(seq).digest)
            acked += 1
            lost += row not in times
            gone += row not in times and (session, *row) not in known
        doubled += sum(number - 1 for number in times.values())
        foreign += sum(1 for row in times if row not in sent)
        disordered += sum(1 for (before, _), (after, _) in pairwise(stored) if after < before)
    foreign += sum(map(len, by_session.values()))
    return Losses(acked, lost, gone, doubled, foreign, disordered)
