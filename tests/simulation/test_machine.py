"""The machine that makes up stories: it finds nothing in the core, finds what is planted, and tells it shortly.

A longer look, at other stories: python -m tests.simulation.machine --examples 5000 --seed 7
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.provenance import ROOT
from tests.simulation.machine import EXAMPLES, hunt, profile
from tests.simulation.story import parse, tell


@pytest.mark.timeout(600)
def test_no_story_that_the_machine_makes_up_breaks_an_invariant() -> None:
    found = hunt(profile(EXAMPLES, derandomize=True))
    if found:
        pytest.fail("{}\n\nsave this below tests/simulation/scenarios, with a title:\n\n{}".format(*found))


def test_a_planted_bug_is_found_and_told_in_a_few_lines_that_find_it_again(tmp_path: Path) -> None:
    bug, file = "a request is acknowledged when it is appended", tmp_path / "found.story"
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.with_bug", bug, "tests.simulation.machine", "--steps", "8",
         "--save", str(file)],
        cwd=ROOT, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    story = parse(file.read_text())
    assert 1 < len(story.steps) <= 8, story.steps
    assert tell(story.steps) is None, "the core without the bug breaks it too"
    again = subprocess.run(
        [sys.executable, "-m", "tests.simulation.with_bug", bug, "tests.simulation.story", str(file)],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert again.returncode == 1, again.stdout + again.stderr
