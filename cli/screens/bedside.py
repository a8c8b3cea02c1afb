"""The bedside's screen: beds, link, what happened. A pure function from a BedsideStatus to something rich can draw.

Touches nothing: status, size and time come in. Must not know: sockets, terminals, who measures. Keeps: a probability
and the five vitals of a shown bed are complete at any width, each with its unit (columns give way, then lines stack);
data older than 3 s and the interval say STALE, and a GREEN bed that has fallen silent does not look calm; what does not
fit in the height is counted by tier, the most urgent beds come first; without a sign of life from the work behind it,
the screen says NOT LIVE.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.text import Text

from hfzmq.cli.bedside.status import STORED, BedNow, BedsideStatus
from hfzmq.cli.format import number, printable
from hfzmq.cli.screens.big import big
from hfzmq.cli.screens.canvas import Column, box, columns, flow, inside, prose, text
from hfzmq.cli.screens.words import TIER_BADGES, Badge, direction, duration, probability, sparkline
from hfzmq.clinical.report import VITALS
from hfzmq.clinical.tiers import AMBER, GREEN, RED, UNKNOWN

STALE_AFTER_MS = 3_000  # and the interval between two readings
NOT_LIVE_AFTER_MS = 3_000
LOG_LINES = 6
BIG_WIDTH = 44
DISCLAIMER = "research software, not a medical device"

ORDER = (RED, UNKNOWN, AMBER, GREEN)  # the most urgent first; not knowing comes before a known AMBER
_LINKS = {
    "connected": Badge("●", "connected", "bold green"),
    "searching": Badge("○", "searching for the mesh", "bold yellow"),
    "no quorum": Badge("✕", "no quorum: reports wait here", "bold red"),
}


def bedside(status: BedsideStatus, width: int, height: int | None = None, keys: str = "q quit") -> RenderableType:
    """The screen in exactly ``width`` columns and at most ``height`` lines (None: as many as it takes)."""
    return Group(*lines(status, width, height, keys))


def lines(status: BedsideStatus, width: int, height: int | None = None, keys: str = "q quit") -> list[Text]:
    """The screen's lines; see ``bedside``."""
    header = _header(status, width)
    link = _link(status, width)
    footer = flow([text(keys, "bold"), text(DISCLAIMER, "dim")], width)
    room = 10**6 if height is None else height
    beds = sorted(status.beds, key=lambda bed: _urgency(bed, status))
    for log_lines in (LOG_LINES, 2, 0):
        log = _log(status, width, log_lines)
        left = room - len(header) - len(link) - len(log) - len(footer) - len(box("beds", [], width))
        content, complete = _beds(beds, status, inside(width), max(1, left))
        if complete and len(content) <= left:
            break
    title = printable(status.beds[0].patient_id) if len(status.beds) == 1 else "beds"
    framed = box(title, content, width, "cyan" if is_live(status) else "bold red")
    found = [*header, *framed, *link, *log, *footer]
    # Only on a screen too low for header, one bed and footer: whole lines go, never a part of one.
    return found if len(found) <= room else [*found[: max(1, room - 1)], found[-1]][:room]


def is_live(status: BedsideStatus) -> bool:
    """Whether the work behind the screen gave a sign of life within NOT_LIVE_AFTER_MS."""
    return status.now_ms - status.turned_at_ms <= NOT_LIVE_AFTER_MS


def is_stale(bed: BedNow, status: BedsideStatus) -> bool:
    """Whether a bed's data are older than they should be; a bed without any is not stale, it has NO DATA."""
    return bed.vitals is not None and status.now_ms - bed.taken_at_ms > STALE_AFTER_MS + status.interval_ms


def shown_tier(bed: BedNow, status: BedsideStatus) -> str:
    """The tier to show: UNKNOWN (NO DATA) for a bed without data and for one that was GREEN and is stale."""
    if bed.vitals is None or (bed.tier == GREEN and is_stale(bed, status)):
        return UNKNOWN
    return bed.tier if bed.tier in TIER_BADGES else UNKNOWN


# ------------------------------------------------------------------------------------------------------------- the beds


class Look(NamedTuple):
    """One way to lay beds out as a table, from roomy to tight."""

    long_names: bool
    points: int  # of the sparkline
    words: bool  # rising, falling, steady; not only the arrow
    two_heads: bool  # the unit on a second line
    delivery: bool
    gap: int


_LOOKS = (
    Look(True, 20, True, False, True, 3),
    Look(True, 20, False, True, True, 2),
    Look(False, 20, False, True, True, 2),
    Look(False, 20, False, True, False, 1),
    Look(False, 10, False, True, False, 1),
    Look(False, 0, False, True, False, 1),
)
_SHORT = {"age": "age", "serum_sodium": "Na", "serum_creatinine": "creat", "ejection_fraction": "EF", "day": "day"}
_LONG = {
    "age": "age",
    "serum_sodium": "sodium",
    "serum_creatinine": "creatinine",
    "ejection_fraction": "ejection fraction",
    "day": "follow-up",
}


