"""Whether a peer is alive, and whether it is of use: with the reasons why not.

Touches nothing. Must not know: HTTP. Keeps: alive means that the loop turns, and no more (a peer without a quorum is
alive: to restart it would mend nothing); ready means that a client that comes here is served or sent to who serves it,
and that what it reads here is not far behind.
"""

from __future__ import annotations

from hfzmq.daemon.gauge import Gauge

ALIVE_MS = 2000
DISK_SILENT_MS = 1000
BEHIND_MAX = 1000  # entries


def dead_because(turn_age_ms: float, writing_ms: float, excused: bool = False) -> list[str]:
    """Why its loop does not live; [] when it does, or is ``excused``: it takes in a snapshot."""
    if turn_age_ms < ALIVE_MS or excused:
        return []
    silent = [f"disk silent for {writing_ms / 1000:.1f} s"] if writing_ms >= DISK_SILENT_MS else []
    return [f"the loop has not turned for {turn_age_ms / 1000:.1f} s", *silent]


def unready_because(
    gauge: Gauge | None, turn_age_ms: float, writing_ms: float, excused: bool, stopping: bool
) -> list[str]:
    """Why it is of no use now; [] when it is."""
    reasons = ["takes in a snapshot"] if excused else dead_because(turn_age_ms, writing_ms)
    if not reasons and writing_ms >= DISK_SILENT_MS:
        reasons.append(f"disk silent for {writing_ms / 1000:.1f} s")
    if stopping:
        reasons.append("stopping")
    if gauge is None:
        return [*reasons, "starting"]
    if not gauge.founded and gauge.holders and not gauge.last:
        peer, last = max(gauge.holders, key=lambda one: one[1])
        reasons.append(f"this peer is empty, and peer {peer} holds data until entry {last}: do not touch that one")
    elif not gauge.founded:
        reasons.append("no mesh is known here to have begun: all its first peers must be up together")
    if not gauge.quorum:
        reasons.append(f"no quorum heard: {gauge.heard} of {gauge.others} other peers")
    if not gauge.leader and gauge.founded and gauge.voters - len(gauge.replaced) < gauge.voters // 2 + 1:
        lost = ", ".join(map(str, gauge.replaced))
        reasons.append(
            f"a majority of the disks is gone (peers {lost}), and this one holds data until entry {gauge.last}: "
            "do not touch it; first see whether the others' directories were exchanged: hfzmq check; only if not: "
            f"hfzmq backup --peer {gauge.peer} FILE, then hfzmq restore"
        )
    if not gauge.leader and gauge.other_histories:
        others = ", ".join(map(str, gauge.other_histories))
        reasons.append(
            f"this peer holds another history of the mesh, until entry {gauge.last}, than peer {others}: the mesh was "
            f"begun anew on empty disks; touch no disk, back both up: hfzmq backup --peer {gauge.peer} FILE"
        )
    if not gauge.leader:
        reasons += [f"peer {peer} does not let this peer in: {why}" for peer, why in gauge.shut_out]
        reasons.append("no leader known")
    elif gauge.leader == gauge.peer and not gauge.serves:
        reasons.append("leads and does not serve yet")
    if gauge.trails is not None and gauge.trails > BEHIND_MAX:
        reasons.append(f"behind by {gauge.trails} entries")
    if gauge.amnesia and not gauge.votes:
        reasons.append(f"damaged files aside, and no vote yet: {gauge.amnesia}")
    if gauge.differs:
        reasons.append(f"holds another state than peer {', '.join(map(str, gauge.differs))}")
    if not gauge.reads:
        reasons.append("its thread for reads is gone: restart this peer")
    if gauge.door_shut:
        reasons.append("too few free descriptors: no more clients are let in")
    return reasons
