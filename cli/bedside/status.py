"""What the bedside's screen shows: a frozen value, made from the events of a run.

Touches nothing: events and clocks come in. Must not know how a screen is drawn. Keeps: a snapshot is whole (a bed's
probability belongs to its vitals); ages are monotonic; what is old says so by its own times, whoever hangs.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from hfzmq.cli.alarm_view import Alarm, urgency
from hfzmq.cli.bedside.alarms import Absence
from hfzmq.cli.bedside.output import sentence_of
from hfzmq.cli.why import Why, Whys
from hfzmq.client import ClientState
from hfzmq.client.ledger import loses_a_row
from hfzmq.clinical.alarm.types import NORMAL
from hfzmq.clinical.report import DAY_RAW, VITALS, is_range
from hfzmq.clinical.tiers import GREEN
from hfzmq.config import Thresholds

Event = dict[str, Any]

TREND_POINTS = 20
LOG_LINES = 50
WHYS_A_FRAME = 10
BEDS_MAX = 1000  # a long file may name any number of patients: the ones read longest ago go
LOCAL, QUEUED, STORED = "kept here", "queued", "stored"  # GREEN, on its way, acknowledged
REFUSED = "refused"  # by the mesh, or damaged on this disk: it lies in the dead letters


class BedNow(NamedTuple):
    """One patient's last judged reading. ``vitals``: in the order and units of VITALS. ``taken_at_ms``: the monotonic
    clock when it was measured, as far as its timestamp can be trusted. ``delivery``: LOCAL, QUEUED, STORED or
    REFUSED."""

    patient_id: str
    vitals: tuple[float | None, ...] | None = None
    probability: float = 0.0
    probability_study: float = 0.0
    tier: str = ""
    flags: tuple[str, ...] = ()
    taken_at_ms: int = 0
    delivery: str = ""
    trend: tuple[float, ...] = ()
    why: Why = ()  # what moved the probability most


class LogLine(NamedTuple):
    """Something that happened: wall clock (Unix ms) and words."""

    at_ms: int
    words: str


class BedsideStatus(NamedTuple):
    """All that the screen shows. ``now_ms``: the monotonic clock it is drawn at; ``turned_at_ms``: when the work behind
    it last gave a sign of life; ``interval_ms``: between two readings of a bed."""

    client_id: str
    beds: tuple[BedNow, ...]
    state: ClientState
    thresholds: Thresholds
    log: tuple[LogLine, ...]
    interval_ms: int
    now_ms: int
    turned_at_ms: int
    wall_ms: int
    alarms: tuple[Alarm, ...] = ()  # the bed's own, by urgency
    away: bool = False  # the mesh is: nobody else tells of them
    doubt: str = ""  # what is odd about this run, for as long as it lasts


class StatusBook:
    """Takes a run's events down; ``snapshot`` may be called from another thread. ``earlier``: rows that an earlier run
    has left in the queue, which are answered first."""

    def __init__(
        self,
        client_id: str,
        patients: Iterable[str],
        thresholds: Thresholds,
        interval_s: float,
        doubt: str = "",
        whys: Whys | None = None,
        earlier: int = 0,
    ) -> None:
        self._earlier = earlier
        self._client_id = client_id
        self._doubt = doubt
        self._thresholds = thresholds
        self._interval_ms = round(interval_s * 1000)
        self._mutex = threading.Lock()
        self._beds = {name: BedNow(name) for name in patients}
        self._vitals: dict[str, tuple[int, tuple[float | None, ...]]] = {}  # of a reading whose risk is still to come
        self._on_the_way: dict[str, int] = {}  # reports queued and not answered
        self._log: deque[LogLine] = deque(maxlen=LOG_LINES)
        self._turned_at_ms = 0
        self._alarms: dict[int, Alarm] = {}
        self._absence: Absence | None = None
        self._whys = whys

    def take(self, event: Event, now_ms: int, wall_ms: int) -> None:
        """One event of the run, at this time."""
        with self._mutex:
            self._turned_at_ms = now_ms
            handler: Callable[[Event, int, int], None] | None = getattr(self, f"_on_{event['event']}", None)
            if handler is not None:
                handler(event, now_ms, wall_ms)
            words = sentence_of(event, self._thresholds)
            if words:
                self._log.append(LogLine(wall_ms, words))

    def turned(self, now_ms: int) -> None:
        """The work is alive."""
        with self._mutex:
            self._turned_at_ms = now_ms

    def snapshot(self, state: ClientState, now_ms: int, wall_ms: int) -> BedsideStatus:
        """The status to draw at this time."""
        with self._mutex:
            beds = tuple(self._beds.values())
        beds = self._with_whys(beds)  # without the mutex: it takes some milliseconds a bed
        with self._mutex:
            self._absence = self._absence or Absence(now_ms)
            return BedsideStatus(
                self._client_id,
                beds,
                state,
                self._thresholds,
                tuple(self._log),
                self._interval_ms,
                now_ms,
                self._turned_at_ms,
                wall_ms,
                tuple(sorted(self._alarms.values(), key=urgency)),
                self._absence.is_away(state.link, now_ms),
                self._doubt,
            )

    def _with_whys(self, beds: tuple[BedNow, ...]) -> tuple[BedNow, ...]:
        """With a why wherever there is one; at most WHYS_A_FRAME are made, the next frame makes the next."""
        if self._whys is None:
            return beds
        found, left = [], WHYS_A_FRAME
        for bed in beds:
            asked = (bed.vitals or (), bed.probability, bed.tier, DAY_RAW in bed.flags)
            if bed.vitals is None or not (left or self._whys.knows(*asked)):
                found.append(bed)
                continue
            left -= not self._whys.knows(*asked)
            found.append(bed._replace(why=self._whys.of(*asked)))
        return tuple(found)

    def _on_alarm(self, event: Event, now_ms: int, wall_ms: int) -> None:
        number = event["episode"]
        if event["state"] == NORMAL:
            self._alarms.pop(number, None)
            return
        raised_at_ms = now_ms - event["age_ms"]
        if number in self._alarms:
            raised_at_ms = self._alarms[number].raised_at_ms
        self._alarms[number] = Alarm(
            number, event["patient"], event["cause"], event["state"], raised_at_ms, event["note"], event["value"],
            event["by"], 0,
        )  # fmt: skip

    def _on_reading(self, event: Event, now_ms: int, wall_ms: int) -> None:
        vitals = tuple(event[vital.name] for vital in VITALS)
        self._vitals[event["patient"]] = (now_ms - max(0, wall_ms - event["timestamp"]), vitals)

    def _on_risk(self, event: Event, now_ms: int, wall_ms: int) -> None:
        patient = event["patient"]
        taken_at_ms, vitals = self._vitals.pop(patient)
        before = self._beds.get(patient, BedNow(patient))
        between = is_range(event["probability"], ",".join(event["flags"]))  # an end of it is no point of a trend
        if patient not in self._beds and len(self._beds) >= BEDS_MAX:
            del self._beds[min(self._beds, key=lambda name: self._beds[name].taken_at_ms)]
        self._beds[patient] = BedNow(
            patient,
            vitals,
            event["probability"],
            event["probability_study"],
            event["tier"],
            tuple(event["flags"]),
            taken_at_ms,
            LOCAL if event["tier"] == GREEN else QUEUED,
            before.trend if between else (*before.trend, event["probability"])[-TREND_POINTS:],
        )
        if event["tier"] != GREEN:
            self._on_the_way[patient] = self._on_the_way.get(patient, 0) + 1

    def _on_ack(self, event: Event, now_ms: int, wall_ms: int) -> None:
        self._answered(event["patient"], STORED)

    def _on_rejected(self, event: Event, now_ms: int, wall_ms: int) -> None:
        if loses_a_row(event):
            self._answered(event["patient"], REFUSED)

    def _answered(self, patient: str, delivery: str) -> None:
        """The oldest row that waits has come to this end: of an earlier run, or of ``patient``."""
        if self._earlier:
            self._earlier -= 1
            return
        if patient not in self._on_the_way:
            return
        self._on_the_way[patient] -= 1
        if self._on_the_way[patient] == 0:
            del self._on_the_way[patient]
            bed = self._beds.get(patient)
            if bed is not None and bed.delivery == QUEUED:
                self._beds[patient] = bed._replace(delivery=delivery)
