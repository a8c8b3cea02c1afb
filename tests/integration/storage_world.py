"""What the storage tests share: a mesh of three, a tape of chained entries, and a disk that fails when told.

``Tape`` plays the core: it appends, truncates and applies as a replica would, and remembers in plain Python what a
store must hold. ``FaultyDisk`` is an SQLite VFS over the real one.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import apsw

from hfzmq.clinical.alarm.facts import Fact
from hfzmq.clinical.report import Report
from hfzmq.config import Config, PeerAddress
from hfzmq.core import membership as members
from hfzmq.core.contract import Apply, Compact, Persist
from hfzmq.core.membership import Membership, bootstrap
from hfzmq.core.sessions import Session, SessionKey, Sessions
from hfzmq.core.types import BATCH, CONFIG, NOOP, START, Entry, HardState, Origin, Place, chained
from hfzmq.storage import Reader, Store, report_rows
from hfzmq.storage.tables import AlarmCounts, AppliedState
from hfzmq.wire.access import Change, encode_changes
from hfzmq.wire.body import ACCESS, FACTS, READINGS, encode_body
from hfzmq.wire.facts import encode_fact_rows
from hfzmq.wire.fields import pack
from hfzmq.wire.readings import JudgedReading
from hfzmq.wire.requests import encode_rows
from tests.integration.expected_tables import ExpectedTables, Remembered, remembered, tables_of

REPOSITORY = Path(__file__).resolve().parents[2]
EPOCH = b"epoch of the bed"
STAMP_MS = 1_700_000_500_000
BODY_HEAD_BYTES = 9  # format and stamp: not of the request


def mesh(ids: Sequence[int] = (1, 2, 3), mesh_id: bytes = b"the mesh's own id", name: str = "ward") -> Config:
    peers = tuple(PeerAddress(i, "127.0.0.1", 5000 + i, 5100 + i, 5200 + i) for i in ids)
    return Config(name, mesh_id[:16], peers)


def founded(index: int = 0, ids: Sequence[int] = (1, 2, 3)) -> Membership:
    """The members of a mesh that has begun, as of ``index``."""
    return replace(bootstrap(mesh(ids).peers).bound({peer: bytes([peer]) * 16 for peer in ids}), index=index)


def report(number: int, patient: str = "") -> Report:
    """The ``number``-th report of a ward of seven beds; some vitals are whole numbers, as JSON would bring them."""
    age: float = 70 if number % 2 else 66.5
    tier, chance = ("RED", 0.75) if number % 3 == 0 else ("AMBER", 0.5)
    name = patient or f"bed-{number % 7}"
    return Report(name, STAMP_MS + number, age, 137.5, 1.25, 38, number % 300, chance, tier, 0.25, "hf-1", "late")


def stored_row(report_id: int, one: Report, index: int, alert: int = 0) -> tuple[Any, ...]:
    """What ``risk_reports`` must hold for a report, in the order of its columns."""
    return (report_id, *one[:9], alert, *one[9:], STAMP_MS, index)


def mark_alerted(path: Path, report_id: int) -> None:
    """In a file that nobody has open: an alarm was raised for this report."""
    database = apsw.Connection(str(path))
    for row in database.execute(report_rows.SELECT_REPORT, (report_id,)).fetchall():
        database.execute(report_rows.UPDATE_ALERT_SENT, report_rows.alerted_row(row))
    database.close()


def place_of(entry: Entry) -> Place:
    return Place(entry.index, entry.term, entry.chain)


class Tape:
    """The log that a replica would keep, the effects that it would hand out, and what the tables must then hold."""

    def __init__(self) -> None:
        self.hard_state = HardState(0, 0)
        self.log: list[Entry] = []
        self.sessions = Sessions()
        self.stored_sessions: dict[SessionKey, Session] = {}
        self.applied = 0
        self.base = 0  # index
        self.now_ms = STAMP_MS  # by the leader's clock
        self.tables = ExpectedTables()
        self.history = b""
        self._applied_hash = bytes(16)
        self._token = 0

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """What ``risk_reports`` must hold."""
        return self.tables.reports

    @property
    def state_hash(self) -> bytes:
        counts = AlarmCounts(*self.tables.counts)
        return AppliedState(START, self._applied_hash, 1, alarms=counts, history=self.history).state_hash

    @property
    def last(self) -> Place:
        return place_of(self.log[-1]) if self.log else START

    def batch(self, reports: Sequence[Report], client: str = "bed", seq: int | None = None) -> Entry:
        """Append a client's request; without ``seq`` the next one of its session."""
        return self._request(encode_body(self.now_ms, encode_rows(reports)), client, seq)

    def readings(self, readings: Sequence[JudgedReading], client: str = "monitor") -> Entry:
        """Append a request with heart rates, judged."""
        return self._request(encode_body(self.now_ms, pack([list(one) for one in readings]), READINGS), client)

    def facts(self, *facts: Fact) -> Entry:
        """Append what the leader tells the alarms."""
        return self._request(encode_body(self.now_ms, encode_fact_rows(facts), FACTS), "1")

    def access(self, *changes: Change) -> Entry:
        """Append keys issued or revoked by an admin."""
        return self._request(encode_body(self.now_ms, encode_changes(changes), ACCESS), "hfzmq-keys")

    def _request(self, body: bytes, client: str, seq: int | None = None) -> Entry:
        if seq is None:
            seq = 1 + max((e.origin.seq for e in self.log if e.origin and e.origin.client == client), default=0)
        origin = Origin(client, EPOCH, seq, hashlib.blake2b(body[BODY_HEAD_BYTES:], digest_size=16).digest())
        entry = chained(self.last, max(1, self.hard_state.term), BATCH, origin, body)
        self.log.append(entry)
        return entry

    def noop(self) -> Entry:
        entry = chained(self.last, max(1, self.hard_state.term), NOOP, None, b"")
        self.log.append(entry)
        return entry

    def config(self, membership: Membership) -> Entry:
        """Append a change of members."""
        entry = chained(self.last, max(1, self.hard_state.term), CONFIG, None, members.encode(membership))
        self.log.append(entry)
        return entry

    def place(self, index: int) -> Place:
        return place_of(self.log[index - 1]) if index else START

    def persist(
        self, *entries: Entry, hard_state: HardState | None = None, truncate_from: int | None = None
    ) -> Persist:
        self._token += 1
        if hard_state:
            self.hard_state = hard_state
        return Persist(self._token, hard_state, truncate_from, entries)

    def truncate(self, index: int) -> int:
        """Drop the entries from ``index`` on; for ``persist``'s ``truncate_from``."""
        del self.log[index - 1 :]
        return index

    def apply(self, upto: int | None = None) -> Apply:
        """Apply what is not applied yet, and note what that must leave in the tables."""
        entries = tuple(self.log[self.applied : upto])
        fresh = tuple(self.sessions.apply(entry) for entry in entries)
        for entry, new in zip(entries, fresh, strict=True):
            brought, judged = self.tables.take(entry) if new and entry.kind == BATCH else (0, False)
            if new and entry.origin:
                done = Session(entry.origin.seq, entry.origin.digest, entry.term, entry.index)
                self.stored_sessions[entry.origin.session] = done
            step = entry.chain + struct.pack(">BIQ", new, brought, len(self.rows) + 1)
            step += b"".join(struct.pack(">Q", count) for count in self.tables.verdicts) if judged else b""
            self._applied_hash = hashlib.blake2b(self._applied_hash + step, digest_size=16).digest()
            self.history = self.history or (entry.chain if entry.body else b"")
            self.applied = entry.index
        return Apply(entries, fresh)

    def compact(self, index: int) -> Compact:
        """Cut the log off up to ``index``."""
        self.base = index
        return Compact(self.place(index), self.members_at(index))

    def members_at(self, index: int) -> Membership:
        """Who was in force at an index."""
        changes = [members.decode(e.index, e.body) for e in self.log[:index] if e.kind == CONFIG]
        return changes[-1] if changes else bootstrap(mesh().peers)

    def write(self, store: Store, reports: Sequence[Report]) -> None:
        """One request, persisted and applied in one transaction."""
        entry = self.batch(reports)
        assert store.write([self.persist(entry), self.apply()]) == (self.applied, self.state_hash)


