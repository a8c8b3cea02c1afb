"""Debian's Prometheus scrapes a real mesh: its queries return what the mesh says, its rules see what is amiss."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hfzmq.cli.http_address import AFTER_CLIENT_PORT
from tests.system.mesh import ROOT, Mesh, wait_for
from tests.system.test_partition import Writer

RULES = ROOT / "daemon" / "units" / "hfzmq.rules.yml"
SCRAPE = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: hfzmq
    static_configs: [{{targets: {targets}}}]
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str) -> tuple[int, str]:
    """Status and text; (0, "") where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


class Watched:
    """A mesh of three whose peers answer health checks, and the Prometheus that scrapes them."""

    def __init__(self, folder: Path) -> None:
        self.mesh = Mesh(folder)
        self.ports = {number: free_port() for number in self.mesh.config.peer_ids}
        rules = folder / "hfzmq.rules.yml"
        rules.write_text(RULES.read_text().replace("for: 15s", "for: 1s"))
        config = folder / "prometheus.yml"
        targets = json.dumps([f"127.0.0.1:{port}" for port in self.ports.values()])
        config.write_text(SCRAPE.format(rules=rules, targets=targets))
        self.port = free_port()
        for number in self.ports:
            self.start(number)
        with (folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}",
                 f"--web.listen-address=127.0.0.1:{self.port}"],
                stdout=log, stderr=log,
            )  # fmt: skip

    def start(self, number: int) -> None:
        self.mesh.start(number, "--http", f"127.0.0.1:{self.ports[number]}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.mesh.__exit__()

    def query(self, words: str) -> dict[str, float]:
        """The value of each series, by its instance ("" where it has none)."""
        _, text = get(f"http://127.0.0.1:{self.port}/api/v1/query?query={urllib.parse.quote(words)}")
        if not text:
            return {}
        found: list[dict[str, Any]] = json.loads(text)["data"]["result"]
        return {one["metric"].get("instance", ""): float(one["value"][1]) for one in found}

    def firing(self) -> set[str]:
        _, text = get(f"http://127.0.0.1:{self.port}/api/v1/alerts")
        found = json.loads(text)["data"]["alerts"] if text else []
        return {one["labels"]["alertname"] for one in found if one["state"] == "firing"}


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    if not shutil.which("prometheus"):
        pytest.skip("prometheus is not installed: tests/system/install.sh")
    found = Watched(tmp_path)
    yield found
    found.close()


@pytest.mark.alone
def test_prometheus_scrapes_a_mesh_and_its_alerts_fire_when_the_quorum_is_lost(watched: Watched) -> None:
    mesh = watched.mesh
    leader = mesh.wait_for_leader()
    writer = Writer(mesh)
    for _ in range(5):
        writer.send_until_acked(leader)
    wait_for("five reports everywhere", lambda: list(watched.query("hfzmq_reports_stored").values()) == [5.0] * 3, 40)

    def agrees() -> bool:
        status = mesh.status()[mesh.wait_for_leader()]
        return (
            list(watched.query("hfzmq_term").values()) == [float(status["term"])] * 3
            and watched.query('sum(hfzmq_role{role="leader"})') == {"": 1.0}
            and set(watched.query("hfzmq_leader_id").values()) == {float(status["id"])}
        )

    wait_for("term, role and leader are those of the status", agrees, 40)
    assert sum(watched.query('hfzmq_events_total{event="replies_ack"}').values()) >= 5
    assert min(watched.query("hfzmq_sync_seconds_count").values()) > 0
    assert watched.query("up") == {f"127.0.0.1:{port}": 1.0 for port in watched.ports.values()}
    for port in watched.ports.values():
        assert get(f"http://127.0.0.1:{port}/readyz") == (200, "ok\n")
    wrong = {"HfzmqNoLeader", "HfzmqNoQuorum", "HfzmqDivergence"}  # scraped before there was a leader, one may fire
    wait_for("no alert", lambda: not watched.firing() & wrong, 40)

    others = [number for number in watched.ports if number != 2]
    for number in others:
        mesh.kill(number)
    last = f"http://127.0.0.1:{watched.ports[2]}"
    wait_for("it is not ready", lambda: get(f"{last}/readyz")[0] == 503)
    wait_for("and why", lambda: "no quorum heard: 0 of 2 other peers" in get(f"{last}/readyz")[1].splitlines())
    assert get(f"{last}/healthz") == (200, "ok\n")  # to restart it would mend nothing
    wait_for("the alerts", lambda: {"HfzmqNoLeader", "HfzmqNoQuorum"} <= watched.firing(), 40)
    for number in others:
        watched.start(number)
    wait_for("it is ready again", lambda: get(f"{last}/readyz")[0] == 200)
    wait_for("the alerts are over", lambda: not {"HfzmqNoLeader", "HfzmqNoQuorum"} & watched.firing(), 40)


def test_promtool_takes_the_metrics_of_a_real_peer_and_none_of_them_names_a_patient(tmp_path: Path) -> None:
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed: tests/system/install.sh")
    mesh = Mesh(tmp_path, peers=1)
    try:
        mesh.start(1, "--http", "127.0.0.1")
        mesh.wait_for_leader(1)
        Writer(mesh).send_until_acked(1)
        url = f"http://127.0.0.1:{mesh.config.peer(1).client_port + AFTER_CLIENT_PORT}/metrics"
        text = wait_for("a report", lambda: text if "hfzmq_reports_stored 1.0" in (text := get(url)[1]) else "")
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
        ((patient,),) = mesh.ask(1, "select patient_id from risk_reports")
        assert patient not in text
    finally:
        mesh.__exit__()
