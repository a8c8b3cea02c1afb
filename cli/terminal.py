"""Whether there is a terminal, and whether a live screen can be drawn on it.

Touches stdin, stdout, the environment. Keeps: where a screen would stay empty (a dumb terminal, as TERM says it), there
is none, and whoever asks tells the same in plain lines.
"""

from __future__ import annotations

import sys
from typing import Any


def can_draw() -> bool:
    """Whether stdout is a terminal that can be drawn on."""
    if not sys.stdout.isatty():
        return False
    from rich.console import Console

    console = Console()  # what draws has the last word: on any other one its screen stays empty
    return console.is_terminal and not console.is_dumb_terminal


def on_terminal() -> bool:
    """Whether a person sits at both ends, and can be shown a screen."""
    return sys.stdin is not None and sys.stdin.isatty() and can_draw()


def has_screen(given: dict[str, Any]) -> bool:
    """Of a command with --headless, --output and --source: a live screen needs a terminal that can be drawn on and that
    nobody else reads or writes."""
    plain = given["headless"] or given["output"] != "text" or (given["source"] == "-" and sys.stdin.isatty())
    return not plain and can_draw()
