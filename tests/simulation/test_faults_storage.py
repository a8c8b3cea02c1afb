"""Faults of disks, each a named test on the simulated mesh; what happens inside one file is tested on real SQLite.

docs/fault_table.md lists them all. On a ``Stage`` nothing is left to chance: only the fault of the test happens.
"""

from __future__ import annotations

import copy

import pytest

from hfzmq.core.contract import GAP, Proposal, Reply
from hfzmq.core.messages import Disowned
from hfzmq.core.types import HardState
from tests.simulation.disk import Disk
from tests.simulation.peer import Peer
from tests.simulation.stage import LEASE_MS, Stage
from tests.simulation.test_faults_election import ask, mesh, steady


class Asker:
    """Asks once and keeps the answer."""

    def __init__(self) -> None:
        self.name = "asker"
        self.answers: list[Reply] = []

    def answered(self, peer: int, request: int, reply: Reply) -> None:
        """The answer."""
        self.answers.append(reply)


def test_nothing_is_acknowledged_before_a_majority_of_disks_has_synced_it() -> None:
    stage = mesh()
    for follower in (2, 3):
        stage.peers[follower].stall(stage.world.now + 400)
    assert 400 <= ask(stage) < 500
    stage.finish()


def test_a_repeated_append_is_acknowledged_no_earlier_than_the_sync_of_the_first() -> None:
    stage = mesh()
    for follower in (2, 3):
        stage.peers[follower].stall(stage.world.now + 400)
        stage.network.link_weather[(1, follower)] = weather = copy.copy(stage.network.weather)
        weather.double = 1.0
    assert 400 <= ask(stage) < 500
    stage.finish()


def test_a_leader_whose_disk_is_slower_than_its_only_follower_counts_itself_no_earlier_than_its_own_sync() -> None:
    stage = mesh()
    stage.peers[3].crash()
    stage.peers[1].stall(stage.world.now + 400)
    assert 400 <= ask(stage) < 500
    stage.finish()


@pytest.mark.parametrize("number", [1, 3])
def test_a_peer_whose_disk_is_full_ends_the_others_go_on_and_it_is_back_when_there_is_room(number: int) -> None:
    stage = mesh()
    peer = stage.peers[number]
    peer.fill_disk(stage.world.now + 4 * LEASE_MS)
    assert steady(stage, 3 * LEASE_MS) > 5
    peer.power_on()
    assert not peer.up, "without room it does not even start"
    assert stage.until(lambda: peer.up, 2 * LEASE_MS)
    stage.finish()


def test_a_sync_that_fails_ends_its_daemon_and_what_it_was_for_is_acknowledged_by_those_who_synced_it() -> None:
    stage = mesh()
    for follower in (2, 3):
        stage.peers[follower].fail_sync()
    lives = [stage.peers[follower].life for follower in (2, 3)]
    assert ask(stage) > 5, "acknowledged, though no follower has synced it"
    assert all(stage.peers[follower].life > life for follower, life in zip((2, 3), lives, strict=True))
    stage.finish()


def test_what_a_majority_of_followers_has_synced_is_not_lost_with_the_leaders_disk() -> None:
    stage = mesh()
    stage.peers[1].stall(stage.world.now + 500)
    stage.client("c1").ask()
    stage.wait(20)
    committed = len(stage.invariants.committed)
    stage.peers[1].crash()  # nothing of it is on its own disk
    assert len(stage.peers[1].disk.log) < committed
    assert stage.until(lambda: stage.client("c1").done, 4 * LEASE_MS)
    stage.finish()


@pytest.mark.parametrize("voter", [2, 3])
def test_a_vote_that_was_given_stands_after_a_power_cut_right_behind_it(voter: int) -> None:
    stage = mesh()
    stage.peers[1].crash()
    assert stage.until(lambda: stage.peers[voter].disk.hard_state == HardState(2, 2), 3 * LEASE_MS)
    stage.peers[voter].crash()
    before = stage.peers[voter].disk.hard_state
    stage.peers[voter].start()
    replica = stage.peers[voter].replica
    assert replica is not None
    assert (replica.term, replica.election.vote) == (before.term, before.vote)
    stage.wait(3 * LEASE_MS)
    stage.finish()


def test_a_leader_whose_disk_hangs_while_its_heartbeats_flow_gives_way_within_two_leases() -> None:
    stage = mesh()
    stage.peers[1].stall(stage.world.now + 10 * LEASE_MS)
    assert stage.until(lambda: stage.leaders() == [2], 3 * LEASE_MS)
    assert steady(stage, 5 * LEASE_MS) > 20
    assert stage.leaders() == [2], "a peer whose disk hangs was handed the lead"
    stage.wait(3 * LEASE_MS)
    stage.finish()


