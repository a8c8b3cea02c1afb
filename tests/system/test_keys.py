"""Keys on real sockets: who gets in, who does not, and how soon a revoked key is out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from random import Random
from typing import Any

import zmq

from hfzmq import config as configuration
from hfzmq.client.line import Curve
from hfzmq.client.pirate import Pirate
from hfzmq.config import Config
from hfzmq.key_edit import with_entry
from hfzmq.key_section import OwnKey
from hfzmq.secret_files import BEDSIDE_KEY, make_pair, read_secret, with_own_key
from hfzmq.wire import peers as wire_peers
from hfzmq.wire.requests import decode_reply, digest, encode_request, encode_rows
from tests.system.mesh import ROOT, Mesh, hfzmq, wait_for
from tests.system.test_partition import Writer
from tests.system.test_prometheus import free_port, get


def keys(mesh: Mesh, *words: object, key: str = "admin", code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run ``hfzmq keys`` with a key of the folder."""
    line = hfzmq("keys", *words, "--config", mesh.path, "--key", secret(mesh, key))
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done


def secret(mesh: Mesh, name: str) -> Path:
    return mesh.folder / "keys" / f"{name}.secret"


def listed(mesh: Mesh, number: int) -> str:
    """The public key of a peer."""
    assert mesh.config.keys is not None
    key = mesh.config.keys.key_of(number)
    assert key is not None
    return key


class Asker:
    """A client of one's own on a peer's client port (or, as ``port``, another one), with a pair, or none."""

    def __init__(self, mesh: Mesh, own: OwnKey | None, number: int = 1, port: int = 0, server: str = "") -> None:
        self.context = zmq.Context()
        self.socket: zmq.Socket[bytes] = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDTIMEO, 300)
        if own is not None:
            Curve(own, server or listed(mesh, number)).show(self.socket)
        here = mesh.config.peer(number)
        self.socket.connect(f"tcp://{here.host}:{port or here.client_port}")

    def ask(self, request: bytes, within_ms: int = 2000) -> dict[str, Any] | None:
        try:
            self.socket.send_multipart([b"", request])
        except zmq.Again:
            return None  # the connection was refused
        if not self.socket.poll(within_ms):
            return None
        return decode_reply(self.socket.recv_multipart()[-1])

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *about: object) -> None:
        self.context.destroy(linger=0)


def status(mesh: Mesh) -> bytes:
    return encode_request(mesh.config.mesh_id, "status")


def submission(mesh: Mesh, name: str) -> bytes:
    rows = encode_rows([[name, int(time.time() * 1000), 60.0, 135.0, 1.5, 40.0, 5, 0.7, "RED", 0.8, "m", ""]])
    about = {"client": name, "epoch": os.urandom(16), "seq": 1, "rows": rows, "digest": digest(rows)}
    return encode_request(mesh.config.mesh_id, "submit", **about)


def counter(mesh: Mesh, number: int, name: str) -> int:
    return int(mesh.status()[number]["counters"].get(name, 0))


# ------------------------------------------------------------ who gets in


def test_without_a_key_or_with_one_that_nobody_lists_or_with_another_server_s_nothing_is_answered(
    tmp_path: Path,
) -> None:
    with Mesh(tmp_path, peers=1) as mesh:
        ward = read_secret(secret(mesh, "ward"))
        with Asker(mesh, ward) as known:
            assert known.ask(status(mesh)) is not None, "the ward's own key is let in"
        stranger = make_pair()
        for own, server in ((None, ""), (stranger, ""), (ward, stranger.public)):
            with Asker(mesh, own, server=server) as asker:
                assert asker.ask(status(mesh), 1000) is None
                assert asker.ask(submission(mesh, "p"), 500) is None
        assert counter(mesh, 1, "connection_refused_key") >= 1
        assert mesh.rows(1) == []


