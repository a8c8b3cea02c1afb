"""A recording, read once over as many runs as it takes, at its own speed, another one, or as fast as it goes.

Touches one file (through PlacedFile, which keeps the places) and the monotonic clock. Must not know: the mesh. Keeps:
no line is given out before it is due; the place that goes with a chunk is the place behind its last line, also when
the next one was looked at already; a line far ahead of the one before it is not waited for (see Pace), and the first
such is told; one that has gone on since it was taken is told, and taken again.

A CSV (or its like with semicolons or tabs) has the columns timestamp, patient_id, value, in any order, others passed
over; a line with more or fewer cells than the header is refused, for nobody knows whose it is. JSON lines (.jsonl,
.ndjson, or a first line that begins with a brace) have the fields of these names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from hfzmq.cli.bedside.placed_file import TOO_LONG, PlacedFile
from hfzmq.cli.bedside.readings import LINE_BYTES_MAX, Leapt, Refused, WentOn
from hfzmq.cli.bedside.sources import Chunk
from hfzmq.cli.bedside.table import cells_of, read_header
from hfzmq.cli.stream.lines import FIELDS, from_cells, from_json
from hfzmq.cli.stream.pace import Pace
from hfzmq.client.queue_types import Places, Progress
from hfzmq.clinical.heart_rate import Reading
from hfzmq.clinical.report import Refusal
from hfzmq.errors import InvalidInput

_HINT = "needed: timestamp, patient_id, value"


class ReplaySource:
    """See the module. ``speed``: 2.0 is twice as fast as it was recorded, 0 as fast as it goes; ``batch_rows``: of a
    chunk, at most. NotFound: no such file. InvalidInput: not readable, no header, a column missing or given twice."""

    finite = True
    batch = True
    interval_s = 0.0

    def __init__(self, path: Path, speed: float, batch_rows: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._pace = Pace(speed, clock)
        self._batch_rows = batch_rows
        self._file = PlacedFile(path)
        self._told_leap = False
        self._ahead: Reading | None = None  # read, not yet due
        self._places: Places | None = None  # behind the last line that was given out
        try:
            self._item = self._of_a_table() if not self._is_json() else self._of_json
            self.bytes_max = path.stat().st_size
        except (InvalidInput, OSError):
            self.close()
            raise

    def resume(self, known: Iterable[Progress]) -> Places:
        """See PlacedFile."""
        return self._file.resume(known)

    def skip_nothing(self, known: Iterable[Progress]) -> Places:
        """See PlacedFile."""
        return self._file.skip_nothing(known)

    @property
    def resumed(self) -> Progress | None:
        """Where an earlier run stopped."""
        return self._file.resumed

    @property
    def lines(self) -> int:
        """Lines read."""
        return self._file.lines

    @property
    def bytes_read(self) -> int:
        """Of ``bytes_max``, as the file was when it was opened."""
        return self._file.bytes_read

    def read(self, wait_s: float) -> Chunk | None:
        """The lines that are due, or that become so within ``wait_s``."""
        items: list[Reading | Refused | WentOn | Leapt] = []
        lines = self._file.lines + self._batch_rows
        while len(items) < self._batch_rows and (self._ahead is not None or self._file.lines < lines):
            item: Reading | Refused | None
            if self._ahead is not None:
                item, self._ahead = self._ahead, None
            else:
                line = self._file.next_line()
                if line is None:
                    if not items and self._places is None:
                        return None
                    break
                told = self._file.went_on()
                if told is not None:
                    items.append(told)
                item = None if self._file.was_read() else self._item(line)
            if isinstance(item, Reading):
                early_s = self._pace.early_s(item.timestamp)
                if early_s > 0:
                    self._ahead = item
                    if items or self._places is not None:
                        break
                    time.sleep(min(wait_s, early_s))
                    return Chunk()
                if self._pace.leap_ms and not self._told_leap:
                    items.append(Leapt(str(self.path), self.lines, self._pace.leap_ms))
                    self._told_leap = True
            if item is not None:
                items.append(item)
            self._places = self._file.places()
        places, self._places = self._places, None
        return Chunk(tuple(items), places)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    # ------------------------------------------------------------ what a line says

    def _is_json(self) -> bool:
        suffix = self.path.suffix.lower()
        if suffix in (".jsonl", ".ndjson", ".csv", ".tsv"):
            return suffix in (".jsonl", ".ndjson")
        look = PlacedFile(self.path)
        try:
            return (look.next_line() or b"").lstrip(b"\xef\xbb\xbf \t").startswith(b"{")
        finally:
            look.close()

    def _of_json(self, line: bytes) -> Reading | Refused | None:
        try:
            text = line.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            return self._no_text("one JSON object")
        return from_json(text, str(self.path), self.lines) if text else None

    def _of_a_table(self) -> Callable[[bytes], Reading | Refused | None]:
        table = read_header(self.path, self._file.next_line(), FIELDS, hint=_HINT)

        def item(line: bytes) -> Reading | Refused | None:
            found = table.cells(line)
            if found is None:
                return None
            if line == TOO_LONG:
                return self._no_text("one line for each reading")
            if not isinstance(found, Refusal):
                return from_cells(found, "", str(self.path), self.lines)
            cells = cells_of(line, table.delimiter, "surrogateescape")  # a broken value is data, too
            if cells is None or len(cells) != len(table.names):  # else the patient may be half of another cell
                return Refused(str(self.path), self.lines, None, *found)
            whole = line.decode("utf-8", "backslashreplace").strip("\r\n")
            return from_cells(table.pick(cells), whole, str(self.path), self.lines)

        return item

    def _no_text(self, hint: str) -> Refused:
        bound = f"UTF-8 text of at most {LINE_BYTES_MAX} bytes"
        return Refused(str(self.path), self.lines, None, "line", bound, hint)
