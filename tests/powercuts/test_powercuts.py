"""No power cut breaks a promise, no rot goes unnoticed; and this very harness finds a storage that is less careful."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.powercuts import cuts, rot
from tests.powercuts.__main__ import main
from tests.powercuts.bugs import BUGS
from tests.powercuts.planted import find
from tests.powercuts.seeds import tasks_of
from tests.provenance import ROOT

CUTS = 2000
DAMAGES = 900
PLANTED = (
    "synchronous is NORMAL",
    "the mark's name is not synced",
    "the mark is written before the commit",
    "a transaction left over is taken for a later one",
    "transactions are not counted",
    "open alarms are forgotten at a start",
)


def test_no_power_cut_breaks_a_promise() -> None:
    with cuts.workplace() as directory:
        for _, seed, count in tasks_of("cuts", CUTS, 1_000_000):
            assert cuts.run(seed, directory, count) == []


def test_every_damage_is_harmless_or_found() -> None:
    ends: Counter[str] = Counter()
    with cuts.workplace() as directory:
        for _, seed, count in tasks_of("rot", DAMAGES, 1_000_000):
            violations, how = rot.run(seed, directory, count)
            assert violations == []
            ends += how
    assert sum(ends.values()) == DAMAGES
    assert sum(count for end, count in ends.items() if end.endswith(rot.FOUND)) > DAMAGES / 10


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str) -> None:
    (bug,) = (bug for bug in BUGS if bug.name == name)
    assert find(bug, seeds_max=20).seed is not None


def test_results_add_up_and_the_next_run_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    file = tmp_path / "results" / "powercuts.json"
    for _ in range(2):
        done = CliRunner().invoke(main, ["--cuts", "130", "--rot", "10", "--results", str(file)])
        assert done.exit_code == 0, done.output
    told = json.loads(file.read_text())
    assert (told["cuts"], told["damages"], told["cuts_that_broke_a_promise"]) == (260, 20, 0)
    assert [(run["kind"], run["first_seed"], run["last_seed"]) for run in told["runs"]] == [
        ("cuts", 0, 1),
        ("rot", 0, 0),
        ("cuts", 2, 3),
        ("rot", 1, 1),
    ]
    assert all(run["commit"] and run["date"] and run["cores"] for run in told["runs"])


def test_several_processes_run_what_one_does() -> None:
    """As the proof calls it: by its name, which a spawned process must be able to import."""
    words = ("-m", "tests.powercuts", "--cuts", "130", "--rot", "70", "--seed", "3")
    told = [
        subprocess.run(
            [sys.executable, *words, "--jobs", jobs], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
        ).stdout.splitlines()
        for jobs in ("1", "2")
    ]
    assert [line.partition(" promises")[0] for line in told[0]] == [line.partition(" promises")[0] for line in told[1]]
    assert told[0][0].startswith("130 cuts from seed 3 to 4: 0 broken")
