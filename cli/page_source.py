"""Where rows of a table are read: from a peer of the mesh, the leader after a quorum round, or a file.

Touches sockets (through client.ask) or one database file, reading only. Must not know how rows are shown. Keeps: pages
are read by id, and ids are equal on every peer, so another peer can go on where one fell away; a page says how stale it
may be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from hfzmq.config import Config
from hfzmq.errors import HfzmqError, InvalidInput, NoDaemonReached, NoLeader

if TYPE_CHECKING:
    from hfzmq.cli.mesh_view import MeshView

PAGE_ROWS = 1000  # what one request may ask for
ASK_TIMEOUT_MS = 1000
LEADER_TIMEOUT_MS = 5000
CATCH_UP_MS = 5000  # so long for who goes on where a peer fell away, to hold what that one held

_OR_A_FILE = "start one: hfzmq serve --id N --data-dir DIR; or read a file: --db FILE"
_HINT = "hfzmq status shows the versions of the daemons"


class Table(NamedTuple):
    """A table that can be read page by page: the request's name, the column with the id, the request's key by which
    rows can be chosen beside the patient, and what a row is called."""

    op: str
    id_field: str
    filter_key: str
    noun: str


REPORTS = Table("reports", "id", "tier", "report")
READINGS = Table("readings", "id", "status", "reading")
ALERTS = Table("alerts", "alert_id", "category", "alert")
ALARMS = Table("alarms", "id", "state", "alarm")
ALARM_EVENTS = Table("alarm_events", "id", "episode", "line of the journal")


class Page(NamedTuple):
    """Some rows in the order of ``fields``, whether there are more in that direction, and how fresh they are.

    ``stale_ms``: since the answering peer last heard its leader (0: it leads; None: it hears none, or it is a file).
    ``log_now_ms``: what the log's clock shows, Unix ms, for how long ago a stamp was; None where that is not told.
    ``behind``: committed entries that the answering peer knows of and had not applied.
    """

    fields: tuple[str, ...]
    rows: list[list[Any]]
    more: bool
    peer: int | None = None
    stale_ms: int | None = None
    applied_index: int | None = None
    log_now_ms: int | None = None
    behind: int = 0


class Filter(NamedTuple):
    """Which rows: of one patient; of one tier, status, category, state or episode, whichever the table has."""

    patient: str | None = None
    kind: str | int | None = None


class Source(Protocol):
    """Something that gives pages: rising above ``after_id``, or falling below ``before_id`` (0: from the newest)."""

    table: Table

    def page(self, after_id: int, before_id: int | None, limit: int, wanted: Filter) -> Page:
        """One page of at most ``limit`` rows, 1 to PAGE_ROWS."""


class FileSource:
    """A peer's database file. NotFound, InvalidInput or DataDirError when it cannot be read."""

    def __init__(self, path: Path, table: Table = REPORTS) -> None:
        from hfzmq.storage import Reader

        self.table = table
        reader = Reader(path)
        read_by: dict[str, tuple[Callable[..., list[tuple[Any, ...]]], tuple[str, ...]]] = {
            "reports": (reader.reports, reader.fields),
            "readings": (reader.readings, reader.reading_fields),
            "alerts": (reader.alerts, reader.alert_fields),
            "alarms": (reader.alarms, reader.alarm_fields),
            "alarm_events": (_without_patient(reader.alarm_events), reader.event_fields),
        }
        self._read, self._fields = read_by[table.op]

    def page(self, after_id: int, before_id: int | None, limit: int, wanted: Filter) -> Page:
        """See Source."""
        rows = self._read(after_id, before_id, limit + 1, wanted.patient, wanted.kind)
        return Page(self._fields, [list(row) for row in rows[:limit]], len(rows) > limit)


