"""Faults of whole machines at real daemons: rotten files, old backups, strangers under a known id, crowds, no room.

docs/fault_table.md lists them all.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from hfzmq import config as configuration
from hfzmq.cli.processes import free_addresses
from hfzmq.client.ask import ask
from hfzmq.config import Limits
from hfzmq.wire.requests import decode_reply, digest, encode_request, encode_rows
from tests.system.mesh import ROOT, Mesh, hfzmq, wait_for
from tests.system.test_partition import Writer

CROWD = 1000


def row(name: str) -> list[Any]:
    """One report of a patient ``name``."""
    return [name, int(time.time() * 1000), 60.0, 135.0, 1.5, 40.0, 5, 0.7, "RED", 0.8, "m", ""]


def membership(mesh: Mesh, of: int, by: int) -> tuple[str, bool]:
    """Which life of peer ``of`` is a member, and whether it votes, as peer ``by`` says."""
    for number, *_, incarnation, role in mesh.status().get(by, {}).get("members", ()):
        if number == of:
            return incarnation, role == "voter"
    return "", False


def flip_a_byte_of_a_stored_report(file: Path, name: bytes) -> None:
    """In the database itself, in the row of this patient and not in the log entry that brought it."""
    data = file.read_bytes()
    rows = [at for at in range(len(data)) if data.startswith(name, at) and data[at - 1 : at] != msgpack.packb("p3")[:1]]
    (at,) = [at for at in rows if b"RED" in data[at : at + 100]]
    with file.open("r+b") as raw:
        raw.seek(at + len(name) - 1)
        raw.write(b"4")


def wait_until_it_votes_again(mesh: Mesh, number: int, by: int, before: str) -> None:
    """Until another life of this peer is a voter."""

    def votes() -> bool:
        life, does = membership(mesh, number, by)
        return does and life not in ("", before)

    wait_for(f"a new life of peer {number} votes", votes, 30)


def stops(mesh: Mesh, number: int, within_s: float = 20) -> int:
    """Its exit code, once it has stopped by itself."""
    wait_for(f"peer {number} stops", lambda: mesh.processes[number].poll() is not None, within_s)
    return mesh.processes[number].wait()


def test_a_byte_that_rots_under_a_running_peer_is_found_by_itself_and_the_peer_comes_back_with_equal_rows(
    tmp_path: Path,
) -> None:
    with Mesh(tmp_path) as mesh:
        writer = Writer(mesh)
        leader = mesh.wait_for_leader(1)
        for _ in range(5):
            writer.send_until_acked(leader)
        mesh.wait_until_equal()
        life, _ = membership(mesh, 3, by=1)
        file = tmp_path / "3" / "hfzmq_3.db"
        wait_for(
            "the rows are in the file itself", lambda: b"p3" in file.read_bytes()
        )  # not only in the -wal beside it
        flip_a_byte_of_a_stored_report(file, b"p3")
        assert stops(mesh, 3) == 1
        assert "its file rots: damaged: " in mesh.log(3)
        assert "Traceback" not in mesh.log(3)
        writer.send_until_acked(leader)
        mesh.start(3)
        wait_until_it_votes_again(mesh, 3, 1, life)
        writer.send_until_acked(leader)
        assert [one[1] for one in mesh.assert_equal_rows()] == writer.acked
        assert "its file rots" in mesh.status()[3]["amnesia"]
        assert len(list((tmp_path / "3").glob("aside-*/hfzmq_3.db"))) == 1, "evidence is kept"


def test_a_peer_that_is_put_back_to_an_old_backup_stops_with_the_reason_and_the_next_start_is_a_new_one(
    tmp_path: Path,
) -> None:
    with Mesh(tmp_path) as mesh:
        writer = Writer(mesh)
        leader = mesh.wait_for_leader(1)
        writer.send_until_acked(leader)
        mesh.wait_until_equal()
        life, _ = membership(mesh, 3, by=1)
        assert mesh.terminate(3) == 0
        shutil.copytree(tmp_path / "3", tmp_path / "backup")
        mesh.start(3)
        for _ in range(5):
            writer.send_until_acked(leader)
        mesh.wait_until_equal()
        assert mesh.terminate(3) == 0
        shutil.rmtree(tmp_path / "3")
        (tmp_path / "backup").rename(tmp_path / "3")
        mesh.start(3)
        assert stops(mesh, 3) == 1
        assert "the mesh has seen a later state of this peer's disk" in mesh.log(3)
        assert "hint: start it again" in mesh.log(3)
        mesh.start(3)
        wait_until_it_votes_again(mesh, 3, 1, life)
        writer.send_until_acked(leader)
        assert [one[1] for one in mesh.assert_equal_rows()] == writer.acked


def test_a_second_process_with_the_id_of_a_live_peer_and_an_empty_directory_is_not_let_in_and_status_names_it(
    tmp_path: Path,
) -> None:
    with Mesh(tmp_path) as mesh:
        writer = Writer(mesh)
        leader = mesh.wait_for_leader(1)
        life, _ = membership(mesh, 3, by=1)
        # On its own machine it would have the same ports; here it has others, and the others are told of them.
        second = free_addresses(9)[8]._replace(id=3)
        seen_by = mesh.config._replace(peers=(*mesh.config.peers[:2], second))
        (tmp_path / "second.yaml").write_text(configuration.render(seen_by))
        with (tmp_path / "second.log").open("wb") as log:
            process = subprocess.Popen(
                hfzmq("serve", "--id", 3, "--config", tmp_path / "second.yaml", "--data-dir", tmp_path / "second",
                      "--join"),
                cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            wait_for("it is refused", lambda: mesh.status()[1]["refused_peers"] == [3])
            deadline = time.monotonic() + 4
            while time.monotonic() < deadline:  # longer than it takes to replace one that is away
                writer.send_until_acked(leader)
                assert membership(mesh, 3, by=1) == (life, True)
                assert process.poll() is None, (tmp_path / "second.log").read_text()
            shown = subprocess.run(
                hfzmq("status", "--config", mesh.path),
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            assert "peer 3" in shown.stderr, shown
        finally:
            process.kill()
            process.wait()
        assert [one[1] for one in mesh.assert_equal_rows()] == writer.acked
