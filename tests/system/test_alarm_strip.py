"""A real dashboard on a terminal before three real daemons: a RED is on top, and `a` acknowledges it over a kill."""

from __future__ import annotations

import getpass
import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

from hfzmq import Client
from hfzmq.clinical.report import Report
from tests.system.mesh import ROOT, Mesh, hfzmq, wait_for

EPISODES = "select patient_id, cause, state, acknowledged_by from alarm_episodes order by id"
NEVER_MS = 3_600_000


class Terminal:
    """``hfzmq dashboard`` on a pseudo terminal of 120 columns and 40 lines; ``text``: all it has written so far."""

    def __init__(self, mesh: Mesh, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        self._seen = b""
        self.process = subprocess.Popen(
            hfzmq("dashboard", "--config", mesh.path, "--interval", "0.1", *words), cwd=ROOT,
            stdin=theirs, stdout=theirs, stderr=subprocess.PIPE,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
        )  # fmt: skip
        os.close(theirs)

    def text(self) -> str:
        while select.select([self._ours], [], [], 0.01)[0]:
            try:
                self._seen += os.read(self._ours, 1 << 16)
            except OSError:  # the other end is closed
                break
        return self._seen.decode(errors="replace")

    def frame(self) -> str:
        """The last whole frame, without colours."""
        frames = self.text().rsplit("\x1b[H", 2)
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", frames[-2]) if len(frames) > 2 else ""

    def since_s(self) -> int:
        """For how long the alarm on top has been open, as it is shown."""
        return int(wait_for("an alarm", lambda: re.findall(r"since (\d+) s", self.frame()))[0])

    def press(self, key: str) -> None:
        os.write(self._ours, key.encode())

    def close(self) -> None:
        self.press("q")
        wait_for("the end of the dashboard", lambda: (self.text(), self.process.poll() is not None)[1])
        assert self.process.returncode == 0
        assert self.process.stderr is not None
        assert self.process.stderr.read() == b""
        os.close(self._ours)


def test_a_red_is_on_top_of_a_real_dashboard_and_a_key_acknowledges_it_over_a_kill_of_the_leader(
    tmp_path: Path,
) -> None:
    with Mesh(tmp_path, rules={"silent_ms": NEVER_MS}) as mesh, Client(mesh.config, "ward", tmp_path / "q") as client:
        screen = Terminal(mesh)
        wait_for("a calm board", lambda: "no open alarm" in screen.frame())
        assert "a acknowledge the alarm on top" in screen.frame()
        rung = screen.text().count("\a")
        now_ms = time.time_ns() // 1_000_000
        client.submit(Report("bed-7", now_ms, 80, 127.0, 2.4, 20, 4, 0.9, "RED", 0.9, "hf-1", ""))
        wait_for("the strip", lambda: re.search(r"■ RED +bed-7 +risk 0\.90 +since \d+ s +not seen", screen.frame()))
        wait_for("the bell", lambda: screen.text().count("\a") == rung + 1)
        since_s = screen.since_s()
        wait_for("a second on top", lambda: screen.since_s() >= since_s + 2)  # or it has only just come there

        assert "seen by" not in screen.text()
        mesh.kill(mesh.wait_for_leader())
        screen.press("a")
        wait_for("the answer to the key", lambda: "acknowledging alarm 1" in screen.text())
        name = getpass.getuser()
        wait_for("the mesh's answer", lambda: f"acknowledged by {name}" in screen.frame(), 30)
        wait_for("seen in the strip", lambda: re.search(rf"bed-7 .*seen by {name}", screen.frame()))
        assert screen.text().count("\a") == rung + 1

        alive = [number for number in mesh.config.peer_ids if mesh.processes[number].poll() is None]
        mesh.wait_until_equal(*alive)
        for number in alive:
            assert mesh.ask(number, EPISODES) == [("bed-7", "RED", "acknowledged", name)]
        screen.close()
