"""What clients tell of their beds goes to whoever leads, whichever peer they told it, and from there to all.

Touches nothing: the clock is handed in. Must not know: sockets, what the leader does with it. Keeps: best effort and
bounded: at most once in PASS_MS (SHARE_MS), each bed's newest word, nothing that is older than KEEP_MS (SHARED_MS).
Only a leader passes on what others passed on, and nobody takes from another what it has: nothing goes in circles.

    client --seen--> ward (this peer's picture) --news--> this peer's watch, while it leads
                                                 \\-----> the leader that is known, else: later
    the leader's ward --news--> the wards of all others

A leader that dies takes with it what it had heard and not written down: whoever follows it is told all that came in of
late once more. Nor does the ward's picture die with the only peer that had it: a board that asks those that are left
would show a healthy bed as silent, or as it was before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from hfzmq.clinical.report import Report
from hfzmq.daemon.ward import Ward
from hfzmq.wire.hints import AGE_MS_MAX, Hints

PASS_MS = 200
KEEP_MS = 2_000
SHARE_MS = 500  # so often at most all others are told
SHARED_MS = AGE_MS_MAX  # and nothing that is older
ROWS_MAX = 1_000  # of one message


class Ear(Protocol):
    """The watch: ``leads`` is as of its last turn, and what it is told while it does not is lost."""

    @property
    def leads(self) -> bool: ...

    def seen(self, now_ms: float, rows: Sequence[Report]) -> None: ...


class Passing:
    """Of the peer ``me``. ``send``: (to, hints), and may lose them. ``others()``: the ids of the other members."""

    def __init__(
        self,
        ward: Ward,
        me: int,
        watch: Ear,
        send: Callable[[int, Hints], None],
        others: Callable[[], Iterable[int]] = tuple,
    ) -> None:
        self._ward = ward
        self._me = me
        self._watch = watch
        self._send = send
        self._others = others
        self._leader = 0
        self._passed = 0  # the ward's arrivals up to here
        self._due_ms = -math.inf
        self._shared = 0  # likewise, with all others

    def turn(self, now_ms: float, leader: int) -> None:
        """Tell what is new to ``leader``, as this peer knows it (0: to nobody, and later to whoever it will be)."""
        if self._watch.leads:
            leader = self._me
        elif leader == self._me:
            leader = 0  # not yet, or no more
        if leader != self._leader:
            self._leader, self._passed, self._shared, self._due_ms = leader, 0, 0, -math.inf
        if leader == self._me:
            self._tell_watch(now_ms)
            if now_ms >= self._due_ms and self._shared != self._ward.arrivals:
                self._due_ms = now_ms + SHARE_MS
                self._tell(self._others(), self._ward.news(self._shared, SHARED_MS, passed_on=True))
                self._shared = self._ward.arrivals
        elif leader and now_ms >= self._due_ms and self._passed != self._ward.arrivals:
            self._due_ms = now_ms + PASS_MS
            self._tell((leader,), self._ward.news(self._passed, KEEP_MS, passed_on=False))
            self._passed = self._ward.arrivals

    def _tell_watch(self, now_ms: float) -> None:
        if self._passed != self._ward.arrivals:
            news = self._ward.news(self._passed, KEEP_MS, passed_on=True)
            self._passed = self._ward.arrivals
            self._watch.seen(now_ms, [row for _, row in news])

    def _tell(self, peers: Iterable[int], news: Sequence[tuple[int, Report]]) -> None:
        letters = [Hints(tuple(news[at : at + ROWS_MAX])) for at in range(0, len(news), ROWS_MAX)]
        for peer in peers:
            for letter in letters:
                self._send(peer, letter)
