"""What clients did and saw, as Jepsen writes it: who invoked what when, and how it ended; JSON lines, monotonic times.

    {"t": 12.345678, "process": "raw-1", "type": "invoke", "op": "submit", "seq": 7, "patients": ["raw-1/7/0", ...]}
    {"t": 12.401234, "process": "raw-1", "type": "info", "op": "submit", "seq": 7, "peer": 2, "status": "NOT_LEADER"}
    {"t": 12.456789, "process": "raw-1", "type": "ok", "op": "submit", "seq": 7, "peer": 1, "term": 3, "index": 41}

``type``: invoke; ok (it happened); info (it may have happened, or may still); fault and note for what the nemesis does.
``op``: submit (every patient is a name that is used once); read (consistent: ``rows`` are [id, patient], falling, from
the newest); peek (the same from any peer's own file); status (what a peer says about itself).

Touches one file. Must not know: the mesh, what is right. Keeps: events are in the order of their times.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

Event = dict[str, Any]


class History:
    """Events, kept in memory and written to ``path`` as they come; from any thread."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self._file = path.open("w") if path else None

    def __enter__(self) -> History:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file:
            self._file.close()

    def add(self, process: str, kind: str, op: str, **more: object) -> float:
        """One more event, now; returns its time."""
        with self._lock:
            event: Event = {"t": round(time.monotonic(), 6), "process": process, "type": kind, "op": op, **more}
            self._events.append(event)
            if self._file:
                self._file.write(json.dumps(event, separators=(",", ":")) + "\n")
                self._file.flush()
        return float(event["t"])

    def events(self, since: int = 0) -> list[Event]:
        """All events from the one with number ``since`` on."""
        with self._lock:
            return self._events[since:]

    def acks(self, began: float = 0.0) -> list[float]:
        """When submits were acknowledged, from a moment on."""
        return [event["t"] for event in _backwards(self.events(), began) if _is_ack(event)][::-1]


def load(path: Path) -> list[Event]:
    """The events of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def longest_gap_s(moments: list[float], began: float, ended: float) -> float:
    """The longest silence between two of ``moments``, counting the window's edges."""
    inside = [began, *(moment for moment in moments if began <= moment <= ended), ended]
    return max(later - earlier for earlier, later in itertools.pairwise(inside))


def _is_ack(event: Event) -> bool:
    return (event["type"], event["op"]) == ("ok", "submit")


def _backwards(events: list[Event], began: float) -> Iterator[Event]:
    for event in reversed(events):
        if event["t"] < began:
            return
        yield event
