"""``hfzmq peer`` at real daemons: peers come, lead and leave, and a client goes on when all first peers are gone."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from pathlib import Path

from hfzmq import Client
from hfzmq import config as configuration
from hfzmq.cli.processes import free_addresses
from hfzmq.clinical.report import Report
from hfzmq.config import PeerAddress
from tests.system.mesh import ROOT, Mesh, hfzmq, wait_for

ROW = Report("P-001", 1_700_000_000_000, 65.5, 137.0, 1.2, 35.0, 0, 0.5, "AMBER", 0.4, "m1", "")


def peer(mesh: Mesh, *words: object, within_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run ``hfzmq peer`` with the file of the first peers, and nothing newer."""
    line = hfzmq("peer", *words, "--config", mesh.path, *(() if words[0] == "ls" else ("--timeout", within_s)))
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def start_another(mesh: Mesh, number: int) -> None:
    """A daemon that the mesh does not know; its own file lists itself beside the first peers."""
    address = PeerAddress(number, *free_addresses(1)[0][1:])
    config = mesh.config._replace(peers=(*mesh.config.peers, address))
    (mesh.folder / f"peers_{number}.yaml").write_text(configuration.render(config))
    mesh.start(number)


def asks(mesh: Mesh, number: int) -> bool:
    rows = json.loads(peer(mesh, "ls", "--json").stdout or '{"peers": []}')["peers"]
    return any(row["id"] == number and row["role"] == "asking" for row in rows)


def stopped(mesh: Mesh, number: int) -> bool:
    return mesh.processes[number].poll() is not None


def add(mesh: Mesh, number: int) -> None:
    start_another(mesh, number)
    done = peer(mesh, "add", number)
    assert (done.returncode, done.stdout) == (0, f"peer {number} votes\n"), done.stderr


def test_a_peer_is_refused_until_it_asks_then_votes_then_leads_then_leaves(tmp_path: Path) -> None:
    with Mesh(tmp_path) as mesh:
        done = peer(mesh, "add", 4, within_s=3)
        assert (done.returncode, done.stdout) == (5, "")
        assert "error: peer 4 does not ask to join\nhint: start it first: hfzmq serve --id 4" in done.stderr
        start_another(mesh, 4)
        wait_for("peer 4 asks", lambda: asks(mesh, 4))
        assert "note: peer 4 asks to join: hfzmq peer add 4" in peer(mesh, "ls").stderr
        done = peer(mesh, "add", 4)
        assert (done.returncode, done.stdout) == (0, "peer 4 votes\n"), done.stderr
        assert peer(mesh, "add", 4).stdout == "peer 4 votes already\n"
        status = subprocess.run(
            hfzmq("status", "--config", mesh.path), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert "quorum yes, 4 of 4 peers answer" in status.stdout
        done = peer(mesh, "transfer", 4)
        assert (done.returncode, done.stdout.startswith("peer 4 leads in term ")) == (0, True), done.stderr
        done = peer(mesh, "remove", 4)
        assert (done.returncode, done.stdout) == (0, "peer 4 is no member any more\n"), done.stderr
        wait_for("the daemon of peer 4 stops", partial(stopped, mesh, 4))
        assert "3 of 3 peers answer" in peer(mesh, "ls").stdout
        done = peer(mesh, "remove", 4)
        assert (done.returncode, "peer 4 is no member of the mesh" in done.stderr) == (5, True)
        done = peer(mesh, "remove", 3)
        assert (done.returncode, "2 voters would be left" in done.stderr) == (1, True)


def test_a_client_goes_on_and_comes_back_when_all_first_peers_were_replaced(tmp_path: Path) -> None:
    with Mesh(tmp_path) as mesh:
        with Client(mesh.config, "bed", tmp_path / "queue") as client:
            client.submit(ROW)
            client.wait(20)
            for number in (4, 5, 6):
                add(mesh, number)
            for number in (1, 2, 3):
                done = peer(mesh, "remove", number)
                assert done.returncode == 0, done.stderr
                client.submit(ROW._replace(day=number))
                client.wait(30)
            for number in (1, 2, 3):
                wait_for(f"the daemon of peer {number} stops", partial(stopped, mesh, number))
            client.submit(ROW._replace(day=4))
            client.wait(30)
        with Client(mesh.config, "bed", tmp_path / "queue") as client:
            client.submit(ROW._replace(day=5))
            client.wait(30)
        wait_for("the rows are everywhere", lambda: all(len(mesh.rows(number)) == 6 for number in (4, 5, 6)))
        days = [[row[7] for row in mesh.rows(number)] for number in (4, 5, 6)]
        assert days[0] == days[1] == days[2]
        assert days[0] == [0, 1, 2, 3, 4, 5]


def test_a_mesh_that_has_not_begun_says_for_whom_it_waits(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path)
    try:
        mesh.start(1)
        mesh.start(2)
        waits = "waiting for peer 3: a new mesh begins when all its first peers are up"
        wait_for("what it waits for", lambda: waits in peer(mesh, "ls").stdout)
        done = peer(mesh, "add", 4)
        assert (done.returncode, waits in done.stderr) == (4, True)
    finally:
        mesh.__exit__()
