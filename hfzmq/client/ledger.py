"""What has happened to a client's rows so far: counts, times, the link, the events told, what went wrong.

Touches the clock, calls ``on_event``. Must not know: sockets, the disk. Keeps: ``queued`` of a row is told before its
``ack``; everything is changed under ``changed``, which whoever waits for progress waits on, and which is held while the
disk is written; ``state`` never waits for it, and shows no row as gone from the queue before that was told.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hfzmq.client.pirate import CONNECTED, KEY_REFUSED, SEARCHING, Link, Reply
from hfzmq.client.queue_types import Batch, Damage, DeadLetter
from hfzmq.client.traffic import Traffic
from hfzmq.wire.requests import decode_rows

Event = dict[str, Any]
MESH, QUEUE = "mesh", "queue"  # who rejects: somebody of the mesh, this client's own disk


def loses_a_row(event: Event) -> bool:
    """Whether an event tells of a row that was queued and will never be stored."""
    return event["event"] == "rejected" and event.get("by") in (MESH, QUEUE) and bool(event.get("patient"))


class ClientState(NamedTuple):
    """A snapshot. ``link``: 'connected', 'searching', 'no quorum' or 'key refused'; ``peer``, ``leader``: ids, None
    for unknown.

    ``pending``: rows on disk that are not acknowledged; ``acked``, ``rejected``: since this client was made;
    ``last_ack_ms``: how long the last acknowledged row took from submit (one from an earlier life: from this client's
    start); ``last_ack_at_ms``: when that was, Unix milliseconds.
    """

    link: str
    peer: int | None
    leader: int | None
    pending: int
    acked: int
    rejected: int
    last_ack_ms: int | None
    last_ack_at_ms: int | None


class Ledger:
    """See the module. Events are told while ``changed`` is held, by the submitting or the sending thread. ``pending``:
    how many rows wait on disk; it is asked under ``changed``."""

    def __init__(
        self, traffic: Traffic, on_event: Callable[[Event], None] | None, pending: Callable[[], int] = lambda: 0
    ) -> None:
        self.traffic = traffic
        self.changed = threading.Condition()
        self.failure: BaseException | None = None
        self.link = Link()
        self.looked = False  # whether anybody was asked before, and answered or not
        self._on_event = on_event
        self._acked = self._rejected = 0
        self._last_ack: tuple[int | None, int | None] = (None, None)
        self._started = time.monotonic()
        self._queued_at: deque[tuple[int, float]] = deque()  # (id of a put's last row, when), rising
        self._earlier_id: int | None = None  # the last row of an earlier life; known with the first put of this one
        self._pending = pending
        self.publish()

    @property
    def state(self) -> ClientState:
        """How it stood when something changed last. Waits for nobody: a screen is drawn by it while a disk hangs."""
        return self._state

    def publish(self) -> None:
        """All that has changed is told by now: from here on ``state`` shows it, and who waits for progress looks."""
        with self.changed:
            counts = (self._pending(), self._acked, self._rejected)
            self._state = ClientState(*self.link[:3], *counts, *self._last_ack)
            self.changed.notify_all()

    def queued(self, last_id: int, rows: Sequence[Sequence[object]], pending: int) -> None:
        """``rows`` are on disk, the last one with id ``last_id``."""
        with self.changed:
            if self._earlier_id is None:
                self._earlier_id = last_id - len(rows)
            self._queued_at.append((last_id, time.monotonic()))
            for row in rows:
                self._tell(event="queued", patient=row[0], timestamp=row[1], **self.traffic.told(row), pending=pending)
            self.publish()

    def acknowledged(self, batch: Batch, reply: Reply, rejected: Sequence[int], dead: Sequence[DeadLetter]) -> None:
        """The mesh has stored ``batch``, save the rows with the numbers ``rejected``, which became ``dead``. Told
        row by row, in their order."""
        now = time.monotonic()
        refusals = dict(zip(rejected, dead, strict=True))
        first_id = batch.last_id - batch.row_count + 1  # rows come and go in order: ids have no holes
        with self.changed:
            for number, row in enumerate(decode_rows(batch.rows)):
                elapsed_ms = round((now - self._queued_when(first_id + number)) * 1000)
                if number in refusals:
                    self._refuse(refusals[number], batch.seq)
                    continue
                self._acked += 1
                self._last_ack = (elapsed_ms, time.time_ns() // 1_000_000)
                self._tell(
                    event="ack",
                    patient=row[0],
                    seq=batch.seq,
                    term=reply["term"],
                    index=reply["index"],
                    elapsed_ms=elapsed_ms,
                )
            self.publish()

    def rejected(self, letter: DeadLetter, seq: int) -> None:
        """The mesh has refused a row for good; it lies in the dead letters."""
        with self.changed:
            self._refuse(letter, seq)
            self.publish()

    def damaged(self, damage: Damage, pending: int, directory: object) -> None:
        """What this client's own disk has damaged: rows that were never sent, and a request that was under way."""
        with self.changed:
            for letter in damage.rows:
                self._rejected += 1
                patient = letter.row[0] if letter.row else None
                known = patient if isinstance(patient, str) and patient else "?"
                self._refusal(letter.field, letter.bound, letter.hint, by=QUEUE, patient=known)
            if damage.lost_seq:
                hint = (
                    f"request {damage.lost_seq}, which was under way, is damaged in the queue in {directory}; "
                    f"{self._waits(pending)}, and some of it may be stored twice"
                )
                bound = "the next one of this session"
                self._refusal("seq", bound, hint, by=QUEUE, patient=None, seq=damage.lost_seq)
            self.publish()

    def disowned(self, batch: Batch, reply: Reply, pending: int, directory: object) -> None:
        """The mesh has another history of this queue's session; ``pending`` rows go out under a new epoch. A mesh that
        expects an earlier request than the one that is due has lost what it had acknowledged: nothing that waits is
        stored. Otherwise it is this queue that has gone back."""
        expected, waits = reply.get("expected"), self._waits(pending)
        if reply["status"] == "GAP" and type(expected) is int and 0 < expected < batch.seq:
            lost = batch.seq - expected
            which = f"request {expected}" if lost == 1 else f"requests {expected} to {batch.seq - 1}"
            hint = (
                f"GAP: the mesh no longer knows {which} of this client, which it had acknowledged: it was restored "
                f"from an older backup, or has lost its disks; what was in {'it' if lost == 1 else 'them'} is lost; "
                f"{waits}, and none of it is stored twice"
            )
        else:
            hint = (
                f"{reply['status']}: the queue in {directory} is an old or a second copy; {waits}, and some of it may "
                "be stored twice"
            )
        self._refusal("seq", "the next one of this session", hint, patient=None, seq=batch.seq)

    def too_long(self, batch: Batch, bytes_max: int, apart: bool) -> None:
        """``batch`` was made when limits.client_message_bytes_max was larger. ``apart``: its rows go one by one now."""
        what = f"request {batch.seq} ({self._counted(batch.row_count)})"
        if apart:
            hint = f"{what} was made when limits.client_message_bytes_max was larger: its rows go one by one"
        else:
            hint = (
                f"{what} can only be sent as it is: it waits, and all behind it, until limits.client_message_bytes_max "
                "is as large as it was, in peers.yaml here and at the peers"
            )
        self._refusal("message", f"at most {bytes_max} bytes", hint, patient=None, seq=batch.seq)

    def stranger(self, peer: int, reply: Reply) -> None:
        """A peer of peers.yaml is none of this mesh."""
        self._refusal(reply["field"], reply["bound"], reply["hint"], patient=None, peer=peer)

    def linked(self, link: Link) -> None:
        """The link to the mesh has changed."""
        with self.changed:
            before, self.link, self.looked = self.link, link, True
            if link.state == CONNECTED:
                self._tell(event="connected", peer=link.peer, leader=link.leader)
            elif link.state == KEY_REFUSED and before.why != link.why:
                self._tell(event="disconnected", link=link.state, why=link.why, hint=link.hint)
            elif before.state == CONNECTED:
                self._tell(event="disconnected", link=link.state)
            self.publish()

    def fail(self, error: BaseException) -> None:
        """The sender cannot go on, or ``on_event`` raised: the next call of the client raises ``error``."""
        with self.changed:
            if self.failure is None:
                self.failure = error
                self.link = Link(SEARCHING)
            self.publish()

    def raise_failure(self) -> None:
        """Raise what ``fail`` was given, if anything."""
        if self.failure is not None:
            raise self.failure

    def _queued_when(self, row_id: int) -> float:
        while self._queued_at and self._queued_at[0][0] < row_id:
            self._queued_at.popleft()
        mine = self._earlier_id is not None and row_id > self._earlier_id
        return self._queued_at[0][1] if mine and self._queued_at else self._started

    def _refuse(self, letter: DeadLetter, seq: int) -> None:
        self._rejected += 1
        self._refusal(letter.field, letter.bound, letter.hint, patient=letter.row[0] if letter.row else None, seq=seq)

    def _waits(self, pending: int) -> str:
        return f"what waits ({self._counted(pending)}) is sent as a new session"

    def _counted(self, rows: int) -> str:
        word = self.traffic.word
        return f"{rows} {word.removesuffix('s') if rows == 1 else word}"

    def _refusal(self, field: str, bound: str, hint: str, by: str = MESH, **more: object) -> None:
        self._tell(event="rejected", by=by, field=field, bound=bound, hint=hint, **more)

    def _tell(self, **event: object) -> None:
        if self._on_event is None:
            return
        with self.changed:
            try:
                self._on_event(event)
            except BaseException as error:  # the caller's own code: its fault must not stop the sender
                self.fail(error)