def test_a_client_s_key_gets_nothing_on_the_peers_ports_and_a_peer_s_key_reads_only(tmp_path: Path) -> None:
    with Mesh(tmp_path, peers=1) as mesh:
        here = mesh.config.peer(1)
        ward, admin = read_secret(secret(mesh, "ward")), read_secret(secret(mesh, "admin"))
        for count, own in enumerate((ward, admin), counter(mesh, 1, "connection_refused_key") + 1):
            with Asker(mesh, own, port=here.peer_port) as asker:
                asker.socket.send(b"anything")
                wait_for("refused", lambda: counter(mesh, 1, "connection_refused_key") >= count)  # noqa: B023
        with zmq.Context() as context:
            hearer: zmq.Socket[bytes] = context.socket(zmq.SUB)
            hearer.setsockopt(zmq.LINGER, 0)
            hearer.setsockopt(zmq.SUBSCRIBE, b"")
            Curve(ward, listed(mesh, 1)).show(hearer)
            hearer.connect(f"tcp://{here.host}:{here.beat_port}")
            assert not hearer.poll(1000), "a client's key hears the peers' heartbeats"
            hearer.close()
        with Asker(mesh, read_secret(secret(mesh, "peer-4"))) as peer:
            assert (peer.ask(status(mesh)) or {})["status"] == "OK"
            refused = peer.ask(submission(mesh, "p"))
            assert refused is not None
            assert (refused["status"], refused["field"]) == ("REFUSED", "key")


def test_what_a_client_s_key_may_ask_and_what_takes_an_admin_s(tmp_path: Path) -> None:
    with Mesh(tmp_path, peers=1) as mesh:
        mesh_id = mesh.config.mesh_id
        change = encode_request(mesh_id, "change", action="transfer", peer=1)
        act = encode_request(mesh_id, "alarm", action="ack", episode=1, by="nurse")
        with Asker(mesh, read_secret(secret(mesh, "ward"))) as ward:
            assert (ward.ask(submission(mesh, "p1")) or {})["status"] == "ACK"
            for op in ("status", "members", "reports", "readings", "alerts", "alarms", "alarm_events", "beds", "keys"):
                fields: dict[str, Any] = (
                    {} if op in ("status", "members", "beds", "keys") else {"before_id": 0, "limit": 1}
                )
                answer = ward.ask(encode_request(mesh_id, op, **fields))
                assert answer is not None
                assert answer["status"] == "OK", (op, answer)
            for request in (change, act):
                answer = ward.ask(request)
                assert answer is not None
                assert (answer["status"], answer["field"]) == ("REFUSED", "key")
                assert "admin" in answer["bound"]
        with Asker(mesh, read_secret(secret(mesh, "admin"))) as admin:
            for request in (change, act):
                answer = admin.ask(request)
                assert answer is not None
                assert answer.get("field") != "key"
        done = subprocess.run(
            hfzmq("alarms", "ack", 1, "--config", mesh.path, "--key", secret(mesh, "ward"), "--timeout", 20),
            cwd=ROOT, capture_output=True, text=True, timeout=15, check=False,
        )  # fmt: skip
        assert done.returncode == 7
        assert str(secret(mesh, "ward")) in done.stderr
        assert "admin" in done.stderr


