"""One real daemon at a time: how it starts, stops, refuses to start, and what bad input does to it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import msgpack
import pytest
import zmq

from hfzmq.client.ask import ask
from hfzmq.wire.requests import decode_reply, encode_request
from tests.system.mesh import ROOT, Mesh, hfzmq, wait_for
from tests.system.test_partition import Writer


def refused_start(*words: object) -> tuple[int, str]:
    """Exit code and words of a daemon that should not start."""
    done = subprocess.run(hfzmq("serve", *words), cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ") or "\nerror: " in done.stderr, done.stderr
    return done.returncode, done.stderr


def test_sigterm_on_the_leader_hands_over_and_exits_0_within_five_seconds(tmp_path: Path) -> None:
    with Mesh(tmp_path) as mesh:
        writer = Writer(mesh)
        writer.send_until_acked(mesh.wait_for_leader(1))
        began = time.monotonic()
        assert mesh.terminate(1) == 0
        assert time.monotonic() - began < 5
        mesh.wait_for_leader(2, 3, within_s=1.0)  # no lease had to run out
        assert "hands over" in mesh.log(2) + mesh.log(3)


def test_a_peer_that_is_stopped_for_seconds_comes_back_and_nothing_is_lost(tmp_path: Path) -> None:
    with Mesh(tmp_path) as mesh:
        writer = Writer(mesh)
        for pause_s in (1.5, 4.0):
            leader = mesh.wait_for_leader()
            writer.send_until_acked(leader)
            mesh.processes[leader].send_signal(signal.SIGSTOP)
            other = mesh.wait_for_leader(*(set(mesh.config.peer_ids) - {leader}))
            writer.send_until_acked(other)
            deadline = time.monotonic() + pause_s
            wait_for("the pause to end", lambda: time.monotonic() > deadline)  # noqa: B023
            mesh.processes[leader].send_signal(signal.SIGCONT)
            mesh.wait_until_equal()
        assert [row[1] for row in mesh.assert_equal_rows()] == writer.acked


def test_a_mesh_of_one_peer_keeps_reports_too(tmp_path: Path) -> None:
    with Mesh(tmp_path, peers=1) as mesh:
        writer = Writer(mesh)
        for _ in range(3):
            writer.send_until_acked(1)
        mesh.kill(1)
        mesh.start(1)
        mesh.wait_for_leader(1)
        writer.send_until_acked(1)
        assert [row[1] for row in mesh.rows(1)] == writer.acked


def test_bad_requests_are_refused_by_name_and_the_daemon_goes_on(tmp_path: Path) -> None:
    with Mesh(tmp_path, peers=1, keyed=False) as mesh:
        here, mesh_id = mesh.config.peer(1), mesh.config.mesh_id
        good = {"v": 1, "mesh": mesh_id, "op": "status"}
        for request, field in (
            ({**good, "v": 9}, "v"),
            ({**good, "mesh": bytes(16)}, "mesh"),
            ({**good, "op": "destroy"}, "op"),
            ({**good, "extra": 1}, "extra"),
            ({**good, "op": "submit", "client": "c"}, "epoch"),
            ({**good, "op": "reports", "limit": 0}, "limit"),
            ({**good, "op": "reports", "limit": float("nan")}, "limit"),
            ({**good, "op": "reports", "patient": 7}, "patient"),
            ([1, 2, 3], "message"),
        ):
            reply = ask(here.host, here.client_port, msgpack.packb(request), 2000)
            assert reply is not None, request
            assert (reply["status"], reply["field"]) == ("REFUSED", field), reply
            assert reply["bound"]
        for noise in (b"", b"\xc1", b"\xdd\xff\xff\xff\xff", os.urandom(5000)):
            reply = ask(here.host, here.client_port, noise, 2000)
            assert reply is None or reply["status"] == "REFUSED"
        for port in (here.client_port, here.peer_port, here.beat_port):
            with socket.create_connection((here.host, port)) as raw:
                raw.sendall(os.urandom(3000))
        too_large: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        too_large.setsockopt(zmq.LINGER, 0)
        too_large.connect(f"tcp://{here.host}:{here.client_port}")
        too_large.send_multipart([b"", bytes(mesh.config.limits.client_message_bytes_max + 1)])
        assert ask(here.host, here.client_port, encode_request(mesh_id, "status"), 2000)
        assert not too_large.poll(200)
        too_large.close()
        counters = mesh.status()[1]["counters"]
        assert counters["client_request_refused"] >= 9


def test_a_bad_row_is_rejected_by_number_and_the_rest_of_its_batch_is_kept(tmp_path: Path) -> None:
    from hfzmq.wire.requests import digest, encode_rows

    with Mesh(tmp_path, peers=1, keyed=False) as mesh:
        good = ["bed", int(time.time() * 1000), 60.0, 135.0, 1.5, 40.0, 5, 0.7, "RED", 0.8, "m", ""]
        rows = encode_rows(
            [good, [*good[:4], 9000.0, *good[5:]], good[:-1], [*good[:7], float("nan"), *good[8:]], good]
        )
        request = encode_request(
            mesh.config.mesh_id, "submit", client="c", epoch=bytes(16), seq=1, rows=rows, digest=digest(rows)
        )
        here = mesh.config.peer(1)
        for _ in range(2):  # asked again, it is answered the same and stored once
            reply = ask(here.host, here.client_port, request, 2000)
            assert reply is not None
            assert reply["status"] == "ACK"
            assert [(row[0], row[1]) for row in reply["rejected"]] == [
                (1, "serum_creatinine"), (2, "row"), (3, "probability"),
            ]  # fmt: skip
        assert len(mesh.rows(1)) == 2


def test_a_port_in_use_is_named_with_the_command_that_finds_its_owner(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path, peers=1)
    with socket.create_server(("127.0.0.1", mesh.config.peer(1).client_port)):
        code, words = refused_start("--id", 1, "--config", mesh.path, "--data-dir", tmp_path / "d")
    assert code == 1
    assert f"127.0.0.1:{mesh.config.peer(1).client_port}, client_port of peer 1: in use" in words
    assert "hint: " in words


def test_a_second_process_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with Mesh(tmp_path, peers=1) as mesh:
        code, words = refused_start("--id", 1, "--config", mesh.path, "--data-dir", tmp_path / "1")
        assert code == 1
        assert str(mesh.processes[1].pid) in words
        assert mesh.leader() == 1


def test_another_peers_data_and_an_unknown_id_are_refused(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path, peers=3)
    code, words = refused_start("--id", 9, "--config", mesh.path, "--data-dir", tmp_path / "d")
    assert code == 6
    assert "no peer with id 9" in words
    bad = tmp_path / "bad.yaml"
    bad.write_text(mesh.path.read_text().replace("lease_ms: 1000", "lease_ms: soon"))
    code, words = refused_start("--id", 1, "--config", bad, "--data-dir", tmp_path / "d")
    assert code == 6
    assert f"{bad}:" in words
    assert "timing.lease_ms" in words


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_data_directory_without_rights_is_refused(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path, peers=1)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    code, words = refused_start("--id", 1, "--config", mesh.path, "--data-dir", closed / "d")
    assert code == 1
    assert "closed" in words


def test_nothing_that_a_daemon_makes_is_for_other_users_and_a_directory_that_is_open_to_all_is_told(
    tmp_path: Path,
) -> None:
    mesh, before = Mesh(tmp_path, peers=1), os.umask(0)
    try:
        (tmp_path / "1").mkdir(mode=0o777)
        mesh.start(1, "--log-dir", str(tmp_path / "logs" / "1"))
    finally:
        os.umask(before)
    try:
        Writer(mesh).send_until_acked(mesh.wait_for_leader(1))
        found = [path for part in ("1", "logs") for path in (tmp_path / part).rglob("*")] + [tmp_path / "logs"]
        assert {"hfzmq_1.db", "hfzmq_1.db-wal", "hfzmq-1.general.log"} <= {path.name for path in found}
        assert [path for path in found if path.stat().st_mode & 0o077] == []
        said = [line for line in map(json.loads, mesh.log(1).splitlines()) if "has mode 777" in line["message"]]
        assert [line["level"] for line in said] == ["warning"]
        assert said[0]["message"].endswith(f"chmod 700 {tmp_path}/1")
    finally:
        mesh.__exit__()


def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path, peers=1)
    (tmp_path / "file").write_text("")
    code, words = refused_start("--id", 1, "--config", mesh.path, "--data-dir", tmp_path / "file")
    assert code == 1
    assert str(tmp_path / "file") in words


def test_consistent_reads_see_everything_acknowledged_and_a_follower_redirects_them(tmp_path: Path) -> None:
    with Mesh(tmp_path) as mesh:
        writer = Writer(mesh)
        leader = mesh.wait_for_leader(1)
        read = encode_request(mesh.config.mesh_id, "reports", consistent=True)
        for count in range(1, 6):
            writer.send_until_acked(leader)
            here = mesh.config.peer(leader)
            reply = ask(here.host, here.client_port, read, 2000, mesh.config.keys, here.id)
            assert reply is not None
            assert len(reply["rows"]) == count
            assert reply["stale_ms"] == 0
        other = mesh.config.peer(2)
        reply = ask(other.host, other.client_port, read, 2000, mesh.config.keys, other.id)
        assert reply is not None
        assert (reply["status"], reply["leader"]) == ("NOT_LEADER", 1)


def test_status_says_what_it_promises(tmp_path: Path) -> None:
    promised = {
        "id", "mesh", "role", "term", "leader", "serves", "quorum", "last_index", "last_term", "commit_index",
        "applied_index", "durable_index", "state_hash", "reports", "version", "boot", "uptime_ms", "fsync_ms", "now_ms",
        "log_ahead_ms",
        "db_bytes", "wal_bytes", "disk_free_bytes", "files_aside", "others_files",
        "hears", "refused_peers", "counters", "events", "members_index", "members", "asking", "founded", "amnesia",
        "differs", "scrubs", "readings", "alerts", "incarnation", "replaced", "settings",
        "unanswering", "history", "other_histories",
    }  # fmt: skip
    ward = {
        "seen", "reported", "trends", "readings", "alarm_fields", "alarms", "applied_index", "peer", "now_ms",
        "log_now_ms",
    }  # fmt: skip
    text = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text()
    told = {
        "status": text.partition("### `status`")[2].partition("### `reports`")[0],
        "beds": text.rpartition("\n`beds`: ")[2],
    }
    assert {key for key in promised if f"`{key}`" not in told["status"]} == set()
    assert {key for key in ward if f"`{key}`" not in told["beds"].partition("## Between peers")[0]} == set()
    with Mesh(tmp_path, peers=1, keyed=False) as mesh:
        here = mesh.config.peer(1)
        asker: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REQ)
        asker.connect(f"tcp://{here.host}:{here.client_port}")
        asker.send(encode_request(mesh.config.mesh_id, "status"))
        assert set(decode_reply(asker.recv())["peer"]) == promised
        asker.send(encode_request(mesh.config.mesh_id, "beds"))
        assert set(decode_reply(asker.recv())) == ward | {"v", "status"}
        asker.close()


def test_a_peer_that_lost_its_disk_is_neither_heard_nor_counted_and_nothing_is_lost(tmp_path: Path) -> None:
    """Three peers; what two of them acknowledged must survive the loss of one disk and a restart of everybody."""
    with Mesh(tmp_path) as mesh:
        writer = Writer(mesh)
        mesh.wait_for_leader(1)
        mesh.kill(3)
        for _ in range(5):
            writer.send_until_acked(1)
        mesh.kill(1)
        mesh.kill(2)
        shutil.rmtree(tmp_path / "1")
        for number in (1, 3):  # the empty one and the one that was away: together they know of nothing
            mesh.start(number)
        wait_for("3 to refuse 1", lambda: mesh.status().get(3, {}).get("refused_peers") == [1])
        assert mesh.leader() == 0
        mesh.start(2)  # it has everything; with 3 it makes a quorum
        leader = mesh.wait_for_leader(2, 3)
        writer.send_until_acked(leader)
        assert [row[1] for row in mesh.rows(leader)] == writer.acked
        assert mesh.leader() == leader