def _beds(beds: Sequence[BedNow], status: BedsideStatus, width: int, height: int) -> tuple[list[Text], bool]:
    """At most ``height`` lines about ``beds`` (but the sentence that counts them), and whether all are shown."""
    if not beds:
        return [text("no reading yet", "dim")], True
    if len(beds) == 1:
        for tall in (True, False):
            found = _single(beds[0], status, width, tall)
            if len(found) <= height:
                return found, True
    head, blocks = _table(beds, status, width) or ([], [_stacked(bed, status, width) for bed in beds])
    if len(head) + sum(map(len, blocks)) <= height:
        return [*head, *(line for block in blocks for line in block)], True
    for shown in range(len(blocks) - 1, 0, -1):
        found = [*head, *(line for block in blocks[:shown] for line in block)]
        found += _rest(beds[shown:], "more ", status, width)
        if len(found) <= height:
            return found, False
    return _rest(beds, "", status, width), False


def _rest(beds: Sequence[BedNow], more: str, status: BedsideStatus, width: int) -> list[Text]:
    tiers = [shown_tier(bed, status) for bed in beds]
    counts = ", ".join(f"{tiers.count(tier)} {TIER_BADGES[tier].word}" for tier in ORDER if tier in tiers)
    words = f"{'+' if more else ''}{len(beds)} {more}{'bed' if len(beds) == 1 else 'beds'}: {counts}"
    return prose(words, width, "bold white on red" if RED in tiers else "bold")


def _table(beds: Sequence[BedNow], status: BedsideStatus, width: int) -> tuple[list[Text], list[list[Text]]] | None:
    for look in _LOOKS:
        names = _LONG if look.long_names else _SHORT
        between = "\n" if look.two_heads else " "
        vitals = [Column(f"{names[vital.name]}{between}{vital.unit}", right=True) for vital in VITALS]
        heads = [
            Column("tier"),
            Column("bed"),
            Column("risk", right=True),
            Column("trend"),
            *vitals,
            Column("measured"),
        ]
        rows = []
        for bed in beds:
            style = _style(bed, status)
            cells = [_tier(bed, status), text(printable(bed.patient_id), "bold"), _risk(bed, status)]
            cells.append(_trend(bed, look.points, look.words, style))
            cells += [text(value, style) for value in _vitals(bed)]
            rows.append([*cells, _measured(bed, status), *([_delivery(bed)] if look.delivery else [])])
        found = columns([*heads, *([Column("mesh")] if look.delivery else [])], rows, width, look.gap)
        if found is not None:
            return found[0], [[row] for row in found[1]]
    return None


def _stacked(bed: BedNow, status: BedsideStatus, width: int) -> list[Text]:
    style = _style(bed, status)
    name = text(printable(bed.patient_id), "bold")
    head = [_tier(bed, status), _risk(bed, status), name, _measured(bed, status), _trend(bed, 0, True, style)]
    body = flow([text(words, style) for words in _vitals_with_units(bed, _SHORT)], width - 2)
    return flow([*head, _delivery(bed)], width, indent=2) + [text("  ") + line for line in body]


def _single(bed: BedNow, status: BedsideStatus, width: int, tall: bool) -> list[Text]:
    """One patient, large: the tier and the probability for whoever stands at the door, then each vital in its line."""
    style = _style(bed, status)
    found = flow([_tier(bed, status), _measured(bed, status), _delivery(bed)], width)
    if bed.vitals is None:
        return found
    if tall and width >= BIG_WIDTH:
        colour = (
            "bold" if style else TIER_BADGES[shown_tier(bed, status)].style.replace("bold white on red", "bold red")
        )
        found += [text(""), *(text(row, colour) for row in big(probability(bed.probability, status.thresholds)))]
        found.append(text(""))
    study = text(f"by the raw day {probability(bed.probability_study, status.thresholds)}", "dim")
    found += flow([text("risk ") + _risk(bed, status), _trend(bed, len(bed.trend), True, style), study], width)
    if tall:
        name_width = max(map(len, _LONG.values()))
        value_width = max(map(len, _vitals(bed)))
        rows = []
        for vital, value in zip(VITALS, _vitals(bed), strict=True):
            row = text(f"{_LONG[vital.name]:<{name_width}}  ", "dim")
            row.append(f"{value:>{value_width}}", style or "bold").append(f" {vital.unit}")
            rows.append(row)
        if all(row.cell_len <= width for row in rows):
            found += [text(""), *rows]
        else:
            tall = False
    if not tall:
        found += flow([text(words, style) for words in _vitals_with_units(bed, _SHORT)], width)
    if bed.flags:
        found += prose("flags: " + ", ".join(map(printable, bed.flags)), width, "dim")
    return found


