"""The leader's part of the alarms: tells the log what only the present knows, and people what the log says.

    hints of beds, the clock, operators' actions, what was delivered --facts, one entry at a time--> the log
    the alarms, as the log has made them --what is owed--> the notifier

Touches the wall clock it is handed, the notifier. Must not know: sockets, how an alarm comes to be. Keeps: nothing here
decides about an alarm, so nothing is lost or doubled when the lead moves; one entry of facts is under way at most, in a
session of this peer's life, so that an answer says which of them are in; whatever is asked for and not answered with
ACK may be asked for again. The log's clock goes on from the last stamp even where this machine's clock is behind it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol

from hfzmq.alarm_channels import used_at
from hfzmq.clinical.alarm.beds import missing_for
from hfzmq.clinical.alarm.clock import LogClock
from hfzmq.clinical.alarm.facts import Action, Clock, Fact, RulesSet, Sent, Sign
from hfzmq.clinical.alarm.machine import Alarms
from hfzmq.clinical.alarm.rules import STEPS_MAX, AlarmRules
from hfzmq.clinical.alarm.types import HEART_RATE, NO_DATA, UNSEEN, Bed, Episode, Owed
from hfzmq.clinical.report import Report
from hfzmq.clinical.tiers import REPORTED
from hfzmq.config import Config
from hfzmq.core.contract import ACK, Proposal, Reply
from hfzmq.core.types import Origin
from hfzmq.daemon.notify import Notice, Notifier, words
from hfzmq.wire.facts import FACTS_MAX, encode_fact_rows, stamped
from hfzmq.wire.requests import digest

SIGN_EVERY_MS = 500  # of a bed at most: so much sooner than its limit may its silence be an alarm
LOOK_MS = 250  # what is owed is looked for so often at most, for that goes through all alarms
LOOK_AGAIN_MS = 5000  # and so often in any case
POSTS_A_LOOK = 50  # notices; the rest with the next look, for the loop has other things to do
SENT_AT_ONCE = 500  # results in one entry
FAILED_REST_MS = 60_000  # what a channel has given up on is posted again after so long
RETRY_MS = 50  # after facts that were not taken in
ACTIONS_MAX = 1000

Frames = tuple[bytes, ...]


class Told(Protocol):
    """What the tables hold: the alarms, and what became of the actions in an entry."""

    @property
    def alarms(self) -> Alarms: ...

    def outcomes(self, index: int) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class WatchRoute:
    """The way back for an entry of facts: its seq in this peer's session, and who waits for its actions."""

    seq: int
    waiting: tuple[Frames, ...]


@dataclass(slots=True)
class _Gathered:
    """Facts that are to be told."""

    actions: list[tuple[Frames, Action]] = field(default_factory=list)
    signs: dict[str, Report] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)


