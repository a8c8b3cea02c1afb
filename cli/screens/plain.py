"""The board in one line of plain text, for a log or a pipe.

Touches nothing. Keeps: the same words as the board; NOT LIVE comes first when it is not.
"""

from __future__ import annotations

from datetime import datetime

from hfzmq.cli.board_feed import BoardStatus
from hfzmq.cli.mesh_words import answering, best_informed, heart_rates_short, not_begun, notes, only_copy
from hfzmq.cli.screens.bed_lines import bed_counts
from hfzmq.cli.screens.board import is_live


def clock(now_ms: int, wall_minus_mono_ms: int) -> str:
    """The local time of day of a monotonic moment, with milliseconds."""
    return datetime.fromtimestamp((now_ms + wall_minus_mono_ms) / 1000).strftime("%H:%M:%S.%f")[:-3]


def plain_line(status: BoardStatus, now_ms: int) -> str:
    """Time, live or not, leader, term, quorum, peers, beds by tier, heart rates and their alerts."""
    mesh = status.mesh
    leads = "no leader" if mesh.leader is None else f"peer {mesh.leader} leads"
    parts = [
        "live" if is_live(status, now_ms) else "NOT LIVE",
        leads if mesh.term is None else f"{leads} in term {mesh.term}",
        f"quorum {'yes' if mesh.serves else 'NO'}",
        answering(mesh),
        f"beds: {bed_counts(status.beds, now_ms) or 'none'}",
    ]
    chief = best_informed(mesh)
    alone = ": ".join(filter(None, only_copy(mesh)))
    parts += filter(None, (heart_rates_short(chief) if chief else "", not_begun(mesh), alone, *notes(mesh)))
    parts += [f"ALARM: {alarm}" for alarm in mesh.alarms]
    return f"{clock(now_ms, status.wall_minus_mono_ms)} " + ", ".join(parts)
