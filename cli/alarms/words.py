"""Alarms in words and signs: what people read, on any screen.

Touches nothing: the time comes in. Keeps: colour is never the only signal (each cause has a sign and a word); a value
has its unit, a heart rate in full, a risk as on every screen; an age is never made up where two clocks disagree.
"""

from __future__ import annotations

from typing import NamedTuple

from hfzmq.cli.format import cell, local_time, printable
from hfzmq.cli.marks import RAW_DAY
from hfzmq.cli.screens.words import NO_DATA_BADGE, TIER_BADGES, Badge, duration, probability, rates, risk
from hfzmq.clinical import tiers
from hfzmq.clinical.alarm import types as t
from hfzmq.clinical.alarm.notes import read_note
from hfzmq.clinical.alarm.types import Episode
from hfzmq.config import Thresholds

CAUSE_BADGES = {
    t.RED: TIER_BADGES[tiers.RED],
    t.HEART_RATE: Badge("♥", "HEART RATE", "bold white on magenta"),
    t.NO_DATA: NO_DATA_BADGE,
    t.AMBER: TIER_BADGES[tiers.AMBER],
}
CLOCKS_APART_MS = 2_000  # two machines' clocks may differ by so much without a word
LATCHED = "cause over, not seen"
LATCHED_WORDS = (
    f"{LATCHED}: nobody acknowledged it while its cause was on, so it stays open and escalates until somebody does"
)
HEADS = ("alarm", "cause", "patient", "state", "value", "since", "age", "step", "delivered")

_SEEN_RANK = {t.UNACKNOWLEDGED: 0, t.RETURNED: 0, t.ACKNOWLEDGED: 1, t.NORMAL: 2}
_SPEAKS_FOR_ITSELF = {"", t.RED, t.AMBER, t.HEART_RATE, t.NO_DATA}


class Urgency(NamedTuple):
    """Sorts episodes, the most urgent first: unseen, seen, over; by cause; the oldest."""

    seen: int
    cause: int
    since_ms: int
    id: int


def urgency(episode: Episode) -> Urgency:
    """For ``sorted``."""
    cause = t.CAUSES.index(episode.cause)
    return Urgency(_SEEN_RANK[episode.state], cause, episode.raised_at_ms, episode.id)


def cause_words(cause: str, note: str = "") -> str:
    """``■ RED``, ``♥ HEART RATE high``; a RED that was raised because nothing is known says so."""
    if cause not in CAUSE_BADGES:
        return printable(cause)
    return f"{CAUSE_BADGES[cause]}{_more(note)}"


def _more(note: str) -> str:
    told = read_note(note).tier
    return "" if told in _SPEAKS_FOR_ITSELF else " not known" if told == tiers.UNKNOWN else f" {printable(told)}"


def state_words(episode: Episode) -> str:
    """Whether somebody has seen it, and whether it is over."""
    if episode.state == t.UNACKNOWLEDGED:
        return "not seen"
    if episode.state == t.ACKNOWLEDGED:
        return f"seen by {printable(episode.acknowledged_by)}"
    if episode.state == t.RETURNED:
        return LATCHED
    return how_words(episode.resolved_how, episode.resolved_by or episode.acknowledged_by)


def how_words(how: str, by: str) -> str:
    """How an alarm came to be normal."""
    who = f" by {printable(by)}" if by else ""
    if how == t.SEEN:
        return f"over, seen{who}"
    if how == t.RESOLVED:
        return f"resolved{who}"
    if how == t.FOLDED:
        return "became RED"
    if how == t.DISCHARGED:
        return f"discharged{who}"
    return f"{printable(how)}{who}"


def value_words(
    cause: str,
    value: float | None,
    note: str,
    thresholds: Thresholds,
    least: float | None = None,
    most: float | None = None,
) -> str:
    """The number with what it is: ``risk 0.71``, ``? 0.03-0.66``, ``139.25 bpm``, ``35-152 bpm, last 72``; '' where
    there is none. A risk has the digits that keep it in its tier; in full it is in ``-o json``."""
    if value is None:
        return ""
    if cause == t.HEART_RATE:
        return rates(value, least, most)
    return doubt_words(value, note, thresholds) or f"risk {probability(value, thresholds)}"