class Watch:
    """``life``: 16 bytes, this peer's incarnation. ``last_seq()``: the last seq of the session (peer, life) that is
    stored or in the log. ``acted``: answers an action (route, index, outcome). Times in ms; ``wall_ms()`` is Unix."""

    def __init__(
        self,
        config: Config,
        name: str,
        life: bytes,
        rules: AlarmRules,
        told: Told,
        last_seq: Callable[[tuple[str, bytes]], int],
        acted: Callable[[Frames, int, str], None],
        wall_ms: Callable[[], int],
        notifier: Notifier,
    ) -> None:
        self._config = config
        self._session = (name, life)
        self._rules = rules
        self._told = told
        self._last_seq = last_seq
        self._acted = acted
        self._wall_ms = wall_ms
        self._notifier = notifier
        self._channels = [[one.name for one in used_at(config.channels, step)] for step in range(1, STEPS_MAX + 1)]
        self._gathered = _Gathered()
        self._signed_ms: dict[str, float] = {}  # bed -> when it was last told of
        self._under_way: WatchRoute | None = None
        self._refused = False  # the last facts: not again at once
        self._leads = False
        self._clock = LogClock()
        self._due_ms = -math.inf
        self._look_ms = self._looked_ms = -math.inf
        self._unseen: frozenset[int] = frozenset()
        self._post_ms: dict[tuple[int, int, str], float] = {}  # when what was posted may be posted again

    # ------------------------------------------------------------ what is to be told

    def act(self, route: Frames, action: Action) -> None:
        """An operator acts; ``acted`` answers, or ``answered`` gives the route back."""
        self._gathered.actions.append((route, action))

    @property
    def leads(self) -> bool:
        """As of the last turn."""
        return self._leads

    def seen(self, now_ms: float, rows: Sequence[Report]) -> None:
        """Hints of what beds judged. Of interest to a leader only."""
        if not self._leads:
            return
        for row in rows:
            if now_ms - self._signed_ms.get(row.patient_id, -math.inf) >= SIGN_EVERY_MS or self._calms(row):
                self._gathered.signs[row.patient_id] = row

    def _calms(self, row: Report) -> bool:
        bed = self._told.alarms.bed(row.patient_id)
        return row.tier not in REPORTED and bed is not None and bool(bed.active)

    # ------------------------------------------------------------ the loop's side

    def turn(self, now_ms: float, serves: bool) -> Proposal | None:
        """What the leader has to tell the log now, if anything; to be called once a turn."""
        if serves != self._leads:
            self._become(serves)
        if not serves:
            return None
        self._hear_the_notifier(now_ms)
        if now_ms >= self._look_ms:
            self._look(now_ms)
        if self._refused:
            self._refused, self._due_ms = False, now_ms + RETRY_MS
        if self._under_way or now_ms < self._due_ms:
            return None
        facts, waiting = self._facts(now_ms)
        return self._proposal(now_ms, facts, waiting) if facts else None

    def wake_at_ms(self, now_ms: float) -> float:
        """The latest moment for the next turn."""
        if not self._leads or self._under_way:
            return math.inf
        gathered = self._gathered
        if gathered.actions or gathered.signs or gathered.sent:
            return self._due_ms
        due = self._told.alarms.due_ms()
        clock = math.inf if due is None else now_ms + due - self._log_ms(now_ms)
        return max(min(clock, self._look_ms), self._due_ms)

    def answered(self, reply: Reply) -> tuple[Frames, ...]:
        """The core's answer to what was told; whose actions are not decided."""
        route: WatchRoute = reply.route
        if self._under_way and route.seq == self._under_way.seq:
            self._under_way = None
            self._refused = reply.status != ACK
        outcomes = self._told.outcomes(reply.index) if reply.status == ACK else ()
        if len(outcomes) != len(route.waiting):
            return route.waiting
        for frames, outcome in zip(route.waiting, outcomes, strict=True):
            self._acted(frames, reply.index, outcome)
        return ()

    def changed(self) -> None:
        """Entries were applied: see soon what is owed."""
        self._look_ms = min(self._look_ms, self._looked_ms + LOOK_MS)

    def drop(self) -> tuple[Frames, ...]:
        """This peer does not lead: who waits must ask another."""
        routes = tuple(route for route, _ in self._gathered.actions)
        self._gathered = _Gathered()
        return routes

    @property
    def fd(self) -> int:
        """Readable when the notifier has something to tell."""
        return self._notifier.fileno()

    def close(self) -> None:
        """End the notifier; what is not delivered is for whoever leads next."""
        self._notifier.close()

    # ------------------------------------------------------------ inside

    def _become(self, leads: bool) -> None:
        self._leads = leads
        self._signed_ms.clear()
        self._gathered.signs.clear()
        self._gathered.sent.clear()
        self._due_ms = self._look_ms = self._looked_ms = -math.inf
        self._unseen = frozenset()
        self._post_ms.clear()
        if not leads:
            self._under_way = None
            self._notifier.withdraw_all()

    def _log_ms(self, now_ms: float) -> int:
        return self._clock.stamp(self._wall_ms(), now_ms, self._told.alarms.now_ms)

    def _facts(self, now_ms: float) -> tuple[list[Fact], tuple[Frames, ...]]:
        gathered, alarms = self._gathered, self._told.alarms
        taken, gathered.actions = gathered.actions[:ACTIONS_MAX], gathered.actions[ACTIONS_MAX:]
        facts: list[Fact] = [action for _, action in taken]
        if self._rules != alarms.rules:
            facts.append(RulesSet(self._rules))
        room = FACTS_MAX - len(facts)
        for patient, row in list(gathered.signs.items())[:room]:
            del gathered.signs[patient]
            bed = alarms.bed(patient)
            if bed is None or row.timestamp != bed.sign_timestamp:
                facts.append(Sign(patient, row.timestamp, row.tier, row.probability))
                self._signed_ms[patient] = now_ms
        room = min(FACTS_MAX - len(facts), SENT_AT_ONCE)
        facts += gathered.sent[:room]
        del gathered.sent[:room]
        due = alarms.due_ms()
        if not facts and due is not None and due <= self._log_ms(now_ms):
            facts.append(Clock())
        return facts, tuple(route for route, _ in taken)

    def _proposal(self, now_ms: float, facts: list[Fact], waiting: tuple[Frames, ...]) -> Proposal:
        rows = encode_fact_rows(facts)
        seq = self._last_seq(self._session) + 1
        self._under_way = WatchRoute(seq, waiting)
        name, life = self._session
        return Proposal(self._under_way, Origin(name, life, seq, digest(rows)), stamped(self._log_ms(now_ms), rows))

    # ------------------------------------------------------------ people

    def _hear_the_notifier(self, now_ms: float) -> None:
        for one in self._notifier.results():
            self._post_ms[(one.episode_id, one.step, one.channel)] = now_ms + FAILED_REST_MS
            self._gathered.sent.append(Sent(one.episode_id, one.step, one.channel, one.ok))
            self.changed()  # its channel has room again

    def _look(self, now_ms: float) -> None:
        """Post what is owed, withdraw what was seen meanwhile."""
        self._looked_ms, self._look_ms = now_ms, now_ms + LOOK_AGAIN_MS
        alarms = self._told.alarms
        unseen = frozenset(one.id for one in alarms.episodes() if one.state in UNSEEN)
        seen = self._unseen - unseen
        for number in seen:
            self._notifier.withdraw(number)
        if seen:
            self._post_ms = {mark: at_ms for mark, at_ms in self._post_ms.items() if mark[0] not in seen}
        self._unseen = unseen
        posted, log_ms = 0, self._log_ms(now_ms)
        newest_first = reversed(alarms.owed(self._channels))  # what is new waits for no backlog
        for (episode, step), owed in groupby(newest_first, lambda one: (one.episode, one.step)):
            due = [one.channel for one in owed if self._is_due(now_ms, one)] if episode.id in unseen else []
            if not due:
                continue
            if posted == POSTS_A_LOOK:
                self._look_ms = now_ms + LOOK_MS
                break
            posted += 1
            self._post_ms.update(((episode.id, step, one), math.inf) for one in due)  # until it is told how that went
            others = frozenset(self._channels[step - 1]).difference(due)
            self._notifier.post(self._words(episode, step, log_ms), already=others)

    def _is_due(self, now_ms: float, owed: Owed) -> bool:
        mark = (owed.episode.id, owed.step, owed.channel)
        return now_ms >= self._post_ms.get(mark, -math.inf) and self._notifier.has_room(owed.channel)

    def _words(self, episode: Episode, step: int, log_ms: int) -> Notice:
        value, bed = episode.value, self._told.alarms.bed(episode.patient_id)
        return words(
            self._config.mesh_name,
            episode.id,
            step,
            episode.patient_id,
            episode.cause,
            episode.raised_at_ms,
            thresholds=self._config.thresholds,
            probability=None if episode.cause in (HEART_RATE, NO_DATA) else value,
            heart_rate_bpm=value if episode.cause == HEART_RATE else None,
            missing=_missing(episode, bed, log_ms) if episode.cause == NO_DATA else "",
            unseen_ms=log_ms - episode.raised_at_ms if step > 1 else None,
        )


def _missing(episode: Episode, bed: Bed | None, log_ms: int) -> str:
    return missing_for(bed, log_ms) if bed and bed.silent else f"{episode.note}; heard again since".lstrip("; ")
