"""Real processes: a leader's clock was an hour ahead for a moment. Every screen still tells how long alarms wait."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hfzmq import Client
from hfzmq.cli.alarm_view import AlarmView, merge_alarms
from hfzmq.client.ask import ask_all
from hfzmq.clinical.report import Report
from tests.nemesis.launch import write_clocks
from tests.system.mesh import ROOT, Mesh, hfzmq, wait_for

HOUR_S = 3600.0


class Skewed(Mesh):
    """A mesh whose daemons' wall clocks can be set while they run."""

    def __enter__(self) -> Skewed:
        super().__enter__()
        return self

    def clocks(self, number: int) -> Path:
        return self.folder / f"clocks_{number}"

    def start(self, number: int, *words: str) -> None:
        if not self.clocks(number).exists():
            write_clocks(self.clocks(number))
        line = [sys.executable, "-m", "tests.nemesis.launch", "-", self.clocks(number)]
        serve = hfzmq("serve", "--id", number, "--config", self.path, "--data-dir", self.folder / str(number), *words)
        with (self.folder / f"{number}.log").open("ab") as log:
            self.processes[number] = subprocess.Popen([*map(str, line), *serve[3:]], cwd=ROOT, stdout=log, stderr=log)


def red(patient: str) -> Report:
    return Report(patient, time.time_ns() // 1_000_000, 71, 134.0, 1.4, 32, 9, 0.9, "RED", 0.9, "m", "")


def said(mesh: Mesh, *words: object) -> str:
    """What a command says, both ways."""
    line = hfzmq(*words, "--config", mesh.path)
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def waited_s(mesh: Mesh, patient: str) -> dict[int, float]:
    """How long a bed's alarm has waited, on a board that asks one peer alone."""
    found = {}
    for peer, answer in ask_all(mesh.config, "beds", timeout_ms=1000).items():
        alarms = merge_alarms(AlarmView(), [answer], 100_000_000).alarms
        ages = [(100_000_000 - one.raised_at_ms) / 1000 for one in alarms if one.patient_id == patient]
        found[peer] = ages[0]
    return found


def alarm(mesh: Mesh, patient: str) -> dict[str, Any]:
    told = said(mesh, "alarms", "ls", "-o", "jsonl").splitlines()
    rows = [json.loads(line) for line in told if line.startswith("{")]
    return next(row for row in rows if row["patient_id"] == patient)


def test_after_a_leaders_clock_was_ahead_every_screen_and_monitor_tells_how_long_a_red_has_waited(
    tmp_path: Path,
) -> None:
    with Skewed(tmp_path) as mesh, Client(mesh.config, "bed", tmp_path / "q") as client:
        write_clocks(mesh.clocks(mesh.wait_for_leader()), HOUR_S)
        client.submit(red("while-ahead"))
        client.wait(20)
        for peer in mesh.config.peer_ids:
            write_clocks(mesh.clocks(peer))
        began = time.monotonic()
        client.submit(red("after"))
        client.wait(20)
        assert alarm(mesh, "after")["raised_at_ms"] > time.time_ns() // 1_000_000 + 3_000_000, "stamped an hour ahead"
        for words in (("ls",), ("ack", "--all", "--by", "me")):
            told = " ".join(said(mesh, "alarms", *words).split())
            assert "the log's clock is 59 min ahead" in told
            assert "clocks differ" not in told
        limits = ("--red-warning", 2, "--red-critical", 3)
        wait_for("check tells of the alarm", lambda: "RED alarms unseen" in said(mesh, "check", *limits))
        for restarted in (False, True):
            if restarted:
                for peer in mesh.config.peer_ids:
                    assert mesh.terminate(peer) == 0
                for peer in mesh.config.peer_ids:
                    mesh.start(peer)
                mesh.wait_for_leader()
                mesh.wait_until_equal()
            passed_s = time.monotonic() - began
            shown = waited_s(mesh, "after")
            assert set(shown) == {1, 2, 3}
            assert all(passed_s - 20 < age < time.monotonic() - began + 1 for age in shown.values()), (shown, passed_s)
            assert all(age > 0 for age in shown.values()), shown
        assert "the log's clock is" in said(mesh, "doctor")
