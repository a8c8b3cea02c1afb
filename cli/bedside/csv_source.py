"""Readings from a CSV file, once each, over as many runs as it takes.

Touches one file (through PlacedFile, which keeps the places), reading only. Must not know: the queue, the model. Keeps:
a line is judged as it stands, or refused with its number; one that has gone on since it was taken is told, and judged
again.

Columns, by name, in any order, others ignored: age, serum_sodium, serum_creatinine, ejection_fraction, and day (or
time, as in the published data set); patient_id and timestamp if there are any. Without patient_id the patient is named
after the line (hf-001 is the first below the header), or is the one that was asked for. Without timestamp: now.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from hfzmq.cli.bedside.placed_file import PlacedFile
from hfzmq.cli.bedside.readings import Reading, Refused, WentOn, from_cells
from hfzmq.cli.bedside.sources import CHUNK_LINES, Chunk, wall_ms
from hfzmq.cli.bedside.table import read_header
from hfzmq.client.queue_types import Places, Progress
from hfzmq.clinical.report import VITALS, Refusal
from hfzmq.errors import InvalidInput

_OPTIONAL = ("patient_id", "timestamp")
_HINT = "needed: age, serum_sodium, serum_creatinine, ejection_fraction, day (or time)"


class CsvSource:
    """See the module. ``only``: the patients to take, of a file that names them (empty: all).

    NotFound: no such file. InvalidInput: not readable, no header, a column missing or given twice.
    """

    finite = True

    def __init__(self, path: Path, interval_s: float, only: Sequence[str] = ()) -> None:
        self.path = path
        self.interval_s = interval_s
        self.batch = not interval_s
        self._file = PlacedFile(path)
        names = [vital.name for vital in VITALS]
        try:
            self._table = read_header(path, self._file.next_line(), names, _OPTIONAL, {"day": "time"}, _HINT)
        except InvalidInput:
            self.close()
            raise
        named = "patient_id" in self._table.columns
        self._only: Collection[str] = frozenset(only) if named else ()
        self._patient = only[0] if len(only) == 1 and not named else None
        self._file.take_only(tuple(self._only), self._patient)

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
        """Lines read, the header included."""
        return self._file.lines

    def read(self, wait_s: float) -> Chunk | None:
        """The next lines (one, when they are paced)."""
        items: list[Reading | Refused | WentOn] = []
        before = self.lines
        while self.lines - before < (1 if self.interval_s else CHUNK_LINES):
            line = self._file.next_line()
            if line is None:
                if self.lines == before and not items:
                    return None
                break
            items += self._items(line)
        return Chunk(tuple(items), self._file.places())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _items(self, line: bytes) -> list[Reading | Refused | WentOn]:
        number, source = self.lines, str(self.path)
        found = self._table.cells(line)
        if found is None:
            return []  # an empty line
        patient = None if isinstance(found, Refusal) else found.get("patient_id")
        if self._file.was_read(patient):
            return []
        told = self._file.went_on(patient)
        before: list[Reading | Refused | WentOn] = [] if told is None else [told]
        if isinstance(found, Refusal):
            return [*before, Refused(source, number, None, *found)]
        if patient is not None and self._only and patient not in self._only:
            return before if told is not None and self._took(told) else []
        return [*before, from_cells(found, self._patient or f"hf-{number - 1:03d}", wall_ms(), source, number)]

    def _took(self, told: WentOn) -> bool:
        """Whether the part of the line that was there before named one of those whose lines are taken."""
        found = self._table.cells(told.before.encode())
        return isinstance(found, dict) and found.get("patient_id") in self._only
