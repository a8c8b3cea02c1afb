"""Every story below scenarios/ holds on the core as it is; one that names a bug breaks with that bug planted.

tell one:  python -m tests.simulation.story tests/simulation/scenarios/NAME.story --trace
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.provenance import ROOT
from tests.simulation.player import Player, Unreadable
from tests.simulation.story import SCENARIOS, parse, tell

FILES = sorted(SCENARIOS.glob("*.story"))
WITH_BUG = [(file, bug) for file in FILES for bug in parse(file.read_text()).bugs]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_story_ends_well(file: Path) -> None:
    assert tell(parse(file.read_text()).steps) is None


@pytest.mark.parametrize(("file", "bug"), WITH_BUG, ids=[f"{file.stem}: {bug}" for file, bug in WITH_BUG])
def test_with_its_bug_planted_a_story_breaks_an_invariant(file: Path, bug: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.with_bug", bug, "tests.simulation.story", str(file)],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.startswith(f"{file.stem}: "), done.stdout + done.stderr


def test_each_story_says_what_it_is_about_in_words() -> None:
    for file in FILES:
        text = file.read_text()
        title = parse(text).title
        assert 20 < len(title) <= 120, f"{file.stem}: {title}"
        assert sum(line.startswith("#") for line in text.splitlines()) >= 2, file.stem


def test_at_least_six_stories_find_a_planted_bug() -> None:
    assert len({file for file, _ in WITH_BUG}) >= 6
    assert len({bug for _, bug in WITH_BUG}) == len(WITH_BUG), "two stories tell of the same bug"


@pytest.mark.parametrize(
    "line",
    ["fly 1", "wait", "wait long", "crash 4", "crash x", "crash 1 soon", "cut 1", "cut 1->9", "await", "await rain",
     "expect", "expect joy", "again 1->2 Rumour", "ask", "slow 1->2", "pause 0", "mesh", "mesh many", "mesh 3 hot"],
)  # fmt: skip
def test_a_line_that_is_no_step_is_refused_with_the_list_of_steps(line: str) -> None:
    player = Player()
    player.play("mesh 3")
    with pytest.raises(Unreadable, match="wait MS"):
        player.play(line)


@pytest.mark.parametrize("text", ["", "mesh 3\nwait 5\n", "# a title alone\n", "# a title\nwait 5\n"])
def test_a_file_without_a_title_or_a_mesh_is_refused(text: str) -> None:
    with pytest.raises(Unreadable, match="begins with a title"):
        parse(text)


def test_an_expectation_that_is_not_met_breaks_a_story() -> None:
    assert "but the leaders are [1]" in (tell(("mesh 3", "expect leader 2")) or "")
    assert tell(("mesh 3", "expect leader 1", "expect acks 0", "expect changes 0")) is None


def test_the_same_story_gives_the_same_trace() -> None:
    traces = []
    for _ in range(2):
        player = Player()
        for line in ("mesh 3", "ask c1", "crash 1", "await new leader", "start 1", "wait 3000"):
            player.play(line)
        player.finish()
        traces.append(player.stage.world.trace)
    assert traces[0] == traces[1]
    assert len(traces[0]) > 10
