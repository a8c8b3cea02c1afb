"""The writers of a scenario: many sessions in a process, each a ``Client`` of its own, and a history of what they did.

Touches the mesh and queues on disk (through Client), stdout, signals. Must not know: which fault is injected. Keeps:
each session numbers its reports from 1 and has one batch under way; a batch is told as ``sent`` before it is submitted
and as ``ack`` only after the mesh has acknowledged all of it; every report can be made again from its number, so that
whoever reads a peer's file can compare each column.

    started --> sent --submit, wait for the mesh--> ack --interval--> sent ...   SIGTERM: the last ack, then the end
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from hfzmq.client import Client
from hfzmq.clinical.report import Report
from hfzmq.config import Config
from hfzmq.errors import HfzmqError, TimedOut

LAST_ACK_WITHIN_S = 30.0  # after SIGTERM
TURN_S = 0.25
MODEL_ID = "scenario"

Tell = Callable[[dict[str, Any]], None]


class Sessions(NamedTuple):
    """``number`` sessions called ``<name>-01`` and so on, each sending ``batch`` reports at once, ``interval_s`` after
    the last ones were acknowledged."""

    name: str
    number: int
    batch: int
    interval_s: float

    @property
    def names(self) -> list[str]:
        """Of the sessions; each is also the one patient that its session reports on."""
        return [f"{self.name}-{place:02d}" for place in range(1, self.number + 1)]


def report_of(patient: str, base_ms: int, number: int) -> Report:
    """The ``number``-th report (from 1) of a session that began at ``base_ms``; every column depends on the number."""
    red = number % 3 == 0
    return Report(
        patient,
        base_ms + number,
        50.0 + number % 36,
        125.0 + number % 41 / 2,
        0.8 + number % 17 / 10,
        20.0 + number % 46,
        number % 36_500,
        (0.6 if red else 0.3) + number % 299 / 1000,
        "RED" if red else "AMBER",
        number % 997 / 1000,
        MODEL_ID,
        f"n{number}",
    )


def write(config: Config, sessions: Sessions, queues: Path) -> int:
    """Write until SIGTERM or SIGINT; 0 when all that was sent is acknowledged, 1 when a session failed, 8 when one had
    to stop without its last ack."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    mutex = threading.Lock()

    def tell(event: dict[str, Any]) -> None:
        with mutex:  # so that the lines' clocks rise
            event["at_ms"] = time.monotonic_ns() // 1_000_000
            sys.stdout.write(json.dumps(event) + "\n")
            sys.stdout.flush()

    runs = [_Session(config, name, sessions, queues / name, tell, stop) for name in sessions.names]
    for run in runs:
        run.thread.start()
    for run in runs:
        while run.thread.is_alive():  # in turns, for the sake of signals
            run.thread.join(TURN_S)
    return max(run.exit_code for run in runs)


class _Session:
    def __init__(
        self, config: Config, name: str, sessions: Sessions, queue: Path, tell: Tell, stop: threading.Event
    ) -> None:
        self._config = config
        self._name = name
        self._sessions = sessions
        self._queue = queue
        self._tell = tell
        self._stop = stop
        self._last_ack: dict[str, Any] = {}
        self.exit_code = 1
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def _run(self) -> None:
        try:
            with Client(self._config, self._name, self._queue, self._on_event) as client:
                self._write(client)
            self.exit_code = 0
        except TimedOut:
            self.exit_code = 8
        except HfzmqError as error:
            self._tell({"event": "failed", "session": self._name, "cause": str(error)})

    def _write(self, client: Client) -> None:
        number, batch = 0, self._sessions.batch
        base_ms = time.time_ns() // 1_000_000
        self._tell({"event": "started", "session": self._name, "base_ms": base_ms, "batch": batch})
        while not self._stop.is_set():
            numbers = range(number + 1, number + batch + 1)
            number += batch
            self._tell({"event": "sent", "session": self._name, "to": number})
            client.submit_many([report_of(self._name, base_ms, one) for one in numbers])
            self._wait(client)
            self._tell({"event": "ack", "session": self._name, "to": number, **self._last_ack})
            self._stop.wait(self._sessions.interval_s)

    def _wait(self, client: Client) -> None:
        """Until the batch is acknowledged; once it is time to stop, TimedOut after so long."""
        until: float | None = None
        while True:
            try:
                client.wait(TURN_S)
                return
            except TimedOut:
                if self._stop.is_set():
                    until = until or time.monotonic() + LAST_ACK_WITHIN_S
                    if time.monotonic() > until:
                        raise

    def _on_event(self, event: dict[str, Any]) -> None:
        if event["event"] == "ack":
            self._last_ack = {key: event[key] for key in ("seq", "term", "index", "elapsed_ms")}
        elif event["event"] == "rejected":
            self._tell({"event": "rejected", "session": self._name, "field": event["field"], "bound": event["bound"]})
