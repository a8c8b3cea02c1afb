"""A real daemon's log: JSON where nobody sits at a terminal, files by level, and no trouble with them stops it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.system.mesh import ROOT, Mesh, hfzmq, wait_for
from tests.system.test_partition import Writer
from tests.system.test_prometheus import free_port, get


def test_every_line_of_a_life_is_json_and_stands_in_its_files_too(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path, peers=1)
    try:
        mesh.start(1, "--log-dir", str(tmp_path / "logs"))
        mesh.wait_for_leader(1)
        assert mesh.terminate(1) == 0
    finally:
        mesh.__exit__()
    lines = [json.loads(line) for line in mesh.log(1).splitlines()]
    assert {(line["peer"], line["mesh"]) for line in lines} == {(1, "test")}
    assert lines[0]["message"].startswith("ready: peer 1 of mesh test")
    assert lines[-1]["message"] == "stopped"
    assert any("peer 1 is leader" in line["message"] for line in lines)
    assert (tmp_path / "logs" / "hfzmq-1.general.log").read_text() == mesh.log(1)


def test_where_health_is_answered_is_logged_as_an_address_that_can_be_asked(tmp_path: Path) -> None:
    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    mesh = Mesh(tmp_path, peers=1)
    try:
        mesh.start(1, "--http", "[::1]:0")
        mesh.wait_for_leader(1)
        found = re.search(r"health and metrics on (\[::1\]:\d+)", mesh.log(1))
        assert found
        assert get(f"http://{found[1]}/healthz")[0] == 200
    finally:
        mesh.__exit__()


def test_a_quiet_mesh_under_load_logs_nothing(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path, peers=1)
    try:
        mesh.start(1, "--log-format", "human")
        mesh.wait_for_leader(1)
        writer = Writer(mesh)
        writer.send_until_acked(1)  # its bed's alarm may be a line
        before = mesh.log(1)
        for _ in range(20):
            writer.send_until_acked(1)
        new = [line for line in mesh.log(1)[len(before) :].splitlines() if " ALARM " not in line]
        assert new == []
        assert re.match(r"[-0-9]{10} [:,0-9]{12} INFO ready: peer 1 of mesh test", before)
    finally:
        mesh.__exit__()


def test_a_log_directory_that_cannot_be_written_is_told_once_and_counted_and_the_daemon_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("and no directory")
    mesh, port = Mesh(tmp_path, peers=1), free_port()
    try:
        mesh.start(1, "--log-dir", str(tmp_path / "file" / "logs"), "--http", f"127.0.0.1:{port}")
        mesh.wait_for_leader(1)
        Writer(mesh).send_until_acked(1)
        url = f"http://127.0.0.1:{port}/metrics"
        wait_for("the count", lambda: 'hfzmq_events_total{event="log_lines_lost"}' in get(url)[1])
        told = [line for line in mesh.log(1).splitlines() if "lines are lost" in line]
        assert [line.count("hfzmq-1.general.log") for line in told].count(1) == 1
        assert len(told) <= 3  # once for each kind of file that had a line
        assert mesh.terminate(1) == 0
    finally:
        mesh.__exit__()


def test_why_a_daemon_does_not_start_is_two_plain_lines_and_in_its_error_file(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path, peers=1)
    taken = free_port()
    words = ("--id", 1, "--config", mesh.path, "--log-dir", tmp_path / "logs")
    line = hfzmq("serve", *words, "--data-dir", tmp_path / "1", "--http", f"192.0.2.1:{taken}")
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith(f"error: cannot listen on 192.0.2.1:{taken} for health and metrics")
    assert hint.startswith("hint: --http takes an address of this machine")
    (kept,) = [json.loads(one) for one in (tmp_path / "logs" / "hfzmq-1.error.log").read_text().splitlines()]
    assert (f"error: {kept['message']}", f"hint: {kept['hint']}") == (error, hint)
