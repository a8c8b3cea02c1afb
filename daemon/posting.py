"""What people are owed by the leader goes to the notifier, and what was seen meanwhile is taken back from it.

Touches the notifier it is handed. Must not know: the log, who leads. Keeps: nothing is posted twice while it is under
way; a look costs next to nothing for alarms of which nothing is new, however many there are, and posts POSTS_A_LOOK
notices at most, the newest alarm's first: what is new waits for no backlog.
"""

from __future__ import annotations

import math
from itertools import groupby
from typing import Protocol

from hfzmq.alarm_channels import used_at
from hfzmq.clinical.alarm.beds import missing_for
from hfzmq.clinical.alarm.episodes import sent_label
from hfzmq.clinical.alarm.facts import Sent
from hfzmq.clinical.alarm.machine import Alarms, owed_of
from hfzmq.clinical.alarm.rules import STEPS_MAX
from hfzmq.clinical.alarm.types import HEART_RATE, NO_DATA, UNSEEN, Bed, Episode
from hfzmq.config import Config
from hfzmq.daemon.notify import Notice, Notifier, words
from hfzmq.wire.facts import WHY_CHARS_MAX

LOOK_MS = 250  # what is owed is looked for so often at most
LOOK_AGAIN_MS = 5000  # and so often in any case
POSTS_A_LOOK = 50  # notices; the rest with the next look, for the loop has other things to do
FAILED_REST_MS = 60_000  # what a channel has given up on is posted again after so long


class Source(Protocol):
    """Where the alarms are."""

    @property
    def alarms(self) -> Alarms: ...


class Posting:
    """Times are monotonic milliseconds. ``look_at_ms``: when ``turn`` has something to look for."""

    def __init__(self, config: Config, source: Source, notifier: Notifier) -> None:
        self._config = config
        self._source = source
        self._notifier = notifier
        self._channels = [[one.name for one in used_at(config.channels, step)] for step in range(1, STEPS_MAX + 1)]
        self.begin()

    def begin(self) -> None:
        """Nothing is posted as yet."""
        self.look_at_ms = self._looked_ms = -math.inf
        self._unseen: frozenset[int] = frozenset()
        self._post_ms: dict[int, dict[tuple[int, str], float]] = {}  # episode -> when each may be posted again
        self._tries: dict[int, dict[tuple[int, str], int]] = {}  # likewise: of what was given up and posted again
        self._known: dict[int, tuple[Episode, float]] = {}  # as it was looked at, and when there is more to post of it

    def end(self) -> None:
        """Another leads."""
        self.begin()
        self._notifier.withdraw_all()

    def changed(self) -> None:
        """Alarms may have: look soon."""
        self.look_at_ms = min(self.look_at_ms, self._looked_ms + LOOK_MS)

    def forget(self) -> None:
        """What the notifier has to tell is of no interest any more."""
        self._notifier.results()

    def results(self, now_ms: float) -> list[Sent]:
        """What was delivered; and what has failed, if the log does not know it yet, however often it is tried."""
        found = []
        for one in self._notifier.results():
            mark, tries = (one.step, one.channel), one.tries
            if one.over:
                self._post_ms.setdefault(one.episode_id, {})[mark] = now_ms + FAILED_REST_MS
                counted = self._tries.setdefault(one.episode_id, {})
                tries += counted.get(mark, 0)
                if not one.ok:  # what was delivered may be told once more, and is not tried for that
                    counted[mark] = tries
                self._known.pop(one.episode_id, None)
                self.changed()  # its channel has room again
            episode = self._source.alarms.episode(one.episode_id)
            if one.ok or (episode and sent_label(*mark) not in episode.failing):
                found.append(Sent(one.episode_id, *mark, one.ok, tries, one.why[:WHY_CHARS_MAX]))
        return found

    def turn(self, now_ms: float, log_ms: int) -> None:
        """Look, if it is time. ``log_ms``: now, by the log's clock."""
        if now_ms < self.look_at_ms:
            return
        self._looked_ms, self.look_at_ms = now_ms, now_ms + LOOK_AGAIN_MS
        unseen = [one for one in self._source.alarms.episodes() if one.state in UNSEEN]
        numbers = frozenset(one.id for one in unseen)
        for number in self._unseen - numbers:
            self._notifier.withdraw(number)
        self._unseen = numbers
        for kept in (self._post_ms, self._tries, self._known):
            for number in kept.keys() - numbers:  # also those whose last result came after they were seen
                kept.pop(number, None)
        left = POSTS_A_LOOK
        for episode in reversed(unseen):
            before, more_at_ms = self._known.get(episode.id, (None, -math.inf))
            if before is episode and now_ms < more_at_ms:
                continue
            if not left:
                self.look_at_ms = now_ms + LOOK_MS
                break
            left -= self._post(episode, now_ms, log_ms, left)

    def _post(self, episode: Episode, now_ms: float, log_ms: int, at_most: int) -> int:
        """What is due of one alarm; how many notices that were."""
        at_ms, posted, more_at_ms = self._post_ms.setdefault(episode.id, {}), 0, math.inf
        for step, owed in groupby(reversed(owed_of(episode, self._channels)), lambda one: one.step):
            due = []
            for one in owed:
                when_ms = at_ms.get((step, one.channel), -math.inf)
                if when_ms <= now_ms and posted < at_most and self._notifier.has_room(one.channel, episode.cause):
                    due.append(one.channel)
                else:
                    more_at_ms = min(more_at_ms, when_ms)
            if due:
                posted += 1
                at_ms.update(((step, channel), math.inf) for channel in due)  # until it is told how that went
                others = frozenset(self._channels[step - 1]).difference(due)
                self._notifier.post(self._words(episode, step, log_ms), already=others)
        self._known[episode.id] = (episode, more_at_ms)
        if more_at_ms <= now_ms and posted == at_most:
            self.look_at_ms = now_ms + LOOK_MS
        return posted

    def _words(self, episode: Episode, step: int, log_ms: int) -> Notice:
        value, bed = episode.value, self._source.alarms.bed(episode.patient_id)
        return words(
            self._config.mesh_name,
            episode.id,
            step,
            episode.patient_id,
            episode.cause,
            episode.raised_at_ms,
            thresholds=self._config.thresholds,
            probability=None if episode.cause in (HEART_RATE, NO_DATA) else value,
            heart_rates_bpm=_rates(episode),
            note=episode.note,
            missing=_missing(episode, bed, log_ms) if episode.cause == NO_DATA else "",
            unseen_ms=log_ms - episode.raised_at_ms if step > 1 else None,
            written_ms=log_ms,
        )


def _rates(episode: Episode) -> tuple[float, float, float] | None:
    """The lowest, the highest and the last heart rate; None where it is not about one."""
    least, most, last = episode.least, episode.most, episode.value
    if episode.cause != HEART_RATE or least is None or most is None or last is None:
        return None
    return least, most, last


def _missing(episode: Episode, bed: Bed | None, log_ms: int) -> str:
    return missing_for(bed, log_ms) if bed and bed.silent else f"{episode.note}; heard again since".lstrip("; ")
