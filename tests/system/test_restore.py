"""The drill: a mesh is backed up while it writes, all of it dies, and another one is founded on the backup."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from hfzmq import Client
from hfzmq import config as configuration
from hfzmq.client.client import ReadingsClient
from hfzmq.client.queue_move import look
from hfzmq.clinical.alarm.types import Episode
from hfzmq.clinical.heart_rate import Reading
from hfzmq.clinical.report import Report
from hfzmq.secret_files import make_pair, read_secret
from hfzmq.storage import restored
from hfzmq.storage.backup import verify
from tests.system.mesh import ROOT, Mesh, hfzmq, wait_for
from tests.system.test_keys import Asker, keys, listed, secret, status, submission
from tests.system.test_members import Flow, member

WITHIN_S = 60


def report(patient: str, tier: str = "AMBER") -> Report:
    """A report of now."""
    chance = 0.8 if tier == "RED" else 0.5
    return Report(patient, int(time.time() * 1000), 65.5, 137.0, 1.2, 35.0, 0, chance, tier, chance, "m1", "")


def said(*words: object, code: int = 0) -> dict[str, Any]:
    """What a command answers as JSON; AssertionError when it ends with another code."""
    done = subprocess.run(
        hfzmq(*words, "-o", "json"), cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == code, (words, done.returncode, done.stderr)
    found: dict[str, Any] = json.loads(done.stdout) if done.stdout else {"error": done.stderr}
    return found


def sent(mesh: Mesh, name: str, *patients: str) -> None:
    """A client of this name has these stored, and ends."""
    with Client(mesh.config, name, mesh.folder / name) as client:
        for patient in patients:
            client.submit(report(patient))
        client.wait(WITHIN_S)


def unsent(mesh: Mesh, name: str, queue: str, *patients: str) -> None:
    """Nobody is there to take these; they stay in the client's queue."""
    with Client(mesh.config, name, mesh.folder / queue) as client:
        for patient in patients:
            client.submit(report(patient))
    assert look(mesh.folder / queue).rows == len(patients)


def restored_mesh(folder: Path, file: Path) -> Mesh:
    """A new mesh of three whose files were made from a backup; nobody runs yet."""
    folder.mkdir()
    mesh = Mesh(folder)
    for peer in mesh.config.peer_ids:
        made = said("restore", file, "--config", mesh.path, "--id", peer, "--data-dir", folder / str(peer))
        assert made["peer"] == peer
    return mesh


def alarms(mesh: Mesh) -> list[Episode]:
    """The episodes, the same on all peers."""
    return [Episode(*row[:-1]) for row in mesh.assert_equal_tables()["alarm_episodes"]]


def patients(mesh: Mesh) -> list[str]:
    return [row[1] for row in mesh.assert_equal_rows()]


