"""Readings from a CSV file, once each, over as many runs as it takes.

Touches one file, reading only. Must not know: the queue, the model. Keeps: after each chunk it can say how far it is
(bytes, lines and the SHA-256 of what they hold), and it finds that place again by content: a file that was renamed goes
on, one to which lines were added goes on with these, one whose beginning has changed, or that is about another patient
now, starts from its beginning; where only some patients' lines are taken, each patient has a place of its own, so that
no choice of patients skips a line or takes one twice; a line has as many cells as the header, or nobody knows which
cell is which.

Columns, by name, in any order, others ignored: age, serum_sodium, serum_creatinine, ejection_fraction, and day (or
time, as in the published data set); patient_id and timestamp if there are any. Without patient_id the patient is named
after the line (hf-001 is the first below the header), or is the one that was asked for. Without timestamp: now.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from hfzmq.cli.bedside.readings import LINE_BYTES_MAX, Reading, Refused, from_cells
from hfzmq.cli.bedside.sources import CHUNK_LINES, Chunk, wall_ms
from hfzmq.client.queue_types import Places, Progress
from hfzmq.clinical.report import VITALS
from hfzmq.errors import InvalidInput, NotFound

_OPTIONAL = ("patient_id", "timestamp")
_DELIMITERS = (",", ";", "\t")


class CsvSource:
    """See the module. ``only``: the patients to take, of a file that names them (empty: all).

    NotFound: no such file. InvalidInput: not readable, no header, a column missing or given twice.
    """

    finite = True

    def __init__(self, path: Path, interval_s: float, only: Sequence[str] = ()) -> None:
        self.path = path
        self.interval_s = interval_s
        self.batch = not interval_s
        self.resumed: Progress | None = None  # where an earlier run stopped
        self._file = _opened(path)
        self._hash = hashlib.sha256()
        self._bytes = self._lines = 0
        header = self._next_line()
        if header is None:
            self.close()
            raise InvalidInput(str(path), "a header and readings", hint="the file is empty")
        try:
            self._delimiter, self._names, self._columns = _header(path, header)
        except InvalidInput:
            self.close()
            raise
        named = "patient_id" in self._columns
        self._only: Collection[str] = frozenset(only) if named else ()
        self._patient = only[0] if len(only) == 1 and not named else None
        self._whose: tuple[str, ...] = tuple(sorted(self._only)) or ("",)  # each has a place of its own; '': all lines
        self._known: dict[bytes, tuple[Progress, Any]] = {}  # places in this file by their names, and the hash there
        self._stored: dict[str, Progress] = {}  # the place of each of ``whose`` that an earlier run has left
        self._read_for: dict[str, int] = {}  # bytes that earlier runs have read for a patient

    def resume(self, known: Iterable[Progress]) -> Places:
        """Go on at the first line that is new to a patient, by those of the ``known`` places that are in this file;
        the places that the next ones replace. ``resumed`` is where that is."""
        self._find(known)
        first = min((self._furthest(who) for who in self._whose), key=lambda one: one[0].bytes_read if one else 0)
        if first is not None:
            self.resumed = first[0]
            self._hash, self._bytes, self._lines = first[1].copy(), first[0].bytes_read, first[0].lines
            self._file.seek(self._bytes)
        return tuple(self._stored.values())

    def skip_nothing(self, known: Iterable[Progress]) -> Places:
        """The places that ``resume`` would give; stay at the beginning, and take every line."""
        self._find(known)
        stored = tuple(self._stored.values())
        self._known, self._stored = {}, {}
        return stored

    @property
    def lines(self) -> int:
        """Lines read, the header included."""
        return self._lines

    def read(self, wait_s: float) -> Chunk | None:
        """The next lines (one, when they are paced)."""
        items: list[Reading | Refused] = []
        before = self._lines
        while self._lines - before < (1 if self.interval_s else CHUNK_LINES):
            line = self._next_line()
            if line is None:
                if self._lines == before:
                    return None
                break
            item = self._item(line)
            if item is not None:
                items.append(item)
        return Chunk(tuple(items), self._places())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _item(self, line: bytes) -> Reading | Refused | None:
        number = self._lines
        cells = _cells(line, self._delimiter)
        if cells == []:
            return None  # an empty line
        source = str(self.path)
        if cells is None:
            bound = f"{len(self._names)} cells of UTF-8 text, as in the header"
            return Refused(source, number, None, "line", bound, "one line for each reading")
        if len(cells) > len(self._names):
            bound = "more cells than the header has"
            return Refused(source, number, None, "line", bound, "a decimal comma? write 1.9")
        if len(cells) < len(self._names):
            bound = f"missing: the line has {len(cells)} cells, the header {len(self._names)}"
            return Refused(source, number, None, self._first_without(len(cells)), bound, "an empty cell counts too")
        found = {name: cells[place] for name, place in self._columns.items()}
        patient = found.get("patient_id")
        if patient is not None and ((self._only and patient not in self._only) or self._bytes <= self._read(patient)):
            return None
        return from_cells(found, self._patient or f"hf-{number - 1:03d}", wall_ms(), source, number)

    def _first_without(self, count: int) -> str:
        """The name of the first column, one that is used if possible, that a line of ``count`` cells does not reach."""
        unreached = [(place, name) for name, place in self._columns.items() if place >= count]
        return min(unreached)[1] if unreached else self._names[count][:40]

    # ------------------------------------------------------------ places

    def _name(self, content: Any, who: str) -> bytes:
        """What names a place in this file: its content up to there, and the patient given for it, if one was (the same
        lines about another patient are other reports), or ``who``, whose lines alone were taken ('': all)."""
        digest: bytes = content.digest()
        if self._patient is not None:
            return hashlib.sha256(digest + self._patient.encode()).digest()
        return hashlib.sha256(digest + b"\0only\0" + who.encode()).digest() if who else digest

    def _find(self, known: Iterable[Progress]) -> None:
        """Which of the ``known`` places may be in this file: the hash of its content at each."""
        hashes: list[tuple[Progress, Any]] = []
        with _opened(self.path) as file:
            digest, place = hashlib.sha256(), 0
            for one in sorted(known, key=lambda one: one.bytes_read):
                if one.bytes_read <= self._bytes:
                    continue
                if not _feed(digest, file, one.bytes_read - place):
                    break
                place = one.bytes_read
                hashes.append((one, digest.copy()))
        self._known = {one.prefix: (one, content) for one, content in hashes}
        for who in self._whose:
            own = self._own(who)
            if own is not None:
                self._stored[who] = own[0]

    def _own(self, who: str) -> tuple[Progress, Any] | None:
        """The furthest place under the name of ``who``."""
        fitting = [found for found in self._known.values() if self._name(found[1], who) == found[0].prefix]
        return max(fitting, key=lambda found: found[0].bytes_read, default=None)

    def _furthest(self, who: str) -> tuple[Progress, Any] | None:
        """How far was read for ``who``, alone or among all."""
        found = [place for place in (self._own(who), self._own("")) if place is not None]
        return max(found, key=lambda place: place[0].bytes_read, default=None)

    def _read(self, patient: str) -> int:
        """How many bytes were read for ``patient`` by earlier runs."""
        if patient not in self._read_for:
            furthest = self._furthest(patient) if self._known else None
            self._read_for[patient] = furthest[0].bytes_read if furthest else 0
        return self._read_for[patient]

    def _places(self) -> Places:
        """Where this run is, for each of ``whose``; who was read for further by an earlier one stays there."""
        found = []
        for who in self._whose:
            if self._bytes >= (self._read(who) if who else 0):
                found.append(Progress(self._name(self._hash, who), self._bytes, self._lines))
            elif who in self._stored:
                found.append(self._stored[who])
        return tuple(found)

    def _next_line(self) -> bytes | None:
        line = self._file.readline(LINE_BYTES_MAX)
        whole = line
        while len(line) == LINE_BYTES_MAX and not line.endswith(b"\n"):  # too long: refused, but counted and hashed
            self._hash.update(line)
            self._bytes += len(line)
            line = self._file.readline(LINE_BYTES_MAX)
            whole = b"\xff"
        if not whole:
            return None
        self._hash.update(line)
        self._bytes += len(line)
        self._lines += 1
        return whole


def _opened(path: Path) -> BinaryIO:
    try:
        if path.is_dir():
            raise IsADirectoryError(21, "is a directory")
        return path.open("rb")
    except FileNotFoundError:
        raise NotFound(f"no file {path}", hint="--source simulate, a CSV file, or - for JSON lines on stdin") from None
    except OSError as error:
        raise InvalidInput(str(path), f"a file that can be read ({error.strerror})") from None


def _feed(digest: Any, file: BinaryIO, count: int) -> bool:
    while count:
        data = file.read(min(count, 1 << 20))
        if not data:
            return False
        digest.update(data)
        count -= len(data)
    return True


def _cells(line: bytes, delimiter: str) -> list[str] | None:
    try:
        rows = list(csv.reader([line.decode("utf-8").strip("\r\n\ufeff")], delimiter=delimiter, strict=True))
    except (UnicodeDecodeError, csv.Error):
        return None
    return [cell.strip() for cell in rows[0]] if rows else []


def _header(path: Path, line: bytes) -> tuple[str, list[str], dict[str, int]]:
    """(the delimiter, the names, where each column that is used stands)."""
    names: list[str] = []
    delimiter = ","
    for delimiter in _DELIMITERS:
        names = _cells(line, delimiter) or []
        if "age" in names:
            break
    else:
        delimiter, names = ",", _cells(line, ",") or []
    columns: dict[str, int] = {}
    for name in (*_OPTIONAL, *(vital.name for vital in VITALS)):
        given = "time" if name == "day" and "day" not in names else name
        if names.count(given) > 1:
            raise InvalidInput(f"{path}:1: {given}", "a column once")
        if given in names:
            columns[name] = names.index(given)
        elif name not in _OPTIONAL:
            raise InvalidInput(
                f"{path}:1: {name}",
                "a column of the header",
                hint="needed: age, serum_sodium, serum_creatinine, ejection_fraction, day (or time)",
            )
    return delimiter, names, columns
