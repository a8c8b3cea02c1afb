"""All disks are emptied, the mesh is begun anew under its old id, and an old disk comes back: nothing is acknowledged
that lies on one disk, nothing takes the place of the old data, and whatever is asked says what it is."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from hfzmq.config import Limits
from tests.system.mesh import Mesh, wait_for
from tests.system.test_only_copy import said
from tests.system.test_partition import Writer
from tests.system.test_restore import said as as_json

TRIED_S = 3.0
WRONG_ADVICE = (
    "takes it in by itself",
    "must be replaced",
    "peer add",
    "peer remove",
    "start who is away",
    "firewall",
)


def told_apart(mesh: Mesh) -> bool:
    """Peers 1 and 2 know of each other that they hold different histories; or, if nothing keeps them apart, the old
    disk of peer 2 votes with peer 1."""
    status = mesh.status()
    if not {1, 2} <= set(status):
        return False
    if status[1]["other_histories"] == [2] and 1 in status[2]["other_histories"]:
        return True
    members = {row[0]: row for row in status[1]["members"]}
    return list(members[2][-2:]) == [status[2]["incarnation"], "voter"]


def test_an_old_disk_that_comes_back_to_a_mesh_begun_anew_is_kept_apart_and_named(tmp_path: Path) -> None:
    with Mesh(tmp_path, limits=Limits(log_entries_keep=10)) as mesh:
        writer = Writer(mesh)
        mesh.wait_for_leader(1)
        mesh.kill(1)
        leader = mesh.wait_for_leader(2, 3)  # in a later term than that of the new history: it asks to join that one
        for _ in range(60):
            writer.send_until_acked(leader)
        mesh.wait_until_equal(2, 3)
        old_rows = mesh.rows(2)
        assert len(old_rows) == 60
        ((base,),) = mesh.ask(2, "select idx from log_base")
        assert base > 20, "entries of the new history will lie below what this log still holds"
        for peer in (2, 3):
            mesh.kill(peer)
        shutil.move(tmp_path / "2", tmp_path / "old")
        for peer in (1, 3):
            mesh.wipe(peer)
        for peer in mesh.config.peer_ids:
            mesh.start(peer)
        leader = mesh.wait_for_leader(1)
        anew = Writer(mesh)
        for _ in range(3):
            anew.send_until_acked(leader)
        mesh.wait_until_equal()
        mesh.kill(2)
        mesh.wipe(2)
        shutil.move(tmp_path / "old", tmp_path / "2")
        mesh.start(2)
        wait_for("the old disk is taken in, or told apart", lambda: told_apart(mesh))
        well = said(mesh, "check")
        assert well.returncode == 2, "two of three go on, and that there is another history is an alarm all the same"
        file = tmp_path / "of-the-leader.backup"
        assert said(mesh, "backup", file).returncode == 0
        assert as_json("backup", "verify", file)["rows"]["risk_reports"] == 3

        mesh.kill(3)
        acked, until = list(anew.acked), time.monotonic() + TRIED_S
        while time.monotonic() < until:
            anew.send(1)
        # Once: peer 2 took for granted what lies below the base of its own log, and these were on peer 1's disk alone.
        assert anew.acked == acked
        assert not mesh.status()[1]["serves"]
        assert mesh.rows(2) == old_rows

        for words in (("status",), ("peer", "ls"), ("check",), ("doctor",), ("dashboard", "--once")):
            done = said(mesh, *words)
            everything = " ".join((done.stdout + done.stderr).split())
            assert "peer 2 " in everything, words
            assert "another history" in everything, words
            assert "touch no disk" in everything, (words, everything)
            assert not [one for one in WRONG_ADVICE if one in everything], (words, everything)
        assert said(mesh, "check").returncode == 2
        assert said(mesh, "status").returncode == 4
        refused = said(mesh, "backup", tmp_path / "of-whom.backup")
        assert (refused.returncode != 0, "two histories" in refused.stderr) == (True, True), refused
        for peer, rows in ((2, 60), (1, 3)):
            file = tmp_path / f"of-{peer}.backup"
            done = said(mesh, "backup", "--peer", peer, file)
            assert done.returncode == 0, done
            verified = as_json("backup", "verify", file)
            assert verified["rows"]["risk_reports"] >= rows
        assert "another history of this mesh" in mesh.log(1)
        assert "another history of this mesh" in mesh.log(2)
