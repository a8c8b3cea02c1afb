"""The note of a RED or AMBER episode: the tier that was told last, and what else has to stand beside its number.

Touches nothing. Keeps: one word for what is known, as it always was; what is not known says how low it can be, so that
nobody reads the upper end alone; a number by the raw day says so. Read back, a note says what it was made of.
"""

from __future__ import annotations

from typing import NamedTuple

from hfzmq.clinical.report import DAY_RAW, low_of
from hfzmq.clinical.tiers import UNKNOWN

RAW_DAY = "raw day"


class Note(NamedTuple):
    """``tier``: the first word; ``low``: of UNKNOWN, the lower end (None: not told); ``raw_day``: see ``day_raw``."""

    tier: str
    low: float | None = None
    raw_day: bool = False


def note_of(tier: str, probability: float, flags: str) -> str:
    """``RED``; ``UNKNOWN 0.031207``; ``RED raw day``."""
    if tier != UNKNOWN and DAY_RAW not in flags:  # nearly always, and at once
        return tier
    words = [tier]
    low = low_of(probability, flags)
    if tier == UNKNOWN and low < probability:
        words.append(f"{low:.6f}")
    if DAY_RAW in flags.split(","):
        words.append(RAW_DAY)
    return " ".join(words)


def read_note(note: str) -> Note:
    """What ``note_of`` made, and any other note as the tier that it is not."""
    raw_day = note.endswith(f" {RAW_DAY}")
    rest = note.removesuffix(f" {RAW_DAY}")
    tier, _, low = rest.partition(" ")
    if tier != UNKNOWN:
        return Note(rest, None, raw_day)
    try:
        return Note(tier, float(low) if low else None, raw_day)
    except ValueError:
        return Note(rest, None, raw_day)
