"""Who counts: the members of the mesh, as the log says, and their history along it.

Touches nothing. Must not know: who leads, what is in flight. Keeps (I7): two memberships that follow each other differ
by one voter at most, so their majorities share a peer; a member is one *incarnation* of a peer, so that whoever has
lost its disk is another, who counts for nothing until the log names it; a removed incarnation is never a member again,
as long as it is remembered (REMOVED_KEPT).

    bootstrap (nobody's incarnation is known) --founded--> bound --add, promote, remove, replace--> bound
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from hfzmq.core.types import CONFIG, Entry
from hfzmq.settings import PeerAddress

MEMBERS_MAX = 64
REMOVED_KEPT = 1_000  # an entry carries them all, 40 bytes each; who was removed before that many others is a stranger


@dataclass(frozen=True, slots=True)
class Member:
    """One peer of the mesh. ``incarnation``: 16 bytes; None for a first peer whose mesh is yet to be founded.
    ``votes``: False for a learner, which is sent the log and counts for nothing. ``joined``: it came later; where
    the first are, each peer's own file says."""

    address: PeerAddress
    incarnation: bytes | None
    votes: bool = True
    joined: bool = False

    @property
    def peer(self) -> int:
        """Its id, also its priority: the lowest leads."""
        return self.address.id


@dataclass(frozen=True)
class Membership:
    """Who counts from ``index`` of the log on (0: the bootstrap). ``members`` rise by id; ``removed`` are the (peer,
    incarnation) that left, the newest last, REMOVED_KEPT of them. In force as soon as its entry is in the log,
    committed or not."""

    index: int
    members: tuple[Member, ...]
    removed: tuple[tuple[int, bytes], ...] = ()
    voters: tuple[int, ...] = field(init=False, repr=False, compare=False)
    learners: tuple[int, ...] = field(init=False, repr=False, compare=False)
    founded: bool = field(init=False, repr=False, compare=False)
    founders: bytes = field(init=False, repr=False, compare=False)  # what first peers must agree on; b"" once founded
    _by_id: dict[int, Member] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Count once, for this is asked at every message."""
        object.__setattr__(self, "voters", tuple(one.peer for one in self.members if one.votes))
        object.__setattr__(self, "learners", tuple(one.peer for one in self.members if not one.votes))
        object.__setattr__(self, "founded", all(one.incarnation is not None for one in self.members))
        ids = ",".join(str(one.peer) for one in self.members)
        digest = b"" if self.founded else hashlib.blake2b(ids.encode(), digest_size=16).digest()
        object.__setattr__(self, "founders", digest)
        object.__setattr__(self, "_by_id", {one.peer: one for one in self.members})

    @property
    def majority(self) -> int:
        """How many voters make a quorum. Before the mesh is founded all first peers must agree: one that has lost its
        disk looks just like one that never had any."""
        return len(self.voters) // 2 + 1 if self.founded else len(self.voters)

    def of(self, peer: int) -> Member | None:
        """The member with this id."""
        return self._by_id.get(peer)

    def counts(self, peer: int, incarnation: bytes) -> bool:
        """Whether this life of a peer is a member, voter or learner."""
        member = self.of(peer)
        return member is not None and member.incarnation in (None, incarnation)

    # ------------------------------------------------------------ changes, each a step of one voter at most

    def bound(self, incarnations: dict[int, bytes]) -> Membership:
        """Founded: every first peer with the incarnation that it has."""
        return replace(self, members=tuple(replace(one, incarnation=incarnations[one.peer]) for one in self.members))

    def with_learner(self, member: Member) -> Membership:
        """A new member that does not vote yet; another incarnation of the same peer is removed with the same step."""
        members = [one for one in self.members if one.peer != member.peer] + [replace(member, votes=False, joined=True)]
        return Membership(0, tuple(sorted(members, key=lambda one: one.peer)), self._removed_with(member.peer))

    def with_voter(self, peer: int) -> Membership:
        """A learner that has caught up votes."""
        members = tuple(replace(one, votes=True) if one.peer == peer else one for one in self.members)
        return Membership(0, members, self.removed)

    def without(self, peer: int) -> Membership:
        """A member leaves."""
        return Membership(0, tuple(one for one in self.members if one.peer != peer), self._removed_with(peer))

    def _removed_with(self, peer: int) -> tuple[tuple[int, bytes], ...]:
        """Whoever was removed, and the present life of ``peer`` where it has one."""
        old = self.of(peer)
        if old is None or old.incarnation is None:
            return self.removed
        removed = [*self.removed, (old.peer, old.incarnation)]
        if (
            len(removed) > REMOVED_KEPT
        ):  # of a peer that makes a new life with each start the oldest goes, not another's
            lives = Counter(one for one, _ in removed)
            most = max(lives, key=lambda one: (lives[one], one))
            removed.remove(next(life for life in removed if life[0] == most))
        return tuple(removed)


def bootstrap(addresses: Iterable[PeerAddress]) -> Membership:
    """The first peers, as peers.yaml lists them."""
    ordered = sorted(addresses, key=lambda one: one.id)
    return Membership(0, tuple(Member(address, None) for address in ordered))


# ------------------------------------------------------------ as the body of an entry


def encode(membership: Membership) -> bytes:
    """The body of a CONFIG entry: JSON, equal bytes for equal members. The index is the entry's."""
    members = [
        [*one.address, None if one.incarnation is None else one.incarnation.hex(), one.votes, one.joined]
        for one in membership.members
    ]
    removed = [[peer, incarnation.hex()] for peer, incarnation in membership.removed]
    return json.dumps({"members": members, "removed": removed}, separators=(",", ":"), sort_keys=True).encode()


