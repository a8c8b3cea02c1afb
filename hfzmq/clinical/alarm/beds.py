"""One bed while the alarms run: its row, mutable, and what can be found again from the rows.

Touches nothing. Keeps: ``row()`` holds all that cannot be found again; ``calm`` is True exactly when a valid heart rate
can change nothing but when the bed was last heard, which makes the common reading cheap; what is missing (``silent``)
is never waited for too (``awaited``).
"""

from __future__ import annotations

from hfzmq.clinical.alarm.types import MISSING_WORDS, NEVER_HEARD, RATE_BIT, RATE_GONE, RISK_GONE, SOURCES, Bed

UNHEARD = Bed("", False, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "", None, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def missing(silent: int) -> str:
    """What is missing, in words: ``no heart rate, no risk judgement``; '' for nothing."""
    return ", ".join(words for bit, words in MISSING_WORDS.items() if silent & bit)


def missing_for(bed: Bed, now_ms: int) -> str:
    """Likewise, and for how long: ``no heart rate for 12 s``; without that where there never was any."""
    last = {RATE_GONE: bed.beat_at_ms, RISK_GONE: bed.risk_at_ms}
    parts = []
    for bit, words in MISSING_WORDS.items():
        if bed.silent & bit:
            at_ms = last.get(bit, 0)
            parts.append(f"{words} for {max(0, now_ms - at_ms) // 1000} s" if at_ms else words)
    return ", ".join(parts)


class BedState:
    """The fields of ``Bed``; and ``open``: cause to the id of its episode that is not normal; ``awaited``: bits of what
    would be missing if it came no more; ``calm``. ``missed``: the sources whose silence is an alarm."""

    __slots__ = (*Bed._fields, "awaited", "calm", "missed", "open")

    patient_id: str
    watched: bool
    last_at_ms: int
    quiet_from_ms: int
    risk_at_ms: int
    risk_from_ms: int
    beat_at_ms: int
    beat_from_ms: int
    silent: int
    sign_timestamp: int
    last_timestamp: int
    judged_at_ms: int
    report_id: int
    tier: str
    probability: float | None
    active: int
    muted: int
    red_count: int
    red_from: int
    red_over: int
    amber_recent: int
    amber_ms: int
    amber_at_ms: int
    rate_count: int
    rate_ms: int
    rate_at_ms: int
    rate_back: int
    awaited: int
    calm: bool
    missed: int
    open: dict[str, int]

    def __init__(self, row: Bed, missed: int = SOURCES) -> None:
        for name, value in zip(Bed._fields, row, strict=True):
            setattr(self, name, value)
        self.open = {}
        self.missed = missed
        self.settle()

    def row(self) -> Bed:
        """As it is to be written."""
        return Bed(
            self.patient_id, self.watched, self.last_at_ms, self.quiet_from_ms, self.risk_at_ms, self.risk_from_ms,
            self.beat_at_ms, self.beat_from_ms, self.silent, self.sign_timestamp, self.last_timestamp,
            self.judged_at_ms, self.report_id, self.tier, self.probability, self.active, self.muted, self.red_count,
            self.red_from, self.red_over, self.amber_recent, self.amber_ms, self.amber_at_ms, self.rate_count,
            self.rate_ms, self.rate_at_ms, self.rate_back,
        )  # fmt: skip

    def settle(self) -> None:
        """After anything but a valid reading of a calm bed."""
        used = (RISK_GONE if self.risk_from_ms else 0) | (RATE_GONE if self.beat_from_ms else 0)
        self.awaited = ((used & self.missed) if used else NEVER_HEARD) & ~self.silent if self.watched else 0
        self.calm = bool(self.awaited & RATE_GONE) and not self.active & RATE_BIT and self.rate_count == 0

    def silences(self) -> list[tuple[int, int]]:
        """(since when its silence counts, by the listened clock, bit) of all that is awaited."""
        since = ((self.risk_from_ms, RISK_GONE), (self.beat_from_ms, RATE_GONE), (self.quiet_from_ms, NEVER_HEARD))
        return [one for one in since if one[1] & self.awaited]

    def forget(self) -> None:
        """The patient left: nothing is on, nothing is counted. The timestamps stay, so that what was told before is
        not taken for new."""
        self.watched = False
        self.tier, self.probability, self.report_id = "", None, 0
        self.risk_at_ms = self.risk_from_ms = self.beat_at_ms = self.beat_from_ms = self.silent = 0
        self.active = self.muted = self.red_count = self.amber_recent = 0
        self.amber_ms = self.amber_at_ms = 0
        self.rate_count = self.rate_ms = self.rate_at_ms = self.rate_back = 0
