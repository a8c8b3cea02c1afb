"""Namespaces do what the faults rely on: cables and routes cut what they should cut, one way where they should."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.nemesis.means import NETNS, available
from tests.nemesis.netns import Network
from tests.system.mesh import wait_for

PORT = 7000


@pytest.fixture
def network() -> Iterator[Network]:
    reason = available()[NETNS]
    if reason:
        pytest.skip(f"no namespaces here: {reason}")
    network = Network([1, 2])
    yield network
    network.close()


def hears(network: Network, source: int, target: int) -> bool:
    """Whether a datagram of one peer arrives at the other one: unlike TCP it needs no way back."""
    with network.datagrams(source) as sender, network.datagrams(target) as hearer:
        hearer.bind((network.address(target), PORT))
        hearer.settimeout(0.1)
        for _ in range(5):
            try:
                sender.sendto(b"here", (network.address(target), PORT))
                return hearer.recv(10) == b"here"
            except OSError:
                continue
        return False


def test_a_blackhole_swallows_one_way_and_not_the_other(network: Network) -> None:
    wait_for("the link", lambda: hears(network, 1, 2) and hears(network, 2, 1))
    network.blackhole(1, 2)
    assert not hears(network, 1, 2)
    assert hears(network, 2, 1)
    network.mend()
    assert hears(network, 1, 2)


def test_a_pulled_cable_cuts_both_ways_and_a_plugged_one_mends(network: Network) -> None:
    wait_for("the link", lambda: hears(network, 1, 2))
    network.link(2, up=False)
    assert not hears(network, 1, 2)
    assert not hears(network, 2, 1)
    network.mend()
    wait_for("the link", lambda: hears(network, 1, 2) and hears(network, 2, 1))


def test_a_socket_stays_in_the_namespace_it_was_made_in(network: Network) -> None:
    with network.listener(1) as inside, socket.socket() as outside:
        outside.settimeout(0.5)
        with pytest.raises(OSError):
            outside.connect(inside.getsockname())  # this process's own loopback is another one
        with network.stream(1) as beside:
            beside.settimeout(2)
            beside.connect(inside.getsockname())


def test_nothing_is_left_when_it_is_closed(network: Network) -> None:
    name, bridge = network.name(1), network.name(1).rsplit("-", 1)[0]
    network.close()
    network.close()
    for words in (["ip", "netns"], ["ip", "link"]):
        shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        assert name not in shown
        assert bridge not in shown
