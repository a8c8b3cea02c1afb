"""What peers say to each other, as bytes: the second half of docs/protocol.md.

Touches nothing. Must not know: sockets, who leads. Every message (those that carry a snapshot: transfer.py; hints of
beds: hints.py) is one msgpack array of fixed order:

    [version, mesh_id, kind, from, incarnation, boot, to, history, ...the message's own fields]

Keeps: ``decode`` returns a whole, typed message or raises WireError, whatever the bytes. Entries travel without their
chain: the receiver computes it from the chain of ``prev``, so that a chain always speaks of the bytes that came in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgpack

from hfzmq.config import PEER_ID_MAX, PeerAddress
from hfzmq.core import membership
from hfzmq.core.contract import CANDIDATE, FOLLOWER, LEADER, PRECANDIDATE
from hfzmq.core.messages import (
    AppendReply,
    AppendRequest,
    Disowned,
    Expelled,
    Heartbeat,
    JoinRequest,
    Message,
    SnapshotOffer,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from hfzmq.core.types import CHAIN_BYTES, CONFIG, KINDS, Entry, Origin, Place, chained
from hfzmq.errors import WireError
from hfzmq.wire import hints, transfer
from hfzmq.wire.checks import binary, boolean, integer, is_int
from hfzmq.wire.hints import Hints
from hfzmq.wire.requests import CLIENT_CHARS_MAX
from hfzmq.wire.transfer import Chunk, Pull
from hfzmq.yaml_reader import is_host

VERSION = 1
ENVELOPE = 8  # fields
HISTORY_BYTES = 16
BYTES_AN_ARRAY = 8  # the shortest entry takes 11
ARRAYS_AT_LEAST = 16
ROLES = (FOLLOWER, PRECANDIDATE, CANDIDATE, LEADER)


@dataclass(frozen=True, slots=True)
class Introduction:
    """Where the sender is: a voter that is behind, and has not heard of it yet, could not answer it otherwise."""

    address: PeerAddress


Content = Message | Heartbeat | Pull | Chunk | Introduction | Hints


@dataclass(frozen=True, slots=True)
class Sender:
    """Which life of which peer of which mesh speaks, and to whom (0: to all). ``history``: which beginning of the mesh
    its data goes back to, 16 bytes; b"" while it holds none."""

    mesh_id: bytes
    peer: int
    incarnation: bytes
    boot: int
    to: int
    history: bytes = b""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message with its envelope."""

    sender: Sender
    content: Content


def encode(sender: Sender, content: Content) -> bytes:
    """The bytes of a message."""
    kind, fields = _ENCODERS[type(content)]
    head = [VERSION, sender.mesh_id, kind, sender.peer, sender.incarnation, sender.boot, sender.to, sender.history]
    packed: bytes = msgpack.packb(head + fields(content))
    return packed


def decode(frame: bytes) -> Letter:
    """The message of some bytes; WireError names the field that is wrong."""
    try:
        values = msgpack.unpackb(frame, max_map_len=0, max_ext_len=0, list_hook=_counting(frame))
    except (ValueError, RecursionError) as error:
        raise WireError("frame", f"not msgpack: {error}") from None
    if not isinstance(values, list) or len(values) < ENVELOPE:
        raise WireError("frame", f"an array with an envelope of {ENVELOPE} fields")
    version, mesh_id, kind, peer, incarnation, boot, to, history = values[:ENVELOPE]
    if version != VERSION:
        raise WireError("version", f"{VERSION} is spoken here")
    sender = Sender(
        binary(mesh_id, "mesh_id", 16), integer(peer, "from"), binary(incarnation, "incarnation", 16),
        integer(boot, "boot"), integer(to, "to"), binary(history, "history", HISTORY_BYTES if history else 0),
    )  # fmt: skip
    decoder = _DECODERS.get(kind) if is_int(kind) else None
    if decoder is None:
        raise WireError("kind", f"one of {sorted(_DECODERS)}")
    count, make = decoder
    if len(values) != ENVELOPE + count:
        raise WireError("frame", f"{count} fields in a message of kind {kind}")
    return Letter(sender, make(values[ENVELOPE:]))


def _counting(frame: bytes) -> Callable[[list[Any]], list[Any]]:
    """Refuse more arrays than a message of so many bytes can need: 4 MiB of empty ones would be 256 MiB of lists."""
    left = ARRAYS_AT_LEAST + len(frame) // BYTES_AN_ARRAY

    def count(items: list[Any]) -> list[Any]:
        nonlocal left
        left -= 1
        if left < 0:
            raise WireError("frame", f"an array for {BYTES_AN_ARRAY} bytes at most")
        return items

    return count


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
    if not is_int(kind) or kind not in KINDS:
        raise WireError("entry.kind", f"one of {KINDS}")
    origin = None
    if client is not None:
        if not isinstance(client, str) or not 0 < len(client) <= CLIENT_CHARS_MAX:
            raise WireError("entry.client", f"text of 1 to {CLIENT_CHARS_MAX} characters, or nil")
        origin = Origin(
            client, binary(epoch, "entry.epoch", 16), integer(seq, "entry.seq"), binary(digest, "entry.digest", 16)
        )
    if not isinstance(body, bytes):
        raise WireError("entry.body", "bytes")
    entry = chained(before, integer(term, "entry.term"), kind, origin, body)
    if kind == CONFIG:
        _check_members(entry)
    return entry


def _check_members(entry: Entry) -> None:
    """What a change of members names must be somewhere one can connect to."""
    try:
        named = membership.decode(entry.index, entry.body)
    except ValueError as error:
        raise WireError("entry.body", f"the members of the mesh: {error}") from None
    for one in named.members:
        _check_address(*one.address)
        binary(one.incarnation, "entry.body.incarnation", 16)


