"""Where a live screen can be drawn, and where the same is told in lines; a terminal that goes away."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CODE = """
import sys
from hfzmq.cli.terminal import has_screen, on_terminal
given = {"headless": False, "output": "text", "source": "simulate"}
reads = {**given, "source": "-"}  # from the same terminal
print(on_terminal(), has_screen(given), has_screen(reads), has_screen({**given, "headless": True}), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("env", "draws"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "unknown"}, False),
        ({"TTY_COMPATIBLE": "0"}, False),
    ],
)
def test_a_terminal_on_which_nothing_would_be_drawn_is_no_terminal_for_a_screen(
    env: dict[str, str], draws: bool
) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TERM": "xterm", **env}, timeout=30, check=True,
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)
    assert done.stderr.split() == [str(draws), str(draws), "False", "False"]
