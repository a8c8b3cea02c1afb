"""A file that is read line by line, once each, over as many runs as it takes.

Touches one file, reading only. Must not know: what a line means, the queue. Keeps: after each line it can say how far
it is (bytes, lines and the SHA-256 of what they hold), and it finds that place again by content: a file that was
renamed goes on, one to which lines were added goes on with these, one whose beginning has changed, or that is about
another patient now, starts from its beginning; where only some patients' lines are taken, each patient has a place of
its own, so that no choice of patients skips a line or takes one twice; a last line without its end is a line, and when
it goes on later it is given out again, whole, and told apart (``went_on``): nobody can know beforehand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from hfzmq.cli.bedside.readings import LINE_BYTES_MAX, WentOn
from hfzmq.client.queue_types import Places, Progress
from hfzmq.errors import InvalidInput, NotFound
from hfzmq.plain_file import NoPlainFile, open_plain

TOO_LONG = b"\xff"
"""Stands for a line that is longer than LINE_BYTES_MAX: no text in UTF-8."""
_BLANKS = b" \r\n"  # at the end of a line they say nothing


class _Spot(NamedTuple):
    """Where a line begins: the hash of what stands before it, how many bytes and lines that is."""

    content: Any
    bytes_read: int
    lines: int


class _Known(NamedTuple):
    """A place in this file: the hash of what stands before it, and where the line that it lies in begins (at the place
    itself, but for a last line without its end)."""

    place: Progress
    content: Any
    begins: _Spot


class PlacedFile:
    """See the module. NotFound: no such file. InvalidInput: not readable."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.resumed: Progress | None = None  # where an earlier run stopped
        self.bytes_read = self.lines = 0
        self._file = opened(path)
        self._hash = hashlib.sha256()
        self._given: str | None = None
        self._whose: tuple[str, ...] = ("",)  # each has a place of its own; '': all lines
        self._known: dict[bytes, _Known] = {}  # places in this file by their names
        self._known_to = 0  # the furthest of them; or where this run has read a line without its end
        self._stored: dict[str, Progress] = {}  # the place of each of ``whose`` that an earlier run has left
        self._read_for: dict[str, int] = {}  # bytes that earlier runs have read for a patient
        self._line = b""
        self._starts = self._ends = 0  # the line that was read last, in bytes, without the blanks behind it
        self._unended: _Spot | None = None  # it has no end
        self._read_unended = 0  # how far a line that goes on was read in this run

    def take_only(self, patients: Sequence[str], given: str | None = None) -> None:
        """Before anything is resumed: only the lines of ``patients`` are taken (none: all of them); ``given`` is the
        patient that they are about when they name none."""
        self._whose = tuple(sorted(patients)) or ("",)
        self._given = given

    def next_line(self) -> bytes | None:
        """The next line with its end, TOO_LONG for one that is too long; None at the end."""
        line = self._file.readline(LINE_BYTES_MAX)
        if line and self._unended is not None:  # it goes on: once more from its beginning
            self._known_to = self._read_unended = self.bytes_read
            self._go_to(self._unended)
            line = self._file.readline(LINE_BYTES_MAX)
        begins = None if line.endswith(b"\n") else _Spot(self._hash.copy(), self.bytes_read, self.lines)
        starts, whole = self.bytes_read, line
        while len(line) == LINE_BYTES_MAX and not line.endswith(b"\n"):  # too long: refused, but counted and hashed
            self._hash.update(line)
            self.bytes_read += len(line)
            line = self._file.readline(LINE_BYTES_MAX)
            whole = TOO_LONG
        if not whole:
            return None
        self._hash.update(line)
        self.bytes_read += len(line)
        self.lines += 1
        self._unended = None if line.endswith(b"\n") else begins
        self._line, self._starts = whole, starts
        self._ends = self.bytes_read - len(line) + len(line.rstrip(_BLANKS))
        return whole

    def resume(self, known: Iterable[Progress]) -> Places:
        """Go on at the first line that is new to a patient, by those of the ``known`` places that are in this file;
        the places that the next ones replace. ``resumed`` is where that is."""
        self._find(known)
        first = min((self._furthest(who) for who in self._whose), key=lambda one: one.place.bytes_read if one else 0)
        if first is not None:
            self.resumed = first.place
            self._go_to(first.begins)
        return tuple(self._stored.values())

    def skip_nothing(self, known: Iterable[Progress]) -> Places:
        """The places that ``resume`` would give; stay at the beginning, and take every line."""
        self._find(known)
        stored = tuple(self._stored.values())
        self._known, self._known_to, self._stored = {}, 0, {}
        return stored

    def was_read(self, patient: str | None = None) -> bool:
        """Whether the line that was read last, as it stands, was read before: for ``patient``, or where it names none
        for all whose lines are taken."""
        if self._starts >= self._known_to:
            return False
        return all(self._ends <= self._read(who) for who in (self._whose if patient is None else (patient,)))

    def went_on(self, patient: str | None = None) -> WentOn | None:
        """What was read of the line that was read last, when that was not yet all of it; see ``was_read``."""
        if self._starts >= self._known_to or self._line is TOO_LONG:  # which is refused anyway
            return None
        whose = self._whose if patient is None else (*self._whose, patient)
        cut = max((place for place in map(self._read, whose) if self._starts < place < self._ends), default=None)
        if cut is None:
            return None
        before, now = self._line[: cut - self._starts], self._line.rstrip(_BLANKS)
        return WentOn(str(self.path), self.lines, *(text.decode("utf-8", "backslashreplace") for text in (before, now)))

    def places(self) -> Places:
        """Where this run is, for each of those whose lines are taken; who was read for further by an earlier one stays
        there."""
        found = []
        for who in self._whose:
            if self.bytes_read >= (self._read(who) if who else 0):
                found.append(Progress(self._name(self._hash, who), self.bytes_read, self.lines))
            elif who in self._stored:
                found.append(self._stored[who])
        return tuple(found)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _go_to(self, spot: _Spot) -> None:
        self._hash, self.bytes_read, self.lines = spot.content.copy(), spot.bytes_read, spot.lines
        self._unended = None
        self._file.seek(self.bytes_read)

    def _name(self, content: Any, who: str) -> bytes:
        """What names a place in this file: its content up to there, and the patient given for it, if one was (the same
        lines about another patient are other reports), or ``who``, whose lines alone were taken ('': all)."""
        digest: bytes = content.digest()
        if self._given is not None:
            return hashlib.sha256(digest + self._given.encode()).digest()
        return hashlib.sha256(digest + b"\0only\0" + who.encode()).digest() if who else digest

    def _find(self, known: Iterable[Progress]) -> None:
        """Which of the ``known`` places may be in this file: the hash of its content at each."""
        with opened(self.path) as file:
            walk = _Walk(file)
            for one in sorted(known, key=lambda one: one.bytes_read):
                if one.bytes_read <= self.bytes_read:
                    continue
                if not walk.to(one.bytes_read):
                    break
                begins = _Spot(walk.line_content, walk.line_at, one.lines - (walk.line_at < walk.at))
                self._known[one.prefix] = _Known(one, walk.content.copy(), begins)
        self._known_to = max((one.place.bytes_read for one in self._known.values()), default=0)
        for who in self._whose:
            own = self._own(who)
            if own is not None:
                self._stored[who] = own.place

    def _own(self, who: str) -> _Known | None:
        """The furthest place under the name of ``who``."""
        fitting = [one for one in self._known.values() if self._name(one.content, who) == one.place.prefix]
        return max(fitting, key=lambda one: one.place.bytes_read, default=None)

    def _furthest(self, who: str) -> _Known | None:
        """How far was read for ``who``, alone or among all."""
        found = [one for one in (self._own(who), self._own("")) if one is not None]
        return max(found, key=lambda one: one.place.bytes_read, default=None)

    def _read(self, patient: str) -> int:
        """How many bytes were read for ``patient``, by earlier runs or, of a line that goes on, by this one."""
        if patient not in self._read_for:
            furthest = self._furthest(patient) if self._known else None
            self._read_for[patient] = furthest.place.bytes_read if furthest else 0
        return max(self._read_for[patient], self._read_unended)


