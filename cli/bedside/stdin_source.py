"""Readings from JSON lines on stdin, as they come.

Touches a file descriptor. Keeps: what has arrived is taken together, what has not is waited for no longer than asked; a
line that is too long is refused and skipped, not stored. It has no memory: what was read is read.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Collection, Sequence

from hfzmq.cli.bedside.readings import LINE_BYTES_MAX, Refused, from_json
from hfzmq.cli.bedside.sources import CHUNK_LINES, Chunk, Parsed


class StdinSource:
    """JSON lines from the file descriptor ``fd``. ``only``: the patients to take (empty: all);
    ``parse``: a line's text, "stdin" and its number -> what it says."""

    finite = True
    batch = False
    interval_s = 0.0

    def __init__(self, fd: int, only: Sequence[str] = (), parse: Callable[[str, str, int], Parsed] = from_json) -> None:
        self._parse = parse
        self._fd = fd
        self._only: Collection[str] = frozenset(only)
        self._lines: list[bytes] = []  # whole lines, not yet given out
        self._rest = b""
        self._skipping = False  # inside a line that is too long
        self._ended = False
        self._number = 0

    def read(self, wait_s: float) -> Chunk | None:
        """The lines that have arrived, or that arrive within ``wait_s``."""
        if not self._lines and not self._ended and select.select([self._fd], [], [], wait_s)[0]:
            self._take(os.read(self._fd, 1 << 16))
        if not self._lines and self._ended:
            return None
        lines, self._lines = self._lines[:CHUNK_LINES], self._lines[CHUNK_LINES:]
        items = [self._item(line) for line in lines]
        return Chunk(tuple(item for item in items if item is not None))

    def close(self) -> None:
        """Stdin is not ours to close."""

    def _take(self, data: bytes) -> None:
        if not data:
            self._ended = True
            if self._rest or self._skipping:
                self._lines.append(b"\xff" if self._skipping else self._rest)
                self._rest, self._skipping = b"", False
            return
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._lines.append(b"\xff" if self._skipping or len(line) > LINE_BYTES_MAX else line)
            self._skipping = False
        if len(rest) > LINE_BYTES_MAX or (self._skipping and rest):
            self._skipping, rest = True, b""
        self._rest = rest

    def _item(self, line: bytes) -> Parsed | None:
        self._number += 1
        try:
            text = line.decode("utf-8").strip()
        except UnicodeDecodeError:
            bound = f"UTF-8 text of at most {LINE_BYTES_MAX} bytes"
            return Refused("stdin", self._number, None, "line", bound, "one JSON object")
        if not text:
            return None
        item = self._parse(text, "stdin", self._number)
        if self._only and not isinstance(item, Refused) and item.patient_id not in self._only:
            return None
        return item
