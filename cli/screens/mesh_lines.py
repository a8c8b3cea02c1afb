"""The board's lines about the mesh: who leads, and each peer by its own word.

Touches nothing. Must not know: beds. Keeps: an unreachable peer is a row that says so and since when; peers whose
states differ, or that lost their data, are shown loudly; a value that is not known is left empty.
"""

from __future__ import annotations

from rich.text import Text

from hfzmq.cli.board_feed import BoardStatus
from hfzmq.cli.format import number
from hfzmq.cli.mesh_view import MeshView
from hfzmq.cli.mesh_words import answering, not_begun, notes, only_copy
from hfzmq.cli.peer_view import ASKING, NO_MEMBER, OTHER_HISTORY, PeerView
from hfzmq.cli.screens.canvas import Column, columns, flow, prose, text
from hfzmq.cli.screens.words import (
    ASKING_BADGE,
    LEARNER_BADGE,
    NO_MEMBER_BADGE,
    OTHER_HISTORY_BADGE,
    ROLE_BADGES,
    UNREACHABLE,
    Badge,
    duration,
)
from hfzmq.client.key_faults import BEHIND, SHORT
from hfzmq.wire.members import LEARNER

HEADS = (
    Column("peer", right=True),
    Column("role"),
    Column("term", right=True),
    Column("last", right=True, spare=2),
    Column("applied", right=True),
    Column("behind leader", right=True),
    Column("fsync ms", right=True, spare=3),
    Column("reports", right=True, spare=4),
    Column("heart rates", right=True, spare=6),
    Column("alerts", right=True, spare=6),
    Column("answered", spare=1),
    Column("state", spare=5),
)


def mesh_lines(status: BoardStatus, width: int, now_ms: int) -> list[Text]:
    """What ``mesh_sentence`` says, a row for each peer, and what is worth a note."""
    odd = {peer_id for mismatch in status.mesh.mismatches for peer_id, _ in mismatch.hashes}
    answered = dict(status.answered_at_ms)
    rows = []
    for peer in status.mesh.peers:
        at = answered.get(peer.id)
        rows.append(_cells(peer, "never" if at is None else f"{duration(now_ms - at)} ago", peer.id in odd))
    found = mesh_sentence(status, width)
    table = columns(HEADS, rows, width)
    noted = [line for note in notes(status.mesh) for line in prose(note, width, "yellow")]
    if table is not None:
        return [*found, *table[0], *table[1], *noted]
    for cells in rows:
        named = [cells[0], cells[1]]
        for head, cell in zip(HEADS[2:], cells[2:], strict=True):
            if cell.plain:
                named.append(text(f"{head.head} {cell.plain}", cell.style if isinstance(cell.style, str) else ""))
        found += flow(named, width, indent=2)
    return [*found, *noted]


def mesh_sentence(status: BoardStatus, width: int) -> list[Text]:
    """Who leads, in which term, whether a quorum stands, how many answer; and every alarm."""
    mesh = status.mesh
    told = ", ".join((*leading(mesh), answering(mesh)))
    if status.failure and status.polled_at_ms is not None:
        told = f"as last heard: {told}"
    found = prose(told, width, "bold" if mesh.serves else "bold white on red")
    waits = not_begun(mesh)
    if waits:
        found += prose(waits, width, "bold black on yellow")
    alone, do = only_copy(mesh)
    if alone:
        found += prose(f"!!! {alone}: {do}", width, "bold white on red")
    for alarm in mesh.alarms:
        found += prose(f"!!! ALARM: {alarm}", width, "bold white on red")
    return found


def leading(mesh: MeshView) -> tuple[str, ...]:
    """Who leads in which term, and whether a quorum stands; where nobody is seen to, and a member that runs does not
    speak with us, neither is known."""
    if not mesh.serves and any(peer.counted and peer.problem in _HIDDEN for peer in mesh.peers):
        return ("who leads is not known",)
    leads = "no leader" if mesh.leader is None else f"peer {mesh.leader} leads"
    term = "" if mesh.term is None else f" in term {mesh.term}"
    return f"{leads}{term}", f"quorum {'yes' if mesh.serves else 'NO'}"


def _cells(peer: PeerView, answered: str, odd: bool) -> list[Text]:
    badge = _badge(peer)
    plain = peer.reachable or peer.problem in ("", "no answer")
    words = str(badge) if plain else f"{badge}: {peer.problem}"
    if badge is UNREACHABLE and peer.membership in _STRANGERS:
        words = f"{_STRANGERS[peer.membership]}, {words}"
    state = "DIFFERS " + (peer.state_hash or "")[:8] if odd else (peer.state_hash or "")[:8]
    return [
        text(str(peer.id), "bold"),
        text(words, badge.style),
        text(_shown(peer.term)),
        text(_shown(peer.last_index)),
        text(_shown(peer.applied_index)),
        text(_shown(peer.trails_leader_by), "yellow" if peer.trails_leader_by else ""),
        text("" if peer.fsync_ms is None else f"{peer.fsync_ms:.1f}"),
        text(_shown(peer.reports)),
        text(_shown(peer.readings_total)),
        text(_shown(peer.alerts_total)),
        text(answered, "" if peer.reachable else "bold red"),
        text(state, "bold white on red" if odd else "dim"),
    ]


def _badge(peer: PeerView) -> Badge:
    if not peer.reachable or peer.role is None:
        return UNREACHABLE
    if peer.membership in _STRANGERS:
        return _STRANGERS[peer.membership]
    return ROLE_BADGES[peer.role]


_HIDDEN = {words for fault, words in SHORT.items() if fault != BEHIND}
_STRANGERS = {
    LEARNER: LEARNER_BADGE,
    ASKING: ASKING_BADGE,
    NO_MEMBER: NO_MEMBER_BADGE,
    OTHER_HISTORY: OTHER_HISTORY_BADGE,
}


def _shown(value: int | None) -> str:
    return "" if value is None else number(value)
