"""Real processes, real patients: no AMBER or RED report is lost, doubled or reordered while peers and clients die."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hfzmq.clinical.tiers import REPORTED, tier_of
from hfzmq.model.inference import RiskModel
from tests.system.mesh import ROOT, Mesh, events, hfzmq, wait_for


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    with Mesh(tmp_path) as mesh:
        yield mesh


def expected(patients_csv: Path) -> list[tuple[str, str]]:
    """(patient, tier) of every row that must be reported, in the order of the file; judged here, not by the client."""
    model = RiskModel.load()
    found = []
    with patients_csv.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file), 1):
            judged = model.judge(
                float(row["age"]),
                float(row["serum_sodium"]),
                float(row["serum_creatinine"]),
                float(row["ejection_fraction"]),
                int(row["time"]),
            )
            tier = tier_of(judged.probability)
            if tier in REPORTED:
                found.append((f"hf-{number:03d}", tier))
    assert len(found) > 30, "hardly anybody of this cohort is ill"
    return found


def stored(mesh: Mesh) -> list[tuple[str, str]]:
    """(patient, tier) in the order of ids, the same in all three files."""
    rows = mesh.assert_equal_rows()
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1)), "ids have holes"
    return [(row[1], row[9]) for row in rows]


class Bedside:
    """``hfzmq client --source`` as a process, its JSON lines in a file."""

    def __init__(self, mesh: Mesh, source: Path, interval_s: float) -> None:
        self.lines = mesh.folder / "client.jsonl"
        with self.lines.open("ab") as out, (mesh.folder / "client.err").open("ab") as err:
            self.process = subprocess.Popen(
                hfzmq("client", "--config", mesh.path, "--headless", "-o", "jsonl", "--source", source,
                      "--interval", interval_s, "--queue", mesh.folder / "queue", "--client-id", "ward"),
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )  # fmt: skip

    def wait_for_acks(self, count: int) -> None:
        wait_for(f"{count} acknowledgements", lambda: len(self.acks()) >= count, 60)

    def acks(self) -> list[dict[str, Any]]:
        return events(self.lines, "ack")


def test_two_kills_of_the_leader_lose_double_and_reorder_nothing(mesh: Mesh, patients_csv: Path) -> None:
    wanted = expected(patients_csv)
    bedside = Bedside(mesh, patients_csv, 0.03)
    for share in (4, 2):
        bedside.wait_for_acks(len(wanted) // share)
        leader = mesh.wait_for_leader()
        mesh.kill(leader)
        mesh.wait_for_leader(*(set(mesh.config.peer_ids) - {leader}))
        bedside.wait_for_acks(len(bedside.acks()) + 3)
        mesh.start(leader)
    assert bedside.process.wait(120) == 0, (mesh.folder / "client.err").read_text()
    assert stored(mesh) == wanted
    assert [ack["patient"] for ack in bedside.acks()] == [patient for patient, _ in wanted]


def test_a_client_killed_again_and_again_goes_on_where_its_queue_stands(mesh: Mesh, patients_csv: Path) -> None:
    wanted = expected(patients_csv)
    for share in (5, 3, 2):
        bedside = Bedside(mesh, patients_csv, 0.01)
        bedside.wait_for_acks(len(wanted) // share)
        bedside.process.kill()
        bedside.process.wait()
    bedside = Bedside(mesh, patients_csv, 0.01)
    assert bedside.process.wait(120) == 0, (mesh.folder / "client.err").read_text()
    assert stored(mesh) == wanted


def test_a_client_killed_while_the_mesh_is_away_loses_nothing(mesh: Mesh, patients_csv: Path) -> None:
    wanted = expected(patients_csv)
    bedside = Bedside(mesh, patients_csv, 0.01)
    bedside.wait_for_acks(5)
    for number in (2, 3):
        mesh.kill(number)
    wait_for("all rows judged", lambda: len(events(bedside.lines, "risk")) >= 200, 60)
    bedside.process.kill()
    bedside.process.wait()
    for number in (2, 3):
        mesh.start(number)
    assert Bedside(mesh, patients_csv, 0.0).process.wait(120) == 0
    assert stored(mesh) == wanted
