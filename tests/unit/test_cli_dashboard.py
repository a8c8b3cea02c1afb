"""``hfzmq dashboard --once``: one frame on stdout, and an exit code that says whether it means anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hfzmq.config import render
from tests.unit.cli_world import CONFIG, FOREIGN, Answer, beds_answer, row, run, says

Answers = dict[str, dict[int, Answer | None]]


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "peers.yaml"
    file.write_text(render(CONFIG))
    return str(file)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """What the peers answer to each op; one that is not in here gives no answer."""
    told: Answers = {"status": {}, "beds": {}}

    def ask_all(config: Any, op: str, timeout_ms: int = 0, refusing: Any = None) -> dict[int, Answer | None]:
        return {peer_id: told[op].get(peer_id) for peer_id in config.peer_ids}

    monkeypatch.setattr("hfzmq.client.ask.ask_all", ask_all)
    return told


def test_once_prints_a_frame_and_is_exit_0_when_a_daemon_answers(path: str, answers: Answers) -> None:
    answers["status"][1] = says(1, "leader")
    answers["beds"][1] = beds_answer(seen=[(5, row())])
    done = run("dashboard", "--once", "--config", path)
    assert (done.code, done.err) == (0, "")
    assert "peer 1 leads in term 7" in done.out
    assert "bed-1" in done.out


def test_once_prints_a_frame_and_is_exit_3_when_no_daemon_answers(path: str, answers: Answers) -> None:
    done = run("dashboard", "--once", "--config", path)
    assert done.code == 3
    assert "NOT LIVE" in done.out
    assert done.err.startswith("error: no daemon answered at 127.0.0.1:7010, ")


def test_once_at_another_mesh_is_exit_3_and_says_so(path: str, answers: Answers) -> None:
    answers["status"] = dict.fromkeys((1, 2, 3), FOREIGN)
    done = run("dashboard", "--once", "--config", path)
    assert done.code == 3
    assert "another mesh" in done.err
