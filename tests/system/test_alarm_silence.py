"""Real processes: whoever is silent is told, by each of its sources; whoever talks is not, though leaders die."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hfzmq import Client
from hfzmq.cli.bed_view import merge_beds
from hfzmq.client import ReadingsClient
from hfzmq.client.ask import ask_all
from hfzmq.clinical.heart_rate import Reading
from hfzmq.clinical.report import Report
from tests.system.mesh import Mesh, wait_for

LIMIT_MS = 4000
TOLD = "select patient_id, cause, note from alarm_episodes order by id"
SILENT_FOR = "select raised_at_ms - beat_at_ms from alarm_episodes join alarm_beds using (patient_id)"


def unix_ms() -> int:
    return time.time_ns() // 1_000_000


def green(patient: str) -> Report:
    return Report(patient, unix_ms(), 45, 140.0, 0.9, 60, 4, 0.1, "GREEN", 0.1, "hf-1", "")


@contextmanager
def talking(tell: Callable[[], object], every_s: float) -> Iterator[None]:
    """A bed, for as long as the block lasts."""
    stop = threading.Event()

    def talk() -> None:
        while not stop.wait(every_s):
            tell()

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def board_age_s(mesh: Mesh, patient: str) -> float:
    """How long ago a bed was heard, for a board that is opened now."""
    answers = ask_all(mesh.config, "beds", timeout_ms=700)
    beds = merge_beds({}, answers.values(), 100_000_000)
    return (100_000_000 - beds[patient].heard_at_ms) / 1000 if patient in beds else 3600.0


def test_a_bed_that_talks_is_not_told_silent_though_each_leader_dies_as_soon_as_it_leads(tmp_path: Path) -> None:
    with Mesh(tmp_path, rules={"silent_ms": LIMIT_MS}) as mesh, Client(mesh.config, "bed", tmp_path / "q") as client:
        with talking(lambda: client.seen([green("bed-1")]), 0.5):
            wait_for("the bed is heard of", lambda: mesh.ask(1, "select 1 from alarm_beds"))
            began, oldest = time.monotonic(), 0.0
            while time.monotonic() - began < 4 * LIMIT_MS / 1000:
                leader = mesh.wait_for_leader()
                leads_until = time.monotonic() + 0.5
                while time.monotonic() < leads_until:
                    oldest = max(oldest, board_age_s(mesh, "bed-1"))
                mesh.kill(leader)
                mesh.start(leader)
        mesh.wait_until_equal()
        assert mesh.ask(1, TOLD) == []
        assert oldest < 4, "no board calls it stale"


def test_a_sensor_that_fell_off_is_told_though_the_beds_risk_client_goes_on(tmp_path: Path) -> None:
    rate: list[Any] = [72]
    with (
        Mesh(tmp_path, rules={"silent_ms": LIMIT_MS}) as mesh,
        Client(mesh.config, "bed", tmp_path / "q") as client,
        ReadingsClient(mesh.config, "monitor", tmp_path / "r") as monitor,
    ):

        def tell() -> None:
            client.seen([green("bed-1")])
            monitor.submit(Reading("bed-1", unix_ms(), rate[0], ""))

        with talking(tell, 0.3):
            wait_for("heart rates", lambda: mesh.ask(1, "select 1 from alarm_beds where beat_at_ms > 0"))
            rate[0] = 0
            wait_for("the alarm", lambda: mesh.ask(1, TOLD), 60)
            ((silent_ms,),) = mesh.ask(1, SILENT_FOR)
            assert LIMIT_MS <= silent_ms < LIMIT_MS + 1500, "by the log's clock, however late this process looks"
            assert mesh.ask(1, TOLD) == [("bed-1", "NO_DATA", "no heart rate")]
            rate[0] = 72
            over = "select state from alarm_episodes where state = 'returned'"
            wait_for("its end", lambda: mesh.ask(1, over))
        assert len(mesh.ask(1, TOLD)) == 1
