"""What the demo's patients were promised: the JSON lines of ``hfzmq client`` become a list of acknowledged reports.

Touches one pipe, in a thread of its own. Must not know: processes, screens. Keeps: a report counts as acknowledged only
when its own ack line came; acks come in the order of the queue, so each patient's n-th ack is for its n-th report.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from hfzmq.cli.board_feed import now_ms
from hfzmq.client.ledger import loses_a_row

SAME_LEADER_MS = 200  # acks of a leader that was just killed may still be on their way for so long

Key = tuple[str, int]  # patient, timestamp: what makes a report this one


class Ack(NamedTuple):
    """One acknowledgement: when it was read here (monotonic ms) and in which term it was given."""

    at_ms: int
    term: int


class Acks:
    """Follows the lines in ``lines``; all methods may be called from any thread."""

    def __init__(self, clock: Callable[[], int] = now_ms) -> None:
        self._clock = clock
        self._mutex = threading.Lock()
        self._queued: dict[str, deque[int]] = {}
        self._acknowledged: list[Key] = []
        self._acks: list[Ack] = []
        self._rejected = 0
        self._thread: threading.Thread | None = None

    def follow(self, lines: Iterable[bytes]) -> None:
        """Read ``lines`` to their end in a thread."""
        self._thread = threading.Thread(target=self._read, args=(lines,), name="acks", daemon=True)
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait until the last line has been read."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    @property
    def acknowledged(self) -> list[Key]:
        """(patient, timestamp) of each acknowledged report, in the order of the acks."""
        with self._mutex:
            return list(self._acknowledged)

    @property
    def count(self) -> int:
        """How many acks came."""
        with self._mutex:
            return len(self._acks)

    @property
    def waiting(self) -> int:
        """How many reports are queued and not acknowledged."""
        with self._mutex:
            return sum(map(len, self._queued.values()))

    @property
    def rejected(self) -> int:
        """How many reports the mesh refused for good."""
        with self._mutex:
            return self._rejected

    @property
    def first(self) -> Ack | None:
        """The first ack that came."""
        with self._mutex:
            return self._acks[0] if self._acks else None

    def first_after(self, at_ms: int, term: int) -> Ack | None:
        """The first ack after ``at_ms`` that the leader of ``term``, killed at ``at_ms``, cannot have given."""
        with self._mutex:
            for ack in self._acks:
                if ack.at_ms > at_ms and (ack.term > term or ack.at_ms - at_ms > SAME_LEADER_MS):
                    return ack
        return None

    def take(self, line: bytes) -> None:
        """One line; what is no event of interest is passed over."""
        try:
            event = json.loads(line)
        except ValueError:
            return
        if not isinstance(event, dict):
            return
        patient = str(event.get("patient"))
        with self._mutex:
            if event.get("event") == "queued":
                self._queued.setdefault(patient, deque()).append(event["timestamp"])
            elif event.get("event") == "ack":
                self._acks.append(Ack(self._clock(), event["term"]))
                if self._queued.get(patient):  # otherwise it was queued in an earlier life of this queue
                    self._acknowledged.append((patient, self._queued[patient].popleft()))
            elif "event" in event and loses_a_row(event):
                self._rejected += 1
                if self._queued.get(patient):
                    self._queued[patient].popleft()

    def _read(self, lines: Iterable[bytes]) -> None:
        try:
            for line in lines:
                self.take(line)
        except ValueError:  # the pipe was closed under us: the demo is over
            return
