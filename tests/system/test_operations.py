"""What an operator does while reports flow: upgrade all peers in turn, and put a new box in a dead one's place."""

from __future__ import annotations

from pathlib import Path

from hfzmq.config import Limits, Timing
from tests.system.mesh import Mesh, wait_for
from tests.system.rolling import BACK, FOLLOW, LEAD, Writer, one_round
from tests.system.test_members import REMOVED, member

TIMING = Timing(lease_ms=1000, handover_settle_ms=3000)


def test_all_peers_are_restarted_in_turn_and_no_client_sees_an_error(tmp_path: Path) -> None:
    with Mesh(tmp_path, timing=TIMING) as mesh:
        writer = Writer(mesh)
        writer.start()
        writer.go_on(50)
        terms = {peer["term"] for peer in mesh.status().values()}
        gaps = one_round(mesh, writer)
        writer.end()
        assert writer.errors == []
        assert [gap.what for gap in gaps] == [FOLLOW, FOLLOW, LEAD, BACK]
        assert {gap.peer for gap in gaps[:3]} == set(mesh.config.peer_ids)
        writer.assert_stored(mesh.assert_equal_rows())
        assert min(peer["boot"] for peer in mesh.status().values()) == 2, "somebody was not restarted"
        told = "".join(mesh.log(peer) for peer in mesh.config.peer_ids)
        assert "hands over" in told
        assert "Traceback" not in told
        assert min(peer["term"] for peer in mesh.status().values()) > max(terms)


def test_a_dead_box_is_replaced_by_an_empty_one_with_its_id_and_nothing_else(tmp_path: Path) -> None:
    with Mesh(tmp_path, timing=TIMING, limits=Limits(log_entries_keep=20)) as mesh:
        writer = Writer(mesh)
        writer.start()
        writer.go_on(60)  # so that the log alone does not bring the new box up
        for peer in (3, 1):  # a follower's box, then the leader's
            before = member(mesh, peer)[0]
            mesh.kill(peer)
            writer.go_on(60)
            mesh.wipe(peer)
            mesh.start(peer)
            wait_for(f"a new disk for peer {peer}", lambda: member(mesh, peer)[0] not in ("", before), 60)  # noqa: B023
            wait_for(f"peer {peer} votes", lambda: member(mesh, peer)[1] == "voter", 60)  # noqa: B023
            assert "has taken a snapshot" in mesh.log(peer)
        mesh.kill(2)  # the two new disks carry on without the one that has all
        writer.go_on(20)
        mesh.start(2)
        writer.end()
        assert writer.errors == []
        writer.assert_stored(mesh.assert_equal_rows())


def test_a_dead_box_is_replaced_by_one_with_another_id_and_address(tmp_path: Path) -> None:
    with Mesh(tmp_path, timing=TIMING, limits=Limits(log_entries_keep=20), others=1) as mesh:
        writer = Writer(mesh)
        writer.start()
        writer.go_on(60)
        mesh.kill(2)
        writer.go_on(10)
        mesh.peer("remove", 2, "--yes")  # first: a dead voter makes each further failure count double
        mesh.start_another(4)
        wait_for("peer 4 asks", lambda: "asking" in mesh.peer("ls"))
        mesh.peer("add", 4)
        assert member(mesh, 4)[1] == "voter"
        mesh.start(2)  # the old box comes back after all: it is told, and ends
        assert mesh.processes[2].wait(30) == REMOVED
        writer.go_on(10)
        writer.end()
        assert writer.errors == []
        writer.assert_stored(mesh.assert_equal_rows(1, 3, 4))