def test_a_follower_whose_disk_hangs_costs_nothing_and_catches_up_when_it_writes_again() -> None:
    stage = mesh()
    stage.peers[2].stall(stage.world.now + 10 * LEASE_MS)
    assert steady(stage, 9 * LEASE_MS) > 100
    assert stage.leaders() == [1]
    behind = stage.peers[2].disk.applied
    stage.wait(3 * LEASE_MS)
    assert stage.peers[2].disk.applied == stage.peers[1].disk.applied > behind
    stage.finish()


def test_two_of_three_disks_that_hang_stop_the_mesh_and_nothing_else() -> None:
    stage = mesh()
    for peer in (1, 2):
        stage.peers[peer].stall(stage.world.now + 6 * LEASE_MS)
    stage.client("c1").ask()
    stage.wait(5 * LEASE_MS)
    assert stage.leaders() == []
    assert not stage.client("c1").done
    assert stage.until(lambda: stage.client("c1").done, 5 * LEASE_MS)
    stage.finish()


def test_a_power_cut_of_all_at_once_loses_nothing_whether_or_not_the_last_writes_reached_the_disks() -> None:
    for late in (False, True):
        stage = mesh()
        for number in range(5):
            stage.client(f"c{number}").ask()
            stage.wait(2.6)  # in the middle of a write
            for peer in stage.peers:
                stage.crash(peer, late)
            for peer in stage.peers:
                stage.peers[peer].start()
            assert stage.until(lambda: bool(stage.leaders()), 4 * LEASE_MS)  # noqa: B023
        stage.finish()


def test_a_mesh_whose_disks_are_all_put_back_to_an_earlier_day_serves_and_says_gap_to_who_is_ahead() -> None:
    first = mesh()
    steady(first, 2 * LEASE_MS)
    backup = {number: copy.deepcopy(peer.disk) for number, peer in first.peers.items()}
    kept = first.client("c1").seq - 1
    steady(first, 2 * LEASE_MS)
    ahead = first.client("c1").seq
    assert ahead > kept + 10

    again = Stage(3)  # the record of what was acknowledged since is gone with the disks
    known = again.client("c1")
    known.seq, known.total = kept + 1, kept
    for number, peer in again.peers.items():
        peer.disk = backup[number]
    again.invariants.committed = max((disk.log[: disk.applied] for disk in backup.values()), key=len)[:]
    again.invariants.membership = first.invariants.membership
    again.begin()
    ask_for = Asker()
    again.peers[1].asked(Proposal((ask_for, 0), known.origin(ahead), known.body(ahead)))
    again.client("c2").ask()
    assert again.until(lambda: again.client("c2").done and bool(ask_for.answers), 3 * LEASE_MS)
    assert [(reply.status, reply.expected) for reply in ask_for.answers] == [(GAP, kept + 1)]
    again.finish()


# ------------------------------------------------------------ one disk, put back or copied


def with_one_disk_put_back(number: int) -> Stage:
    """Peer ``number`` runs on the disk it had two leases ago; the others have gone on."""
    stage = mesh()
    peer = stage.peers[number]
    steady(stage, 2 * LEASE_MS)
    backup = copy.deepcopy(peer.disk)
    steady(stage, 2 * LEASE_MS)
    peer.crash()
    assert peer.disk.applied > backup.applied
    peer.disk = backup
    stage.invariants.restored(peer)
    peer.start()
    return stage


@pytest.mark.parametrize("number", [1, 3])
def test_one_peer_whose_disk_is_put_back_to_an_earlier_day_is_found_out_and_comes_back_as_somebody_new(
    number: int,
) -> None:
    stage = with_one_disk_put_back(number)
    peer = stage.peers[number]
    assert stage.until(lambda: bool(peer.halted), 3 * LEASE_MS)
    assert "has seen a later state of this peer's disk" in peer.halted
    assert steady(stage, 3 * LEASE_MS) > 5
    peer.wipe()  # as its next start does: the files are set aside
    peer.power_on()
    members = stage.peers[2].disk.members
    assert stage.until(lambda: members().counts(number, peer.incarnation), 12 * LEASE_MS)
    assert stage.until(lambda: number in members().voters, 12 * LEASE_MS)
    stage.finish()


