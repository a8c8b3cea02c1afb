"""What every producer at a bed does: read, queue, tell what happens, and end in good order.

Touches the clock; source and client are handed in. Must not know: terminals, formats, what a reading means (see
``_take``). Keeps: everything is told in one thread, in order; a source is read no further ahead than ``pending_max``
rows wait for the mesh.

    read a chunk --> _take: judge it, queue what matters, with the place of the source in the same transaction
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

from hfzmq.cli.bedside.readings import WentOn
from hfzmq.cli.bedside.refused import Refused
from hfzmq.cli.bedside.sources import Chunk, Source
from hfzmq.client.client import Courier
from hfzmq.client.ledger import loses_a_row
from hfzmq.client.queue_types import Places
from hfzmq.errors import InvalidInput, KeysError, TimedOut

Event = dict[str, Any]

PENDING_MAX = 20_000
LIVE_PENDING_MAX = 500_000  # a bed does not stop measuring because the mesh is away for hours
GRACE_S = 3.0  # for acks, once nothing more is read
FIRST_LOOK_S = 1.0  # a run that was over at once waits so long, to know whether its key is refused
TURN_S = 0.2  # how long a turn of the loop may wait


class Work:
    """One run. ``tell`` gets each event, in the thread that calls ``run``; ``turn`` is called several times a second.

    ``tail``: how far the source was read by what is stored, which the next places replace.
    """

    def __init__(
        self,
        client: Courier,
        source: Source,
        tell: Callable[[Event], None],
        *,
        events: queue.Queue[Event],
        tail: Places | None = None,
        duration_s: float | None = None,
        turn: Callable[[], None] = lambda: None,
    ) -> None:
        self._courier = client
        self._source = source
        self._tell_out = tell
        self._events = events
        self._stored = tail
        self._read_to = tail
        self._turn = turn
        self.pending_max = PENDING_MAX if source.batch else LIVE_PENDING_MAX
        self._stop = threading.Event()
        self._started = time.monotonic()
        self._deadline = None if duration_s is None else self._started + duration_s
        self._unusable = 0  # lines of the source
        self._source_name = "source"
        self._refused_key = Refused(client)
        self.refused: KeysError | None = None
        self.counts: dict[str, int] = dict.fromkeys(("readings", "submitted", "acked", "rejected"), 0)

    def stop(self) -> None:
        """Read no more; from any thread or signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Work until the source ends, the duration is over or ``stop``; then wait for acks and tell the summary.

        TimedOut: the source ended, or the duration was over, and rows still wait on disk, or the source is a file that
        was not read to its end. InvalidInput: there were
        lines, and not one of them could be used. KeysError: nobody would have this client's key at the end, whether or
        not something waits; after ``stop`` it is not raised, and stands in ``refused``.
        """
        ended = self._read_all()
        useless = self._unusable > 0 and not self._used()
        if not useless:  # else the next run says so again
            self._remember_the_end()
        in_time = self._wait_for_acks(ended)
        pending = self._settled()
        in_time = in_time or not pending
        summary = self._summary(pending, round(time.monotonic() - self._started, 3))
        refused = self._courier.refusal()
        since = self._refused_key.since
        self._tell(summary if refused is None or since is None else {**summary, "refused_since": since})
        if self._stop.is_set():
            self.refused = refused
            return
        if in_time and useless:
            many = f"{self._unusable} {'was' if self._unusable == 1 else 'were'} rejected"
            bound = f"no line of it can be used, {many}"
            raise InvalidInput(self._source_name, bound, hint="each is named above, with what is wrong")
        refused = self._courier.refusal(FIRST_LOOK_S)
        if refused is not None:
            raise refused
        if in_time and (ended or self._read_to is None):  # a file is to be read to its end, a bed has none
            return
        self._courier.raise_failure()  # what is said to wait there must be there
        if pending:
            word, where = self._courier.traffic.word, self._courier.queue.directory
            message = (
                f"{pending} {word} are not acknowledged yet; they wait in {where}"
                if pending > 1
                else f"1 {word[:-1]} is not acknowledged yet; it waits in {where}"
            )
            hint = "who is away? hfzmq status; the same command goes on where this one stopped"
        else:
            message = "the duration was over before the source was read to its end"
            hint = "the same command goes on where this one stopped"
        raise TimedOut(message, hint=hint)

    # --------------------------------------------------------------------------------------- what a kind of work does

    def _take(self, chunk: Chunk) -> None:
        """Deal with what was read."""
        raise NotImplementedError

    def _put(self, source: tuple[Places, Places]) -> None:
        """Queue nothing but the place of the source."""
        raise NotImplementedError

    def _used(self) -> int:
        """How many readings were good for anything."""
        raise NotImplementedError

    def _summary(self, pending: int, elapsed_s: float) -> Event:
        """The last event."""
        raise NotImplementedError

    # --------------------------------------------------------------------------------------------------------- reading

    def _read_all(self) -> bool:
        """Read until the end (True), the deadline or a stop."""
        due = time.monotonic()
        while not self._over():
            self._drain()
            now = time.monotonic()
            wait_s = TURN_S if self._deadline is None else max(0.0, min(TURN_S, self._deadline - now))
            if now < due or self._courier.state.pending > self.pending_max:
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

    def _refused(self, field: str, bound: str, hint: str, patient: str | None, **where: object) -> None:
        self.counts["rejected"] += 1
        self._unusable += 1
        told = {"event": "rejected", "by": "input", "patient": patient, "field": field, "bound": bound, "hint": hint}
        self._tell(told | where)

    def _went_on(self, item: WentOn) -> None:
        self._tell({"event": "went_on", **item._asdict()})

    def _moved(self) -> tuple[Places, Places] | None:
        """From where to where the source was read since the last rows that were queued."""
        return None if self._read_to is None else (self._stored or (), self._read_to)

    def _remember_the_end(self) -> None:
        """What was read after the last row held none: no need to read it again."""
        moved = self._moved()
        if moved is not None and self._read_to != self._stored:
            self._put(moved)
            self._stored = self._read_to

    # --------------------------------------------------------------------------------------------------------- the end

    def _wait_for_acks(self, ended: bool) -> bool:
        """Wait until nothing is pending: for ever after the end of a file, until the duration is over if there is one,
        for GRACE_S otherwise and after a stop. False: something is."""
        grace = time.monotonic() + GRACE_S
        until: float | None = grace
        if ended and self._source.finite:
            until = None if self._deadline is None else max(self._deadline, time.monotonic())
        while self._courier.state.pending:
            if self._stop.is_set() and (until is None or until > time.monotonic() + GRACE_S):
                until = time.monotonic() + GRACE_S
            left = TURN_S if until is None else until - time.monotonic()
            if left <= 0:
                return False
            self._wait_for_news(min(left, TURN_S))
        return True

    def _settled(self) -> int:
        """How many rows wait, when all is told that was answered up to then: a sum is of one moment, and the mesh goes
        on answering. What is answered later is not in it."""
        until = time.monotonic() + GRACE_S
        while True:
            pending = self._courier.state.pending  # who answers takes a row off and says so before this returns
            if not self._drain() or time.monotonic() >= until:
                return pending

    def _wait_for_news(self, wait_s: float) -> None:
        self._turn()
        with contextlib.suppress(queue.Empty):
            self._tell(self._events.get(timeout=max(wait_s, 0.001)))
        self._drain()

    def _drain(self) -> bool:
        """Tell all that the client has said; raise what has befallen it. Whether it had said anything."""
        told = False
        while True:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                break
            self._tell(event)
            told = True
        again = self._refused_key.again()
        if again is not None:
            self._tell(again)
        self._courier.raise_failure()
        self._turn()
        return told

    def _tell(self, event: Event) -> None:
        self._refused_key.take(event)
        if event["event"] == "ack":
            self.counts["acked"] += 1
        elif loses_a_row(event):
            self.counts["rejected"] += 1
        self._tell_out(event)
