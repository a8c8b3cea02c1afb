"""The acknowledgements as they come in: how many, and the longest silence of those who write steadily.

Touches the histories, reading what was added; the monotonic clock. Must not know: peers, faults. Keeps: the clocks are
the writers' own (one machine, one monotonic clock), so a silence is not lengthened by whoever reads late; a silence
that still lasts counts as long as it has lasted; the last word, after ``close``, is computed anew from all of them.
"""

from __future__ import annotations

import heapq
from array import array
from itertools import pairwise
from pathlib import Path
from time import monotonic_ns
from typing import IO

from hfzmq.cli.scenario.account import Event, event_of

SETTLED_MS = 250  # by then every writer's line has come in, whatever file it stands in


class _Tail:
    def __init__(self, path: Path, steady: bool) -> None:
        self.path = path
        self.steady = steady
        self.acked = 0
        self.last_ack_ms = 0
        self.sessions: dict[str, int] = {}
        self._file: IO[bytes] | None = None
        self._rest = b""

    def read(self) -> list[int]:
        """Take in what was added; the moments of new acknowledgements (a steady writer's only)."""
        if self._file is None:
            try:
                self._file = self.path.open("rb")
            except FileNotFoundError:
                return []
        moments: list[int] = []
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        for line in lines:
            event = event_of(line + b"\n")
            if event is not None and event["event"] == "ack":
                self._ack(event, moments)
        return moments

    def _ack(self, event: Event, moments: list[int]) -> None:
        if "session" not in event:  # hfzmq client: one line a report, no clock
            self.acked += 1
            return
        self.acked += event["to"] - self.sessions.get(event["session"], 0)
        self.sessions[event["session"]] = event["to"]
        self.last_ack_ms = event["at_ms"]
        if self.steady:
            moments.append(event["at_ms"])

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class Acks:
    """Follows histories. ``add`` each; ``read`` often; another thread may look at what was read.

    ``longest_gap_ms``: the longest time between two acknowledgements of the steady writers, from the first one until
    they were told to stop; None: nothing was acknowledged.
    """

    def __init__(self) -> None:
        self._tails: dict[str, _Tail] = {}
        self._all = array("q")  # every moment at which a steady writer was acknowledged
        self._moments: list[int] = []  # the latest of them, a heap: files are read one after the other
        self._last_ms: int | None = None
        self._longest_ms = 0
        self._ended_ms: int | None = None
        self.longest_gap_ms: int | None = None
        self._closed = False

    def add(self, name: str, path: Path, steady: bool) -> None:
        """Follow the client process ``name``. ``steady``: its silences count."""
        self._tails[name] = _Tail(path, steady)

    def read(self) -> None:
        """Take in what the clients have written since."""
        known_to_ms = now_ms() - SETTLED_MS
        for tail in self._tails.values():
            for moment in tail.read():
                heapq.heappush(self._moments, moment)
                self._all.append(moment)
        self._settle(known_to_ms)
        if self._last_ms is not None and not self._closed:
            until_ms = known_to_ms if self._ended_ms is None else min(known_to_ms, self._ended_ms)
            self.longest_gap_ms = max(self._longest_ms, until_ms - self._last_ms)

    def end(self, at_ms: int) -> None:
        """The steady writers were told to stop at ``at_ms``: what comes later is no silence of theirs. Once only."""
        if self._ended_ms is None:
            self._ended_ms = at_ms

    def close(self) -> None:
        """Take in the rest and let the files go. Twice is harmless."""
        if self._closed:
            return
        self._closed = True
        self.read()
        self._conclude()
        for tail in self._tails.values():
            tail.close()

    @property
    def count(self) -> int:
        """How many reports were acknowledged, of all clients."""
        return sum(tail.acked for tail in self._tails.values())

    @property
    def sessions(self) -> int:
        """How many sessions of writers had something acknowledged."""
        return sum(len(tail.sessions) for tail in self._tails.values())

    def of(self, name: str) -> int:
        """How many reports of one client process were acknowledged."""
        return self._tails[name].acked

    def last_of(self, name: str) -> int:
        """When the last acknowledgement of one writing process came, by its clock; 0: none did."""
        return self._tails[name].last_ack_ms

    def _settle(self, before_ms: int) -> None:
        while self._moments and self._moments[0] <= before_ms:
            moment = heapq.heappop(self._moments)
            if self._ended_ms is not None and moment > self._ended_ms:
                continue
            if self._last_ms is not None:
                self._longest_ms = max(self._longest_ms, moment - self._last_ms)
            self._last_ms = max(moment, self._last_ms or 0)

    def _conclude(self) -> None:
        ended_ms = now_ms() if self._ended_ms is None else self._ended_ms
        moments = sorted(moment for moment in self._all if moment <= ended_ms)
        gaps_ms = [later - earlier for earlier, later in pairwise([*moments, ended_ms])]
        self.longest_gap_ms = max(gaps_ms, default=None)


def now_ms() -> int:
    """By the writers' clock, which is not the one of the screens."""
    return monotonic_ns() // 1_000_000
