"""Faults around changes of members, on the simulated mesh; most of them are stories below scenarios/."""

from __future__ import annotations

from hfzmq.core.contract import ADD, BUSY, REMOVE, TRANSFER, Change, Reply
from hfzmq.core.types import CONFIG
from tests.simulation.stage import LEASE_MS, Stage
from tests.simulation.test_faults_election import mesh


class Asker:
    """Asks once and keeps the answers."""

    name = "asker"

    def __init__(self) -> None:
        self.answers: list[Reply] = []

    def answered(self, peer: int, request: int, reply: Reply) -> None:
        """An answer."""
        self.answers.append(reply)


def changes_in_log(stage: Stage, peer: int) -> int:
    """How many changes of members this peer has on disk, the founding among them."""
    return sum(1 for entry in stage.peers[peer].disk.log if entry.kind == CONFIG)


def test_a_leader_changes_no_members_before_its_no_op_commits() -> None:
    stage, asker = mesh(5), Asker()
    stage.peers[1].crash()
    replica = stage.peers[2].replica
    assert replica is not None
    assert stage.until(lambda: replica.leading is not None, 3 * LEASE_MS)
    assert not replica.serves
    stage.peers[2].asked(Change((asker, 0), REMOVE, 5))
    stage.wait(0.5)
    assert replica.membership.voters == (1, 2, 3, 4, 5)
    assert stage.until(lambda: bool(asker.answers), LEASE_MS)
    assert [reply.status for reply in asker.answers] == [BUSY]
    stage.wait(LEASE_MS)
    assert changes_in_log(stage, 2) == 1
    stage.finish()


def test_a_second_change_waits_for_the_first_to_be_applied() -> None:
    stage, asker = mesh(5), Asker()
    stage.peers[1].asked(Change((asker, 0), REMOVE, 5))
    stage.peers[1].asked(Change((asker, 1), REMOVE, 4))
    stage.wait(0.5)
    replica = stage.peers[1].replica
    assert replica is not None
    assert replica.membership.voters == (1, 2, 3, 4)
    assert stage.until(lambda: len(asker.answers) == 2, LEASE_MS)
    assert sorted(reply.status for reply in asker.answers) == ["ACK", BUSY]
    stage.finish()


def test_a_change_that_only_the_dead_leader_knew_is_taken_back_when_it_returns() -> None:
    stage = mesh(5)
    for other in (2, 3, 4, 5):
        stage.network.cut(1, other)
    stage.peers[1].asked(Change((Asker(), 0), REMOVE, 5))
    stage.wait(5)
    assert changes_in_log(stage, 1) == 2
    stage.peers[1].crash()
    stage.network.mend()
    assert stage.until(lambda: stage.leaders() == [2], 4 * LEASE_MS)
    stage.peers[1].start()
    restarted = stage.peers[1].replica
    assert restarted is not None
    assert restarted.membership.voters == (1, 2, 3, 4), "a restart forgets an appended change"
    assert stage.until(lambda: restarted.membership.voters == (1, 2, 3, 4, 5), 2 * LEASE_MS)
    stage.finish()


def test_a_peer_that_nobody_asked_for_counts_for_nothing_however_long_it_runs() -> None:
    stage = mesh()
    stage.join(4)
    stage.operator.calm()
    stage.wait(10 * LEASE_MS)
    assert stage.invariants.membership is not None
    assert stage.invariants.membership.voters == (1, 2, 3)
    stage.operator.wish(ADD, 4)
    assert stage.until(lambda: 4 in stage.peers[1].disk.members().voters, 5 * LEASE_MS)
    stage.finish()


def test_a_member_with_a_new_disk_takes_its_own_place_by_itself_and_its_old_life_is_nobody() -> None:
    stage = mesh()
    stage.peers[3].wipe()
    stage.peers[3].power_on()
    assert stage.until(lambda: changes_in_log(stage, 1) == 3, 12 * LEASE_MS)  # founded, replaced, votes
    members = stage.peers[1].disk.members()
    assert members.voters == (1, 2, 3)
    assert members.counts(3, b"3.2")
    assert not members.counts(3, b"3.1")
    assert (3, b"3.1") in members.removed
    stage.finish()


def test_a_removed_peer_whose_log_names_nobody_that_is_left_is_told_by_one_whom_peers_yaml_names() -> None:
    stage = mesh(4)

    def change(action: str, peer: int, *voters: int) -> None:
        stage.operator.wish(action, peer)
        members = stage.invariants
        assert stage.until(lambda: members.membership is not None and members.membership.voters == voters, 20_000)
        stage.wait(LEASE_MS)

    change(REMOVE, 1, 2, 3, 4)
    stage.crash(4)
    assert stage.peers[4].disk.members().voters == (2, 3, 4)
    change(REMOVE, 4, 2, 3)
    assert stage.until(lambda: bool(stage.peers[1].halted), 5 * LEASE_MS)
    stage.join(1)
    change(ADD, 1, 1, 2, 3)
    change(REMOVE, 2, 1, 3)
    change(REMOVE, 3, 1)
    assert stage.until(lambda: bool(stage.peers[2].halted and stage.peers[3].halted), 5 * LEASE_MS)
    stage.peers[4].start()
    assert stage.until(lambda: bool(stage.peers[4].halted), 5 * LEASE_MS)
    stage.finish()


def test_a_new_disk_whose_welcome_was_lost_with_the_leader_asks_again() -> None:
    stage = mesh(5)
    stage.peers[4].wipe()
    stage.peers[4].power_on()
    assert stage.until(lambda: changes_in_log(stage, 1) == 2, 12 * LEASE_MS)
    for one in (1, 4):
        for other in (2, 3, 5):
            stage.network.cut(one, other)
            stage.network.cut(other, one)
    assert stage.until(lambda: changes_in_log(stage, 4) == 2, LEASE_MS)
    assert [changes_in_log(stage, other) for other in (2, 3, 5)] == [1, 1, 1]
    stage.peers[1].wipe()
    assert stage.until(lambda: stage.leaders() == [2], 5 * LEASE_MS)
    stage.operator.wish(TRANSFER, 3)  # whose log is longer from its first append on than that of the new disk
    assert stage.until(lambda: stage.leaders() == [3], 5 * LEASE_MS)
    stage.network.mend()
    assert stage.until(lambda: stage.peers[3].disk.members().counts(4, b"4.2"), 20 * LEASE_MS)
    stage.finish()
