"""Campaigns: every storm is counted once, whatever ends them, and a seed that fails says how to see it again."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.provenance import ROOT, Provenance, provenance
from tests.simulation import __main__ as replaying
from tests.simulation.campaign import Campaign, Line, alone, main, one
from tests.simulation.compiled import COMPARED, CannotCompile, as_interpreted, build
from tests.simulation.sized import DRAWN, FULL, Size, Told, replay, storm, tell
from tests.simulation.tally import Ranges, Tally, add_seed, unused

HERE = Provenance("abc", False, "def", "3.11", 2)
SMALL = ["--peers", "3", "--chaos-leases", "3", "--jobs", "2"]
GOOD = Told(4, 1000, 25, 30, 7, 130, 0xABC, True, None)
SECONDS_MAX = 60.0


def the_run(file: Path) -> dict[str, Any]:
    """The only run in a results file."""
    (run,) = json.loads(file.read_text())["runs"]
    assert isinstance(run, dict)
    return run


def test_seeds_that_touch_become_one_range() -> None:
    ranges: Ranges = []
    for seed in (5, 3, 9, 4, 0, 8, 6, 7):
        add_seed(ranges, seed)
    assert ranges == [[0, 0], [3, 9]]


def test_a_seed_is_not_counted_twice() -> None:
    with pytest.raises(ValueError, match="4 is there already"):
        add_seed([[3, 9]], 4)


def test_holes_are_filled_before_new_seeds_are_used() -> None:
    assert list(unused([[[0, 2], [5, 6]], [[6, 8], [11, 11]]], 0, 6)) == [3, 4, 9, 10, 12, 13]


def test_a_campaign_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    file = tmp_path / "storms.json"
    for upto in (2, 5):
        done = CliRunner().invoke(main, ["--storms", "3", *SMALL, "--results", str(file)])
        assert done.exit_code == 0, done.output
        assert the_run(file)["seeds"] == [[0, upto]]
    run = the_run(file)
    alone_ran = [tell(seed, Size(3, 3)) for seed in range(6)]
    assert run["storms"] == 6
    assert run["counted"] == 0, "three peers and three lease times do not count"
    assert run["events"] == sum(told.events for told in alone_ran)
    assert run["acks"] == sum(told.acks for told in alone_ran) > 0
    assert list(tmp_path.iterdir()) == [file], "nothing else is left behind"


def test_an_interrupted_campaign_keeps_what_is_done_and_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "storms.json"
    command = [sys.executable, "-m", "tests.simulation.campaign", "--storms", "100000", *SMALL, "--results", str(file)]
    campaign = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + SECONDS_MAX
    try:
        while not file.exists() and time.monotonic() < deadline:  # it is written as soon as one storm is over
            with contextlib.suppress(subprocess.TimeoutExpired):
                campaign.wait(0.1)
        campaign.send_signal(signal.SIGINT)
        _, told = campaign.communicate(timeout=deadline - time.monotonic())
    finally:
        campaign.kill()
    assert campaign.returncode == 0, told
    assert "goes on from here" in told
    run = the_run(file)
    done = run["storms"]
    assert done > 0
    assert done == sum(high - low + 1 for low, high in run["seeds"])
    assert CliRunner().invoke(main, ["--storms", "1", *SMALL, "--results", str(file)]).exit_code == 0
    assert the_run(file)["storms"] == done + 1


def test_a_seed_that_fails_says_how_to_replay_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "storms.json"
    tally = Tally(file, HERE, FULL)
    campaign = Campaign(tally, FULL, 1)
    campaign.take(GOOD._replace(seed=77, violation="I1 lost"), Line(1))
    tally.save()
    command = "python -m tests.simulation --seed 77 --peers 5 --chaos-leases 100 --trace"
    assert command in capsys.readouterr().out
    assert the_run(file)["violations"] == [{"seed": 77, "violation": "I1 lost", "replay": command}]
    assert campaign.violations == 1


def test_the_replay_command_runs_the_same_storm() -> None:
    size = Size(3, 3)
    words = replay(5, size).split()[3:]
    shown = CliRunner().invoke(replaying.main, words)
    assert f"print {storm(5, size).run().fingerprint:08x}" in shown.output
    assert replay(5, DRAWN) == "python -m tests.simulation --seed 5 --trace"


def test_a_storm_that_does_not_end_is_a_violation() -> None:
    told = one(0, FULL, seconds_max=0.01)
    assert told.violation is not None
    assert "did not end" in told.violation


def test_what_a_dirty_tree_ran_is_not_in_the_totals(tmp_path: Path) -> None:
    file = tmp_path / "storms.json"
    for made in (HERE, HERE._replace(dirty=True)):
        tally = Tally(file, made, FULL)
        tally.add(GOOD)
        tally.save()
    told = json.loads(file.read_text())
    assert len(told["runs"]) == 2
    assert told["totals_of_clean_runs"]["storms"] == told["totals_of_clean_runs"]["counted"] == 1


def test_another_source_begins_with_seeds_that_none_has_used(tmp_path: Path) -> None:
    file = tmp_path / "storms.json"
    tally = Tally(file, HERE, FULL)
    tally.add(GOOD._replace(seed=0))
    tally.save()
    other = Tally(file, HERE._replace(commit="fff"), FULL)
    assert list(other.next_seeds(None, 2)) == [1, 2]
    assert list(other.next_seeds(0, 2)) == [0, 1], "but it may be told to run the same"
    assert list(Tally(file, HERE, DRAWN).next_seeds(None, 1)) == [0], "at another size it is another storm"


def test_two_campaigns_do_not_write_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "storms.json"
    with alone(file):
        done = CliRunner().invoke(main, ["--storms", "1", *SMALL, "--results", str(file)])
    assert done.exit_code == 1
    assert "another campaign" in done.output


def test_a_storm_of_the_full_size_has_the_faults_and_the_leases_that_the_goal_asks_for() -> None:
    told = tell(0, FULL)
    assert told.violation is None
    assert told.counts
    assert told.faults >= 20
    assert told.lease_times >= 100


def test_the_digest_is_of_the_source(tmp_path: Path) -> None:
    made = provenance()
    assert made == provenance()
    assert len(made.source) == 16


# ------------------------------------------------------------ compiled


def test_a_compiled_storm_that_came_to_something_else_than_the_interpreters_is_a_violation() -> None:
    told = tell(3, Size(3, 3))
    assert as_interpreted(told, Size(3, 3), str(ROOT)) == told
    other = as_interpreted(told._replace(fingerprint=told.fingerprint ^ 1), Size(3, 3), str(ROOT))
    assert other.violation is not None
    assert f"{told.fingerprint:08x}" in other.violation


def test_every_hundredth_storm_of_a_compiled_campaign_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    def compare(told: Told, size: Size, root: str) -> Told:
        compared.append(told.seed)
        return told

    monkeypatch.setattr("tests.simulation.campaign.as_interpreted", compare)
    for seed in (COMPARED, COMPARED + 1):
        one(seed, Size(3, 3), sources=str(ROOT))
        one(seed, Size(3, 3))
    assert compared == [COMPARED]


def test_without_a_compiler_a_campaign_says_so_and_runs_interpreted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(CannotCompile, match="a C compiler"):
        build(tmp_path)
    monkeypatch.setattr("tests.simulation.campaign.build", lambda: build(tmp_path))
    file = tmp_path / "storms.json"
    done = CliRunner().invoke(main, ["--storms", "1", "--compiled", *SMALL, "--results", str(file)])
    assert done.exit_code == 0, done.output
    assert "not compiled" in done.output
    assert the_run(file)["compiled"] is False
