"""The board in one line of plain text, for a log or a pipe.

Touches nothing. Keeps: the same words as the board; NOT LIVE comes first when it is not, and then why; what was heard
before that is said to be old.
"""

from __future__ import annotations

from datetime import datetime

from hfzmq.cli.board_feed import BoardStatus
from hfzmq.cli.mesh_words import answering, best_informed, heart_rates_short, not_begun, notes, only_copy
from hfzmq.cli.screens.bed_lines import bed_counts
from hfzmq.cli.screens.board import is_live
from hfzmq.cli.screens.mesh_lines import leading
from hfzmq.cli.screens.words import duration
from hfzmq.client.key_faults import SHORT


def clock(now_ms: int, wall_minus_mono_ms: int) -> str:
    """The local time of day of a monotonic moment, with milliseconds."""
    return datetime.fromtimestamp((now_ms + wall_minus_mono_ms) / 1000).strftime("%H:%M:%S.%f")[:-3]


def plain_line(status: BoardStatus, now_ms: int) -> str:
    """Time, live or not, leader, term, quorum, peers, beds by tier, heart rates and their alerts."""
    at = clock(now_ms, status.wall_minus_mono_ms)
    live = is_live(status, now_ms)
    if live or not status.failure:
        return f"{at} {', '.join(('live' if live else 'NOT LIVE', *_told(status, now_ms)))}"
    if status.polled_at_ms is None:
        return f"{at} NOT LIVE: {status.trouble}"
    ago = duration(now_ms - status.polled_at_ms)
    return f"{at} NOT LIVE: {status.trouble}; {ago} ago: {', '.join(_told(status, now_ms))}"


def _told(status: BoardStatus, now_ms: int) -> list[str]:
    """What the last good poll told."""
    mesh = status.mesh
    parts = [
        *leading(mesh),
        answering(mesh),
        f"beds: {bed_counts(status.beds, now_ms) or 'none'}",
    ]
    chief = best_informed(mesh)
    alone = ": ".join(filter(None, only_copy(mesh)))
    parts += filter(None, (heart_rates_short(chief) if chief else "", not_begun(mesh), alone, *notes(mesh)))
    parts += [f"peer {peer.id} {peer.problem}" for peer in mesh.peers if peer.problem in SHORT.values()]
    return parts + [f"ALARM: {alarm}" for alarm in mesh.alarms]
