"""Faults of whole machines at real daemons: rotten files, old backups, strangers under a known id, crowds, no room.

docs/fault_table.md lists them all.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from hfzmq import config as configuration
from hfzmq.cli.processes import free_addresses
from hfzmq.client.ask import ask
from hfzmq.client.line import curve_for
from hfzmq.config import Limits, Timing
from hfzmq.wire.requests import decode_reply, digest, encode_request, encode_rows
from tests.system.mesh import ROOT, Mesh, hfzmq, wait_for
from tests.system.test_partition import Writer

CROWD = 1000


def submission(mesh: Mesh, name: str) -> bytes:
    """The first request of a client ``name``: one report of a patient of that name."""
    rows = encode_rows([[name, int(time.time() * 1000), 60.0, 135.0, 1.5, 40.0, 5, 0.7, "RED", 0.8, "m", ""]])
    return encode_request(
        mesh.config.mesh_id, "submit", client=name, epoch=bytes(16), seq=1, rows=rows, digest=digest(rows)
    )


def membership(mesh: Mesh, of: int, by: int) -> tuple[str, bool]:
    """Which life of peer ``of`` is a member, and whether it votes, as peer ``by`` says."""
    for number, *_, incarnation, role in mesh.status().get(by, {}).get("members", ()):
        if number == of:
            return incarnation, role == "voter"
    return "", False


def flip_a_byte_of_a_stored_report(file: Path, name: bytes) -> None:
    """In the database itself, in the row of this patient and neither in the log entry that brought it nor in the
    tables of alarms: only a report has its probabilities on both sides of its tier."""
    data, tier_and_study = file.read_bytes(), b"RED" + struct.pack(">d", 0.8)
    rows = [at for at in range(len(data)) if data.startswith(name, at) and data[at - 1 : at] != msgpack.packb("p3")[:1]]
    (at,) = [at for at in rows if tier_and_study in data[at : at + 100]]
    with file.open("r+b") as raw:
        raw.seek(at + len(name) - 1)
        raw.write(b"4")


def wait_until_it_votes_again(mesh: Mesh, number: int, by: int, before: str) -> None:
    """Until another life of this peer is a voter."""

    def votes() -> bool:
        life, does = membership(mesh, number, by)
        return does and life not in ("", before)

    wait_for(f"a new life of peer {number} votes", votes, 30)


def well(mesh: Mesh, reports: int) -> tuple[Writer, int, str]:
    """So many reports are on all peers: a writer, the leader, the incarnation of peer 3."""
    writer = Writer(mesh)
    leader = mesh.wait_for_leader(1)
    for _ in range(reports):
        writer.send_until_acked(leader)
    mesh.wait_until_equal()
    return writer, leader, membership(mesh, 3, by=1)[0]


def stops(mesh: Mesh, number: int, within_s: float = 20) -> int:
    """Its exit code, once it has stopped by itself."""
    wait_for(f"peer {number} stops", lambda: mesh.processes[number].poll() is not None, within_s)
    return mesh.processes[number].wait()


def test_a_byte_that_rots_under_a_running_peer_is_found_by_itself_and_the_peer_comes_back_with_equal_rows(
    tmp_path: Path,
) -> None:
    with Mesh(tmp_path) as mesh:
        writer, leader, life = well(mesh, reports=5)
        file = tmp_path / "3" / "hfzmq_3.db"
        assert mesh.terminate(3) == 0  # now the rows are in the file itself, not only in the -wal beside it
        mesh.start(3)
        wait_for("the whole file was looked at once", lambda: mesh.status().get(3, {}).get("scrubs", 0) > 0)
        flip_a_byte_of_a_stored_report(file, b"p3")
        assert stops(mesh, 3) == 1
        assert "its file rots: damaged: " in mesh.log(3)
        assert "Traceback" not in mesh.log(3)
        writer.send_until_acked(leader)
        mesh.start(3)
        wait_until_it_votes_again(mesh, 3, 1, life)
        writer.send_until_acked(leader)
        assert [one[1] for one in mesh.assert_equal_rows()] == writer.acked
        assert "its file rots" in mesh.status()[3]["amnesia"]
        assert len(list((tmp_path / "3").glob("aside-*/hfzmq_3.db"))) == 1, "evidence is kept"


def test_a_peer_that_is_put_back_to_an_old_backup_stops_with_the_reason_and_the_next_start_is_a_new_one(
    tmp_path: Path,
) -> None:
    with Mesh(tmp_path) as mesh:
        writer, leader, life = well(mesh, reports=1)
        assert mesh.terminate(3) == 0
        shutil.copytree(tmp_path / "3", tmp_path / "backup")
        mesh.start(3)
        for _ in range(5):
            writer.send_until_acked(leader)
        mesh.wait_until_equal()
        assert mesh.terminate(3) == 0
        shutil.rmtree(tmp_path / "3")
        (tmp_path / "backup").rename(tmp_path / "3")
        mesh.start(3)
        assert stops(mesh, 3) == 1
        assert "the mesh has seen a later state of this peer's disk" in mesh.log(3)
        assert "hint: start it again" in mesh.log(3)
        mesh.start(3)
        wait_until_it_votes_again(mesh, 3, 1, life)
        writer.send_until_acked(leader)
        assert [one[1] for one in mesh.assert_equal_rows()] == writer.acked


def test_a_second_process_with_the_id_of_a_live_peer_and_an_empty_directory_is_not_let_in_and_status_names_it(
    tmp_path: Path,
) -> None:
    with Mesh(tmp_path) as mesh:
        writer = Writer(mesh)
        leader = mesh.wait_for_leader(1)
        life, _ = membership(mesh, 3, by=1)
        # On its own machine it would have the same ports; here it has others, and the others are told of them.
        second = free_addresses(1)[0]._replace(id=3)
        seen_by = mesh.config._replace(peers=(*mesh.config.peers[:2], second))
        (tmp_path / "second.yaml").write_text(configuration.render(seen_by))
        with (tmp_path / "second.log").open("wb") as log:
            process = subprocess.Popen(
                hfzmq("serve", "--id", 3, "--config", tmp_path / "second.yaml", "--data-dir", tmp_path / "second",
                      "--join"),
                cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            wait_for("it is refused", lambda: mesh.status()[1]["refused_peers"] == [3])
            deadline = time.monotonic() + 4
            while time.monotonic() < deadline:  # longer than it takes to replace one that is away
                writer.send_until_acked(leader)
                assert membership(mesh, 3, by=1) == (life, True)
                assert process.poll() is None, (tmp_path / "second.log").read_text()
            command = hfzmq("status", "--config", mesh.path)  # peer 3 itself may be too slow for one on a busy machine
            wait_for(
                "status tells of it",
                lambda: "another process speaks as peer 3, which lives" in subprocess.run(
                    command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
                ).stderr,
            )  # fmt: skip
        finally:
            process.kill()
            process.wait()
        assert [one[1] for one in mesh.assert_equal_rows()] == writer.acked


def test_a_request_asked_again_of_a_leader_that_began_with_a_snapshot_is_acknowledged_where_it_was(
    tmp_path: Path,
) -> None:
    timing = Timing(handover_settle_ms=500)
    with Mesh(tmp_path, timing=timing, limits=Limits(log_entries_keep=10), keyed=False) as mesh:
        request = submission(mesh, "keeper")
        here = mesh.config.peer(mesh.wait_for_leader(1))
        first = wait_for("an ack", lambda: ask(here.host, here.client_port, request, 2000))
        assert first is not None
        assert first["status"] == "ACK"
        mesh.kill(1)
        leader, writer = mesh.wait_for_leader(2, 3), Writer(mesh)
        for _ in range(40):
            writer.send_until_acked(leader)
        mesh.start(1)
        mesh.wait_for_leader(1, within_s=30)
        assert "peer 1 has taken a snapshot of entry" in mesh.log(1)
        again = ask(here.host, here.client_port, request, 2000)
        assert again is not None
        assert [again[key] for key in ("status", "seq", "term", "index")] == [
            first[key] for key in ("status", "seq", "term", "index")
        ]
        assert [one[1] for one in mesh.assert_equal_rows()] == ["keeper", *writer.acked]


# ------------------------------------------------------------ crowds


def test_a_thousand_clients_with_keys_at_once_are_each_acknowledged_once_and_stored_once(tmp_path: Path) -> None:
    descriptors(5 * CROWD)
    with Mesh(tmp_path) as mesh, zmq.Context() as context:
        context.set(zmq.MAX_SOCKETS, CROWD + 10)
        here = mesh.config.peer(mesh.wait_for_leader(1))
        curve = curve_for(mesh.config.keys, here.id)
        assert curve is not None
        requests = [submission(mesh, f"p{number:04d}") for number in range(CROWD)]
        poller, waiting, answers = zmq.Poller(), {}, 0
        for request in requests:
            client = context.socket(zmq.DEALER)
            client.setsockopt(zmq.LINGER, 0)
            curve.show(client)
            client.connect(f"tcp://{here.host}:{here.client_port}")
            poller.register(client, zmq.POLLIN)
            waiting[client] = request
        crowd = list(waiting)
        for client in crowd:
            client.send_multipart([b"", waiting[client]])
        deadline = time.monotonic() + 60
        put_off: list[zmq.Socket[bytes]] = []  # on a busy machine it may not lead for a moment
        while waiting and time.monotonic() < deadline:
            for client, _ in poller.poll(200):
                status = decode_reply(client.recv_multipart()[1])["status"]
                answers += 1
                if status == "ACK":
                    del waiting[client]
                elif status == "BUSY":
                    client.send_multipart([b"", waiting[client]])
                else:
                    assert status in ("NOT_LEADER", "NO_QUORUM"), status
                    put_off.append(client)
            if put_off and mesh.leader() == 1:
                for client in put_off:
                    client.send_multipart([b"", waiting[client]])
                put_off.clear()
        assert not waiting, f"{len(waiting)} of {CROWD} wait still"
        assert not poller.poll(200), "somebody was answered twice"
        for client in crowd:
            client.close()
        rows = mesh.assert_equal_rows()
        assert sorted(one[1] for one in rows) == [f"p{number:04d}" for number in range(CROWD)]


def descriptors(wanted: int) -> None:
    """Let this process open so many files; skip where it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"may open {hard} files only")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def start_with_few_descriptors(mesh: Mesh, few: int) -> None:
    """Peer 1, which may open so many files and no more."""
    with (mesh.folder / "1.log").open("ab") as log:
        line = hfzmq("serve", "--id", 1, "--config", mesh.path, "--data-dir", mesh.folder / "1")
        mesh.processes[1] = subprocess.Popen(
            ["sh", "-c", f'ulimit -n {few} && exec "$@"', "sh", *line], cwd=ROOT, stdout=log, stderr=log
        )


