"""The stream's screen: rates, verdicts, link, what happened. A pure function from a StreamStatus to something rich can
draw.

Touches nothing: status and size come in. Must not know: sockets, terminals, who reads. Keeps: no number is ever cut;
without a sign of life from the work behind it, the screen says NOT LIVE.
"""

from __future__ import annotations

from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.text import Text

from hfzmq.cli.format import printable, thousands
from hfzmq.cli.screens.bedside import DISCLAIMER, LOG_LINES, link_lines, log_lines
from hfzmq.cli.screens.bedside_beds import is_live
from hfzmq.cli.screens.canvas import Column, box, columns, flow, inside, prose, text
from hfzmq.cli.stream.status import StreamStatus
from hfzmq.cli.stream.tally import Count
from hfzmq.clinical.heart_rate import VALID, Verdict

_HEADS = (
    Column("verdict"),
    Column("read", right=True),
    Column("acknowledged", right=True),
    Column("waiting", right=True),
)


def stream(status: StreamStatus, width: int, height: int | None = None, keys: str = "q quit") -> RenderableType:
    """The screen in ``width`` columns and at most ``height`` lines (None: as many as it takes)."""
    shown: list[RenderableType] = []
    for line in lines(status, width, height, keys):
        shown.append(line if line is not None else _bar(status, width))
    return Group(*shown)


def lines(status: StreamStatus, width: int, height: int | None = None, keys: str = "q quit") -> list[Text | None]:
    """The screen's lines; None stands for the bar of how far a recording was read."""
    head = [*_header(status, width), *_reach(status, width)]
    head += prose(status.doubt, width, "bold yellow") if status.doubt else []
    bar: list[Text | None] = [None] if status.reach is not None else []
    link = link_lines(status.state, "readings", width)
    footer = flow([text(keys, "bold"), text(DISCLAIMER, "dim")], width)
    frame = "cyan" if is_live(status) else "bold red"
    room = 10**6 if height is None else height
    found: list[Text | None] = []
    for most in (LOG_LINES, 2, 0):
        body = box("verdicts", _verdicts(status, inside(width)), width, frame)
        found = [*head, *bar, *body, *link, *log_lines(status.log, width, most), *footer]
        if len(found) <= room:
            return found
    return [*found[: max(1, room - 1)], found[-1]][:room]  # whole lines go, never a part of one


def _header(status: StreamStatus, width: int) -> list[Text]:
    silent = (status.now_ms - status.turned_at_ms) // 1000
    state = [] if is_live(status) else [text(f" NOT LIVE for {silent} s ", "bold white on red")]
    clock = datetime.fromtimestamp(status.wall_ms / 1000).strftime("%H:%M:%S")
    parts = [
        text(f"stream {printable(status.client_id)}", "bold"),
        *state,
        text(printable(status.source)),
        text(f"{status.read_rate:.1f} read/s"),
        text(f"{status.ack_rate:.1f} acknowledged/s"),
        text(f"{thousands(status.refused_lines)} lines refused", "bold red") if status.refused_lines else text(""),
        text(clock, "dim"),
    ]
    return flow(parts, width)


def _reach(status: StreamStatus, width: int) -> list[Text]:
    if status.reach is None:
        return []
    reach = status.reach
    share = 100 * reach.bytes_read // max(reach.bytes_max, 1)
    return flow([text(printable(reach.name)), text(f"line {thousands(reach.lines)}"), text(f"{share} %")], width)


def _bar(status: StreamStatus, width: int) -> RenderableType:
    assert status.reach is not None
    bar = ProgressBar(max(status.reach.bytes_max, 1), status.reach.bytes_read, width=width)
    return Padding(bar, 0)  # which ends the line; a bar by itself does not


def _verdicts(status: StreamStatus, width: int) -> list[Text]:
    named = [(_name(verdict), count) for verdict, count in status.counts if count.read or verdict.status == VALID]
    if status.earlier.read:
        named.append(("of an earlier run", status.earlier))
    table = columns(_HEADS, [[text(name), *_cells(count)] for name, count in named], width)
    if table is not None:
        head, body = table
        return [*head, *body]
    found = []
    for name, count in named:
        words = zip(("read", "acknowledged", "waiting"), _cells(count), strict=True)
        found += flow([text(name, "bold"), *(text(f"{cell.plain} {word}") for word, cell in words)], width, indent=2)
    return found


def _name(verdict: Verdict) -> str:
    return verdict.status if verdict.anomaly is None else f"{verdict.status}: {verdict.anomaly}"


def _cells(count: Count) -> list[Text]:
    return [text(thousands(number)) for number in (count.read, count.acked, count.pending)]
