"""``hfzmq dashboard --once``: one frame on stdout, and an exit code that says whether it means anything."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest

from hfzmq.cli.board_feed import BoardFeed, now_ms
from hfzmq.cli.screens.board import lines
from hfzmq.cli.screens.plain import plain_line
from hfzmq.client.key_faults import key_fault
from hfzmq.client.line import AUTH
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


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """All peers run, and none accepts our key."""

    def ask_all(config: Any, op: str, timeout_ms: int = 0, refusing: Any = None) -> dict[int, Answer | None]:
        faults = dict.fromkeys(config.peer_ids, AUTH)
        refusing.update(faults)
        raise key_fault(config, faults)

    monkeypatch.setattr("hfzmq.client.ask.ask_all", ask_all)


@pytest.mark.usefixtures("refused")
def test_once_with_a_key_that_nobody_accepts_is_exit_7_and_says_why_as_every_command_does(path: str) -> None:
    done = run("dashboard", "--once", "--config", path)
    cause, hint = done.err.splitlines()
    assert (done.code, cause) == (7, "error: peer 1 does not accept this client's key")
    assert hint.startswith("hint: is it in force (hfzmq keys show)")
    frame = " ".join(done.out.replace("│", " ").split())
    assert "peer 1 does not accept this client's key: is it in force" in frame
    assert "unreachable: does not accept this key" in frame
    assert "who leads is not known" in frame
    assert "Error" not in frame
    assert "quorum NO" not in frame
    assert "no leader" not in frame


@pytest.mark.usefixtures("refused")
def test_a_refused_key_is_the_cause_in_the_plain_lines_and_nothing_is_made_up(path: str) -> None:
    feed = BoardFeed(CONFIG, 60).start()
    try:
        assert feed.first_poll(10)
    finally:
        feed.close()
    line = plain_line(feed.latest, feed.latest.started_at_ms + 100)
    assert "NOT LIVE: peer 1 does not accept this client's key: is it in force" in line
    assert "0 of 3" not in line


def test_a_key_revoked_meanwhile_is_the_cause_and_what_was_heard_before_is_old() -> None:
    told: Answers = {"status": {1: says(1, "leader"), 2: says(2), 3: says(3)}, "beds": {1: beds_answer()}}
    revoked: list[bool] = []

    def ask(op: str) -> dict[int, Answer | None]:
        if revoked:
            raise key_fault(CONFIG, dict.fromkeys((1, 2, 3), AUTH))
        return dict(told[op])

    feed = BoardFeed(CONFIG, 0.001, ask).start()
    try:
        assert feed.first_poll(10)
        revoked.append(True)
        until = now_ms() + 10_000
        while feed.error is None and now_ms() < until:
            threading.Event().wait(0.005)
    finally:
        feed.close()
    status = feed.latest
    assert status.polled_at_ms is not None
    line = plain_line(status, status.polled_at_ms + 12_500)
    assert re.search(r"NOT LIVE: peer 1 does not accept .*; 12 s ago: peer 1 leads in term 7, quorum yes", line), line
    for width in (40, 80, 240):
        drawn = lines(status, width, 60, status.polled_at_ms + 12_500)
        shown = " ".join(" ".join(line.plain for line in drawn).replace("│", " ").split())
        assert all(line.cell_len <= width for line in drawn)
        assert "peer 1 does not accept this client's key" in shown
        assert "as last heard: peer 1 leads in term 7" in shown
