"""What the peers' own answers to ``status`` say together: who leads, who is behind, who is away, who differs.

Touches nothing: answers come in. Must not know: sockets, screens. Keeps: the leader is the peer that says it serves, in
the highest term; a peer without an answer is a row that says so; a value that a peer did not give is None, never zero.
Who is a member is what the newest list among the answers says, not peers.yaml; only members are counted. Whoever asks
to join, and whoever peers.yaml lists and the mesh does not, is a row all the same, and says so.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from hfzmq.cli.format import printable
from hfzmq.config import Config, PeerAddress
from hfzmq.errors import NoDaemonReached
from hfzmq.wire.members import LEARNER, VOTER, Told, newest

NO_ANSWER = "no answer"
REFUSES_MESH = "refuses: mesh: "
ROLES = ("follower", "precandidate", "candidate", "leader")
HEARS_WITHIN_MS = 10_000  # a peer that runs for so long hears whomever it can hear
ASKING, NO_MEMBER = "asking", "none"  # beside VOTER and LEARNER: how a peer belongs to the mesh


class PeerView(NamedTuple):
    """One peer by its own word, or the fact that it gave none (``reachable`` False and ``problem`` says why).

    ``trails_leader_by``: entries of the leader's log that this peer's log has not; None without a leader.
    ``refused_peers``: ids of peers that came with other data than those this one met first. ``membership``: VOTER,
    LEARNER, ASKING (not a member, or with another disk than the member's), NO_MEMBER; None when nobody told.
    ``counted``: the mesh has a member of this id. ``incarnation``: hex, of the member or of who answers or asks.
    ``amnesia``: why it does not trust its own disk. ``hears``: (id, how many ms ago), by this peer's word.
    """

    id: int
    role: str | None
    term: int | None
    last_index: int | None
    commit_index: int | None
    applied_index: int | None
    trails_leader_by: int | None
    reachable: bool
    state_hash: str | None
    version: str | None
    serves: bool
    quorum: bool
    knows_leader: int | None
    reports: int | None
    fsync_ms: float | None
    uptime_ms: int | None
    boot: int | None
    now_ms: int | None
    refused_peers: tuple[int, ...]
    problem: str
    address: str
    membership: str | None = None
    counted: bool = True
    incarnation: str = ""
    amnesia: str | None = None
    hears: tuple[tuple[int, int], ...] = ()
    other_versions: int = 0  # messages of peers that speak another version, dropped by this one
    readings: dict[str, int] | None = None  # heart rates stored, by validation status
    alerts: dict[str, int] | None = None  # heart-rate alerts stored, by category
    differs: tuple[int, ...] = ()  # ids of peers that it saw hold another state
    counters: dict[str, int] | None = None  # of what it refused, dropped, answered

    @property
    def readings_total(self) -> int | None:
        """How many heart rates it has stored; None when it did not say."""
        return None if self.readings is None else sum(self.readings.values())

    @property
    def alerts_total(self) -> int | None:
        """How many heart-rate alerts it has stored; None when it did not say."""
        return None if self.alerts is None else sum(self.alerts.values())

    @property
    def standing(self) -> str:
        """Its role in words: learner, asking and no member come before what its own replica calls itself."""
        stranger = {LEARNER: "learner", ASKING: "asks to join", NO_MEMBER: "no member"}.get(self.membership or "", "")
        if self.reachable:
            return stranger or self.role or ""
        return ", ".join(filter(None, (stranger, f"unreachable: {self.problem}")))


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

    @property
    def alarms(self) -> tuple[str, ...]:
        """What must be said loudly: peers whose states differ, that came back with other data, that do not trust their
        disk and are not voters again yet, or that hear others speak another version."""
        newcomers = {peer.id for peer in self.peers if peer.membership == ASKING and _has_just_begun(peer)}
        lost = _lost_disks(self.peers, newcomers)
        return (*map(str, self.mismatches), *lost, *_amnesiacs(self.peers), *_versions(self.peers))

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
    def majority_lost(self) -> bool:
        """Whether so many voters have lost their disks that no majority can ever vote again."""
        if self.told is None or self.serves:
            return False
        voters = len(self.told.voters)
        return voters - len(self.replaced) < voters // 2 + 1

    @property
    def founded(self) -> bool:
        """Whether the mesh has begun, as far as anybody told."""
        return self.told is None or self.told.founded

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
        return sum(peer.reachable and peer.counted and peer.membership != ASKING for peer in self.peers)

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


def mesh_view(config: Config, answers: Mapping[int, Mapping[str, Any] | None], only: int | None = None) -> MeshView:
    """What ``answers`` (by peer id; None or no key: no answer) say together. With ``only``, that peer's view alone."""
    told = newest(answers.values())
    rows = [row for row in _rows(config, told) if only in (None, row[0].id)]
    peers = [_another_life(_peer_view(row, answers.get(row[0].id)), answers, told) for row in rows]
    terms = [peer.term for peer in peers if peer.term is not None]
    serving = [peer for peer in peers if peer.serves and peer.term is not None]
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
    return MeshView(config.mesh_name, leader, term, quorum, tuple(peers), mismatches, only is not None, told, file)


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


def _has_just_begun(peer: PeerView) -> bool:
    return peer.reachable and peer.uptime_ms is not None and peer.uptime_ms < HEARS_WITHIN_MS


def _lost_disks(peers: Iterable[PeerView], newcomers: Container[int]) -> Iterator[str]:
    by: dict[int, list[int]] = {}
    for peer in peers:
        for refused in peer.refused_peers:
            if refused in newcomers:  # it is about to ask to be let in
                continue
            by.setdefault(refused, []).append(peer.id)
    for refused, refusing in sorted(by.items()):
        who = " and ".join(filter(None, (", ".join(map(str, refusing[:-1])), str(refusing[-1]))))
        verb = "does" if len(refusing) == 1 else "do"
        came = f"peer {refused} came back with other data than before"
        yield f"{came}: {who} {verb} not listen to it; it must be replaced"


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
    own = _text((answers.get(peer.id) or {}).get("peer") or {}, "incarnation") if peer.reachable else None
    member = told.of(peer.id) if told is not None and told.founded else None
    if not own or member is None or not member.incarnation or own == member.incarnation:
        return peer
    return peer._replace(membership=ASKING, incarnation=own)


def _with_lag(peer: PeerView, leader_last: int) -> PeerView:
    if peer.last_index is None:
        return peer
    return peer._replace(trails_leader_by=max(0, leader_last - peer.last_index))  # it may have answered later


def _mismatches(peers: list[PeerView]) -> tuple[Mismatch, ...]:
    by_index: dict[int, list[tuple[int, str]]] = {}
    for peer in peers:
        if peer.applied_index is not None and peer.state_hash:
            by_index.setdefault(peer.applied_index, []).append((peer.id, peer.state_hash))
    return tuple(
        Mismatch(index, tuple(hashes))
        for index, hashes in sorted(by_index.items())
        if len({state for _, state in hashes}) > 1
    )


_Row = tuple[PeerAddress, str | None, bool, str]  # its address, membership, whether it is counted, its incarnation


def _rows(config: Config, told: Told | None) -> list[_Row]:
    """Each peer that is worth a row, in the order of ids."""
    if told is None:
        return [(peer, None, True, "") for peer in config.peers]
    rows: dict[int, _Row] = {peer.id: (peer, NO_MEMBER, False, "") for peer in config.peers}
    for member in told.members:
        rows[member.id] = (PeerAddress(*member[:5]), member.role, True, member.incarnation)
    for one in told.asking if told.founded else ():
        before = told.of(one.id)
        if before is None or before.incarnation != one.incarnation:
            address = PeerAddress(one.id, one.host, one.client_port, 0, 0)
            rows[one.id] = (address, ASKING, before is not None, one.incarnation)
    return [rows[peer] for peer in sorted(rows)]


def _peer_view(row: _Row, answer: Mapping[str, Any] | None) -> PeerView:
    address, membership, counted, incarnation = row
    told = (answer or {}).get("peer")
    problem = _problem(address, answer, told)
    said: Mapping[str, Any] = told if isinstance(told, Mapping) and not problem else {}
    role = said.get("role")
    fsync = said.get("fsync_ms")
    amnesia = _text(said, "amnesia")
    return PeerView(
        id=address.id,
        role=role if role in ROLES else None,
        term=_int(said, "term"),
        last_index=_int(said, "last_index"),
        commit_index=_int(said, "commit_index"),
        applied_index=_int(said, "applied_index"),
        trails_leader_by=None,
        reachable=not problem,
        state_hash=_text(said, "state_hash"),
        version=_text(said, "version"),
        serves=said.get("serves") is True,
        quorum=said.get("quorum") is True,
        knows_leader=_int(said, "leader") or None,  # 0: none known
        reports=_int(said, "reports"),
        fsync_ms=float(fsync) if isinstance(fsync, (int, float)) and not isinstance(fsync, bool) else None,
        uptime_ms=_int(said, "uptime_ms"),
        boot=_int(said, "boot"),
        now_ms=_int(said, "now_ms"),
        refused_peers=_ids(said, "refused_peers"),
        problem=problem,
        address=f"{address.host}:{address.client_port}",
        membership=membership,
        counted=counted,
        incarnation=incarnation,
        amnesia=printable(amnesia) if amnesia else None,
        hears=_hears(said),
        other_versions=_counted(said, "peer_message_other_version"),
        readings=_counts(said, "readings"),
        alerts=_counts(said, "alerts"),
        differs=_ids(said, "differs"),
        counters=_counts(said, "counters"),
    )


def _problem(address: PeerAddress, answer: Mapping[str, Any] | None, told: object) -> str:
    if answer is None:
        return NO_ANSWER
    if answer.get("status") == "REFUSED":
        return f"refuses: {answer.get('field')}: {answer.get('bound')}"
    if answer.get("status") != "OK" or not isinstance(told, Mapping):
        return f"answers {answer.get('status')}"
    if told.get("id") != address.id:
        return f"answers as peer {told.get('id')}"
    return ""


def _int(said: Mapping[str, Any], key: str) -> int | None:
    value = said.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _counted(said: Mapping[str, Any], counter: str) -> int:
    counters = said.get("counters")
    return (_int(counters, counter) or 0) if isinstance(counters, Mapping) else 0


def _counts(said: Mapping[str, Any], key: str) -> dict[str, int] | None:
    value = said.get(key)
    if not isinstance(value, Mapping) or not all(type(count) is int for count in value.values()):
        return None
    return {printable(str(name)): count for name, count in value.items()}


def _ids(said: Mapping[str, Any], key: str) -> tuple[int, ...]:
    value = said.get(key)
    found = value if isinstance(value, (list, tuple)) else ()
    return tuple(item for item in found if isinstance(item, int) and not isinstance(item, bool))


def _hears(said: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    rows = said.get("hears")
    found = [row[:2] for row in rows if isinstance(row, list)] if isinstance(rows, list) else []
    return tuple((row[0], row[1]) for row in found if len(row) == 2 and all(type(item) is int for item in row))


def _text(said: Mapping[str, Any], key: str) -> str | None:
    value = said.get(key)
    return value if isinstance(value, str) else None
