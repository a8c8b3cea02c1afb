"""The board: the open alarms, the mesh, the beds, what happened last. A pure function from a BoardStatus to something
rich can draw.

Touches nothing: the status, the size and the time come in. Must not know: sockets, terminals, who polls. Keeps: no
number is ever cut (columns are left out and lines stack instead); NOT LIVE stands in the header as soon as the status
is older than NOT_LIVE_AFTER_MS, whoever hangs; what does not fit is counted, the most urgent alarms and beds come
first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from hfzmq.cli import marks
from hfzmq.cli.alarm_view import of_each_bed
from hfzmq.cli.bed_view import Bed
from hfzmq.cli.board_feed import BoardStatus
from hfzmq.cli.format import printable
from hfzmq.cli.mesh_words import best_informed, heart_rates
from hfzmq.cli.screens.alarm_strip import Acknowledging, header_words, strip_lines
from hfzmq.cli.screens.bed_lines import bed_badges, bed_lines, is_stale, urgent_first
from hfzmq.cli.screens.canvas import box, flow, inside, prose, text
from hfzmq.cli.screens.mesh_lines import mesh_lines, mesh_sentence
from hfzmq.cli.screens.pulses import pulse_lines
from hfzmq.clinical.tiers import RED

NOT_LIVE_AFTER_MS = 3_000
BEDS_SHOWN_MIN = 3  # the rest of the board makes way for so many
EVENT_LINES = 3
DISCLAIMER = "research software, not a medical device"


def board(
    status: BoardStatus,
    width: int,
    height: int,
    now_ms: int,
    keys: str = "q quit",
    story: Sequence[str] = (),
    ack: Acknowledging | None = None,
) -> RenderableType:
    """The board at ``now_ms`` (monotonic), in exactly ``width`` columns and at most ``height`` lines.

    ``keys``: what can be pressed. ``story``: lines of whoever runs the board, the newest last. ``ack``: what became of
    the last alarm that was acknowledged from here.
    """
    return Group(*lines(status, width, height, now_ms, keys, story, ack))


def lines(
    status: BoardStatus,
    width: int,
    height: int,
    now_ms: int,
    keys: str = "q quit",
    story: Sequence[str] = (),
    ack: Acknowledging | None = None,
) -> list[Text]:
    """The board's lines; see ``board``."""
    live = is_live(status, now_ms)
    header = _header(status, width, now_ms)
    header += strip_lines(
        status.alarms, status.thresholds, width, height, now_ms, live=live, serves=status.mesh.serves, ack=ack
    )
    footer = flow([text(keys, "bold"), text(DISCLAIMER, "dim")], width)
    mesh = box(f"mesh {status.mesh.mesh}", mesh_lines(status, inside(width), now_ms), width)
    told = [line for sentence in story for line in prose(sentence, width, "bold")]
    beds = urgent_first(status.beds, now_ms)
    # From all of it to the beds alone, until the most urgent beds have room; what is told of the mesh makes way for a
    # live RED, but who leads does not.
    brief = mesh_sentence(status, width)
    stored, events = _stored(status, width), _events(status, width)
    for above, below in ((mesh, stored + events + told), (mesh, told), (brief, told), (brief, []), ([], [])):
        room = height - len(header) - len(above) - len(below) - len(footer) - len(box("beds", [], width))
        content, shown = _beds(status, beds, inside(width), max(1, room), now_ms)
        needed = max(BEDS_SHOWN_MIN, _live_red(beds, now_ms)) if above is mesh else BEDS_SHOWN_MIN
        if room >= len(content) and shown >= min(len(beds), needed):
            break
    framed = box("beds", content, width, "cyan" if live else "bold red")
    return _within([*header, *above, *framed, *below, *footer], height)


def is_live(status: BoardStatus, now_ms: int) -> bool:
    """Whether a good poll came within NOT_LIVE_AFTER_MS."""
    return status.polled_at_ms is not None and now_ms - status.polled_at_ms <= NOT_LIVE_AFTER_MS


def _beds(status: BoardStatus, beds: Sequence[Bed], width: int, height: int, now_ms: int) -> tuple[list[Text], int]:
    """Lines about the beds, and how many of them are shown; below them those of which only the heart rate is known:
    they make way for a live RED and for nothing else."""
    live = is_live(status, now_ms)
    pulses = {pulse.patient_id: pulse for pulse in status.pulses}
    alarms = of_each_bed(status.alarms.alarms)
    alone = [pulses[patient] for patient in pulses.keys() - {bed.patient_id for bed in beds}]
    if alone and not beds:
        return pulse_lines(alone, width, height, now_ms, live, alarms), 0
    found, shown = bed_lines(beds, status.thresholds, width, height, now_ms, live, pulses, alarms, status.whys)
    if not alone:
        return found, shown
    if len(found) >= height > 1:
        fewer = bed_lines(beds, status.thresholds, width, height - 1, now_ms, live, pulses, alarms, status.whys)
        if len(fewer[0]) < height and fewer[1] >= min(shown, _live_red(beds, now_ms)):
            found, shown = fewer
    if len(found) < height:
        found = [*found, *pulse_lines(alone, width, height - len(found), now_ms, live, alarms)]
    return found, shown


def _live_red(beds: Sequence[Bed], now_ms: int) -> int:
    return sum(bed.report.tier == RED and not is_stale(bed, now_ms) for bed in beds)


def _header(status: BoardStatus, width: int, now_ms: int) -> list[Text]:
    since = now_ms - (status.started_at_ms if status.polled_at_ms is None else status.polled_at_ms)
    trouble: list[Text] = []
    if is_live(status, now_ms):
        state = [text(" LIVE ", "bold black on green")]
    elif since <= NOT_LIVE_AFTER_MS and not status.failure:
        state = [text(" CONNECTING ", "bold black on yellow")]
    else:
        never = status.polled_at_ms is None
        why = f"no answer {'yet' if never else 'for'}" + ("" if never else f" {since // 1000} s")
        state = [text(" NOT LIVE ", "bold white on red blink"), text(why, "bold red")]
        trouble = prose(status.trouble, width, "bold red")
    clock = datetime.fromtimestamp((now_ms + status.wall_minus_mono_ms) / 1000).strftime("%H:%M:%S")
    counts = bed_badges(status.beds, now_ms)
    counts += marks.header((marks.flags_of(bed.report.flags) for bed in status.beds), width)
    found = flow([text("hfzmq", "bold"), *state, *counts, header_words(status.alarms), text(clock, "dim")], width)
    return [*found, *trouble]


def _stored(status: BoardStatus, width: int) -> list[Text]:
    chief = best_informed(status.mesh)
    return prose(f"peer {chief.id}: {heart_rates(chief)}", width, "dim") if chief and heart_rates(chief) else []


def _events(status: BoardStatus, width: int) -> list[Text]:
    found: list[Text] = []
    for event in status.events[-EVENT_LINES:]:
        at = datetime.fromtimestamp(event.at_ms / 1000).strftime("%H:%M:%S")
        who = f"peer {event.peer_id}"
        told = event.text if event.text.startswith(who) else f"{who}: {event.text}"
        found += prose(f"{at} {printable(told)}", width, "dim")
    return found


def _within(found: list[Text], height: int) -> list[Text]:
    # Only reached on a screen too low for the header, one bed and the footer: whole lines go, never parts of one.
    return found if len(found) <= height else [*found[: max(1, height - 1)], found[-1]][:height]
