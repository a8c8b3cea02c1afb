"""A file that is read line by line, once each, over as many runs as it takes.

Touches one file, reading only. Must not know: what a line means, the queue. Keeps: after each line it can say how far
it is (bytes, lines and the SHA-256 of what they hold), and it finds that place again by content: a file that was
renamed goes on, one to which lines were added goes on with these, one whose beginning has changed, or that is about
another patient now, starts from its beginning; where only some patients' lines are taken, each patient has a place of
its own, so that no choice of patients skips a line or takes one twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from hfzmq.cli.bedside.readings import LINE_BYTES_MAX
from hfzmq.client.queue_types import Places, Progress
from hfzmq.errors import InvalidInput, NotFound

TOO_LONG = b"\xff"
"""Stands for a line that is longer than LINE_BYTES_MAX: no text in UTF-8."""


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
        self._known: dict[bytes, tuple[Progress, Any]] = {}  # places in this file by their names, and the hash there
        self._stored: dict[str, Progress] = {}  # the place of each of ``whose`` that an earlier run has left
        self._read_for: dict[str, int] = {}  # bytes that earlier runs have read for a patient

    def take_only(self, patients: Sequence[str], given: str | None = None) -> None:
        """Before anything is resumed: only the lines of ``patients`` are taken (none: all of them); ``given`` is the
        patient that they are about when they name none."""
        self._whose = tuple(sorted(patients)) or ("",)
        self._given = given

    def next_line(self) -> bytes | None:
        """The next line with its end, TOO_LONG for one that is too long; None at the end."""
        line = self._file.readline(LINE_BYTES_MAX)
        whole = line
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
        return whole

    def resume(self, known: Iterable[Progress]) -> Places:
        """Go on at the first line that is new to a patient, by those of the ``known`` places that are in this file;
        the places that the next ones replace. ``resumed`` is where that is."""
        self._find(known)
        first = min((self._furthest(who) for who in self._whose), key=lambda one: one[0].bytes_read if one else 0)
        if first is not None:
            self.resumed = first[0]
            self._hash, self.bytes_read, self.lines = first[1].copy(), first[0].bytes_read, first[0].lines
            self._file.seek(self.bytes_read)
        return tuple(self._stored.values())

    def skip_nothing(self, known: Iterable[Progress]) -> Places:
        """The places that ``resume`` would give; stay at the beginning, and take every line."""
        self._find(known)
        stored = tuple(self._stored.values())
        self._known, self._stored = {}, {}
        return stored

    def was_read(self, patient: str) -> bool:
        """Whether an earlier run has read the line that was read last, for ``patient``."""
        return self.bytes_read <= self._read(patient)

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

    def _name(self, content: Any, who: str) -> bytes:
        """What names a place in this file: its content up to there, and the patient given for it, if one was (the same
        lines about another patient are other reports), or ``who``, whose lines alone were taken ('': all)."""
        digest: bytes = content.digest()
        if self._given is not None:
            return hashlib.sha256(digest + self._given.encode()).digest()
        return hashlib.sha256(digest + b"\0only\0" + who.encode()).digest() if who else digest

    def _find(self, known: Iterable[Progress]) -> None:
        """Which of the ``known`` places may be in this file: the hash of its content at each."""
        hashes: list[tuple[Progress, Any]] = []
        with opened(self.path) as file:
            digest, place = hashlib.sha256(), 0
            for one in sorted(known, key=lambda one: one.bytes_read):
                if one.bytes_read <= self.bytes_read:
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


def opened(path: Path) -> BinaryIO:
    """``path``, to be read; NotFound, InvalidInput."""
    try:
        if path.is_dir():
            raise IsADirectoryError(21, "is a directory")
        return path.open("rb")
    except FileNotFoundError:
        raise NotFound(f"no file {path}", hint="--source names a file, or is - for JSON lines on stdin") from None
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
