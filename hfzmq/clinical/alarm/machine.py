"""The door to the alarms: what the log says goes in, in its order; rows to be written come out.

Touches nothing: no clock, no chance. ``now`` is always the stamp of the entry, Unix ms; the clock takes the largest it
was given. Must not know: who leads, how entries and rows are packed.

    report, reading, sign --> streaks --cause on, cause off--> episodes --> rows, journal
    advance --> timers --silence, streak, step of the escalation--> episodes
    act, sent, rules_set --> episodes

Keeps: at most one episode that is not normal for a patient and a cause; what is acknowledged never escalates; what was
never seen ends only by an operator's hand or in a RED of the same bed; rebuilt from its rows it goes on exactly alike.

What was decided:
- *RED over AMBER*: a RED that is raised ends the bed's AMBER (folded), and while a RED is not normal, or its cause is
  on, no AMBER is raised. When the RED is over and AMBER still holds, AMBER is raised, unless it had been acknowledged.
- *Resolving* what is still on ends the episode and mutes the cause: a new episode comes only after the cause ended and
  came again. *Discharging* a bed ends all its episodes; it is watched again when it speaks.
- *Silence* is of each source by itself: judgements (reports and signs), and heart rates that can be believed. A source
  is missed once it has told anything since the bed was admitted, were it a heart rate of 0. One episode tells of all
  that is missing and its note follows; only if somebody has seen or resolved it, and then more goes missing, it ends,
  and another one begins: who knows of a sensor that is off does not know of a bed that is silent.
- *Coming again unseen* (recurred) goes on with the same episode and its escalation; nobody is told anew.
- *The mesh was away* when the log has no stamp for ``away_ms`` (``due_ms`` asks for one thrice as often while a bed is
  watched): nobody listened, so silence counts from its return. Else every bed would alarm after an outage.
- *Another leader* cannot know what the last one heard and did not write down, and nobody heard anything in between:
  the time from the last stamp of one term to the first of the next is no silence, and for HEARD_AGAIN_MS after it none
  is told.
- *Signs* count only if they are newer than all that is known of the bed; only GREEN ones are judged, for all else sends
  its report. *Late* is what is older than the last judgement (a client sends what it had to keep while the mesh was
  away, and its bed is GREEN by now). A late RED is told all the same, as an episode whose cause has ended, unless it is
  of a RED that was told; a late AMBER is not. Where nothing newer came for OVERTAKEN_MS, a bed's clock was wrong, and
  what comes is taken as it comes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hfzmq.clinical.alarm import streaks
from hfzmq.clinical.alarm.beds import BedState
from hfzmq.clinical.alarm.episodes import sent_label
from hfzmq.clinical.alarm.facts import Action, Fact, RulesSet, Sent, Sign
from hfzmq.clinical.alarm.rules import AlarmRules
from hfzmq.clinical.alarm.types import (
    ACK,
    ALREADY,
    DISCHARGE,
    DONE,
    NOT_FOUND,
    RATE_GONE,
    RISK_GONE,
    UNSEEN,
    Bed,
    Changes,
    Episode,
    Listening,
    Owed,
)
from hfzmq.clinical.alarm.ward import OVERTAKEN_MS, Ward
from hfzmq.clinical.heart_rate import PHYSIOLOGICAL, VALID
from hfzmq.clinical.report import Report
from hfzmq.clinical.tiers import REPORTED

_PATIENT, _TIMESTAMP, _PROBABILITY, _TIER, _FLAGS = map(
    Report._fields.index, ("patient_id", "timestamp", "probability", "tier", "flags")
)
HEARD_AGAIN_MS = 1000  # so long beds have to be heard by another leader before their silence is told
TICKS_AWAY = 3  # so many stamps at least within ``away_ms``


class Alarms(Ward):
    """All alarms of a mesh. ``now_ms``, ``term``, ``listening``, ``next_id`` and ``rules`` are for reading, and to be
    kept with the rows."""

    @property
    def next_id(self) -> int:
        """Of the next episode."""
        return self._episodes.next_id

    @property
    def calmed(self) -> int:
        """How many Calmed the next Changes will hold, as yet: whoever writes rows needs to know after which entry."""
        return len(self._episodes.calmed)

    # ------------------------------------------------------------ what the log tells

    def led(self, now: int, term: int) -> None:
        """The leader of ``term`` has stamped this entry: to be told before what is in it."""
        if term == self.term:
            return
        before, self.term = self.now_ms, term
        self._move(now)
        if not before:
            return
        gap = self.now_ms - before if self.now_ms - before <= self.rules.away_ms else 0
        unheard_ms = self.listening.unheard_ms + gap
        self.listening = Listening(unheard_ms, self.listening.again_ms, self.now_ms + HEARD_AGAIN_MS)

    def rules_set(self, now: int, rules: AlarmRules) -> None:
        """These rules are in force from now on; streaks and episodes go on. The same again change nothing."""
        self._move(now)
        if rules == self.rules:
            return
        before, self.rules = dict(self.rules.expected), rules
        self._limit = dict(rules.expected)
        self._rules_changed = True
        self._expect(before)
        self._timers.look_again()
        self._arm_all()

    def report(self, now: int, report_id: int, row: Report) -> None:
        """A report was stored."""
        self._move(now)
        bed = self._bed(row.patient_id)
        late = self._is_late(bed, row.timestamp)
        if late and not bed.watched:
            return
        bed.sign_timestamp = max(bed.sign_timestamp, row.timestamp) if late else row.timestamp
        self._spoke(bed, RISK_GONE)
        if late:
            self._judge_late(bed, row, report_id)
        else:
            bed.report_id = report_id
            self._judge(bed, row.timestamp, row.probability, row.tier, report_id, row.flags)

    def reports(self, now: int, first_id: int, rows: Sequence[Sequence[Any]]) -> None:
        """Reports of one entry were stored, each in the order of Report's fields: as ``report`` with one after the
        other. An entry may hold a thousand of one bed: what turns nothing, of a bed that spoke before in this entry, is
        counted, and its episodes are measured once."""
        if len(rows) == 1:
            self.report(now, first_id, Report._make(rows[0]))
            return
        steady: dict[str, list[Sequence[Any]]] = {}  # of such beds: what is still to be measured
        for number, row in enumerate(rows, first_id):
            patient = row[_PATIENT]
            if patient in steady:
                bed, probability, tier = self._beds[patient], row[_PROBABILITY], row[_TIER]
                if row[_TIMESTAMP] >= bed.last_timestamp and streaks.stays(bed, self.rules, probability, tier):
                    bed.sign_timestamp = bed.last_timestamp = row[_TIMESTAMP]
                    bed.report_id, bed.probability, bed.tier = number, probability, tier
                    steady[patient].append(row)
                    continue
                if measured := steady.pop(patient):
                    self._measure_steady(bed, measured)
            self.report(now, number, Report._make(row))
            if self._beds[patient].judged_at_ms == self.now_ms:  # so a row is late only if it is older than the last
                steady[patient] = []
        for patient, measured in steady.items():
            if measured:
                self._measure_steady(self._beds[patient], measured)

    def _measure_steady(self, bed: BedState, rows: list[Sequence[Any]]) -> None:
        *before, last = rows
        values = [row[_PROBABILITY] for row in before]
        self._measure_judged(bed, last[_PROBABILITY], last[_TIER], last[_FLAGS], values)

    def reading(
        self, now: int, heartbeat_id: int, patient_id: str, timestamp_ms: int, value: float | None, status: str,
        anomaly: str,
    ) -> None:  # fmt: skip
        """A heart rate was stored with its verdict. One that cannot be believed is no sign of life, and no alarm."""
        if now > self.now_ms:
            self._move(now)
        bed = self._beds.get(patient_id)
        if bed is not None and bed.calm and status == VALID:
            bed.last_at_ms = bed.beat_at_ms = self.now_ms
            bed.beat_from_ms = self.listened_ms
            self._heard[patient_id] = self.now_ms
            return
        if status in (VALID, PHYSIOLOGICAL):
            bed = self._bed(patient_id)
            self._spoke(bed, RATE_GONE)
            self._measure(bed, heartbeat_id, value, status == VALID, anomaly)
        elif bed is None or (bed.watched and not bed.beat_from_ms):  # else it changes nothing, however often it comes
            self._beats_unbelievably(self._bed(patient_id))

    def sign(self, now: int, patient_id: str, timestamp_ms: int, tier: str, probability: float) -> None:
        """A sign of life, if it is not the last one again. One that is older than what is known is judged only where
        nothing newer has come for long: then the bed's clock was wrong. Only a newer one wakes a discharged bed."""
        self._move(now)
        bed = self._bed(patient_id)
        known, lately = bed.sign_timestamp, self.now_ms - bed.judged_at_ms < OVERTAKEN_MS
        newer = timestamp_ms > known or not lately
        if timestamp_ms == known or (timestamp_ms < known and not bed.watched):
            return
        self._spoke(bed, RISK_GONE)
        if newer:
            bed.sign_timestamp = timestamp_ms
        if newer and tier not in REPORTED:
            self._judge(bed, timestamp_ms, probability, tier, 0)

    def act(self, now: int, action: str, target: int | str, by: str) -> str:
        """An operator acts on an episode (by id) or on all of a patient: DONE, ALREADY or NOT_FOUND. A bed is
        discharged by its patient, or by an episode that is remembered."""
        self._move(now)
        known = self._episodes.known
        if isinstance(target, int):
            if not 0 < target < self.next_id:
                return NOT_FOUND
            if target not in known:
                return NOT_FOUND if action == DISCHARGE else ALREADY
            bed, ids = self._beds[known[target].patient_id], [target]
        elif target in self._beds:
            bed = self._beds[target]
            ids = sorted(bed.open.values())
        else:
            return NOT_FOUND
        if action == DISCHARGE:
            return self._discharge(bed, by)
        if action == ACK:
            due = [one for one in ids if known[one].state in UNSEEN]
            for one in due:
                self._ended(bed, self._episodes.acknowledge(self.now_ms, one, by))
        else:
            due = [one for one in ids if known[one].resolved_at_ms is None]
            for one in due:
                self._resolve(bed, known[one], by)
        return DONE if due else ALREADY

    def sent(
        self, now: int, episode_id: int, step: int, channel: str, ok: bool, tries: int = 1, why: str = ""
    ) -> None:  # fmt: skip
        """A notification was delivered, or has failed and is tried again."""
        self._move(now)
        self._episodes.deliver(self.now_ms, episode_id, step, channel, ok, tries, why)

    def take(self, now: int, fact: Fact) -> str:
        """Any fact, by its kind; the outcome of an Action, DONE for everything else."""
        if isinstance(fact, Action):
            return self.act(now, *fact)
        if isinstance(fact, Sign):
            self.sign(now, *fact)
        elif isinstance(fact, Sent):
            self.sent(now, *fact)
        elif isinstance(fact, RulesSet):
            self.rules_set(now, fact.rules)
        else:
            self._move(now)
        return DONE

    # ------------------------------------------------------------ time

    def advance(self, now: int) -> None:
        """Let time pass: to be called after the last of every entry that has a stamp."""
        self._move(now)
        while first := self._timers.first(self.now_ms):
            self._timers.drop_first()
            self._fire(first[1], first[2])

    def due_ms(self) -> int | None:
        """When the log has to have a stamp again: ``advance`` would change something, or has to show that the mesh was
        not away. None: whenever."""
        tick = self.now_ms + self.rules.away_ms // TICKS_AWAY if self._listening else None
        first = self._timers.first(math.inf if tick is None else tick)
        return first[0] if first else tick

    def _move(self, now: int) -> None:
        if now <= self.now_ms:
            return
        before, self.now_ms = self.now_ms, now
        self._episodes.forget(now)
        if not before:
            self._expect({})
        elif now - before > self.rules.away_ms:
            self.listening = self.listening._replace(again_ms=self.listened_ms)

    # ------------------------------------------------------------ what can be read off

    def take_changes(self) -> Changes:
        """What is to be written since the last call."""
        book, touched = self._episodes, self._touched
        heard = [one for one in self._heard.items() if one[0] not in touched] if touched else self._heard.items()
        changes = Changes(
            self.now_ms,
            self.term,
            self.listening,
            book.next_id,
            self.rules if self._rules_changed else None,
            tuple(bed.row() for bed in self._touched.values()),
            tuple(heard),
            tuple(book.changed.values()),
            tuple(book.events),
            tuple(book.alerted),
            tuple(book.calmed),
        )
        self._touched, self._heard, self._rules_changed = {}, {}, False
        book.changed, book.events, book.alerted, book.calmed = {}, [], [], []
        return changes

    def bed(self, patient_id: str) -> Bed | None:
        """What is remembered of one bed."""
        bed = self._beds.get(patient_id)
        return None if bed is None else bed.row()

    def beds(self) -> tuple[Bed, ...]:
        """All, sorted by patient."""
        return tuple(bed.row() for _, bed in sorted(self._beds.items()))

    def episode(self, number: int) -> Episode | None:
        """One that is remembered."""
        return self._episodes.known.get(number)

    def episodes(self) -> tuple[Episode, ...]:
        """Those that are remembered, by id: not normal, or not for long."""
        return tuple(episode for _, episode in sorted(self._episodes.known.items()))

    def owed(self, channels: Sequence[Sequence[str]]) -> list[Owed]:
        """What the notifier has to deliver: ``channels[k]`` are those of step k + 1. Also of what is over meanwhile: at
        least once means that nothing is dropped for being late."""
        return [owed for episode in self.episodes() for owed in owed_of(episode, channels)]


def owed_of(episode: Episode, channels: Sequence[Sequence[str]]) -> list[Owed]:
    """Likewise of one, in the order of the steps."""
    return [
        Owed(episode, step, channel)
        for step, names in enumerate(channels[: episode.step], 1)
        for channel in names
        if sent_label(step, channel) not in episode.sent
    ]
