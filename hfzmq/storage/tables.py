"""Rows <-> values of what a peer goes on from: identity, hard state, log, members, sessions, how far the tables are.

Touches nothing: rows in, rows out. Must not know: transactions, when a row is written. Keeps: what ``*_row`` makes,
``*_of`` takes back; a row whose checksum or shape is wrong raises Damaged and never becomes a value. What applying
writes has its rows elsewhere: report_rows, reading_rows, alarm_rows.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from hfzmq.clinical.alarm.types import Listening
from hfzmq.core import membership as members
from hfzmq.core.membership import Membership
from hfzmq.core.sessions import Session, SessionKey
from hfzmq.core.types import KINDS, Entry, HardState, Origin, Place
from hfzmq.storage.checksums import Damaged, Row, sealed, unsealed_as
from hfzmq.storage.reading_rows import NO_READINGS, VerdictCounts

SCHEMA_VERSION = 7
APPLICATION_ID = 0x68667A71  # 'hfzq' in the file's header: a database of hfzmq

HASH_BYTES = 16
STATE_START = bytes(HASH_BYTES)

_ALARMS = struct.Struct(">QQQQ16sQQQQQ")


class AlarmCounts(NamedTuple):
    """What stands in the alarms' tables: the log's clock (ms), the term of who stamped it last, how many episodes and
    journal lines there are, a hash over all of these lines, 16 bytes, two numbers over all rows that alarms change
    (alarm_sum.py), and since when silence counts (``Listening``)."""

    now_ms: int = 0
    now_term: int = 0
    episodes: int = 0
    lines: int = 0
    journal: bytes = STATE_START
    kept: int = 0
    marked: int = 0
    unheard_ms: int = 0
    again_ms: int = 0
    hushed_until_ms: int = 0

    @property
    def listening(self) -> Listening:
        """The last three."""
        return Listening(self.unheard_ms, self.again_ms, self.hushed_until_ms)


class AppliedState(NamedTuple):
    """How far the tables are: the last applied entry's place, the hash of what was applied, the next report's id, how
    many readings are stored of each verdict, the alarms, and the history that all this belongs to: 16 bytes, b"" until
    the first entry with a body is applied (apply.py)."""

    place: Place
    applied_hash: bytes
    next_id: int
    verdicts: VerdictCounts = NO_READINGS
    alarms: AlarmCounts = AlarmCounts()
    history: bytes = b""

    @property
    def state_hash(self) -> bytes:
        """Over all that the tables hold, 16 bytes: equal on all peers at an equal place."""
        if self.alarms == AlarmCounts() and not self.history:
            return self.applied_hash
        told = self.applied_hash + _ALARMS.pack(*self.alarms) + self.history
        return hashlib.blake2b(told, digest_size=HASH_BYTES).digest()


class Meta(NamedTuple):
    """The row of ``meta`` without its schema version."""

    mesh_id: bytes
    peer_id: int
    incarnation: bytes
    boot_no: int
    bootstrap_hash: bytes
    created_at: int


INSERT_META = f"INSERT INTO meta VALUES (1, {SCHEMA_VERSION}, ?, ?, ?, ?, ?, ?, ?)"
SELECT_META = "SELECT mesh_id, peer_id, incarnation, boot_no, bootstrap_hash, created_at, crc FROM meta"
UPDATE_META = """UPDATE meta SET mesh_id = ?, peer_id = ?, incarnation = ?, boot_no = ?, bootstrap_hash = ?,
    created_at = ?, crc = ?"""
UPDATE_BOOT = "UPDATE meta SET boot_no = ?, crc = ?"

INSERT_HARD_STATE = "INSERT INTO hard_state VALUES (1, ?, ?, ?, ?, ?)"
UPDATE_HARD_STATE = "UPDATE hard_state SET term = ?, vote = ?, probe = ?, root = ?, crc = ?"
SELECT_HARD_STATE = "SELECT term, vote, probe, root, crc FROM hard_state"

INSERT_LOG = "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
TRUNCATE_LOG = "DELETE FROM log WHERE idx >= ?"
SELECT_LOG = "SELECT idx, term, kind, client, epoch, seq, digest, chain, crc, body FROM log WHERE idx > ? ORDER BY idx"

# For cutting the log: where an entry stands, the oldest rows with what they weigh, and their end.
SELECT_PLACE = "SELECT idx, term, chain FROM log WHERE idx = ?"
SELECT_OLDEST = "SELECT idx, length(body) FROM log WHERE idx <= ? ORDER BY idx LIMIT ?"
DELETE_OLDEST = "DELETE FROM log WHERE idx <= ?"
# For a snapshot: the last change of members up to an index.
SELECT_CONFIG = """SELECT idx, term, kind, client, epoch, seq, digest, chain, crc, body FROM log
    WHERE kind = ? AND idx <= ? ORDER BY idx DESC LIMIT 1"""

INSERT_LOG_BASE = "INSERT INTO log_base VALUES (1, ?, ?, ?, ?)"
UPDATE_LOG_BASE = "UPDATE log_base SET idx = ?, term = ?, chain = ?, crc = ?"
SELECT_LOG_BASE = "SELECT idx, term, chain, crc FROM log_base"

INSERT_MEMBERSHIP = "INSERT INTO membership VALUES (1, ?, ?, ?)"
UPDATE_MEMBERSHIP = "UPDATE membership SET idx = ?, members = ?, crc = ?"
SELECT_MEMBERSHIP = "SELECT idx, members, crc FROM membership"

INSERT_APPLIED = "INSERT INTO applied VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
UPDATE_APPLIED = """UPDATE applied SET idx = ?, term = ?, chain = ?, applied_hash = ?, next_id = ?, verdicts = ?,
    now_ms = ?, now_term = ?, episodes = ?, lines = ?, journal = ?, kept = ?, marked = ?,
    unheard_ms = ?, again_ms = ?, hushed_until_ms = ?, history = ?, crc = ?"""
SELECT_APPLIED = """SELECT idx, term, chain, applied_hash, next_id, verdicts, now_ms, now_term, episodes, lines,
    journal, kept, marked, unheard_ms, again_ms, hushed_until_ms, history, crc FROM applied"""

UPSERT_SESSION = "REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)"
SELECT_SESSIONS = "SELECT client, epoch, seq, digest, term, idx, crc FROM sessions"

# ----------------------------------------------------------------------------------------------------------------- rows


def meta_row(meta: Meta) -> Row:
    """For INSERT_META and UPDATE_META; its last column, with the boot number, for UPDATE_BOOT."""
    return sealed(*meta)


def meta_of(row: Row | None) -> Meta:
    """From SELECT_META."""
    return Meta(*unsealed_as(row, bytes, int, bytes, int, bytes, int))


def hard_state_row(state: HardState, probe: int, root: int) -> Row:
    """For INSERT_HARD_STATE and UPDATE_HARD_STATE."""
    return sealed(state.term, state.vote, probe, root)


def hard_state_of(row: Row | None) -> tuple[HardState, int, int]:
    """(the hard state, the probe counter, the root) from SELECT_HARD_STATE."""
    term, vote, probe, root = unsealed_as(row, int, int, int, int)
    return HardState(term, vote), probe, root


def log_base_row(place: Place) -> Row:
    """For INSERT_LOG_BASE and UPDATE_LOG_BASE."""
    return sealed(place.index, place.term, place.chain)


def log_base_of(row: Row | None) -> Place:
    """From SELECT_LOG_BASE."""
    return Place(*unsealed_as(row, int, int, bytes))


def membership_row(membership: Membership) -> Row:
    """For INSERT_MEMBERSHIP and UPDATE_MEMBERSHIP."""
    return sealed(membership.index, members.encode(membership))


def membership_of(row: Row | None) -> Membership:
    """From SELECT_MEMBERSHIP."""
    return _members(*unsealed_as(row, int, bytes))


def members_of(entry: Entry) -> Membership:
    """Of a change of members."""
    return _members(entry.index, entry.body)


def _members(index: int, body: bytes) -> Membership:
    try:
        return members.decode(index, body)
    except ValueError as error:
        raise Damaged(str(error)) from None


def applied_row(state: AppliedState) -> Row:
    """For INSERT_APPLIED and UPDATE_APPLIED."""
    columns = _applied_columns(state)
    return (*columns, _applied_crc(*columns))


def applied_of(row: Row | None) -> AppliedState:
    """From SELECT_APPLIED."""
    *columns, crc = _of_types(row, _APPLIED_TYPES)
    index, term, chain, applied_hash, next_id, packed, *alarms, history = columns
    counts = AlarmCounts(*alarms)
    hashes = (chain, applied_hash, counts.journal, *filter(None, (history,)))
    try:
        sound = _applied_crc(*columns) == crc and {*map(len, hashes)} == {HASH_BYTES}
    except struct.error:  # a number below 0
        sound = False
    if not sound:
        raise Damaged("wrong checksum")
    try:
        verdicts = VerdictCounts.unpack(packed)
        return AppliedState(Place(index, term, chain), applied_hash, next_id, verdicts, counts, history)
    except (ValueError, struct.error) as error:
        raise Damaged(f"verdicts: {error}") from None


_APPLIED_TYPES = (int, int, bytes, bytes, int, bytes, int, int, int, int, bytes, int, int, int, int, int, bytes, int)
_APPLIED_HEAD = struct.Struct(">QQ16s16sQ")


def _applied_columns(state: AppliedState) -> Row:
    place = state.place
    head = (place.index, place.term, place.chain, state.applied_hash, state.next_id, state.verdicts.pack())
    return (*head, *state.alarms, state.history)


def _applied_crc(
    index: int, term: int, chain: bytes, applied_hash: bytes, next_id: int, verdicts: bytes, *others: Any
) -> int:
    """A checksum of its own, for each transaction takes it once or twice."""
    *alarms, history = others
    numbers = _APPLIED_HEAD.pack(index, term, chain, applied_hash, next_id) + _ALARMS.pack(*alarms)
    return zlib.crc32(numbers + verdicts + history)


def session_row(origin: Origin, entry: Entry) -> Row:
    """For UPSERT_SESSION: ``entry`` is what stored the request of ``origin``."""
    return _session_row(origin.client, origin.epoch, origin.seq, origin.digest, entry.term, entry.index)


def session_of(row: Row | None) -> tuple[SessionKey, Session]:
    """From SELECT_SESSIONS."""
    client, epoch, *columns, crc = _of_types(row, _SESSION_TYPES)
    if _session_row(client, epoch, *columns)[-1] != crc:
        raise Damaged("wrong checksum")
    return (client, epoch), Session(*columns)


_SESSION_TYPES = (str, bytes, int, bytes, int, int, int)
_SESSION_NUMBERS = struct.Struct(">qqqQQQ")


def _session_row(client: str, epoch: bytes, seq: int, digest: bytes, term: int, index: int) -> Row:
    """With a checksum of its own, for each request that is stored changes such a row."""
    name = client.encode()
    numbers = _SESSION_NUMBERS.pack(seq, term, index, len(name), len(epoch), len(digest))
    return client, epoch, seq, digest, term, index, zlib.crc32(b"".join((numbers, name, epoch, digest)))


def _of_types(row: Row | None, types: tuple[type, ...]) -> Row:
    """The row; Damaged when it is missing, or its columns are not of these types."""
    if row is None:
        raise Damaged("the row is missing")
    if tuple(map(type, row)) != types:
        raise Damaged("wrong checksum")
    return row


class SessionSum:
    """One number over all rows of ``sessions``, kept as they change: ``value`` is their checksums' exclusive or."""

    def __init__(self, sessions: Mapping[SessionKey, Session]) -> None:
        self.value = 0
        self._parts: dict[SessionKey, int] = {}
        for (client, epoch), one in sessions.items():
            self.replace(_session_row(client, epoch, one.seq, one.digest, one.term, one.index))

    def replace(self, row: Row) -> None:
        """A row for UPSERT_SESSION is written."""
        key, crc = (row[0], row[1]), row[-1]
        self.value ^= self._parts.get(key, 0) ^ crc
        self._parts[key] = crc


