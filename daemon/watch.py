"""The leader's part of the alarms: tells the log what only the present knows, and people what the log says.

    hints of beds, the clock, operators' actions, what was delivered --facts, one entry at a time--> the log
    the alarms, as the log has made them --what is owed--> the notifier (see posting)

Touches the wall clock it is handed, the notifier. Must not know: sockets, how an alarm comes to be. Keeps: nothing here
decides about an alarm, so nothing is lost or doubled when the lead moves; one entry of facts is under way at most, in a
session of this peer's life, so that an answer says which of them are in; whatever is asked for and not answered with
ACK may be asked for again. The log's clock goes on from the last stamp even where this machine's clock is behind it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hfzmq.clinical.alarm.clock import LogClock
from hfzmq.clinical.alarm.facts import Action, Clock, Fact, RulesSet, Sent, Sign
from hfzmq.clinical.alarm.machine import Alarms
from hfzmq.clinical.alarm.rules import AlarmRules
from hfzmq.clinical.report import Report
from hfzmq.clinical.tiers import REPORTED
from hfzmq.config import Config
from hfzmq.core.contract import ACK, Proposal, Reply
from hfzmq.core.types import Origin
from hfzmq.daemon.notify import Notifier
from hfzmq.daemon.posting import Posting
from hfzmq.wire.body import FACTS, encode_body
from hfzmq.wire.facts import FACTS_MAX, encode_fact_rows
from hfzmq.wire.requests import digest

SIGN_EVERY_MS = 500  # of a bed at most: so much sooner than its limit may its silence be an alarm
SENT_AT_ONCE = 500  # results in one entry
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
    """The way back for an entry of facts: its seq in this peer's session, who waits for its actions, and which results
    are in it."""

    seq: int
    waiting: tuple[Frames, ...]
    sent: tuple[Sent, ...]


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
        self._session = (name, life)
        self._rules = rules
        self._told = told
        self._last_seq = last_seq
        self._acted = acted
        self._wall_ms = wall_ms
        self._notifier = notifier
        self._posting = Posting(config, told, notifier)
        self._gathered = _Gathered()
        self._signed_ms: dict[str, float] = {}  # bed -> when it was last told of
        self._under_way: WatchRoute | None = None
        self._refused = False  # the last facts: not again at once
        self._leads = False
        self._clock = LogClock()
        self._due_ms = -math.inf

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
        self._gathered.sent += self._posting.results(now_ms)
        self._posting.turn(now_ms, self.stamp_ms(now_ms))
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
        clock = math.inf if due is None else now_ms + due - self.stamp_ms(now_ms)
        return max(min(clock, self._posting.look_at_ms), self._due_ms)

    def answered(self, reply: Reply) -> tuple[Frames, ...]:
        """The core's answer to what was told; whose actions are not decided."""
        route: WatchRoute = reply.route
        if self._under_way and route.seq == self._under_way.seq:
            self._under_way = None
            self._refused = reply.status != ACK
            if self._refused:  # else people's screens would not hear of them for a minute, when they are posted anew
                self._gathered.sent[:0] = route.sent
        outcomes = self._told.outcomes(reply.index) if reply.status == ACK else ()
        if len(outcomes) != len(route.waiting):
            return route.waiting
        for frames, outcome in zip(route.waiting, outcomes, strict=True):
            self._acted(frames, reply.index, outcome)
        return ()

    def changed(self, now_ms: float) -> None:
        """Entries were applied: see soon what is owed."""
        self._clock.seen(now_ms, self._told.alarms.now_ms)
        self._posting.changed()

    def stamp_ms(self, now_ms: float) -> int:
        """What a leader stamps an entry with, Unix ms: the log's clock (clinical/alarm/clock.py)."""
        return self._clock.stamp(self._wall_ms(), now_ms, self._told.alarms.now_ms)

    def log_ahead_ms(self, now_ms: float) -> int:
        """How far the log's clock is ahead of this machine's: 0, unless a leader's clock has been."""
        wall_ms = self._wall_ms()
        return self._clock.now(wall_ms, now_ms) - wall_ms

    def drop(self) -> tuple[Frames, ...]:
        """This peer does not lead: who waits must ask another."""
        routes = tuple(route for route, _ in self._gathered.actions)
        self._gathered = _Gathered()
        return routes

    def told(self) -> None:
        """``fd`` is readable. Who does not lead reads it, too: what ended after the lead was lost is for whoever leads
        now to find out, and a descriptor that nobody reads keeps the loop from ever resting."""
        if not self._leads:
            self._posting.forget()

    @property
    def fd(self) -> int:
        """Readable when the notifier has something to tell, until ``turn`` (of a leader) or ``told``."""
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
        self._due_ms = -math.inf
        if leads:
            self._posting.begin()
        else:
            self._under_way = None
            self._posting.end()

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
        if not facts and due is not None and due <= self.stamp_ms(now_ms):
            facts.append(Clock())
        return facts, tuple(route for route, _ in taken)

    def _proposal(self, now_ms: float, facts: list[Fact], waiting: tuple[Frames, ...]) -> Proposal:
        rows = encode_fact_rows(facts)
        seq = self._last_seq(self._session) + 1
        self._under_way = WatchRoute(seq, waiting, tuple(one for one in facts if isinstance(one, Sent)))
        name, life = self._session
        body = encode_body(self.stamp_ms(now_ms), rows, FACTS)
        return Proposal(self._under_way, Origin(name, life, seq, digest(rows)), body)
