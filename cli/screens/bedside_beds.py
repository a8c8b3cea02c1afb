"""The beds on a bedside's screen: as a table, stacked, or one patient large.

Touches nothing. Must not know: the link, the log. Keeps: a probability and the five vitals of a shown bed are complete
at any width, each with its unit (columns give way, then lines stack); data older than 3 s and the interval say STALE,
and a GREEN bed that has fallen silent does not look calm; what does not fit in the height is counted by tier.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from rich.text import Text

from hfzmq.cli import marks
from hfzmq.cli.bedside.status import STORED, BedNow, BedsideStatus
from hfzmq.cli.format import printable
from hfzmq.cli.screens.big import big
from hfzmq.cli.screens.canvas import Column, columns, flow, prose, text
from hfzmq.cli.screens.why_lines import why_cell, why_lines
from hfzmq.cli.screens.words import (
    BADGES,
    NO_DATA,
    TIER_BADGES,
    direction,
    duration,
    risk,
    sparkline,
    tier_badge,
    vital_text,
)
from hfzmq.cli.why import SHORT
from hfzmq.clinical.report import VITALS, low_of, study_low_of
from hfzmq.clinical.tiers import AMBER, GREEN, RED, UNKNOWN

STALE_AFTER_MS = 3_000  # and the interval between two readings
NOT_LIVE_AFTER_MS = 3_000
BIG_WIDTH = 44
RISK_OF = "of death within about 90 days"
RAW_RISK_OF = "died by the end of that follow-up"

ORDER = (RED, UNKNOWN, NO_DATA, AMBER, GREEN)  # the most urgent first; not knowing comes before a known AMBER


class Alive(Protocol):
    """A status that says when it is drawn and when the work behind it last gave a sign of life (monotonic ms)."""

    @property
    def now_ms(self) -> int:
        """When it is drawn."""

    @property
    def turned_at_ms(self) -> int:
        """When the work was alive."""


def is_live(status: Alive) -> bool:
    """Whether the work behind the screen gave a sign of life within NOT_LIVE_AFTER_MS."""
    return status.now_ms - status.turned_at_ms <= NOT_LIVE_AFTER_MS


def is_stale(bed: BedNow, status: BedsideStatus) -> bool:
    """Whether a bed's data are older than they should be; a bed without any is not stale, it has NO DATA."""
    return bed.vitals is not None and status.now_ms - bed.taken_at_ms > STALE_AFTER_MS + status.interval_ms


def shown_tier(bed: BedNow, status: BedsideStatus) -> str:
    """The tier to show: NO_DATA for a bed without data and for one that was GREEN and is stale."""
    if bed.vitals is None or (bed.tier == GREEN and is_stale(bed, status)):
        return NO_DATA
    return bed.tier if bed.tier in TIER_BADGES else UNKNOWN


def urgency(bed: BedNow, status: BedsideStatus) -> tuple[int, float, str]:
    """A key that sorts the most urgent bed first."""
    return ORDER.index(shown_tier(bed, status)), -bed.probability, bed.patient_id


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
_LOOKS_WITH_WHY = 4  # the tighter ones have no room for words
_LONG = {
    "age": "age",
    "serum_sodium": "sodium",
    "serum_creatinine": "creatinine",
    "ejection_fraction": "ejection fraction",
    "day": "follow-up",
}


def bed_lines(beds: Sequence[BedNow], status: BedsideStatus, width: int, height: int) -> tuple[list[Text], bool]:
    """At most ``height`` lines about ``beds`` (but the sentence that counts them), and whether all are shown."""
    if not beds:
        return [text("no reading yet", "dim")], True
    if len(beds) == 1:
        for tall in (True, False):
            found = _single(beds[0], status, width, tall)
            if len(found) <= height:
                return found, True
    visible = beds[:height]  # a bed takes a line at least
    table = _table(visible, status, width)
    head, blocks, with_why = table or ([], [_stacked(bed, status, width) for bed in visible], False)
    told = [why_lines(bed.why, width) for bed in visible]
    roomy = len(head) + sum(map(len, blocks)) + sum(map(len, told)) <= height and len(visible) == len(beds)
    if roomy and not with_why:
        blocks = [block + why for block, why in zip(blocks, told, strict=True)]
    for shown in range(len(blocks), 0, -1):
        found = [*head, *(line for block in blocks[:shown] for line in block)]
        found += _rest(beds[shown:], "more ", status, width)
        if len(found) <= height:
            return found, shown == len(beds)
    return _rest(beds, "", status, width), False


def _rest(beds: Sequence[BedNow], more: str, status: BedsideStatus, width: int) -> list[Text]:
    if not beds:
        return []
    tiers = [shown_tier(bed, status) for bed in beds]
    counts = ", ".join(f"{tiers.count(tier)} {BADGES[tier].word}" for tier in ORDER if tier in tiers)
    words = f"{'+' if more else ''}{len(beds)} {more}{'bed' if len(beds) == 1 else 'beds'}: {counts}"
    return prose(words, width, "bold white on red" if RED in tiers else "bold")


def _table(
    beds: Sequence[BedNow], status: BedsideStatus, width: int
) -> tuple[list[Text], list[list[Text]], bool] | None:
    """Head lines, a block a bed, and whether the whys have a column."""
    looks = [(look, True) for look in _LOOKS[:_LOOKS_WITH_WHY] if any(bed.why for bed in beds)]
    for look, with_why in [*looks, *((look, False) for look in _LOOKS)]:
        names = _LONG if look.long_names else SHORT
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
            cells.append(_trend(bed, look.points, look.words, style, look.points > 0))
            cells += [text(value, style) for value in _vitals(bed)]
            rows.append([*cells, _measured(bed, status), *([_delivery(bed)] if look.delivery else [])])
        heads += [Column("mesh")] if look.delivery else []
        if with_why:
            heads.append(Column("why: moved risk by"))
            rows = [[*row, why_cell(bed.why)] for row, bed in zip(rows, beds, strict=True)]
        found = columns(heads, rows, width, look.gap)
        if found is not None:
            return found[0], [[row] for row in found[1]], with_why
    return None


