"""Rows become text: an aligned table, JSON, JSON lines or CSV.

Touches nothing: text goes out as strings. Must not know what a row means. Keeps: no cell is ever cut, however wide the
table gets; a number is written in full; what is missing is an empty cell or null, never a zero.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime

NUMBERS = (int, float)


def number(value: float) -> str:
    """A number in full, without a ``.0`` that says nothing."""
    text = repr(value)
    return text[:-2] if text.endswith(".0") else text


def thousands(count: int) -> str:
    """``1,203``: in full, easy to read."""
    return f"{count:,}"


def listed(ids: Iterable[int]) -> str:
    """``peer 2``, ``peers 2 and 3``, ``peers 2, 3 and 4``."""
    words = list(map(str, ids))
    joined = " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
    return f"peer{'s' if len(words) > 1 else ''} {joined}"


def counted(count: int, noun: str) -> str:
    """``1 report``, ``2 reports``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def cell(value: object) -> str:
    """A table's cell: '' for None, yes or no for a bool, a number in full, text with its control characters shown."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, NUMBERS):
        return number(value)
    return printable(str(value))


def printable(text: str) -> str:
    """``text`` with whatever could move a terminal's cursor written as an escape."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def width_of(text: str) -> int:
    """How many terminal cells ``text`` takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def local_time(timestamp_ms: int) -> str:
    """Unix milliseconds UTC as local ISO 8601 with its offset."""
    return datetime.fromtimestamp(timestamp_ms / 1000).astimezone().isoformat(timespec="milliseconds")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Aligned columns, two spaces apart, numbers to the right; lines end without blanks."""
    body = [tuple(row) for row in rows]
    texts = [list(columns), *([cell(value) for value in row] for row in body)]
    widths = [max(width_of(line[i]) for line in texts) for i in range(len(columns))]
    right = [any(_is_number(row[i]) for row in body) for i in range(len(columns))]
    lines = []
    for line in texts:
        padded = []
        for text, width, numeric in zip(line, widths, right, strict=True):
            blank = " " * (width - width_of(text))
            padded.append(blank + text if numeric else text + blank)
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def json_text(value: object) -> str:
    """Indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def json_line(value: object) -> str:
    """JSON in one line."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def csv_line(values: Iterable[object]) -> str:
    """One line of CSV (RFC 4180), without its line end; '' for None."""
    return ",".join(map(_csv_cell, values))


def _csv_cell(value: object) -> str:
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    # By hand: Python's writer (until 3.10) fails on a NUL, which a stranger may have put into a text.
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text


def _is_number(value: object) -> bool:
    return isinstance(value, NUMBERS) and not isinstance(value, bool)
