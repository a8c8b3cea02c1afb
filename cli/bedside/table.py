"""Tables in text: which column is which, and the cells of a line.

Touches nothing. Keeps: a line has as many cells as the header, or nobody knows which cell is which; the delimiter
(comma, semicolon or tab) is the one under which the header has the columns that are needed.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hfzmq.clinical.report import Refusal
from hfzmq.errors import InvalidInput

_DELIMITERS = (",", ";", "\t")
_NONE: Mapping[str, str] = {}


class Table(NamedTuple):
    """A header: its delimiter, all its names, and where each column that is used stands."""

    delimiter: str
    names: tuple[str, ...]
    columns: dict[str, int]

    def cells(self, line: bytes) -> dict[str, str] | Refusal | None:
        """The cells that are used of a line, by their names; None for an empty line."""
        cells = cells_of(line, self.delimiter)
        if cells == []:
            return None
        if cells is None:
            bound = f"{len(self.names)} cells of UTF-8 text, as in the header"
            return Refusal("line", bound, "one line for each reading")
        if len(cells) > len(self.names):
            return Refusal("line", "more cells than the header has", "a decimal comma? write 1.9")
        if len(cells) < len(self.names):
            bound = f"missing: the line has {len(cells)} cells, the header {len(self.names)}"
            split = next((sign for sign in _DELIMITERS if len(cells) == 1 and sign in cells[0]), "")
            hint = f"columns split by {split!r}? here it is {self.delimiter!r}" if split else "an empty cell counts too"
            return Refusal(self._first_without(len(cells)), bound, hint)
        return self.pick(cells)

    def pick(self, cells: Sequence[str]) -> dict[str, str]:
        """Those of ``cells``, as many as the header has, that are used."""
        return {name: cells[place] for name, place in self.columns.items()}

    def _first_without(self, count: int) -> str:
        """The name of the first column, one that is used if possible, that a line of ``count`` cells does not reach."""
        unreached = [(place, name) for name, place in self.columns.items() if place >= count]
        return min(unreached)[1] if unreached else self.names[count][:40]


def read_header(
    path: Path,
    line: bytes | None,
    required: Sequence[str],
    optional: Sequence[str] = (),
    also: Mapping[str, str] = _NONE,
    hint: str = "",
) -> Table:
    """The table whose first line this is (None: the file is empty). ``also``: under which other name a column may
    stand. InvalidInput: no header, a column missing or given twice."""
    if line is None:
        raise InvalidInput(str(path), "a header and readings", hint="the file is empty")
    if b"\0" in line:
        hint = "a spreadsheet? save it as CSV, in UTF-8, with these columns: " + ", ".join(required)
        raise InvalidInput(f"{path}:1", "text with a header, this is another kind of file", hint=hint)
    names: list[str] = []
    delimiter = ","
    for delimiter in _DELIMITERS:
        names = cells_of(line, delimiter) or []
        if required[0] in names:
            break
    else:
        delimiter, names = ",", cells_of(line, ",") or []
    columns: dict[str, int] = {}
    for name in (*optional, *required):
        given = also[name] if name in also and name not in names else name
        if names.count(given) > 1:
            raise InvalidInput(f"{path}:1: {given}", "a column once")
        if given in names:
            columns[name] = names.index(given)
        elif name in required:
            raise InvalidInput(f"{path}:1: {name}", "this column is missing", hint=hint)
    return Table(delimiter, tuple(names), columns)


def cells_of(line: bytes, delimiter: str, errors: str = "strict") -> list[str] | None:
    """The cells of a line without the blanks around them; None when it is no text or no line of a table."""
    try:
        text = line.decode("utf-8", errors).strip("\r\n\ufeff")
        rows = list(csv.reader([text], delimiter=delimiter, strict=True))
    except (UnicodeDecodeError, csv.Error):
        return None
    return [cell.strip() for cell in rows[0]] if rows else []
