"""What the peers' own answers to ``status`` say together: who leads, who is behind, who is away, who differs.

Touches nothing: answers come in. Must not know: sockets, screens. Keeps: the leader is the peer that says it serves, in
the highest term; a peer without an answer is a row that says so; a value that a peer did not give is None, never zero.
Who is a member is what the newest list among the answers says, not peers.yaml; only members are counted. Whoever asks
to join, and whoever peers.yaml lists and the mesh does not, is a row all the same, and says so. Where answers belong to
two histories of the mesh (history_view.py), all this is about the one that goes on, and the other one is an alarm.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from hfzmq.cli.format import listed
from hfzmq.cli.history_view import Apart, histories, set_apart
from hfzmq.cli.peer_view import (
    ASKING,
    NO_ANSWER,
    NO_MEMBER,
    OTHER_HISTORY,
    REFUSES_MESH,
    PeerView,
    Row,
    found_elsewhere,
    peer_view,
)
from hfzmq.client.histories import apart
from hfzmq.client.key_faults import SHORT
from hfzmq.config import Config, PeerAddress
from hfzmq.errors import NoDaemonReached
from hfzmq.wire.members import LEARNER, VOTER, Told, disk_of, newest, told_by

HEARS_WITHIN_MS = 10_000  # a peer that runs for so long hears whomever it can hear


Misled = tuple[int, tuple[int, ...]]  # (peer, those that it knows by another key than they serve with)


class Mismatch(NamedTuple):
    """Peers that applied the same entries and hold different states: an alarm, and never normal."""

    applied_index: int
    hashes: tuple[tuple[int, str], ...]  # (peer id, state hash)

    def __str__(self) -> str:
        told = ", ".join(f"peer {peer_id} has {state[:12]}" for peer_id, state in self.hashes)
        return f"state differs at applied index {self.applied_index}: {told}"


class MeshView(NamedTuple):
    """The mesh as its peers tell it at one moment. ``leader`` and ``term`` are None when nobody answered or leads;
    ``asked_one``: only one peer was asked, and leader and quorum are what that one believes."""

    mesh: str
    leader: int | None
    term: int | None
    quorum: bool
    peers: tuple[PeerView, ...]
    mismatches: tuple[Mismatch, ...]
    asked_one: bool = False
    told: Told | None = None  # the newest list of members among the answers
    file: str = "peers.yaml"
    misled: tuple[Misled, ...] = ()

    @property
    def keyless(self) -> tuple[int, ...]:
        """The members that have no key in force, in a mesh that has keys: nobody lets them in."""
        told = self.told
        return tuple(one.id for one in told.members if one.id not in dict(told.keys)) if told and told.keys else ()

    @property
    def alarms(self) -> tuple[str, ...]:
        """What must be said loudly: two histories, peers whose states differ, that came back with other data, that do
        not trust their disk and are not voters again yet, or that hear others speak another version."""
        newcomers = {peer.id for peer in self.peers if peer.membership == ASKING and _has_just_begun(peer)}
        lost = _lost_disks(self.peers, newcomers | {one.id for one in self.misplaced})
        return (*map(str, self.histories), *self.states, *lost, *_amnesiacs(self.peers), *_versions(self.peers))

    @property
    def states(self) -> tuple[str, ...]:
        """Each pair of peers whose states differ: told in this moment, or seen by one of them before. On a ward that
        writes, two peers are seldom at the same entry when they are asked."""
        shown = {peer for mismatch in self.mismatches for peer, _ in mismatch.hashes}
        seen = [one for one in self.peers if one.reachable and one.differs and one.id not in shown]
        words = (f"peer {one.id} saw another state at {listed(one.differs)}" for one in seen)
        return (*map(str, self.mismatches), *words)

    @property
    def histories(self) -> tuple[Apart, ...]:
        """What is so, and what to do, for each history beside the one that goes on."""
        return tuple(histories(self.peers))

    @property
    def deaf(self) -> tuple[tuple[int, int], ...]:
        """(a, b): both answer and are members, neither has just begun, and a does not hear b's heartbeats."""
        there = [
            peer
            for peer in self.peers
            if peer.reachable and peer.membership in (VOTER, LEARNER) and (peer.uptime_ms or 0) >= HEARS_WITHIN_MS
        ]
        heard = {peer.id: {other for other, age_ms in peer.hears if age_ms < HEARS_WITHIN_MS} for peer in there}
        return tuple((a.id, b.id) for a in there for b in there if a.id != b.id and b.id not in heard[a.id])

    @property
    def replaced(self) -> tuple[int, ...]:
        """The voters that answer with another disk than the one that they voted with."""
        voters = self.told.voters if self.told is not None and self.told.founded else ()
        return tuple(one.id for one in self.peers if one.id in voters and one.reachable and one.membership == ASKING)

    @property
    def misplaced(self) -> tuple[PeerView, ...]:
        """Who begins with nothing, with another disk than its own, in a directory that holds another peer's files."""
        return tuple(one for one in self.peers if one.reachable and one.membership == ASKING and one.others_files)

    @property
    def majority_lost(self) -> bool:
        """Whether so many voters have lost their disks that no majority can ever vote again."""
        if self.told is None or self.serves:
            return False
        voters = len(self.told.voters)
        return voters - len(self.replaced) < voters // 2 + 1

    @property
    def founded(self) -> bool:
        """Whether the mesh has begun, as far as anybody told."""
        return (self.told is None or self.told.founded) and not self.restoring

    @property
    def restoring(self) -> tuple[str, ...]:
        """``peer 1 is restored, and waits for peer 3``: of each that came from a backup and takes no part yet."""
        return tuple(f"peer {peer.id} is restored, and {peer.restored}" for peer in self.peers if peer.restored)

    @property
    def waiting_for(self) -> tuple[int, ...]:
        """The first peers whose absence keeps a new mesh from beginning."""
        return () if self.founded else tuple(peer.id for peer in self.peers if peer.counted and not peer.reachable)

    @property
    def total(self) -> int:
        """How many members there are."""
        return sum(peer.counted for peer in self.peers)

    @property
    def reached(self) -> int:
        """How many members answered."""
        odd = (ASKING, OTHER_HISTORY)
        return sum(peer.reachable and peer.counted and peer.membership not in odd for peer in self.peers)

    @property
    def answers(self) -> bool:
        """Whether any daemon of this mesh answered, member or not."""
        return any(peer.reachable for peer in self.peers)

    @property
    def reading(self) -> tuple[PeerView, ...]:
        """The peers that answered and can be read from: members, or else whoever answered."""
        there = [peer for peer in self.peers if peer.reachable]
        return tuple([peer for peer in there if peer.membership in (None, VOTER, LEARNER)] or there)

    @property
    def serves(self) -> bool:
        """Whether there is a leader with a quorum."""
        return self.leader is not None and self.quorum

    def peer(self, peer_id: int) -> PeerView:
        """The row of one peer; KeyError when it is not in the mesh."""
        for peer in self.peers:
            if peer.id == peer_id:
                return peer
        raise KeyError(peer_id)


