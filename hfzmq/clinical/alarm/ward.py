"""The ward's beds with what is on and what is due: from a streak that turns to an episode that begins or ends.

Touches nothing. Must not know: what came in (a report, a timer, an operator); that is ``machine``, which stands on this
and says what was decided. Keeps: ``bed.open`` and ``bed.active`` agree with the episodes; all that is waited for is
armed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hfzmq.clinical.alarm import streaks
from hfzmq.clinical.alarm.beds import UNHEARD, BedState, missing
from hfzmq.clinical.alarm.episodes import Episodes
from hfzmq.clinical.alarm.notes import note_of
from hfzmq.clinical.alarm.rules import AlarmRules
from hfzmq.clinical.alarm.timers import SILENCE, STEP, STREAK, Timers
from hfzmq.clinical.alarm.types import (
    ACKNOWLEDGED,
    ALREADY,
    AMBER,
    AMBER_BIT,
    BIT_OF,
    DISCHARGED,
    DONE,
    FOLDED,
    HEART_RATE,
    NEVER_HEARD,
    NO_DATA,
    RATE_BIT,
    RATE_GONE,
    RED,
    RED_BIT,
    RESOLVED,
    RISK_GONE,
    RUNNING,
    SILENT_BIT,
    SOURCES,
    UNSEEN,
    Bed,
    Episode,
    Listening,
)
from hfzmq.clinical.report import Report
from hfzmq.clinical.tiers import UNKNOWN

EVER = Listening()
JUDGED = ((RED, RED_BIT), (AMBER, AMBER_BIT))  # causes that judgements bring on, the most urgent first
OVERTAKEN_MS = 20_000  # what is older than what is known was overtaken on its way, if that is no longer ago


class Ward:
    """Beds, episodes and timers, changed together."""

    missed = SOURCES  # whose silence is an alarm

    def __init__(
        self,
        rules: AlarmRules,
        beds: Iterable[Bed],
        episodes: Iterable[Episode],
        now_ms: int,
        next_id: int,
        term: int = 0,
        listening: Listening = EVER,
    ) -> None:
        """From the rows that were written: all beds, and the episodes that are not normal or not for KEEP_ENDED_MS
        (older ones may be among them, and are left out). Rules, now 0, next id 1 and no rows: a new mesh. ``term``: of
        who stamped ``now_ms``. ``listening``: as it was then."""
        self.rules = rules
        self.now_ms = now_ms
        self.term = term
        self.listening = listening
        self._limit = dict(rules.expected)
        self._beds = {row.patient_id: BedState(row, self.missed) for row in beds}
        self._episodes = Episodes(episodes, now_ms, next_id)
        self._timers = Timers(self._due_of)
        self._touched: dict[str, BedState] = {}
        self._heard: dict[str, int] = {}  # when: nothing else of these has changed, unless they are touched too
        self._rules_changed = False
        self._listening = sum(bed.awaited > 0 for bed in self._beds.values())
        for episode in self._episodes.known.values():
            if episode.resolved_at_ms is None:
                self._beds[episode.patient_id].open[episode.cause] = episode.id
        self._arm_all()

    def _fire(self, kind: int, key: Any) -> None:
        if kind == STEP:
            self._climb(self._episodes.known[key])
            return
        bed = self._touch(key)
        if kind == SILENCE:
            self._fell_silent(bed)
        else:
            streaks.amber_set(bed)
            self._on(bed, AMBER, bed.report_id, bed.tier, bed.probability)
            if AMBER in bed.open and bed.probability is not None:  # one that recurs shows what brought it on again
                self._episodes.measure(bed.open[AMBER], bed.probability, bed.tier)

    def _due_of(self, kind: int, key: Any) -> int | None:
        if kind == STEP:
            episode = self._episodes.known.get(key)
            if episode is None or episode.state not in UNSEEN or episode.step >= len(steps := self._steps(episode)):
                return None
            return episode.raised_at_ms + steps[episode.step]
        bed = self._beds[key]
        if kind == STREAK:
            return streaks.amber_due_ms(bed, self.rules)
        if not bed.awaited:
            return None
        listening = self.listening
        since = max(min(bed.silences())[0], listening.again_ms)
        return max(since + self._limit_of(key) + listening.unheard_ms, listening.hushed_until_ms)

    def _limit_of(self, patient_id: str) -> int:
        return self._limit.get(patient_id) or self.rules.silent_ms

    def _arm_all(self) -> None:
        for key in self._beds:
            self._timers.arm(SILENCE, key)
            self._timers.arm(STREAK, key)
        for number in self._episodes.known:
            self._timers.arm(STEP, number)

    # ------------------------------------------------------------ beds

    def _bed(self, patient_id: str) -> BedState:
        """The bed, from now on known and watched: its first word may be one that cannot be believed."""
        if patient_id not in self._beds:
            self._watch(patient_id)
        return self._touch(patient_id)

    def _touch(self, patient_id: str) -> BedState:
        bed = self._touched[patient_id] = self._beds[patient_id]
        return bed

    def _watch(self, patient_id: str) -> None:
        bed = self._beds.get(patient_id)
        if bed is None:
            bed = self._beds[patient_id] = BedState(UNHEARD._replace(patient_id=patient_id), self.missed)
        bed.watched, bed.quiet_from_ms = True, self.listened_ms
        self._settle(bed)
        self._timers.arm(SILENCE, patient_id)

    def _settle(self, bed: BedState) -> None:
        self._listening -= bed.awaited > 0
        bed.settle()
        self._listening += bed.awaited > 0

    def _expect(self, before: dict[str, int]) -> None:
        """Beds that are newly expected are watched; those that no longer are and never spoke, no more."""
        for patient_id in self._limit:
            bed = self._beds.get(patient_id)
            if patient_id not in before and (bed is None or not bed.watched):
                self._watch(patient_id)
                self._touch(patient_id)
        for patient_id in before:
            if patient_id not in self._limit and not self._beds[patient_id].last_at_ms:
                self._discharge(self._touch(patient_id), "")

    # ------------------------------------------------------------ silence, of each source

    @property
    def listened_ms(self) -> int:
        """Now, by the listened clock."""
        return self.now_ms - self.listening.unheard_ms

    def _spoke(self, bed: BedState, source: int) -> None:
        """Something believable was taken in: RISK_GONE, or RATE_GONE, is over."""
        bed.last_at_ms = self.now_ms
        bed.watched = True
        if source == RISK_GONE:
            bed.risk_at_ms, bed.risk_from_ms = self.now_ms, self.listened_ms
        else:
            bed.beat_at_ms, bed.beat_from_ms = self.now_ms, self.listened_ms
        if bed.silent or not bed.awaited & source:  # else it came as awaited, and the same is awaited again
            self._missing(bed, bed.silent & ~(source | NEVER_HEARD))

    def _beats_unbelievably(self, bed: BedState) -> None:
        """The first heart rate of a watched bed was taken in, and is none: there is a sensor, and it is missed from now
        on. As the bed's first word it is no word: its silence goes on."""
        bed.beat_from_ms = self.listened_ms if bed.risk_from_ms else bed.quiet_from_ms
        self._missing(bed, RATE_GONE if bed.silent & NEVER_HEARD else bed.silent)

    def _fell_silent(self, bed: BedState) -> None:
        latest = self.listened_ms - self._limit_of(bed.patient_id)
        over = sum(bit for since, bit in bed.silences() if max(since, self.listening.again_ms) <= latest)
        self._missing(bed, bed.silent | over)

    def _missing(self, bed: BedState, silent: int) -> None:
        """``silent`` is what is missing by now. One episode tells of all of it; but if it was seen, or resolved, and
        now more is missing than somebody knew of, it takes another one."""
        before, bed.silent = bed.silent, silent
        self._settle(bed)
        self._timers.arm(SILENCE, bed.patient_id)
        number, note = bed.open.get(NO_DATA), missing(silent)
        more = 0 if before & NEVER_HEARD else silent & ~before
        if not silent:
            if before:
                self._off(bed, NO_DATA)
        elif not before:
            self._on(bed, NO_DATA, 0, note, None)
        elif more and (number is None or self._episodes.known[number].state == ACKNOWLEDGED):
            if number is not None:
                self._ended(bed, self._episodes.cause_ended(self.now_ms, number))
            bed.muted &= ~SILENT_BIT
            self._raise(bed, NO_DATA, 0, note, None)
        elif number is not None:
            self._episodes.rename(self.now_ms, number, note)

    # ------------------------------------------------------------ judgements and heart rates

    def _is_late(self, bed: BedState, timestamp: int) -> bool:
        return timestamp < bed.last_timestamp and self.now_ms - bed.judged_at_ms < OVERTAKEN_MS

    def _judge_late(self, bed: BedState, row: Report, report_id: int) -> None:
        """What was so some time ago, and is not so any more."""
        told = bed.red_from <= row.timestamp <= bed.red_over
        if told or bed.active & RED_BIT or RED in bed.open:
            return
        if streaks.red_turns(bed, self.rules, row.probability, row.tier):
            self._on(bed, RED, report_id, _note(RED, row.tier, row.probability, row.flags), row.probability)
            self._off(bed, RED)
            bed.red_count, bed.red_from, bed.red_over = 0, row.timestamp, bed.last_timestamp

    def _judge(
        self, bed: BedState, timestamp: int, probability: float, tier: str, report_id: int, flags: str = ""
    ) -> None:
        bed.tier, bed.probability = tier, probability
        bed.last_timestamp, bed.judged_at_ms = timestamp, self.now_ms
        if not streaks.stays(bed, self.rules, probability, tier):
            self._turn(bed, timestamp, probability, tier, report_id, flags)
        self._measure_judged(bed, probability, tier, flags)

    def _measure_judged(
        self, bed: BedState, probability: float, tier: str, flags: str, before: Sequence[float] = ()
    ) -> None:
        """Of judgements that the bed has taken in: the last, and the probabilities ``before`` it."""
        for cause, bit in JUDGED:
            if cause in bed.open and bed.active & bit:
                self._episodes.measure(bed.open[cause], probability, _note(cause, tier, probability, flags), before)

    def _turn(self, bed: BedState, timestamp: int, probability: float, tier: str, report_id: int, flags: str) -> None:
        if streaks.amber_ends(bed, self.rules, probability, tier):
            self._off(bed, AMBER)
        if streaks.red_turns(bed, self.rules, probability, tier):
            if bed.active & RED_BIT:
                bed.red_from = timestamp
                self._on(bed, RED, report_id, _note(RED, tier, probability, flags), probability)
            else:
                bed.red_over = timestamp
                self._off(bed, RED)
        if streaks.amber_begins(bed, self.rules, self.now_ms, probability, tier):
            self._on(bed, AMBER, report_id, note_of(tier, probability, flags), probability)
        self._timers.arm(STREAK, bed.patient_id)

    def _measure(self, bed: BedState, heartbeat_id: int, value: float | None, inside: bool, anomaly: str) -> None:
        if streaks.rate_turns(bed, self.rules, self.now_ms, inside):
            if bed.active & RATE_BIT:
                self._on(bed, HEART_RATE, heartbeat_id, anomaly, value)
            else:
                self._off(bed, HEART_RATE)
        if value is not None and HEART_RATE in bed.open and bed.active & RATE_BIT:
            self._episodes.measure(bed.open[HEART_RATE], value)
        self._settle(bed)

    def _discharge(self, bed: BedState, by: str) -> str:
        if not bed.watched and not bed.open:
            return ALREADY
        self._touch(bed.patient_id)
        bed.forget()
        self._settle(bed)
        for number in sorted(bed.open.values()):
            self._ended(bed, self._episodes.end(self.now_ms, number, DISCHARGED, by))
        self._episodes.journal(0, self.now_ms, DISCHARGED, f"{bed.patient_id} {by}".rstrip())
        return DONE

    # ------------------------------------------------------------ causes and their episodes

    def _on(self, bed: BedState, cause: str, by: int, note: str, value: float | None) -> None:
        """A cause has come on."""
        bed.active |= BIT_OF[cause]
        self._settle(bed)
        if cause in bed.open:
            self._episodes.recur(self.now_ms, bed.open[cause])
            if cause == NO_DATA:
                self._episodes.rename(self.now_ms, bed.open[cause], note)
            self._timers.arm(STEP, bed.open[cause])
        elif not bed.muted & BIT_OF[cause] and not (cause == AMBER and (RED in bed.open or bed.active & RED_BIT)):
            self._raise(bed, cause, by, note, value)

    def _raise(self, bed: BedState, cause: str, by: int, note: str, value: float | None) -> None:
        episode = self._episodes.begin(self.now_ms, bed.patient_id, cause, by, note, value)
        bed.open[cause] = episode.id
        if cause == RED and AMBER in bed.open:
            if self._episodes.known[bed.open[AMBER]].state == ACKNOWLEDGED:
                bed.muted |= AMBER_BIT  # it was seen, and that lasts until it ends
            self._ended(bed, self._episodes.end(self.now_ms, bed.open[AMBER], FOLDED, ""))
        self._climb(episode)

    def _off(self, bed: BedState, cause: str) -> None:
        """A cause has ended."""
        bed.active &= ~BIT_OF[cause]
        bed.muted &= ~BIT_OF[cause]
        if cause in bed.open:
            self._ended(bed, self._episodes.cause_ended(self.now_ms, bed.open[cause]))
        elif cause == RED:
            self._amber_again(bed)  # a muted RED is over

    def _resolve(self, bed: BedState, episode: Episode, by: str) -> None:
        if episode.state in RUNNING:
            bed.muted |= BIT_OF[episode.cause]
        self._ended(bed, self._episodes.end(self.now_ms, episode.id, RESOLVED, by))

    def _ended(self, bed: BedState, episode: Episode) -> None:
        """If this episode is normal by now, there is room for the next."""
        self._touch(bed.patient_id)
        if episode.resolved_at_ms is not None:
            del bed.open[episode.cause]
            if episode.cause == RED:
                self._amber_again(bed)

    def _amber_again(self, bed: BedState) -> None:
        """RED is over: what still holds of AMBER is shown."""
        if bed.active & AMBER_BIT and not bed.active & RED_BIT and not bed.muted & AMBER_BIT and AMBER not in bed.open:
            self._raise(bed, AMBER, bed.report_id, bed.tier, bed.probability)

    def _steps(self, episode: Episode) -> tuple[int, ...]:
        return self.rules.steps_ms[: self.rules.notice_steps] if episode.cause == AMBER else self.rules.steps_ms

    def _climb(self, episode: Episode) -> None:
        """Every step of the escalation that is due."""
        steps = self._steps(episode)[episode.step :]
        for _ in [one for one in steps if episode.raised_at_ms + one <= self.now_ms]:
            self._episodes.climb(self.now_ms, episode.id)
        self._timers.arm(STEP, episode.id)


def _note(cause: str, tier: str, probability: float, flags: str) -> str:
    """Of a judgement while this cause is on: the cause, be it another tier by now, unless that is not known."""
    return note_of(tier if tier == UNKNOWN else cause, probability, flags)
