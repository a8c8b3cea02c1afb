"""What the stream's screen shows: a frozen value, made from the events of a run.

Touches nothing: events and clocks come in. Must not know how a screen is drawn. Keeps: the rates are counted over the
last RATE_S seconds, and fall to nothing when nothing happens.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from hfzmq.cli.bedside.status import LOG_LINES, LogLine
from hfzmq.cli.stream.output import sentence_of
from hfzmq.cli.stream.tally import Count, Tally
from hfzmq.client import ClientState
from hfzmq.clinical.heart_rate import VERDICTS, Verdict

Event = dict[str, Any]

RATE_S = 5


class Reach(NamedTuple):
    """How far a recording was read."""

    name: str
    bytes_read: int
    bytes_max: int
    lines: int


class StreamStatus(NamedTuple):
    """All that the screen shows. ``read_rate``, ``ack_rate``: readings a second; ``reach``: None for the generator.
    ``now_ms``, ``turned_at_ms``: the monotonic clock when it is drawn and when the work last gave a sign of life."""

    client_id: str
    source: str
    state: ClientState
    counts: tuple[tuple[Verdict, Count], ...]
    earlier: Count
    refused_lines: int
    read_rate: float
    ack_rate: float
    reach: Reach | None
    log: tuple[LogLine, ...]
    now_ms: int
    turned_at_ms: int
    wall_ms: int
    doubt: str = ""  # what is odd about this run, for as long as it lasts


class StreamBook:
    """Takes a run's events down; ``snapshot`` may be called from another thread."""

    def __init__(
        self, client_id: str, source: str, tally: Tally, reach: Callable[[], Reach | None], doubt: str = ""
    ) -> None:
        self._client_id = client_id
        self._doubt = doubt
        self._source = source
        self._tally = tally
        self._reach = reach
        self._mutex = threading.Lock()
        self._log: deque[LogLine] = deque(maxlen=LOG_LINES)
        self._marks: deque[tuple[int, int, int]] = (
            deque()
        )  # (monotonic ms, read, acked) about every quarter of a second
        self._refused_lines = 0
        self._turned_at_ms = 0

    def take(self, event: Event, now_ms: int, wall_ms: int) -> None:
        """One event of the run, at this time."""
        with self._mutex:
            self._turned_at_ms = now_ms
            if event["event"] == "rejected" and event.get("by") == "input":
                self._refused_lines += 1
            words = sentence_of(event)
            if words:
                self._log.append(LogLine(wall_ms, words))

    def turned(self, now_ms: int) -> None:
        """The work is alive."""
        with self._mutex:
            self._turned_at_ms = now_ms

    def snapshot(self, state: ClientState, now_ms: int, wall_ms: int) -> StreamStatus:
        """The status to draw at this time."""
        with self._mutex:
            counts = tuple((verdict, self._tally.of(verdict)) for verdict in VERDICTS)
            read, acked = sum(count.read for _, count in counts), state.acked
            self._marks.append((now_ms, read, acked))
            while len(self._marks) > 2 and self._marks[1][0] <= now_ms - RATE_S * 1000:
                self._marks.popleft()
            since, read_then, acked_then = self._marks[0]
            seconds = max(now_ms - since, 1) / 1000
            return StreamStatus(
                self._client_id,
                self._source,
                state,
                counts,
                self._tally.earlier,
                self._refused_lines,
                (read - read_then) / seconds,
                (acked - acked_then) / seconds,
                self._reach(),
                tuple(self._log),
                now_ms,
                self._turned_at_ms,
                wall_ms,
                self._doubt,
            )
