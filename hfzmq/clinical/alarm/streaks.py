"""How long a cause has to last before it is on, and what ends it: the streaks of one bed.

Touches the bed it is handed, nothing else. Must not know: episodes, who acknowledged what. Keeps: a gap pauses a streak
and never resets it: beyond ``gap_ms`` without a reading its time stands still, its count stays. UNKNOWN counts as its
upper end, which is its probability, and ends nothing; one whose probability would be GREEN contradicts
itself, and counts as RED.

A streak's time may run out without a reading (AMBER: one reading, then nothing for ``amber_ms``), if that is no gap
yet. A heart rate is never raised by time alone: one reading outside the range is no streak.
"""

from __future__ import annotations

from hfzmq.clinical.alarm.beds import BedState
from hfzmq.clinical.alarm.rules import AlarmRules
from hfzmq.clinical.alarm.types import AMBER_BIT, RATE_BIT, RED_BIT
from hfzmq.clinical.tiers import UNKNOWN


def stays(bed: BedState, rules: AlarmRules, probability: float, tier: str) -> bool:
    """Take one judgement in if it turns nothing and no streak begins, runs or ends: nearly each one of a bed whose
    AMBER is on, whatever RED is. False: it is another one, and nothing was done; the three below take it in."""
    if bed.active & RED_BIT:
        red_stays = probability >= rules.red_off
    else:
        red_stays = probability < rules.red_on and not bed.red_count
    if bed.active & AMBER_BIT and tier != UNKNOWN and probability >= rules.amber_off and red_stays:
        _count_amber(bed, rules, probability >= rules.amber_on)
        return True
    return False


def red_turns(bed: BedState, rules: AlarmRules, probability: float, tier: str) -> bool:
    """Take one judgement in; True when RED has just come on or gone off (``bed.active`` says which)."""
    on = probability >= rules.red_on or (tier == UNKNOWN and probability < rules.amber_on)
    off = tier != UNKNOWN and probability < rules.red_off
    if bed.active & RED_BIT:
        if off:
            bed.active &= ~RED_BIT
            bed.red_count = 0
        return off
    if on:
        bed.red_count += 1
        if bed.red_count >= rules.red_readings:
            bed.active |= RED_BIT
            return True
    elif off:
        bed.red_count = 0
    return False


def amber_ends(bed: BedState, rules: AlarmRules, probability: float, tier: str) -> bool:
    """The first half of one judgement: True when AMBER has just gone off. It also ends a streak."""
    if tier == UNKNOWN or probability >= rules.amber_off:
        return False
    bed.amber_ms = bed.amber_at_ms = 0
    if not bed.active & AMBER_BIT:
        return False
    bed.active &= ~AMBER_BIT
    bed.amber_recent = 0
    return True


def amber_begins(bed: BedState, rules: AlarmRules, now: int, probability: float, tier: str) -> bool:
    """The second half: True when AMBER has just come on."""
    on = tier == UNKNOWN or probability >= rules.amber_on
    _count_amber(bed, rules, on)
    if bed.active & AMBER_BIT:
        return False
    if bed.amber_at_ms:
        bed.amber_ms += min(now - bed.amber_at_ms, rules.gap_ms)
        bed.amber_at_ms = now if on or probability >= rules.amber_off else 0
    elif on:
        bed.amber_at_ms = now
    enough = 0 < rules.amber_readings <= bin(bed.amber_recent).count("1")
    long = 0 < rules.amber_ms <= bed.amber_ms
    if (on and enough) or (bed.amber_at_ms and long):
        amber_set(bed)
        return True
    return False


def _count_amber(bed: BedState, rules: AlarmRules, on: bool) -> None:
    bed.amber_recent = (bed.amber_recent << 1 | on) & ((1 << rules.amber_window) - 1)


def amber_due_ms(bed: BedState, rules: AlarmRules) -> int | None:
    """When the AMBER streak will have lasted long enough by time alone; None: not before it is a gap."""
    if not bed.amber_at_ms or bed.active & AMBER_BIT or not rules.amber_ms:
        return None
    left = max(0, rules.amber_ms - bed.amber_ms)
    return bed.amber_at_ms + left if left <= rules.gap_ms else None


def amber_set(bed: BedState) -> None:
    """AMBER is on; the streak is over."""
    bed.active |= AMBER_BIT
    bed.amber_ms = bed.amber_at_ms = 0


def rate_turns(bed: BedState, rules: AlarmRules, now: int, inside: bool) -> bool:
    """Take one believable heart rate in, ``inside`` the valid range or not; True when HEART_RATE has just come on or
    gone off (``bed.active`` says which)."""
    if bed.active & RATE_BIT:
        bed.rate_back = bed.rate_back + 1 if inside else 0
        if bed.rate_back < rules.rate_back_readings:
            return False
        bed.active &= ~RATE_BIT
        bed.rate_back = 0
        return True
    if inside:
        bed.rate_count = bed.rate_ms = bed.rate_at_ms = 0
        return False
    if bed.rate_count:
        bed.rate_ms += min(now - bed.rate_at_ms, rules.gap_ms)
    bed.rate_count += 1
    bed.rate_at_ms = now
    if 0 < rules.rate_readings <= bed.rate_count or 0 < rules.rate_ms <= bed.rate_ms:
        bed.active |= RATE_BIT
        bed.rate_count = bed.rate_ms = bed.rate_at_ms = bed.rate_back = 0
        return True
    return False
