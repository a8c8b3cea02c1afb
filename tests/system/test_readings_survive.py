"""A thousand heart rates and a killed leader: the same verdicts, under the same ids, on all three peers."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import apsw

from hfzmq.client.ask import ask
from hfzmq.clinical.heart_rate import Reading
from hfzmq.wire.requests import digest, encode_request, encode_rows
from tests.system.mesh import ROOT, Mesh, hfzmq, wait_for

BATCHES, EACH = 10, 100

# Of each hundred: what is sent, and what must be stored of it.
KINDS: list[tuple[int, float | None, str, str, str | None]] = [
    (80, 72, "", "valid", None),
    (6, 140, "", "invalid_physiological", "high"),
    (4, 35.5, "35.5", "invalid_physiological", "low"),
    (3, 0, "0", "invalid_system", "sensor_off"),
    (2, -999, "", "invalid_system", "sensor_off"),
    (1, float("nan"), "", "invalid_system", "impossible"),
    (1, 88, "tomorrow", "invalid_system", "future"),
    (3, None, "\x00#?;72", "corrupted", "unparsable"),
]


def batch(number: int) -> list[Reading]:
    """A hundred readings of ten beds, of all kinds."""
    now_ms = time.time_ns() // 1_000_000
    rows: list[Reading] = []
    for count, value, payload, _, anomaly in KINDS:
        for _ in range(count):
            at_ms = now_ms + (3_600_000 if anomaly == "future" else 0)
            rows.append(Reading(f"bed-{len(rows) % 10}", at_ms + number, value, payload))
    return rows


class Stream:
    """A client in the protocol's own words: the same bytes to one peer after the other until one acknowledges."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.epoch = os.urandom(16)
        self.seq = 0

    def send(self, rows: list[Reading], dies: int = 0, within_s: float = 30.0) -> dict[str, Any]:
        """Until it is acknowledged. ``dies``: the leader, which gets the request first and is killed with it."""
        self.seq += 1
        packed = encode_rows(rows)
        request = encode_request(
            self.mesh.config.mesh_id, "submit_readings", client="stream", epoch=self.epoch, seq=self.seq,
            rows=packed, digest=digest(packed),
        )  # fmt: skip

        if dies:
            peer = self.mesh.config.peer(dies)
            ask(peer.host, peer.client_port, request, 1, self.mesh.config.keys, peer.id)
            self.mesh.kill(dies)

        def acknowledged() -> dict[str, Any] | None:
            for peer in self.mesh.config.peers:
                reply = ask(peer.host, peer.client_port, request, 1000, self.mesh.config.keys, peer.id)
                if reply and reply["status"] == "ACK":
                    return reply
                assert reply is None or reply["status"] in ("NOT_LEADER", "NO_QUORUM", "BUSY"), reply
            return None

        found = wait_for(f"an ack of batch {self.seq}", acknowledged, within_s)
        assert isinstance(found, dict)
        return found


def tables(mesh: Mesh, number: int) -> tuple[list[Any], list[Any]]:
    """Both tables in a peer's file, read past the daemon."""
    path = mesh.folder / str(number) / f"hfzmq_{number}.db"
    database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        readings = list(database.execute("SELECT * FROM heartbeats ORDER BY id"))
        return readings, list(database.execute("SELECT * FROM heartbeat_alerts ORDER BY alert_id"))
    finally:
        database.close()