def where_only_a_forgetful_and_a_late_peer_are_left() -> tuple[Stage, int]:
    """Peer 2 lacks what 1 and 3 have acknowledged; 1 is down, 3 is to start on a disk from before; how much that is."""
    stage = mesh()
    forgetful = stage.peers[3]
    backup = copy.deepcopy(forgetful.disk)
    stage.network.cut(1, 2)  # 2 hears no appends from 1, and what 3 shows
    stage.network.cut(2, 1)
    acked = steady(stage, LEASE_MS / 2)
    assert acked > 3
    assert stage.peers[2].disk.applied <= backup.applied + 1, "peer 2 was not to have it"
    stage.wait(200)  # 3 has shown what it has applied
    for number in (1, 3):
        stage.peers[number].crash()
    stage.network.mend()
    forgetful.disk = backup
    stage.invariants.restored(forgetful)
    return stage, acked


def all_goes_on_once_the_first_is_back(stage: Stage, acked: int) -> None:
    """Peer 3, which was put back, comes again with an empty disk; nothing that was acknowledged is lost."""
    stage.peers[1].start()
    assert stage.until(lambda: stage.leaders() == [1], 4 * LEASE_MS)
    stage.peers[3].wipe()
    stage.peers[3].power_on()
    stage.finish()
    assert stage.client("c1").seq > acked


def test_a_disk_that_was_put_back_does_not_help_one_that_lacks_what_it_has_forgotten_to_lead() -> None:
    stage, acked = where_only_a_forgetful_and_a_late_peer_are_left()
    stage.peers[3].start()
    stage.wait(6 * LEASE_MS)
    assert stage.leaders() == [], "an acknowledged request would be lost"
    forgetful = stage.peers[3]
    assert forgetful.halted
    all_goes_on_once_the_first_is_back(stage, acked)


def test_a_new_start_neither_votes_nor_is_voted_for_before_it_was_seen_what_its_disk_holds() -> None:
    stage, acked = where_only_a_forgetful_and_a_late_peer_are_left()
    late = stage.peers[2]
    late.hear = lambda *beat: None  # type: ignore[method-assign]  # heartbeats may be lost, and votes arrive
    before = stage.network.said(3, 2, "VoteReply")
    stage.peers[3].start()
    stage.wait(6 * LEASE_MS)
    assert stage.network.said(3, 2, "VoteReply") > before, "nobody was asked for a vote"
    assert stage.leaders() == [], "an acknowledged request would be lost"
    del late.hear
    forgetful = stage.peers[3]
    assert stage.until(lambda: bool(forgetful.halted), LEASE_MS)
    all_goes_on_once_the_first_is_back(stage, acked)


def twin_of(stage: Stage, number: int, backup: Disk) -> Peer:
    """A second process with the id, the incarnation and a copy of the files of a peer, started after it."""
    peer = stage.peers[number]
    twin = Peer(number, stage.world, stage.network, stage.invariants, peer.voters, peer.timing, peer.limits)
    twin.others, twin.sync_ms, twin.clock_offset = stage.peers, peer.sync_ms, 0.0
    twin.incarnation, twin.disk, twin.life = peer.incarnation, backup, peer.life
    stage.invariants.restored(peer)
    twin.start()
    return twin


def test_of_two_processes_on_copies_of_one_directory_the_later_start_goes_on_and_the_earlier_is_told_to_stop() -> None:
    stage = mesh()
    first = stage.peers[3]
    twin = twin_of(stage, 3, copy.deepcopy(first.disk))
    assert twin.life > first.life
    assert stage.until(lambda: bool(first.halted), 2 * LEASE_MS)
    assert "another process with its files" in first.halted
    assert not twin.halted
    stage.peers[3] = twin  # which has the address from now on
    assert steady(stage, 3 * LEASE_MS) > 5
    stage.finish()


def test_of_two_processes_on_copies_of_one_directory_one_that_has_less_counts_for_nothing() -> None:
    stage = mesh()
    backup = copy.deepcopy(stage.peers[3].disk)
    assert steady(stage, 2 * LEASE_MS) > 5
    twin = twin_of(stage, 3, backup)
    told = stage.network.said(1, 3, "Disowned")
    stage.wait(LEASE_MS)
    assert stage.network.said(1, 3, "Disowned") > told
    assert not stage.peers[3].halted, "it is not the one that was meant"
    twin.receive(1, Disowned(twin.incarnation, twin.life), stage.peers[1].incarnation, stage.peers[1].life)
    assert twin.halted
    assert steady(stage, LEASE_MS) > 5
    stage.finish()
