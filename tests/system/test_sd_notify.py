"""A real daemon under a manager that listens: READY, STATUS, WATCHDOG, RELOADING and STOPPING when they are true."""

from __future__ import annotations

import itertools
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from hfzmq.config import render
from tests.nemesis.means import tracing
from tests.system.manager import Manager
from tests.system.mesh import ROOT, Mesh, hfzmq, wait_for

WATCHDOG_MS = 600


def start(mesh: Mesh, number: int, manager: Manager, *words: str) -> subprocess.Popen[bytes]:
    """A peer that speaks to ``manager``."""
    with (mesh.folder / f"{number}.log").open("ab") as log:
        process = mesh.processes[number] = subprocess.Popen(
            hfzmq("serve", "--id", number, "--config", mesh.path, "--data-dir", mesh.folder / str(number), *words),
            cwd=ROOT, stdout=log, stderr=log, env=manager.environment,
        )  # fmt: skip
    return process


@pytest.fixture
def mesh(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Addresses of three peers, none of which runs."""
    found = Mesh(tmp_path)
    yield found
    found.__exit__()


@pytest.mark.parametrize("abstract", [False, True])
def test_ready_is_said_without_a_quorum_and_once(mesh: Mesh, tmp_path: Path, abstract: bool) -> None:
    with Manager(None if abstract else tmp_path) as manager:
        process = start(mesh, 2, manager)
        wait_for("READY", lambda: manager.count("READY=1"))
        status = wait_for("STATUS", lambda: [one for one in manager.hear() if one.startswith("STATUS=")])
        assert re.fullmatch(
            r"STATUS=\w+ in term \d+, no leader, hears 0 of 2 other peers; the mesh has not begun", status[-1]
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert manager.count("STOPPING=1") == 1
        assert manager.count("READY=1") == 1
        assert manager.count("WATCHDOG=1") == 0  # nobody asked for it
        assert manager.words[0] == "READY=1"


def test_the_status_line_follows_the_mesh_once_a_second_at_most(mesh: Mesh) -> None:
    with Manager() as manager:
        start(mesh, 1, manager)
        mesh.start(2)
        mesh.start(3)
        wait_for("the leader's line", lambda: any("serves, hears 2 of 2" in one for one in manager.hear()))
        mesh.kill(3)
        wait_for("the loss", lambda: "serves, hears 1 of 2 other peers" in manager.hear()[-1])
        times = [at for word, at in zip(manager.words, manager.heard_at, strict=True) if word.startswith("STATUS=")]
        lines = [word for word in manager.words if word.startswith("STATUS=")]
        assert all(later != earlier for earlier, later in itertools.pairwise(lines))
        assert len(times) <= times[-1] - times[0] + 2


def test_sighup_is_reloading_with_a_stamp_then_ready(mesh: Mesh) -> None:
    with Manager() as manager:
        process = start(mesh, 1, manager)
        wait_for("READY", lambda: manager.count("READY=1"))
        before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        process.send_signal(signal.SIGHUP)
        wait_for("READY again", lambda: manager.count("READY=1") == 2)
        words = [one for one in manager.hear() if not one.startswith("STATUS=")]
        assert words[0] == words[2] == "READY=1"
        found = re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)", words[1])
        assert found
        assert before_us <= int(found[1]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        mesh.path.write_text("mesh: [")  # a file that cannot be read is no end of a reload
        process.send_signal(signal.SIGHUP)
        wait_for("READY a third time", lambda: manager.count("READY=1") == 3)
        assert "configuration not reread" in mesh.log(1)


def test_the_watchdog_is_fed_twice_in_its_time_and_not_by_a_process_that_is_stopped(mesh: Mesh) -> None:
    with Manager(watchdog_ms=WATCHDOG_MS) as manager:
        process = start(mesh, 1, manager)
        wait_for("five feedings", lambda: manager.count("WATCHDOG=1") >= 5)
        times = [at for word, at in zip(manager.words, manager.heard_at, strict=True) if word == "WATCHDOG=1"]
        assert times[-1] - times[0] < (len(times) - 1) * WATCHDOG_MS / 1000  # by far: half of it each, and some delay
        process.send_signal(signal.SIGSTOP)
        manager.hear()
        fed = manager.count("WATCHDOG=1")
        silent_until = time.monotonic() + 3 * WATCHDOG_MS / 1000
        wait_for("the silence to pass", lambda: time.monotonic() > silent_until)
        assert manager.count("WATCHDOG=1") <= fed + 1
        process.send_signal(signal.SIGCONT)
        wait_for("it goes on", lambda: manager.count("WATCHDOG=1") > fed + 1)


def test_a_hung_disk_stops_the_watchdogs_food_though_the_process_lives(tmp_path: Path) -> None:
    if not shutil.which("strace"):
        pytest.skip("strace is not installed: tests/nemesis/install.sh")
    mesh = Mesh(tmp_path, peers=1)
    mesh.path.write_text(render(mesh.config))
    tracer = None
    try:
        with Manager(watchdog_ms=WATCHDOG_MS) as manager:
            process = start(mesh, 1, manager, "--http", "127.0.0.1:0")
            mesh.wait_for_leader(1)
            fed = wait_for("food", lambda: manager.count("WATCHDOG=1"))
            tracer = subprocess.Popen(tracing(process.pid, "delay_enter=6000000"), stderr=subprocess.PIPE)  # of 6 s
            # An idle leader probes its disk within a lease: from there on it waits, for longer than systemd would.

            def starved() -> bool:
                manager.hear()
                fed_at = [at for word, at in zip(manager.words, manager.heard_at, strict=True) if word == "WATCHDOG=1"]
                return time.monotonic() - fed_at[-1] > 3 * WATCHDOG_MS / 1000

            wait_for("no food", starved)
            if tracer.poll() is not None:
                pytest.skip(f"strace cannot: {tracer.communicate()[1].decode().strip()[-200:]}")
            assert process.poll() is None
            assert fed
    finally:
        if tracer and tracer.poll() is None:
            tracer.kill()
            tracer.wait()
        mesh.__exit__()
