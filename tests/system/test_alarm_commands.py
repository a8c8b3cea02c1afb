"""``hfzmq alarms`` on three real daemons: raised, listed, acknowledged over killed leaders, watched without a gap."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import apsw

from hfzmq.client.ask import ask_leader
from hfzmq.clinical.report import Report
from hfzmq.wire.requests import digest, encode_rows
from tests.system.mesh import ROOT, Mesh, hfzmq, wait_for


class Bedside:
    """Reports of one session, each sent until it is acknowledged."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh, self.epoch, self.seq = mesh, os.urandom(16), 0

    def report(self, patient: str, probability: float) -> None:
        self.seq += 1
        tier = "RED" if probability >= 0.6 else "AMBER"
        now_ms = time.time_ns() // 1_000_000
        rows = encode_rows([Report(patient, now_ms, 60.0, 135.0, 1.5, 40.0, 5, probability, tier, 0.5, "m", "")])
        fields = {"client": "bedside", "epoch": self.epoch, "seq": self.seq, "rows": rows, "digest": digest(rows)}
        assert ask_leader(self.mesh.config, "submit", fields, 20_000)["status"] == "ACK"


def alarms(mesh: Mesh, *words: object) -> subprocess.CompletedProcess[str]:
    line = hfzmq("alarms", *words, "--config", mesh.path)
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def journal(mesh: Mesh, number: int) -> list[dict[str, Any]]:
    """A peer's journal, read past the daemon."""
    database = apsw.Connection(str(mesh.folder / str(number) / f"hfzmq_{number}.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        names = ("id", "episode_id", "at_ms", "what", "detail")
        rows = list(database.execute(f"SELECT {', '.join(names)} FROM alarm_events ORDER BY id"))
    finally:
        database.close()
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_alarms_are_listed_acknowledged_and_watched_over_two_killed_leaders(tmp_path: Path) -> None:
    with Mesh(tmp_path) as mesh:
        bedside = Bedside(mesh)
        told = tmp_path / "watch.jsonl"
        with told.open("wb") as out, (tmp_path / "watch.err").open("wb") as err:
            watch = subprocess.Popen(
                hfzmq("alarms", "watch", "-o", "jsonl", "--config", mesh.path), cwd=ROOT, stdout=out, stderr=err
            )
        try:
            wait_for("the watch", lambda: "watching from line 1" in (tmp_path / "watch.err").read_text())
            bedside.report("bed-1", 0.71)
            (one,) = json.loads(alarms(mesh, "ls", "--consistent", "-o", "json").stdout)
            assert (one["patient_id"], one["cause"], one["state"]) == ("bed-1", "RED", "unacknowledged")

            # The ack is asked for in the very moment the leader dies.
            for turn in (1, 2):
                leader = mesh.leader()
                asked = subprocess.Popen(
                    hfzmq("alarms", "ack", one["id"], "--by", f"nurse {turn}", "--timeout", 30, "--config", mesh.path),
                    cwd=ROOT, stdout=subprocess.PIPE, text=True,
                )  # fmt: skip
                mesh.kill(leader)
                said, _ = asked.communicate(timeout=60)
                assert asked.returncode == 0, said
                first = turn == 1
                assert ("acknowledged by nurse 1" in said) or ("already seen" in said), said
                assert first or "already seen" in said
                bedside.report(f"bed-{turn + 1}", 0.9)
                mesh.start(leader)
                mesh.wait_until_equal()

            (one,) = json.loads(alarms(mesh, "ls", "--patient", "bed-1", "-o", "json").stdout)
            assert (one["state"], one["acknowledged_by"]) == ("acknowledged", "nurse 1")
            assert [row["cause"] for row in json.loads(alarms(mesh, "ls", "--all", "-o", "json").stdout)].count(
                "RED"
            ) == 3
            done = alarms(mesh, "discharge", "bed-1", "--by", "ann")
            assert (done.returncode, done.stdout) == (0, "bed bed-1: discharged by ann\n")
            assert alarms(mesh, "ack", 999).returncode == 5

            # What was watched is the journal: each line once, in order, equal on every peer.
            last = max(line["id"] for line in journal(mesh, 1) if line["what"] == "discharged")

            def watched() -> list[dict[str, Any]]:
                return [json.loads(line) for line in told.read_text().splitlines(keepends=True) if line.endswith("\n")]

            wait_for("the last line", lambda: [line["id"] for line in watched()][-1:] >= [last])
            mesh.wait_until_equal()
            lines = [line for line in watched() if line["id"] <= last]
            assert [line["id"] for line in lines] == list(range(1, last + 1))
            for number in mesh.config.peer_ids:
                kept = journal(mesh, number)[:last]
                assert [{key: line[key] for key in kept[0]} for line in lines] == kept
            raised = [line["patient_id"] for line in lines if line["what"] == "raised" and line["cause"] == "RED"]
            assert raised == ["bed-1", "bed-2", "bed-3"]

            # A file alone says the same as the mesh.
            offline = hfzmq("alarms", "ls", "--all", "-o", "csv", "--db", tmp_path / "2" / "hfzmq_2.db")
            file = subprocess.run(offline, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
            assert file.count("\n") == 1 + len(json.loads(alarms(mesh, "ls", "--all", "-o", "json").stdout))
            found = json.loads(alarms(mesh, "stats", "-o", "json").stdout)
            assert found["by_cause"]["RED"]["alarms"] == 3
            assert found["seen_in_time"] >= 1
            assert alarms(mesh, "simulate", "--red", 0.95).returncode == 0
        finally:
            watch.kill()
            watch.wait()
