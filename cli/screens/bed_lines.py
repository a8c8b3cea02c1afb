"""The board's lines about the beds: the most urgent first, every number whole, every age said.

Touches nothing. Must not know: the mesh. Keeps: every live RED stands before everything else, and what was RED when it
fell silent before all that is better known to be; a probability and the
five vitals of a shown bed are complete at any width; a reading older than STALE_AFTER_MS is dimmed and says STALE, and
a silent GREEN bed does not look calm; a bed that does not fit is counted by its tier, a stale one as STALE.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from rich.text import Text

from hfzmq.cli import marks
from hfzmq.cli.bed_view import Bed
from hfzmq.cli.format import printable
from hfzmq.cli.pulse_view import Pulses
from hfzmq.cli.screens.alarm_words import NO_ALARMS, OfBeds, bed_cell
from hfzmq.cli.screens.canvas import Column, columns, flow, prose, text
from hfzmq.cli.screens.pulses import pulse_text
from hfzmq.cli.screens.why_lines import why_cell, why_lines
from hfzmq.cli.screens.words import (
    NO_DATA,
    STALE_AFTER_MS,
    STALE_BADGE,
    TIER_BADGES,
    Badge,
    direction,
    duration,
    risk,
    sparkline,
    tier_badge,
    vital_text,
)
from hfzmq.cli.why import SHORT, Why
from hfzmq.clinical.report import VITALS, is_range, low_of
from hfzmq.clinical.tiers import AMBER, GREEN, RED, UNKNOWN
from hfzmq.config import Thresholds

STALE = "STALE"  # counted apart: what a silent bed said last is no tier of now
# The most urgent first: nothing may push a live RED off the screen, and what is not known may be RED.
ORDER = (RED, UNKNOWN, AMBER, STALE, GREEN)
BADGES = TIER_BADGES | {STALE: STALE_BADGE}
URGENCY = (  # (how it is counted, what is shown): not knowing comes before a known AMBER
    (RED, RED), (UNKNOWN, UNKNOWN), (STALE, RED), (STALE, UNKNOWN), (AMBER, AMBER), (STALE, AMBER), (STALE, NO_DATA),
    (GREEN, GREEN),
)  # fmt: skip
LONG = {
    "age": "age",
    "serum_sodium": "sodium",
    "serum_creatinine": "creatinine",
    "ejection_fraction": "EF",
    "day": "day",
}
UNITS = {vital.name: "" if vital.name == "day" else vital.unit for vital in VITALS}  # a day is its own unit


def shown_tier(bed: Bed, now_ms: int) -> str:
    """The tier to show: NO_DATA for a bed that was GREEN and has fallen silent."""
    if bed.report.tier == GREEN and is_stale(bed, now_ms):
        return NO_DATA
    return bed.report.tier if bed.report.tier in TIER_BADGES else UNKNOWN


def is_stale(bed: Bed, now_ms: int) -> bool:
    """Whether nothing was heard for longer than STALE_AFTER_MS."""
    return now_ms - bed.heard_at_ms > STALE_AFTER_MS


def urgent_first(beds: Iterable[Bed], now_ms: int) -> list[Bed]:
    """By URGENCY, each by falling probability."""

    def urgency(bed: Bed) -> tuple[int, float, str]:
        place = URGENCY.index((_class(bed, now_ms), shown_tier(bed, now_ms)))
        return place, -bed.report.probability, bed.patient_id

    return sorted(beds, key=urgency)


def bed_counts(beds: Sequence[Bed], now_ms: int) -> str:
    """``2 RED, 1 AMBER, 3 STALE (1 was RED)``; ``all GREEN`` when there is but one tier and nothing to add."""
    parts = [f"{count} {badge.word}" for count, badge in _counted(beds, now_ms)]
    fallen = sum(is_stale(bed, now_ms) and bed.report.tier == RED for bed in beds)
    if fallen:
        was = f"({fallen} {'was' if fallen == 1 else 'were'} RED)"
        return ", ".join(f"{part} {was}" if part.endswith(STALE) else part for part in parts)
    return f"all {parts[0].split(' ', 1)[1]}" if len(parts) == 1 and len(beds) > 1 else ", ".join(parts)


def bed_badges(beds: Iterable[Bed], now_ms: int) -> list[Text]:
    """How many live beds there are of each tier and how many stale ones, the most urgent first."""
    return [text(f" {badge.sign} {count} {badge.word} ", badge.style) for count, badge in _counted(beds, now_ms)]


def _class(bed: Bed, now_ms: int) -> str:
    return STALE if is_stale(bed, now_ms) else shown_tier(bed, now_ms)


def _counted(beds: Iterable[Bed], now_ms: int) -> list[tuple[int, Badge]]:
    classes = Counter(_class(bed, now_ms) for bed in beds)
    return [(classes[one], BADGES[one]) for one in ORDER if one in classes]


def bed_lines(
    beds: Sequence[Bed],
    thresholds: Thresholds,
    width: int,
    height: int,
    now_ms: int,
    live: bool,
    pulses: Pulses = MappingProxyType({}),
    alarms: OfBeds = NO_ALARMS,
    whys: Mapping[str, Why] = MappingProxyType({}),
) -> tuple[list[Text], int]:
    """Lines of ``width`` cells about ``beds``, which come the most urgent first, and how many beds are shown.
    ``pulses``: the beds' heart rates, ``alarms``: what is open of them, ``whys``: what moved their probability most,
    all by patient. A why has a column where there is room, else a line of its own if all beds have room with it.

    At most ``height`` lines, unless the sentence that counts the beds takes more by itself.
    """
    if not beds:
        return [text("no bed has been heard of yet", "dim")], 0
    visible = beds[:height]
    cells = [bed_cell(alarms.get(bed.patient_id, ())) for bed in visible]
    table = _table(visible, cells, thresholds, width, now_ms, live, pulses, whys)
    if table is None:
        both = zip(visible, cells, strict=True)
        head, blocks = [], [_stacked(*one, thresholds, width, now_ms, live, pulses) for one in both]
    else:
        head, blocks = table[0], [[row] for row in table[1]]
    if table is None or not table[2]:
        told = [why_lines(whys.get(bed.patient_id, ()), width) for bed in visible]
        if len(head) + sum(map(len, blocks)) + sum(map(len, told)) <= height and len(visible) == len(beds):
            blocks = [block + why for block, why in zip(blocks, told, strict=True)]
    for shown in range(len(blocks), 0, -1):
        found = [*head, *(line for block in blocks[:shown] for line in block)]
        if len(found) >= height + (shown == len(beds)):
            continue  # no room, before counting the rest
        found += _rest(beds[shown:], "more", width, now_ms)
        if len(found) <= height:
            return found, shown
    return _rest(beds, "", width, now_ms), 0


def _rest(rest: Sequence[Bed], more: str, width: int, now_ms: int) -> list[Text]:
    if not rest:
        return []
    style = "bold white on red" if any(shown_tier(bed, now_ms) == RED for bed in rest) else "bold"
    words = f"{'+' if more else ''}{len(rest)} {more} {'bed' if len(rest) == 1 else 'beds'}, {bed_counts(rest, now_ms)}"
    return prose(words, width, style)


class Look(NamedTuple):
    """One way to lay beds out as a table, from roomy to tight."""

    names: dict[str, str]  # of the vitals
    points: int  # of the sparkline
    words: bool  # rising, falling, steady; not only the arrow
    two_heads: bool  # units on a second line
    gap: int


LOOKS = (
    Look(LONG, 20, True, False, 3),
    Look(LONG, 8, True, False, 2),
    Look(SHORT, 8, True, False, 2),
    Look(SHORT, 8, True, True, 2),
    Look(SHORT, 8, False, True, 1),
    Look(SHORT, 0, True, True, 1),
    Look(SHORT, 0, False, True, 1),
)
LOOKS_WITH_WHY = 5  # the tighter ones have no room for words


def _heads(look: Look, with_pulse: bool, with_alarm: bool) -> list[Column]:
    between = "\n" if look.two_heads else " "
    vitals = [Column(between.join(filter(None, (look.names[name], unit))), right=True) for name, unit in UNITS.items()]
    trend = Column("trend" if look.points or look.words else "")
    pulse = [Column(between.join(("HR", "bpm")))] if with_pulse else []
    alarm = [Column("alarm")] if with_alarm else []
    return [Column("tier"), Column("bed"), *alarm, Column("risk", right=True), trend, *pulse, *vitals, Column("heard")]


def _table(
    beds: Sequence[Bed],
    alarms: Sequence[Text],
    thresholds: Thresholds,
    width: int,
    now_ms: int,
    live: bool,
    pulses: Pulses,
    whys: Mapping[str, Why],
) -> tuple[list[Text], list[Text], bool] | None:
    """Head lines, rows, and whether the whys have a column."""
    vitals = _point_aligned([list(vital_texts(bed).values()) for bed in beds])
    with_pulse = any(bed.patient_id in pulses for bed in beds)
    with_alarm = any(alarm.plain for alarm in alarms)
    why_cells = [why_cell(whys.get(bed.patient_id, ())) for bed in beds]
    looks = [(look, True) for look in LOOKS[:LOOKS_WITH_WHY] if any(cell.plain for cell in why_cells)]
    for look, with_why in [*looks, *((look, False) for look in LOOKS)]:
        rows = []
        for bed, alarm, values in zip(beds, alarms, vitals, strict=True):
            calm = _calm(bed, now_ms, live)
            cells = [
                _tier(bed, thresholds, now_ms, live),
                text(printable(bed.patient_id), calm or "bold"),
                *([alarm] if with_alarm else []),
                text(risk_text(bed, thresholds), calm or "bold"),
                _trend(bed, look.points, look.words, calm),
            ]
            if with_pulse:
                cells.append(pulse_text(pulses.get(bed.patient_id), now_ms, live))
            cells += [text(value, calm) for value in values]
            rows.append([*cells, _heard(bed, now_ms, look.gap > 1)])
        heads = _heads(look, with_pulse, with_alarm)
        if with_why:
            heads.append(Column("why: moved risk by"))
            rows = [[*row, why] for row, why in zip(rows, why_cells, strict=True)]
        found = columns(heads, rows, width, look.gap)
        if found is not None:
            return *found, with_why
    return None


def _point_aligned(rows: list[list[str]]) -> list[list[str]]:
    """Numbers of a column with blanks behind them, so that their decimal points stand below each other."""

    def behind(value: str) -> int:  # the point and what follows
        return len(value) - len(value.split(".")[0])

    most = [max(map(behind, column)) for column in zip(*rows, strict=True)]
    return [[value + " " * (m - behind(value)) for value, m in zip(row, most, strict=True)] for row in rows]


def _stacked(
    bed: Bed, alarm: Text, thresholds: Thresholds, width: int, now_ms: int, live: bool, pulses: Pulses
) -> list[Text]:
    calm = _calm(bed, now_ms, live)
    head = [
        _tier(bed, thresholds, now_ms, live),
        text(risk_text(bed, thresholds), calm or "bold"),
        _trend(bed, 0, True, calm),
        text(printable(bed.patient_id), calm or "bold"),
        text("alarm ") + alarm if alarm.plain else alarm,
        _heard(bed, now_ms, True),
    ]
    vitals = [text(f"{SHORT[name]} {value} {UNITS[name]}".rstrip(), calm) for name, value in vital_texts(bed).items()]
    pulse = pulses.get(bed.patient_id)
    if pulse is not None:
        rate = text("HR bpm ", calm)
        vitals.insert(0, rate.append_text(pulse_text(pulse, now_ms, live)))
    body = [text("  ") + line for line in flow(vitals, width - 2)]
    return flow(head, width, indent=2) + body


def vital_texts(bed: Bed) -> dict[str, str]:
    """The five vitals in full, by name, in the order of VITALS."""
    return {vital.name: vital_text(getattr(bed.report, vital.name)) for vital in VITALS}


def risk_text(bed: Bed, thresholds: Thresholds) -> str:
    """Its probability, or the two ends of it, with its marks."""
    number = risk(low_of(bed.report.probability, bed.report.flags), bed.report.probability, thresholds)
    return marks.short(marks.flags_of(bed.report.flags)) + number


def _calm(bed: Bed, now_ms: int, live: bool) -> str:
    return "dim" if is_stale(bed, now_ms) or not live else ""


def _tier(bed: Bed, thresholds: Thresholds, now_ms: int, live: bool) -> Text:
    high = bed.report.probability
    badge = tier_badge(shown_tier(bed, now_ms), low_of(high, bed.report.flags), high, thresholds)
    if not _calm(bed, now_ms, live):
        return text(str(badge), badge.style)
    return text(str(badge), "bold red" if bed.report.tier == RED else "dim")  # a RED that fell silent is no calmer


def _trend(bed: Bed, points: int, words: bool, calm: str) -> Text:
    if is_range(bed.report.probability, bed.report.flags):
        return text("")  # between two ends it neither rises nor falls
    probabilities = tuple(p for _, p in bed.trend)
    way = direction(probabilities)
    found = text("", calm)
    if points:
        found.append(sparkline(probabilities[-points:]).rjust(points, " ") + " ")
    found.append(f"{way.sign} {way.word}" if words else way.sign, way.style)
    return found


def _heard(bed: Bed, now_ms: int, was: bool) -> Text:
    said = f"{duration(now_ms - bed.heard_at_ms)} ago"
    found = text("")
    if is_stale(bed, now_ms):
        found.append("STALE ", "bold")
        if was and bed.report.tier == GREEN:
            said = f"{said}, was GREEN"
    found.append(said if bed.seen else f"reported {said}", "dim" if is_stale(bed, now_ms) else "")
    return found
