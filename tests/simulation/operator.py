"""A simulated operator, and what happens to members: peers removed, added, given the lead, wiped, joined.

Keeps to what a mesh can survive: a disk is lost only while those that are left can still make a majority, whichever of
the memberships in flight wins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfzmq.core.contract import ACK, ADD, NOT_LEADER, REFUSED, REMOVE, TRANSFER, Change, Reply
from tests.simulation.disk import first_peers

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.peer import Peer
    from tests.simulation.world import Network, World

RETRY_MS = 250.0
TRIES = 80
APART_MS = 12_000.0  # a voter is not removed while another's disk is being lost: nothing could tell the mesh in time


class Operator:
    """Has one wish at a time, and asks every peer in turn until it is granted, refused or given up."""

    name = "operator"

    def __init__(self, world: World, network: Network, peers: dict[int, Peer], invariants: Invariants) -> None:
        self.world = world
        self.network = network
        self.peers = peers
        self.invariants = invariants
        self.uninvited: list[int] = []  # peers that are in nobody's peers.yaml, and not started as yet
        self._wishes: list[tuple[str, int]] = []
        self._wish: tuple[str, int] | None = None
        self._tries = 0
        self._number = 0
        self._target = min(peers)
        self._wiped_at = self._removing_at = float("-inf")

    # ------------------------------------------------------------ wishes

    def wish(self, action: str, peer: int) -> None:
        """Want something, after what is wanted already."""
        self._wishes.append((action, peer))
        if self._wish is None:
            self._next()

    def calm(self) -> None:
        """Want nothing any more."""
        self._wishes.clear()
        self._wish = None
        self._number += 1

    def _next(self) -> None:
        self._wish = self._wishes.pop(0) if self._wishes else None
        self._tries = 0
        self._ask()

    def _ask(self) -> None:
        if self._wish is None:
            return
        if self._tries > TRIES:
            self._next()
            return
        self._number += 1
        if self._wish[0] == REMOVE and self.world.now - self._wiped_at < APART_MS:
            self.world.after(RETRY_MS, self._again, self._number)
            return
        self._tries += 1
        change = Change((self, self._number), *self._wish)
        self.network.send(self.name, self._target, self.peers[self._target].asked, change)
        self.world.after(RETRY_MS, self._again, self._number)
        if self._wish[0] == REMOVE:
            self._removing_at = self.world.now

    def _again(self, number: int) -> None:
        if number == self._number:
            numbers = sorted(self.peers)
            self._target = numbers[(numbers.index(self._target) + 1) % len(numbers)]
            self._ask()

    def answered(self, peer: int, request: int, reply: Reply) -> None:
        """An answer to the wish, or to an earlier one."""
        if request != self._number:
            return
        if reply.status == ACK or (reply.status == REFUSED and self._tries > TRIES // 2):
            self.world.note("operator", self._wish, reply.status, reply.why)
            self._number += 1
            self._next()
        elif reply.status == NOT_LEADER and reply.leader in self.peers and reply.leader != self._target:
            self._target = reply.leader
            self._ask()

    # ------------------------------------------------------------ faults

    def remove(self) -> None:
        """A voter is to leave."""
        if self.world.now - self._wiped_at > APART_MS:
            self._any(REMOVE)  # else it would only have to wait

    def transfer(self) -> None:
        """A voter is to lead."""
        self._any(TRANSFER)

    def _any(self, action: str) -> None:
        peer = self.world.rng.choice(list(self.peers))
        self.world.note("wish", action, peer)
        self.wish(action, peer)

    def add(self) -> None:
        """Whoever was removed comes back with an empty disk; whoever never was a member comes for the first time."""
        rng = self.world.rng
        away = self.uninvited + [number for number, peer in self.peers.items() if peer.halted]
        if not away:
            return
        number = rng.choice(away)
        self.invite(number)

    def invite(self, number: int) -> None:
        """Start a peer that is no member, and have it added."""
        peer = self.peers[number]
        if number in self.uninvited:
            self.uninvited.remove(number)
            peer.dead = False
        elif peer.halted:
            peer.voters = self._known_to(peer)
            peer.wipe()
        self.world.note("wish", ADD, number)
        peer.power_on()
        self.wish(ADD, number)

    def _known_to(self, peer: Peer) -> tuple[int, ...]:
        """Whom the peers.yaml of one that joins names: not itself, so that it never founds a mesh, and who are members
        now, for it finds no mesh through those that were removed."""
        members = self.invariants.membership.members if self.invariants.membership else ()
        return tuple(sorted({*peer.voters, *(one.peer for one in members)} - {peer.number}))

    def correct(self) -> None:
        """Whoever finds no member, neither in its log nor in its peers.yaml, is started again with a better one."""
        members = {one.peer for one in self.invariants.membership.members} if self.invariants.membership else set()
        for peer in self.peers.values():
            known = {*(one.peer for one in peer.disk.members().members), *peer.voters}
            if peer.up and members and not members & (known - {peer.number}) and members != {peer.number}:
                peer.crash()
                peer.voters = self._known_to(peer)
                if not peer.disk.members().founded:
                    peer.disk.membership = first_peers(peer.voters)
                peer.start()

    def wipe(self) -> None:
        """A disk is lost; the peer comes back without being asked."""
        rng = self.world.rng
        peer = rng.choice(list(self.peers.values()))
        if self.invariants.leader_of and self.invariants.membership is None:
            return  # being founded: were all disks of that lost, another mesh would begin, with the same terms
        removing = any(action == REMOVE for action, _ in [*self._wishes, self._wish or ("", 0)])
        if removing or self.world.now - self._removing_at < APART_MS:
            return
        if not peer.dead and not peer.halted and self.may_lose(peer):
            self._wiped_at = self.world.now
            peer.wipe()
            self.world.after(rng.choice((10.0, 1000.0, 5000.0)), peer.power_on)

    def may_lose(self, victim: Peer) -> bool:
        """Whether those that are left can make a majority without this disk, whichever membership wins, and if the
        learners are given their votes right now: the leader hears of a loss within a lease, not before."""
        seen = [self.invariants.membership] if self.invariants.membership else []
        floor = seen[0].index if seen else 0
        for peer in self.peers.values():
            for one in (peer.disk.members(), peer.replica.membership if peer.replica else None):
                if one is not None and one.index >= floor:
                    seen.append(one)
        for membership in seen:
            intact = {
                one.peer
                for one in membership.members
                if one.incarnation in (None, self.peers[one.peer].incarnation)
                and self.peers[one.peer] is not victim
                and not self.peers[one.peer].halted
            }
            voters, everybody = set(membership.voters), {one.peer for one in membership.members}
            if membership.founded and any(len(intact & some) <= len(some) // 2 for some in (voters, everybody)):
                return False
        return True
