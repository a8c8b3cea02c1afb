"""The loop's pulse: that it turns, how long the disk takes, and the picture of itself that others may look at.

    each turn that has ended --> its time; WATCHDOG=1 to systemd, STATUS= when it changed; a new Gauge now and then
    before and after a write --> how long it took; since when the disk is silent

Touches systemd's socket and the HTTP desk it is asked to open. Must not know: what a turn does. Keeps: a turn costs two
comparisons while nobody looks, and a picture every LOOK_MS while somebody may; whoever hangs is not fed: only turns
that have ended count.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hfzmq.core.replica import Replica
from hfzmq.daemon import gauge as gauges
from hfzmq.daemon.about import About
from hfzmq.daemon.door import Door
from hfzmq.daemon.gauge import Gauge, OpenAlarms, Syncs
from hfzmq.daemon.sd_notify import SdNotify
from hfzmq.storage import Store

if TYPE_CHECKING:
    from hfzmq.daemon.health import HealthDesk

LOOK_MS = 500.0
STATUS_MS = 1000.0
INSTALL_MS = 60_000.0  # for a snapshot to be taken in, in one turn of the loop;
INSTALL_BYTES_A_MS = 1000  # and for so many bytes of it one ms more: a fifth of what was measured on a busy machine
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Vitals:
    """For the loop's thread; ``gauge``, ``turn_age_ms``, ``writing_ms``, ``rests_ms``, ``excused`` and ``stopping``
    are for any."""

    def __init__(
        self, about: About, replica: Replica, store: Store, door: Door, notify: SdNotify, clock_ms: Callable[[], float]
    ) -> None:
        self.client_port = door.port
        self._about = about
        self._replica = replica
        self._store = store
        self._door = door
        self._notify = notify
        self._clock_ms = clock_ms
        self._desk: HealthDesk | None = None
        self._turned_ms = clock_ms()
        self._writing_ms = math.nan  # since when; nan: not
        self._wrote_ms = self._turned_ms
        self._excused_until_ms = -math.inf
        self._sync_counts = [0] * (len(BOUNDS_S) + 1)
        self._sync_seconds = 0.0
        self._watchdog_at_ms = self._turned_ms if notify.watchdog_ms else math.inf
        self._look_at_ms = self._turned_ms if notify.listens else math.inf
        self._status = ""
        self._status_at_ms = -math.inf
        self._alarms: tuple[OpenAlarms, ...] = ()
        self._alarms_of = -1  # the applied index
        self.gauge: Gauge | None = None
        self.stopping = False
        self.lines_lost: Callable[[], int] = lambda: 0  # of the log
        self.shut_out: Callable[[], tuple[tuple[int, str], ...]] = tuple  # see Gauge
        self.reads: Callable[[], bool] = lambda: True  # likewise

    # ------------------------------------------------------------ the process's days

    def open_desk(self, host: str, port: int) -> int:
        """Answer health checks and Prometheus there from now on (port 0: any); the port. HfzmqError: it cannot."""
        from hfzmq.daemon.health import HealthDesk  # only who is asked to needs HTTP and Prometheus

        self._desk = HealthDesk(self, host, port)
        self._look(self._clock_ms())
        return self._desk.port

    def ready(self) -> None:
        """Sockets are bound, the file is open: a quorum is not waited for."""
        self._notify.say("READY=1")

    def reloading(self) -> None:
        """A configuration is being read; ``ready`` follows."""
        self._notify.reloading()

    def ends(self) -> None:
        """The daemon was asked to stop."""
        self.stopping = True
        self._notify.say("STOPPING=1")

    def close(self) -> None:
        """Answer nobody any more. Twice is harmless."""
        if self._desk:
            self._desk.close()
            self._desk = None
        self._notify.close()

    # ------------------------------------------------------------ the loop's side

    def writes(self) -> None:
        """A transaction begins."""
        self._writing_ms = self._clock_ms()

    def wrote(self, synced: bool = True) -> float:
        """It has ended; how many ms it took. ``synced``: whether the disk was waited for."""
        self._wrote_ms = self._clock_ms()
        took_ms = self._wrote_ms - self._writing_ms
        self._writing_ms = math.nan
        if synced:
            self._sync_counts[bisect_left(BOUNDS_S, took_ms / 1000)] += 1
            self._sync_seconds += took_ms / 1000
        return took_ms

    @contextmanager
    def taking_in(self, size_bytes: int) -> Iterator[None]:
        """A snapshot of so many bytes is taken in: a turn that is long, and known to be, is no hang. Nobody is excused
        for longer than that may take."""
        allowed_ms = INSTALL_MS + size_bytes / INSTALL_BYTES_A_MS
        self._excused_until_ms = self._clock_ms() + allowed_ms
        self._watch_for(allowed_ms)
        try:
            yield
        finally:
            self._excused_until_ms = -math.inf
            self._watch_for(self._notify.watchdog_ms)

    def turned(self) -> None:
        """A turn of the loop has ended: all that it began is done."""
        now_ms = self._turned_ms = self._clock_ms()
        if now_ms >= self._watchdog_at_ms:
            self._watchdog_at_ms = now_ms + self._notify.watchdog_ms / 2
            self._notify.say("WATCHDOG=1")
        if now_ms >= self._look_at_ms:
            self._look(now_ms)

    def wake_at_ms(self) -> float:
        """The latest moment for the next turn to end."""
        return min(self._watchdog_at_ms, self._look_at_ms)

    # ------------------------------------------------------------ any thread's side

    def turn_age_ms(self) -> float:
        """How long ago a turn ended."""
        return self._clock_ms() - self._turned_ms

    def rests_ms(self) -> float:
        """How long ago something was written; 0 while something is."""
        return self._clock_ms() - self._wrote_ms if math.isnan(self._writing_ms) else 0.0

    def excused(self) -> bool:
        """Whether it is taking in a snapshot, and for no longer than that may take."""
        return self._clock_ms() < self._excused_until_ms

    def writing_ms(self) -> float:
        """For how long the disk has not answered; 0 while it is not asked anything."""
        since_ms = self._writing_ms
        return 0.0 if math.isnan(since_ms) else self._clock_ms() - since_ms

    # ------------------------------------------------------------ inside

    def _watch_for(self, patience_ms: float) -> None:
        if self._notify.watchdog_ms:
            self._notify.say(f"WATCHDOG_USEC={int(patience_ms * 1000)}", "WATCHDOG=1")

    def _look(self, now_ms: float) -> None:
        self._look_at_ms = now_ms + LOOK_MS
        if self._alarms_of != self._replica.applied:
            self._alarms_of, self._alarms = self._replica.applied, gauges.open_alarms(self._store.alarms)
        syncs = Syncs(tuple(self._sync_counts), self._sync_seconds)
        status = self._about.status()
        status["counters"]["log_lines_lost"] = self.lines_lost()  # 0 too: who watches must see it begin to rise
        gauge = gauges.read(now_ms, status, self._replica, self._store, self._alarms, syncs, self._door.shut)
        self.gauge = gauge._replace(shut_out=self.shut_out(), reads=self.reads())
        line = status_line(self.gauge)
        if line != self._status and now_ms >= self._status_at_ms:
            self._status, self._status_at_ms = line, now_ms + STATUS_MS
            self._notify.say(f"STATUS={line}")


def status_line(gauge: Gauge) -> str:
    """``follower in term 7, leader 1, hears 2 of 2 other peers``: for ``systemctl status``."""
    leader = "serves" if gauge.serves else f"leader {gauge.leader}" if gauge.leader else "no leader"
    others = f"{gauge.others} other peer{'' if gauge.others == 1 else 's'}"
    begun = "" if gauge.founded else "; the mesh has not begun"
    return f"{gauge.role} in term {gauge.term}, {leader}, hears {gauge.heard} of {others}{begun}"
