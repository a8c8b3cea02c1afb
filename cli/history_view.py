"""Two histories of one mesh, as they are shown: who is set apart, and what must be said loudly.

Touches nothing. Must not know: sockets, screens. Keeps: each sentence says what is so and what to do, and names a peer
to be backed up for either history; no disk is called lost, no peer to be replaced, while either may be all there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hfzmq.cli.format import listed, thousands
from hfzmq.cli.peer_view import OTHER_HISTORY, PeerView

BEGUN_ANEW = "the mesh was begun anew on empty disks, and an old disk is back"
DECIDE = "then decide which one goes on (backup.md, Two histories)"
APART_HINT = "do as the ALARM says: touch no disk before both are backed up"


def set_apart(peer: PeerView) -> PeerView:
    """``peer``, as one that answers and is no part of the mesh that goes on."""
    return peer._replace(membership=OTHER_HISTORY, trails_leader_by=None) if peer.reachable else peer


class Apart(NamedTuple):
    """What is so, and what to do."""

    cause: str
    do: str

    def __str__(self) -> str:
        return f"{self.cause}; {self.do}"


def histories(peers: Sequence[PeerView]) -> Iterator[Apart]:
    """Of each history but the one that goes on; also where only the peers hear of it, for who holds it does not answer
    here."""
    there = [peer for peer in peers if peer.reachable and peer.history]
    main = [peer for peer in there if peer.membership != OTHER_HISTORY]
    odd = [peer for peer in there if peer.membership == OTHER_HISTORY]
    for history in dict.fromkeys(peer.history for peer in odd):
        these = [peer for peer in odd if peer.history == history]
        yield _apart([peer.id for peer in these], f" ({_until(these)})", _longest(these).id, main)
    unseen = sorted({other for peer in there for other in peer.other_histories} - {peer.id for peer in there})
    if unseen and not odd:
        yield _apart(unseen, "", unseen[0], main)


def _apart(odd: Sequence[int], until: str, longest: int, main: Sequence[PeerView]) -> Apart:
    others = f"{listed(peer.id for peer in main)} ({_until(main)})"
    holds = f"{listed(odd)} hold{'s' * (len(odd) == 1)} another history of this mesh{until} than {others}"
    both = f"hfzmq backup --peer {longest} FILE, hfzmq backup --peer {_longest(main).id} FILE2"
    return Apart(f"{holds}: {BEGUN_ANEW}", f"touch no disk, back both up: {both}; {DECIDE}")


def _longest(peers: Sequence[PeerView]) -> PeerView:
    return max(peers, key=lambda peer: (peer.last_index or 0, -peer.id))


def _until(peers: Sequence[PeerView]) -> str:
    return f"until entry {thousands(_longest(peers).last_index or 0)}"