def _stacked(bed: BedNow, status: BedsideStatus, width: int) -> list[Text]:
    style = _style(bed, status)
    name = text(printable(bed.patient_id), "bold")
    head = [_tier(bed, status), _risk(bed, status), name, _measured(bed, status), _trend(bed, 20, True, style)]
    body = flow([text(words, style) for words in _vitals_with_units(bed, SHORT)], width - 2)
    return flow([*head, _delivery(bed)], width, indent=2) + [text("  ") + line for line in body]


def _single(bed: BedNow, status: BedsideStatus, width: int, tall: bool) -> list[Text]:
    """One patient, large: the tier and the probability for whoever stands at the door, then each vital in its line."""
    style = _style(bed, status)
    found = flow([_tier(bed, status), _measured(bed, status), _delivery(bed)], width)
    if bed.vitals is None:
        return found
    if shown_tier(bed, status) == NO_DATA:  # no digits that a glance takes for those of now
        found += prose(_was(bed, status), width, "dim")
    else:
        found += _told(bed, status, width, tall)
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
        found += flow([text(words, style) for words in _vitals_with_units(bed, SHORT)], width)
    flags = marks.rest(bed.flags)
    if flags:
        found += prose("flags: " + ", ".join(map(printable, flags)), width, "dim")
    return found


def _told(bed: BedNow, status: BedsideStatus, width: int, tall: bool) -> list[Text]:
    """Its number, large where there is room, with what has to stand beside it, and why it is what it is."""
    style, raw = _style(bed, status), marks.is_raw(bed.flags)
    found = []
    large = _large(_risk_text(bed, status), width) if tall else []
    if large:
        colour = "bold" if style else BADGES[shown_tier(bed, status)].style.replace("bold white on red", "bold red")
        found += [text(""), *(text(row, colour) for row in large)]
        found.append(text(""))
    parts = [text("risk ") + text(_risk_text(bed, status), style or "bold")]
    if tall:
        parts.append(text(RAW_RISK_OF if raw else RISK_OF, "dim"))
    parts.append(_trend(bed, 20, True, style))
    if not raw:
        low = study_low_of(bed.probability_study, ",".join(bed.flags))
        parts.append(text(f"by the raw day {risk(low, bed.probability_study, status.thresholds)}", "dim"))
    found += flow(parts, width)
    for words in marks.words(bed.flags):
        found += prose(words, width, "bold")
    return found + why_lines(bed.why, width)


def _was(bed: BedNow, status: BedsideStatus) -> str:
    """What a bed that is silent said last, and when."""
    at = datetime.fromtimestamp((status.wall_ms - (status.now_ms - bed.taken_at_ms)) / 1000).strftime("%H:%M")
    return f"was {bed.tier} {marks.short(bed.flags)}{_risk_text(bed, status)} at {at}"


def _large(shown: str, width: int) -> list[str]:
    """A number in large digits; [] where it does not fit, or where one of its characters has no large form."""
    if width < BIG_WIDTH:
        return []
    try:
        rows = big(shown)
    except ValueError:
        return []
    return rows if max(map(len, rows)) <= width else []


def _vitals(bed: BedNow) -> list[str]:
    """The five in full; a dash for each while there is no reading."""
    return ["-"] * len(VITALS) if bed.vitals is None else [vital_text(value) for value in bed.vitals]


def _vitals_with_units(bed: BedNow, names: dict[str, str]) -> list[str]:
    if bed.vitals is None:
        return []
    shown = zip(VITALS, _vitals(bed), strict=True)
    return [
        f"{names[vital.name]} {value} {vital.unit if vital.name != 'day' else ''}".rstrip() for vital, value in shown
    ]


def _style(bed: BedNow, status: BedsideStatus) -> str:
    return "dim" if is_stale(bed, status) or not is_live(status) else ""


def _tier(bed: BedNow, status: BedsideStatus) -> Text:
    badge = tier_badge(shown_tier(bed, status), _low(bed), bed.probability, status.thresholds)
    if not _style(bed, status):
        return text(str(badge), badge.style)
    return text(str(badge), "bold red" if bed.tier == RED else "dim")  # a RED that fell silent is no calmer


def _risk(bed: BedNow, status: BedsideStatus) -> Text:
    if bed.vitals is None:
        return text("-")
    return text(marks.short(bed.flags) + _risk_text(bed, status), _style(bed, status) or "bold")


def _risk_text(bed: BedNow, status: BedsideStatus) -> str:
    return risk(_low(bed), bed.probability, status.thresholds)


def _low(bed: BedNow) -> float:
    """How low the probability can be; itself where nothing is missing."""
    return low_of(bed.probability, ",".join(bed.flags))


def _trend(bed: BedNow, points: int, words: bool, style: str, aligned: bool = False) -> Text:
    if not bed.trend or _low(bed) < bed.probability:  # between two ends it neither rises nor falls
        return text("")
    way = direction(bed.trend)
    blocks = sparkline(bed.trend[-points:] if points else ())
    found = text(blocks.rjust(points) + " " if aligned else f"{blocks} ".lstrip(), style)
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
