"""The core's contract: events in, effects out.

Touches nothing. The shell carries the effects of one step out in their order, with two freedoms: it may gather the
Persist and Apply effects of several steps into one transaction (keeping their order), and it may send before it syncs,
because a message that promises durability is not even returned before Persisted(token) has come back.

    shell                                   core
      | -- Received / Propose / Tick --------> |
      | <------- Send, Persist(7), Apply ----- |
      | one transaction, one fsync             |
      | -- Persisted(7), Applied(41) --------> |
      | <------- Send(AppendReply), Reply ---- |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hfzmq.core.membership import Membership
from hfzmq.core.messages import Heartbeat, Message
from hfzmq.core.sessions import Session, SessionKey
from hfzmq.core.types import Entry, HardState, Origin, Place

FOLLOWER, PRECANDIDATE, CANDIDATE, LEADER = "follower", "precandidate", "candidate", "leader"

Route = Any
"""How the shell finds the client again; opaque to the core."""


# ------------------------------------------------------------ events in


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed. Due no later than ``Replica.wake_at_ms``."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message from another peer of the mesh; ``incarnation`` (16 bytes) is the life of its disk, ``boot`` that of its
    process: it rises with each start."""

    sender: int
    message: Message
    incarnation: bytes = b""
    boot: int = 0


@dataclass(frozen=True, slots=True)
class Heard:
    """A heartbeat from another peer of the mesh."""

    sender: int
    heartbeat: Heartbeat
    incarnation: bytes = b""
    boot: int = 0


@dataclass(frozen=True, slots=True)
class Proposal:
    """A client's request to store ``body``; answered by one Reply to ``route``, or superseded by its own retry."""

    route: Route
    origin: Origin
    body: bytes


@dataclass(frozen=True, slots=True)
class Propose:
    """All requests of one turn, in the order of their arrival."""

    proposals: tuple[Proposal, ...]


@dataclass(frozen=True, slots=True)
class ReadIndex:
    """A consistent read: answered once a quorum round has shown that this peer still leads."""

    route: Route


@dataclass(frozen=True, slots=True)
class Persisted:
    """All Persist effects up to ``token`` are on synced storage."""

    token: int


@dataclass(frozen=True, slots=True)
class Applied:
    """All Apply effects up to ``index`` are in the tables; ``state_hash`` is the state's hash there. Until something
    else is synced, or a Publish goes out, a power cut may take the last of them back: they follow from the log."""

    index: int
    state_hash: bytes


@dataclass(frozen=True, slots=True)
class Resign:
    """This process is about to stop: give the lead away, do not campaign again."""


ADD, REMOVE, TRANSFER = "add", "remove", "transfer"


@dataclass(frozen=True, slots=True)
class Change:
    """An operator wants a peer added (it must be asking to join), removed, or given the lead. One Reply: ACK once it
    has committed (a transfer: once it has begun), REFUSED with ``why``, or NOT_LEADER, NO_QUORUM, BUSY: ask again."""

    route: Route
    action: str
    peer: int


@dataclass(frozen=True, slots=True)
class Installed:
    """A snapshot has taken the place of the log and the tables, on synced storage; see ``Replica.wants``."""

    place: Place
    membership: Membership
    sessions: Mapping[SessionKey, Session]
    state_hash: bytes


Event = Tick | Received | Heard | Propose | ReadIndex | Change | Persisted | Applied | Installed | Resign


# ------------------------------------------------------------ effects out


@dataclass(frozen=True, slots=True)
class Send:
    """To one peer; may be lost."""

    to: int
    message: Message


@dataclass(frozen=True, slots=True)
class Publish:
    """To every peer; may be lost."""

    heartbeat: Heartbeat


@dataclass(frozen=True, slots=True)
class Persist:
    """Write, in this order: the hard state (when not None), drop the log from ``truncate_from`` on (when not None), add
    ``entries``; then sync. Empty: a probe, write something and sync. Answer with Persisted(token)."""

    token: int
    hard_state: HardState | None
    truncate_from: int | None
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Apply:
    """Bring committed entries to the tables, in one transaction with the applied index and the sessions.

    ``fresh[i]`` is False for an entry that repeats what is stored: nothing but the applied index moves for it.
    Answer with Applied(last index)."""

    entries: tuple[Entry, ...]
    fresh: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Compact:
    """Drop the log up to ``place``, which is applied; ``membership`` is the one that was in force there. Written with
    whatever else is; nothing is answered."""

    place: Place
    membership: Membership


@dataclass(frozen=True, slots=True)
class Fetch:
    """Pull a snapshot from ``source``, whose log no longer reaches back to this peer's. Said again as long as it is
    needed; answer with Installed, if ``Replica.wants`` it by then and nothing is being written."""

    source: int


@dataclass(frozen=True, slots=True)
class Reconfigured:
    """Other members, or other addresses, than before: whom to connect to."""

    membership: Membership


@dataclass(frozen=True, slots=True)
class Halt:
    """This process must stop. ``distrusted``: its disk holds something else than the mesh; it must come back under a
    new incarnation."""

    why: str
    distrusted: bool


ACK, NOT_LEADER, NO_QUORUM, BUSY, CONFLICT, GAP, READ, REFUSED = (
    "ACK",
    "NOT_LEADER",
    "NO_QUORUM",
    "BUSY",
    "CONFLICT",
    "GAP",
    "READ",
    "REFUSED",
)


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request.

    ACK: stored at (term, index). NOT_LEADER: ``leader`` may know better (0: nobody known). NO_QUORUM: this peer
    cannot serve. BUSY: ask again after ``retry_ms``. CONFLICT: the same seq with another digest is stored. GAP:
    ``expected`` is the next seq. READ: everything up to ``index`` is applied here and nobody else led meanwhile.
    REFUSED: a change of members that cannot be, ``why`` says what to do.
    """

    route: Route
    status: str
    seq: int = 0
    term: int = 0
    index: int = 0
    leader: int = 0
    retry_ms: int = 0
    expected: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Became:
    """The role, term or known leader changed, and why: one journal line, one dashboard line."""

    role: str
    term: int
    leader: int
    why: str


Effect = Send | Publish | Persist | Apply | Compact | Fetch | Reply | Reconfigured | Halt | Became
