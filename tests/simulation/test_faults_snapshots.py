"""Faults around snapshots and compacted logs, on the simulated mesh; docs/fault_table.md lists them all.

What is in the files of a snapshot, and how they travel, is tested on real ones (tests/integration/test_transfer.py).
"""

from __future__ import annotations

from hfzmq.core.contract import ACK, CONFLICT, GAP, Proposal, Reply
from hfzmq.core.types import Origin
from tests.simulation.backlog import far_behind
from tests.simulation.stage import LEASE_MS, Stage
from tests.simulation.storm import LIMITS
from tests.simulation.test_faults_election import ask, steady


class Asker:
    """Asks by hand and keeps the answers."""

    name = "asker"

    def __init__(self) -> None:
        self.answers: list[Reply] = []

    def answered(self, peer: int, request: int, reply: Reply) -> None:
        """An answer."""
        self.answers.append(reply)


def forgetful_mesh(entries_keep: int = 3) -> Stage:
    """A mesh that keeps next to nothing of its log; client c1 has one request acknowledged."""
    stage = Stage(3)
    for peer in stage.peers.values():
        peer.limits = LIMITS._replace(log_entries_keep=entries_keep)
    stage.begin()
    ask(stage)
    return stage


def led_by_one_that_began_with_a_snapshot() -> Stage:
    """Peer 1 was away, has its state by snapshot, and leads again; c1's requests are in nobody's log any more."""
    stage = forgetful_mesh()
    stage.peers[1].crash()
    assert stage.until(lambda: stage.leaders() == [2], 4 * LEASE_MS)
    assert steady(stage, 2 * LEASE_MS) > 10
    stage.until(lambda: stage.client("c1").done, LEASE_MS)
    for _ in range(8):  # c1's last request is cut from the logs, too
        stage.client("c2").ask()
        assert stage.until(lambda: stage.client("c2").done, 3 * LEASE_MS)
    installed: list[int] = []
    stage.world.listen("install", lambda peer, index: installed.append(peer))
    stage.peers[1].start()
    assert stage.until(lambda: installed == [1], 2 * LEASE_MS)
    assert stage.until(lambda: stage.leaders() == [1], 15 * LEASE_MS), stage.world.trace[-20:]
    return stage


def test_the_last_request_asked_again_of_a_leader_that_began_with_a_snapshot_is_acknowledged_where_it_was() -> None:
    stage = led_by_one_that_began_with_a_snapshot()
    c1, asker = stage.client("c1"), Asker()
    last = c1.seq - 1
    index, term = stage.invariants._acked_at["c1", last]
    assert stage.peers[1].disk.base.index >= index, "it is in the log, so the session was not needed"
    for _ in range(3):
        stage.peers[1].asked(Proposal((asker, 0), c1.origin(last), c1.body(last)))
    assert stage.until(lambda: len(asker.answers) == 3, LEASE_MS)
    assert {(reply.status, reply.seq, reply.term, reply.index) for reply in asker.answers} == {(ACK, last, term, index)}
    stage.finish()
    for peer in stage.peers.values():
        assert [seq for key, seq, _ in peer.disk.rows if key == (c1.name, c1.epoch)] == list(range(1, last + 1))


def test_what_must_not_be_stored_is_told_by_a_leader_that_began_with_a_snapshot_as_by_any_other() -> None:
    stage = led_by_one_that_began_with_a_snapshot()
    c1, asker = stage.client("c1"), Asker()
    other = Origin(c1.name, c1.epoch, c1.seq - 1, b"another digest..")
    stage.peers[1].asked(Proposal((asker, 0), other, b"another text"))
    stage.peers[1].asked(Proposal((asker, 1), c1.origin(c1.seq + 1), c1.body(c1.seq + 1)))
    assert stage.until(lambda: len(asker.answers) == 2, LEASE_MS)
    assert [reply.status for reply in asker.answers] == [CONFLICT, GAP]
    assert asker.answers[1].expected == c1.seq
    ask(stage)  # and the next one is just the next one
    stage.finish()


def test_a_peer_that_missed_many_thousand_entries_is_brought_back_by_a_snapshot_while_the_leader_serves_on() -> None:
    found = far_behind(entries=20_000, entries_keep=1_000)
    assert found.snapshots == 1
    assert found.appended_afterwards < 2 * 1_000 + 500, "the backlog was sent entry by entry"
    assert found.acked_meanwhile > 5
    assert found.slowest_ack_ms < 100
    assert found.equal