def test_a_daemon_that_may_open_too_few_files_says_so_at_the_start_with_the_next_step(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path, peers=1)
    start_with_few_descriptors(mesh, 200)
    assert stops(mesh, 1) == 1
    assert "error: this process may open 200 files only; at least 384 are needed" in mesh.log(1)
    assert "hint: raise the limit: ulimit -n" in mesh.log(1)
    assert "Traceback" not in mesh.log(1)


def cpu_s(pid: int) -> float:
    """What a process has used of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")
def test_a_crowd_beyond_the_descriptors_is_not_let_in_and_those_who_are_in_are_served_on(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path, peers=1, keyed=False)
    start_with_few_descriptors(mesh, 400)
    here, context = mesh.config.peer(1), zmq.Context()
    inside: zmq.Socket[bytes] = context.socket(zmq.DEALER)
    inside.setsockopt(zmq.LINGER, 0)
    inside.connect(f"tcp://{here.host}:{here.client_port}")

    def asked(request: bytes) -> dict[str, Any]:
        inside.send_multipart([b"", request])
        assert inside.poll(5000), "who is in is not served"
        return decode_reply(inside.recv_multipart()[1])

    crowd: list[socket.socket] = []
    try:
        mesh.wait_for_leader(1)
        status = encode_request(mesh.config.mesh_id, "status")
        assert asked(status)["peer"]["counters"].get("client_door_shut", 0) == 0

        def come() -> bool:
            with contextlib.suppress(TimeoutError):
                for _ in range(20):
                    crowd.append(socket.create_connection((here.host, here.client_port), timeout=0.5))
            return bool(asked(status)["peer"]["counters"]["client_door_shut"])

        wait_for("the door is shut", come)
        assert 150 < len(crowd) < 400, len(crowd)
        before, until = cpu_s(mesh.processes[1].pid), time.monotonic() + 2
        for number in range(20):
            assert asked(submission(mesh, f"p{number}"))["status"] == "ACK"
        wait_for("two seconds pass", lambda: time.monotonic() > until)
        assert cpu_s(mesh.processes[1].pid) - before < 1.0, "it turns in circles"
        assert ask(here.host, here.client_port, status, 500) is None, "one more was let in"
        for one in crowd:
            one.close()
        wait_for("others are let in again", lambda: ask(here.host, here.client_port, status, 1000))
        assert len(mesh.rows(1)) == 20
        assert "no more clients are let in" in mesh.log(1)
        assert "clients are let in again" in mesh.log(1)
    finally:
        for one in crowd:
            one.close()
        context.destroy(linger=0)
        mesh.__exit__()


# ------------------------------------------------------------ versions


def test_a_peer_that_speaks_another_version_is_dropped_counted_and_said_by_status(tmp_path: Path) -> None:
    with Mesh(tmp_path, peers=1, keyed=False) as mesh:
        here, context = mesh.config.peer(1), zmq.Context()
        other = context.socket(zmq.DEALER)
        other.setsockopt(zmq.LINGER, 0)
        other.connect(f"tcp://{here.host}:{here.peer_port}")
        for _ in range(3):
            other.send(msgpack.packb([2, mesh.config.mesh_id, 5, 2, bytes(16), 1, 1, 99]))
        wait_for("it is counted", lambda: mesh.status()[1]["counters"].get("peer_message_other_version") == 3)
        context.destroy(linger=0)
        shown = subprocess.run(
            hfzmq("status", "--config", mesh.path), cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )
        assert "ALARM: peer 1 hears somebody who speaks another version of the peers' protocol" in shown.stderr
        assert mesh.log(1).count("another version") == 1
        writer = Writer(mesh)
        writer.send_until_acked(1)
