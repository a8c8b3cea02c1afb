"""Scenarios with real processes: one that passes, its files tampered with, one that fails, one that is interrupted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from hfzmq.cli.scenario.account import History
from hfzmq.cli.scenario.check import Findings
from hfzmq.cli.scenario.round import PeerFile, compare
from hfzmq.cli.scenario.stage import STEADY, Failed, Stage
from tests.system.mesh import ROOT, hfzmq, wait_for
from tests.system.scenarios import passed


def files_in(folder: Path) -> dict[int, PeerFile]:
    return {peer: PeerFile(folder / f"peer-{peer}" / f"hfzmq_{peer}.db", whole=peer != 1) for peer in (1, 2, 3)}


def histories_in(folder: Path) -> list[History]:
    return [History(folder / "writer.jsonl"), History(folder / "bedside.jsonl", bedside=True)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder of one round of Leader Failure, and what the command said."""
    out = tmp_path_factory.mktemp("scenario") / "out"
    command = hfzmq("scenario", "run", "Leader Failure", "--out", out, "--json")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return out / "leader-failure-1", done


def test_a_real_round_passes_and_leaves_its_evidence(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = finished
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = done.stdout.splitlines()
    told = json.loads(line)
    assert told == json.loads((folder / "result.json").read_text())
    assert passed([told]) == 1  # as the proof counts them
    assert (told["scenario"], told["verdict"], told["problems"]) == ("Leader Failure", "PASSED", [])
    assert [one["what"] for one in told["injected"]] == ["killed peer 1, the leader"]
    assert told["acked"] == told["sent"] == told["stored"]["2"] == told["stored"]["3"] > told["stored"]["1"] > 0
    assert 500 < told["longest_gap_ms"] < 30_000
    for name in ("peers.yaml", "peer-1.log", "peer-3/hfzmq_3.db", "writer.jsonl", "bedside.jsonl"):
        assert (folder / name).stat().st_size > 0
    assert "1 round, passed" in done.stderr
    assert str(folder.parent) in done.stderr


TAMPERING: dict[str, tuple[str, set[str]]] = {
    "a lost report": ("DELETE FROM risk_reports WHERE id = 7", {"lost", "differing"}),
    "the last ones lost": ("DELETE FROM risk_reports WHERE id > 60", {"lost", "differing"}),
    "a doubled report": (
        "CREATE TEMP TABLE again AS SELECT * FROM risk_reports WHERE id = 5;"
        "UPDATE again SET id = (SELECT max(id) + 1 FROM risk_reports);"
        "INSERT INTO risk_reports SELECT * FROM again",
        {"doubled", "differing"},
    ),
    "two reports in another order": (
        "UPDATE risk_reports SET id = -1 WHERE patient_id = 'bed-01' AND id = (SELECT min(id) FROM risk_reports "
        "WHERE patient_id = 'bed-01');"
        "UPDATE risk_reports SET id = (SELECT max(id) + 1 FROM risk_reports) WHERE id = -1",
        {"out_of_order", "differing"},
    ),
    "a value changed": ("UPDATE risk_reports SET probability = 0.999 WHERE id = 9", {"altered", "differing"}),
    "a stamp changed": ("UPDATE risk_reports SET created_at = created_at + 1 WHERE id = 9", {"differing"}),
    "a stranger's report": ("UPDATE risk_reports SET patient_id = 'nobody' WHERE id = 9", {"strangers", "lost"}),
    "another index": ("UPDATE risk_reports SET log_index = log_index + 1 WHERE id = 9", {"misplaced", "differing"}),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_a_file_that_was_tampered_with_is_found(
    name: str, finished: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    assert compared(folder).sound
    statement, expected = TAMPERING[name]
    with apsw.Connection(str(folder / "peer-2" / "hfzmq_2.db")) as database:
        database.execute(statement)
    database.close()
    found = compared(folder)
    assert not found.sound
    assert expected <= {
        kind for kind in Findings._fields if kind not in ("stored", "examples") and getattr(found, kind)
    }


def compared(folder: Path) -> Findings:
    problems: list[str] = []
    found = compare(files_in(folder), histories_in(folder), problems)
    assert problems == []
    assert found is not None
    return found


def test_a_file_that_is_gone_is_a_problem(
    finished: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    problems: list[str] = []
    files = files_in(finished[0]) | {3: PeerFile(tmp_path / "hfzmq_3.db")}
    compare(files, histories_in(finished[0]), problems)
    assert problems == [f"peer 3's file cannot be read: {tmp_path / 'hfzmq_3.db'}: no such file"]


def test_a_peer_that_ends_by_itself_fails_the_round_at_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path, 3)
    try:
        stage.start(*stage.config.peer_ids)
        stage.leader()
        stage.write("writer", STEADY)
        stage.flow(5)
        stage.processes.kill("peer-3")
        (problem,) = stage.end_clients()  # the round is ended in order all the same: the writer has its last ack
        assert problem.startswith("peer 3 ended by itself: ")
        stage.processes.kill("peer-2")
        with pytest.raises(Failed, match="peer 2 ended by itself: "):
            stage.rest(10, "until it is noticed")
        with pytest.raises(Failed, match=r"^not within 0\.1 s: pigs fly$"):
            stage.wait("pigs fly", lambda: False, 0.1)
    finally:
        stage.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="children are found in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_run_leaves_no_process_behind(number: signal.Signals, tmp_path: Path) -> None:
    out, said = tmp_path / "out", tmp_path / "said"
    with said.open("wb") as file:
        process = subprocess.Popen(
            hfzmq("scenario", "run", "normal-operation", "--out", out), cwd=ROOT, stdout=file, stderr=file
        )
    wait_for("the peers run", lambda: len(_children(process.pid)) >= 3, 60)
    children = _children(process.pid)
    process.send_signal(number)
    assert process.wait(60) == 130, said.read_text()
    wait_for("all are gone", lambda: not any(map(_lives, children)), 60)
    assert "0 of 1 rounds passed; 1 not begun or not finished" in said.read_text()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
