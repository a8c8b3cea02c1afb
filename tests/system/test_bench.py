"""``hfzmq bench`` with real processes: it counts truly, and its yardstick really stores three times and syncs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zmq

from hfzmq.cli.bench.failover import FLOW
from hfzmq.cli.bench.measure import LoadRun, Terms, Workload, measure
from hfzmq.cli.bench.readback import Acked, NotKept
from hfzmq.cli.bench.reports import writers
from hfzmq.cli.bench.systems import SKETCH_MODULE, SketchSystem
from hfzmq.cli.processes import free_addresses
from hfzmq.wire.requests import encode_rows
from tests.system.mesh import ROOT, Mesh, hfzmq, wait_for

WRITER, *_ = writers("bench", 1, 4, 1_760_000_000_000)
SHORT = Terms(seconds=0.5, warm_up_s=0.2, beds=4, tick_s=0.1)


def bench(*words: object, codes: tuple[int, ...] = (0,), within_s: float = 150) -> subprocess.CompletedProcess[str]:
    """The command, run to its end."""
    done = subprocess.run(
        hfzmq("bench", *words), cwd=ROOT, capture_output=True, text=True, timeout=within_s, check=False
    )
    assert done.returncode in codes, done.stdout + done.stderr
    return done


# ------------------------------------------------------------ the command


def test_a_bench_of_both_tells_their_ratio_and_leaves_nothing_but_the_results(tmp_path: Path) -> None:
    results = tmp_path / "results" / "bench.json"
    results.parent.mkdir()
    results.write_text('{"long": {"verdict": "flat"}, "speed": {"old": true}}')
    words = ("--clients", 2, "--batch", 5, "--seconds", 1, "--baseline", "--folder", tmp_path / "f")
    done = bench(*words, "--results", results, "-o", "json")
    told = json.loads(done.stdout)["speed"]
    known = json.loads(results.read_text())
    assert (known["speed"], known["long"]) == (told, {"verdict": "flat"}), "other sections stay"
    assert list((tmp_path / "f").iterdir()) == []
    assert told["command"] == "hfzmq bench --clients 2 --batch 5 --seconds 1 --baseline"
    assert told["cores"] > 0
    assert told["commit"]
    assert told["disk"]["fsync_p50_ms"] > 0
    (workload,) = told["workloads"]
    assert (workload["name"], list(workload["systems"])) == ("2 x 5", ["hfzmq", "sketch"])
    for figures in workload["systems"].values():
        assert figures["read_back"] >= figures["reports"] > 0
        assert figures["reports"] / 3 < figures["rate"] < figures["reports"] * 1.02, "within a second, or a little more"
        assert 0 < figures["p50_us"] <= figures["p99_us"] <= figures["max_us"]
        assert figures["disk_bytes_per_report"] > 100
        assert figures["peer_rss_mib"] > 5
    ours, sketch = workload["systems"]["hfzmq"], workload["systems"]["sketch"]
    assert workload["ratio_to_sketch"]["hfzmq"]["rate"] == pytest.approx(ours["rate"] / sketch["rate"], rel=0.03)
    assert "2 x 5, hfzmq" in done.stderr


def test_a_mesh_that_runs_holds_exactly_what_the_bench_says_and_forgets_its_beds(tmp_path: Path) -> None:
    with Mesh(tmp_path) as mesh:
        words = ("--config", mesh.path, "--yes", "--clients", 3, "--seconds", 0.5, "--beds", 3, "-o", "json")
        (workload,) = json.loads(bench(*words).stdout)["running"]["workloads"]
        (figures,) = workload["systems"].values()
        rows = mesh.assert_equal_rows()
        assert len(rows) == figures["read_back"] >= figures["reports"] > 0
        assert len({(row[1], row[2]) for row in rows}) == len(rows)
        assert figures["peers_cpu_us"] is None, "nobody can see it from here"
        assert figures["disk_bytes_per_report"] > 0
        states = {row[3] for row in mesh.tables(1)["alarm_episodes"]}
        assert states <= {"normal"}, "an alarm of a made-up bed is open"
        watched = [row[1] for row in mesh.tables(1)["alarm_beds"]]
        assert watched == [0, 0, 0]


@pytest.mark.parametrize(
    ("words", "under_way"),
    [(("--clients", 2), "load.json"), (("--growth", "stored", "--rows-max", 100_000), "fill.json")],
    ids=["while it loads", "while a mesh is filled"],
)
def test_a_bench_that_is_ended_leaves_no_process_and_no_file(
    tmp_path: Path, words: tuple[object, ...], under_way: str
) -> None:
    process = subprocess.Popen(
        hfzmq("bench", *words, "--seconds", 60, "--folder", tmp_path),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(under_way, lambda: list(tmp_path.rglob(under_way)), 60)
    (place,) = tmp_path.iterdir()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), err
    assert list(tmp_path.iterdir()) == []
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in running if str(place).encode() in line]


def test_failover_kills_the_leader_and_tells_how_long_a_writer_waited(tmp_path: Path) -> None:
    words = ("--failover", 1, "--lease", 300, "--folder", tmp_path, "-o", "json")
    told = json.loads(bench(*words).stdout)["failover_lease_300_ms"]
    assert (told["kills"], told["lease_ms"], len(told["gap_ms"]["all"])) == (1, 300, 1)
    assert 150 < told["gap_ms"]["p50"] <= told["gap_ms"]["max"] < 30_000
    assert told["read_back"] >= 2 * FLOW


def test_a_long_run_has_its_samples_and_a_verdict(tmp_path: Path) -> None:
    words = ("--minutes", 0.05, "--clients", 2, "--folder", tmp_path, "-o", "json")
    done = bench(*words, codes=(0, 1))  # on a machine that does other things, too, three seconds need not be flat
    told = json.loads(done.stdout)["long"]
    assert (told["verdict"], done.returncode) == (("not flat", 1) if told["not_flat"] else ("flat", 0))
    assert len(told["samples"]) >= 12
    for sample in (dict(zip(told["columns"], values, strict=True)) for values in told["samples"]):
        assert sample["peer_rss_mib"] > 5
        assert sample["descriptors"] > 3
        assert sample["stolen_ms"] >= 0
    clients, peers = (
        sum(values[told["columns"].index(name)] for values in told["samples"])
        for name in ("clients_cpu_us", "peers_cpu_us")
    )
    assert peers > clients > 0


def test_a_long_run_that_is_ended_early_tells_what_it_has_found_so_far(tmp_path: Path) -> None:
    said = tmp_path / "said"
    with said.open("w") as stderr:
        process = subprocess.Popen(
            hfzmq("bench", "--minutes", 0.5, "--clients", 2, "--folder", tmp_path / "disk", "-o", "json"),
            cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True,
        )  # fmt: skip
    wait_for("half of it", lambda: ": 50 %" in said.read_text(), 60)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode in (0, 1), said.read_text()
    told = json.loads(out)["long"]
    assert 15 <= told["seconds"] < told["asked_s"] == 30
    assert 12 <= len(told["samples"]) < 30
    assert told["read_back"] > 0
    assert "once more" in said.read_text()
    assert list((tmp_path / "disk").iterdir()) == []


# ------------------------------------------------------------ the yardstick


@pytest.fixture
def sketch(tmp_path: Path) -> Iterator[SketchSystem]:
    """Its three processes, running."""
    system = SketchSystem(tmp_path / "sketch", lambda: None)
    system.start()
    yield system
    system.close()


class Asker:
    """One client of a sketch, with one request of one report under way."""

    def __init__(self, port: int) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.connect(f"tcp://127.0.0.1:{port}")
        self.sent = 0

    def send(self) -> None:
        self.sent += 1
        self._socket.send_multipart([b"", encode_rows(WRITER.rows(self.sent, 1))])

    def answered(self, within_s: float) -> bool:
        if not self._socket.poll(int(within_s * 1000)):
            return False
        assert self._socket.recv_multipart() == [b""]
        return True

    def close(self) -> None:
        self._socket.close()


def test_the_sketch_stores_each_report_on_all_three_disks_in_one_order(tmp_path: Path) -> None:
    system = SketchSystem(tmp_path / "sketch", lambda: None)
    kept = tmp_path / "kept"
    close = system.close

    def keep() -> None:
        shutil.copytree(tmp_path / "sketch", kept)
        close()

    system.close = keep  # type: ignore[method-assign]
    found = measure(system, Workload(2, 3), SHORT)
    tables = []
    for file in sorted(kept.rglob("sketch.db")):
        with closing(sqlite3.connect(file)) as database:
            tables.append(database.execute("SELECT * FROM risk_reports ORDER BY id").fetchall())
    assert len(tables) == 3
    assert len(tables[0]) == found.read_back >= found.reports > 0
    assert tables[0] == tables[1] == tables[2]


def test_a_report_that_the_sketch_loses_is_noticed_and_nothing_is_told(sketch: SketchSystem) -> None:
    run = LoadRun(sketch, Workload(2, 1), SHORT)
    assert [event["event"] for event in run.events()][-1] == "done"
    sketch.settle()
    sketch.read_back(run.ledger)
    with closing(sqlite3.connect(sketch.files[2])) as database, database:
        database.execute("DELETE FROM risk_reports WHERE id = (SELECT max(id) FROM risk_reports)")
    with pytest.raises(NotKept, match="sketch-3"):
        sketch.read_back(run.ledger)


def test_the_sketch_answers_only_what_a_follower_has_too(sketch: SketchSystem) -> None:
    asker = Asker(int(str(sketch.spec["port"])))
    asker.send()
    assert asker.answered(30)
    for name in ("sketch-2", "sketch-3"):
        sketch.processes.signal(name, signal.SIGSTOP)
    asker.send()
    assert not asker.answered(0.5), "it stands on the leader's disk alone"
    sketch.processes.signal("sketch-3", signal.SIGCONT)
    assert asker.answered(30)
    sketch.processes.signal("sketch-2", signal.SIGCONT)
    asker.close()
    sketch.settle()
    sketch.read_back([Acked(WRITER, asker.sent, asker.sent)])


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: tests/nemesis/install.sh")
def test_the_sketch_syncs_each_commit_on_the_leader_and_on_a_follower(tmp_path: Path) -> None:
    ports = [address.client_port for address in free_addresses(3)]
    traced, processes = [tmp_path / f"{number}.strace" for number in (1, 2, 3)], []
    for number, (port, trace) in enumerate(zip(ports, traced, strict=True), 1):
        words = ["leader" if number == 1 else "follower", str(port), str(tmp_path / f"{number}.db")]
        strace = ["strace", "-f", "-qq", "-e", "trace=fdatasync,fsync", "-o", str(trace)]
        followers = [str(other) for other in ports[1:]] if number == 1 else []
        command = [*strace, sys.executable, "-m", SKETCH_MODULE, *words, *followers]
        processes.append(subprocess.Popen(command, cwd=ROOT))
    asker = Asker(ports[0])
    try:
        asker.send()
        if not asker.answered(60) and any(process.poll() is not None for process in processes):
            pytest.skip("strace may not look into processes here")
        before = [_syncs(trace) for trace in traced]
        for _ in range(20):  # one at a time: each is a transaction of its own on all three
            asker.send()
            assert asker.answered(30)

        def synced() -> bool:  # a follower that comes late may take two at once: the other one made up for it
            leader, *followers = (_syncs(trace) - first for trace, first in zip(traced, before, strict=True))
            return leader >= 20 and sum(followers) >= 20 and min(followers) > 0

        wait_for("20 syncs of the leader, and one of a follower for each", synced)
    finally:
        asker.close()
        for process in processes:  # strace itself takes no SIGTERM
            for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
                os.kill(int(child), signal.SIGTERM)
        for process in processes:
            process.wait(30)


def _syncs(trace: Path) -> int:
    text = trace.read_text() if trace.exists() else ""
    return sum(1 for line in text.splitlines() if "sync(" in line and line.rstrip().endswith("= 0"))
