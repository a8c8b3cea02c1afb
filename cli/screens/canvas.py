"""Lines of text for a screen: columns that fit or are left out, words that flow, boxes. Nothing is ever cut.

Touches nothing. Must not know what the text means. Keeps: every line is at most ``width`` cells wide; a segment (a
number with its unit) is never broken unless it is by itself wider than the screen, and then it is folded, not cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text

GAP = 2
_WORDS_APART = re.compile("(?<! ) (?! )")


class Column(NamedTuple):
    """A column's head (a unit may stand on a second line), whether it stands to the right, and how early it is left out
    (0: never; high goes first)."""

    head: str
    right: bool = False
    spare: int = 0


def text(content: str, style: str = "") -> Text:
    """A segment that keeps to itself."""
    return Text(content, style=style, no_wrap=True)


def columns(
    heads: Sequence[Column], rows: Sequence[Sequence[Text]], width: int, gap: int = GAP
) -> tuple[list[Text], list[Text]] | None:
    """Head lines and rows, aligned, with as many columns as fit in ``width``; None when the needed alone do not."""
    tall = max(head.head.count("\n") for head in heads) + 1
    titles = [(head.head.split("\n") + [""] * tall)[:tall] for head in heads]
    for most in sorted({head.spare for head in heads}, reverse=True):
        kept = [i for i, head in enumerate(heads) if head.spare <= most]
        widths = [max(*map(cell_len, titles[i]), *(row[i].cell_len for row in rows), 0) for i in kept]
        if sum(widths) + gap * (len(kept) - 1) <= width:
            right = [heads[i].right for i in kept]
            above = [[text(titles[i][line], "bold dim") for i in kept] for line in range(tall)]
            below = [[row[i] for i in kept] for row in rows]
            head, body = ([_aligned(line, widths, right, gap) for line in part] for part in (above, below))
            return head, body
    return None


def flow(segments: Iterable[Text], width: int, indent: int = 0, gap: int = GAP) -> list[Text]:
    """Segments ``gap`` blanks apart, on as many lines as they need; lines after the first are indented."""
    lines: list[Text] = []
    line = text("")
    for segment in segments:
        if not segment.plain:  # not by its width: an id may be all accents
            continue
        if line.plain.strip() and line.cell_len + gap + segment.cell_len > width:
            lines.append(line)
            line = text(" " * indent)
        elif line.plain.strip():
            line.append(" " * gap)
        room = width - line.cell_len
        if segment.cell_len <= room:
            line.append_text(segment)
            continue
        for part in _folded(segment, room, width - indent):
            if line.plain.strip():
                lines.append(line)
                line = text(" " * indent)
            line.append_text(part)
    return [*lines, line] if line.plain.strip() else lines


def prose(content: str, width: int, style: str = "", indent: int = 2) -> list[Text]:
    """A sentence on as many lines as it needs, broken between words; several blanks in a row (an id may have them) are
    kept."""
    lines = flow(map(text, _WORDS_APART.split(content)), width, indent, gap=1)
    for line in lines:
        line.stylize(style)
    return lines


def box(title: str, lines: Iterable[Text], width: int, style: str = "cyan") -> list[Text]:
    """The lines in a frame of ``width`` cells; each line must be at most ``inside(width)`` wide."""
    fits = cell_len(title) + 6 <= width
    body = [*([] if fits else prose(title, inside(width), style)), *lines]
    if not framed(width):
        head = f"── {title} " if fits else ""
        return [text(head + "─" * (width - cell_len(head)), style), *body]
    head = f"╭─ {title} " if fits else "╭"
    framed_lines = [text(head + "─" * (width - cell_len(head) - 1) + "╮", style)]
    for line in body:
        row = text("")
        row.append("│ ", style)
        row.append_text(line)
        row.append(" " * (inside(width) - line.cell_len))
        row.append(" │", style)
        framed_lines.append(row)
    return [*framed_lines, text("╰" + "─" * (width - 2) + "╯", style)]


def framed(width: int) -> bool:
    """Whether a screen of this width has room for frames."""
    return width >= 60


def inside(width: int) -> int:
    """How wide a line in a box of ``width`` may be."""
    return width - 4 if framed(width) else width


def _aligned(cells: Sequence[Text], widths: Sequence[int], right: Sequence[bool], gap: int) -> Text:
    line = text("")
    for number, (cell, width, to_right) in enumerate(zip(cells, widths, right, strict=True)):
        blank = " " * (width - cell.cell_len)
        line.append(" " * gap if number else "")
        if to_right:
            line.append(blank)
        line.append_text(cell)
        if not to_right:
            line.append(blank)
    return line


def _folded(segment: Text, first: int, rest: int) -> list[Text]:
    """Cut between characters, never between a character and what is written onto it."""
    parts: list[Text] = []
    content = segment.plain
    start, room = 0, max(first, 1)
    base = 0  # of the character that may have more written onto it
    for i, char in enumerate(content):
        if cell_len(char):
            base = i
        # Measured as a whole: an accent or a selector behind a character may change how wide it is.
        if base > start and cell_len(content[start : i + 1]) > room:
            parts.append(segment[start:base])
            start, room = base, max(rest, 2)
    return [*parts, segment[start:]]
