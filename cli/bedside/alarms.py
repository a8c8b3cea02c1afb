"""The bed's own alarm: the same machine as the mesh's, fed with this client's judgements and this machine's time.

Touches nothing: clocks and the link come in. Must not know: terminals, how anything is drawn. Keeps: whether it is
raised depends on nobody but this client; it sounds only while the mesh is away; once the mesh is there and has all
reports, what is over is the mesh's to show and is let go here, and so is a NO DATA that has lasted for long, of a
patient whom the mesh heard fall silent, too: who left a gateway for good is no alarm of it for ever.

    judgement, time --> Alarms --> events: raised, recurred, returned, acknowledged, ended; measured: its value is new
    the mesh is away and somebody has to come --> event: sounding, and the bell
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable
from typing import Any

from hfzmq.cli.alarm_view import HERE
from hfzmq.cli.bell import BedBell
from hfzmq.clinical.alarm import types as t
from hfzmq.clinical.alarm.clock import LogClock
from hfzmq.clinical.alarm.machine import Alarms
from hfzmq.clinical.alarm.rules import DAY_MS, AlarmRules, Expected
from hfzmq.clinical.alarm.types import Episode
from hfzmq.clinical.report import Report

Event = dict[str, Any]

CONNECTED = "connected"
AWAY_AFTER_MS = 3_000  # a leader that fails over is no absence
SOUNDING = "sounding"
MEASURED = "measured"
TOLD = (t.RAISED, t.RECURRED, t.CAUSE_ENDED, t.WAS_ACKNOWLEDGED, t.ENDED)
THE_MESH = "the mesh"
LONG_SILENT = 10  # so many times its limit of silence a NO DATA has lasted for long


class Absence:
    """Whether the mesh is away. From ``now_ms`` (monotonic) on it has AWAY_AFTER_MS to be found."""

    def __init__(self, now_ms: int) -> None:
        self._there_at_ms = now_ms

    def is_away(self, link: str, now_ms: int) -> bool:
        """At this time, with the link like this."""
        if link == CONNECTED:
            self._there_at_ms = now_ms
        return now_ms - self._there_at_ms > AWAY_AFTER_MS


class BedAlarms:
    """``rules``: of the site. ``named``: patients that have to be heard even if they never were, and whose NO DATA is
    never let go. ``silence``: whether the source may fall silent (a file cannot). ``ring``: sounds the bell. Not for
    several threads, but for ``acknowledge``."""

    def __init__(
        self,
        rules: AlarmRules,
        named: Iterable[str],
        now_ms: int,
        *,
        silence: bool = True,
        mute: bool = False,
        ring: Callable[[], None] = lambda: None,
    ) -> None:
        self._limits = dict(rules.expected)
        self._expected: dict[str, int] = {}
        limited = rules if silence else rules._replace(silent_ms=DAY_MS)
        self._silence = silence
        self._alarms = Alarms(limited._replace(expected=()), (), (), 0, 1)
        self._clock = LogClock()
        self._at_ms = 0  # by that clock: it does not go back when the machine's does
        self._absence = Absence(now_ms)
        self._bell = BedBell(mute)
        self._ring = ring
        self._judged = 0
        self._sounding: set[int] = set()
        self._away = False
        self._seen: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._named = tuple(named)
        self._to_name = self._named if silence else ()
        self._there_since_ms: int | None = None  # the mesh, by that clock; None: it is away

    def acknowledge(self, episode: int) -> None:
        """Somebody at the bed has seen it; from any thread."""
        self._seen.put(episode)

    def judged(self, report: Report, now_ms: int, wall_ms: int) -> list[Event]:
        """One judgement, GREEN or not, at this time (monotonic, wall)."""
        now = self._now(now_ms, wall_ms)
        self._watch((report.patient_id,), now)
        self._judged += 1
        self._alarms.report(now, self._judged, report)
        self._alarms.advance(now)
        return self._told()

    def turn(self, link: str, pending: int, now_ms: int, wall_ms: int) -> list[Event]:
        """Time has passed; the link to the mesh is like this, and so many reports wait for it."""
        now = self._now(now_ms, wall_ms)
        if self._to_name:
            self._alarms.advance(now)
            self._watch(self._to_name, now, all_of_them=True)
            self._to_name = ()
        self._away = self._absence.is_away(link, now_ms)
        if self._away:
            self._there_since_ms = None
        elif link == CONNECTED and self._there_since_ms is None:
            self._there_since_ms = now
        while not self._seen.empty():
            self._alarms.act(now, t.ACK, self._seen.get(), HERE)
        self._alarms.advance(now)
        if link == CONNECTED and not pending:
            for episode in self._open():
                if episode.state == t.RETURNED:
                    self._alarms.act(now, t.ACK, episode.id, THE_MESH)
                elif self._is_long_the_meshs(episode, now):
                    self._alarms.act(now, t.ACK, episode.id, THE_MESH)
                    self._alarms.act(now, t.RESOLVE, episode.id, THE_MESH)
        events = self._told()
        unseen = [episode for episode in self._open() if episode.state in t.UNSEEN]
        if self._away:
            events += [self._event(SOUNDING, one) for one in unseen if one.id not in self._sounding]
        self._sounding = {episode.id for episode in unseen} if self._away else set()
        if self._bell.rings([(one.id, one.cause) for one in unseen], self._away, now_ms):
            self._ring()
        return events

    def _is_long_the_meshs(self, episode: Episode, now: int) -> bool:
        """Whether it is a NO DATA that has lasted for long, of a bed that the mesh has heard until it fell silent: a
        GREEN bed that spoke while the mesh was away only is known to nobody but this client."""
        if episode.cause != t.NO_DATA or episode.patient_id in self._named or self._there_since_ms is None:
            return False
        limit = self._limits.get(episode.patient_id) or self._alarms.rules.silent_ms
        lasted = now - episode.raised_at_ms >= LONG_SILENT * limit
        return lasted and self._there_since_ms <= episode.raised_at_ms - limit

    def _now(self, now_ms: int, wall_ms: int) -> int:
        self._at_ms = self._clock.stamp(wall_ms, now_ms, self._alarms.now_ms)
        return self._at_ms

    def _watch(self, patients: Iterable[str], now: int, all_of_them: bool = False) -> None:
        """Patients whose silence has a limit of its own, or (``all_of_them``) that must be heard, have to be expected;
        the other beds of the site are none of ours."""
        new = {one: self._limits.get(one, 0) for one in patients if all_of_them or one in self._limits}
        if self._silence and new.keys() - self._expected.keys():
            self._expected |= new
            expected = tuple(Expected(*one) for one in sorted(self._expected.items()))
            self._alarms.rules_set(now, self._alarms.rules._replace(expected=expected))

    def _open(self) -> list[Episode]:
        return [episode for episode in self._alarms.episodes() if episode.state != t.NORMAL]

    def _told(self) -> list[Event]:
        changes = self._alarms.take_changes()
        episodes = {episode.id: episode for episode in changes.episodes}
        lines = [line for line in changes.events if line.what in TOLD and line.episode_id in episodes]
        told = [self._event(line.what, episodes[line.episode_id]) for line in lines]
        named = {line.episode_id for line in lines}
        return told + [self._event(MEASURED, one) for one in changes.episodes if one.id not in named]

    def _event(self, what: str, episode: Episode) -> Event:
        return {
            "event": "alarm",
            "what": what,
            "cause": episode.cause,
            "patient": episode.patient_id,
            "local": True,
            "episode": episode.id,
            "state": episode.state,
            "since": episode.raised_at_ms,
            "age_ms": self._at_ms - episode.raised_at_ms,
            "note": episode.note,
            "value": episode.value,
            "by": episode.acknowledged_by,
            "away": self._away,
        }
