"""The health desk over real HTTP: what it says of a pulse, and that whoever asks badly takes nothing from it."""

from __future__ import annotations

import contextlib
import http.client
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from hfzmq.daemon.gauge import OpenAlarms, Syncs
from hfzmq.daemon.health import CONNECTION_S, CONNECTIONS_MAX, HealthDesk
from hfzmq.daemon.vitals import BOUNDS_S
from hfzmq.errors import HfzmqError, PortInUse
from tests.system.mesh import wait_for
from tests.unit.test_readiness import WELL

GAUGE = WELL._replace(
    events=(("replies_ack", 5),),
    syncs=Syncs((1, 2, *[0] * (len(BOUNDS_S) - 2), 3), 21.5),
    alarms=(OpenAlarms("RED", 3, 2, int(time.time() * 1000) - 60_000),),
)


class Pulse(SimpleNamespace):
    """Vitals as the desk sees them."""

    def __init__(self) -> None:
        self.age_ms, self.silent_ms = 10.0, 0.0
        self.gauge: Any = GAUGE
        self.stopping = False
        self.client_port = 1

    def turn_age_ms(self) -> float:
        return self.age_ms

    def writing_ms(self) -> float:
        return self.silent_ms

    def excused(self) -> bool:
        return False


class Desk:
    """A desk, and the pulse that it looks at."""

    def __init__(self) -> None:
        pulse: Any = Pulse()
        self.pulse = pulse
        self.desk = HealthDesk(self.pulse, "127.0.0.1", 0)
        self.port = self.desk.port

    def ask(self, path: str, method: str = "GET") -> tuple[int, str]:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            line.request(method, path)
            answer = line.getresponse()
            return answer.status, answer.read().decode()
        finally:
            line.close()

    def raw(self, data: bytes) -> socket.socket:
        line = socket.create_connection(("127.0.0.1", self.port), timeout=3 * CONNECTION_S)
        line.sendall(data)
        return line


@pytest.fixture
def desk() -> Iterator[Desk]:
    found = Desk()
    yield found
    found.desk.close()


def read_to_end(line: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionError):
        while data := line.recv(65_536):
            found += data
    return found


def test_healthz_is_200_while_the_loop_turns_and_503_with_the_cause_when_it_hangs(desk: Desk) -> None:
    assert desk.ask("/healthz") == (200, "ok\n")
    desk.pulse.gauge = None  # a picture is not needed for a pulse
    assert desk.ask("/healthz?verbose=1") == (200, "ok\n")
    desk.pulse.age_ms, desk.pulse.silent_ms = 4000.0, 3900.0
    assert desk.ask("/healthz") == (503, "the loop has not turned for 4.0 s\ndisk silent for 3.9 s\n")
    assert desk.ask("/healthz", "HEAD") == (503, "")


def test_readyz_is_503_with_a_reason_a_line(desk: Desk) -> None:
    assert desk.ask("/readyz") == (200, "ok\n")
    desk.pulse.gauge = GAUGE._replace(leader=0, trails=2000)
    assert desk.ask("/readyz") == (503, "no leader known\nbehind by 2000 entries\n")


def test_other_paths_are_404_and_other_methods_501(desk: Desk) -> None:
    assert desk.ask("/")[0] == desk.ask("/metrics/../etc/passwd")[0] == 404
    assert desk.ask("/metrics", "POST")[0] == 501


