"""The words, signs and colours that every screen shares: tiers, roles, ages, probabilities.

Touches nothing. Keeps: colour is never the only signal (each tier has a sign and a word); a probability is shown with
as many digits as it takes to stay in its tier, so that nobody reads 0.60 beside AMBER; what was not measured is '?',
and a risk that it leaves open is shown by both of its ends; the last heart rate of an alarm never stands for all.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from hfzmq.cli.format import number
from hfzmq.clinical.tiers import AMBER, GREEN, RED, UNKNOWN, tier_of
from hfzmq.config import Thresholds

STALE_AFTER_MS = 10_000
SPARKS = "▁▂▃▄▅▆▇█"
STEADY_WITHIN = 0.03  # of probability: less than what one lab value's rounding moves


class Badge(NamedTuple):
    """How a tier or a role looks: its sign, its word, its style for rich."""

    sign: str
    word: str
    style: str

    def __str__(self) -> str:
        return f"{self.sign} {self.word}"


TIER_BADGES = {
    RED: Badge("■", "RED", "bold white on red"),
    AMBER: Badge("▲", "AMBER", "bold black on yellow"),
    GREEN: Badge("●", "GREEN", "bold green"),
    UNKNOWN: Badge("?", "UNKNOWN", "bold black on white"),
}
NO_DATA = "NO DATA"  # no tier: nothing has been heard, or not for long
NO_DATA_BADGE = Badge("✕", NO_DATA, "bold black on white")
BADGES = TIER_BADGES | {NO_DATA: NO_DATA_BADGE}
STALE_BADGE = Badge("✕", "STALE", "bold black on white")
ROLE_BADGES = {
    "leader": Badge("★", "leader", "bold green"),
    "follower": Badge("○", "follower", ""),
    "candidate": Badge("◇", "candidate", "yellow"),
    "precandidate": Badge("◇", "precandidate", "yellow"),
}
LEARNER_BADGE = Badge("◔", "learner", "yellow")
ASKING_BADGE = Badge("?", "asks to join", "yellow")
NO_MEMBER_BADGE = Badge("-", "no member", "dim")
OTHER_HISTORY_BADGE = Badge("!", "another history", "bold white on red")
UNREACHABLE = Badge("✕", "unreachable", "bold red")


def probability(value: float, thresholds: Thresholds, digits_least: int = 2) -> str:
    """``0.62``; more digits than ``digits_least`` only where that many would round it into another tier: 0.5996 is
    AMBER and not ``0.60``."""
    if not math.isfinite(value):
        return "no value"
    for digits in range(digits_least, 8):
        shown = f"{value:.{digits}f}"
        if tier_of(float(shown), thresholds) == tier_of(value, thresholds):
            return shown
    return repr(value)


def risk(low: float, high: float, thresholds: Thresholds, digits_least: int = 2) -> str:
    """``0.62``; ``0.12-0.71`` where it lies between two ends, because a value is missing and they read differently."""
    lowest, shown = probability(low, thresholds, digits_least), probability(high, thresholds, digits_least)
    return shown if lowest == shown else f"{lowest}-{shown}"


def tier_badge(tier: str, low: float, high: float, thresholds: Thresholds) -> Badge:
    """The badge of a tier (or NO_DATA); of an UNKNOWN between two ends, both tiers: ``? GREEN/RED``."""
    badge = BADGES[tier]
    ends = [tier_of(end, thresholds) for end in (low, high)]
    return badge._replace(word="/".join(ends)) if tier == UNKNOWN and ends[0] != ends[1] else badge


def rates(value: float, least: float | None, most: float | None) -> str:
    """The heart rates of an alarm, in full: ``132 bpm``; ``35-152 bpm, last 72`` where it was another one before, for
    the last alone may be a good one."""
    if least is None or most is None:
        return f"last {number(value)} bpm"
    if least == value == most:
        return f"{number(value)} bpm"
    return f"{number(least)}-{number(most)} bpm, last {number(value)}"


def vital_text(value: float | None) -> str:
    """A number in full; ``?`` for what was not measured."""
    return "?" if value is None else number(value)


def duration(age_ms: int) -> str:
    """An age in the largest unit that still says something: ``95 s``, ``5 min``, ``3 h``, ``4 d``; rounded down."""
    seconds = max(0, age_ms) // 1000
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 120 * 60:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 48 * 3600 else f"{seconds // 86400} d"


def sparkline(probabilities: tuple[float, ...]) -> str:
    """One block a point, on the fixed scale 0 to 1."""
    return "".join(SPARKS[min(len(SPARKS) - 1, max(0, int(p * len(SPARKS))))] for p in probabilities)


def direction(probabilities: tuple[float, ...]) -> Badge:
    """Rising, falling or steady: the last point against the mean of up to four before it; '' for a single point."""
    if len(probabilities) < 2:
        return Badge("·", "new", "")
    before = probabilities[-5:-1]
    change = probabilities[-1] - sum(before) / len(before)
    if abs(change) < STEADY_WITHIN:
        return Badge("→", "steady", "")
    return Badge("↑", "rising", "bold") if change > 0 else Badge("↓", "falling", "")
