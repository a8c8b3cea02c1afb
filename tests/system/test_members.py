"""Real daemons whose members come, go, lose their disks and fall behind, while reports flow without a pause."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from hfzmq import Client
from hfzmq import config as configuration
from hfzmq.clinical.report import Report
from hfzmq.config import Limits, Timing
from tests.system.mesh import Mesh, wait_for

ROW = Report("p", 1_700_000_000_000, 65.5, 137.0, 1.2, 35.0, 0, 0.5, "AMBER", 0.4, "m1", "")
TIMING = Timing(lease_ms=1000, handover_settle_ms=5000)
REMOVED = 9  # exit code


class Flow(threading.Thread):
    """A client that submits one report after the other until it is stopped; ``acked`` are their patients."""

    def __init__(self, mesh: Mesh) -> None:
        super().__init__(daemon=True)
        self.acked: list[str] = []
        self.failure: BaseException | None = None
        self._config = mesh.config
        self._queue = mesh.folder / "queue"
        self._over = threading.Event()

    def run(self) -> None:
        try:
            with Client(self._config, "bed", self._queue) as client:
                number = 0
                while not self._over.wait(0.01):
                    number += 1
                    client.submit(ROW._replace(patient_id=f"p{number}"))
                    client.wait(60)
                    self.acked.append(f"p{number}")
        except BaseException as error:
            self.failure = error

    def go_on(self, count: int = 5) -> None:
        """Wait for some more acknowledgements."""
        wanted = len(self.acked) + count
        wait_for(f"{wanted} acknowledgements", lambda: self.failure or len(self.acked) >= wanted, 60)
        assert self.failure is None

    def end(self) -> list[str]:
        self._over.set()
        self.join(90)
        assert not self.is_alive()
        assert self.failure is None, self.failure
        return self.acked


def member(mesh: Mesh, number: int) -> tuple[str, str]:
    """(incarnation, role) of a member, as the leader says; ('', '') for none."""
    status = mesh.status()
    leading: dict[str, Any] = next((one for one in status.values() if one["serves"]), {"members": []})
    return next(((row[5], row[6]) for row in leading["members"] if row[0] == number), ("", ""))


def removed(mesh: Mesh, number: int) -> None:
    """It has stopped by itself, and has said why."""
    assert mesh.processes[number].wait(20) == REMOVED
    assert "removed from the mesh, whose members are those of entry" in mesh.log(number)
    assert "Traceback" not in mesh.log(number)


def test_peers_join_fall_behind_lose_their_disks_and_leave_while_no_report_is_lost(tmp_path: Path) -> None:
    with Mesh(tmp_path, timing=TIMING, limits=Limits(log_entries_keep=10), others=1) as mesh:
        first = mesh.config.peer_ids
        flow = Flow(mesh)
        flow.start()
        flow.go_on(30)  # the first entries are compacted by now

        mesh.start_another(4)
        wait_for("peer 4 asks", lambda: "asking" in mesh.peer("ls"))
        assert mesh.peer("add", 4) == "peer 4 votes\n"
        assert member(mesh, 4)[1] == "voter"
        assert "has taken a snapshot" in mesh.log(4)

        mesh.kill(4)
        flow.go_on(120)  # so much more than is kept that nobody is waited for
        snapshots = mesh.log(4).count("has taken a snapshot")
        mesh.start(4)
        wait_for("a snapshot brings peer 4 back", lambda: mesh.log(4).count("has taken a snapshot") > snapshots, 30)

        before = member(mesh, 3)
        mesh.kill(3)
        mesh.wipe(3)
        mesh.start(3)
        flow.go_on()
        wait_for("peer 3 is back as another", lambda: member(mesh, 3)[0] not in ("", before[0]), 40)
        wait_for("peer 3 votes again", lambda: member(mesh, 3)[1] == "voter", 40)

        mesh.peer("remove", 2)
        removed(mesh, 2)
        flow.go_on()
        assert mesh.leader() == 1
        mesh.peer("remove", 1, "--yes")  # it leads: it gives the lead away first
        removed(mesh, 1)
        flow.go_on()
        assert "hands over" in mesh.log(3) + mesh.log(4)

        acked = flow.end()
        rows = mesh.assert_equal_rows(3, 4)
        assert [row[1] for row in rows] == acked
        assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
        assert first == mesh.config.peer_ids[:3]


def test_a_peer_that_distrusts_its_disk_founds_no_second_mesh_not_at_its_next_start_either(tmp_path: Path) -> None:
    """The mesh was founded by peer 1 alone, and its peers.yaml still says so; now two others keep the reports."""
    with Mesh(tmp_path, peers=1, timing=TIMING, others=2) as mesh:
        flow = Flow(mesh)
        flow.start()
        for number in (2, 3):
            mesh.start_another(number)
            wait_for(f"peer {number} asks", lambda: "asking" in mesh.peer("ls"))
            mesh.peer("add", number)
        flow.go_on()
        acked = flow.end()
        before = member(mesh, 1)
        for number in (1, 2, 3):
            mesh.kill(number)
        (tmp_path / "1" / "hfzmq_1.distrusted").write_text("it was put back")
        for _ in range(2):
            mesh.start(1)
            wait_for("peer 1 answers", lambda: 1 in mesh.status())
            until = time.monotonic() + 3 * TIMING.lease_ms / 1000
            wait_for("three leases, or a lead", lambda: mesh.leader() or time.monotonic() > until)  # noqa: B023
            assert mesh.leader() == 0
            assert "no other peer is known: list the members" in mesh.log(1)
            mesh.kill(1)
        (tmp_path / "peers_1.yaml").write_text(configuration.render(mesh.config))  # the operator does as it was told
        mesh.wipe(1)
        mesh.start(1, "--join")
        for number in (2, 3):
            mesh.start(number)
        wait_for("peer 1 is back as another", lambda: member(mesh, 1)[0] not in ("", before[0]), 40)
        wait_for("peer 1 votes again", lambda: member(mesh, 1)[1] == "voter", 40)
        assert [row[1] for row in mesh.assert_equal_rows()] == acked
