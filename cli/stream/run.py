"""The stream's work: queue what was read, and keep account of each verdict.

Touches the clock; source and client are handed in (the loop is Work's). Must not know: terminals, formats. Keeps:
every reading goes to the mesh, whatever its value is; a chunk and the source's progress go to disk in one transaction,
so that a recording is never submitted twice.
"""

from __future__ import annotations

import queue
from collections.abc import Callable

from hfzmq.cli.bedside.readings import Leapt, Refused, WentOn
from hfzmq.cli.bedside.sources import Chunk, Source, wall_ms
from hfzmq.cli.bedside.work import Event, Work
from hfzmq.cli.stream.tally import Tally
from hfzmq.client import ReadingsClient
from hfzmq.client.ledger import loses_a_row
from hfzmq.client.queue_types import Places
from hfzmq.clinical.heart_rate import Reading, Verdict, number_of


class Stream(Work):
    """One run; see Work. ``details``: tell each reading. ``facts``: what the summary says besides (such as the
    seed)."""

    def __init__(
        self,
        client: ReadingsClient,
        tally: Tally,
        source: Source,
        tell: Callable[[Event], None],
        *,
        events: queue.Queue[Event],
        tail: Places | None = None,
        duration_s: float | None = None,
        turn: Callable[[], None] = lambda: None,
        details: bool = False,
        facts: dict[str, object] | None = None,
    ) -> None:
        super().__init__(client, source, tell, events=events, tail=tail, duration_s=duration_s, turn=turn)
        self._client = client
        self._details = details
        self._facts = facts or {}
        self.tally = tally

    def _take(self, chunk: Chunk) -> None:
        rows: list[Reading] = []
        verdicts: list[Verdict] = []
        now_ms = wall_ms()
        for item in chunk.items:
            if isinstance(item, Refused):
                self._source_name = item.source
                self._refused(item.field, item.bound, item.hint, item.patient, source=item.source, line=item.line)
            elif isinstance(item, WentOn):
                self._went_on(item)
            elif isinstance(item, Leapt):
                self._tell({"event": "leapt", **item._asdict()})
            elif isinstance(item, Reading):
                rows.append(item)
                verdicts.append(self.tally.expect(item, now_ms))
                self.counts["readings"] += 1
                if self._details:
                    self._tell(_told(item, verdicts[-1]))
        if chunk.places is not None:
            self._read_to = chunk.places
        if rows:
            self._client.submit_many(rows, source=self._moved())
            self._stored = self._read_to
            self.tally.queued(verdicts)
            self.counts["submitted"] += len(rows)

    def _put(self, source: tuple[Places, Places]) -> None:
        self._client.submit_many((), source=source)

    def _used(self) -> int:
        return self.counts["readings"]

    def _tell(self, event: Event) -> None:
        if event["event"] == "ack" or loses_a_row(event):
            self.tally.answered(acked=event["event"] == "ack")
        super()._tell(event)

    def _summary(self, pending: int, elapsed_s: float) -> Event:
        earlier = self.tally.earlier
        return {
            "event": "summary",
            **self.counts,
            "pending": pending,
            "verdicts": self.tally.table(),
            "earlier": {**earlier._asdict(), "pending": earlier.pending},
            **self._facts,
            "elapsed_s": elapsed_s,
        }


def _told(reading: Reading, verdict: Verdict) -> Event:
    return {
        "event": "reading",
        "patient": reading.patient_id,
        "timestamp": reading.timestamp,
        "value": number_of(reading.value),
        "raw_payload": reading.raw_payload,
        "status": verdict.status,
        "anomaly": verdict.anomaly,
    }
