"""What clients tell of their beds goes to whoever leads, whichever peer they told it.

Touches nothing: the clock is handed in. Must not know: sockets, what the leader does with it. Keeps: best effort and
bounded: at most once in PASS_MS, each bed's newest word only, and nothing that is older than KEEP_MS; what another peer
has passed on is never passed on again, so that two peers that take each other for the leader send nothing in circles.

    client --seen--> ward (this peer's picture) --news--> this peer's watch, while it leads
                                                 \\-----> the leader that is known, else: later

A leader that dies takes with it what it had heard and not written down: whoever follows it is told all that came in of
late once more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from hfzmq.clinical.report import Report
from hfzmq.daemon.ward import Ward
from hfzmq.wire.hints import Hints

PASS_MS = 200
KEEP_MS = 2_000
ROWS_MAX = 1_000  # of one message


class Ear(Protocol):
    """The watch: ``leads`` is as of its last turn, and what it is told while it does not is lost."""

    @property
    def leads(self) -> bool: ...

    def seen(self, now_ms: float, rows: Sequence[Report]) -> None: ...


class Passing:
    """Of the peer ``me``. ``send``: (to, hints), and may lose them."""

    def __init__(self, ward: Ward, me: int, watch: Ear, send: Callable[[int, Hints], None]) -> None:
        self._ward = ward
        self._me = me
        self._watch = watch
        self._send = send
        self._leader = 0
        self._passed = 0  # the ward's arrivals up to here
        self._due_ms = -math.inf

    def turn(self, now_ms: float, leader: int) -> None:
        """Tell what is new to ``leader``, as this peer knows it (0: to nobody, and later to whoever it will be)."""
        if self._watch.leads:
            leader = self._me
        elif leader == self._me:
            leader = 0  # not yet, or no more
        if leader != self._leader:
            self._leader, self._passed, self._due_ms = leader, 0, -math.inf
        if not leader or now_ms < self._due_ms or self._passed == self._ward.arrivals:
            return
        news = self._ward.news(self._passed, KEEP_MS, passed_on=leader == self._me)
        self._passed = self._ward.arrivals
        if leader == self._me:
            self._watch.seen(now_ms, [row for _, row in news])
            return
        self._due_ms = now_ms + PASS_MS
        for at in range(0, len(news), ROWS_MAX):
            self._send(leader, Hints(tuple(news[at : at + ROWS_MAX])))
