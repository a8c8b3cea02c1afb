"""What the alarms are reckoned from: episodes, reports and heart rates of a span of time, from a peer or from a file.

Touches sockets or a file (through page_source). Must not know: what is reckoned. Keeps: rows come in the order of the
log; a span begins no earlier than what is stored, so that nothing is divided by days that never were.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from hfzmq.cli.alarms.rows import episodes_of
from hfzmq.cli.page_source import (
    ALARM_EVENTS,
    ALARMS,
    PAGE_ROWS,
    READINGS,
    REPORTS,
    FileSource,
    Filter,
    MeshSource,
    Page,
    Source,
    Table,
)
from hfzmq.clinical.alarm.replay import StoredReading, StoredReport
from hfzmq.clinical.alarm.rules import AlarmRules
from hfzmq.clinical.alarm.settings import rules_of
from hfzmq.clinical.alarm.types import Episode
from hfzmq.clinical.report import Report
from hfzmq.config import Config
from hfzmq.errors import HfzmqError

DAY_MS = 86_400_000
BEDS_MAX = 10_000

Stored = StoredReport | StoredReading


class Ward:
    """Where data are read: the mesh of ``config``, or the file ``db``. ``now_ms``: what the log's clock shows, by which
    alarms have their stamps; this machine's where a daemon does not tell it; of a file, the last stamp in it."""

    def __init__(self, config: Config | None, db: Path | None, now_ms: int) -> None:
        self._config = config
        self._db = db
        self.now_ms = now_ms
        if db is not None:
            from hfzmq.storage import Reader

            with closing(Reader(db)) as reader:
                self.now_ms = reader.log_clock_ms()
        else:
            told_ms = self.source(ALARMS).page(0, None, 1, Filter()).log_now_ms
            self.now_ms = now_ms if told_ms is None else told_ms

    def source(self, table: Table) -> Source:
        """Pages of a table."""
        if self._db is not None:
            return FileSource(self._db, table)
        assert self._config is not None
        return MeshSource(self._config, table=table)

    def rules(self) -> AlarmRules:
        """Those in force: of a file, what the log has set; of a mesh, what its peers.yaml sets."""
        if self._db is None:
            assert self._config is not None
            return rules_of(self._config)
        from hfzmq.storage import Reader

        with closing(Reader(self._db)) as reader:
            return reader.rules()

    def begins_ms(self, days: float) -> int | None:
        """Where the last ``days`` begin, or what is stored, if that is later; None where nothing is stored."""
        firsts = []
        for table, stamp in ((REPORTS, "created_at"), (READINGS, "created_at"), (ALARM_EVENTS, "at_ms")):
            page = self.source(table).page(0, None, 1, Filter())
            if page.rows:
                firsts.append(int(page.rows[0][_at(page, stamp)]))
        return max(min(firsts), self.now_ms - round(days * DAY_MS)) if firsts else None

    def episodes(self, since_ms: int, patient: str | None) -> list[Episode]:
        """Raised since then, rising."""
        source, found, before = self.source(ALARMS), [], 0
        while True:
            page = source.page(0, before, PAGE_ROWS, Filter(patient))
            episodes = episodes_of(page.fields, page.rows)
            found += [one for one in episodes if one.raised_at_ms >= since_ms]
            if not page.more or not episodes or episodes[-1].raised_at_ms < since_ms:
                return found[::-1]
            before = episodes[-1].id

    def beds(self, since_ms: int) -> set[str]:
        """Who was heard since then, as far as it is known."""
        if self._db is None:
            assert self._config is not None
            return _heard_by_peers(self._config, since_ms, self.now_ms)
        from hfzmq.storage import Reader

        with closing(Reader(self._db)) as reader:
            return set(reader.heard_since(since_ms))

    def span(self, since_ms: int) -> Span:
        """The reports and heart rates since then."""
        spans = []
        for table, convert in ((REPORTS, _reports_of), (READINGS, _readings_of)):
            source = self.source(table)
            spans.append(_Part(source, *_ids(source, since_ms), convert))
        return Span(tuple(spans))


class _Part(NamedTuple):
    source: Source
    after_id: int
    last_id: int
    convert: Callable[[Page], Iterator[tuple[int, Stored]]]

    def read(self) -> Iterator[tuple[int, Stored]]:
        """(log index, row)."""
        after = self.after_id
        while after < self.last_id:
            page = self.source.page(after, None, min(PAGE_ROWS, self.last_id - after), Filter())
            if not page.rows:
                return
            yield from self.convert(page)
            after = int(page.rows[-1][_at(page, self.source.table.id_field)])


class Span(NamedTuple):
    """Reports and heart rates of a span of time."""

    parts: tuple[_Part, ...]

    @property
    def rows(self) -> int:
        """How many."""
        return sum(part.last_id - part.after_id for part in self.parts)

    def read(self) -> Iterator[Stored]:
        """All, in the order of the log."""
        for _, one in heapq.merge(*(part.read() for part in self.parts), key=itemgetter(0)):
            yield one


# ------------------------------------------------------------ the parts


def _ids(source: Source, since_ms: int) -> tuple[int, int]:
    """(the last id before ``since_ms``, the last of all); ids have no holes, and their stamps rise."""
    page = source.page(0, 0, 1, Filter())
    if not page.rows:
        return 0, 0
    last = int(page.rows[0][_at(page, source.table.id_field)])
    low, high = 0, last  # rows up to ``low`` are too old
    while low < high:
        middle = (low + high) // 2
        page = source.page(middle, None, 1, Filter())
        if int(page.rows[0][_at(page, "created_at")]) < since_ms:
            low = middle + 1
        else:
            high = middle
    return low, last


def _reports_of(page: Page) -> Iterator[tuple[int, Stored]]:
    columns = [_at(page, name) for name in Report._fields]
    number, stamp, place = (_at(page, name) for name in ("id", "created_at", "log_index"))
    for row in page.rows:
        yield row[place], StoredReport(row[number], row[stamp], Report._make(row[one] for one in columns))


def _readings_of(page: Page) -> Iterator[tuple[int, Stored]]:
    names = ("id", "created_at", "patient_id", "timestamp", "heartbeat_value", "validation_status", "anomaly_type")
    columns = [_at(page, name) for name in names]
    place = _at(page, "log_index")
    for row in page.rows:
        number, stamp, patient, timestamp, value, status, anomaly = (row[one] for one in columns)
        yield row[place], StoredReading(number, stamp, patient, timestamp, value, status, anomaly or "")


def _at(page: Page, name: str) -> int:
    if name not in page.fields:
        raise HfzmqError(f"rows without {name}", hint="hfzmq status shows the versions of the daemons")
    return page.fields.index(name)


def _heard_by_peers(config: Config, since_ms: int, now_ms: int) -> set[str]:
    from hfzmq.client.ask import ask_all

    found: set[str] = set()
    for answer in ask_all(config, "beds").values():
        if answer is None or answer.get("status") != "OK":
            continue
        found |= {str(row[0]) for age_ms, row in answer.get("seen", ()) if now_ms - age_ms >= since_ms}
        for rows in (answer.get("reported", ()), answer.get("readings", ())):
            found |= {str(row[0]) for _, row in rows if _stamp(row) >= since_ms}
    return found


def _stamp(row: Sequence[Any]) -> int:
    return row[1] if type(row[1]) is int else 0