def mesh_view(
    config: Config,
    answers: Mapping[int, Mapping[str, Any] | None],
    only: int | None = None,
    refusing: Mapping[int, str] = MappingProxyType({}),
    served: Mapping[int, str] = MappingProxyType({}),
) -> MeshView:
    """What ``answers`` (by peer id; None or no key: no answer) say together. With ``only``, that peer's view alone.
    ``refusing``: the fault (key_faults) of who runs, and would not have our key: it is not away; ``served``: the key
    that each has proven to serve with."""
    odd = apart(answers)
    told = newest(answer for peer, answer in answers.items() if peer not in odd)
    rows = [row for row in _rows(config, told, answers) if only in (None, row[0].id)]
    peers = [_another_life(peer_view(row, answers.get(row[0].id)), answers, told) for row in rows]
    peers = [set_apart(one) if one.id in odd else found_elsewhere(one, told) for one in peers]
    peers = [
        one if one.reachable else one._replace(problem=SHORT.get(refusing.get(one.id, ""), one.problem))
        for one in peers
    ]
    terms = [peer.term for peer in peers if peer.term is not None]
    serving = [peer for peer in peers if peer.serves and peer.term is not None and peer.id not in odd]
    leader, quorum = None, False
    if serving:
        chief = max(serving, key=lambda peer: peer.term or 0)
        leader, quorum = chief.id, chief.quorum
        if chief.last_index is not None:
            peers = [_with_lag(peer, chief.last_index) for peer in peers]
    elif only is not None and peers and peers[0].role == "follower":
        leader, quorum = peers[0].knows_leader, peers[0].quorum
    term = chief.term if serving else max(terms, default=None)
    file = config.path or "peers.yaml"
    mismatches = _mismatches(peers)
    misled = _misled(answers, told, served)
    return MeshView(
        config.mesh_name, leader, term, quorum, tuple(peers), mismatches, only is not None, told, file, misled
    )


def unreached(view: MeshView, hint: str = "start one: hfzmq serve --id N --data-dir DIR") -> NoDaemonReached:
    """The error for a ``view`` in which no peer gave a useful answer: nobody is there (``hint`` is what to do then), or
    whoever is there is not of this mesh."""
    told = [peer for peer in view.peers if peer.problem != NO_ANSWER]
    if told:
        said = "; ".join(f"{peer.address} {peer.problem}" for peer in told)
        foreign = any(peer.problem.startswith(REFUSES_MESH) for peer in told)
        cause = "the daemons belong to another mesh" if foreign else "no daemon answered as a peer of this mesh"
        return NoDaemonReached(f"{cause}: {said}", hint="is this the peers.yaml that those daemons were started with?")
    asked = ", ".join(peer.address for peer in view.peers)
    return NoDaemonReached(f"no daemon answered at {asked}", hint=hint)


