"""Faults of the network that hurt: bad weather for the messages between peers, connections that stall or break.

Touches the World's relays only. Must not know: clients. See faults.py, weather.py.
"""

from __future__ import annotations

import time
from typing import ClassVar

from tests.nemesis.faults import PROXY
from tests.nemesis.faults_network import NetworkFault
from tests.nemesis.weather import Weather


class _Weather(NetworkFault):
    needs = (PROXY,)
    weather: ClassVar[Weather]

    def start(self) -> str:
        """All links."""
        assert self.world.proxy is not None
        self.world.proxy.weather(self.world.ways(self.world.peers, self.world.peers), self.weather)
        return ", ".join(f"{name} {value:g}" for name, value in self.weather._asdict().items() if value)


class Loss(_Weather):
    """30 % of all messages between peers are lost."""

    name, says = "loss", "30 % loss costs time and nothing else"
    weather = Weather(loss=0.3)


class Doubles(_Weather):
    """50 % of all messages arrive twice, the second time up to 5 s later."""

    name, says = "doubles", "messages that come twice, and seconds late, change nothing"
    weather = Weather(echo=0.5, echo_s=5.0)


class Delay(_Weather):
    """Each message takes 150 ms."""

    name, says = "delay", "slow links cost time and nothing else"
    weather = Weather(delay_s=0.15)


class Reorder(_Weather):
    """Messages overtake each other by up to 250 ms."""

    name, says = "reorder", "messages that overtake each other change nothing"
    weather = Weather(shuffle_s=0.25)


class Storm(_Weather):
    """All of it at once."""

    name, says = "storm", "loss, doubles, delay and disorder at once change nothing"
    weather = Weather(loss=0.15, echo=0.3, echo_s=3.0, delay_s=0.02, shuffle_s=0.12)


class Stall(NetworkFault):
    """The bytes of a minority's connections, the leader's too, stand still in the wires; then they are closed."""

    name, says, needs = "stall", "connections that stand still and are alive are not waited for", (PROXY,)

    def start(self) -> str:
        """See the class."""
        few = self.minority(self.leader())
        assert self.world.proxy is not None
        self.world.proxy.stall(self.both(few, self.world.peers))
        return f"wires of {few}"


class Resets(NetworkFault):
    """A third of all connections between peers end with RST, every 300 ms."""

    name, says, needs = "resets", "connections that break again and again lose nothing", (PROXY,)

    def start(self) -> str:
        """See the class."""
        self._next = 0.0
        return "a third of the connections, every 0.3 s"

    def tick(self) -> None:
        """Break some."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.3
            ways = self.world.ways(self.world.peers, self.world.peers)
            assert self.world.proxy is not None
            self.world.proxy.reset(self.chance.sample(ways, len(ways) // 3))
