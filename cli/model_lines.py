"""The readings in a file for ``hfzmq model predict``: CSV with a header, or JSON lines, told apart by the first line.

Touches one file or stdin, reading only. Must not know models. Keeps: a line is a reading or says what is wrong with it;
a line that is too long is refused and skipped, not stored.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hfzmq.cli.bedside.readings import LINE_BYTES_MAX, Reading, Refused, from_cells, from_json
from hfzmq.cli.bedside.sources import wall_ms
from hfzmq.cli.bedside.table import Table, read_header
from hfzmq.clinical.report import VITALS, Refusal
from hfzmq.errors import InvalidInput, NotFound

_HINT = "needed: age, serum_sodium, serum_creatinine, ejection_fraction, day (or time); an empty cell is 'not known'"


class Lines:
    """Iterate once. ``name``: of the file, for people; ``number``: of the line that came last, from 1; ``is_json``."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        self.name = name
        self.number = 0
        self._file = file
        self._first = self._next()
        while self._first is not None and not self._first.strip():
            self._first = self._next()
        self.is_json = (self._first or b"").lstrip(b"\xef\xbb\xbf \t").startswith(b"{")
        self._table: Table | None = None
        if not self.is_json:
            names = [vital.name for vital in VITALS]
            self._table = read_header(
                Path(name), self._first, names, ("patient_id", "timestamp"), {"day": "time"}, _HINT
            )
            self._first = b""

    def __iter__(self) -> Iterator[Reading | Refused]:
        line = self._first
        while line is not None:
            item = self._item(line) if line.strip() else None
            if item is not None:
                yield item
            line = self._next()

    def _item(self, line: bytes) -> Reading | Refused | None:
        patient = f"line-{self.number}"
        if self._table is not None:
            cells = self._table.cells(line)
            if isinstance(cells, Refusal):
                return Refused(self.name, self.number, None, *cells)
            return None if cells is None else from_cells(cells, patient, wall_ms(), self.name, self.number)
        try:
            text = line.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            bound = f"UTF-8 text of at most {LINE_BYTES_MAX} bytes"
            return Refused(self.name, self.number, None, "line", bound, "one JSON object")
        return from_json(text, self.name, self.number, patient, wall_ms())

    def _next(self) -> bytes | None:
        line = self._file.readline(LINE_BYTES_MAX)
        whole = line
        while len(line) == LINE_BYTES_MAX and not line.endswith(b"\n"):
            line, whole = self._file.readline(LINE_BYTES_MAX), b"\xff"  # no text in UTF-8
        self.number += 1
        return whole or None


def read_lines(source: str) -> Lines:
    """The lines of a file, '-' for stdin. NotFound; InvalidInput when it cannot be read or has no such header."""
    if source == "-":
        return Lines("stdin", sys.stdin.buffer)
    path = Path(source)
    try:
        return Lines(source, path.open("rb"))
    except FileNotFoundError:
        hint = "a CSV or JSON lines with a reading in each line; - for stdin"
        raise NotFound(f"no such file: {source}", hint=hint) from None
    except OSError as error:
        raise InvalidInput(source, f"a file that can be read: {error.strerror or error}") from None