def _vitals(bed: BedNow) -> list[str]:
    """The five in full; a dash for each while there is no reading."""
    return ["-"] * len(VITALS) if bed.vitals is None else [number(value) for value in bed.vitals]


def _vitals_with_units(bed: BedNow, names: dict[str, str]) -> list[str]:
    if bed.vitals is None:
        return []
    shown = zip(VITALS, _vitals(bed), strict=True)
    return [
        f"{names[vital.name]} {value} {vital.unit if vital.name != 'day' else ''}".rstrip() for vital, value in shown
    ]


def _urgency(bed: BedNow, status: BedsideStatus) -> tuple[int, float, str]:
    return ORDER.index(shown_tier(bed, status)), -bed.probability, bed.patient_id


def _style(bed: BedNow, status: BedsideStatus) -> str:
    return "dim" if is_stale(bed, status) or not is_live(status) else ""


def _tier(bed: BedNow, status: BedsideStatus) -> Text:
    badge = TIER_BADGES[shown_tier(bed, status)]
    if not _style(bed, status):
        return text(str(badge), badge.style)
    return text(str(badge), "bold red" if bed.tier == RED else "dim")  # a RED that fell silent is no calmer


def _risk(bed: BedNow, status: BedsideStatus) -> Text:
    if bed.vitals is None:
        return text("-")
    return text(probability(bed.probability, status.thresholds), _style(bed, status) or "bold")


def _trend(bed: BedNow, points: int, words: bool, style: str) -> Text:
    if not bed.trend:
        return text("")
    way = direction(bed.trend)
    found = text(sparkline(bed.trend[-points:]).rjust(points, " ") + " " if points else "", style)
    return found.append(f"{way.sign} {way.word}" if words else way.sign, way.style)


def _measured(bed: BedNow, status: BedsideStatus) -> Text:
    if bed.vitals is None:
        return text("no reading yet", "dim")
    ago = f"{duration(status.now_ms - bed.taken_at_ms)} ago"
    if not is_stale(bed, status):
        return text(ago)
    found = text("STALE ", "bold")
    return found.append(ago + (", was GREEN" if bed.tier == GREEN else ""), "dim")


def _delivery(bed: BedNow) -> Text:
    return text(bed.delivery, "dim" if bed.delivery == STORED else "")


# ------------------------------------------------------------------------------------------------------- what is around


def _header(status: BedsideStatus, width: int) -> list[Text]:
    tiers = [shown_tier(bed, status) for bed in status.beds]
    counts = [(tiers.count(tier), TIER_BADGES[tier]) for tier in ORDER if tier in tiers]
    badges = [text(f" {badge.sign} {count} {badge.word} ", badge.style) for count, badge in counts]
    silent = (status.now_ms - status.turned_at_ms) // 1000
    state = [] if is_live(status) else [text(f" NOT LIVE for {silent} s ", "bold white on red")]
    clock = datetime.fromtimestamp(status.wall_ms / 1000).strftime("%H:%M:%S")
    who = text(f"bedside {printable(status.client_id)}", "bold")
    return flow([who, *state, *(badges if len(status.beds) > 1 else []), text(clock, "dim")], width)


def _link(status: BedsideStatus, width: int) -> list[Text]:
    state = status.state
    badge = _LINKS.get(state.link, Badge("○", state.link, "bold yellow"))
    where = "" if state.peer is None or state.link != "connected" else f" to peer {state.peer}"
    leader = "leader unknown" if state.leader is None else f"leader: peer {state.leader}"
    last = "" if state.last_ack_ms is None else f"last ack took {state.last_ack_ms} ms"
    parts = [
        text(f"{badge}{where}", badge.style),
        text(leader),
        text(f"{state.pending} queued", "bold yellow" if state.pending and state.link != "connected" else ""),
        text(f"{state.acked} acknowledged"),
        text(f"{state.rejected} rejected", "bold red") if state.rejected else text(""),
        text(last, "dim"),
    ]
    return flow(parts, width)


def _log(status: BedsideStatus, width: int, most: int) -> list[Text]:
    """The newest happenings, the newest last, in at most ``most`` whole lines."""
    found: list[Text] = []
    for line in reversed(status.log):
        at = datetime.fromtimestamp(line.at_ms / 1000).strftime("%H:%M:%S")
        told = prose(f"{at} {printable(line.words)}", width, "dim")
        if len(told) + len(found) > most:
            break
        found = told + found
    return found
