"""What a peer's file has forgotten of what it had: its mark says so, whoever opens it, also where nobody runs.

Touches the disk, reading only. Must not know: what the file is read for. A file that lost its WAL (copied without it,
or one flipped bit early in it) looks whole; a backup of it would lack acknowledged reports without a word. Keeps: a
peer that runs and writes is never called forgetful for that: its mark is read before and after, both must say so.

    Looking (before) --the file is opened, a moment of it is held--> held --it was read--> said
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from hfzmq.storage import mark
from hfzmq.storage.checksums import Damaged
from hfzmq.storage.mark import Mark, mark_path
from hfzmq.storage.recovery import Cursor, Recovered
from hfzmq.storage.tables import Meta


class Looking:
    """At the mark beside the file at ``path``, from before it is opened."""

    def __init__(self, path: Path) -> None:
        self._path = mark_path(path)
        self._unreadable = ""
        self._before = self._read()
        self._after: Mark | None = None

    def held(self) -> None:
        """From here on one moment of the file is read."""
        self._after = self._read()

    def said(self, meta: Meta, recovered: Recovered, cursor: Cursor) -> str:
        """What the file has forgotten, in words; '' for nothing."""
        if self._before is None or self._after is None:
            missing = f"its mark, {self._path.name}, is not beside it" if meta.boot_no else ""
            return self._unreadable or missing
        state, last, log = recovered.hard_state, recovered.log.last, recovered.log
        found = Mark(meta.incarnation, meta.boot_no, state.term, state.vote, last.index, last.chain, cursor.probe)

        def chain_at(index: int) -> bytes | None:
            return log.place_at(index).chain if index >= log.base.index else None

        before, after = (mark.behind(one, found, chain_at) for one in (self._before, self._after))
        return before if after else ""

    def _read(self) -> Mark | None:
        with suppress(FileNotFoundError):
            try:
                return mark.read(self._path)
            except (Damaged, OSError) as error:
                self._unreadable = f"its mark, {self._path.name}, cannot be read: {error}"
        return None
