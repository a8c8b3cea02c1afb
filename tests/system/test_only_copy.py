"""Two of three disks are lost: whatever is asked names the peer that alone holds data; nobody takes it for empty."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.system.mesh import ROOT, Mesh, hfzmq, wait_for
from tests.system.test_partition import Writer


def said(mesh: Mesh, *words: object) -> subprocess.CompletedProcess[str]:
    line = hfzmq(*words, "--config", mesh.path)
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_who_alone_holds_data_is_named_and_its_reports_are_still_read(tmp_path: Path) -> None:
    with Mesh(tmp_path) as mesh:
        leader = mesh.wait_for_leader(1)
        writer = Writer(mesh)
        for _ in range(5):
            writer.send_until_acked(leader)
        mesh.wait_until_equal()
        for lost in (1, 3):
            mesh.kill(lost)
        for lost in (1, 3):
            mesh.wipe(lost)
            mesh.start(lost)

        def named() -> bool:
            done = said(mesh, "status")
            return done.returncode == 4 and "peer 2 alone holds data, until entry" in done.stderr

        wait_for("status names it", named)
        wait_for("peer 2 knows it", lambda: mesh.status().get(2, {}).get("replaced") == [1, 3])
        checked = said(mesh, "check")
        assert checked.returncode == 2, checked
        assert "peer 2 alone holds data" in checked.stdout
        read = said(mesh, "reports", "--all", "-o", "jsonl")
        assert (read.returncode, len(read.stdout.splitlines())) == (0, len(mesh.rows(2)))
        mesh.kill(2)
        empty = said(mesh, "reports", "--last", 2)
        assert (empty.returncode, "the mesh has not begun: waiting for peer 2" in empty.stderr) == (4, True)
