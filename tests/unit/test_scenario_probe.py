"""The client that asks one peer only: what is not acknowledged is asked again, the same bytes, and told truly."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfzmq.cli.scenario import probe as probe_module
from hfzmq.cli.scenario.account import History, accounts_of
from hfzmq.cli.scenario.probe import Probe
from hfzmq.config import Limits
from hfzmq.wire.requests import Submit, decode_request
from tests.unit.cli_world import CONFIG


def test_the_same_bytes_are_sent_until_they_are_acknowledged_and_the_history_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, bytes]] = []
    answers: list[dict[str, object] | None] = [
        {"status": "NO_QUORUM"},
        None,
        {"status": "ACK", "seq": 1, "term": 3, "index": 7},
        None,
    ]

    def ask(host: str, port: int, request: bytes, *_: object) -> dict[str, object] | None:
        asked.append((port, request))
        return answers.pop(0)

    monkeypatch.setattr(probe_module, "ask", ask)
    probe = Probe(CONFIG, "cut-off", tmp_path / "cut-off.jsonl")
    assert [probe.ask(1), probe.ask(2), probe.ask(3), probe.ask(1)] == ["NO_QUORUM", "", "ACK", ""]
    assert [port for port, _ in asked] == [7010, 7020, 7030, 7010]
    assert asked[0][1] == asked[1][1] == asked[2][1] != asked[3][1]
    sent = [decode_request(request, CONFIG.mesh_id, Limits()) for _, request in asked]
    assert [one.seq for one in sent if isinstance(one, Submit)] == [1, 1, 1, 2]
    (account,) = accounts_of(History(tmp_path / "cut-off.jsonl"))
    assert (account.name, account.sent, account.acked, account.index_of(1)) == ("cut-off", 2, 1, 7)
