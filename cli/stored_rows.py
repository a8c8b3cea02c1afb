"""All reports in a peer's file, page by page, in the order of their ids.

Touches one database file, reading only. Must not know: who asks, what the rows are compared with.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any

from hfzmq.storage import Reader

PAGE_ROWS = 1000
CHANGING = "alert_sent"  # an alarm may be raised for a report long after it was stored

Row = tuple[Any, ...]


class StoredRows:
    """The rows of one peer's file, those with an id above ``after_id``. Use it as a context; HfzmqError (see Reader)
    when the file cannot be read.

    ``fields``: the columns' names; ``applied``: the index of the last log entry in the tables.
    """

    def __init__(self, reader: Reader, after_id: int = 0) -> None:
        self._reader = reader
        self._after_id = after_id
        self.fields = reader.fields
        self.applied = reader.applied()
        self._changing: int | None = None

    def lasting(self) -> None:
        """Leave out what a later entry may still change: in that, files of different applied indexes may differ."""
        if self._changing is None:
            self._changing = self.fields.index(CHANGING)
            self.fields = _without(self.fields, self._changing)

    def __enter__(self) -> StoredRows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    def __iter__(self) -> Iterator[Row]:
        last_id = self._after_id
        while page := self._reader.reports(after_id=last_id, limit=PAGE_ROWS):
            yield from page if self._changing is None else (_without(row, self._changing) for row in page)
            last_id = page[-1][0]


def _without(row: Row, place: int) -> Row:
    return (*row[:place], *row[place + 1 :])
