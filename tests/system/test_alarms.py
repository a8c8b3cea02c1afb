"""Real processes: alarms are raised once, stay seen, come in time and reach people, whoever leads and dies."""

from __future__ import annotations

import json
import select
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from hfzmq import Client
from hfzmq.alarm_channels import APPRISE, COMMAND, Channel, Url
from hfzmq.client.ask import ask_leader
from hfzmq.clinical.alarm.types import Episode
from hfzmq.clinical.report import Report
from hfzmq.config import Timing
from hfzmq.errors import HfzmqError
from tests.integration.notify_world import MailServer, Webhook, family, hanging_host
from tests.system.mesh import ROOT, Mesh, hfzmq, wait_for

NEVER_MS = 3_600_000
MAIL = "mailto://nurse:word@127.0.0.1:{}?from=mesh@ward.example&to=desk@ward.example"
EPISODES = "select id, patient_id, cause, state, acknowledged_by from alarm_episodes order by id"


def pause(seconds: float) -> None:
    """The beds' own pace."""
    select.select([], [], [], seconds)


def red(patient: str) -> Report:
    now_ms = time.time_ns() // 1_000_000
    return Report(patient, now_ms, 80, 127.0, 2.4, 20, 4, 0.9, "RED", 0.9, "hf-1", "")


def green(patient: str) -> Report:
    return red(patient)._replace(probability=0.1, tier="GREEN")


@pytest.fixture
def client_of(tmp_path: Path) -> Iterator[Any]:
    clients: list[Client] = []

    def make(mesh: Mesh) -> Client:
        clients.append(Client(mesh.config, "ward", tmp_path / "queue"))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def acknowledge(mesh: Mesh, target: dict[str, Any], by: str = "nurse") -> dict[str, Any]:
    """As a nurse does: again until the mesh has answered."""

    def asked() -> dict[str, Any] | None:
        try:
            return ask_leader(mesh.config, "alarm", {"action": "ack", "by": by, **target}, 2000)
        except HfzmqError:
            return None

    answer = wait_for("an answer to the nurse", asked, 30)
    assert answer
    return answer


def alarms(mesh: Mesh) -> list[tuple[Any, ...]]:
    """The episodes, the same on all peers."""
    found = [Episode(*row[:-1]) for row in mesh.assert_equal_tables()["alarm_episodes"]]
    return [(one.id, one.patient_id, one.cause, one.state, one.acknowledged_by) for one in found]


def test_ten_kills_of_the_leader_leave_one_episode_a_cause_with_its_acknowledgement(
    tmp_path: Path, client_of: Any
) -> None:
    rng = Random(7)
    with Mesh(tmp_path, rules={"silent_ms": NEVER_MS}) as mesh:
        client = client_of(mesh)
        for number in range(10):
            patient = f"bed-{number}"
            client.submit(red(patient))
            deadline = time.monotonic() + rng.uniform(0, 0.4)
            while time.monotonic() < deadline:
                client.submit(red(patient))
                pause(0.05)
            leader = mesh.wait_for_leader()
            mesh.kill(leader)
            client.submit(red(patient))
            if rng.random() < 0.5:
                mesh.start(leader)
            assert acknowledge(mesh, {"patient": patient})["status"] == "ACK"
            client.submit(red(patient))  # it is still RED: seen stays seen
            if mesh.processes[leader].poll() is not None:
                mesh.start(leader)
            client.wait(30)
        found = alarms(mesh)
    assert [(row[1], row[2]) for row in found] == [(f"bed-{number}", "RED") for number in range(10)]
    unseen = [row for row in found if row[3] == "unacknowledged"]
    assert not unseen, "a nurse saw all of them"


