"""What may happen to a mesh: each fault by name, with a start, what goes on meanwhile, and a stop.

    faults_process   kill -9, SIGSTOP, restarts, crash loops, wrong clocks
    faults_network   cables, one-way blackholes, partitions of every shape
    faults_weather   loss, doubles, delay, disorder, connections that stall or break
    faults_disk      full, failing and slow disks
    faults_members   lost data directories, members that leave and come

Touches the World only. Must not know: clients, what is right. Keeps: after ``stop`` nothing of the fault is left save
what the mesh itself must mend; a fault that this machine cannot do says why.
"""

from __future__ import annotations

from random import Random
from typing import ClassVar

from tests.nemesis.means import NETNS, missing
from tests.nemesis.world import World

PROXY = "proxy"
PROCESS, NETWORK, DISK, MEMBERS = "process", "network", "disk", "members"  # the last: never with another one


class Fault:
    """``start`` returns what it did, for people. ``tick`` is called some 20 times a second until ``stop``.

    ``hold_s``: how long it should last at least to mean anything, with a lease of 1 s."""

    name: ClassVar[str]
    says: ClassVar[str]  # the sentence it puts to the test
    kind: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    hold_s: ClassVar[float] = 1.0
    peers_min: ClassVar[int] = 3

    def __init__(self, world: World, chance: Random) -> None:
        self.world = world
        self.chance = chance

    def start(self) -> str:
        """Do it."""
        raise NotImplementedError

    def tick(self) -> None:
        """Go on with it."""

    def stop(self) -> None:
        """Undo it. Cables, routes, relays and processes that have ended are mended by whoever heals the world."""

    # ------------------------------------------------------------ whom to hurt

    def leader(self) -> int:
        """Who leads; somebody, while nobody does."""
        return self.world.leader() or self.chance.choice(self.world.peers)

    def follower(self) -> int:
        """Somebody who does not lead."""
        return self.chance.choice(self.world.others(self.leader()))

    def minority(self, *with_: int) -> list[int]:
        """As many peers as may be missing, ``with_`` among them."""
        count = (len(self.world.peers) - 1) // 2
        return sorted([*with_, *self.chance.sample(self.world.others(*with_), count - len(with_))])


def all_faults() -> dict[str, type[Fault]]:
    """Every fault by its name, in the order of the files and of their lines."""
    from tests.nemesis import faults_disk, faults_members, faults_network, faults_process, faults_weather

    modules = (faults_process, faults_network, faults_weather, faults_disk, faults_members)
    found = [
        thing
        for module in modules
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, Fault) and thing.__module__ == module.__name__
    ]
    return {fault.name: fault for fault in found if "name" in vars(fault)}


def why_not(fault: type[Fault], world: World) -> str:
    """Why this fault cannot be done to this world; '' when it can."""
    if PROXY in fault.needs and world.proxy is None:
        return "the links are direct: no relay to hurt them"
    if NETNS in fault.needs and world.net is None:
        return missing((NETNS,)) or "the run keeps to the loopback"
    if len(world.peers) < fault.peers_min:
        return f"takes {fault.peers_min} peers"
    return missing(tuple(name for name in fault.needs if name != PROXY))
