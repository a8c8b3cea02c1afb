"""SIGHUP: what a changed peers.yaml would do at the next start is said, and it is judged like at a start."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hfzmq import config
from hfzmq.daemon.node import Node

TEXT = """mesh: {name: ward, id: 00112233445566778899aabbccddeeff}
peers:
  - {id: 1, host: 127.0.0.1, client_port: 7101, peer_port: 7102, beat_port: 7103}
security: plain
"""


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ("", "configuration reread: no change"),
        ("alarms: {rules: {silent_ms: 20000}}\n", "configuration reread: alarm_rules takes effect at restart"),
        ("alarms: {rules: {silent_ms: 10}}\n", "configuration not reread: "),
        ("alarms: {rules: {red_on: 0.1}}\n", "configuration not reread: "),
        ("tiers: 7\n", "configuration not reread: "),
        ("alarms: {rules: {expected: [E101, E102]}}\n", "configuration reread: alarm_rules takes effect at restart"),
        ("alarms: {rules: {expected: &a [*a]}}\n", "configuration not reread: "),
        ("tiers: {amber_from: e5}\n", "configuration not reread: "),
    ],
)
def test_a_changed_file_is_judged_as_at_a_start_and_its_difference_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, added: str, said: str
) -> None:
    caplog.set_level(logging.INFO)
    file = tmp_path / "peers.yaml"
    file.write_text(TEXT)
    running: Any = SimpleNamespace(config=config.load(str(file)), locks=SimpleNamespace(reread=lambda keys: None))
    file.write_text(TEXT + added)
    Node._reread(running)
    assert [one.getMessage().startswith(said) for one in caplog.records] == [True], caplog.text


def test_whatever_goes_wrong_with_the_file_a_daemon_that_runs_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "peers.yaml"
    file.write_text(TEXT)
    running: Any = SimpleNamespace(config=config.load(str(file)), locks=SimpleNamespace(reread=lambda keys: None))
    monkeypatch.setattr("hfzmq.daemon.rereading.rules_of", lambda fresh: 1 / 0)
    Node._reread(running)
    (line,) = caplog.records
    assert line.getMessage().startswith("configuration not reread: ")
    assert "ZeroDivisionError" in line.getMessage()
