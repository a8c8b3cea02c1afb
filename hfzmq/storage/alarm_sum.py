"""One number over the rows of alarms that are replaced: each bed, each remembered episode, the rules.

Touches nothing: rows come in. Must not know: what they mean. Keeps: what is read back at a start makes the same number
as what was written, row by row, so that a page of these tables that is as it was before is found: each of its rows is
sound, but they are not those of the transaction that the file ends with (tables.root_of).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from hfzmq.storage.tables import Row


class AlarmSum:
    """``value``: the exclusive or of the rows' checksums, kept as they change. Rows are whole: key first, sum last."""

    def __init__(self, rules: Row, beds: Iterable[Row] = (), episodes: Iterable[Row] = ()) -> None:
        self.value = self._rules = 0
        self._beds: dict[object, int] = {}
        self._episodes: dict[object, int] = {}
        self.rules(rules)
        self._replace(self._beds, beds)
        self._replace(self._episodes, episodes)

    def rules(self, row: Row) -> None:
        """Rules are written."""
        self.value ^= self._rules ^ row[-1]
        self._rules = row[-1]

    def beds(self, rows: Iterable[Row]) -> None:
        """Beds are written."""
        self._replace(self._beds, rows)

    def episodes(self, rows: Iterable[Row], remembered: Collection[int]) -> None:
        """Episodes are written; from here on it is over those that are remembered, all of which were written once."""
        self._replace(self._episodes, rows)
        if len(self._episodes) > len(remembered):
            for number in [number for number in self._episodes if number not in remembered]:
                self.value ^= self._episodes.pop(number)

    def _replace(self, parts: dict[object, int], rows: Iterable[Row]) -> None:
        for row in rows:
            key, crc = row[0], row[-1]
            self.value ^= parts.get(key, 0) ^ crc
            parts[key] = crc
