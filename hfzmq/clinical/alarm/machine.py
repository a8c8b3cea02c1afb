"""The door to the alarms: what the log says goes in, in its order; rows to be written come out.

(The bodies of these follow; the signatures stand.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hfzmq.clinical.alarm.facts import Fact
from hfzmq.clinical.alarm.rules import AlarmRules
from hfzmq.clinical.alarm.types import Bed, Changes, Episode, Owed
from hfzmq.clinical.report import Report


class Alarms:
    """All alarms of a mesh. ``now`` is always the stamp of the entry, Unix ms; the clock never goes back."""

    now_ms: int
    next_id: int
    rules: AlarmRules

    def __init__(
        self, rules: AlarmRules, beds: Iterable[Bed], episodes: Iterable[Episode], now_ms: int, next_id: int
    ) -> None:
        """From the rows that were written: all beds, and the episodes that are not normal or not so for KEEP_ENDED_MS
        (older ones may be among them, and are left out)."""
        raise NotImplementedError

    def rules_set(self, now: int, rules: AlarmRules) -> None:
        """These rules are in force from now on."""

    def report(self, now: int, report_id: int, row: Report) -> None:
        """A report was stored."""

    def reading(
        self, now: int, heartbeat_id: int, patient_id: str, timestamp_ms: int, value: float | None, status: str,
        anomaly: str,
    ) -> None:  # fmt: skip
        """A heart rate was stored with its verdict (``valid``, ``invalid_physiological``, ...)."""

    def sign(self, now: int, patient_id: str, timestamp_ms: int, tier: str, probability: float) -> None:
        """A sign of life; one that is not newer than what is known is ignored."""

    def act(self, now: int, action: str, target: int | str, by: str) -> str:
        """An operator acts on an episode (by id) or on all of a patient: DONE, ALREADY or NOT_FOUND."""
        raise NotImplementedError

    def sent(self, now: int, episode_id: int, step: int, channel: str, ok: bool) -> None:
        """A notification was delivered, or given up for now."""

    def take(self, now: int, fact: Fact) -> str:
        """Any fact, by its kind; the outcome of an Action, DONE for everything else."""
        raise NotImplementedError

    def advance(self, now: int) -> None:
        """Let time pass: after the last of every entry that has a stamp."""

    def due_ms(self) -> int | None:
        """When ``advance`` would next change something, or has to be called to show that the mesh is there."""
        raise NotImplementedError

    def take_changes(self) -> Changes:
        """What is to be written since the last call."""
        raise NotImplementedError

    def beds(self) -> tuple[Bed, ...]:
        """All, sorted by patient."""
        raise NotImplementedError

    def episodes(self) -> tuple[Episode, ...]:
        """Those that are remembered, by id: not normal, or not for long."""
        raise NotImplementedError

    def owed(self, channels: Sequence[Sequence[str]]) -> list[Owed]:
        """What the notifier has to deliver: ``channels[k]`` are those of step k + 1."""
        raise NotImplementedError
