"""Real processes: ``hfzmq stream`` and ten thousand readings, exactly so many of each verdict on each peer's disk."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.system.mesh import ROOT, Mesh, events, hfzmq, wait_for

COUNT = 10_000
WANTED = {
    ("valid", None): 8000,
    ("invalid_physiological", "high"): 334,
    ("invalid_physiological", "low"): 334,
    ("invalid_system", "sensor_off"): 333,
    ("invalid_system", "impossible"): 333,
    ("invalid_system", "future"): 333,
    ("corrupted", "unparsable"): 333,
}
CATEGORIES = {"physiological_anomaly": 668, "system_anomaly": 999, "data_corruption": 333}


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    with Mesh(tmp_path) as mesh:
        yield mesh


class Producer:
    """``hfzmq stream`` as a process, its JSON lines in a file."""

    def __init__(self, mesh: Mesh, *words: object) -> None:
        self.lines, self.said = mesh.folder / "stream.jsonl", mesh.folder / "stream.err"
        with self.lines.open("ab") as out, self.said.open("ab") as err:
            self.process = subprocess.Popen(
                hfzmq("stream", "--config", mesh.path, "-o", "jsonl", "--queue", mesh.folder / "queue",
                      "--client-id", "ward", *words),
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )  # fmt: skip

    def told(self, kind: str) -> list[dict[str, Any]]:
        return events(self.lines, kind)

    def wait_for_acks(self, count: int) -> None:
        wait_for(f"{count} acknowledgements", lambda: len(self.told("ack")) >= count, 90)

    def ends(self) -> None:
        assert self.process.wait(180) == 0, self.said.read_text()


def ask(mesh: Mesh, peer: int, query: str) -> list[tuple[Any, ...]]:
    path = mesh.folder / str(peer) / f"hfzmq_{peer}.db"
    database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return list(database.execute(query))
    finally:
        database.close()


def heartbeats(mesh: Mesh) -> list[tuple[Any, ...]]:
    """The rows of ``heartbeats``, the same in all three files."""
    mesh.wait_until_equal()
    tables = [ask(mesh, peer, "select * from heartbeats order by id") for peer in mesh.config.peer_ids]
    assert tables[0] == tables[1] == tables[2]
    return tables[0]


def test_ten_thousand_readings_come_out_as_configured_on_every_peer_over_a_kill_of_the_leader(mesh: Mesh) -> None:
    producer = Producer(
        mesh, "--patients", 20, "--rate", 50, "--count", COUNT, "--invalid", 0.2, "--seed", 4, "--batch", 100
    )
    producer.wait_for_acks(COUNT // 4)
    leader = mesh.wait_for_leader()
    mesh.kill(leader)
    killed_at = len(producer.told("ack"))
    mesh.wait_for_leader(*(set(mesh.config.peer_ids) - {leader}))
    producer.wait_for_acks(killed_at + 100)
    mesh.start(leader)
    producer.ends()
    assert killed_at < COUNT, "the leader died too late to matter"

    rows = heartbeats(mesh)
    assert len(rows) == COUNT
    for peer in mesh.config.peer_ids:
        by_verdict = ask(mesh, peer, "select validation_status, anomaly_type, count(*) from heartbeats group by 1, 2")
        assert {(status, anomaly): count for status, anomaly, count in by_verdict} == WANTED
        alerts = ask(mesh, peer, "select alert_category, count(*) from heartbeat_alerts group by 1")
        assert dict(alerts) == CATEGORIES
    sent = [(one["timestamp"], one["patient"], one["value"], one["raw_payload"]) for one in producer.told("reading")]
    columns = [name for (_, name, *_) in ask(mesh, 1, "pragma table_info(heartbeats)")]
    places = [columns.index(name) for name in ("timestamp", "patient_id", "heartbeat_value", "raw_payload")]
    stored = [tuple(row[place] for place in places) for row in rows]
    assert [(at, who, value, payload or "") for at, who, value, payload in stored] == sent  # once each, in their order
    (summary,) = producer.told("summary")
    assert (summary["readings"], summary["acked"], summary["pending"], summary["rejected"]) == (COUNT, COUNT, 0, 0)
    assert {name: found["acked"] for name, found in summary["verdicts"].items() if "/" not in name} == {
        "valid": 8000, "invalid_physiological": 668, "invalid_system": 999, "corrupted": 333
    }  # fmt: skip


def test_a_replay_killed_again_and_again_brings_each_line_once(mesh: Mesh) -> None:
    recording = mesh.folder / "recording.jsonl"
    lines = [
        {"timestamp": 1_700_000_000_000 + n, "patient_id": f"P-{n % 5}", "value": 60 + n % 30 if n % 9 else f"E{n}"}
        for n in range(3000)
    ]
    recording.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for share in (6, 3, 2):
        producer = Producer(mesh, "--source", recording, "--speed", 1.5)
        producer.wait_for_acks(3000 // share)
        producer.process.kill()
        producer.process.wait()
    Producer(mesh, "--source", recording, "--fast").ends()
    rows = heartbeats(mesh)
    columns = [name for (_, name, *_) in ask(mesh, 1, "pragma table_info(heartbeats)")]
    assert [row[columns.index("timestamp")] for row in rows] == [line["timestamp"] for line in lines]
    found = Counter(row[columns.index("validation_status")] for row in rows)
    assert found == {
        "valid": sum(1 for n in range(3000) if n % 9),
        "corrupted": sum(1 for n in range(3000) if not n % 9),
    }
