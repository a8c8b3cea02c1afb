"""What waits for one channel: which notice is tried next, when again, and when it is given up.

    add --> waiting --take--> under way --settle--> delivered
               ^                           |------> given up (time is over, or trying again cannot help)
               '-- back-off with jitter ---'
    drop: what waits is forgotten; what is under way is not tried again.

Touches nothing: time is an argument, chance a Random handed in. Must not know: processes, channels. Keeps: one notice
under way at a time; a notice is in here once; the most urgent cause goes first, and then the newest alarm, so that a
new RED waits for no backlog; of one cause, one that was never tried goes before one that failed, and no failed one goes
first twice in a row, so that a notice that the channel cannot stomach does not starve the next; the last try is made
when its time is over, not before; where one notice after the other fails, the channel is dead, and hundreds that wait
for it cost a try in two seconds, no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from hfzmq.clinical.alarm.types import CAUSES
from hfzmq.daemon.notify.lines import Message

RETRY_FIRST_MS = 1000
RETRY_MOST_MS = 60_000
REST_FIRST_MS = 100  # of a channel, after a notice has failed that is not the one that failed before
REST_MOST_MS = 2000


@dataclass
class Job:
    """A notice that waits for the channel or is under way; times in monotonic milliseconds."""

    notice: Message
    due_ms: float
    until_ms: float
    attempts: int = 0
    dropped: bool = False

    @property
    def rank(self) -> int:
        """Of its cause: the lower, the more urgent."""
        cause = self.notice["cause"]
        return CAUSES.index(cause) if cause in CAUSES else len(CAUSES)


class Settled(NamedTuple):
    """A job that is over: delivered, or given up. (A dropped one that failed is over without a word.)"""

    job: Job
    ok: bool


class Lane:
    """The jobs of one channel."""

    def __init__(self, retry_for_ms: int, random: Random) -> None:
        self._retry_for_ms = retry_for_ms
        self._random = random
        self._jobs: dict[tuple[int, int], Job] = {}
        self.under_way: Job | None = None
        self._tried_again = False  # the last that was taken: it had failed, and its cause was the most urgent
        self._failed: Job | None = None  # the last, if none was delivered since
        self._rest_ms = 0.0
        self._rests_until_ms = float("-inf")

    def add(self, now_ms: float, notice: Message, age_ms: float) -> None:
        """``age_ms``: for how long it has been tried already, by a process that is no more."""
        key = (notice["episode_id"], notice["step"])
        if key in self._jobs:
            self._jobs[key].dropped = False
        else:
            self._jobs[key] = Job(notice, now_ms, now_ms - age_ms + self._retry_for_ms)

    def drop(self, episode_id: int) -> None:
        """Acknowledged meanwhile."""
        for key, job in list(self._jobs.items()):
            if key[0] == episode_id:
                job.dropped = True
                if job is not self.under_way:
                    del self._jobs[key]

    def wake_ms(self) -> float:
        """When ``take`` has something next; infinity when nothing waits or one is under way."""
        if self.under_way is not None:
            return float("inf")
        return max(min((job.due_ms for job in self._jobs.values()), default=float("inf")), self._rests_until_ms)

    def take(self, now_ms: float) -> Job | None:
        """The job to try now, which is under way from here on; None when there is none."""
        if self.under_way is not None or now_ms < self._rests_until_ms:
            return None
        due = [job for job in self._jobs.values() if job.due_ms <= now_ms]
        if not due:
            return None
        job = min(due, key=_urgency)
        self._tried_again = job.attempts > 0 and not self._tried_again
        if job.attempts and not self._tried_again:
            job = min(due, key=_turn)
        self.under_way = job
        job.attempts += 1
        return job

    def settle(self, now_ms: float, ok: bool, final: bool) -> Settled | None:
        """What is under way has ended; ``final``: trying again cannot help. None: it will be tried again, or was
        dropped and needs no word."""
        job = self.under_way
        assert job is not None
        self.under_way = None
        self._rest(now_ms, job, ok)
        if ok or final or job.dropped or now_ms >= job.until_ms:
            del self._jobs[job.notice["episode_id"], job.notice["step"]]
            return None if job.dropped and not ok else Settled(job, ok)
        pause_ms = min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** min(job.attempts - 1, 16))
        job.due_ms = min(job.until_ms, now_ms + pause_ms * self._random.uniform(0.5, 1.0))
        return None

    def _rest(self, now_ms: float, job: Job, ok: bool) -> None:
        if ok:
            self._failed, self._rest_ms = None, 0.0
        elif job is not self._failed:
            if self._failed is not None:
                self._rest_ms = min(REST_MOST_MS, max(REST_FIRST_MS, 2 * self._rest_ms))
            self._failed = job
            self._rests_until_ms = now_ms + self._rest_ms


def _urgency(job: Job) -> tuple[float, ...]:
    newest = -job.notice["episode_id"], -job.notice["step"]
    return (job.rank, 1, job.due_ms) if job.attempts else (job.rank, 0, *newest)


def _turn(job: Job) -> tuple[float, ...]:
    """What was never tried, then what has waited longest."""
    return job.attempts > 0, job.due_ms