def test_metrics_say_what_the_gauge_holds_and_nothing_of_what_is_not_known(desk: Desk) -> None:
    code, text = desk.ask("/metrics")
    assert code == 200
    lines = set(text.splitlines())
    for line in (
        'hfzmq_peer_info{mesh="ward",peer="2"} 1.0',
        'hfzmq_role{role="follower"} 1.0',
        'hfzmq_role{role="leader"} 0.0',
        "hfzmq_term 7.0",
        "hfzmq_leader_id 1.0",
        "hfzmq_quorum 1.0",
        "hfzmq_log_applied_index 9.0",
        "hfzmq_trails_leader_by 0.0",
        'hfzmq_events_total{event="replies_ack"} 5.0',
        'hfzmq_sync_seconds_bucket{le="0.001"} 1.0',
        'hfzmq_sync_seconds_bucket{le="5.0"} 3.0',
        'hfzmq_sync_seconds_bucket{le="+Inf"} 6.0',
        "hfzmq_sync_seconds_sum 21.5",
        "hfzmq_sync_seconds_count 6.0",
        'hfzmq_alarms_open{cause="RED"} 3.0',
        'hfzmq_alarms_unseen{cause="RED"} 2.0',
    ):
        assert line in lines, line
    waited = re.search(r'^hfzmq_alarms_unseen_seconds\{cause="RED"\} (\d+)\.', text, re.MULTILINE)
    assert waited
    assert int(waited[1]) >= 60
    assert "hfzmq_disk_free_bytes " not in text
    desk.pulse.gauge = GAUGE._replace(trails=None)
    assert "hfzmq_trails_leader_by " not in desk.ask("/metrics")[1]
    desk.pulse.gauge = None
    assert "hfzmq_turn_age_seconds" in desk.ask("/metrics")[1]


def test_promtool_finds_nothing_to_say_against_the_metrics(desk: Desk) -> None:
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed: tests/system/install.sh")
    text = desk.ask("/metrics")[1]
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_request_without_end_is_cut_off_and_others_are_answered_meanwhile(desk: Desk) -> None:
    slow = desk.raw(b"GET /hea")
    began = time.monotonic()
    drip = threading.Thread(target=_drip, args=(slow,), daemon=True)
    drip.start()
    assert desk.ask("/healthz") == (200, "ok\n")
    read_to_end(slow)
    assert time.monotonic() - began < 2 * CONNECTION_S
    slow.close()


def _drip(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        for _ in range(1000):
            line.sendall(b"l")
            threading.Event().wait(0.2)


def test_a_request_that_is_too_long_ends_there(desk: Desk) -> None:
    for data in (b"GET /" + b"x" * 1_000_000, b"GET / HTTP/1.0\r\n" + b"A: b\r\n" * 100_000, bytes(100_000)):
        line = socket.create_connection(("127.0.0.1", desk.port), timeout=10)
        with contextlib.suppress(OSError):
            line.sendall(data)
        began = time.monotonic()
        answer = read_to_end(line)
        assert len(answer) < 20_000
        assert time.monotonic() - began < CONNECTION_S
        line.close()
    assert desk.ask("/healthz") == (200, "ok\n")


def test_more_connections_than_there_are_places_are_turned_away_and_the_places_come_back(desk: Desk) -> None:
    lines = [desk.raw(b"") for _ in range(CONNECTIONS_MAX)]
    turned_away = desk.raw(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert read_to_end(turned_away) == b""
    turned_away.close()
    assert threading.active_count() < CONNECTIONS_MAX + 20
    for line in lines:
        line.close()
    wait_for("a place", lambda: _answers(desk))


def test_connections_that_ask_nothing_keep_nobody_out(desk: Desk) -> None:
    began = time.monotonic()
    lines = [desk.raw(b"" if number % 2 else b"GET /hea") for number in range(30)]
    wait_for("an answer", lambda: _answers(desk))
    assert time.monotonic() - began < CONNECTION_S - 1  # before their time is over
    assert desk.ask("/readyz")[0] in (200, 503)
    assert threading.active_count() < CONNECTIONS_MAX + 20
    for line in lines:
        line.close()


def _answers(desk: Desk) -> bool:
    try:
        return desk.ask("/healthz")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_a_port_that_is_taken_is_named_with_the_next_step(desk: Desk) -> None:
    with pytest.raises(PortInUse, match=rf"127\.0\.0\.1:{desk.port} \(health and metrics\) is in use") as told:
        HealthDesk(desk.pulse, "127.0.0.1", desk.port)
    assert f"sport = :{desk.port}" in told.value.hint
    with pytest.raises(HfzmqError, match="cannot listen on"):
        HealthDesk(desk.pulse, "192.0.2.1", 0)
    with pytest.raises(HfzmqError, match=r"cannot listen on \[2001:db8::1\]:9 for"):
        HealthDesk(desk.pulse, "2001:db8::1", 9)
