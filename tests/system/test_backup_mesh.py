"""A backup taken over the mesh from real daemons, with keys, while a client writes; and what dies meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hfzmq import Client
from hfzmq.client import backup_pull, backup_take
from hfzmq.client.backup_take import PULLING, Taken, take
from hfzmq.clinical.report import Report
from hfzmq.errors import KeysError
from hfzmq.storage.backup import verify
from hfzmq.wire.backup import TAKE_BYTES, Busy, Making, Piece, read_answer
from hfzmq.wire.requests import encode_request
from tests.system.mesh import ROOT, Mesh, hfzmq, wait_for
from tests.system.test_keys import Asker, keys, secret
from tests.system.test_members import ROW, Flow
from tests.system.test_restore import restored_mesh
from tests.system.test_restore import said as answered

MANY = 600  # reports
PIECE = 32 << 10  # bytes: fewer than so many reports have


def command(mesh: Mesh, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run ``hfzmq backup`` against a mesh."""
    line = hfzmq("backup", *words, "--config", mesh.path)
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done


def fill(mesh: Mesh) -> None:
    """Have so many reports stored, of few patients: each has alarms of its own."""
    with Client(mesh.config, "filler", mesh.folder / "filler") as client:
        for number in range(MANY):
            client.submit(ROW._replace(patient_id=f"n{number % 5}", timestamp=ROW.timestamp + number))
        client.wait(120)


def files_of_backups(mesh: Mesh, peer: int | str = "*") -> list[Path]:
    return [path for path in mesh.folder.glob(f"{peer}/backups/*") if path.is_file()]


def patients_in(mesh: Mesh) -> list[str]:
    return [row[1] for row in mesh.assert_equal_rows()]