class MeshSource:
    """The peers of ``config``: peer ``only``; the leader when ``consistent``; else the one that has applied most. Who
    goes on for a peer that fell away holds what that one held when all were asked."""

    def __init__(
        self, config: Config, only: int | None = None, consistent: bool = False, table: Table = REPORTS
    ) -> None:
        self.table = table
        self._config = config
        self._only = only
        self._consistent = consistent
        self._peers: list[int] = []
        self._applied = 0  # at the peer that holds most, when they were asked

    def page(self, after_id: int, before_id: int | None, limit: int, wanted: Filter) -> Page:
        """See Source. NoDaemonReached, NoLeader, TimedOut, InvalidInput as the mesh has it."""
        fields: dict[str, object] = {"limit": limit}
        if before_id is None:
            fields["after_id"] = after_id
        else:
            fields["before_id"] = before_id
        asked = {"patient": wanted.patient, self.table.filter_key: wanted.kind}
        fields.update({key: value for key, value in asked.items() if value is not None})
        if self._consistent:
            from hfzmq.client.ask import ask_leader

            fields["consistent"] = True
            return self._page(ask_leader(self._config, self.table.op, fields, LEADER_TIMEOUT_MS))
        return self._from_any(fields)

    def _from_any(self, fields: dict[str, object]) -> Page:
        from hfzmq.client.ask import ask_all
        from hfzmq.wire.requests import READ

        self._peers = self._peers or self._by_knowledge()
        until = time.monotonic() + CATCH_UP_MS / 1000
        last: dict[str, Any] | None = None
        while self._peers:
            first = self._peers[0]
            answer = ask_all(self._config, self.table.op, fields, ASK_TIMEOUT_MS, only=first)[first]
            if answer is not None and answer.get("status") == "OK":
                page = self._page(answer)
                if page.applied_index is None or page.applied_index >= self._applied:
                    return page
                if time.monotonic() < until:  # rows that were there would look like none
                    self._peers = [*self._peers[1:], first]
                    time.sleep(CATCH_UP_MS / 1000 / 50)
                    continue
                answer = {"status": f"peer {first} holds less than the one that fell away"}
            if answer is not None and answer.get("status") == "REFUSED" and answer.get("field") != READ:
                raise InvalidInput(str(answer.get("field")), str(answer.get("bound")), hint=str(answer.get("hint", "")))
            last = answer or last
            del self._peers[0]
        if last is None:
            raise NoDaemonReached("no daemon answers any more", hint=_OR_A_FILE)
        if last.get("field") == READ:
            raise HfzmqError(f"no peer can read it: {last.get('bound')}", hint=str(last.get("hint") or "hfzmq doctor"))
        raise NoLeader(f"no peer gives its {self.table.op} now: {last.get('status')}", hint="ask again in a moment")

    def _page(self, answer: dict[str, Any]) -> Page:
        return _page_in(answer, self.table)

    def _by_knowledge(self) -> list[int]:
        from hfzmq.cli.mesh_view import mesh_view, unreached
        from hfzmq.client.ask import ask_all, knowing
        from hfzmq.wire.members import newest, with_members

        self._config = knowing(self._config, self._only)
        answers = ask_all(self._config, "status", only=self._only)
        view = mesh_view(self._config, answers, self._only)
        self._config = with_members(self._config, newest(answers.values()))
        if not view.reading:
            raise unreached(view, _OR_A_FILE)
        _refuse_empty(view)
        self._applied = max((peer.applied_index or 0 for peer in view.reading), default=0)
        best_first = sorted(view.reading, key=lambda peer: (-(peer.applied_index or 0), not peer.serves, peer.id))
        return [peer.id for peer in best_first]


def _refuse_empty(view: MeshView) -> None:
    """NoLeader where nobody that answers holds what the mesh has stored: no rows from there would look like none at
    all."""
    from hfzmq.cli.format import listed
    from hfzmq.cli.mesh_words import not_begun
    from hfzmq.cli.peer_view import ASKING

    one = view.peers[0]
    if view.asked_one and one.last_index == 0 and not view.founded:
        raise NoLeader(
            f"peer {one.id} is empty, and knows of no mesh that has begun: what others hold is not in it",
            hint="leave --peer out; who holds data: hfzmq check --peer, of each peer",
        )
    if view.asked_one:
        return
    if all(peer.membership == ASKING for peer in view.reading):
        empty = listed(peer.id for peer in view.reading)
        raise NoLeader(f"no member of the mesh answers: {empty} came back with another disk", hint="hfzmq status")
    if view.waiting_for:
        raise NoLeader(f"the mesh has not begun: {not_begun(view)}", hint="hfzmq status")


def _without_patient(read: Callable[..., list[tuple[Any, ...]]]) -> Callable[..., list[tuple[Any, ...]]]:
    """The journal is about episodes."""

    def page(
        after_id: int, before_id: int | None, limit: int, patient: str | None, kind: int | None
    ) -> list[tuple[Any, ...]]:
        return read(after_id, before_id, limit, kind)

    return page


def read_all(source: Source, after_id: int, wanted: Filter) -> Iterator[Page]:
    """All rows above ``after_id``, rising, page after page."""
    while True:
        page = source.page(after_id, None, PAGE_ROWS, wanted)
        yield page
        if not page.more or not page.rows:
            return
        after_id = _last_id(page, source.table)


def read_last(source: Source, count: int, wanted: Filter) -> Page:
    """The newest ``count`` rows, rising."""
    rows: list[list[Any]] = []
    before_id = 0
    while True:
        page = source.page(0, before_id, min(PAGE_ROWS, count - len(rows)), wanted)
        rows += page.rows
        if len(rows) >= count or not page.more or not page.rows:
            return page._replace(rows=rows[::-1])
        before_id = _last_id(page, source.table)


def _last_id(page: Page, table: Table) -> int:
    return int(page.rows[-1][page.fields.index(table.id_field)])


def _page_in(answer: dict[str, Any], table: Table) -> Page:
    fields, rows = answer.get("fields"), answer.get("rows")
    if not isinstance(fields, list) or table.id_field not in fields or not isinstance(rows, list):
        raise HfzmqError("a daemon answered in a way this version does not know", hint=_HINT)
    if not all(isinstance(row, list) and len(row) == len(fields) for row in rows):
        raise HfzmqError("a daemon answered rows that do not fit its fields", hint=_HINT)
    return Page(
        tuple(map(str, fields)),
        rows,
        answer.get("more") is True,
        answer.get("peer"),
        answer.get("stale_ms"),
        answer.get("applied_index"),
        now_ms if type(now_ms := answer.get("log_now_ms")) is int else None,
        behind if type(behind := answer.get("behind")) is int else 0,
    )