class Held(NamedTuple):
    """Everything that a file holds, to compare; of the log what is after its base."""

    hard_state: HardState
    log: tuple[Entry, ...]
    sessions: dict[SessionKey, Session]
    applied: int
    state_hash: bytes
    membership: Membership
    rows: list[tuple[Any, ...]]
    tables: dict[str, list[tuple[Any, ...]]]
    verdicts: tuple[int, ...]
    alarms: Remembered


def held_by(store: Store) -> Held:
    """What a store has recovered, and its rows. To be called right after ``Store.open``."""
    found = store.recovered
    reader = Reader(store.path)
    rows = reader.reports(limit=1_000_000)
    reader.close()
    log = found.log.between(found.log.base.index, found.log.last.index)
    return Held(
        found.hard_state,
        log,
        found.sessions,
        found.applied,
        found.state_hash,
        found.membership,
        rows,
        tables_of(store.path),
        tuple(store.readings_stored),
        remembered(store.alarms),
    )


def amnesia(data_dir: Path, peer_id: int = 1) -> str:
    """Open and close; why what stood there was set aside, '' when it was believed."""
    store = Store.open(data_dir, peer_id, mesh())
    store.close()
    return store.amnesia or ""


def expected_of(tape: Tape) -> Held:
    return Held(
        tape.hard_state,
        tuple(tape.log[tape.base :]),
        dict(tape.stored_sessions),
        tape.applied,
        tape.state_hash,
        tape.members_at(tape.base),
        list(tape.rows),
        tape.tables.rows(),
        tuple(tape.tables.verdicts),
        remembered(tape.tables.alarms),
    )


class FaultyDisk(apsw.VFS):
    """The real disk, but ``before(operation, file name)`` is called first and may raise; calls are kept in ``calls``.

    Operations: 'write', 'sync', 'truncate', 'delete'; only while ``armed``."""

    def __init__(self, name: str, before: Callable[[str, str], None] | None = None) -> None:
        self.vfs_name = name
        self.before = before or (lambda operation, file: None)
        self.armed = True
        self.calls: list[tuple[str, str]] = []
        super().__init__(name, base="")

    def happen(self, operation: str, file: str) -> None:
        if self.armed:
            name = os.path.basename(file)
            self.calls.append((operation, name))
            self.before(operation, name)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return FaultyFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.happen("delete", filename)
        super().xDelete(filename, syncdir)


class FaultyFile(apsw.VFSFile):
    """One file of a FaultyDisk."""

    def __init__(self, disk: FaultyDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self.disk = disk
        self.path = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:
        self.disk.happen("write", self.path)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self.disk.happen("sync", self.path)
        super().xSync(flags)

    def xTruncate(self, newsize: int) -> None:
        self.disk.happen("truncate", self.path)
        super().xTruncate(newsize)


NOBODY = 65_534


@contextmanager
def public_directory() -> Iterator[Path]:
    """One that any user can reach, which pytest's own is not."""
    with TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        yield Path(name)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root may write everywhere; as another user the rights count."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