def opened(path: Path) -> BinaryIO:
    """``path``, to be read; NotFound, InvalidInput."""
    try:
        return open_plain(path)
    except FileNotFoundError:
        raise NotFound(f"no file {path}", hint="--source names a file, or is - for JSON lines on stdin") from None
    except NoPlainFile as error:  # what was read of a pipe is gone: no place in it is ever found again
        hint = "unpack it into a file; JSON lines of a pipe: --source -"
        raise InvalidInput(str(path), f"a file ({error.strerror})", hint=hint) from None
    except OSError as error:
        raise InvalidInput(str(path), f"a file that can be read ({error.strerror})") from None


class _Walk:
    """A file from its beginning: the hash of what was passed, and of what stands before the line that this ends in."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.content, self.line_content = hashlib.sha256(), hashlib.sha256()
        self.at = self.line_at = 0

    def to(self, place: int) -> bool:
        """Go on to ``place``, in bytes; False when the file ends before it."""
        while self.at < place:
            data = self._file.read(min(place - self.at, 1 << 20))
            if not data:
                return False
            whole = data.rfind(b"\n") + 1
            if whole:
                self.content.update(data[:whole])
                self.line_content, self.line_at = self.content.copy(), self.at + whole
            self.content.update(data[whole:])
            self.at += len(data)
        return True
