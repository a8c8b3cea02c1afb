"""Limits that a real daemon keeps: descriptors, who does not read, memory, and what somebody without a right costs."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import zmq

from hfzmq.client.line import Curve
from hfzmq.secret_files import make_pair
from hfzmq.wire.requests import decode_reply, digest, encode_request, encode_rows
from tests.fuzz.field import Field
from tests.fuzz.gauge import Sample, sample
from tests.fuzz.keyed import Lines, put
from tests.fuzz.letters import EPOCH, NOW_MS
from tests.fuzz.tap import Tap
from tests.fuzz.target import CLIENT, NO_KEY, REVOKED, STRANGER, Target
from tests.system.mesh import ROOT, hfzmq, wait_for

FEW = 400
GREETING, WELCOME, ERROR = 64, 170, 16  # bytes of a server that refuses: all of RFC 26 but READY
REFUSED = 60
CPU_MS_EACH = 20.0  # of the daemon, for one who is refused; the machine may be slow
PAGE_ROWS = 1000

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")


def weighed(field: Field, number: int = 1) -> Sample:
    """A daemon as it is now."""
    found = sample(field.processes[number].pid)
    assert found is not None, f"daemon {number} is gone"
    return found


def asked(line: zmq.Socket[bytes], request: bytes, within_ms: int = 10_000) -> dict[str, Any]:
    """The answer on a line; AssertionError when there is none."""
    line.send_multipart([b"", request])
    assert line.poll(within_ms), "no answer"
    return decode_reply(line.recv_multipart()[-1])


def pages(field: Field, line: zmq.Socket[bytes]) -> bytes:
    """Fill a page as large as one may be; the request for it."""
    rows = encode_rows(
        [[f"{number:064d}", NOW_MS, 60.0, 135.0, 1.5, 40.0, 5, 0.4, "AMBER", 0.4, "m" * 60, "x" * 190]
         for number in range(PAGE_ROWS)]
    )  # fmt: skip
    about = {"client": "page", "epoch": EPOCH, "seq": 1, "rows": rows, "digest": digest(rows)}
    reply = asked(line, encode_request(field.config.mesh_id, "submit", **about))
    assert (reply["status"], reply["rejected"]) == ("ACK", [])
    return encode_request(field.config.mesh_id, "reports", limit=PAGE_ROWS)


def test_who_asks_for_much_and_never_reads_costs_a_few_answers_and_others_are_served(tmp_path: Path) -> None:
    with Field(tmp_path, peers=1) as field, Lines(field.target(1)) as lines:
        honest = lines.open(CLIENT, field.config.peer(1).client_port)
        page = pages(field, honest)
        answer = len(str(asked(honest, page)["rows"]))
        assert answer > 300_000
        before = weighed(field)
        deaf = lines.open(CLIENT, field.config.peer(1).client_port, queue=0, deaf=True)
        dropped, status = 0, encode_request(field.config.mesh_id, "status")

        def given_up() -> bool:
            nonlocal dropped
            for _ in range(20):
                put(deaf, b"", page)
            dropped = asked(honest, status)["peer"]["counters"].get("client_answer_dropped", 0)
            return bool(dropped > 100)

        wait_for("answers that nobody reads are dropped", given_up, 90)
        # Once: up to 1,000 answers of 0.4 MB for each connection.
        assert weighed(field).rss_mib < before.rss_mib + 64
        wait_for("others are served", lambda: asked(honest, page)["status"] == "OK")  # or BUSY, until it is through


def test_descriptors_taken_at_the_peers_ports_by_who_has_no_key_do_not_end_or_spin_a_daemon(tmp_path: Path) -> None:
    field = Field(tmp_path, peers=1)
    with (tmp_path / "1.log").open("ab") as log:
        line = hfzmq("serve", "--id", 1, "--config", tmp_path / "peers_1.yaml", "--data-dir", tmp_path / "1")
        field.processes[1] = subprocess.Popen(
            ["sh", "-c", f'ulimit -n {FEW} && exec "$@"', "sh", *line], cwd=ROOT, stdout=log, stderr=log
        )
    here = field.config.peer(1)
    crowd: list[socket.socket] = []
    try:
        field.wait_for_leader(1)
        with Lines(field.target(1)) as lines:
            inside = lines.open(CLIENT, here.client_port)
            status = encode_request(field.config.mesh_id, "status")
            assert asked(inside, status)["status"] == "OK"
            told = False

            def come() -> bool:
                nonlocal told
                for _ in range(20):
                    with contextlib.suppress(OSError):
                        port = here.peer_port if len(crowd) % 2 else here.beat_port
                        crowd.append(socket.create_connection((here.host, port), timeout=0.1))
                told = told or "no more peers are let in" in field.log(1)
                return told and "no more clients are let in" in field.log(1)

            # Who says nothing is put out after HANDSHAKE_MS, so they have to come faster than that.
            wait_for("all doors are shut", come, 60)
            before = weighed(field)
            assert before.descriptors < FEW
            for _ in range(20):
                assert asked(inside, status)["status"] == "OK", "who is in is served on"
            assert field.processes[1].poll() is None
            wait_for("they are let in again", lambda: "peers are let in again" in field.log(1), 30)
            after = weighed(field)
            assert (after.cpu_s - before.cpu_s) / (after.at_s - before.at_s) < 0.7, "it turns in circles"
            assert asked(inside, status)["status"] == "OK"
    finally:
        for one in crowd:
            one.close()
        field.__exit__()


def test_memory_that_is_taken_is_given_back_and_honest_clients_come_back_by_themselves(tmp_path: Path) -> None:
    with Field(tmp_path, peers=1) as field:
        before = weighed(field)
        with Lines(field.target(1)) as lines:
            status = encode_request(field.config.mesh_id, "status")
            honest = lines.open(CLIENT, field.config.peer(1).client_port)
            assert asked(honest, status)["status"] == "OK"

            heavy = ("endless_parts", "endless_parts", "large_and_unfinished")
            strikes = [field.strike(1, [name], 1, 120) for name in heavy]

            def put_out() -> bool:
                for at, name in enumerate(heavy):  # ZeroMQ may abort whoever is put out in the middle of a message
                    if strikes[at].poll() is not None:
                        strikes[at] = field.strike(1, [name], 1, 120)
                return "everybody has to connect anew" in field.log(1)

            try:
                wait_for("everybody is put out", put_out, 120)
                wait_for("an answer", lambda: ask_again(honest, status), 30)
            finally:
                for one in strikes:
                    one.kill()
                    one.wait()
        wait_for("memory is given back", lambda: weighed(field).rss_mib < before.rss_mib + 200, 30)
        assert field.processes[1].poll() is None


def ask_again(line: zmq.Socket[bytes], request: bytes) -> bool:
    """Whether there is an answer, be it to an earlier question."""
    return put(line, b"", request) and bool(line.poll(500)) and bool(line.recv_multipart())


# ------------------------------------------------------------ who has no right to anything


def refused(target: Target, tap: Tap, key: str) -> None:
    """Come with a key through a tap and ask; once."""
    with zmq.Context() as context:
        line = context.socket(zmq.DEALER)
        line.setsockopt(zmq.LINGER, 0)
        line.setsockopt(zmq.RECONNECT_IVL, -1)
        if key != NO_KEY:
            Curve(make_pair() if key == STRANGER else target.keys[key], target.server).show(line)
        seen = tap.ended
        line.connect(f"tcp://{target.host}:{tap.port}")
        put(line, b"", encode_request(target.mesh_id, "status"))
        wait_for("the connection is over", lambda: tap.ended > seen, 20)
        assert not line.poll(0)
        line.close()


@pytest.mark.parametrize("key", [NO_KEY, STRANGER, REVOKED])
def test_who_has_no_key_in_force_gets_no_byte_beyond_the_handshake_and_costs_next_to_nothing(
    tmp_path: Path, key: str
) -> None:
    with Field(tmp_path, peers=1) as field:
        target = field.target(1)
        for port in target.mesh_ports:
            with Tap(target.host, port) as tap:
                refused(target, tap, key)
                assert 0 < tap.back[0] <= GREETING + WELCOME + ERROR
        with Tap(target.host, target.client_port) as tap:
            before = weighed(field)
            for _ in range(REFUSED):
                refused(target, tap, key)
            after = weighed(field)
            assert len(tap.back) >= REFUSED
            assert max(tap.back) <= GREETING + WELCOME + ERROR
        idle_s = after.at_s - before.at_s
        spent_ms = 1000 * (after.cpu_s - before.cpu_s - 0.1 * idle_s)  # what a daemon that leads does anyway
        assert spent_ms / REFUSED < CPU_MS_EACH
        assert after.rss_mib < before.rss_mib + 8
        wait_for("nothing is left open", lambda: weighed(field).descriptors <= before.descriptors + 2)


def test_who_is_revoked_while_connected_gets_no_byte_from_then_on(tmp_path: Path) -> None:
    with Field(tmp_path, peers=1) as field:
        target = field.target(1)
        status = encode_request(target.mesh_id, "status")
        with Tap(target.host, target.client_port) as tap, zmq.Context() as context:
            line = context.socket(zmq.DEALER)
            line.setsockopt(zmq.LINGER, 0)
            Curve(target.keys[CLIENT], target.server).show(line)
            line.connect(f"tcp://{target.host}:{tap.port}")
            assert asked(line, status)["status"] == "OK"
            done = subprocess.run(
                hfzmq("keys", "revoke", "hostile", "--config", field.path,
                      "--key", field.folder / "keys" / "admin.secret"),
                cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            had = tap.back[0]
            for _ in range(50):
                put(line, b"", status)
            dropped = "client_request_key_not_in_force"
            wait_for("all were read", lambda: field.status()[1]["counters"].get(dropped) == 50)
            until = time.monotonic() + 0.5
            wait_for("half a second passes", lambda: time.monotonic() > until)
            assert tap.back == [had], "an answer, after all"
            line.close()