def decode(index: int, body: bytes) -> Membership:
    """The members of a CONFIG entry; ValueError for anything else."""
    try:
        told = json.loads(body)
        members = tuple(_member(row) for row in told["members"])
        removed = tuple((_whole(peer), bytes.fromhex(incarnation)) for peer, incarnation in told["removed"])
    except (KeyError, TypeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"not a list of members: {error}") from None
    ids = [one.peer for one in members]
    if ids != sorted(set(ids)) or not any(one.votes for one in members) or len(ids) > MEMBERS_MAX:
        raise ValueError(f"1 to {MEMBERS_MAX} members with rising ids, one of them a voter")
    return Membership(index, members, removed)


def _member(row: Any) -> Member:
    peer, host, client_port, peer_port, beat_port, incarnation, votes, joined = row
    if type(host) is not str or type(votes) is not bool or type(joined) is not bool:
        raise ValueError("a member is [id, host, three ports, incarnation, votes, joined]")
    address = PeerAddress(_whole(peer), host, _whole(client_port), _whole(peer_port), _whole(beat_port))
    return Member(address, None if incarnation is None else bytes.fromhex(incarnation), votes, joined)


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("a whole number from 0")
    return value


# ------------------------------------------------------------ along the log


class Members:
    """The membership in force, and those it would go back to if entries were dropped. One object a peer: whoever asks
    for ``now`` gets the newest."""

    def __init__(self, base: Membership, tail: Iterable[Entry] = ()) -> None:
        self._history = [base]
        self.now = base
        self.add(tail)

    def add(self, entries: Iterable[Entry]) -> bool:
        """These were appended; True when one of them changes the members."""
        changes = [decode(entry.index, entry.body) for entry in entries if entry.kind == CONFIG]
        self._history += changes
        self.now = self._history[-1]
        return bool(changes)

    def drop_from(self, index: int) -> bool:
        """The entries from ``index`` on were dropped; True when that changes the members."""
        before = self.now
        while len(self._history) > 1 and self._history[-1].index >= index:
            self._history.pop()
        self.now = self._history[-1]
        return self.now is not before

    def at(self, index: int) -> Membership:
        """The membership that the log up to ``index`` says."""
        return next(one for one in reversed(self._history) if one.index <= index)

    def forget_below(self, index: int) -> None:
        """The log is compacted up to ``index``: what was in force there is the oldest that is kept."""
        while len(self._history) > 1 and self._history[1].index <= index:
            self._history.pop(0)

    def reset(self, base: Membership) -> None:
        """A snapshot took the place of everything."""
        self._history = [base]
        self.now = base
