"""``hfzmq bench --growth`` with real processes: a mesh takes up what it was filled with, and counts truly."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from hfzmq.cli.bench.grown import Growing
from hfzmq.cli.bench.measure import LoadRun, Terms, Workload, measure
from hfzmq.cli.bench.readback import NotKept
from hfzmq.client.ask import ask_all
from tests.system.mesh import ROOT, hfzmq

SHORT = Terms(seconds=0.5, warm_up_s=0.2, beds=4, tick_s=0.1)


def test_growth_of_what_is_stored_is_measured_and_nothing_but_the_results_is_left(tmp_path: Path) -> None:
    results = tmp_path / "bench.json"
    words = ("--growth", "stored", "--rows-max", 1000, "--seconds", 0.5, "--folder", tmp_path / "f")
    done = subprocess.run(
        hfzmq("bench", *words, "--results", results, "-o", "json"),
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "f").iterdir()) == []
    told = json.loads(done.stdout)["growth"]["stored"]
    assert json.loads(results.read_text())["growth"]["stored"] == told
    assert told["command"] == "hfzmq bench --seconds 0.5 --growth stored --rows-max 1000"
    assert told["commit"]
    assert [(one["value"], one["workload"]) for one in told["points"]] == [(1000, "64 x 1"), (1000, "8 x 100")]
    for point in told["points"]:
        assert 1000 <= point["stored"] <= 1500
        assert point["read_back"] >= point["reports"] > 0
        assert 0 < point["p50_us"] <= point["p99_us"]
        assert 0.1 < point["start_s"] < 60
        assert point["disk_bytes_per_report"] > 100
        assert point["peer_rss_mib"] > 5
        held = point["stored"] + point["read_back"]
        assert point["disk_mib"] * (1 << 20) == pytest.approx(point["disk_bytes_per_report"] * held, rel=0.02)
    assert "1,000 reports stored" in done.stderr


def test_a_filled_mesh_grows_further_keeps_what_it_acknowledges_and_a_lost_report_is_noticed(tmp_path: Path) -> None:
    growing = Growing(tmp_path, lambda: None, 1000)
    try:
        system = growing.holding(700, 4, 145, lambda share: None)
        made = measure(system, Workload(2, 3), SHORT)
        assert system.stored == 700 + made.read_back, "what the load brought is counted, too"
        more = system.stored + 50
        assert growing.holding(more, 4, 145, lambda share: None) is system
        assert system.stored == more
        system.start()
        answers = ask_all(system.stage.config, "status", timeout_ms=5000)
        assert {answer["peer"]["reports"] for answer in answers.values() if answer} == {more}
        assert all(answers.values())
        run = LoadRun(system, Workload(2, 3), SHORT)
        assert [event["event"] for event in run.events()][-1] == "done"
        system.settle()
        with closing(sqlite3.connect(system.stage.file(2))) as database, database:
            database.execute("DELETE FROM risk_reports WHERE id = (SELECT max(id) FROM risk_reports)")
        with pytest.raises(NotKept, match="peer 2"):
            system.read_back(run.ledger)
    finally:
        growing.close()
    assert list(tmp_path.iterdir()) == []
