"""Alarms in a test: short words for what the log tells, a journal of what came of it, rows kept as storage would.

The clock of these tests begins at START; ``at`` is milliseconds after it.
"""

from __future__ import annotations

from hfzmq.clinical.alarm.machine import Alarms
from hfzmq.clinical.alarm.rules import DEFAULT_RULES, AlarmRules
from hfzmq.clinical.alarm.types import Bed, Calmed, Changes, Episode, Event
from hfzmq.clinical.alarm.ward import EVER
from hfzmq.clinical.report import Report
from hfzmq.clinical.tiers import tier_of

START = 1_800_000_000_000
HIGH, LOW = ("invalid_physiological", "high"), ("invalid_physiological", "low")


def report_of(patient: str, timestamp: int, probability: float, tier: str = "") -> Report:
    """A report whose tier is as the bedside's default thresholds say, unless it is given."""
    return Report(
        patient, timestamp, 70, 135.0, 1.2, 40.0, 10, probability, tier or tier_of(probability), probability, "m", ""
    )


class Tables:
    """What storage would keep: rows by their id, the journal."""

    def __init__(self, rules: AlarmRules) -> None:
        self.rules = rules
        self.beds: dict[str, Bed] = {}
        self.episodes: dict[int, Episode] = {}
        self.events: list[Event] = []
        self.alerted: list[int] = []
        self.calmed: list[Calmed] = []
        self.now_ms, self.term, self.next_id, self.listening = 0, 0, 1, EVER

    def write(self, changes: Changes) -> None:
        """One transaction."""
        self.rules = changes.rules or self.rules
        self.beds.update({bed.patient_id: bed for bed in changes.beds})
        for patient_id, at in changes.heard:
            self.beds[patient_id] = self.beds[patient_id]._replace(last_at_ms=at, beat_at_ms=at)
            listened = at - changes.listening.unheard_ms
            self.beds[patient_id] = self.beds[patient_id]._replace(beat_from_ms=listened)
        self.episodes.update({episode.id: episode for episode in changes.episodes})
        self.events += changes.events
        self.alerted += changes.alerted
        self.calmed += changes.calmed
        self.now_ms, self.term, self.next_id = changes.now_ms, changes.term, changes.next_id
        self.listening = changes.listening

    def load(self) -> Alarms:
        """As after a restart."""
        beds, episodes = self.beds.values(), self.episodes.values()
        return Alarms(self.rules, beds, episodes, self.now_ms, self.next_id, self.term, self.listening)


class Ward:
    """Alarms with their tables. Every word is one entry of the log: it is told, then time advances to its stamp."""

    def __init__(self, rules: AlarmRules = DEFAULT_RULES) -> None:
        self.tables = Tables(rules)
        self.alarms = self.tables.load()
        self._report = 0
        self._heartbeat = 0

    def report(self, at: int, probability: float, patient: str = "bed-1", tier: str = "") -> int:
        """A report; returns its id."""
        self._report += 1
        self.alarms.report(START + at, self._report, report_of(patient, START + at, probability, tier))
        self.pass_to(at)
        return self._report

    def late(self, at: int, probability: float, told: int) -> int:
        """A report that the bed made at ``told``; returns its id."""
        self._report += 1
        self.alarms.report(START + at, self._report, report_of("bed-1", START + told, probability))
        self.pass_to(at)
        return self._report

    def heart(
        self, at: int, value: float | None, status: str = "valid", anomaly: str = "", patient: str = "bed-1"
    ) -> None:
        """A heart rate."""
        self._heartbeat += 1
        self.alarms.reading(START + at, self._heartbeat, patient, START + at, value, status, anomaly)
        self.pass_to(at)

    def green(self, at: int, patient: str = "bed-1", probability: float = 0.1, told: int | None = None) -> None:
        """A sign of a GREEN bed, by the bedside's clock at ``told``."""
        stamp = START + (at if told is None else told)
        self.alarms.sign(START + at, patient, stamp, "GREEN", probability)
        self.pass_to(at)

    def act(self, at: int, action: str, target: int | str = "bed-1", by: str = "nurse") -> str:
        """An operator."""
        outcome = self.alarms.act(START + at, action, target, by)
        self.pass_to(at)
        return outcome

    def pass_to(self, at: int) -> None:
        """The clock."""
        self.alarms.advance(START + at)
        self.tables.write(self.alarms.take_changes())

    def run(self, begin: int, end: int, every: int = 1000) -> None:
        """The clock, as a leader would propose it: at least so often."""
        for at in range(begin, end + 1, every):
            self.pass_to(at)

    def states(self, patient: str = "bed-1") -> list[tuple[str, str]]:
        """(cause, state) of this patient's episodes, in order."""
        return [(one.cause, one.state) for one in self.tables.episodes.values() if one.patient_id == patient]

    def told(self) -> list[tuple[int, str, str]]:
        """The journal: (ms after START, what, detail)."""
        return [(event.at_ms - START, event.what, event.detail) for event in self.tables.events]

    def whats(self) -> list[str]:
        """The journal, the words alone."""
        return [event.what for event in self.tables.events]
