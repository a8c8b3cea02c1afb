"""The clock and the links: a heap of events and a network that loses, delays, doubles, reorders and cuts.

Keeps: everything that happens is a function of the seed. Events at one moment happen in the order they were planned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random
from typing import Any

REPLAY_MS = 5000.0


@dataclass
class Weather:
    """How bad the links are: probabilities in 0..1, one-way delays in milliseconds."""

    loss: float = 0.0
    double: float = 0.0
    delay_least_ms: float = 0.2
    delay_most_ms: float = 2.0
    replay: float = 0.0  # so much arrives once more, up to REPLAY_MS later


class World:
    """Simulated time in milliseconds, and what is planned."""

    def __init__(self, seed: int, tracing: bool = False) -> None:
        self.rng = Random(seed)
        self.now = 0.0
        self.events = 0
        self.fingerprint = 0
        self.trace: list[str] = []
        self.listeners: dict[str, list[Callable[..., None]]] = {}  # what is noted under a name goes to these too
        self._tracing = tracing
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._planned = 0

    def at(self, when: float, action: Callable[..., None], *arguments: Any) -> None:
        """Plan an action."""
        self._planned += 1
        heappush(self._heap, (when if when > self.now else self.now, self._planned, action, arguments))

    def after(self, delay: float, action: Callable[..., None], *arguments: Any) -> None:
        """Plan an action ``delay`` milliseconds from now (0 or more)."""
        self._planned += 1
        heappush(self._heap, (self.now + delay, self._planned, action, arguments))

    def run_until(self, end: float) -> None:
        """Let time pass."""
        heap, pop = self._heap, heappop
        while heap and heap[0][0] <= end:
            self.now, number, action, arguments = pop(heap)
            self.events += 1
            # Not a hash of anything that differs from process to process; every event moves every bit after it.
            self.fingerprint = (self.fingerprint * 1_000_003 + int(self.now * 1000) + number) & 0xFFFFFFFF
            action(*arguments)
        self.now = end

    def note(self, text: str, *parts: Any) -> None:
        """One line of the trace, and a word to whoever listens for it."""
        if self._tracing:
            self.trace.append(f"{self.now:10.1f}  {text} " + " ".join(map(str, parts)))
        for listener in self.listeners.get(text, ()):
            listener(*parts)

    def listen(self, text: str, listener: Callable[..., None]) -> None:
        """Call ``listener`` with the parts of whatever is noted under ``text``."""
        self.listeners.setdefault(text, []).append(listener)


class Network:
    """Directed links between anybody and anybody; peers are ints, clients are strings."""

    def __init__(self, world: World, weather: Weather) -> None:
        self._world = world
        self.weather = weather
        self.link_weather: dict[tuple[Any, Any], Weather] = {}  # where it differs
        self.heard_at: dict[tuple[Any, Any], float] = {}
        self.echoes = 0.0
        self._cut: set[tuple[Any, Any]] = set()
        self._flaky: dict[Any, float] = {}

    def send(self, source: Any, target: Any, deliver: Callable[..., None], *arguments: Any) -> None:
        """Deliver after a delay: once, not at all, or twice."""
        weather, rng, world = self.weather, self._world.rng, self._world
        if self.link_weather:
            weather = self.link_weather.get((source, target), weather)
        if (source, target) in self._cut or (weather.loss and rng.random() < weather.loss):
            return
        if self._flaky and rng.random() < max(self._flaky.get(source, 0), self._flaky.get(target, 0)):
            return
        least_ms, most_ms = weather.delay_least_ms, weather.delay_most_ms
        for _ in range(2 if weather.double and rng.random() < weather.double else 1):
            delay = least_ms + (most_ms - least_ms) * rng.random()
            world.after(delay, self._arrive, source, target, deliver, arguments)
        if weather.replay and rng.random() < weather.replay:
            world.after(rng.uniform(100, REPLAY_MS), self._arrive, source, target, deliver, arguments)

    def echo(self, source: Any, target: Any, deliver: Callable[..., None], *arguments: Any) -> None:
        """What was said arrives once more, and much later, if this storm has echoes."""
        rng = self._world.rng
        if self.echoes and rng.random() < self.echoes:
            self._world.after(rng.uniform(100, REPLAY_MS), self._arrive, source, target, deliver, arguments)

    def _arrive(self, source: Any, target: Any, deliver: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        link = (source, target)
        if link not in self._cut:  # a cut takes what is on its way along
            self.heard_at[link] = self._world.now
            deliver(*arguments)

    def make_flaky(self, peer: Any, loss: float) -> None:
        """So much of what a peer sends or is sent is lost, beside the weather."""
        self._flaky[peer] = loss

    def cut(self, source: Any, target: Any) -> None:
        """Nothing passes from source to target any more."""
        self._cut.add((source, target))

    def split(self, *groups: set[Any]) -> None:
        """Cut every link between different groups, both ways."""
        for group in groups:
            for other in groups:
                if group is not other:
                    self._cut.update((a, b) for a in group for b in other)

    def mend(self) -> None:
        """All links pass again."""
        self._cut.clear()
        self.link_weather.clear()
        self._flaky.clear()