def root_of(applied: AppliedState, cut: int, last: Place, sessions: SessionSum) -> int:
    """One checksum over what a transaction leaves; it stands in the hard state, which each transaction writes, so that
    pages of different transactions, each of them whole, are not taken for one file. ``cut``: from ``cut_crc``."""
    return zlib.crc32(_ROOT.pack(_applied_crc(*_applied_columns(applied)), cut, last.index, last.chain, sessions.value))


def owned(root: int, incarnation: bytes) -> int:
    """The root as it stands in the file of one incarnation: the tables of an earlier life under a WAL of this one, each
    page of them whole, are not this one's."""
    return root ^ zlib.crc32(incarnation)


def cut_crc(base: Place, members: Membership) -> int:
    """The part of the root that only compaction changes."""
    return zlib.crc32(_CUT.pack(log_base_row(base)[-1], membership_row(members)[-1]))


_ROOT = struct.Struct(">IIQ16sI")
_CUT = struct.Struct(">II")


# -------------------------------------------------------------------------------------------------------------- the log

_LOG_HEAD = struct.Struct(">QQBQHHH")


def _log_crc(entry: Entry) -> int:
    origin = entry.origin
    client, epoch, seq, digest = (
        (origin.client.encode(), origin.epoch, origin.seq, origin.digest) if origin else (b"", b"", 0, b"")
    )
    head = _LOG_HEAD.pack(entry.index, entry.term, entry.kind, seq, len(client), len(epoch), len(digest))
    return zlib.crc32(entry.body, zlib.crc32(b"".join((head, client, epoch, digest, entry.chain))))


def log_row(entry: Entry) -> Row:
    """For INSERT_LOG."""
    who = entry.origin
    asked = (who.client, who.epoch, who.seq, who.digest) if who else (None, None, None, None)
    return (entry.index, entry.term, entry.kind, *asked, entry.chain, _log_crc(entry), entry.body)


def entry_of(row: Row) -> Entry:
    """From SELECT_LOG; Damaged when its checksum is wrong. Its chain is for the caller to check."""
    index, term, kind, client, epoch, seq, digest, chain, crc, body = row
    try:
        origin = None if client is None else Origin(client, epoch, seq, digest)
        entry = Entry(index, term, kind, origin, body, chain)
        if kind in KINDS and _log_crc(entry) == crc:
            return entry
    except (AttributeError, TypeError, ValueError, struct.error):  # a value of another type than was written
        pass
    raise Damaged("wrong checksum")
