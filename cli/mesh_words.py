"""The mesh in sentences that every output shares: how many answer, what a new mesh waits for, who catches up, who asks.

Touches nothing. Must not know: sockets, colours. Keeps: one wording for a fact, in a table, a log line or on a board;
numbers in full.
"""

from __future__ import annotations

from collections.abc import Container

from hfzmq.access import name_of_peer
from hfzmq.cli.format import listed, thousands
from hfzmq.cli.mesh_view import MeshView
from hfzmq.cli.peer_view import ASKING, NO_MEMBER, OTHER_HISTORY, PeerView
from hfzmq.wire.members import LEARNER, VOTER

CAUGHT_UP = "caught up"
BEGINS = "a new mesh begins when all its first peers are up"


def answering(view: MeshView) -> str:
    """``2 of 3 peers answer``: members, and nobody else; ``, peer 3 asks to join``: it answers with another disk;
    ``, peer 3 holds another history``: with one that has nothing to do with those of the others."""
    asks = [peer.id for peer in view.peers if peer.counted and peer.reachable and peer.membership == ASKING]
    words = f", {listed(asks)} {'asks' if len(asks) == 1 else 'ask'} to join" if asks else ""
    odd = [peer.id for peer in view.peers if peer.membership == OTHER_HISTORY]
    words += f", {listed(odd)} hold{'s' * (len(odd) == 1)} another history" if odd else ""
    return f"{view.reached} of {view.total} peers answer{words}"


def unheard(view: MeshView) -> tuple[str, ...]:
    """Whose links are broken while both ends live: ``peers 1 and 3 do not hear each other``."""
    known = {*view.keyless} | {one for one, _ in view.misled}  # why is known of these: see key_troubles
    deaf = {pair for pair in view.deaf if not known.intersection(pair)}
    found = []
    for a, b in sorted(deaf):
        if (b, a) not in deaf:
            found.append(f"peer {a} does not hear peer {b}")
        elif a < b:
            found.append(f"peers {a} and {b} do not hear each other")
    return tuple(found)


def key_troubles(view: MeshView) -> tuple[tuple[str, str], ...]:
    """(what is so, what to do) where members do not speak with each other for want of the right key."""
    cut = [
        (f"peer {peer} has no key in force: nobody lets it in", f"{issue_for(peer)}, and restart it with that")
        for peer in view.keyless
    ]
    misled = [
        (
            f"peer {one} does not know the key that {listed(others)} serve{'s' if len(others) == 1 else ''} with",
            f"on peer {one}'s machine: hfzmq keys update, then SIGHUP",
        )
        for one, others in view.misled
        if one not in view.keyless
    ]
    return (*cut, *misled)


def issue_for(peer: int) -> str:
    """The command that gives a peer a key that nobody has used yet."""
    return f"hfzmq keys issue {name_of_peer(peer)}-new --role peer --id {peer}"


def mute(view: MeshView) -> tuple[str, ...]:
    """Who looks well and is not: ``peer 3 is heard, and answers nothing that peer 1, the leader, sends``."""
    return tuple(
        f"{listed(peer.unanswering)} {'is' if len(peer.unanswering) == 1 else 'are'} heard, and answer"
        f"{'s' if len(peer.unanswering) == 1 else ''} nothing that peer {peer.id}, the leader, sends"
        for peer in view.peers
        if peer.unanswering and peer.id == view.leader
    )


def unknown_holders(view: MeshView, refusing: Container[int]) -> str:
    """What is not known while somebody that a new mesh would wait for runs, and is not spoken to; '' for nothing."""
    unknown = [peer for peer in view.waiting_for if peer in refusing]
    if not unknown:
        return ""
    return f"what {listed(unknown)} holds is not known: it runs, and does not speak with this command's keys"


def only_copy(view: MeshView) -> tuple[str, str]:
    """What is so, and what to do, where a majority of the disks is gone; ('', '') where it is not."""
    if not view.majority_lost:
        return "", ""
    if view.misplaced:
        return misplaced(view), MISPLACED_HINT
    emptied = f"{listed(view.replaced)} came back with {'another disk' if len(view.replaced) == 1 else 'other disks'}"
    holders = [peer for peer in view.peers if peer.reachable and peer.membership in (VOTER, LEARNER)]
    best = max(holders, key=lambda peer: (peer.last_index or 0, -peer.id), default=None)
    if best is None:
        return f"{emptied}, and a majority of the disks is gone", "look for a backup: hfzmq restore --help"
    alone = "alone holds data" if len(holders) == 1 else "holds most data"
    return (
        f"peer {best.id} {alone}, until entry {thousands(best.last_index or 0)}: {emptied}, and a majority of the "
        "disks is gone",
        f"do not touch peer {best.id}; hfzmq backup --peer {best.id} FILE, then hfzmq restore (backup.md, Restore)",
    )


def misplaced(view: MeshView) -> str:
    """Whose directory is another peer's; '' for nobody's."""
    return "; ".join(
        f"peer {one.id} begins with nothing in a directory that holds the files of {listed(one.others_files)}"
        for one in view.misplaced
    )


