"""The bedside's screen: its own alarms, beds, link, what happened. A pure function from a BedsideStatus to something
rich can draw.

Touches nothing: status, size and time come in. Must not know: sockets, terminals, who measures. Keeps: no number is
ever cut; the most urgent beds come first; without a sign of life from the work behind it, the screen says NOT LIVE.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from hfzmq.cli import marks
from hfzmq.cli.bedside.alarms import CONNECTED
from hfzmq.cli.bedside.status import BedsideStatus, LogLine
from hfzmq.cli.format import printable
from hfzmq.cli.screens.bedside_alarms import alarm_lines
from hfzmq.cli.screens.bedside_beds import ORDER, bed_lines, is_live, shown_tier, urgency
from hfzmq.cli.screens.canvas import box, flow, inside, prose, text
from hfzmq.cli.screens.words import BADGES, Badge
from hfzmq.client import ClientState

LOG_LINES = 6
DISCLAIMER = "research software, not a medical device"

_LINKS = {
    "connected": Badge("●", "connected", "bold green"),
    "searching": Badge("○", "searching for the mesh", "bold yellow"),
    "no quorum": Badge("✕", "no quorum", "bold red"),
    "key refused": Badge("✕", "key refused", "bold red"),
}


def bedside(status: BedsideStatus, width: int, height: int | None = None, keys: str = "q quit") -> RenderableType:
    """The screen in exactly ``width`` columns and at most ``height`` lines (None: as many as it takes)."""
    return Group(*lines(status, width, height, keys))


def lines(status: BedsideStatus, width: int, height: int | None = None, keys: str = "q quit") -> list[Text]:
    """The screen's lines; see ``bedside``."""
    header = _header(status, width) + alarm_lines(
        status.alarms,
        status.away,
        len(status.beds) == 1,
        status.now_ms,
        width,
        connected=status.state.link == CONNECTED,
        thresholds=status.thresholds,
    )
    header += prose(status.doubt, width, "bold yellow") if status.doubt else []
    link = link_lines(status.state, "reports", width)
    footer = flow([text(keys, "bold"), text(DISCLAIMER, "dim")], width)
    room = 10**6 if height is None else height
    beds = sorted(status.beds, key=lambda bed: urgency(bed, status))
    for most in (LOG_LINES, 2, 0):
        log = log_lines(status.log, width, most)
        left = room - len(header) - len(link) - len(log) - len(footer) - len(box("beds", [], width))
        content, complete = bed_lines(beds, status, inside(width), max(1, left))
        if complete and len(content) <= left:
            break
    title = printable(status.beds[0].patient_id) if len(status.beds) == 1 else "beds"
    framed = box(title, content, width, "cyan" if is_live(status) else "bold red")
    found = [*header, *framed, *link, *log, *footer]
    # Only on a screen too low for header, one bed and footer: whole lines go, never a part of one.
    return found if len(found) <= room else [*found[: max(1, room - 1)], found[-1]][:room]


def _header(status: BedsideStatus, width: int) -> list[Text]:
    tiers = [shown_tier(bed, status) for bed in status.beds]
    counts = [(tiers.count(tier), BADGES[tier]) for tier in ORDER if tier in tiers]
    badges = [text(f" {badge.sign} {count} {badge.word} ", badge.style) for count, badge in counts]
    silent = (status.now_ms - status.turned_at_ms) // 1000
    state = [] if is_live(status) else [text(f" NOT LIVE for {silent} s ", "bold white on red")]
    clock = datetime.fromtimestamp(status.wall_ms / 1000).strftime("%H:%M:%S")
    noted = marks.header((bed.flags for bed in status.beds), width)
    who = text(f"bedside {printable(status.client_id)}", "bold")
    return flow([who, *state, *(badges if len(status.beds) > 1 else []), *noted, text(clock, "dim")], width)


def link_lines(state: ClientState, word: str, width: int) -> list[Text]:
    """How it stands with the mesh; ``word``: what waits here, such as 'reports'."""
    badge = _LINKS.get(state.link, Badge("○", state.link, "bold yellow"))
    waits = f": {word} wait here" if state.link in ("no quorum", "key refused") else ""
    where = "" if state.peer is None or state.link != "connected" else f" to peer {state.peer}"
    leader = "leader unknown" if state.leader is None else f"leader: peer {state.leader}"
    last = "" if state.last_ack_ms is None else f"last ack took {state.last_ack_ms} ms"
    parts = [
        text(f"{badge}{waits}{where}", badge.style),
        text(leader),
        text(f"{state.pending} queued", "bold yellow" if state.pending and state.link != "connected" else ""),
        text(f"{state.acked} acknowledged"),
        text(f"{state.rejected} rejected", "bold red") if state.rejected else text(""),
        text(last, "dim"),
    ]
    return flow(parts, width)


def log_lines(log: Sequence[LogLine], width: int, most: int) -> list[Text]:
    """The newest happenings, the newest last, in at most ``most`` whole lines."""
    found: list[Text] = []
    for line in reversed(log):
        at = datetime.fromtimestamp(line.at_ms / 1000).strftime("%H:%M:%S")
        told = prose(f"{at} {printable(line.words)}", width, "dim")
        if len(told) + len(found) > most:
            break
        found = told + found
    return found