def _check_address(peer: Any, host: Any, *ports: Any) -> PeerAddress:
    if not isinstance(host, str) or not is_host(host):
        raise WireError("host", "an IPv4 address or a host name")
    checked = [integer(port, "port", 65_535, 1) for port in ports]
    return PeerAddress(integer(peer, "id", PEER_ID_MAX, 1), host, *checked)


def _append_request(values: list[Any]) -> AppendRequest:
    term, index, prev_term, chain, commit, number, rows = values
    prev = Place(
        integer(index, "prev.index"), integer(prev_term, "prev.term"), binary(chain, "prev.chain", CHAIN_BYTES)
    )
    if not isinstance(rows, list):
        raise WireError("entries", "an array")
    entries: list[Entry] = []
    before = prev
    for row in rows:
        entry = _entry(before, row)
        entries.append(entry)
        before = Place(entry.index, entry.term, entry.chain)
    return AppendRequest(
        integer(term, "term"), prev, tuple(entries), integer(commit, "commit"), integer(number, "round")
    )


def _vote_request(values: list[Any]) -> VoteRequest:
    term, last_index, last_term, pre, hand_over, founders, asked_ms = values
    last = Place(integer(last_index, "last.index"), integer(last_term, "last.term"), b"")
    return VoteRequest(
        integer(term, "term"), last, boolean(pre, "pre"), boolean(hand_over, "hand_over"),
        binary(founders, "founders", 16 if founders else 0), integer(asked_ms, "asked_ms"),
    )  # fmt: skip


def _vote_reply(values: list[Any]) -> VoteReply:
    term, pre, granted, candidate, asked_ms = values
    return VoteReply(
        integer(term, "term"), boolean(pre, "pre"), boolean(granted, "granted"), binary(candidate, "candidate", 16),
        integer(asked_ms, "asked_ms"),
    )  # fmt: skip


def _heartbeat(values: list[Any]) -> Heartbeat:
    term, role, leader, commit, applied, durable, last, fsync_age, quorum_age, hears, willing, state_hash = values
    if not is_int(role) or not 0 <= role < len(ROLES):
        raise WireError("role", f"0 to {len(ROLES) - 1}")
    if not isinstance(hears, list) or len(hears) > 64:
        raise WireError("hears", "an array of at most 64 peers")
    return Heartbeat(
        term=integer(term, "term"),
        role=ROLES[role],
        leader=integer(leader, "leader"),
        commit=integer(commit, "commit"),
        applied=integer(applied, "applied"),
        durable=integer(durable, "durable"),
        last=integer(last, "last"),
        fsync_age_ms=integer(fsync_age, "fsync_age_ms"),
        quorum_age_ms=integer(quorum_age, "quorum_age_ms"),
        hears=tuple(integer(peer, "hears") for peer in hears),
        willing=boolean(willing, "willing"),
        state_hash=binary(state_hash, "state_hash", 16),
    )


def _join_request(values: list[Any]) -> JoinRequest:
    peer, host, client_port, peer_port, beat_port, incarnation = values
    address = _check_address(peer, host, client_port, peer_port, beat_port)
    return JoinRequest(membership.Member(address, binary(incarnation, "member", 16), votes=False))


_ENCODERS: dict[type, tuple[int, Callable[[Any], list[Any]]]] = {
    Heartbeat: (0, lambda m: [m.term, ROLES.index(m.role), m.leader, m.commit, m.applied, m.durable, m.last,
                              m.fsync_age_ms, m.quorum_age_ms, list(m.hears), m.willing, m.state_hash]),
    VoteRequest: (1, lambda m: [m.term, m.last.index, m.last.term, m.pre, m.hand_over, m.founders,
                              m.asked_ms]),
    VoteReply: (2, lambda m: [m.term, m.pre, m.granted, m.candidate, m.asked_ms]),
    AppendRequest: (3, lambda m: [m.term, m.prev.index, m.prev.term, m.prev.chain, m.commit, m.round,
                                  [_entry_fields(entry) for entry in m.entries]]),
    AppendReply: (4, lambda m: [m.term, m.accepted, m.match, m.round]),
    TimeoutNow: (5, lambda m: [m.term]),
    SnapshotOffer: (6, lambda m: [m.term, m.round]),
    JoinRequest: (7, lambda m: [*m.member.address, m.member.incarnation]),
    Expelled: (8, lambda m: [m.incarnation, m.index]),
    Disowned: (11, lambda m: [m.incarnation, m.boot]),
    Introduction: (12, lambda m: list(m.address)),
    **transfer.ENCODERS,
    **hints.ENCODERS,
}  # fmt: skip

_DECODERS: dict[int, tuple[int, Callable[[list[Any]], Content]]] = {
    0: (12, _heartbeat),
    1: (7, _vote_request),
    2: (5, _vote_reply),
    3: (7, _append_request),
    4: (
        4,
        lambda v: AppendReply(
            integer(v[0], "term"), boolean(v[1], "accepted"), integer(v[2], "match"), integer(v[3], "round")
        ),
    ),
    5: (1, lambda v: TimeoutNow(integer(v[0], "term"))),
    6: (2, lambda v: SnapshotOffer(integer(v[0], "term"), integer(v[1], "round"))),
    7: (6, _join_request),
    8: (2, lambda v: Expelled(binary(v[0], "expelled", 16), integer(v[1], "index"))),
    11: (2, lambda v: Disowned(binary(v[0], "disowned", 16), integer(v[1], "boot"))),
    12: (5, lambda v: Introduction(_check_address(*v))),
    **transfer.DECODERS,
    **hints.DECODERS,
}  # fmt: skip