def test_a_command_with_a_key_that_is_refused_ends_with_7_naming_peer_file_and_next_command(tmp_path: Path) -> None:
    with Mesh(tmp_path, peers=1) as mesh:
        stranger = tmp_path / "stranger.secret"
        own = make_pair()
        stranger.touch(0o600)
        stranger.write_text(f"public {own.public}\nsecret {own.secret}\n")
        for words in (("status",), ("peer", "ls"), ("reports", "--consistent"), ("peer", "transfer", "1")):
            began = time.monotonic()
            done = subprocess.run(
                hfzmq(*words, "--config", mesh.path, "--key", stranger),
                cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == 7, (words, done.stdout, done.stderr)
            assert f"peer 1 does not accept {stranger}" in done.stderr
            assert "hfzmq keys" in done.stderr
            assert time.monotonic() - began < 10


def test_a_bedside_client_whose_key_is_refused_keeps_its_reports_and_says_so(tmp_path: Path) -> None:
    with Mesh(tmp_path, peers=1) as mesh:
        queue = tmp_path / "queue"
        stranger = tmp_path / "stranger.secret"
        own = make_pair()
        stranger.touch(0o600)
        stranger.write_text(f"public {own.public}\nsecret {own.secret}\n")
        words = ("client", "--patients", 2, "--seed", 8, "--headless", "--interval", 0.2, "--config", mesh.path)
        more = ("--queue", queue, "-o", "jsonl", "--duration", 3)

        def run(key: Path, code: int = 0) -> list[dict[str, Any]]:
            done = subprocess.run(
                hfzmq(*words, *more, "--key", key), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == code, done
            assert ("error: key refused: peer 1 does not accept" in done.stderr) is (code == 7)
            return [json.loads(line) for line in done.stdout.splitlines()]

        green = tmp_path / "green.csv"
        green.write_text("age,serum_sodium,serum_creatinine,ejection_fraction,day\n60,137,1.0,38,100\n")
        known = ("--config", mesh.path, "--queue", queue, "--key", stranger)
        nothing_to_send = subprocess.run(
            hfzmq("client", "--headless", "--source", green, *known),
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "1 GREEN" in nothing_to_send.stdout
        assert nothing_to_send.returncode == 7, nothing_to_send
        assert "error: key refused: peer 1 does not accept" in nothing_to_send.stderr
        events = run(stranger, 7)
        told = [event for event in events if event["event"] == "disconnected"]
        assert told[0]["link"] == "key refused"
        assert str(stranger) in told[0]["why"]
        waiting = events[-1]["pending"]
        assert waiting > 0
        assert not [event for event in events if event["event"] in ("ack", "rejected")]
        assert run(secret(mesh, "ward"))[-1]["pending"] == 0
        assert len(mesh.rows(1)) >= waiting


# ------------------------------------------------------------ peers


def test_a_peer_s_key_does_not_let_it_speak_as_another_peer(tmp_path: Path) -> None:
    with Mesh(tmp_path, peers=1) as mesh:
        here = mesh.config.peer(1)
        sender = wire_peers.Sender(mesh.config.mesh_id, 5, bytes(16), 1, 1)
        letter = wire_peers.encode(sender, wire_peers.Introduction(here._replace(id=5)))
        with Asker(mesh, read_secret(secret(mesh, "peer-4")), port=here.peer_port) as fourth:
            fourth.socket.send(letter)
            wait_for("it is counted", lambda: counter(mesh, 1, "peer_message_with_anothers_key") == 1)
        with Asker(mesh, read_secret(secret(mesh, "peer-5")), port=here.peer_port) as fifth:
            fifth.socket.send(letter)
            wait_for("its own passes", lambda: counter(mesh, 1, "peer_message_of_no_member") >= 1)
        assert "peer 4 speaks as peer 5" in mesh.log(1)


def test_a_peer_with_another_peer_s_secret_does_not_start(tmp_path: Path) -> None:
    mesh = Mesh(tmp_path, peers=2)
    line = hfzmq(
        "serve", "--id", 1, "--config", mesh.path, "--data-dir", tmp_path / "1", "--key", secret(mesh, "peer-2")
    )
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 7
    assert f"{secret(mesh, 'peer-2')}: this is the key of peer-2, not of peer 1" in done.stderr
    os.chmod(secret(mesh, "peer-1"), 0o640)
    line = hfzmq("serve", "--id", 1, "--config", mesh.path, "--data-dir", tmp_path / "1")
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 7
    assert f"chmod 600 {secret(mesh, 'peer-1')}" in done.stderr


def ready(port: int) -> list[str]:
    """What a peer's readyz says there, line by line."""
    return get(f"http://127.0.0.1:{port}/readyz")[1].splitlines()


def test_a_revoked_peer_is_no_more_heard_by_anybody_and_says_why_and_the_others_go_on(tmp_path: Path) -> None:
    with Mesh(tmp_path) as mesh:
        port = free_port()
        assert mesh.terminate(3) == 0
        mesh.start(3, "--http", f"127.0.0.1:{port}")
        wait_for("peer 3 is back", lambda: ready(port) == ["ok"])
        writer = Writer(mesh)
        writer.send_until_acked(mesh.wait_for_leader(1))
        refused = keys(mesh, "revoke", "peer-3", code=1)
        assert "peer-3 is the one key of peer 3" in refused.stderr
        assert "--yes" in refused.stderr
        keys(mesh, "revoke", "peer-3", "--yes")
        stops = keys(mesh, "revoke", "peer-2", "--yes", code=7)
        assert "only 1 of 3 voters would have a key left: the mesh would stop" in stops.stderr

        def deaf() -> bool:
            told = mesh.status()
            return all(3 not in [row[0] for row in told[n]["hears"] if row[1] < 500] for n in (1, 2))

        wait_for("nobody hears peer 3", deaf, 15)
        wait_for("peer 3 hears nobody", lambda: not mesh.status().get(3, {"quorum": False})["quorum"], 15)
        told = wait_for("peer 3 says why", lambda: [line for line in ready(port) if "let this peer in" in line], 15)
        assert told[0] == "peer 1 does not let this peer in: it does not accept this peer's key"
        for _ in range(5):
            writer.send_until_acked(1)
        assert counter(mesh, 1, "peer_message_key_not_in_force") + counter(mesh, 1, "connection_refused_key") > 0


# ------------------------------------------------------------ revoked while connected


def test_a_revoked_client_is_out_within_a_heartbeat_without_a_restart_and_the_others_notice_nothing(
    tmp_path: Path,
) -> None:
    with Mesh(tmp_path) as mesh:
        leader = mesh.wait_for_leader(1)
        keys(mesh, "issue", "thief", "--role", "client")
        writer = Writer(mesh)
        writer.send_until_acked(leader)
        with (
            Asker(mesh, read_secret(secret(mesh, "thief"))) as thief,
            Asker(mesh, read_secret(secret(mesh, "ward"))) as ward,
        ):
            assert thief.ask(status(mesh)) is not None
            assert ward.ask(status(mesh)) is not None
            done = keys(mesh, "revoke", "thief")
            applied_at = time.monotonic()
            assert done.stdout.count("applied") == 3, done.stdout
            assert thief.ask(status(mesh), 1000) is None, "it is connected still, and gets nothing any more"
            assert thief.ask(submission(mesh, "stolen"), 500) is None
            assert time.monotonic() - applied_at < 5
            assert ward.ask(status(mesh), 1000) is not None, "an honest client keeps its connection"
        writer.send_until_acked(leader)
        assert "stolen" not in {row[1] for row in mesh.rows(1)}
        assert counter(mesh, 1, "client_request_key_not_in_force") == 2
        with Asker(mesh, read_secret(secret(mesh, "thief"))) as again:
            assert again.ask(status(mesh), 1000) is None
        shown = json.loads(keys(mesh, "show", "-o", "json").stdout)
        found = {row["name"]: row for row in shown}
        assert (found["thief"]["revoked"], found["thief"]["source"]) == (True, "log")
        assert (found["ward"]["revoked"], found["ward"]["source"]) == (False, "file")
        mesh.assert_equal_tables()


def test_a_key_that_is_revoked_in_the_file_is_out_at_sighup(tmp_path: Path) -> None:
    with Mesh(tmp_path, peers=1) as mesh:
        own = tmp_path / "peers_1.yaml"
        with Asker(mesh, read_secret(secret(mesh, "ward"))) as ward:
            assert ward.ask(status(mesh)) is not None
            assert mesh.config.keys is not None
            own.write_text(with_entry(own.read_text(), str(own), "revoked", dict(mesh.config.keys.clients)["ward"]))
            mesh.processes[1].send_signal(signal.SIGHUP)
            wait_for("it was read", lambda: "keys are in force as the file says" in mesh.log(1))
            assert ward.ask(status(mesh), 500) is None
        assert mesh.status(), "an admin is served on"


def test_keys_issued_and_revoked_while_a_peer_is_down_hold_when_it_is_back_after_a_snapshot_too(tmp_path: Path) -> None:
    from hfzmq.config import Limits, Timing

    limits = Limits(log_entries_keep=10)
    with Mesh(tmp_path, timing=Timing(handover_settle_ms=3000), limits=limits) as mesh:
        keys(mesh, "issue", "old", "--role", "client")
        mesh.kill(3)
        keys(mesh, "issue", "new", "--role", "client")
        done = keys(mesh, "revoke", "old")
        assert "peer 3: no answer; it will apply it when it is back" in done.stdout
        writer = Writer(mesh)
        leader = mesh.wait_for_leader(1)
        last = mesh.ask(3, "SELECT max(idx) FROM log")[0][0]

        def compacted() -> bool:
            writer.send_until_acked(leader)
            return all(mesh.ask(number, "SELECT min(idx) FROM log")[0][0] > last + 1 for number in (1, 2))

        wait_for("what peer 3 lacks is in no log", compacted, 60)
        mesh.start(3)
        mesh.wait_until_equal()
        assert "has taken a snapshot" in mesh.log(3)
        with Asker(mesh, read_secret(secret(mesh, "old")), 3) as old:
            assert old.ask(status(mesh), 1000) is None
        with Asker(mesh, read_secret(secret(mesh, "new")), 3) as new:
            assert new.ask(status(mesh), 2000) is not None
        mesh.assert_equal_tables()
        mesh.terminate(3)
        mesh.start(3)
        mesh.wait_until_equal()
        with Asker(mesh, read_secret(secret(mesh, "old")), 3) as old:
            assert old.ask(status(mesh), 1000) is None


def test_a_peer_whose_key_is_issued_through_the_log_joins_and_clients_learn_its_key(tmp_path: Path) -> None:
    with Mesh(tmp_path, others=1) as mesh:
        (tmp_path / "keys" / "peer-4.secret").unlink()
        cut_out(mesh, 4)
        mesh.start_another(4)
        wait_for("its key is unknown", lambda: "no such secret key" in mesh.log(4))
        keys(mesh, "issue", "peer-4", "--role", "peer", "--id", 4)
        mesh.start(4, "--join")
        mesh.peer("add", 4)
        mesh.wait_until_equal(1, 2, 3)
        assert mesh.config.keys is not None
        first = mesh.config._replace(peers=mesh.config.peers[:3])
        from hfzmq.client.ask import ask_all

        answers = ask_all(first, "status", timeout_ms=2000)
        assert answers.get(4) is not None, "a client that never heard of peer 4 speaks to it"
        mesh.assert_equal_tables()


def test_a_peer_gets_a_new_key_and_clients_that_know_the_old_one_alone_find_it_again(tmp_path: Path) -> None:
    with Mesh(tmp_path) as mesh:
        leader = mesh.wait_for_leader(1)
        old = read_secret(secret(mesh, "peer-2")).public
        ward = with_own_key(configuration.load(mesh.path), BEDSIDE_KEY, {})
        pirate = Pirate(ward.peers, rng=Random(1), mesh_id=ward.mesh_id, keys=ward.keys)
        asked = encode_request(ward.mesh_id, "status")
        assert pirate.ask(asked, deadline=time.monotonic() + 5) is not None
        keys(mesh, "issue", "peer-2-new", "--role", "peer", "--id", 2)
        wait_for("all know it", lambda: len({peer["applied_index"] for peer in mesh.status().values()}) == 1)
        writer = Writer(mesh)
        for _ in range(5):
            writer.send_until_acked(leader)
        mesh.wait_until_equal()  # peer 2 is not cut off, though it serves with the old one still
        assert 2 in [row[0] for row in mesh.status()[leader]["hears"] if row[1] < 900]
        mesh.terminate(2)
        os.replace(secret(mesh, "peer-2-new"), secret(mesh, "peer-2"))
        mesh.start(2)
        mesh.wait_until_equal()
        done = keys(mesh, "revoke", old)
        assert done.stdout.count("applied") == 3, done.stdout

        def from_the_second() -> bool:
            pirate._target = 2
            reply = pirate.ask(asked, deadline=time.monotonic() + 5)
            return reply is not None and reply["peer"]["id"] == 2

        wait_for("peer 2 answers it", from_the_second)
        pirate.close()
        writer.send_until_acked(leader)
        mesh.assert_equal_tables()


def test_a_peer_that_lost_its_disk_comes_back_though_its_file_lists_a_revoked_key_for_the_leader(
    tmp_path: Path,
) -> None:
    with Mesh(tmp_path) as mesh:
        leader = mesh.wait_for_leader(1)
        Writer(mesh).send_until_acked(leader)
        old = read_secret(secret(mesh, "peer-2")).public
        keys(mesh, "issue", "peer-2-new", "--role", "peer", "--id", 2)
        mesh.terminate(2)
        os.replace(secret(mesh, "peer-2-new"), secret(mesh, "peer-2"))
        mesh.start(2)
        mesh.wait_until_equal()
        done = keys(mesh, "revoke", old)
        assert "hfzmq keys update" in done.stderr
        mesh.peer("transfer", 2)
        lost = leader
        mesh.kill(lost)
        mesh.wipe(lost)
        mesh.start(lost)

        def votes() -> bool:
            told = mesh.status().get(2, {})
            return told.get("serves") is True and [lost, "voter"] in [[row[0], row[6]] for row in told["members"]]

        wait_for("it votes again, and nobody else led", lambda: votes() and "newer key" in mesh.log(lost))
        mesh.wait_until_equal()
        shown = subprocess.run(
            hfzmq("status", "--config", mesh.path, "--peer", 2, "--key", secret(mesh, "admin")),
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert shown.returncode == 0, shown
        keys(mesh, "update")
        assert configuration.load(str(mesh.path)).keys != mesh.config.keys


def said(mesh: Mesh, *words: object) -> str:
    """What a command that asks the mesh prints, and its exit code."""
    line = hfzmq(*words, "--config", mesh.path, "--key", secret(mesh, "admin"))
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return f"[{done.returncode}] {done.stdout}{done.stderr}"


def test_from_issue_to_update_each_step_says_the_next_and_none_undoes_an_issue(tmp_path: Path) -> None:
    with Mesh(tmp_path) as mesh:
        Writer(mesh).send_until_acked(mesh.wait_for_leader(1))
        before, old = mesh.path.read_text(), read_secret(secret(mesh, "peer-3")).public
        keys(mesh, "issue", "peer-3-new", "--role", "peer", "--id", 3)
        wait_for("all know it", lambda: len({peer["applied_index"] for peer in mesh.status().values()}) == 1)
        wait_for("check", lambda: "peer 3 still serves with the key that" in said(mesh, "check"))
        doctor = said(mesh, "doctor")
        assert "peer 3 still serves with the key that" in doctor
        assert "without a key in force" not in doctor
        assert said(mesh, "backup", tmp_path / "b", "--peer", 3).startswith("[0]")
        assert "peer 3 still serves with an older key" in keys(mesh, "update", code=7).stderr
        assert mesh.path.read_text() == before
        mesh.terminate(3)
        os.replace(secret(mesh, "peer-3-new"), secret(mesh, "peer-3"))
        mesh.start(3)
        mesh.wait_until_equal()
        keys(mesh, "revoke", old)
        wait_for("check", lambda: "lists an older key for peer 3: hfzmq keys update" in said(mesh, "check"))
        keys(mesh, "update")
        keys(mesh, "issue", "peer-3-off", "--role", "peer", "--id", 3, "--offline")
        fresh = mesh.path.read_text()
        for command in ("check", "doctor"):
            told = said(mesh, command)
            assert "lists another key for peer 3" in told
            assert "bring its secret to peer 3's machine" in told
        assert "no peer knows" in keys(mesh, "update", code=1).stderr
        assert mesh.path.read_text() == fresh


def cut_out(mesh: Mesh, number: int) -> None:
    """No file lists a key of this peer any more."""
    assert mesh.config.keys is not None
    left = mesh.config.keys._replace(peers=tuple(one for one in mesh.config.keys.peers if one[0] != number))
    mesh.config = mesh.config._replace(keys=left)
    text = configuration.render(mesh.config)
    for path in (mesh.path, *mesh.folder.glob("peers_?.yaml")):
        path.write_text(text)
    for peer in (1, 2, 3):
        mesh.processes[peer].send_signal(signal.SIGHUP)
        wait_for("it was read", lambda: "configuration reread" in mesh.log(peer))  # noqa: B023


def test_only_an_admin_issues_and_revokes_and_the_last_admin_is_not_revoked_by_mistake(tmp_path: Path) -> None:
    with Mesh(tmp_path, peers=1) as mesh:
        done = keys(mesh, "issue", "x", "--role", "admin", key="ward", code=7)
        assert "takes an admin's key" in done.stderr
        done = keys(mesh, "revoke", "admin", code=7)
        assert "the only admin's key" in done.stderr
        keys(mesh, "issue", "second", "--role", "admin")
        done = keys(mesh, "revoke", "admin", key="second")
        assert "put its secret away" not in done.stderr, "it was not the own one"
        done = keys(mesh, "issue", "y", "--role", "client", code=7)
        assert "does not accept" in done.stderr
        keys(mesh, "issue", "y", "--role", "client", key="second")
        shown = keys(mesh, "show")
        row = next(line for line in shown.stdout.splitlines() if line.startswith("admin "))
        assert "refused by the mesh" in row
        assert "hfzmq keys show --key FILE; here lie" in shown.stderr
        assert " yes " in keys(mesh, "show", key="second").stdout
        mesh.terminate(1)
        doctor = said(mesh, "doctor")
        assert "second.secret: not known whether this key is in force (by the file alone" in doctor
        assert "second.secret.old" not in doctor


# ------------------------------------------------------------ plain


def test_a_plain_mesh_still_works_on_the_loopback_and_is_refused_elsewhere(tmp_path: Path) -> None:
    with Mesh(tmp_path, peers=1, keyed=False) as mesh:
        assert "security: plain" in mesh.path.read_text()
        writer = Writer(mesh)
        writer.send_until_acked(1)
    elsewhere: Config = mesh.config._replace(peers=(mesh.config.peer(1)._replace(host="10.0.0.1"),))
    mesh.path.write_text(configuration.render(elsewhere))
    done = subprocess.run(
        hfzmq("serve", "--id", 1, "--config", mesh.path, "--data-dir", tmp_path / "other"),
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 6
    assert "10.0.0.1" in done.stderr
    assert "hfzmq keys init" in done.stderr


def test_a_flood_of_strangers_handshakes_does_not_slow_honest_acks_noticeably(tmp_path: Path) -> None:
    with Mesh(tmp_path) as mesh:
        leader = mesh.wait_for_leader(1)
        writer = Writer(mesh)
        writer.send_until_acked(leader)

        def slowest(count: int) -> float:
            worst = []
            for _ in range(count):
                began = time.monotonic()
                writer.send_until_acked(leader)
                worst.append(time.monotonic() - began)
            return sorted(worst)[len(worst) // 2]

        quiet = slowest(20)
        here = mesh.config.peer(leader)
        script = (
            "import sys, zmq\n"
            "host, server = sys.argv[1:]\n"
            "while True:\n"
            "    context = zmq.Context()\n"
            "    for _ in range(20):\n"
            "        public, secret = zmq.curve_keypair()\n"
            "        socket = context.socket(zmq.DEALER)\n"
            "        socket.linger = 0\n"
            "        socket.curve_publickey, socket.curve_secretkey = public, secret\n"
            "        socket.curve_serverkey = server.encode()\n"
            "        socket.connect(host)\n"
            "        socket.send(b'')\n"
            "        socket.poll(10)\n"
            "    context.destroy(linger=0)\n"
        )
        address = f"tcp://{here.host}:{here.client_port}"
        import sys

        flood = subprocess.Popen([sys.executable, "-c", script, address, listed(mesh, leader)])
        try:
            wait_for("the flood is there", lambda: counter(mesh, leader, "connection_refused_key") > 20)
            loud = slowest(20)
        finally:
            flood.kill()
            flood.wait()
        assert loud < quiet + 0.25, (quiet, loud)
        assert mesh.wait_for_leader() == leader