@pytest.mark.alone
def test_each_of_twenty_beds_that_fall_silent_alarms_within_its_limit_and_a_second(
    tmp_path: Path, client_of: Any
) -> None:
    limit_ms, beds = 3000, [f"bed-{number:02d}" for number in range(20)]
    with Mesh(tmp_path, rules={"silent_ms": limit_ms}) as mesh:
        mesh.wait_for_leader(1)  # nobody else takes over meanwhile: each new leader hears the beds for a second first
        client = client_of(mesh)
        last: dict[str, int] = {}
        began = time.monotonic()
        while len(last) < len(beds) or time.monotonic() - began < 8:
            gone = time.monotonic() - began
            talking = [bed for number, bed in enumerate(beds) if gone < 2 + 0.2 * number]
            client.seen([green(bed) for bed in talking])
            last.update(dict.fromkeys(talking, time.time_ns() // 1_000_000))
            pause(0.1)
        wait_for("twenty alarms", lambda: len(mesh.ask(1, EPISODES)) == len(beds), 10)
        mesh.wait_until_equal()
        raised = mesh.ask(2, "select patient_id, cause, raised_at_ms from alarm_episodes")
    late = {patient: at_ms - last[patient] for patient, cause, at_ms in raised if cause == "NO_DATA"}
    assert sorted(late) == beds
    assert all(limit_ms - 1000 <= ms <= limit_ms + 1000 for ms in late.values()), late


def test_a_recording_with_zeros_and_gaps_raises_no_heart_rate_alarm_and_one_for_its_silence(tmp_path: Path) -> None:
    began_ms = time.time_ns() // 1_000_000
    times = [*(range(0, 4000, 500)), *(range(4000, 7000, 500)), 9500, 10_000, *range(10_500, 13_000, 500)]
    zeros = {4000, 4500, 5000, 5500, 6000, 6500, 9500, 10_000}
    lines = [f"{began_ms + at},bed-1,{0 if at in zeros else 72}" for at in times]
    recording = tmp_path / "recording.csv"
    recording.write_text("timestamp,patient_id,value\n" + "\n".join(lines) + "\n")
    with Mesh(tmp_path, rules={"silent_ms": 3000}) as mesh:
        line = hfzmq("stream", "--config", mesh.path, "--source", recording, "--queue", tmp_path / "q", "-o", "jsonl")
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert Counter(row[2] for row in mesh.ask(1, EPISODES)) == {"NO_DATA": 1}
        states = mesh.ask(1, "select what from alarm_events where what in ('raised', 'returned')")
        assert states == [("raised",), ("returned",)]
        zeros_stored = mesh.ask(1, "select count(*) from heartbeats where anomaly_type = 'sensor_off'")
        assert zeros_stored == [(len(zeros),)]


def test_people_are_told_by_webhook_and_mail_over_two_kills_of_the_leader_though_a_channel_hangs(
    tmp_path: Path, client_of: Any
) -> None:
    with Webhook() as webhook, MailServer() as mail, hanging_host() as hanging:
        channels = (
            Channel("hook", APPRISE, url=Url(f"json://127.0.0.1:{webhook.port}/alarm")),
            Channel("mail", APPRISE, url=Url(MAIL.format(mail.port))),
            Channel("hangs", APPRISE, url=Url(f"json://127.0.0.1:{hanging}/"), timeout_ms=2000),
            Channel("page", COMMAND, argv=("/bin/sh", "-c", f"cat >> {tmp_path}/paged; echo >> {tmp_path}/paged")),
        )
        with Mesh(tmp_path, rules={"silent_ms": NEVER_MS}, channels=channels) as mesh:
            client = client_of(mesh)
            for number in range(3):
                client.submit(red(f"bed-{number}"))
                client.wait(30)
                if number < 2:
                    leader = mesh.wait_for_leader()
                    mesh.kill(leader)
                    mesh.start(leader)
                    mesh.wait_for_leader()
            wanted = {1, 2, 3}

            def told() -> bool:
                return set(webhook.episodes()) >= wanted and set(mail.episodes()) >= wanted

            wait_for("webhook and mail", told, 60)
            paged = [json.loads(one) for one in (tmp_path / "paged").read_text().splitlines() if one]
            assert {one["episode_id"] for one in paged} >= wanted
            delivered = "select distinct episode_id, substr(detail, 1, 6) from alarm_events where what = 'sent'"
            everything = {(number, f"1:{name}") for number in wanted for name in ("hook", "mail", "page")}
            wait_for("all is noted as sent", lambda: set(mesh.ask(3, delivered)) >= everything, 30)
            assert len(alarms(mesh)) == 3
            client.submit(red("bed-9"))
            client.wait(5)  # a channel that hangs holds nobody up


def test_only_who_leads_tells_people_and_a_channel_that_floods_and_fails_is_one_line_an_alarm(
    tmp_path: Path, client_of: Any
) -> None:
    tries = tmp_path / "tries"
    tries.touch()
    flood = ("/bin/sh", "-c", f"echo >> {tries}; while :; do echo flood; echo flood >&2; done")
    channels = (Channel("flood", COMMAND, argv=flood, timeout_ms=300, retry_for_ms=4000),)

    def tells(number: int) -> bool:
        return bool(_notifiers(mesh.processes[number].pid))

    def tells_alone(number: int) -> bool:
        return tells(number) and not any(tells(other) for other in mesh.processes if other != number)

    def moves(leader: int, following: int) -> None:
        before = tries.stat().st_size
        wait_for("it tries", lambda: tells_alone(leader) and tries.stat().st_size > before + 2, 20)
        transfer = hfzmq("peer", "transfer", following, "--config", mesh.path, "--timeout", 10)
        subprocess.run(transfer, cwd=ROOT, check=True, capture_output=True, timeout=30)
        wait_for("the old leader tells nobody", lambda: not tells(leader), 20)

    stays = Timing(handover_settle_ms=60_000)
    with Mesh(tmp_path, timing=stays, rules={"silent_ms": NEVER_MS}, channels=channels) as mesh:
        client = client_of(mesh)
        for number in (1, 2):
            client.submit(red(f"bed-{number}"))
        client.wait(30)
        for _ in range(2):
            leader = mesh.wait_for_leader()
            moves(leader, leader % 3 + 1)
        wait_for("the last one tells", lambda: tells_alone(mesh.wait_for_leader()), 20)
        told = "select episode_id, detail from alarm_events where what in ('sent', 'failed')"
        wait_for("two lines", lambda: len(mesh.ask(2, told)) >= 2, 20)
        assert sorted(mesh.ask(2, told)) == [(number, "1:flood not done in 0.3 s, killed") for number in (1, 2)]
        assert all(path.stat().st_size < 100_000 for path in tmp_path.glob("*.log"))


def _notifiers(pid: int) -> list[int]:
    """The notifier processes below a process."""
    words = {one: Path(f"/proc/{one}/cmdline") for one in family(pid) if one != pid}
    return [one for one, path in words.items() if path.exists() and b"hfzmq.daemon.notify.process" in path.read_bytes()]
