"""The demo as a machine runs it: real processes, a leader that is killed, a verdict, and nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def start(*words: str, tmp: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hfzmq", "demo", *words],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def children_in(folder: Path) -> list[str]:
    """The processes whose command line names ``folder``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if str(folder) in words:
            found.append(words)
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_the_headless_demo_kills_the_leader_loses_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    demo = start("--headless", "--duration", "15", tmp=tmp_path)
    out, err = demo.communicate(timeout=120)
    assert demo.returncode == 0, out + err
    story = [
        r"peer \d leads in term \d+",  # peer 1, unless its process took longer to start than another's to be elected
        r"first report acknowledged",
        r"killed the leader, peer \d, with SIGKILL",
        r"peer \d leads in term \d+",
        r"reports are acknowledged again, \d+ ms after the kill",
        r"summary: \d+ reports acknowledged, lost 0, doubled 0",
        r"equal rows on all peers: yes",
        r"well: yes",
    ]
    at = 0
    for words in story:
        match = re.compile(words).search(out, at)
        assert match, f"{words}, after {out[:at]!r}, in {out}"
        at = match.end()
    assert list(tmp_path.iterdir()) == []
    assert children_in(tmp_path) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_sigterm_ends_the_demo_in_order_with_its_verdict(tmp_path: Path) -> None:
    demo = start("--headless", tmp=tmp_path)
    assert demo.stdout is not None
    said = ""
    deadline = time.monotonic() + 60
    while "first report acknowledged" not in said and time.monotonic() < deadline:
        said += demo.stdout.readline()
    demo.send_signal(signal.SIGTERM)
    out, err = demo.communicate(timeout=60)
    assert demo.returncode == 0, said + out + err
    assert "well: yes" in out
    assert list(tmp_path.iterdir()) == []
    assert children_in(tmp_path) == []