def told(mesh: Mesh, *words: object) -> str:
    done = subprocess.run(
        hfzmq(*words, "--config", mesh.path), cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_thousand_readings_come_out_with_the_known_counts_on_all_three_peers_though_the_leader_is_killed(
    tmp_path: Path,
) -> None:
    with Mesh(tmp_path) as mesh:
        stream = Stream(mesh)
        for number in range(BATCHES):
            dies = mesh.leader() if number == BATCHES // 2 else 0
            reply = stream.send(batch(number), dies)
            if dies:
                mesh.start(dies)
            assert (reply["seq"], reply["rejected"]) == (number + 1, [])
        mesh.wait_until_equal()
        kept = {number: tables(mesh, number) for number in mesh.config.peer_ids}
        readings, alerts = kept[1]
        assert kept[2] == kept[3] == kept[1]

        verdicts = {(status, anomaly): 0 for *_, status, anomaly in KINDS}
        for count, _, _, status, anomaly in KINDS:
            verdicts[status, anomaly] += BATCHES * count
        assert Counter((row[4], row[5]) for row in readings) == verdicts
        assert [row[0] for row in readings] == list(range(1, 1001))
        assert [row[0] for row in alerts] == list(range(1, 201))
        assert [row[1] for row in alerts] == [row[0] for row in readings if row[4] != "valid"]
        assert Counter(row[5] for row in alerts) == {
            "physiological_anomaly": 100, "system_anomaly": 70, "data_corruption": 30,
        }  # fmt: skip
        assert all(row[3] is None for row in readings if row[5] in ("impossible", "unparsable"))
        assert {row[6] for row in readings if row[4] == "corrupted"} == {"\x00#?;72"}

        # What every peer says about itself, and what people are shown, is what the files hold.
        by_status = dict(Counter(row[4] for row in readings))
        for peer in mesh.status().values():
            assert peer["readings"] == by_status
            assert peer["alerts"] == dict(Counter(row[5] for row in alerts))
        listed = json.loads(told(mesh, "readings", "--all", "-o", "json", "--consistent"))
        assert [tuple(row.values()) for row in listed] == [tuple(row[:-1]) for row in readings]
        rows = list(csv.DictReader(io.StringIO(told(mesh, "readings", "--alerts", "--all", "-o", "csv", "--peer", 2))))
        assert [int(row["alert_id"]) for row in rows] == list(range(1, 201))
        assert "1000" in told(mesh, "status")


def test_readings_and_reports_share_a_session_and_a_request_sent_again_stores_nothing_twice(tmp_path: Path) -> None:
    report = ["bed-1", 1_700_000_000_000, 60.0, 135.0, 1.5, 40.0, 5, 0.7, "RED", 0.8, "m", ""]
    with Mesh(tmp_path, peers=1) as mesh:
        here = mesh.config.peer(1)
        epoch = os.urandom(16)

        def send(op: str, seq: int, rows: list[Any]) -> dict[str, Any]:
            packed = encode_rows(rows)
            frame = encode_request(
                mesh.config.mesh_id, op, client="both", epoch=epoch, seq=seq, rows=packed, digest=digest(packed)
            )
            reply = ask(here.host, here.client_port, frame, 2000, mesh.config.keys, 1)
            assert reply is not None
            return reply

        assert send("submit", 1, [report])["status"] == "ACK"
        mixed: list[Any] = [["bed-1", 1_700_000_000_000, 71, ""], ["", 1_700_000_000_000, 71, ""], ["bed-1", 5, 71, ""]]
        first = send("submit_readings", 2, mixed)
        assert [item[:2] for item in first["rejected"]] == [[1, "patient_id"], [2, "timestamp"]]
        assert send("submit_readings", 2, mixed) == first
        assert send("submit_readings", 2, mixed[:1])["status"] == "CONFLICT"
        assert send("submit_readings", 9, mixed)["status"] == "GAP"
        assert send("submit_readings", 3, [["bed-1"] * 70])["status"] == "REFUSED"
        (long,) = send("submit_readings", 3, [["bed-1", 1_700_000_000_000, None, "x" * 2000]])["rejected"]
        assert long[:2] == [0, "raw_payload"]
        readings, alerts = tables(mesh, 1)
        assert [row[:4] for row in readings] == [(1, 1_700_000_000_000, "bed-1", 71.0)]
        assert alerts == []
        assert len(mesh.rows(1)) == 1