def doubt_words(value: float | None, note: str, thresholds: Thresholds) -> str:
    """Of a risk that nobody may read as one number of today: ``? 0.03-0.66`` because a value is missing, ``risk 0.71
    RAW DAY``; '' for any other."""
    told = read_note(note)
    if value is None or not (told.raw_day or told.tier == tiers.UNKNOWN):
        return ""
    if told.tier != tiers.UNKNOWN:
        shown = f"risk {probability(value, thresholds)}"
    else:
        shown = (
            f"? up to {probability(value, thresholds)}"
            if told.low is None
            else f"? {risk(told.low, value, thresholds)}"
        )
    return f"{shown} {RAW_DAY}" if told.raw_day else shown


def log_clock(told_ms: int | None, wall_ms: int) -> tuple[int, str]:
    """What stamps are compared with: the log's clock, this machine's where nobody tells; what to say where they differ,
    else ''."""
    now_ms = wall_ms if told_ms is None else told_ms
    if now_ms - wall_ms <= CLOCKS_APART_MS:
        return now_ms, ""
    ahead = f"the log's clock is {duration(now_ms - wall_ms)} ahead of this machine's, and so are the times here"
    return now_ms, f"note: {ahead}; ages are by the log's clock"


def age_words(episode: Episode, now_ms: int) -> str:
    """How long ago it was raised, ``now_ms`` being the log's clock; how long it lasted, when it is over."""
    if episode.resolved_at_ms is not None:
        return f"lasted {duration(episode.resolved_at_ms - episode.raised_at_ms)}"
    age_ms = now_ms - episode.raised_at_ms
    return duration(age_ms) if age_ms >= -CLOCKS_APART_MS else f"clocks differ by {duration(-age_ms)}"


def delivered_words(episode: Episode) -> str:
    """By which channels people were told: ``log (step 1), pager (step 2); failing: mail (step 2)``."""
    told = ", ".join(_delivery(label) for label in episode.sent) or ("nothing yet" if episode.step else "")
    failing = ", ".join(_delivery(label) for label in episode.failing)
    return f"{told}; failing: {failing}" if failing else told


def alarm_cells(episode: Episode, now_ms: int, thresholds: Thresholds) -> tuple[str, ...]:
    """In the order of HEADS."""
    return (
        str(episode.id),
        cause_words(episode.cause, episode.note),
        cell(episode.patient_id),
        state_words(episode),
        value_words(episode.cause, episode.value, episode.note, thresholds, episode.least, episode.most),
        local_time(episode.raised_at_ms),
        age_words(episode, now_ms),
        str(episode.step),
        delivered_words(episode),
    )


def event_words(what: str, detail: str) -> str:
    """One line of the journal as a sentence."""
    if what == t.RAISED:
        told = _more(detail).lstrip() + (f" {RAW_DAY}" if read_note(detail).raw_day else "")
        return f"raised: {told.lstrip()}" if told else "raised"
    if what == t.MISSING:
        return f"missing by now: {printable(detail)}"
    if what == t.RECURRED:
        return "came again before anybody had seen it"
    if what == t.CAUSE_ENDED:
        return "its cause is over"
    if what == t.WAS_ACKNOWLEDGED:
        return f"seen by {printable(detail)}"
    if what == t.ESCALATED:
        return f"escalation reached step {printable(detail)}"
    if what == t.ENDED:
        how, _, by = detail.partition(" ")
        return f"ended: {how_words(how, by)}"
    if what == t.SENT:
        label, _, tries = detail.partition(" ")
        return f"delivered by {_delivery(label)} {printable(tries)}".rstrip()
    if what == t.FAILED:
        label, _, why = detail.partition(" ")
        failed = f"could not be delivered by {_delivery(label)}"
        return (f"{failed}: {printable(why)}" if why else failed) + "; it is tried again"
    if what == t.DISCHARGED:
        return f"discharged: {printable(detail)}"
    return f"{printable(what)} {printable(detail)}".rstrip()


def _delivery(label: str) -> str:
    step, apart, channel = label.partition(":")
    return f"{printable(channel)} (step {printable(step)})" if apart else printable(label)
