"""Stories of a mesh, told to the simulator: who is cut off from whom, who dies, and what must then be true."""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.client import Client
from tests.simulation.storm import LIMITS, TIMING, Storm
from tests.simulation.world import Weather

LEASE = TIMING.lease_ms


class Story(Storm):
    """A storm without weather: only what the story does happens."""

    def __init__(self, peers: int, clients: int = 2, requests: int = 100_000, seed: int = 1) -> None:
        super().__init__(seed, tracing=True, peers=peers, clients=0)
        self.network.weather = Weather()
        for peer in self.peers.values():
            peer.clock_rate, peer.sync_ms = 1.0, (0.05, 0.5)
        for number in range(clients):
            name = f"client{number}"
            self.clients[name] = Client(name, self.world, self.network, self.peers, self.invariants, requests)
            self.clients[name].think_ms = 20.0
            self.clients[name].timeout_ms, self.clients[name].wanders, self.clients[name].probes = 1000.0, 0.0, 0.0
            self.world.after(100, self.clients[name].ask)
        self.run_until(lambda: self.leader() == 1 and self.acks() > 0, 10 * LEASE)
        self.run_for(LEASE)

    def run_for(self, duration_ms: float) -> None:
        """Let time pass."""
        self.world.run_until(self.world.now + duration_ms)

    def run_until(self, condition: Callable[[], bool], within_ms: float) -> float:
        """Let time pass until something is true; returns how long it took."""
        began = self.world.now
        while not condition():
            assert self.world.now < began + within_ms, "\n".join(self.world.trace[-60:])
            self.run_for(5)
        return self.world.now - began

    def leader(self) -> int:
        """Who serves in the latest term; 0 for nobody."""
        serving = [
            (peer.replica.term, peer.number) for peer in self.peers.values() if peer.replica and peer.replica.serves
        ]
        return max(serving)[1] if serving else 0

    def acks(self) -> int:
        """What clients were told so far."""
        return self.invariants.acks

    def healed(self) -> None:
        """The end of every story: all is well again and nothing is missing."""
        for client in self.clients.values():
            client.total = client.seq + 1
        self.heal()
        self.run_for(30 * LEASE)
        self.invariants.healed()


def test_the_lowest_id_leads_within_two_leases_of_the_start() -> None:
    story = Story(3)
    assert story.leader() == 1
    story.healed()


def test_when_the_leader_dies_the_next_id_acknowledges_within_one_and_a_half_leases() -> None:
    for seed in range(20):
        story = Story(3, seed=seed)
        story.peers[1].crash()
        before = story.acks()
        took = story.run_until(lambda: story.leader() == 2, 1.5 * LEASE)  # noqa: B023
        assert took > 0.8 * LEASE
        story.run_until(lambda: story.acks() > before, 2 * LEASE)  # noqa: B023


def test_a_dead_leader_that_returns_catches_up_and_is_handed_the_lead() -> None:
    story = Story(3)
    story.peers[1].crash()
    story.run_until(lambda: story.leader() == 2, 2 * LEASE)
    story.run_for(3 * LEASE)
    story.peers[1].start()
    story.run_until(lambda: story.leader() == 1, TIMING.handover_settle_ms + 3 * LEASE)
    story.healed()


def test_a_hand_over_stops_acknowledgements_for_less_than_a_quarter_of_a_lease() -> None:
    story = Story(3)
    story.peers[1].crash()
    story.run_until(lambda: story.leader() == 2, 2 * LEASE)
    story.run_for(LEASE)
    story.peers[1].start()
    longest = last = 0.0
    acks, began = story.acks(), story.world.now
    while story.leader() != 1 or last < 500:
        story.run_for(5)
        last = 0.0 if story.acks() > acks else last + 5
        acks = story.acks()
        longest = max(longest, last if story.leader() != 0 else 0.0)
        if story.world.now - began > 20 * LEASE or (story.leader() == 1 and story.world.now - began > 4 * LEASE):
            break
    assert story.leader() == 1
    assert longest < 0.25 * LEASE


def test_five_peers_split_two_and_three_the_three_go_on_and_the_two_refuse() -> None:
    story = Story(5, clients=4)
    clients = list(story.clients)
    story.network.split({1, 2, clients[0]}, {3, 4, 5, *clients[1:]})
    story.run_until(lambda: story.leader() == 3, 3 * LEASE)
    for number in (1, 2):
        replica = story.peers[number].replica
        assert replica is not None
        assert replica.role != "leader"
    before = story.acks()
    story.run_until(lambda: story.acks() > before + 50, 10 * LEASE)
    story.run_for(3 * LEASE)
    refusals = [line for line in story.world.trace if "reply 1 NO_QUORUM" in line or "reply 2 NO_QUORUM" in line]
    assert refusals, "the minority does not say that it is one"
    story.healed()


def test_a_leader_whose_disk_stalls_steps_down_and_loses_nothing() -> None:
    story = Story(3)
    story.peers[1].stall(story.world.now + 10 * LEASE)
    story.run_until(lambda: story.leader() == 2, 4 * LEASE)
    before = story.acks()
    story.run_until(lambda: story.acks() > before + 10, 5 * LEASE)
    story.healed()


def test_a_deaf_leader_steps_down_and_does_not_come_back_while_deaf() -> None:
    story = Story(3)
    for other in (2, 3):
        story.network.cut(other, 1)
    story.run_until(lambda: story.leader() == 2, 4 * LEASE)
    changes = story.invariants.leader_changes
    story.run_for(20 * LEASE)
    assert story.invariants.leader_changes == changes, "a deaf peer disturbs those who can hear"
    story.healed()


def test_a_mute_follower_disturbs_nobody() -> None:
    story = Story(3)
    for other in (1, 2):
        story.network.cut(3, other)
    changes = story.invariants.leader_changes
    story.run_for(20 * LEASE)
    assert story.invariants.leader_changes == changes
    story.healed()


def test_a_lowest_id_that_crashes_every_three_leases_gets_the_lead_ever_more_seldom() -> None:
    story = Story(3)
    began = story.invariants.leader_changes
    for _ in range(15):
        story.peers[1].crash()
        story.run_for(LEASE)
        story.peers[1].power_on()
        story.run_for(3 * LEASE)
    assert story.invariants.leader_changes - began < 12
    story.healed()


def test_a_power_cut_of_the_whole_mesh_loses_nothing_that_was_acknowledged() -> None:
    story = Story(3)
    for _ in range(5):
        for peer in story.peers.values():
            peer.crash()
        story.run_for(100)
        for peer in story.peers.values():
            peer.power_on()
        story.run_until(lambda: story.leader() == 1, 4 * LEASE)
        story.run_for(2 * LEASE)
    story.healed()


def test_what_waits_in_the_leader_is_bounded_and_the_rest_is_told_to_wait() -> None:
    story = Story(3, clients=60)
    story.network.split({1, *story.clients}, {2, 3})
    story.run_for(0.7 * LEASE)
    replica = story.peers[1].replica
    assert replica is not None
    waiting = sum(entry.cost_bytes for entry in replica.log.between(replica.commit, replica.log.last.index))
    assert waiting <= LIMITS.uncommitted_bytes_max + 200
    assert any("BUSY" in line for line in story.world.trace)
    story.healed()
