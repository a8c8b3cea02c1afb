"""Rows and sentences on a terminal of any width: a table where it fits, else one line a field. Nothing is ever cut.

Touches nothing but, in ``terminal_width``, the terminal. Must not know what the text means. Keeps: every cell stands
whole in one line, but for a list, which is broken between its items; a sentence is broken between words; a line is
wider than the terminal only when a single cell, item or word is, and then the terminal folds it.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

from hfzmq.cli.format import width_of

GAP = "  "
INDENT = "  "

Block = list[str]

_WORDS_APART = re.compile("(?<! ) (?! )")  # several blanks in a row (an id may have them) are kept
_ITEMS_APART = re.compile("(?<=,) ")


def laid_out(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> tuple[Block, list[Block]]:
    """(the lines of the head, the lines of each row). ``width``: of the terminal, None for no limit. Cells are one line
    each. Of a row in one line a field, cells that are empty are left out."""
    widths = [max(width_of(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    if width is None or sum(widths) + len(GAP) * (len(heads) - 1) <= width:
        return [_line(heads, widths)], [[_line(row, widths)] for row in rows]
    return [], [stacked(heads, row, width) for row in rows]


def terminal_width(stream: TextIO | None = None) -> int | None:
    """Of the terminal that is written to (None: stdout); None where there is none: a pipe takes any width."""
    return shutil.get_terminal_size().columns if (stream or sys.stdout).isatty() else None


def folded(sentence: str, width: int | None) -> str:
    """A sentence of one line, broken between words where it is wider than ``width``; what follows is indented."""
    return "\n".join(_flowed(_WORDS_APART.split(sentence), width))


def as_text(head: Block, blocks: Sequence[Block]) -> str:
    """All lines; a blank one between blocks of several lines."""
    if head:
        return "\n".join([*head, *(line for block in blocks for line in block)])
    return "\n\n".join("\n".join(block) for block in blocks)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (text + " " * (width - width_of(text)) for text, width in zip(cells, widths, strict=True))
    return GAP.join(padded).rstrip()


def stacked(heads: Sequence[str], cells: Sequence[str], width: int | None) -> Block:
    """One row, one line a field, those that are empty left out; ``width`` as in ``laid_out``."""
    label = max(map(width_of, heads)) + 1
    lines: Block = []
    for head, text in zip(heads, cells, strict=True):
        if not text:
            continue
        name = f"{head}:" + " " * (label - width_of(head) - 1)
        if width is None or width_of(name) + 1 + width_of(text) <= width:
            lines.append(f"{name} {text}")
        else:
            lines += [f"{head}:", *_flowed(_ITEMS_APART.split(text), width, INDENT)]
    return lines


def _flowed(pieces: Sequence[str], width: int | None, first: str = "") -> Block:
    """Pieces with a blank between, as many in a line as fit; a piece that is too wide for an indent has none."""
    lines = [first + pieces[0]]
    for piece in pieces[1:]:
        if width is None or width_of(lines[-1]) + 1 + width_of(piece) <= width:
            lines[-1] += " " + piece
        else:
            lines.append(INDENT + piece)
    return [line if width is None or width_of(line) <= width else line.removeprefix(INDENT) for line in lines]
