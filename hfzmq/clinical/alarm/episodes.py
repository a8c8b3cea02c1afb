"""The life cycle of episodes, their journal, and what of it is still to be written.

Touches nothing. Must not know: thresholds, streaks, time limits; when what happens is for the machine to say. Keeps:
only these methods write an episode's state; what is normal stays so; ids rise by one; each change leaves a line in the
journal. The state diagram stands in ``types``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from hfzmq.clinical.alarm import types as t
from hfzmq.clinical.alarm.types import Calmed, Episode, Event

_NOTE, _AFTER_MOST = Episode._fields.index("note"), Episode._fields.index("most") + 1
assert Episode._fields[_NOTE:_AFTER_MOST] == ("note", "value", "least", "most")

KEEP_ENDED_MS = 3_600_000  # so long a normal episode is remembered here: its notifications may still be under way


class Episodes:
    """Those that are not normal, or not for long. ``known`` is for reading."""

    def __init__(self, rows: Iterable[Episode], now_ms: int, next_id: int) -> None:
        self.next_id = next_id
        self.known: dict[int, Episode] = {row.id: row for row in sorted(rows)}
        over = [one for one in self.known.values() if one.resolved_at_ms is not None]
        self._ended = deque(sorted((one.resolved_at_ms or 0, one.id) for one in over))
        self.changed: dict[int, Episode] = {}  # as they are to be written, be they remembered or not
        self.events: list[Event] = []
        self.alerted: list[int] = []
        self.calmed: list[Calmed] = []
        self.forget(now_ms)

    def forget(self, now_ms: int) -> None:
        """Let go of what has been normal for long."""
        while self._ended and self._ended[0][0] <= now_ms - KEEP_ENDED_MS:
            del self.known[self._ended.popleft()[1]]

    def journal(self, episode_id: int, now: int, what: str, detail: str) -> None:
        """One line."""
        self.events.append(Event(episode_id, now, what, detail))

    # ------------------------------------------------------------ what happens to an episode

    def begin(self, now: int, patient_id: str, cause: str, by: int, note: str, value: float | None) -> Episode:
        """A cause is on that has no episode."""
        episode = Episode(
            self.next_id, patient_id, cause, t.UNACKNOWLEDGED, now, by, note, value, value, value,
            None, "", None, None, "", "", 0, 0, (),
        )  # fmt: skip
        self.next_id += 1
        if by and cause in (t.RED, t.AMBER):
            self.alerted.append(by)
        return self._put(episode, now, t.RAISED, note)

    def measure(self, episode_id: int, value: float, note: str = "", before: Sequence[float] = ()) -> None:
        """A new value while the cause is on, with its note ('': as before), for which the journal has no line; and
        values that came just ``before`` it, with notes that it supersedes."""
        episode = self.known[episode_id]
        least, most = episode.least, episode.most
        low, high = (min(value, *before), max(value, *before)) if before else (value, value)
        if least is None or low < least:
            least = low
        if most is None or high > most:
            most = high
        # As ``_replace`` would, in half the time: this is done for each report of a bed whose alarm is on.
        measured = (note or episode.note, value, least, most)
        self._keep(Episode._make((*episode[:_NOTE], *measured, *episode[_AFTER_MOST:])))

    def rename(self, now: int, episode_id: int, note: str) -> None:
        """What is missing has changed."""
        episode = self.known[episode_id]
        if note != episode.note:
            self._put(episode._replace(note=note), now, t.MISSING, note)

    def recur(self, now: int, episode_id: int) -> None:
        """The cause is on again before anybody has seen that it was."""
        episode = self.known[episode_id]
        assert episode.state == t.RETURNED
        self._put(episode._replace(state=t.UNACKNOWLEDGED, returned_at_ms=None), now, t.RECURRED, "")

    def cause_ended(self, now: int, episode_id: int) -> Episode:
        """The cause is off: latched, unless it was seen."""
        episode = self.known[episode_id]
        assert episode.state in t.RUNNING
        seen = episode.state == t.ACKNOWLEDGED
        episode = self._put(episode._replace(state=t.RETURNED, returned_at_ms=now), now, t.CAUSE_ENDED, "")
        return self.end(now, episode.id, t.SEEN, "") if seen else episode

    def acknowledge(self, now: int, episode_id: int, by: str) -> Episode:
        """Somebody has seen it: over, if its cause is."""
        episode = self.known[episode_id]
        assert episode.state in t.UNSEEN
        over = episode.state == t.RETURNED
        seen = episode._replace(state=t.ACKNOWLEDGED, acknowledged_at_ms=now, acknowledged_by=by)
        episode = self._put(seen, now, t.WAS_ACKNOWLEDGED, by)
        return self.end(now, episode.id, t.SEEN, "") if over else episode

    def end(self, now: int, episode_id: int, how: str, by: str) -> Episode:
        """It is normal from now on."""
        episode = self.known[episode_id]
        assert episode.state != t.NORMAL
        if episode.cause in (t.HEART_RATE, t.NO_DATA):
            self.calmed.append(Calmed(episode.patient_id, episode.cause))
        self._ended.append((now, episode_id))
        ended = episode._replace(state=t.NORMAL, resolved_at_ms=now, resolved_how=how, resolved_by=by)
        return self._put(ended, now, t.ENDED, f"{how} {by}".rstrip())

    def climb(self, now: int, episode_id: int) -> None:
        """One more step of the escalation."""
        episode = self.known[episode_id]
        assert episode.state in t.UNSEEN
        step = episode.step + 1
        self._put(episode._replace(step=step, step_at_ms=now), now, t.ESCALATED, str(step))

    def deliver(self, now: int, episode_id: int, step: int, channel: str, ok: bool, tries: int, why: str) -> None:
        """A notification of a step that was reached: delivered, or it has failed. Each of them is a line once."""
        episode = self.known.get(episode_id)
        label = sent_label(step, channel)
        if episode is None or step > episode.step or label in episode.sent:
            return
        if ok:
            failing = tuple(one for one in episode.failing if one != label)
            detail = label if tries == 1 else f"{label} after {tries} tries"
            self._put(episode._replace(sent=(*episode.sent, label), failing=failing), now, t.SENT, detail)
        elif label not in episode.failing:
            detail = f"{label} {why}".rstrip()
            self._put(episode._replace(failing=(*episode.failing, label)), now, t.FAILED, detail)

    # ------------------------------------------------------------

    def _put(self, episode: Episode, now: int, what: str, detail: str) -> Episode:
        self.journal(episode.id, now, what, detail)
        return self._keep(episode)

    def _keep(self, episode: Episode) -> Episode:
        self.known[episode.id] = episode
        self.changed[episode.id] = episode
        return episode


def sent_label(step: int, channel: str) -> str:
    """How a delivery is noted in ``Episode.sent`` and ``failing``; in the journal the number of tries may follow, if
    there were several, or what was wrong."""
    return f"{step}:{channel}"
