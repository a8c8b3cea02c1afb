"""The members of the mesh as clients are told them: who there is, where, and who waits to be let in.

Touches nothing. Must not know: sockets, who leads, why somebody asks. Keeps: a Told that exists can be connected to
(ids, hosts and ports are within their bounds, each id once, at least one member); anything else raises WireError.

    Membership --told--> keys of an answer --read--> Told          Told --remember--> bytes --recall--> Told
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from hfzmq.access import is_key
from hfzmq.config import PEER_ID_MAX, Config, PeerAddress
from hfzmq.core.membership import MEMBERS_MAX, Member, Membership
from hfzmq.errors import WireError
from hfzmq.wire.fields import pack, reply_map

VOTER, LEARNER = "voter", "learner"
INDEX_MAX = (1 << 63) - 1
HOST_CHARS_MAX = 253
ASKING_MAX = 64
KEYS_MAX = 256
REACHED = "reached"  # beside an answer to ``status``: (id, host, port) that was asked; put there by whoever asked


class ToldMember(NamedTuple):
    """A member: its id, host, three ports; ``incarnation``: hex, '' while its mesh is not founded; ``role``: VOTER or
    LEARNER."""

    id: int
    host: str
    client_port: int
    peer_port: int
    beat_port: int
    incarnation: str
    role: str


class Asking(NamedTuple):
    """A peer that would like to be a member: where its clients' port is, its ``incarnation`` (hex), and how many
    seconds ago it last asked."""

    id: int
    host: str
    client_port: int
    incarnation: str
    since_s: float


@dataclass(frozen=True, slots=True)
class Told:
    """What one peer says about the members. ``index``: of the log entry that made them so, 0 for the first peers;
    ``founded``: the mesh has begun (all first peers were up together once); ``keys``: (peer, the public key it serves
    with) of those who have one; ``reached``: (peer, the host:port that is told of it) of those whose address here
    is the one at which they have answered."""

    index: int
    members: tuple[ToldMember, ...]
    asking: tuple[Asking, ...] = ()
    founded: bool = True
    keys: tuple[tuple[int, str], ...] = ()
    reached: tuple[tuple[int, str], ...] = ()

    @property
    def voters(self) -> tuple[int, ...]:
        """The ids that a quorum is counted of."""
        return tuple(member.id for member in self.members if member.role == VOTER)

    def of(self, peer: int) -> ToldMember | None:
        """The member with this id."""
        return next((member for member in self.members if member.id == peer), None)

    def asks(self, peer: int) -> Asking | None:
        """Whoever asks to join under this id."""
        return next((one for one in self.asking if one.id == peer), None)


# ------------------------------------------------------------ the daemon's half


def told(
    membership: Membership,
    asking: Iterable[tuple[Member, float]] = (),
    where: Callable[[Member], PeerAddress] = lambda member: member.address,
) -> dict[str, object]:
    """The keys ``members``, ``asking`` and ``founded`` of an answer; with each who asks: how many seconds ago.
    ``where``: a member is."""
    members = [
        [*where(one), one.incarnation.hex() if one.incarnation else "", VOTER if one.votes else LEARNER]
        for one in membership.members
    ]
    waiting = [
        [
            one.address.id,
            one.address.host,
            one.address.client_port,
            one.incarnation.hex() if one.incarnation else "",
            round(float(since_s), 1),
        ]
        for one, since_s in asking
    ]
    return {"members": members, "asking": waiting[:ASKING_MAX], "founded": membership.founded}


def told_keys(keys: Mapping[int, str]) -> dict[str, object]:
    """The key ``peer_keys`` of an answer, where the mesh has keys."""
    return {"peer_keys": [[peer, key] for peer, key in sorted(keys.items())]}


# ------------------------------------------------------------ the client's half


def read(said: Mapping[str, Any]) -> Told:
    """What an answer to ``members`` says, or the ``peer`` map of a ``status``; WireError names the wrong key."""
    index = said["members_index"] if "members_index" in said else said.get("index")
    if type(index) is not int or not 0 <= index <= INDEX_MAX:
        raise WireError("members_index", "a whole number from 0")
    members = tuple(sorted(_member(row) for row in _rows(said, "members", MEMBERS_MAX)))
    if not members or len({member.id for member in members}) != len(members):
        raise WireError("members", f"1 to {MEMBERS_MAX} members, each id once")
    asking = tuple(sorted(_asking(row) for row in _rows(said, "asking", ASKING_MAX)))
    founded = said.get("founded")
    if type(founded) is not bool:
        raise WireError("founded", "true or false")
    return Told(index, members, asking, founded, _keys(said))


def remember(known: Told) -> bytes:
    """As bytes, to be kept over the life of a client; who asks is not kept."""
    rows = [list(member) for member in known.members]
    told: dict[str, object] = {"index": known.index, "members": rows, "asking": [], "founded": known.founded}
    return pack({**told, **(told_keys(dict(known.keys)) if known.keys else {})})


def recall(data: bytes) -> Told:
    """What ``remember`` made; WireError for any other bytes."""
    return read(reply_map(data))


# ------------------------------------------------------------ several peers' words


def told_by(answer: Mapping[str, Any] | None) -> Told | None:
    """The list in an answer to ``status`` or ``members``; None when there is none that can be used."""
    said = (answer or {}).get("peer", answer)
    if not isinstance(said, Mapping) or "members" not in said:
        return None
    try:
        return read(said)
    except WireError:
        return None


def newest(answers: Iterable[Mapping[str, Any] | None]) -> Told | None:
    """The newest list in ``answers``; None when there is none. Of the founded ones, where there are any: a peer that
    has lost its disk tells of the mesh's first day. Of lists as new, that of whoever has applied most: it knows the
    newest keys. Who asks to join is known to the leader alone, so whoever any of them named is taken over. A member
    that has answered is where it did: a first peer moves by the files alone, and some may still be the old ones. Not
    so where another disk has answered to its id."""
    answers = list(answers)
    found = [(told, _applied(answer)) for answer in answers if (told := told_by(answer)) is not None]
    best = max(found, key=lambda one: (one[0].founded, one[0].index, one[1]), default=None)
    if best is None:
        return None
    asking = {one.id: one for told, _ in found for one in told.asking}
    at = _reached(best[0], answers)
    there = [(one, *at.get(one.id, (one.host, one.client_port))) for one in best[0].members]
    here = tuple(one._replace(host=host, client_port=port) for one, host, port in there)
    waiting = tuple(asking[peer] for peer in sorted(asking))
    reached = tuple((one.id, f"{one.host}:{one.client_port}") for one in best[0].members if one.id in at)
    return replace(best[0], members=here, asking=waiting, reached=reached)


def disk_of(answer: Mapping[str, Any] | None) -> str:
    """The incarnation (hex) of whoever answered a ``status``; '' where it did not say."""
    said = (answer or {}).get("peer")
    disk = said.get("incarnation") if isinstance(said, Mapping) else None
    return disk if isinstance(disk, str) else ""


def of_another_disk(told: Told | None, peer: int, answer: Mapping[str, Any] | None) -> bool:
    """Whether whoever answered to the id of ``peer`` is not the member of that id: a second process, or a peer that
    came back with another disk. False where either has no incarnation to tell them apart by."""
    member, disk = told.of(peer) if told is not None and told.founded else None, disk_of(answer)
    return member is not None and bool(member.incarnation and disk) and member.incarnation != disk


def _reached(told: Told, answers: Iterable[Mapping[str, Any] | None]) -> dict[int, tuple[str, int]]:
    """Where each peer was asked that has answered to its id, and is the one that ``told`` has."""
    found = {}
    for answer in answers:
        place, said = (answer or {}).get(REACHED), (answer or {}).get("peer")
        if not isinstance(place, tuple) or not isinstance(said, Mapping) or said.get("id") != place[0]:
            continue
        if not of_another_disk(told, place[0], answer):
            found[place[0]] = place[1:]
    return found


def _applied(answer: Mapping[str, Any] | None) -> int:
    said = (answer or {}).get("peer")
    applied = said.get("applied_index") if isinstance(said, Mapping) else None
    return applied if type(applied) is int else 0


def with_members(config: Config, known: Told | None) -> Config:
    """``config`` with the members and those who ask to join. Each is where it has answered; else where ``config`` says,
    for whoever is asked next tells where the mesh has it; else where the mesh says."""
    if known is None:
        return config
    peers = {peer.id: peer for peer in config.peers}
    for one in known.asking:
        peers.setdefault(one.id, PeerAddress(one.id, one.host, one.client_port, 0, 0))
    reached = dict(known.reached)
    for member in known.members:
        if member.id in reached or member.id not in config.peer_ids:
            peers[member.id] = PeerAddress(*member[:5])
    keys = config.keys.knowing(dict(known.keys)) if config.keys else None
    return config._replace(peers=tuple(sorted(peers.values())), keys=keys)


# ------------------------------------------------------------ the parts


def _rows(said: Mapping[str, Any], key: str, most: int) -> list[Any]:
    rows = said.get(key)
    if not isinstance(rows, list) or len(rows) > most:
        raise WireError(key, f"an array of at most {most}")
    return rows


def _keys(said: Mapping[str, Any]) -> tuple[tuple[int, str], ...]:
    if "peer_keys" not in said:
        return ()
    found = []
    for row in _rows(said, "peer_keys", KEYS_MAX):
        if not isinstance(row, list) or len(row) != 2 or type(row[0]) is not int or not is_key(row[1]):
            raise WireError("peer_keys", "each an array of id and key")
        found.append((row[0], row[1]))
    return tuple(found)


def _member(row: Any) -> ToldMember:
    if not isinstance(row, list) or len(row) != len(ToldMember._fields):
        raise WireError("members", "each an array of " + ", ".join(ToldMember._fields))
    peer, host, *ports, incarnation, role = row
    _check_address("members", peer, host, ports, incarnation)
    if role not in (VOTER, LEARNER):
        raise WireError("members", f"{VOTER} or {LEARNER}")
    return ToldMember(*row)


def _asking(row: Any) -> Asking:
    if not isinstance(row, list) or len(row) != len(Asking._fields):
        raise WireError("asking", "each an array of " + ", ".join(Asking._fields))
    peer, host, port, incarnation, since_s = row
    _check_address("asking", peer, host, [port], incarnation)
    if type(since_s) not in (int, float) or not 0 <= since_s < 1e12:
        raise WireError("asking", "seconds from 0")
    return Asking(*row)


def _check_address(key: str, peer: Any, host: Any, ports: list[Any], incarnation: Any) -> None:
    if type(peer) is not int or not 1 <= peer <= PEER_ID_MAX:
        raise WireError(key, f"ids of 1 to {PEER_ID_MAX}")
    if not isinstance(host, str) or not 1 <= len(host) <= HOST_CHARS_MAX or not host.isprintable() or " " in host:
        raise WireError(key, f"a host of 1 to {HOST_CHARS_MAX} printable characters")
    if any(type(port) is not int or not 1 <= port <= 65_535 for port in ports):
        raise WireError(key, "ports of 1 to 65535")
    if not isinstance(incarnation, str) or len(incarnation) > 64 or set(incarnation) - set("0123456789abcdef"):
        raise WireError(key, "an incarnation in hex")
