"""A queue that loses its name, or rots, under a client: it is told, and nothing is promised that is gone."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from hfzmq import Client
from hfzmq.client import ReadingsClient
from hfzmq.client.queue import Queue
from hfzmq.client.queue_move import look
from hfzmq.clinical.heart_rate import Reading
from hfzmq.clinical.report import Report
from hfzmq.config import render
from hfzmq.errors import DiskFailed
from hfzmq.wire.rows import pack_row
from tests.integration.fake_peer import FakeMesh, eventually

ROOT = Path(__file__).resolve().parents[2]
ROW = Report("P-001", 1_700_000_000_000, 65.5, 137.0, 1.2, 35.0, 0, 0.5, "AMBER", 0.4, "m1", "")
GONE = "queue.db: deleted, moved or replaced while this client has it open"


def row(number: int) -> Report:
    return ROW._replace(day=number)


def deleted(home: Path) -> None:
    (home / "queue.db").unlink()


def moved(home: Path) -> None:
    (home / "queue.db").rename(home / "kept.db")


def replaced(home: Path) -> None:
    shutil.copy(home / "queue.db", home / "copy.db")
    (home / "copy.db").replace(home / "queue.db")


def directory_deleted(home: Path) -> None:
    shutil.rmtree(home)


def directory_moved(home: Path) -> None:
    home.rename(home.with_name("elsewhere"))


def directory_replaced(home: Path) -> None:
    shutil.copytree(home, home.with_name("copy"))
    home.rename(home.with_name("elsewhere"))
    home.with_name("copy").rename(home)


WAYS = (deleted, moved, replaced, directory_deleted, directory_moved, directory_replaced)


@pytest.fixture
def mesh() -> Iterator[FakeMesh]:
    made = FakeMesh()
    yield made
    made.close()


def dead(mesh: FakeMesh) -> None:
    for peer in mesh.peers.values():
        peer.die()


@pytest.mark.parametrize("lose", WAYS)
@pytest.mark.parametrize("act", ["put", "batch", "ack", "check"])
def test_a_queue_that_lost_its_name_is_noticed_by_whatever_comes_next(
    tmp_path: Path, lose: Callable[[Path], None], act: str
) -> None:
    home = tmp_path / "q"
    queue = Queue.open(home, "bed", bytes(16))
    queue.put([row(0)])
    if act == "ack":
        queue.next_batch(10, 1 << 20)
    lose(home)
    acts: dict[str, Callable[[], object]] = {
        "put": lambda: queue.put([row(1)]),
        "batch": lambda: queue.next_batch(10, 1 << 20),
        "ack": lambda: queue.acknowledged(1),
        "check": queue.check,
    }
    for _ in range(2):
        with pytest.raises(DiskFailed) as caught:
            acts[act]()
        assert str(caught.value) == f"{home}/{GONE}"
        assert caught.value.hint.startswith("put it back, then run the same again")
    queue.close()


def test_a_queue_that_keeps_its_name_is_written_on_whatever_happens_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "from").mkdir()
    monkeypatch.chdir(tmp_path / "from")
    queue = Queue.open("q", "bed", bytes(16))
    queue.put([row(0)])
    monkeypatch.chdir(tmp_path)  # a relative path is meant from where the client began
    (tmp_path / "from" / "q" / "other").write_text("")
    queue.put([row(1)])
    queue.check()
    queue.close()
    queue.check()


def test_a_wal_that_is_removed_under_a_client_is_noticed_and_brought_in_at_its_end(tmp_path: Path) -> None:
    home = tmp_path / "q"
    queue = Queue.open(home, "bed", bytes(16))
    queue.put([row(0)])
    (home / "queue.db-wal").unlink()
    queue.put([row(1)])
    with pytest.raises(DiskFailed, match=r"queue\.db-wal: deleted, moved or replaced") as caught:
        queue.check()
    assert caught.value.hint.startswith("run the same again")
    queue.close()
    queue = Queue.open(home, "bed", bytes(16))
    assert queue.pending() == 2
    queue.close()


# ------------------------------------------------------------------------------------------------- from Python


@pytest.mark.parametrize("up", [True, False], ids=["mesh", "no mesh"])
def test_a_client_whose_queue_is_gone_takes_no_more_reports_and_waits_for_none(
    mesh: FakeMesh, tmp_path: Path, up: bool
) -> None:
    if not up:
        dead(mesh)
    client = Client(mesh.config, "bed", tmp_path / "q")
    client.submit(row(0))
    directory_deleted(tmp_path / "q")
    with pytest.raises(DiskFailed, match="deleted, moved or replaced"):
        client.submit(row(1))
    with pytest.raises(DiskFailed, match="deleted, moved or replaced"):
        client.wait(30)
    started = time.monotonic()
    client.close()
    assert time.monotonic() - started < 5


def test_who_only_waits_for_a_mesh_that_is_away_is_told_that_the_queue_is_gone(mesh: FakeMesh, tmp_path: Path) -> None:
    dead(mesh)
    client = Client(mesh.config, "bed", tmp_path / "q")
    client.submit(row(0))
    directory_moved(tmp_path / "q")
    with pytest.raises(DiskFailed, match="deleted, moved or replaced"):
        client.wait()  # for ever, if need be
    client.close()


def test_who_waits_no_longer_is_not_told_that_reports_are_kept_where_none_are(mesh: FakeMesh, tmp_path: Path) -> None:
    dead(mesh)
    client = Client(mesh.config, "bed", tmp_path / "q")
    client.submit(row(0))
    directory_deleted(tmp_path / "q")
    with pytest.raises(DiskFailed, match="deleted, moved or replaced"):
        client.wait(0.0)
    client.close()


def test_an_idle_client_of_readings_finds_out_by_itself(mesh: FakeMesh, tmp_path: Path) -> None:
    client = ReadingsClient(mesh.config, "bed", tmp_path / "q")
    client.submit(Reading("P-001", 1_700_000_000_000, 72, ""))
    client.wait(30)
    moved(tmp_path / "q")
    eventually(lambda: isinstance(client._ledger.failure, DiskFailed))
    with pytest.raises(DiskFailed):
        client.submit(Reading("P-001", 1_700_000_001_000, 72, ""))
    client.close()


def rot(home: Path, content: bytes, at: int, every: bool = False) -> None:
    data = bytearray((home / "queue.db").read_bytes())
    place = data.find(content)
    assert place >= 0
    while place >= 0:
        data[place + at] ^= 1
        place = data.find(content) if every else -1
    (home / "queue.db").write_bytes(data)


def test_a_rotten_report_is_told_counted_as_rejected_and_holds_nobody_up(mesh: FakeMesh, tmp_path: Path) -> None:
    queue = Queue.open(tmp_path / "q", "bed", mesh.config.mesh_id)
    queue.put([row(number) for number in range(5)])
    queue.close()
    rot(tmp_path / "q", pack_row(row(2)), 20)
    told: list[dict[str, object]] = []
    with Client(mesh.config, "bed", tmp_path / "q", told.append) as client:
        client.wait(30)
        assert (client.state.acked, client.state.rejected, client.state.pending) == (4, 1, 0)
    assert [report.day for report in mesh.stored] == [0, 1, 3, 4]
    events = [event for event in told if event["event"] in ("ack", "rejected")]
    assert [event["event"] for event in events] == ["ack", "ack", "rejected", "ack", "ack"]
    assert events[2] == {
        "event": "rejected", "by": "queue", "patient": "P-001", "field": "queue",
        "bound": "its checksum does not match its bytes", "hint": "this disk has changed it; it was never sent",
    }  # fmt: skip
    assert look(tmp_path / "q").dead_letters == 1


def test_a_request_under_way_that_is_lost_is_told_and_what_waits_goes_out_as_a_new_session(
    mesh: FakeMesh, tmp_path: Path
) -> None:
    queue = Queue.open(tmp_path / "q", "bed", mesh.config.mesh_id)
    queue.put([row(0), row(1)])
    queue.next_batch(10, 1 << 20)
    epoch = queue.epoch
    queue.close()
    rot(tmp_path / "q", pack_row(row(1)), 20, every=True)
    told: list[dict[str, object]] = []
    with Client(mesh.config, "bed", tmp_path / "q", told.append) as client:
        client.wait(30)
        assert client.queue.epoch != epoch
    assert [report.day for report in mesh.stored] == [0]
    session, report = (event for event in told if event["event"] == "rejected")
    assert (session["by"], session["field"], session["patient"]) == ("queue", "seq", None)
    assert session["hint"] == (
        f"request 1, which was under way, is damaged in the queue in {tmp_path / 'q'}; what waits (2 reports) is sent "
        "as a new session, and some of it may be stored twice"
    )
    assert (report["by"], report["patient"]) == ("queue", "P-001")


# ------------------------------------------------------------------------------------------------- as commands


def command(mesh: FakeMesh, folder: Path, *words: object) -> subprocess.Popen[str]:
    config = folder / "peers.yaml"
    config.write_text(render(mesh.config))
    line = [words[0], "--config", config, "--queue", folder / "q", "--client-id", "bed", "--headless", *words[1:]]
    return subprocess.Popen(
        [sys.executable, "-m", "hfzmq", *map(str, line)],
        cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def waits_in(home: Path) -> int:
    """How many rows are in the WAL or the file of a queue, about: it is not to be opened."""
    wal = home / "queue.db-wal"
    return wal.read_bytes().count(b"P-00") if wal.exists() else 0


@pytest.mark.parametrize("lose", [directory_deleted, directory_moved, replaced])
@pytest.mark.parametrize(
    "words",
    [
        ("client", "--patients", 2, "--interval", "0.05"),
        ("stream", "--patients", 2, "--rate", 20),
        ("client", "--source", "hf.csv"),
    ],
    ids=["client", "stream", "csv"],
)
def test_a_command_whose_queue_is_gone_ends_with_two_lines_and_exit_1(
    mesh: FakeMesh, tmp_path: Path, lose: Callable[[Path], None], words: tuple[object, ...]
) -> None:
    """Whether it still reads, or has read all and waits for a mesh that is away."""
    dead(mesh)
    csv = tmp_path / "hf.csv"
    csv.write_text("age,serum_sodium,serum_creatinine,ejection_fraction,time,patient_id\n82,126,2.4,20,5,P-001\n")
    process = command(mesh, tmp_path, *(csv if word == "hf.csv" else word for word in words))
    eventually(lambda: waits_in(tmp_path / "q"), 60)
    lose(tmp_path / "q")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    *_, error, hint = err.splitlines()
    assert error.replace("-wal", "") == f"error: {tmp_path}/q/{GONE}"  # of a directory, that may go first
    assert "run the same again" in hint
    assert "Traceback" not in err
    assert "waiting on disk" not in out
    assert "wait in" not in err


def test_a_command_tells_what_rots_and_the_sums_agree(mesh: FakeMesh, tmp_path: Path) -> None:
    csv = tmp_path / "hf.csv"
    lines = "".join(f"82,126,2.4,20,{day},P-001\n" for day in range(3))
    csv.write_text("age,serum_sodium,serum_creatinine,ejection_fraction,time,patient_id\n" + lines)
    mesh.leader = None
    process = command(mesh, tmp_path, "client", "--source", csv, "--duration", 1)
    assert process.communicate(timeout=60)[1].count("3 reports are not acknowledged yet; they wait in") == 1
    db = apsw.Connection(str(tmp_path / "q" / "queue.db"))
    packed = db.execute("SELECT row FROM rows WHERE id = 2").get
    db.close()
    rot(tmp_path / "q", packed, 20, every=True)
    mesh.leader = 1
    process = command(mesh, tmp_path, "client", "--source", csv)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "rejected: queue: its checksum does not match its bytes" in err
    assert "2 acknowledged, 1 rejected, 0 waiting on disk" in out
    assert len(mesh.stored) == 2


def test_how_far_a_file_was_read_rots_and_the_command_asks_what_to_do(mesh: FakeMesh, tmp_path: Path) -> None:
    csv = tmp_path / "hf.csv"
    csv.write_text("age,serum_sodium,serum_creatinine,ejection_fraction,time,patient_id\n82,126,2.4,20,5,P-001\n")

    def run(*words: object) -> tuple[int, str]:
        process = command(mesh, tmp_path, "client", "--source", csv, *words)
        err = process.communicate(timeout=60)[1]
        return process.returncode, err

    assert run() == (0, "")
    queue = Queue.open(tmp_path / "q", "bed", mesh.config.mesh_id)
    (place,) = queue.sources()
    queue.close()
    rot(tmp_path / "q", place.prefix, 3)
    code, err = run()
    assert code == 1
    assert "does not know any more how far a file was read" in err
    assert "hint: --from-start reads it from its beginning" in err
    assert len(mesh.stored) == 1
    assert run("--from-start")[0] == 0
    assert run()[0] == 0
    assert len(mesh.stored) == 2
