"""``hfzmq readings``: heart rates and alerts from a peer or a file, whole in every output."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from hfzmq.config import render
from hfzmq.storage import Reader
from tests.integration.test_storage_readings import filled
from tests.unit.cli_world import CONFIG, Answer, run, says


@pytest.fixture
def db(tmp_path: Path) -> str:
    """A file with 54 readings, 42 of them not valid."""
    store = filled(tmp_path)
    store.close()
    return str(store.path)


def listed(*words: str) -> list[dict[str, Any]]:
    done = run("readings", *words, "-o", "jsonl")
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


def test_a_file_is_read_without_a_daemon_and_rows_are_whole_in_every_output(db: str) -> None:
    reader = Reader(Path(db))
    rows = reader.readings(limit=100)
    fields = reader.reading_fields
    reader.close()
    assert [tuple(row.values()) for row in listed("--db", db, "--all")] == rows
    assert list(listed("--db", db)[0]) == list(fields)
    found = list(csv.DictReader(io.StringIO(run("readings", "--db", db, "--all", "-o", "csv").out)))
    assert [row["heartbeat_value"] for row in found] == ["" if row[3] is None else str(row[3]) for row in rows]
    assert json.loads(run("readings", "--db", db, "--last", "2", "-o", "json").out)[1]["id"] == 54
    table = run("readings", "--db", db, "--last", "9").out
    for words in ("HR bpm", "verdict", "sensor_off", "31.25", "#?!", "invalid_physiological"):
        assert words in table


def test_rows_are_chosen_by_patient_status_and_category(db: str) -> None:
    assert {row["patient_id"] for row in listed("--db", db, "--all", "--patient", "bed-2")} == {"bed-2"}
    assert [row["id"] for row in listed("--db", db, "--status", "CORRUPTED", "--last", "2")] == [44, 53]
    alerts = listed("--db", db, "--alerts", "--all")
    assert [row["alert_id"] for row in alerts] == list(range(1, 43))
    only = listed("--db", db, "--alerts", "--category", "data_corruption", "--all")
    assert only == [row for row in alerts if row["alert_category"] == "data_corruption"]
    assert [row["alert_id"] for row in listed("--db", db, "--alerts", "--after-id", "40", "--limit", "1")] == [41]
    assert "resolved" in run("readings", "--db", db, "--alerts").out


@pytest.mark.parametrize(
    "words",
    [
        ("--alerts", "--status", "valid"),
        ("--category", "data_corruption"),
        ("--status", "fine"),
        ("--alerts", "--category", "valid"),
        ("--all", "--last", "3"),
        ("--consistent", "--peer", "1"),
    ],
)
def test_options_that_contradict_each_other_are_exit_2(words: tuple[str, ...]) -> None:
    done = run("readings", *words)
    assert (done.code, done.out) == (2, "")


def test_a_peer_is_asked_by_the_op_and_the_filter_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def ask_all(config: Any, op: str, fields: Any = None, *_: Any, only: int | None = None, **__: Any) -> Any:
        if op == "status":
            return {1: says(1, "leader")}
        asked.append((op, fields))
        key = "alert_id" if op == "alerts" else "id"
        page: Answer = {"fields": [key, "timestamp"], "rows": [[7, 1]], "more": False, "peer": 1, "stale_ms": 0}
        return {only: {"v": 1, "status": "OK", "applied_index": 810, **page}}

    monkeypatch.setattr("hfzmq.client.ask.ask_all", ask_all)
    path = tmp_path / "peers.yaml"
    path.write_text(render(CONFIG))
    config = f"--config={path}"
    assert listed(config, "--status", "valid", "--after-id", "3") == [{"id": 7, "timestamp": 1}]
    assert listed(config, "--alerts", "--category", "system_anomaly", "--patient", "b")[0]["alert_id"] == 7
    assert asked == [
        ("readings", {"limit": 100, "after_id": 3, "status": "valid"}),
        ("alerts", {"limit": 20, "before_id": 0, "patient": "b", "category": "system_anomaly"}),
    ]
    assert "no reading is stored that fits" not in run("readings", config).err
