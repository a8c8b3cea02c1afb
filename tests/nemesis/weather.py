"""What may happen to the messages from one peer to another, and the queue of those that are still in the air.

Touches nothing. Must not know: sockets. Keeps: chance comes from the seed handed in; calm weather delivers each message
at once, once, in order.
"""

from __future__ import annotations

import heapq
import itertools
from random import Random
from typing import NamedTuple


class Weather(NamedTuple):
    """Shares from 0 to 1, times in seconds. ``loss``: never arrives. ``echo``: arrives a second time, up to ``echo_s``
    later, on a later connection if need be. ``delay_s`` for each; ``shuffle_s``: up to so much more, for each its own,
    so that later ones overtake; where it is 0, the order stays."""

    loss: float = 0.0
    echo: float = 0.0
    echo_s: float = 0.0
    delay_s: float = 0.0
    shuffle_s: float = 0.0


CALM = Weather()
DEAF = Weather(loss=1.0)


class Air:
    """The messages of one flow that are under way."""

    def __init__(self, seed: str) -> None:
        self.weather = CALM
        self._chance = Random(seed)
        self._flying: list[tuple[float, int, bytes]] = []
        self._numbers = itertools.count()

    def take(self, now: float, message: bytes) -> None:
        """A message sets out."""
        weather, chance = self.weather, self._chance
        if chance.random() < weather.loss:
            return
        self._fly(now + weather.delay_s + weather.shuffle_s * chance.random(), message)
        if chance.random() < weather.echo:
            self._fly(now + weather.delay_s + weather.echo_s * chance.random(), message)

    def _fly(self, due: float, message: bytes) -> None:
        heapq.heappush(self._flying, (due, next(self._numbers), message))

    def landed(self, now: float) -> list[bytes]:
        """The messages that arrive by now."""
        landed = []
        while self._flying and self._flying[0][0] <= now:
            landed.append(heapq.heappop(self._flying)[2])
        return landed

    @property
    def due(self) -> float | None:
        """When the next one arrives; None when nothing is under way."""
        return self._flying[0][0] if self._flying else None

    def clear(self) -> None:
        """What is under way never arrives."""
        self._flying.clear()
