"""One bed while the alarms run: its row, mutable, and what can be found again from the rows.

Touches nothing. Keeps: ``row()`` holds all that cannot be found again; ``calm`` is True exactly when a valid heart rate
can change nothing but when the bed was last heard, which makes the common reading cheap.
"""

from __future__ import annotations

from hfzmq.clinical.alarm.types import RATE_BIT, SILENT_BIT, Bed

UNHEARD = Bed("", False, 0, 0, 0, 0, 0, 0, "", None, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


class BedState:
    """The fields of ``Bed``; and ``open``: cause to the id of its episode that is not normal; ``listened``: its
    silence would be an alarm; ``calm``."""

    __slots__ = (*Bed._fields, "calm", "listened", "open")

    patient_id: str
    watched: bool
    last_at_ms: int
    quiet_from_ms: int
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
    calm: bool
    listened: bool
    open: dict[str, int]

    def __init__(self, row: Bed) -> None:
        for name, value in zip(Bed._fields, row, strict=True):
            setattr(self, name, value)
        self.open = {}
        self.settle()

    def row(self) -> Bed:
        """As it is to be written."""
        return Bed(
            self.patient_id, self.watched, self.last_at_ms, self.quiet_from_ms, self.sign_timestamp,
            self.last_timestamp, self.judged_at_ms, self.report_id, self.tier, self.probability, self.active,
            self.muted, self.red_count, self.red_from, self.red_over, self.amber_recent, self.amber_ms,
            self.amber_at_ms, self.rate_count, self.rate_ms, self.rate_at_ms, self.rate_back,
        )  # fmt: skip

    def settle(self) -> None:
        """After anything but a valid reading of a calm bed."""
        self.listened = self.watched and not self.active & SILENT_BIT
        self.calm = self.listened and not self.active & RATE_BIT and self.rate_count == 0

    def forget(self) -> None:
        """The patient left: nothing is on, nothing is counted. The timestamps stay, so that what was told before is
        not taken for new."""
        self.watched = False
        self.tier, self.probability, self.report_id = "", None, 0
        self.active = self.muted = self.red_count = self.amber_recent = 0
        self.amber_ms = self.amber_at_ms = 0
        self.rate_count = self.rate_ms = self.rate_at_ms = self.rate_back = 0
