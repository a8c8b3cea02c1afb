"""One peer, as its own answer to ``status`` tells it; or the fact that it gave none.

Touches nothing. Must not know: what other peers say. Keeps: a value that a peer did not give, or not in its type, is
None, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hfzmq.cli.format import printable
from hfzmq.client.histories import history_in
from hfzmq.config import PeerAddress
from hfzmq.wire.members import LEARNER, VOTER, Told

NO_ANSWER = "no answer"
REFUSES_MESH = "refuses: mesh: "
ROLES = ("follower", "precandidate", "candidate", "leader")
# Beside VOTER and LEARNER: how a peer belongs to the mesh.
ASKING, NO_MEMBER, OTHER_HISTORY = "asking", "none", "other_history"


class PeerView(NamedTuple):
    """One peer by its own word, or the fact that it gave none (``reachable`` False and ``problem`` says why).

    ``trails_leader_by``: entries of the leader's log that this peer's log has not; None without a leader.
    ``refused_peers``: ids of peers that came with other data than those this one met first. ``membership``: VOTER,
    LEARNER, ASKING (not a member, or with another disk than the member's), NO_MEMBER, OTHER_HISTORY (its data goes back
    to another beginning of the mesh); None when nobody told.
    ``counted``: the mesh has a member of this id. ``incarnation``: hex, of the member or of who answers or asks.
    ``own_disk``: it answered with the disk of the member of its id. ``amnesia``: why it set its files
    aside when it started. ``hears``: (id, how many ms ago), by this peer's word. ``history``: hex, which beginning of
    the mesh its data goes back to; None while it holds none. ``other_histories``: ids that it hears with another one.
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
    own_disk: bool = False
    amnesia: str | None = None
    hears: tuple[tuple[int, int], ...] = ()
    other_versions: int = 0  # messages of peers that speak another version, dropped by this one
    readings: dict[str, int] | None = None  # heart rates stored, by validation status
    alerts: dict[str, int] | None = None  # heart-rate alerts stored, by category
    differs: tuple[int, ...] = ()  # ids of peers that it saw hold another state
    unanswering: tuple[int, ...] = ()  # ids of members that it, the leader, hears and that answer nothing it sends
    others_files: tuple[int, ...] = ()  # ids of other peers whose files lie in its directory
    restored: str = ""  # what it waits for, where it was restored from a backup and does not take part yet
    counters: dict[str, int] | None = None  # of what it refused, dropped, answered
    history: str | None = None
    other_histories: tuple[int, ...] = ()
    listed_address: str | None = None  # what the others tell of it, where it has answered at another one

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
        stranger = _STRANGERS.get(self.membership or "", "")
        if self.reachable:
            return stranger or self.role or ""
        return ", ".join(filter(None, (stranger, f"unreachable: {self.problem}")))


_STRANGERS = {
    LEARNER: "learner",
    ASKING: "asks to join",
    NO_MEMBER: "no member",
    OTHER_HISTORY: "another history",
}
Row = tuple[PeerAddress, str | None, bool, str]  # its address, membership, whether it is counted, its incarnation


def peer_view(row: Row, answer: Mapping[str, Any] | None) -> PeerView:
    """The row of one peer, which answered this, or nothing."""
    address, membership, counted, incarnation = row
    told = (answer or {}).get("peer")
    problem = _problem(address, answer, told)
    said: Mapping[str, Any] = told if isinstance(told, Mapping) and not problem else {}
    role = said.get("role")
    fsync = said.get("fsync_ms")
    amnesia = text_of(said, "amnesia")
    return PeerView(
        id=address.id,
        role=role if role in ROLES else None,
        term=_int(said, "term"),
        last_index=_int(said, "last_index"),
        commit_index=_int(said, "commit_index"),
        applied_index=_int(said, "applied_index"),
        trails_leader_by=None,
        reachable=not problem,
        state_hash=text_of(said, "state_hash"),
        version=text_of(said, "version"),
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
        unanswering=_ids(said, "unanswering"),
        others_files=_ids(said, "others_files"),
        restored=printable(text_of(said, "restored") or ""),
        counters=_counts(said, "counters"),
        history=history_in(answer) if said else None,
        other_histories=_ids(said, "other_histories"),
    )


def found_elsewhere(peer: PeerView, told: Told | None) -> PeerView:
    """``peer``, with the address that the others tell of it where it has answered at another one."""
    listed = dict(told.reached).get(peer.id) if told else None
    if listed in (None, peer.address) or not peer.reachable or peer.membership not in (VOTER, LEARNER):
        return peer
    return peer._replace(listed_address=listed)


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


def text_of(said: Mapping[str, Any], key: str) -> str | None:
    value = said.get(key)
    return value if isinstance(value, str) else None
