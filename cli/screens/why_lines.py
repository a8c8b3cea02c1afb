"""The why of a bed on a screen: a cell of its row, or a line below it.

Touches nothing. Keeps: a value stays with what it moved ("EF 20 +0.22" is never broken).
"""

from __future__ import annotations

from rich.text import Text

from hfzmq.cli.screens.canvas import flow, text
from hfzmq.cli.why import Why

MOVED = "why, risk moved by"  # what "+0.22" is


def why_lines(why: Why, width: int) -> list[Text]:
    """A why below its bed; [] for none."""
    parts = [text(part, "dim") for part in why]
    head = text(MOVED if any(map(_moves, why)) else "why", "dim")
    return [text("  ") + line for line in flow([head, *parts], width - 2)] if parts else []


def why_cell(why: Why) -> Text:
    """A why in its column."""
    return text(", ".join(why), "dim")


def _moves(part: str) -> bool:
    """Whether a part ends with how much it moved the risk (``EF 20 +0.22``; not so ``creat not known``)."""
    return part.rpartition(" ")[2][:1] in ("+", "-")
