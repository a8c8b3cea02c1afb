"""The bedside's work: judge what was read on the spot, queue what matters.

Touches nothing by itself; source, model and client are handed in (the loop is Work's). Must not know: terminals,
formats. Keeps: everything is told in order (reading, risk, queued, ack); a chunk and the source's progress go to disk
in one transaction, so that a file is never submitted twice.

    a chunk --> judge each --> AMBER, RED, UNKNOWN: client.submit_many   all: client.seen (a hint)
                           '-> the bed's own alarms, which no leader has a say in
"""

from __future__ import annotations

import queue
from collections.abc import Callable

from hfzmq.cli.bedside.alarms import BedAlarms
from hfzmq.cli.bedside.judge import judge
from hfzmq.cli.bedside.readings import Reading, Refused, WentOn
from hfzmq.cli.bedside.sources import Chunk, Source, mono_ms, wall_ms
from hfzmq.cli.bedside.work import Event, Work
from hfzmq.client import Client
from hfzmq.client.queue_types import Places
from hfzmq.clinical.report import VITALS, Report, check_row
from hfzmq.clinical.tiers import REPORTED, TIERS
from hfzmq.errors import InvalidInput
from hfzmq.model.inference import RiskModel


class Bedside(Work):
    """One run; see Work."""

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
        alarms: BedAlarms | None = None,
    ) -> None:
        super().__init__(client, source, tell, events=events, tail=tail, duration_s=duration_s, turn=self._turned)
        self._told_turn = turn
        self._alarms = alarms
        self._client = client
        self._model = model
        self.counts |= dict.fromkeys(TIERS, 0)

    def acknowledge(self, episode: int) -> None:
        """Somebody at the bed has seen its own alarm; from any thread."""
        if self._alarms is not None:
            self._alarms.acknowledge(episode)

    def _turned(self) -> None:
        if self._alarms is not None:
            state = self._client.state
            for event in self._alarms.turn(state.link, state.pending, mono_ms(), wall_ms()):
                self._tell(event)
        self._told_turn()

    def _take(self, chunk: Chunk) -> None:
        reports: list[Report] = []
        latest: dict[str, Report] = {}
        for item in chunk.items:
            if isinstance(item, Refused):
                self._source_name = item.source
                self._refused(item.field, item.bound, item.hint, item.patient, source=item.source, line=item.line)
                continue
            if isinstance(item, WentOn):
                self._went_on(item)
                continue
            report = self._judged(item) if isinstance(item, Reading) else None
            if report is not None:
                latest[report.patient_id] = report
                if report.tier in REPORTED:
                    reports.append(report)
        if chunk.places is not None:
            self._read_to = chunk.places
        if reports:
            self._client.submit_many(reports, source=self._moved())
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
        if self._alarms is not None:
            for event in self._alarms.judged(report, mono_ms(), wall_ms()):
                self._tell(event)
        return report

    def _put(self, source: tuple[Places, Places]) -> None:
        self._client.submit_many((), source=source)

    def _used(self) -> int:
        return sum(self.counts[tier] for tier in TIERS)

    def _summary(self, pending: int, elapsed_s: float) -> Event:
        counts = self.counts
        return {
            "event": "summary",
            "readings": counts["readings"],
            **{tier.lower(): counts[tier] for tier in TIERS},
            "submitted": counts["submitted"],
            "acked": counts["acked"],
            "rejected": counts["rejected"],
            "pending": pending,
            "elapsed_s": elapsed_s,
        }
