"""One run: faults one after the other on a living mesh, and after each the question whether all is still true.

    resume clients -> start faults -> hold -> stop -> mend -> recover -> pause clients -> converge -> check -> next

Touches everything below it. Must not know: the command line. Keeps: each violation is told with the episode after which
it was seen first; what is cut off by an error is still cleaned up and told.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from tests.nemesis.checker import Violation, check_files
from tests.nemesis.clients import Clients
from tests.nemesis.faults import Fault
from tests.nemesis.history import History, longest_gap_s
from tests.nemesis.watch import Watch
from tests.nemesis.world import CONVERGE_S, World
from tests.system.mesh import wait_for

DRAIN_S = 30.0
DRAIN_WITH_BUG_S = 5.0  # a planted bug may leave clients waiting for ever, and is found by then
TICK_S = 0.05


class Episode(NamedTuple):
    """What one fault, or several at once, did. Times in seconds since the run began, or lasting."""

    faults: tuple[str, ...]
    story: str
    began_s: float
    held_s: float
    healed_s: float  # from the fault's end until all peers were equal and all clients drained
    acks: int  # requests acknowledged while the fault lasted
    longest_gap_s: float  # without any acknowledgement, from the fault's start until all were up again
    leaders: int  # how often the lead changed, as far as was seen
    violations: tuple[Violation, ...]


class Nemesis:
    """A world with clients, and what is done to it."""

    def __init__(
        self, world: World, history: History, seed: int, raw: int = 4, queued: int = 1, readers: int = 2
    ) -> None:
        self.world = world
        self.history = history
        self.chance = Random(seed)
        self.clients = Clients(world.config, history, world.folder, seed, raw, queued, readers)
        self.watch = Watch(world, history)
        self.began = time.monotonic()
        self.drain_s = DRAIN_WITH_BUG_S if world.bug else DRAIN_S
        self._told: set[Violation] = set()
        self._falls_told = 0

    def __enter__(self) -> Nemesis:
        self.watch.__enter__()
        self.clients.__enter__()
        return self

    def __exit__(self, *about: object) -> None:
        self.clients.__exit__(*about)
        self.watch.__exit__(*about)

    def run(self, faults: Sequence[type[Fault]], hold_s: float) -> Episode:
        """One episode; ``hold_s``: how long at most and, within the faults' own needs, how long."""
        names = tuple(fault.name for fault in faults)
        self.clients.resume()
        self._warm_up()
        began = time.monotonic()
        leaders = len(self.watch.leaders)
        self.history.add("nemesis", "fault", "+".join(names), phase="start")
        done: list[Fault] = []
        stories = []
        try:
            for fault in faults:
                done.append(fault(self.world, self.chance))
                stories.append(done[-1].start())
            self._hold(done, hold_s)
        finally:
            for one in reversed(done):
                one.stop()
        self._mend()
        stopped = time.monotonic()
        self.history.add("nemesis", "fault", "+".join(names), phase="stop", story=stories)
        wrong = self._recover(stopped)
        recovered = time.monotonic()
        wrong += self._level()
        healed = time.monotonic()
        wrong += self._check()
        acks = self.history.acks(began)
        return Episode(
            names, "; ".join(stories), round(began - self.began, 2), round(stopped - began, 2),
            round(healed - stopped, 2), sum(moment <= stopped for moment in acks),
            round(longest_gap_s(acks, began, recovered), 2), len(self.watch.leaders) - leaders, tuple(wrong),
        )  # fmt: skip

    def _warm_up(self) -> None:
        """Until somebody is acknowledged: a fault on an idle mesh shows little."""
        began = time.monotonic()
        while not self.history.acks(began) and time.monotonic() - began < 10:
            time.sleep(TICK_S)

    def _hold(self, faults: Sequence[Fault], hold_s: float) -> None:
        until = time.monotonic() + hold_s
        while time.monotonic() < until:
            for fault in faults:
                fault.tick()
            self.world.note_falls()
            time.sleep(TICK_S)

    def _mend(self) -> None:
        if self.world.proxy:
            self.world.proxy.mend()
        if self.world.net:
            self.world.net.mend()

    def _recover(self, stopped: float) -> list[Violation]:
        """I10: it heals, while clients go on; and they get their answers again."""
        try:
            self.world.recover(CONVERGE_S)
            wait_for("an acknowledgement", lambda: self.history.acks(stopped), self.drain_s)
        except AssertionError as error:
            return [Violation("not healed", f"{error}: {self.world.status()}")]
        return []

    def _level(self) -> list[Violation]:
        """Nobody waits for ever, and all become equal."""
        waiting = self.clients.pause(self.drain_s)
        if waiting:
            return [Violation("not drained", f"still waiting after {self.drain_s:g} s: {', '.join(waiting)}")]
        try:
            self.world.converge(CONVERGE_S)
        except AssertionError as error:
            return [Violation("not healed", f"{error}: {self.world.status()}")]
        return []

    def _check(self) -> list[Violation]:
        files = {number: self.world.folder / str(number) / f"hfzmq_{number}.db" for number in self.world.peers}
        found = check_files(self.history.events(), files)
        self.world.note_tracebacks()
        found += [Violation("fell", fall) for fall in self.world.falls[self._falls_told :]]
        self._falls_told = len(self.world.falls)
        found += [Violation("client fell", failure) for failure in self.clients.failures()]
        fresh = [violation for violation in dict.fromkeys(found) if violation not in self._told]
        self._told.update(fresh)
        return fresh
