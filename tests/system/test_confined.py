"""A real daemon works as its unit confines it: system calls, address families, no memory both written and run."""

from __future__ import annotations

import ctypes.util
import subprocess
import sys
from pathlib import Path

import pytest

from hfzmq.alarm_channels import COMMAND, Channel
from tests.system.mesh import ROOT, Mesh, hfzmq, wait_for
from tests.system.test_partition import Writer
from tests.unit.test_cli_units import needs

UNIT = ROOT / "daemon" / "units" / "hfzmq@.service"

FORBIDDEN = """
import mmap, os, socket
def refused(what):
    try:
        what()
    except OSError:
        return True
    return False
print(
    refused(lambda: os.chroot("/")),
    refused(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    refused(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)),
    refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)),
)
"""


def confined(*command: object) -> list[str]:
    """The command under the unit's confinement."""
    return [sys.executable, "-m", "tests.system.confined", str(UNIT), *map(str, command)]


@pytest.fixture(autouse=True)
def _can() -> None:
    if not ctypes.util.find_library("seccomp"):
        pytest.skip("libseccomp is not installed")
    needs("systemd-analyze")
    done = subprocess.run(confined("true"), cwd=ROOT, capture_output=True, text=True, timeout=60)
    if done.returncode:
        pytest.skip(f"this machine cannot: {done.stderr.strip()[-200:]}")


def test_the_confinement_of_these_tests_does_confine() -> None:
    done = subprocess.run(
        confined(sys.executable, "-c", FORBIDDEN), cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["True", "True", "True", "False"], done.stderr


def test_a_confined_peer_leads_keeps_reports_and_tells_alarms(tmp_path: Path) -> None:
    told = tmp_path / "told"
    channel = Channel("desk", COMMAND, argv=("/bin/sh", "-c", f"echo told >> {told}"))
    mesh = Mesh(tmp_path, peers=1, channels=(channel,))
    try:
        with (tmp_path / "1.log").open("ab") as log:
            mesh.processes[1] = subprocess.Popen(
                confined(*hfzmq("serve", "--id", 1, "--config", mesh.path, "--data-dir", tmp_path / "1",
                                "--http", "127.0.0.1:0", "--log-dir", tmp_path / "logs")),
                cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip
        mesh.wait_for_leader(1)
        writer = Writer(mesh)
        for _ in range(5):
            writer.send_until_acked(1)
        assert [row[1] for row in mesh.rows(1)] == writer.acked
        wait_for("an alarm is told by the notifier's process", told.exists, 30)
        assert mesh.terminate(1) == 0
        for words in ("rror", "not permitted", "cannot"):
            assert words not in mesh.log(1), mesh.log(1)
    finally:
        mesh.__exit__()