def taken(mesh: Mesh, to: Path, peer: int | None, at_first_piece: Callable[[], object]) -> tuple[Taken, list[str]]:
    """Take a backup in this process; when its first piece has come, something happens. And what was said."""
    said: list[str] = []
    happened: list[bool] = []

    def progress(what: str, share: float) -> None:
        if what == PULLING and not happened:
            assert share < 1, "it came in one piece: take more reports"
            happened.append(True)
            at_first_piece()

    done = take(mesh.config, to, peer, progress, said.append)
    assert happened
    return done, said


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is pulled in this process."""
    monkeypatch.setattr(backup_pull, "PIECE_BYTES_MAX", PIECE)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """Three peers with enough reports for several pieces."""
    with Mesh(tmp_path_factory.mktemp("filled")) as mesh:
        fill(mesh)
        mesh.wait_until_equal()
        yield mesh


def test_the_drill_a_mesh_is_backed_up_over_the_mesh_while_it_writes_and_another_is_founded_on_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "old").mkdir()
    file = tmp_path / "ward.db"
    with Mesh(tmp_path / "old") as old:
        flow = Flow(old)
        flow.start()
        flow.go_on(20)
        refused = command(old, file, "--key", secret(old, "ward"), code=7)
        assert "takes an admin's key" in refused.stderr
        assert "ward.secret" in refused.stderr
        assert not list(tmp_path.glob("ward.db*"))
        flow.go_on(5)
        before = list(flow.acked)  # the last one was acknowledged just now, by a leader that is not asked
        done = command(old, file, "-o", "json")
        made: dict[str, Any] = json.loads(done.stdout)
        leader = old.leader()
        flow.go_on(20)  # acknowledged, and not in the backup
        written = flow.end()
        saved = patients_in(old)
        assert made["peer"] != leader
        assert made["acknowledged_index"] <= made["applied_index"]
        wait_for("nothing stays with the peers", lambda: not files_of_backups(old))
        assert f"is handed out to the key of admin: {made['bytes']} bytes" in old.log(made["peer"])
        assert "refused" not in done.stderr
        for peer in old.config.peer_ids:
            old.kill(peer)
    assert answered("backup", "verify", file)["sha256"] == made["sha256"]
    with restored_mesh(tmp_path / "new", file) as new:
        kept = patients_in(new)
        assert kept == saved[: made["rows"]["risk_reports"]]
        assert set(before) <= set(kept), "a report that was acknowledged before is missing"
        assert len(kept) < len(written)
        with Client(new.config, "after", new.folder / "after") as client:
            client.submit(ROW._replace(patient_id="after"))
            client.wait(60)
        assert patients_in(new) == [*kept, "after"]


def test_a_peer_that_is_killed_in_the_middle_is_left_for_the_next_one(
    filled: Mesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_take, "PATIENCE_S", 3.0)
    leader = filled.wait_for_leader()
    first, second = sorted({1, 2, 3} - {leader}, reverse=True)
    done, said = taken(filled, tmp_path / "ward.db", None, lambda: filled.kill(first))
    assert done.peer == second
    assert any(f"peer {first} has not answered for 3 s" in line and "of the backup had come" in line for line in said)
    assert verify(tmp_path / "ward.db").rows["risk_reports"] == MANY
    assert [path.parts[-3] for path in files_of_backups(filled)] == [str(first)]
    filled.start(first)
    filled.wait_until_equal()
    assert files_of_backups(filled) == [], "what was left when it was killed stays on its disk"


def test_a_peer_that_is_restarted_in_the_middle_gives_another_backup(filled: Mesh, tmp_path: Path) -> None:
    def restart() -> None:
        filled.kill(3)
        filled.start(3)

    done, _ = taken(filled, tmp_path / "ward.db", 3, restart)
    assert done.peer == 3
    assert verify(tmp_path / "ward.db").rows["risk_reports"] == MANY
    assert filled.log(3).count("a backup is made") >= 2
    filled.wait_until_equal()


def test_a_key_that_is_revoked_in_the_middle_gets_no_more_of_it(
    filled: Mesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_take, "ANSWER_S", 2.0)
    from hfzmq.secret_files import read_secret

    keys(filled, "issue", "second", "--role", "admin")
    filled.wait_until_equal()
    assert filled.config.keys is not None
    own = filled.config.keys._replace(own=read_secret(secret(filled, "second")))
    thief = filled.config._replace(keys=own)
    happened: list[bool] = []

    def progress(what: str, share: float) -> None:
        if what == PULLING and not happened:
            assert share < 1
            happened.append(True)
            keys(filled, "revoke", "second")
            filled.wait_until_equal()

    with pytest.raises(KeysError, match="does not accept"):
        take(thief, tmp_path / "ward.db", 3, progress, lambda line: None)
    assert happened
    assert list(tmp_path.iterdir()) == []


def test_one_at_a_time_and_what_is_not_pulled_is_called_off_with_the_daemon(filled: Mesh) -> None:
    leader = filled.wait_for_leader()
    peer = min({1, 2, 3} - {leader})  # peer 3 may still keep what the thief asked for
    own = filled.config.keys.own if filled.config.keys else None

    def request(take_: bytes, offset: int = 0) -> bytes:
        return encode_request(filled.config.mesh_id, "backup", take=take_, offset=offset, length=1000)

    with Asker(filled, own, peer) as one, Asker(filled, own, peer) as other:
        mine, theirs = os.urandom(TAKE_BYTES), os.urandom(TAKE_BYTES)

        def ask(asker: Asker, frame: bytes) -> Any:
            reply = asker.ask(frame, 5000)
            assert reply is not None
            return read_answer(reply)

        wait_for("none other goes on", lambda: isinstance(ask(one, request(mine)), (Making, Piece)))
        busy = ask(other, request(theirs))
        assert isinstance(busy, Busy)
        assert busy.by == "admin"
        piece = wait_for("it is made", lambda: _piece(ask(one, request(mine))))
        assert len(piece.data) == 1000
        assert ask(one, request(mine)) == piece, "the same again, as often as one likes"
    assert files_of_backups(filled, peer)
    assert filled.terminate(peer) == 0
    assert files_of_backups(filled, peer) == []
    filled.start(peer)
    filled.wait_until_equal()


def _piece(answer: object) -> Any:
    return answer if isinstance(answer, Piece) else None


@pytest.mark.alone
def test_honest_acks_are_not_noticeably_slower_while_a_backup_is_taken(filled: Mesh, tmp_path: Path) -> None:
    leader = filled.wait_for_leader()

    def typical(client: Client, count: int, goes_on: Callable[[], bool]) -> float:
        took: list[float] = []
        while len(took) < count or goes_on():
            began = time.monotonic()
            client.submit(Report("w", 1_700_000_000_000 + len(took), *ROW[2:]))
            client.wait(60)
            took.append(time.monotonic() - began)
        return sorted(took)[len(took) // 2]

    with Client(filled.config, "writer", filled.folder / "writer") as client:
        quiet = typical(client, 30, lambda: False)
        line = hfzmq("backup", tmp_path / "ward.db", "--config", filled.path)
        with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as backup:
            loud = typical(client, 10, lambda: backup.poll() is None)
            backup.communicate()
        assert backup.returncode == 0
    assert loud < quiet + 0.25, (quiet, loud)
    assert filled.wait_for_leader() == leader
