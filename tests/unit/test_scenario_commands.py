"""The command line of scenarios: names in any writing, and clear words for everything that is wrong."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hfzmq.cli.scenario.catalogue import SCENARIOS, find
from hfzmq.cli.scenario.members import CannotRun, check_it_can_run
from tests.unit.cli_world import run

ROOT = Path(__file__).resolve().parents[2]
NAMES = (
    "Normal Operation",
    "Leader Failure",
    "Leader Recovery",
    "Follower Failure",
    "Multiple Failures",
    "Dynamic Membership",
    "High Load",
    "Network Partition",
    "Long-Running Stability",
)


def test_ls_names_all_nine_with_their_slugs_in_80_columns() -> None:
    done = run("scenario", "ls")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [line.split(" (")[0] for line in lines if not line.startswith(" ")] == list(NAMES)
    assert "Leader Failure (leader-failure)" in lines
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    "text", ["Leader Failure", "leader failure", "LEADER-FAILURE", "leader_failure", " leader  failure"]
)
def test_a_name_is_known_in_any_writing(text: str) -> None:
    found = find(text)
    assert found is not None
    assert found.name == "Leader Failure"


def test_an_unknown_name_lists_the_names() -> None:
    done = run("scenario", "run", "leader-failure", "leader-vailure")
    assert (done.code, done.out) == (2, "")
    assert "there is no scenario 'leader-vailure'" in done.err
    assert all(scenario.slug in done.err for scenario in SCENARIOS)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "give the NAMEs of scenarios, or --all"),
        (("--all", "high-load"), "NAMEs or --all, not both"),
        (("high-load", "--repeat", "0"), "--repeat"),
        (("high-load", "--repeat", "-1"), "--repeat"),
        (("high-load", "--repeat", "many"), "--repeat"),
        (("high-load", "--repeat", "1000"), "--repeat"),
        (("--all", "--duration", "0"), "--duration"),
        (("--all", "--duration", "nan"), "--duration"),
        (("high-load", "--duration", "5"), "--duration is for Long-Running Stability"),
        (("high-load", "--seed", "5"), "--seed is for Long-Running Stability"),
        (("--all", "--seed", "-1"), "--seed"),
    ],
)
def test_a_wrong_option_is_a_usage_error_that_starts_nothing(
    words: tuple[str, ...], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("scenario", "run", *words)
    assert (done.code, done.out) == (2, "")
    assert complaint in done.err
    assert list(tmp_path.iterdir()) == []


def test_an_output_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        done = run("scenario", "run", "normal-operation", "--out", str(path))
        assert (done.code, done.out) == (1, "")
        assert f"error: cannot write into {path}: " in done.err
        assert "hint: give another one: --out DIR" in done.err


def test_an_output_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    done = run("scenario", "run", "normal-operation", "--out", str(tmp_path))
    assert (done.code, done.out) == (6, "")
    assert "--out: a new or an empty directory" in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_without_rights_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    done = run("scenario", "run", "normal-operation", "--out", str(tmp_path / "below"))
    tmp_path.chmod(0o700)
    assert done.code == 1
    assert "ermission denied" in done.err


def test_a_scenario_that_cannot_run_says_so_and_is_not_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfzmq.cli.main.COMMANDS", {})
    with pytest.raises(CannotRun, match="no command 'peer'"):
        check_it_can_run()
    monkeypatch.undo()
    monkeypatch.setattr("hfzmq.cli.scenario.round.check_it_can_run", _cannot)
    done = run("scenario", "run", "dynamic-membership", "--out", str(tmp_path / "out"))
    assert done.code == 1
    assert "Dynamic Membership       1/1        -      -    -       -            - NOT RUN" in done.out
    assert "0 of 1 rounds passed; NOT passed: Dynamic Membership" in done.out
    assert (tmp_path / "out" / "dynamic-membership-1" / "result.json").exists()


def test_a_disk_that_is_full_is_said_without_a_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("hfzmq.cli.scenario.round.run_round", full)
    done = run("scenario", "run", "normal-operation", "--out", str(tmp_path / "out"))
    assert done.code == 1
    assert f"error: cannot write into {tmp_path / 'out' / 'normal-operation-1'}: No space left on device" in done.err
    assert "0 of 1 rounds passed; 1 not begun or not finished" in done.out


def _cannot() -> None:
    raise CannotRun("this hfzmq has no command 'peer'")


def test_ls_and_help_stay_quick_for_they_bring_neither_zmq_nor_rich_nor_numpy() -> None:
    heavy = ("zmq", "numpy", "apsw", "rich", "hfzmq.client", "hfzmq.storage")
    code = f"""
import sys
from hfzmq.cli.main import main
main(["scenario", "ls"]); main(["scenario", "run", "--help"])
print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.strip() == "[]"


def test_the_help_of_run_explains_every_column() -> None:
    done = run("scenario", "run", "--help")
    assert done.code == 0
    for word in (
        "acked",
        "gap ms",
        "lost",
        "doubled",
        "out of order",
        "Exit codes",
        "--repeat",
        "--duration",
        "--json",
    ):
        assert word in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    assert "write" not in run("scenario", "--help").out.split("Commands:")[1]
