"""Reads, apart: one thread with a read-only connection answers what would hold up the loop, and in between looks
slowly through the file for rot.

Touches a read-only SQLite connection, files that it is told to read (pieces of a backup) and one inproc socket, all of
its own thread. Must not know: who leads. Keeps: short reads; a bounded number of jobs waits (a full queue is BUSY for
the client); a read that fails is an answer that says so, never a thread that is gone; rot is told once (``damage``),
for the loop to act on; the look for rot gives way to the loop's work, which needs the interpreter, too.
"""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import zmq

from hfzmq.clinical.report import Report
from hfzmq.daemon.clocks import wall_clock_ms
from hfzmq.errors import HfzmqError
from hfzmq.storage import Reader
from hfzmq.storage.reader import Replaced
from hfzmq.storage.scrub import Scrubber
from hfzmq.wire import requests
from hfzmq.wire.pages import OPEN, AlarmEvents, Alarms, Alerts, Page, Readings

JOBS_MAX = 64
CLOSE_WITHIN_S = 2.0
BED_ALARMS_MAX = 1000
SCRUB_EVERY_S = 0.1  # while nobody asks and the loop rests: some 2,000 rows a second at 2 % of a core
SCRUB_AT_LEAST_EVERY_S = 2.0  # while the loop never rests: rot is found under any load, only later
RESTS_MS = 30.0  # so long without a write, and the loop has nothing to do
LOOK_AHEAD_EVERY_S = 1.0
LOOK_AHEAD_PATIENTS = 20  # at a time: some 3 ms, and 20 where the disk is cold
UNREADABLE_S = 10.0  # until the disk is tried again

log = logging.getLogger("hfzmq.queries")

T = TypeVar("T")
Job = tuple[tuple[bytes, ...], Callable[[], bytes]]


