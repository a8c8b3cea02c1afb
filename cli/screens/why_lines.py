"""The why of a bed on a screen: a cell of its row, or a line below it.

Touches nothing. Keeps: a value stays with what it moved ("EF 20 +0.22" is never broken).
"""

from __future__ import annotations

from rich.text import Text

from hfzmq.cli.screens.canvas import flow, text
from hfzmq.cli.why import Why


def why_lines(why: Why, width: int) -> list[Text]:
    """A why below its bed; [] for none."""
    parts = [text(part, "dim") for part in why]
    return [text("  ") + line for line in flow([text("why", "dim"), *parts], width - 2)] if parts else []


def why_cell(why: Why) -> Text:
    """A why in its column."""
    return text(", ".join(why), "dim")