def test_a_mesh_that_is_gone_is_restored_and_the_same_clients_go_on(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with Mesh(tmp_path / "old") as old:
        sent(old, "quiet", "q1", "q2")
        with ReadingsClient(old.config, "monitor", old.folder / "monitor") as monitor:
            for number in range(50):
                monitor.submit(Reading("q1", 1_700_000_000_000 + number, 60.0 + number * 2, ""))
            monitor.wait(WITHIN_S)
        with Client(old.config, "red", old.folder / "red") as client:
            client.submit(report("bed-9", "RED"))
            client.wait(WITHIN_S)
        (alarm,) = (one for one in alarms(old) if one.cause == "RED")
        said("alarms", "ack", alarm.id, "--by", "ann", "--config", old.path)

        flow = Flow(old)
        flow.start()
        flow.go_on(20)
        leader = old.leader()
        file = tmp_path / "ward.backup"
        made = said("backup", "--db", old.folder / str(leader) / f"hfzmq_{leader}.db", "--to", file)
        flow.go_on(20)  # acknowledged, and not in the backup
        written = flow.end()
        saved = old.assert_equal_tables()
        for peer in old.config.peer_ids:
            old.kill(peer)
    assert said("backup", "verify", file)["sha256"] == made["sha256"]
    unsent(old, "quiet", "quiet", "q3", "q4")
    unsent(old, "bed", "queue", "late-1", "late-2")

    with restored_mesh(tmp_path / "new", file) as new:
        found = new.assert_equal_tables()
        kept = made["rows"]["risk_reports"]
        assert 20 < kept < len(saved["risk_reports"])
        columns = slice(0, 10)  # alert_sent may be marked again: alarms go on
        assert [row[columns] for row in found["risk_reports"]] == [row[columns] for row in saved["risk_reports"][:kept]]
        assert found["heartbeats"] == saved["heartbeats"]
        assert made["rows"]["heartbeats"] == 50
        (still,) = (one for one in alarms(new) if one.cause == "RED")
        assert (still.id, still.raised_at_ms, still.acknowledged_by) == (alarm.id, alarm.raised_at_ms, "ann")

        # The clients' queues are given to the new mesh.
        for queue in ("quiet", "queue"):
            moving = ("queue", "move", old.folder / queue, "--config", new.path, "--from")
            said(*moving, "ab" * 16, code=6)
            told = said(*moving, made["mesh_id"])
            assert told["mesh_id"] == new.config.mesh_id.hex()
        quiet = old.folder / "quiet"
        before = look(quiet)
        with Client(new.config, "quiet", quiet) as client:
            client.wait(WITHIN_S)  # what it had queued goes out by itself
        assert look(quiet).next_seq > before.next_seq, "its session goes on: the backup knows all of it"
        with Client(new.config, "bed", old.folder / "queue") as client:
            client.wait(WITHIN_S)
            client.submit(report("after"))
            client.wait(WITHIN_S)
        kept_patients = [row[1] for row in saved["risk_reports"][:kept]]
        assert patients(new) == [*kept_patients, "q3", "q4", "late-1", "late-2", "after"]
        assert len(set(written) - set(kept_patients)) >= 20, "what was acknowledged after the backup is not in it"

        new.kill(new.leader())  # and it is a mesh like any other
        new.wait_for_leader()
        sent(new, "third", "third")


def test_a_peer_restored_once_more_into_a_mesh_that_lives_is_a_newcomer(tmp_path: Path) -> None:
    """Its disk died after it had acknowledged; the backup gives it its name back, and nothing that it had promised."""
    (tmp_path / "old").mkdir()
    with Mesh(tmp_path / "old") as old:
        sent(old, "bed", "before")
        file = tmp_path / "ward.backup"
        said("backup", "--db", old.folder / "1" / "hfzmq_1.db", "--to", file)
    with restored_mesh(tmp_path / "new", file) as new:
        sent(new, "bed", "by all")
        new.wait_until_equal()
        new.kill(2)
        sent(new, "bed", "after")  # on the disks of 1 and 3
        first = member(new, 3)[0]
        assert first == restored.incarnation_of(verify(file).digest, new.config, 3).hex()
        new.kill(3)
        new.wipe(3)
        again = ("restore", file, "--config", new.path, "--id", 3, "--data-dir", new.folder / "3")
        assert "a mesh that has not begun" in said(*again, code=6)["error"]

        new.kill(1)  # the only one that still has it
        said(*again)  # nobody is there to tell
        new.start(3)
        wait_for("it waits", lambda: "waits for peers 1, 2" in new.log(3))
        new.start(2)
        wait_for("it gives the name up", lambda: "begins anew and joins it" in new.log(3))
        wait_for("peer 2 has campaigned in vain", lambda: "precandidate" in new.log(2).split("ready:")[-1])
        assert new.leader() == 0, "peer 3 was counted, and what only peer 1 holds is forgotten"
        new.start(1)
        wait_for("it is back as another", lambda: member(new, 3) not in ((first, "voter"), ("", "")), WITHIN_S)
        wait_for("it votes", lambda: member(new, 3)[1] == "voter", WITHIN_S)
        assert member(new, 3)[0] != first
        assert patients(new) == ["before", "by all", "after"]


def test_a_restored_mesh_begins_only_when_all_its_first_peers_are_up(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with Mesh(tmp_path / "old") as old:
        sent(old, "bed", "before")
        file = tmp_path / "ward.backup"
        said("backup", "--db", old.folder / "2" / "hfzmq_2.db", "--to", file)
    new = restored_mesh(tmp_path / "new", file)
    try:
        new.start(1)
        new.start(2)
        wait_for("they wait", lambda: all("waits for peer 3" in new.log(peer) for peer in (1, 2)))
        status = new.status()
        assert {peer["restored"] for peer in status.values()} == {"waits for peer 3"}
        new.kill(1)
        new.start(1)
        new.start(3)
        new.wait_for_leader(1)
        sent(new, "bed", "after")
        assert patients(new) == ["before", "after"]
        for peer in new.config.peer_ids:
            assert new.terminate(peer) == 0
            assert "begins anew" not in new.log(peer), new.log(peer)
    finally:
        new.__exit__()


# ------------------------------------------------------------ keys


def test_a_restored_mesh_goes_by_its_own_peers_keys_and_whoever_was_revoked_stays_out(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with Mesh(tmp_path / "old") as old:
        sent(old, "bed", "before")
        keys(old, "issue", "bed-9", "--role", "client")
        keys(old, "issue", "thief", "--role", "client")
        keys(old, "issue", "peer-2-new", "--role", "peer", "--id", 2)  # would stand before the new peer 2's own
        keys(old, "revoke", "thief")
        old.wait_until_equal()
        file = tmp_path / "ward.backup"
        said("backup", "--db", old.folder / "2" / "hfzmq_2.db", "--to", file)
        bed, thief = read_secret(secret(old, "bed-9")), read_secret(secret(old, "thief"))
    new = restored_mesh(tmp_path / "new", file)
    try:
        new.start(1)
        new.start(2)
        wait_for("they wait", lambda: all("waits for peer 3" in new.log(peer) for peer in (1, 2)))
        for own, answered in ((bed, True), (thief, False), (make_pair(), False), (None, False)):
            with Asker(new, own) as asker:
                assert (asker.ask(status(new), 2000 if answered else 500) is not None) is answered
        new.start(3)
        leader = new.wait_for_leader(1)
        with Asker(new, bed, leader) as asker:
            assert (asker.ask(submission(new, "after"), 5000) or {})["status"] == "ACK"
        with Asker(new, thief, leader) as asker:
            assert asker.ask(submission(new, "stolen"), 500) is None
        assert patients(new) == ["before", "after"]
        shown = {row["name"]: row for row in json.loads(keys(new, "show", "-o", "json").stdout)}
        assert (shown["bed-9"]["revoked"], shown["thief"]["revoked"]) == (False, True)
        assert "peer-2-new" not in shown
    finally:
        new.__exit__()


def test_a_list_of_keys_that_keeps_a_restored_mesh_from_beginning_is_mended_by_sighup(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with Mesh(tmp_path / "old") as old:
        sent(old, "bed", "before")
        file = tmp_path / "ward.backup"
        said("backup", "--db", old.folder / "2" / "hfzmq_2.db", "--to", file)
    new = restored_mesh(tmp_path / "new", file)
    try:
        own = new.folder / "peers_1.yaml"
        right = own.read_text()
        own.write_text(right.replace(listed(new, 3), make_pair().public))
        for peer in new.config.peer_ids:
            new.start(peer)
        wait_for("peer 1 waits", lambda: "waits for peer 3," in new.log(1))
        wait_for("peer 3 says why", lambda: "does not let this peer in" in new.log(3))
        assert new.leader() == 0
        own.write_text(right)
        new.processes[1].send_signal(signal.SIGHUP)
        new.wait_for_leader()
        sent(new, "bed", "after")
        assert patients(new) == ["before", "after"]
    finally:
        new.__exit__()


def test_a_peer_whose_key_was_revoked_in_the_old_mesh_is_not_restored(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with Mesh(tmp_path / "old") as old:
        sent(old, "bed", "before")
        keys(old, "issue", "peer-2-new", "--role", "peer", "--id", 2)
        keys(old, "revoke", listed(old, 2))
        file = tmp_path / "ward.backup"
        old.wait_until_equal(1, 3)
        said("backup", "--db", old.folder / "1" / "hfzmq_1.db", "--to", file)
    (tmp_path / "new").mkdir()
    new = Mesh(tmp_path / "new")
    new.path.write_text(configuration.render(new.config._replace(keys=old.config.keys)))
    for peer in (1, 2):
        words = ("restore", file, "--config", new.path, "--id", peer, "--data-dir", new.folder / str(peer))
        told = said(*words, code=7)["error"]
        assert "the key of peer 2 is revoked" in told
        assert "hfzmq keys issue" in told
    assert not (new.folder / "1").exists()