class Queries:
    """``about()`` tells, in the loop's thread, what an answer says of this peer: ``peer``, ``stale_ms``, ``commit``,
    ``log_now_ms``. ``damage``: what rot was found in the file, None for none as yet; ``scrubs`` is how often all of it
    was looked at. ``rests_ms()`` tells, in any thread, how long ago the loop had something to write."""

    def __init__(
        self,
        path: Path,
        answers: zmq.Socket[bytes],
        about: Callable[[], dict[str, Any]],
        rests_ms: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self._path = path
        self._answers = answers
        self._about = about
        self._rests_ms = rests_ms
        self._jobs: queue.Queue[Job | None] = queue.Queue(JOBS_MAX)
        self._stopping = False
        self._reader: Reader | None = None  # of the thread
        self.damage: str | None = None
        self._scrubber = Scrubber(path)
        self._look_at = 0.0  # not before
        self._scrub_at = 0.0  # likewise
        self._scrub_by = 0.0  # by then, however busy the loop is
        self._thread = threading.Thread(target=self._work, name="queries", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether reads are answered."""
        return self._thread.is_alive()

    @property
    def scrubs(self) -> int:
        """How many times all of the file was looked through."""
        return self._scrubber.passes

    def ask_page(self, route: tuple[bytes, ...], request: Page) -> bool:
        """False when too many wait already."""
        about = self._about()
        return self.ask(route, lambda: self._reading(lambda reader: _page(reader, request, about)))

    def ask_beds(self, route: tuple[bytes, ...], seen: list[tuple[int, Report]]) -> bool:
        """False when too many wait already."""
        about = self._about()
        return self.ask(route, lambda: self._reading(lambda reader: _beds(reader, seen, about)))

    def ask(self, route: tuple[bytes, ...], work: Callable[[], bytes]) -> bool:
        """Have ``work`` done in the thread, which makes the answer; False when too many wait already."""
        try:
            self._jobs.put_nowait((route, work))
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Let the thread finish what it has begun, for two seconds."""
        self._stopping = True
        with contextlib.suppress(queue.Full):
            self._jobs.put_nowait(None)
        self._thread.join(CLOSE_WITHIN_S)

    def _reading(self, work: Callable[[Reader], T]) -> T:
        reader = self._reader = self._reader or Reader(self._path)
        with reader.snapshot():  # rows and applied index of one moment
            return work(reader)

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=SCRUB_EVERY_S)
            except queue.Empty:
                self._look_ahead()
                self._scrub()
                continue
            if job is None or self._stopping:
                break
            route, work = job
            try:
                answer = work()
            except HfzmqError as error:
                log.warning("a read failed: %s", error)
                answer = requests.encode_reply("REFUSED", field=requests.READ, bound=str(error), hint=error.hint)
            except Exception as error:  # a fault in one read must not end all reads
                log.error("a read failed: %r", error)
                answer = requests.encode_reply(
                    "REFUSED", field=requests.READ, bound=f"a fault: {error!r}"[:200], hint=""
                )
            try:
                self._answers.send_multipart([*route, answer])
            except zmq.ContextTerminated:
                break  # the daemon did not wait for this read
        if self._reader:
            self._reader.close()
        self._scrubber.close()
        self._answers.close(0)

    def _look_ahead(self) -> None:
        """Keep at hand what boards show, a few patients at a time, so that the first who asks waits for none."""
        if self._stopping or time.monotonic() < self._look_at or self._rests_ms() < RESTS_MS:
            return
        wait_s = LOOK_AHEAD_EVERY_S
        try:
            if not self._reading(lambda reader: reader.board.read_ahead(LOOK_AHEAD_PATIENTS)):
                wait_s = 0.0
        except Replaced:
            pass  # the one that took its place is read next time
        except Exception as error:  # whoever asks is told; a fault here must not end all reads
            log.warning("what boards show is not read ahead, tried again in %d s: %r", UNREADABLE_S, error)
            wait_s = UNREADABLE_S
        self._look_at = time.monotonic() + wait_s

    def _scrub(self) -> None:
        now = time.monotonic()
        if self.damage or self._stopping or now < self._scrub_at:
            return
        if self._rests_ms() < RESTS_MS and now < self._scrub_by:
            return
        self._scrub_by = now + SCRUB_AT_LEAST_EVERY_S
        try:
            self.damage = self._scrubber.step()
        except Exception as error:  # DiskFailed as a rule; a fault here must not end all reads
            log.warning("the scrub goes on in %d s: %s", UNREADABLE_S, error)
            self._scrub_at = time.monotonic() + UNREADABLE_S


def _page(reader: Reader, request: Page, about: dict[str, Any]) -> bytes:
    which = (request.after_id, request.before_id, request.limit + 1, request.patient)
    if isinstance(request, Readings):
        fields, rows = reader.reading_fields, reader.readings(*which, request.status)
    elif isinstance(request, Alerts):
        fields, rows = reader.alert_fields, reader.alerts(*which, request.category)
    elif isinstance(request, Alarms):
        fields, rows = reader.alarm_fields, reader.alarms(*which, request.state)
    elif isinstance(request, AlarmEvents):
        fields, rows = reader.event_fields, reader.alarm_events(*which[:3], request.episode)
    else:
        fields, rows = reader.fields, reader.reports(*which, request.tier)
    applied = reader.applied()
    return requests.encode_reply(
        "OK",
        fields=list(fields),
        rows=[list(row) for row in rows[: request.limit]],
        more=len(rows) > request.limit,
        applied_index=applied,
        peer=about["peer"],
        stale_ms=about["stale_ms"],
        behind=max(0, about["commit"] - applied),
        log_now_ms=about["log_now_ms"],
    )


def _beds(reader: Reader, seen: list[tuple[int, Report]], about: dict[str, Any]) -> bytes:
    picture = reader.board.picture()
    return requests.encode_reply(
        "OK",
        seen=[[age, list(row)] for age, row in seen],
        reported=picture.reports,
        readings=[[number, row] for number, *row in picture.readings],
        alarm_fields=list(reader.alarm_fields),
        alarms=[list(row) for row in reader.alarms(limit=BED_ALARMS_MAX, state=OPEN)],
        trends=picture.trends,
        applied_index=reader.applied(),
        now_ms=wall_clock_ms(),
        log_now_ms=about["log_now_ms"],
        peer=about["peer"],
    )
