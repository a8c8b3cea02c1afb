"""The table of the proof says what results there are, whether they are enough, and of which sources they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests import proof
from tests import provenance as sources
from tests.proof import FAILS, HOLDS, NOT_RUN, OTHER_SOURCES, SHORT, STEPS, Ran, Step, main, row
from tests.provenance import ROOT, STORAGE, provenance

STEP = Step(
    "X", "made up", "made_up.json", STORAGE, (), (), lambda told: f"{told['done']} done",
    lambda told: not told["broken"], lambda told: bool(told["done"] >= 10),
)  # fmt: skip
WELL, UNWELL = Ran(1.5, True), Ran(1.5, False)


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(proof, "RESULTS", tmp_path)
    return tmp_path


def told(results: Path, done: int = 10, broken: int = 0, **more: Any) -> None:
    origin = {"date": "2026-11-22", "commit": "0123456789abcdef", "source": provenance(STORAGE).source}
    (results / STEP.file).write_text(json.dumps({"done": done, "broken": broken, **origin, **more}))


@pytest.mark.parametrize(
    ("done", "broken", "ran", "verdict"),
    [
        (10, 0, None, HOLDS),
        (10, 0, WELL, HOLDS),
        (9, 0, WELL, SHORT),
        (9, 1, WELL, FAILS),
        (10, 1, None, FAILS),
        (10, 0, UNWELL, FAILS),  # its command failed, whatever an earlier one has left
    ],
)
def test_a_row_holds_only_if_nothing_is_broken_and_enough_was_run(
    results: Path, done: int, broken: int, ran: Ran | None, verdict: str
) -> None:
    told(results, done, broken)
    line, said = row(STEP, ran)
    assert said == verdict
    assert f"made up            {verdict:7}" in line
    assert line.endswith(f"2026-11-22 01234567  {done} done")


def test_what_has_no_results_is_not_run() -> None:
    line, verdict = row(STEP, None)
    assert verdict == NOT_RUN
    assert "no results yet" in line


@pytest.mark.parametrize("source", ["0123456789abcdef", None])
def test_results_of_other_sources_or_of_nobody_knows_which_say_so(results: Path, source: str | None) -> None:
    told(results, source=source)
    line, verdict = row(STEP, None)
    assert verdict == HOLDS
    assert line.endswith("10 done" + OTHER_SOURCES)


def test_of_several_runs_the_last_one_says_of_which_sources_they_are(results: Path) -> None:
    mine, other = {"source": provenance(STORAGE).source, "last_date": "2026-11-22"}, {"source": "other", "date": "2025"}
    told(results, runs=[other, mine])
    assert OTHER_SOURCES not in row(STEP, None)[0]
    told(results, runs=[mine, other])
    assert OTHER_SOURCES in row(STEP, None)[0]


def storms(core: str, source: str, first: int, last: int, *broken: int) -> dict[str, Any]:
    sums = dict.fromkeys(("storms", "counted", "acks", "faults"), last - first + 1)
    violations = [{"seed": seed} for seed in broken]
    return {"core": core, "source": source, "dirty": False, "seeds": [[first, last]], "violations": violations, **sums}


def test_storms_of_one_core_count_together_and_a_rule_was_wrong_only_if_its_seed_was_run_again() -> None:
    step = next(one for one in STEPS if one.file == "storms.json")
    runs = [storms("1", "a", 0, 9, 3), storms("2", "b", 10, 9_999, 11), storms("2", "c", 10_000, 20_009)]
    before = "(earlier cores: 10 storms, 1 violations)"
    assert not step.sound({"runs": runs})
    assert step.full({"runs": runs})
    assert step.figures({"runs": runs}).startswith("20,000 storms")
    assert step.figures({"runs": runs}).endswith(f"1 violations {before}")
    again = [*runs[:2], {**runs[2], "seeds": [[11, 11], [10_000, 20_008]]}]
    assert step.sound({"runs": again})
    assert step.figures({"runs": again}).endswith(
        f"0 violations, 1 of the simulator's rules mended and their seeds run again {before}"
    )
    assert not step.sound({"runs": [*runs[:2], {**again[2], "violations": [{"seed": 11}]}]})
    assert not step.sound({"runs": again[:2]}), "the newest simulator has found it"
    assert not step.sound({"runs": [*runs[:2], {**again[2], "peers": 3}]}), "at another size it is another storm"
    assert not step.sound({"runs": [*runs[:2], {**again[2], "dirty": True}]}), "nobody knows what ran there"


def test_every_step_names_sources_that_are_there() -> None:
    for step in STEPS:
        assert step.runs
        assert all((ROOT / part).exists() for part in step.runs)


def test_a_table_of_nothing_says_so_and_is_no_success() -> None:
    done = CliRunner().invoke(main, ["--table", "--only", "AB"])
    assert done.exit_code == 1
    assert [line.split()[:2] for line in done.output.splitlines()] == [["A", "storms"], ["B", "small"]]
    assert done.output.count(NOT_RUN) >= 2


def test_a_result_is_of_another_source_when_what_ran_has_changed_and_not_when_a_test_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    folder = tmp_path / "tests" / "simulation"
    folder.mkdir(parents=True)
    (folder / "storm.py").write_text("1")
    (folder / "bugs.py").write_text("1")
    runs = ("tests/simulation",)
    planted = (*runs, "tests/simulation/bugs.py")
    before = provenance(runs).source, provenance(planted).source
    (folder / "test_storm.py").write_text("1")
    (folder / "bugs.py").write_text("2")
    assert provenance(runs).source == before[0]
    assert provenance(planted).source != before[1]
    (folder / "storm.py").write_text("2")
    assert provenance(runs).source != before[0]


def test_what_measures_speed_is_part_of_what_is_said_of_speed_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    (tmp_path / "cli" / "bench").mkdir(parents=True)
    for name in ("cli/status.py", "cli/bench/load.py"):
        (tmp_path / name).write_text("1")
    faults, speed = ("cli",), ("cli", "cli/bench")
    before = provenance(faults).source, provenance(speed).source
    (tmp_path / "cli/bench/load.py").write_text("2")
    assert provenance(faults).source == before[0]
    assert provenance(speed).source != before[1]
