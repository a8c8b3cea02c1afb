"""The client of readings against a mesh of fakes: a queue of its own kind, each reading once, in order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pytest

from hfzmq import Client
from hfzmq.client import ReadingsClient
from hfzmq.client.place import default_queue_dir
from hfzmq.client.queue import Queue
from hfzmq.client.traffic import READINGS, REPORTS
from hfzmq.clinical.heart_rate import Reading
from hfzmq.errors import DataDirError, InvalidInput, TimedOut
from tests.integration.fake_peer import MESH, FakeMesh, eventually
from tests.integration.test_client import Told
from tests.integration.test_client import row as report

T0 = 1_700_000_000_000


def reading(number: int, value: float | None = 72, payload: str = "") -> Reading:
    return Reading("P-001", T0 + number, value, payload)


@pytest.fixture
def mesh() -> Iterator[FakeMesh]:
    made = FakeMesh()
    yield made
    made.close()


@pytest.fixture
def told() -> Told:
    return Told()


def stamps(mesh: FakeMesh) -> list[int]:
    return [one.timestamp - T0 for one in mesh.readings]


def test_each_reading_is_stored_once_in_its_order_while_answers_are_lost_and_leaders_change(
    mesh: FakeMesh, tmp_path: Path
) -> None:
    lost = iter([True, False, True, False, False, True] + [False] * 10_000)
    mesh.lose_answer = lambda peer: next(lost)
    with ReadingsClient(mesh.config, "ward", tmp_path, batch_rows=7) as client:
        for number in range(0, 100, 10):
            client.submit_many([reading(number + place) for place in range(10)])
            mesh.leader = number // 10 % 3 + 1
        client.wait(30)
    assert stamps(mesh) == list(range(100))
    assert mesh.stored == []
    assert client.state.acked == 100


def test_a_request_holds_no_more_readings_than_was_asked_for(mesh: FakeMesh, tmp_path: Path) -> None:
    leader, mesh.leader = mesh.leader, None  # so that they pile up
    with ReadingsClient(mesh.config, "ward", tmp_path, batch_rows=100) as client:
        client.submit_many([reading(number) for number in range(350)])
        mesh.leader = leader
        client.wait(20)
    assert mesh.batches == [100, 100, 100, 50]


def test_what_one_life_has_queued_the_next_one_sends_and_says_so(mesh: FakeMesh, told: Told, tmp_path: Path) -> None:
    mesh.leader = None
    with ReadingsClient(mesh.config, "ward", tmp_path) as client:
        client.submit_many([reading(0), reading(1)])
        assert client.earlier == 0
        with pytest.raises(TimedOut, match="2 readings"):
            client.wait(0.05)
    mesh.leader = 2
    with ReadingsClient(mesh.config, None, tmp_path, told) as client:
        assert (client.earlier, client.client_id) == (2, "ward")
        client.wait(20)
    assert stamps(mesh) == [0, 1]
    assert len(told.of("ack")) == 2


def test_any_value_is_sent_and_none_is_lost(mesh: FakeMesh, tmp_path: Path) -> None:
    values: list[float | None] = [72, 72.5, 0, -999, 1e300, math.inf, math.nan, None, -(2**63), 2**63 - 1]
    with ReadingsClient(mesh.config, "ward", tmp_path) as client:
        client.submit_many([reading(number, value, "raw") for number, value in enumerate(values)])
        client.wait(20)
    assert stamps(mesh) == list(range(len(values)))


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (np.float64(72.5), 72.5),
        (np.float32(72.5), 72.5),
        (np.int64(72), 72),
        (Fraction(145, 2), 72.5),
        (2**63, float(2**63)),
        (36893488147419103232, 36893488147419103232.0),
        (-(2**63) - 1, float(-(2**63))),
        (10**400, None),
        (-(10**400), None),
        (np.float64("nan"), None),
    ],
)
def test_a_number_of_any_kind_and_size_is_a_number(
    mesh: FakeMesh, told: Told, tmp_path: Path, value: Any, stored: float | None
) -> None:
    with ReadingsClient(mesh.config, "ward", tmp_path, told) as client:
        client.submit(reading(0, value))
        client.wait(20)
    assert [one.value for one in mesh.readings] == [stored]
    assert [event["value"] for event in told.of("queued")] == [stored]


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (Reading("", T0, 72, ""), "patient_id"),
        (Reading("P", 7, 72, ""), "timestamp"),
        (Reading("P", T0, "72", ""), "value"),  # type: ignore[arg-type]
        (Reading("P", T0, True, ""), "value"),
        (Reading("P", T0, np.True_, ""), "value"),  # type: ignore[arg-type]
        (Reading("P", T0, [72], ""), "value"),  # type: ignore[arg-type]
        (Reading("P", T0, 72, None), "raw_payload"),  # type: ignore[arg-type]
        (Reading("P", T0, 72, "x" * 1001), "raw_payload"),
        (Reading("P", T0, 72, "\ud800"), "raw_payload"),
        (("P", T0, 72), "row"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_field_and_nothing_of_it_is_queued(
    mesh: FakeMesh, tmp_path: Path, bad: Any, field: str
) -> None:
    with ReadingsClient(mesh.config, "ward", tmp_path) as client:
        with pytest.raises(InvalidInput, match=rf"readings\[1\]\.{field}"):
            client.submit_many([reading(0), bad])
        assert client.state.pending == 0


def test_answers_to_rows_are_told_in_the_order_of_the_rows_also_where_one_is_rejected(
    mesh: FakeMesh, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hfzmq.client.client.ReadingsClient.traffic", READINGS._replace(check=lambda row: None))
    rows = [reading(0), Reading("", T0 + 1, 72, ""), reading(2)]
    with ReadingsClient(mesh.config, "ward", tmp_path, told) as client:
        client.submit_many(rows)
        client.wait(20)
    answers = [event["event"] for event in told.events if event["event"] in ("ack", "rejected")]
    assert answers == ["ack", "rejected", "ack"]
    assert stamps(mesh) == [0, 2]


# ------------------------------------------------------------ a queue is of one kind


def test_a_queue_of_reports_is_refused_for_readings_and_the_other_way_round(mesh: FakeMesh, tmp_path: Path) -> None:
    Client(mesh.config, "bed", tmp_path / "reports").close()
    ReadingsClient(mesh.config, "bed", tmp_path / "readings").close()
    with pytest.raises(DataDirError, match="not for readings"):
        ReadingsClient(mesh.config, "bed", tmp_path / "reports")
    with pytest.raises(DataDirError, match="not for reports"):
        Client(mesh.config, "bed", tmp_path / "readings")
    Client(mesh.config, "bed", tmp_path / "reports").close()  # and neither was harmed
    ReadingsClient(mesh.config, "bed", tmp_path / "readings").close()


def test_either_queue_is_of_a_version_that_an_hfzmq_without_checksums_refuses(tmp_path: Path) -> None:
    versions = []
    for traffic in (REPORTS, READINGS):
        Queue.open(tmp_path / traffic.word, "bed", MESH, traffic).close()
        database = apsw.Connection(str(tmp_path / traffic.word / "queue.db"))
        versions.append(database.execute("PRAGMA user_version").get)
        database.close()
    assert versions == [3, 3]


def test_one_client_id_may_bring_both_at_once(mesh: FakeMesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with Client(mesh.config, "bed") as reports, ReadingsClient(mesh.config, "bed") as readings:
        for number in range(20):
            reports.submit(report(number))
            readings.submit(reading(number))
        reports.wait(20)
        readings.wait(20)
    assert [one.day for one in mesh.stored] == list(range(20))
    assert stamps(mesh) == list(range(20))


def test_the_default_queues_lie_side_by_side(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    reports, readings = default_queue_dir("bed", MESH), default_queue_dir("bed", MESH, READINGS)
    assert reports.parent == readings.parent
    assert readings.name == f"{reports.name}-readings"


def test_no_batch_size_below_one(mesh: FakeMesh, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="batch_rows"):
        ReadingsClient(mesh.config, "ward", tmp_path, batch_rows=0)
    eventually(lambda: not (tmp_path / "queue.lock").exists())