MISPLACED_HINT = (
    "was a volume mounted, or --data-dir given, in another's place? stop those peers, put that right, start them; "
    "restore nothing and remove nothing before"
)
_RESTORE_ALL = "restore and start those, from the same backup, each with an empty --data-dir (backup.md, Restore)"
MUTE_HINT = "on that machine: hfzmq doctor (its keys, its peers.yaml), and the firewall of its peer port"
LINK_HINT = "the peer and beat ports of both in peers.yaml, the same on all machines; the firewall between them"


def not_begun(view: MeshView) -> str:
    """What a mesh that has not begun waits for; '' for one that has."""
    if view.founded:
        return ""
    if view.restoring:
        return "; ".join(view.restoring)
    if view.asked_one:
        return f"not begun: {BEGINS}"
    if view.waiting_for:
        return f"waiting for {listed(view.waiting_for)}: {BEGINS}"
    return "its first peers are all up: the mesh is about to begin"


def bid_for_restored(view: MeshView) -> str:
    """What to do while restored peers take no part yet: bring those that they wait for, if there are any."""
    return _RESTORE_ALL if any("waits for" in words for words in view.restoring) else "hfzmq status again in a moment"


def notes(view: MeshView) -> tuple[str, ...]:
    """What is worth a line and is no alarm: who catches up, who waits to be added, who is listed and no member."""
    found = [f"{broken}: {LINK_HINT}" for broken in unheard(view)] + [f"{one}: {MUTE_HINT}" for one in mute(view)]
    found += [f"{what}: {do}" for what, do in key_troubles(view)]
    found += [f"{misplaced(view)}: {MISPLACED_HINT}"] if view.misplaced else []
    for peer in view.peers:
        if peer.membership == LEARNER:
            found.append(learns(view, peer))
        elif peer.membership == ASKING and peer.counted and view.majority_lost:
            found.append(f"peer {peer.id} came back with another disk, and no leader is left to let it in")
        elif peer.membership == ASKING and peer.counted:
            found.append(
                f"peer {peer.id} came back with another disk and asks to join again: the leader takes it in by itself"
            )
        elif peer.membership == ASKING:
            found.append(f"peer {peer.id} asks to join: hfzmq peer add {peer.id}")
        elif peer.membership == NO_MEMBER and not view.asked_one:
            found.append(f"peer {peer.id} is in {view.file}, but no member of the mesh")
        if peer.amnesia and peer.membership == VOTER:
            found.append(f"peer {peer.id} did not trust its disk ({peer.amnesia}); the mesh gave it new data, it votes")
        if peer.listed_address:
            found.append(
                f"peer {peer.id} answered at {peer.address}; the others tell {peer.listed_address}: "
                "whoever goes by that looks for it there (hfzmq doctor: whose peers.yaml differs)"
            )
    return tuple(found)


def learns(view: MeshView, peer: PeerView) -> str:
    """How far a learner is, and what its vote may wait for."""
    state = behind(peer, leader_last(view))
    away = [one.id for one in view.peers if one.membership == VOTER and not one.reachable]
    if state != CAUGHT_UP or not away:
        return f"peer {peer.id} is a learner, {state}"
    return (
        f"peer {peer.id} is a learner, {state}; its vote may have to wait until {listed(away)} "
        f"{'answers or is' if len(away) == 1 else 'answer or are'} removed: hfzmq peer remove {away[0]}"
    )


def leader_last(view: MeshView) -> int | None:
    """The leader's last index; None without a leader that answers."""
    return next((peer.last_index for peer in view.peers if peer.id == view.leader), None)


def behind(peer: PeerView, last: int | None) -> str:
    """``1,203 of 5,000 entries behind``, where the leader's last index is 5,000."""
    if not peer.reachable:
        return "and does not answer"
    if peer.trails_leader_by is None or last is None:
        return "and nobody knows how far behind"
    if peer.trails_leader_by == 0:
        return CAUGHT_UP
    return f"{thousands(peer.trails_leader_by)} of {thousands(last)} entries behind"


def heart_rates(peer: PeerView) -> str:
    """``1,000 heart rates: 800 valid, 120 invalid_physiological, ...; 200 alerts: ...``, by one peer's word; '' when it
    has none."""
    if not peer.readings or not peer.readings_total:
        return ""
    found = f"{_sorted_out(peer.readings, 'heart rate')}"
    return f"{found}; {_sorted_out(peer.alerts, 'alert')}" if peer.alerts and peer.alerts_total else found


def heart_rates_short(peer: PeerView) -> str:
    """``1,000 heart rates, 200 alerts``; '' when it has none."""
    if not peer.readings_total:
        return ""
    return f"{_count(peer.readings_total, 'heart rate')}, {_count(peer.alerts_total or 0, 'alert')}"


def _count(count: int, noun: str) -> str:
    return f"{thousands(count)} {noun}{'' if count == 1 else 's'}"


def _sorted_out(counts: dict[str, int], noun: str) -> str:
    parts = ", ".join(f"{thousands(count)} {name}" for name, count in counts.items() if count)
    return f"{_count(sum(counts.values()), noun)}: {parts}"


def best_informed(view: MeshView) -> PeerView | None:
    """The peer whose word on what is stored stands: of those that answer, the one that has applied most."""
    return max(view.reading, key=lambda peer: (peer.applied_index or 0, peer.serves, -peer.id), default=None)
