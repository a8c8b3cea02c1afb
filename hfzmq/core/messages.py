"""What peers say to each other. Messages come in pairs; every one is harmless when late, doubled or reordered.

Touches nothing. The bytes are made in ``hfzmq.wire``; who sent a message, and from which life, is checked there and in
the daemon before the core sees it.
"""

from __future__ import annotations

from dataclasses import dataclass

from hfzmq.core.membership import Member
from hfzmq.core.types import Entry, Place


@dataclass(frozen=True, slots=True)
class VoteRequest:
    """May I lead ``term``? ``pre``: only asking, nothing changes. ``hand_over``: the leader of term - 1 told me to.
    ``founders``: from who would found a mesh, the hash (16 bytes) of its first peers' ids; else b"". ``asked_ms``: when
    the round of pre-votes began, by the asker's own clock."""

    term: int
    last: Place
    pre: bool
    hand_over: bool
    founders: bytes = b""
    asked_ms: int = 0


@dataclass(frozen=True, slots=True)
class VoteReply:
    """``term`` is the asked one where granted, the voter's own where refused. A grant of a real vote is durable. It
    is for one incarnation of the ``candidate`` alone: its next life may campaign in the same term again. ``asked_ms``
    is that of the request: what somebody would have done in an earlier round says nothing about this one."""

    term: int
    pre: bool
    granted: bool
    candidate: bytes = b""
    asked_ms: int = 0


@dataclass(frozen=True, slots=True)
class AppendRequest:
    """Put ``entries`` after ``prev``. ``round`` numbers the leader's sends; ``commit`` is the leader's own."""

    term: int
    prev: Place
    entries: tuple[Entry, ...]
    commit: int
    round: int


@dataclass(frozen=True, slots=True)
class AppendReply:
    """``accepted``: everything up to ``match`` equals the leader's log and is durable here. Refused: ``match`` is the
    highest index at which the two may still agree."""

    term: int
    accepted: bool
    match: int
    round: int


@dataclass(frozen=True, slots=True)
class TimeoutNow:
    """From the leader of ``term`` to the peer it hands over to: campaign at once, in term + 1."""

    term: int


@dataclass(frozen=True, slots=True)
class SnapshotOffer:
    """Instead of an append, to a peer that needs what the leader of ``term`` has compacted: pull a snapshot from me.
    Answered like a refused append."""

    term: int
    round: int


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """``member`` (its id, addresses and new incarnation) is no member of the mesh, and would like to be."""

    member: Member


@dataclass(frozen=True, slots=True)
class Expelled:
    """This ``incarnation`` of yours was removed from the mesh. ``index``: of the committed entry that says who the
    members are now."""

    incarnation: bytes
    index: int


@dataclass(frozen=True, slots=True)
class Disowned:
    """The process of this ``incarnation`` and ``boot`` has forgotten what an earlier one has shown to have (an old disk
    was put back), or another one goes on in its name: it must not count."""

    incarnation: bytes
    boot: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What every peer publishes about itself. Hints, not facts: no rule of safety uses them.

    Ages in milliseconds: ``fsync_age_ms`` since the last finished sync (a leader probes its disk when idle),
    ``quorum_age_ms`` since the last quorum round (leaders), ``leader_age_ms`` since it last heard its leader.
    ``hears``: the peers it has heard within a lease. ``willing``: it may be given the lead (not draining).
    """

    term: int
    role: str
    leader: int
    commit: int
    applied: int
    durable: int
    last: int
    fsync_age_ms: int
    quorum_age_ms: int
    hears: tuple[int, ...]
    willing: bool
    state_hash: bytes


Message = (
    VoteRequest
    | VoteReply
    | AppendRequest
    | AppendReply
    | TimeoutNow
    | SnapshotOffer
    | JoinRequest
    | Expelled
    | Disowned
)