def _misled(
    answers: Mapping[int, Mapping[str, Any] | None], best: Told | None, served: Mapping[int, str]
) -> tuple[Misled, ...]:
    """Who goes by another key for a peer than that serves with and the best informed one knows it by."""
    sure = {peer: key for peer, key in (best.keys if best else ()) if served.get(peer) == key}
    found = []
    for one, told in ((peer, told_by(answer)) for peer, answer in sorted(answers.items())):
        wrong = [peer for peer, key in (told.keys if told else ()) if peer != one and sure.get(peer, key) != key]
        if wrong:
            found.append((one, tuple(sorted(wrong))))
    return tuple(found)


def _has_just_begun(peer: PeerView) -> bool:
    return peer.reachable and peer.uptime_ms is not None and peer.uptime_ms < HEARS_WITHIN_MS


def _lost_disks(peers: Sequence[PeerView], newcomers: Container[int]) -> Iterator[str]:
    by: dict[int, list[int]] = {}
    live = {peer.id for peer in peers if peer.own_disk and not _has_just_begun(peer)}
    for peer in peers:
        for refused in peer.refused_peers:
            if refused in newcomers:  # it is about to ask to be let in
                continue
            by.setdefault(refused, []).append(peer.id)
    for refused, refusing in sorted(by.items()):
        who = " and ".join(filter(None, (", ".join(map(str, refusing[:-1])), str(refusing[-1]))))
        verb = "does" if len(refusing) == 1 else "do"
        if refused in live:
            came, do = f"another process speaks as peer {refused}, which lives", "stop it, or give it an id of its own"
        else:
            came, do = f"peer {refused} came back with other data than before", "it must be replaced"
        yield f"{came}: {who} {verb} not listen to it; {do}"


def _amnesiacs(peers: Iterable[PeerView]) -> Iterator[str]:
    for peer in peers:
        if peer.amnesia and peer.membership != VOTER:
            does = {LEARNER: "; it comes back as a learner", ASKING: "; it asks to join again"}
            yield f"peer {peer.id} does not trust its disk: {peer.amnesia}{does.get(peer.membership or '', '')}"


def _versions(peers: Iterable[PeerView]) -> Iterator[str]:
    for peer in peers:
        if peer.other_versions:
            yield (
                f"peer {peer.id} hears somebody who speaks another version of the peers' protocol: "
                f"{peer.other_versions} messages dropped; run one version of hfzmq on all machines"
            )


def _another_life(peer: PeerView, answers: Mapping[int, Mapping[str, Any] | None], told: Told | None) -> PeerView:
    """``peer``, as one that asks to join where it answers with another disk than that of the member of its id; whoever
    the leader already told so is one anyway."""
    own = disk_of(answers.get(peer.id)) if peer.reachable else ""
    member = told.of(peer.id) if told is not None and told.founded else None
    if not own or member is None or not member.incarnation:
        return peer
    if own == member.incarnation:
        return peer._replace(own_disk=peer.membership != ASKING)
    return peer._replace(membership=ASKING, incarnation=own)


def _with_lag(peer: PeerView, leader_last: int) -> PeerView:
    if peer.last_index is None or peer.membership == OTHER_HISTORY:
        return peer
    return peer._replace(trails_leader_by=max(0, leader_last - peer.last_index))  # it may have answered later


def _mismatches(peers: list[PeerView]) -> tuple[Mismatch, ...]:
    by_index: dict[int, list[tuple[int, str]]] = {}
    for peer in peers:
        if peer.applied_index is not None and peer.state_hash and peer.membership != OTHER_HISTORY:
            by_index.setdefault(peer.applied_index, []).append((peer.id, peer.state_hash))
    return tuple(
        Mismatch(index, tuple(hashes))
        for index, hashes in sorted(by_index.items())
        if len({state for _, state in hashes}) > 1
    )


def _rows(config: Config, told: Told | None, answers: Mapping[int, Mapping[str, Any] | None]) -> list[Row]:
    """Each peer that is worth a row, in the order of ids. A member that answers itself keeps its row, whoever else asks
    to join under its id."""
    if told is None:
        return [(peer, None, True, "") for peer in config.peers]
    rows: dict[int, Row] = {peer.id: (peer, NO_MEMBER, False, "") for peer in config.peers}
    for member in told.members:
        rows[member.id] = (PeerAddress(*member[:5]), member.role, True, member.incarnation)
    for one in told.asking if told.founded else ():
        before = told.of(one.id)
        itself = before is not None and disk_of(answers.get(one.id)) == before.incarnation
        if not itself and (before is None or before.incarnation != one.incarnation):
            address = PeerAddress(one.id, one.host, one.client_port, 0, 0)
            rows[one.id] = (address, ASKING, before is not None, one.incarnation)
    return [rows[peer] for peer in sorted(rows)]
