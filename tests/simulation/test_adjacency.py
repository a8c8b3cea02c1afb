"""Every way in which the directed links of a small mesh can be cut, held for ten leases with one client.

All 64 matrices of three peers, and the 218 that are left of the 4,096 of four peers when renamings count as one (each
under one drawn naming, for the ids are an order of priority). Measured:

                                                       3 peers  4 peers
    a majority whose every two hear each other              37       19   one of it serves, <= 1 change in 5 leases
    partial: one peer has two-way links to enough            -       70   only safety is asserted; measured: at the end
                                                                          10 have nobody who serves, 5 of the others
                                                                          saw two changes or more in 5 leases
    nobody has two-way links to enough                      27      129   nothing is ever acknowledged, nobody serves
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import pytest

from tests.simulation.client import Client
from tests.simulation.disk import founded
from tests.simulation.invariants import Invariants
from tests.simulation.peer import Peer
from tests.simulation.storm import LIMITS, TIMING
from tests.simulation.world import Network, Weather, World

LEASE = TIMING.lease_ms
Links = frozenset[tuple[int, int]]  # (source, target): what source says reaches target


@dataclass(frozen=True)
class Seen:
    """How ten leases went."""

    serving: list[int]
    late_changes: int  # of leader, in the last five leases
    acks: int
    term: int


def hold(peers: int, links: Links) -> Seen:
    """A mesh that is founded, starts with only these links and keeps them. The invariants are checked at every step."""
    world = World(1)
    network, invariants = Network(world, Weather()), Invariants(peers)
    voters = tuple(range(1, peers + 1))
    mesh = {number: Peer(number, world, network, invariants, voters, TIMING, LIMITS) for number in voters}
    client = Client("bed", world, network, mesh, invariants, 1_000_000)
    client.think_ms = 150.0
    invariants.peers, invariants.clients = mesh, {"bed": client}
    for peer in mesh.values():
        peer.others = mesh
        peer.disk.membership = founded(voters)
        world.after(world.rng.uniform(0, 500), peer.start)
    world.after(100, client.ask)
    for source, target in itertools.permutations(mesh, 2):
        if (source, target) not in links:
            network.cut(source, target)
    world.run_until(5 * LEASE)
    before = invariants.leader_changes
    world.run_until(10 * LEASE)
    replicas = [peer.replica for peer in mesh.values() if peer.replica]
    return Seen(
        [replica.me for replica in replicas if replica.serves],
        invariants.leader_changes - before,
        invariants.acks,
        max(replica.term for replica in replicas),
    )


def matrices_of_three() -> Iterator[Links]:
    """All of them."""
    every = list(itertools.permutations((1, 2, 3), 2))
    for mask in range(1 << len(every)):
        yield frozenset(link for bit, link in enumerate(every) if mask >> bit & 1)


def matrices_of_four() -> Iterator[Links]:
    """One of each kind, under a naming drawn by a seed."""
    rng, every = Random(5), list(itertools.permutations(range(4), 2))
    bit_of = {link: 1 << bit for bit, link in enumerate(every)}
    seen: set[int] = set()
    for mask in range(1 << len(every)):
        if mask not in seen:
            links = [link for link in every if mask & bit_of[link]]
            for names in itertools.permutations(range(4)):
                seen.add(sum(bit_of[names[a], names[b]] for a, b in links))
            drawn = rng.sample((1, 2, 3, 4), 4)
            yield frozenset((drawn[a], drawn[b]) for a, b in links)


def two_way(peers: int, links: Links) -> dict[int, set[int]]:
    """For each peer, itself and those that it both hears and reaches."""
    numbers = range(1, peers + 1)
    return {a: {b for b in numbers if a == b or ((a, b) in links and (b, a) in links)} for a in numbers}


def judge(peers: int, links: Links) -> str:
    """Hold a matrix and assert what it must show; returns its kind."""
    seen, near, majority = hold(peers, links), two_way(peers, links), peers // 2 + 1
    told = f"{sorted(links)}: {seen}"
    sets = [set(group) for group in itertools.combinations(near, majority)]
    whole = [group for group in sets if all(group <= near[member] for member in group)]
    assert len(seen.serving) <= 1, told
    if whole:
        assert len(seen.serving) == 1, told
        assert any(seen.serving[0] in group for group in whole), told
        assert len(near[seen.serving[0]]) >= majority, told
        assert seen.late_changes <= 1, told
        assert seen.term <= 10, told
        assert seen.acks > 0, told
        return "whole"
    if any(len(others) >= majority for others in near.values()):
        return "partial"
    assert (seen.serving, seen.acks) == ([], 0), told
    return "none"


def count(peers: int, matrices: Iterator[Links]) -> dict[str, int]:
    """Judge them all."""
    return dict(Counter(judge(peers, links) for links in matrices))


def test_three_peers_under_every_matrix_elect_where_two_hear_each_other_and_acknowledge_nothing_elsewhere() -> None:
    assert count(3, matrices_of_three()) == {"whole": 37, "none": 27}


@pytest.mark.timeout(300)
def test_four_peers_under_every_kind_of_matrix_elect_where_a_majority_is_whole_and_never_break_a_promise() -> None:
    assert count(4, matrices_of_four()) == {"whole": 19, "partial": 70, "none": 129}
