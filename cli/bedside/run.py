"""The bedside's work: read, judge, queue what matters, tell what happens, and end in good order.

Touches the clock; source, model and client are handed in. Must not know: terminals, formats. Keeps: everything is told
in one thread, in order (reading, risk, queued, ack); a chunk and the source's progress go to disk in one transaction,
so that a file is never submitted twice; a file is not read further ahead than PENDING_MAX rows.

    read a chunk --> judge each --> AMBER, RED, UNKNOWN: client.submit_many   all: client.seen (a hint)
         ^  wait for the next one, telling what the client says meanwhile  |
         +-----------------------------------------------------------------+---> end: wait for acks, summary
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from hfzmq.cli.bedside.judge import judge
from hfzmq.cli.bedside.readings import Reading, Refused
from hfzmq.cli.bedside.sources import Chunk, Source
from hfzmq.client import Client
from hfzmq.client.queue_types import Places
from hfzmq.clinical.report import VITALS, Report, check_row
from hfzmq.clinical.tiers import REPORTED, TIERS
from hfzmq.errors import InvalidInput, TimedOut
from hfzmq.model.inference import RiskModel

Event = dict[str, Any]

PENDING_MAX = 20_000
GRACE_S = 3.0  # for acks, once nothing more is read
TURN_S = 0.2  # how long a turn of the loop may wait


class Bedside:
    """One run. ``tell`` gets each event, in the thread that calls ``run``; ``turn`` is called several times a second.

    ``tail``: how far the source was read by what is stored, which the next places replace.
    """

    def __init__(
        self,
        client: Client,
        model: RiskModel,
        source: Source,
        tell: Callable[[Event], None],
        *,
        events: queue.Queue[Event],
        tail: Places | None = None,
        duration_s: float | None = None,
        turn: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._model = model
        self._source = source
        self._tell_out = tell
        self._events = events
        self._stored = tail
        self._read_to = tail
        self._turn = turn
        self._stop = threading.Event()
        self._started = time.monotonic()
        self._deadline = None if duration_s is None else self._started + duration_s
        self._unusable = 0  # lines of the source
        self._source_name = "source"
        self.counts = dict.fromkeys(("readings", "submitted", "acked", "rejected", *TIERS), 0)

    def stop(self) -> None:
        """Read no more; from any thread or signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Work until the source ends, the duration is over or ``stop``; then wait for acks and tell the summary.

        TimedOut: the source ended, or the duration was over, and reports still wait on disk. InvalidInput: there were
        lines, and not one of them could be used.
        """
        ended = self._read_all()
        useless = self._unusable > 0 and not any(self.counts[tier] for tier in TIERS)
        if not useless:  # else the next run says so again
            self._remember_the_end()
        in_time = self._wait_for_acks(ended)
        self._drain()
        pending = self._client.state.pending
        self._tell(self._summary(pending))
        if self._stop.is_set():
            return
        if in_time and useless:
            bound = f"a line that can be used; all {self._unusable} were rejected"
            raise InvalidInput(self._source_name, bound, hint="each is named above, with what is wrong")
        if in_time and (ended or not self._source.batch):
            return
        if pending:
            message = f"{pending} reports are not acknowledged yet; they wait in {self._client.queue.directory}"
        else:
            message = "the duration was over before the source was read to its end"
        raise TimedOut(message, hint="the same command goes on where this one stopped")

    # --------------------------------------------------------------------------------------------------------- reading

    def _read_all(self) -> bool:
        """Read until the end (True), the deadline or a stop."""
        due = time.monotonic()
        while not self._over():
            self._drain()
            now = time.monotonic()
            wait_s = TURN_S if self._deadline is None else max(0.0, min(TURN_S, self._deadline - now))
            if now < due or self._client.state.pending > PENDING_MAX:
                self._wait_for_news(min(wait_s, due - now) if now < due else wait_s)
                continue
            chunk = self._source.read(min(wait_s, TURN_S / 4))
            if chunk is None:
                return True
            self._take(chunk)
            due = max(due + self._source.interval_s, now)
        return False

    def _over(self) -> bool:
        return self._stop.is_set() or (self._deadline is not None and time.monotonic() >= self._deadline)

    def _take(self, chunk: Chunk) -> None:
        reports: list[Report] = []
        latest: dict[str, Report] = {}
        for item in chunk.items:
            if isinstance(item, Refused):
                self._source_name = item.source
                self._refused(item.field, item.bound, item.hint, item.patient, source=item.source, line=item.line)
                continue
            report = self._judged(item)
            if report is not None:
                latest[report.patient_id] = report
                if report.tier in REPORTED:
                    reports.append(report)
        if chunk.places is not None:
            self._read_to = chunk.places
        if reports:
            moved = None if self._read_to is None else (self._stored or (), self._read_to)
            self._client.submit_many(reports, source=moved)
            self._stored = self._read_to
            self.counts["submitted"] += len(reports)
        self._client.seen(latest.values())

    def _judged(self, reading: Reading) -> Report | None:
        self.counts["readings"] += 1
        vitals = {vital.name: value for vital, value in zip(VITALS, reading.vitals, strict=True)}
        self._tell({"event": "reading", "patient": reading.patient_id, "timestamp": reading.timestamp, **vitals})
        try:
            report, flags = judge(self._model, self._client.config.thresholds, reading)
        except InvalidInput as error:
            self._refused(error.field, error.bound, error.hint, reading.patient_id)
            return None
        refusal = check_row(report)
        if refusal is not None:
            self._refused(*refusal, patient=reading.patient_id)
            return None
        self.counts[report.tier] += 1
        self._tell(
            {
                "event": "risk",
                "patient": report.patient_id,
                "timestamp": report.timestamp,
                "probability": report.probability,
                "tier": report.tier,
                "probability_study": report.probability_study,
                "flags": list(flags),
            }
        )
        return report

    def _refused(self, field: str, bound: str, hint: str, patient: str | None, **where: object) -> None:
        self.counts["rejected"] += 1
        self._unusable += 1
        told = {"event": "rejected", "by": "input", "patient": patient, "field": field, "bound": bound, "hint": hint}
        self._tell(told | where)

    def _remember_the_end(self) -> None:
        """What was read after the last report held none: no need to read it again."""
        if self._read_to is not None and self._read_to != self._stored:
            self._client.submit_many((), source=(self._stored or (), self._read_to))
            self._stored = self._read_to

    # --------------------------------------------------------------------------------------------------------- the end

    def _wait_for_acks(self, ended: bool) -> bool:
        """Wait until nothing is pending: for ever after the end of a file, until the duration is over if there is one,
        for GRACE_S otherwise and after a stop. False: something is."""
        grace = time.monotonic() + GRACE_S
        until: float | None = grace
        if ended and self._source.finite:
            until = None if self._deadline is None else max(self._deadline, time.monotonic())
        while self._client.state.pending:
            if self._stop.is_set() and (until is None or until > time.monotonic() + GRACE_S):
                until = time.monotonic() + GRACE_S
            left = TURN_S if until is None else until - time.monotonic()
            if left <= 0:
                return False
            self._wait_for_news(min(left, TURN_S))
        return True

    def _wait_for_news(self, wait_s: float) -> None:
        self._turn()
        with contextlib.suppress(queue.Empty):
            self._tell(self._events.get(timeout=max(wait_s, 0.001)))
        self._drain()

    def _drain(self) -> None:
        """Tell all that the client has said; raise what has befallen it."""
        while True:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                break
            self._tell(event)
        self._client.raise_failure()
        self._turn()

    def _tell(self, event: Event) -> None:
        if event["event"] == "ack":
            self.counts["acked"] += 1
        elif event["event"] == "rejected" and event.get("by") == "mesh" and event.get("patient"):
            self.counts["rejected"] += 1
        self._tell_out(event)

    def _summary(self, pending: int) -> Event:
        counts = self.counts
        return {
            "event": "summary",
            "readings": counts["readings"],
            **{tier.lower(): counts[tier] for tier in TIERS},
            "submitted": counts["submitted"],
            "acked": counts["acked"],
            "rejected": counts["rejected"],
            "pending": pending,
            "elapsed_s": round(time.monotonic() - self._started, 3),
        }
