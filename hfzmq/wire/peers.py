"""What peers say to each other, as bytes: the second half of docs/protocol.md.

Touches nothing. Must not know: sockets, who leads. Every message is one msgpack array of fixed order:

    [version, mesh_id, kind, from, incarnation, boot, to, ...the message's own fields]

Keeps: ``decode`` returns a whole, typed message or raises WireError, whatever the bytes. Entries travel without their
chain: the receiver computes it from the chain of ``prev``, so that a chain always speaks of the bytes that came in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgpack

from hfzmq.core.contract import CANDIDATE, FOLLOWER, LEADER, PRECANDIDATE
from hfzmq.core.messages import (
    AppendReply,
    AppendRequest,
    Heartbeat,
    Message,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from hfzmq.core.types import CHAIN_BYTES, KINDS, Entry, Origin, Place, chained
from hfzmq.errors import WireError
from hfzmq.wire.requests import CLIENT_CHARS_MAX

VERSION = 1
ROLES = (FOLLOWER, PRECANDIDATE, CANDIDATE, LEADER)
U63 = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Sender:
    """Which life of which peer of which mesh speaks, and to whom (0: to all)."""

    mesh_id: bytes
    peer: int
    incarnation: bytes
    boot: int
    to: int


@dataclass(frozen=True, slots=True)
class Letter:
    """A message with its envelope."""

    sender: Sender
    content: Message | Heartbeat


def encode(sender: Sender, content: Message | Heartbeat) -> bytes:
    """The bytes of a message."""
    kind, fields = _ENCODERS[type(content)]
    head = [VERSION, sender.mesh_id, kind, sender.peer, sender.incarnation, sender.boot, sender.to]
    packed: bytes = msgpack.packb(head + fields(content))
    return packed


def decode(frame: bytes) -> Letter:
    """The message of some bytes; WireError names the field that is wrong."""
    try:
        values = msgpack.unpackb(frame, max_map_len=0, max_ext_len=0)
    except (ValueError, RecursionError) as error:
        raise WireError("frame", f"not msgpack: {error}") from None
    if not isinstance(values, list) or len(values) < 7:
        raise WireError("frame", "an array with an envelope of 7 fields")
    version, mesh_id, kind, peer, incarnation, boot, to = values[:7]
    if version != VERSION:
        raise WireError("version", f"{VERSION} is spoken here")
    sender = Sender(
        _binary(mesh_id, "mesh_id", 16), _int(peer, "from"), _binary(incarnation, "incarnation", 16),
        _int(boot, "boot"), _int(to, "to"),
    )  # fmt: skip
    decoder = _DECODERS.get(kind) if _is_int(kind) else None
    if decoder is None:
        raise WireError("kind", f"one of {sorted(_DECODERS)}")
    count, make = decoder
    if len(values) != 7 + count:
        raise WireError("frame", f"{count} fields in a message of kind {kind}")
    return Letter(sender, make(values[7:]))


# ------------------------------------------------------------ the kinds


def _entry_fields(entry: Entry) -> list[Any]:
    origin = entry.origin
    if origin is None:
        return [entry.term, entry.kind, None, b"", 0, b"", entry.body]
    return [entry.term, entry.kind, origin.client, origin.epoch, origin.seq, origin.digest, entry.body]


def _entry(before: Place, values: Any) -> Entry:
    if not isinstance(values, list) or len(values) != 7:
        raise WireError("entry", "an array of 7 fields")
    term, kind, client, epoch, seq, digest, body = values
    if not _is_int(kind) or kind not in KINDS:
        raise WireError("entry.kind", f"one of {KINDS}")
    origin = None
    if client is not None:
        if not isinstance(client, str) or not 0 < len(client) <= CLIENT_CHARS_MAX:
            raise WireError("entry.client", f"text of 1 to {CLIENT_CHARS_MAX} characters, or nil")
        origin = Origin(
            client, _binary(epoch, "entry.epoch", 16), _int(seq, "entry.seq"), _binary(digest, "entry.digest", 16)
        )
    if not isinstance(body, bytes):
        raise WireError("entry.body", "bytes")
    return chained(before, _int(term, "entry.term"), kind, origin, body)


def _append_request(values: list[Any]) -> AppendRequest:
    term, index, prev_term, chain, commit, number, rows = values
    prev = Place(_int(index, "prev.index"), _int(prev_term, "prev.term"), _binary(chain, "prev.chain", CHAIN_BYTES))
    if not isinstance(rows, list):
        raise WireError("entries", "an array")
    entries: list[Entry] = []
    before = prev
    for row in rows:
        entry = _entry(before, row)
        entries.append(entry)
        before = Place(entry.index, entry.term, entry.chain)
    return AppendRequest(_int(term, "term"), prev, tuple(entries), _int(commit, "commit"), _int(number, "round"))


def _vote_request(values: list[Any]) -> VoteRequest:
    term, last_index, last_term, pre, hand_over = values
    last = Place(_int(last_index, "last.index"), _int(last_term, "last.term"), b"")
    return VoteRequest(_int(term, "term"), last, _bool(pre, "pre"), _bool(hand_over, "hand_over"))


def _heartbeat(values: list[Any]) -> Heartbeat:
    term, role, leader, commit, applied, durable, last, fsync_age, quorum_age, hears, willing, state_hash = values
    if not _is_int(role) or not 0 <= role < len(ROLES):
        raise WireError("role", f"0 to {len(ROLES) - 1}")
    if not isinstance(hears, list) or len(hears) > 64:
        raise WireError("hears", "an array of at most 64 peers")
    return Heartbeat(
        term=_int(term, "term"),
        role=ROLES[role],
        leader=_int(leader, "leader"),
        commit=_int(commit, "commit"),
        applied=_int(applied, "applied"),
        durable=_int(durable, "durable"),
        last=_int(last, "last"),
        fsync_age_ms=_int(fsync_age, "fsync_age_ms"),
        quorum_age_ms=_int(quorum_age, "quorum_age_ms"),
        hears=tuple(_int(peer, "hears") for peer in hears),
        willing=_bool(willing, "willing"),
        state_hash=_binary(state_hash, "state_hash", 16),
    )


_ENCODERS: dict[type, tuple[int, Callable[[Any], list[Any]]]] = {
    Heartbeat: (0, lambda m: [m.term, ROLES.index(m.role), m.leader, m.commit, m.applied, m.durable, m.last,
                              m.fsync_age_ms, m.quorum_age_ms, list(m.hears), m.willing, m.state_hash]),
    VoteRequest: (1, lambda m: [m.term, m.last.index, m.last.term, m.pre, m.hand_over]),
    VoteReply: (2, lambda m: [m.term, m.pre, m.granted]),
    AppendRequest: (3, lambda m: [m.term, m.prev.index, m.prev.term, m.prev.chain, m.commit, m.round,
                                  [_entry_fields(entry) for entry in m.entries]]),
    AppendReply: (4, lambda m: [m.term, m.accepted, m.match, m.round]),
    TimeoutNow: (5, lambda m: [m.term]),
}  # fmt: skip

_DECODERS: dict[int, tuple[int, Callable[[list[Any]], Message | Heartbeat]]] = {
    0: (12, _heartbeat),
    1: (5, _vote_request),
    2: (3, lambda v: VoteReply(_int(v[0], "term"), _bool(v[1], "pre"), _bool(v[2], "granted"))),
    3: (7, _append_request),
    4: (
        4,
        lambda v: AppendReply(_int(v[0], "term"), _bool(v[1], "accepted"), _int(v[2], "match"), _int(v[3], "round")),
    ),
    5: (1, lambda v: TimeoutNow(_int(v[0], "term"))),
}


def _is_int(value: Any) -> bool:
    return type(value) is int


def _int(value: Any, field: str) -> int:
    if type(value) is not int or not 0 <= value <= U63:
        raise WireError(field, "a whole number from 0")
    return value


def _bool(value: Any, field: str) -> bool:
    if type(value) is not bool:
        raise WireError(field, "true or false")
    return value


def _binary(value: Any, field: str, length: int) -> bytes:
    if type(value) is not bytes or len(value) != length:
        raise WireError(field, f"{length} bytes")
    return value
