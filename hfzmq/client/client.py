"""The clients: give one judged reports, or heart-rate readings, and it brings each of them to the mesh once.

Touches a directory (Queue) and, through a thread of its own (Sender), the mesh. Must not know: the model, a screen.

    submit --> checked --> on synced disk, and only then it returns --> (Sender) --> acknowledged by the mesh

Keeps: what submit has returned for reaches the mesh exactly once and in its order, whatever dies between. Should this
process die too, the queue's directory brings the rest back: the next client on it goes on with the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from types import TracebackType
from typing import TypeVar

from hfzmq.client.ledger import ClientState, Event, Ledger
from hfzmq.client.pirate import KEY_REFUSED
from hfzmq.client.place import check_client_id, default_queue_dir
from hfzmq.client.queue import Queue
from hfzmq.client.queue_file import default_client_id
from hfzmq.client.queue_types import Places
from hfzmq.client.sender import Sender
from hfzmq.client.traffic import READINGS, REPORTS, Traffic, as_sent
from hfzmq.clinical.heart_rate import Reading
from hfzmq.clinical.report import Report, check_row
from hfzmq.config import Config, load
from hfzmq.errors import InvalidInput, KeysError, TimedOut
from hfzmq.secret_files import BEDSIDE_KEY, with_own_key

C = TypeVar("C", bound="Courier")


class Courier:
    """What both clients are: a queue on disk, a sender, and an account of what became of each row.

    ``config``: a Config, or the path of a peers.yaml. ``client_id``: 1 to 64 printable characters, the same in every
    life of this client (None: the queue's own, or this machine's name). ``queue_dir``: where its queue lies (None: see
    ``default_queue_dir``); one client at a time. ``seed`` replays the jitter of its rests. ``batch_rows``: rows of one
    request at most (None: as many as the mesh takes).

    ``on_event`` is called with a dict, from the submitting or the sending thread, and must return soon:
    ``queued`` {patient, timestamp, tier (of a report) or value (of a reading), pending}, ``ack`` {patient, seq, term,
    index, elapsed_ms}, one for each row; ``rejected`` {by ('mesh'; 'queue': this disk has damaged it), patient, field,
    bound, hint, seq or peer}; ``connected`` {peer, leader}; ``disconnected`` {link, and why, hint where that is 'key
    refused'}. Acks and rejections come in the order of the rows.

    What ``on_event`` raises, and what ends the sender (DiskFailed), is raised by the next call of a method.
    Where the mesh has keys: it speaks with HFZMQ_KEY, else keys/ward.secret (client.secret, admin.secret) beside the
    file. Raises ConfigError, InvalidInput, DataDirError, KeysError.
    """

    traffic: Traffic

    def __init__(
        self,
        config: Config | str | Path,
        client_id: str | None = None,
        queue_dir: str | Path | None = None,
        on_event: Callable[[Event], None] | None = None,
        *,
        seed: int | None = None,
        batch_rows: int | None = None,
    ) -> None:
        given = config if isinstance(config, Config) else load(config)
        self.config = with_own_key(given, BEDSIDE_KEY, os.environ)
        if client_id is not None:
            check_client_id(client_id)
        if batch_rows is not None and batch_rows < 1:
            raise InvalidInput("batch_rows", "1 or more", got=batch_rows)
        mesh_id = self.config.mesh_id
        directory = queue_dir or default_queue_dir(client_id or default_client_id(), mesh_id, self.traffic)
        self._queue = Queue.open(directory, client_id, mesh_id, self.traffic)
        self._earlier = self._queue.pending()
        self._ledger = Ledger(self.traffic, on_event, self._queue.pending)
        self._sender = Sender(self.config, self._queue, self._ledger, Random(seed), batch_rows)

    def __enter__(self: C) -> C:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is None:
            self._ledger.raise_failure()

    def raise_failure(self) -> None:
        """Raise what has ended the sender, if anything; DiskFailed when the queue was deleted, moved or replaced."""
        self._ledger.raise_failure()
        self._queue.check()

    def wait(self, timeout_s: float | None = None) -> None:
        """Return when everything queued is acknowledged (or refused for good); TimedOut after ``timeout_s``."""
        with self._ledger.changed:
            self._ledger.changed.wait_for(lambda: not self._queue.pending() or self._ledger.failure, timeout_s)
        self._ledger.raise_failure()
        pending = self._queue.pending()
        if pending:
            self._queue.check()
            raise TimedOut(
                f"{pending} {self.traffic.word} are not acknowledged yet",
                hint=f"they are kept in {self._queue.directory} and are sent when this client runs again",
            )

    def refusal(self, timeout_s: float = 0.0) -> KeysError | None:
        """Why the mesh has nothing to do with this client: nobody accepts its key, or it accepts nobody's; None: it
        has, or is away. Whether anybody is there is waited for, the first time, for ``timeout_s`` at most."""
        ledger = self._ledger
        with ledger.changed:
            ledger.changed.wait_for(lambda: ledger.looked or ledger.failure, timeout_s)
            link = ledger.link
        if link.state != KEY_REFUSED:
            return None
        self._queue.check()
        pending, word = self._queue.pending(), self.traffic.word
        waits = f"{pending} {word} wait" if pending > 1 else f"1 {word[:-1]} waits"
        where = f"; {waits} in {self._queue.directory}" if pending else ""
        return KeysError(f"key refused: {link.why}{where}", hint=link.hint)

    def close(self) -> None:
        """Stop sending and release the queue; what is not acknowledged stays on disk. Waits up to 0.5 s for a peer to
        take the last hints of ``seen``. May be called twice."""
        self._sender.close()
        self._queue.close()

    @property
    def state(self) -> ClientState:
        """How it stands now; also after ``close``. Never waits, also not for a disk that a ``submit`` waits for."""
        return self._ledger.state

    @property
    def earlier(self) -> int:
        """How many rows of earlier lives were waiting in the queue when this client was made."""
        return self._earlier

    @property
    def client_id(self) -> str:
        """This client's name in the mesh."""
        return self._queue.client_id

    @property
    def queue(self) -> Queue:
        """The queue on disk: its directory, its dead letters, its sources."""
        return self._queue

    def _put(self, rows: Sequence[Sequence[object]], source: tuple[Places, Places] | None) -> None:
        self._ledger.raise_failure()
        for number, row in enumerate(rows):
            refusal = self.traffic.check(row)
            if refusal:
                several = len(rows) > 1
                name = f"{self.traffic.word}[{number}].{refusal.field}" if several else refusal.field
                raise InvalidInput(name, refusal.bound, hint=refusal.hint)
        with self._ledger.changed:  # so that no row's ack is told before it was told to be queued
            last_id = self._queue.put(rows, source)
            if rows:
                self._ledger.queued(last_id, rows, self._queue.pending())


class Client(Courier):
    """Brings reports to a mesh, exactly once, through whatever fails; see Courier.

    >>> from hfzmq import Client
    >>> from hfzmq.clinical.report import Report
    >>> with Client("peers.yaml", "bed-7") as client:  # doctest: +SKIP
    ...     client.submit(Report("P-001", 1700000000000, 71.0, 134.0, 1.4, 32.0, 9, 0.64, "RED", 0.61, "mine", ""))
    ...     client.wait(10)
    """

    traffic = REPORTS

    def submit(self, report: Report) -> None:
        """Have one report stored by the mesh. When this returns it is on this machine's synced disk.

        InvalidInput: a field is out of bounds. QueueFull, DiskFailed: it was not taken.
        """
        self.submit_many((report,))

    def submit_many(self, reports: Sequence[Report], *, source: tuple[Places, Places] | None = None) -> None:
        """Have several reports stored, in their order: all are taken or (InvalidInput, QueueFull, DiskFailed) none.

        ``source`` goes to the queue in the same transaction: see ``Queue.put``.
        """
        self._put(reports, source)

    def seen(self, reports: Iterable[Report]) -> None:
        """Tell the mesh's boards the last reading of each bed, of any tier. A hint: never waits, may be lost
        (but for the last one ``close`` waits a little)."""
        self._ledger.raise_failure()
        self._sender.seen(report for report in reports if check_row(report) is None)


class ReadingsClient(Courier):
    """Brings heart-rate readings to a mesh, exactly once, through whatever fails; see Courier. Its queue is its own: a
    queue of reports is refused.

    >>> from hfzmq.client import ReadingsClient
    >>> from hfzmq.clinical.heart_rate import Reading
    >>> with ReadingsClient("peers.yaml", "monitor-7") as client:  # doctest: +SKIP
    ...     client.submit(Reading("P-001", 1700000000000, 72, ""))
    ...     client.submit(Reading("P-001", 1700000001000, None, "E04 leads off"))
    ...     client.wait(10)
    """

    traffic = READINGS

    def submit(self, reading: Reading) -> None:
        """Have one reading stored by the mesh, whatever its value; see ``submit_many``."""
        self.submit_many((reading,))

    def submit_many(self, readings: Sequence[Reading], *, source: tuple[Places, Places] | None = None) -> None:
        """Have readings stored, in their order: all are taken or (InvalidInput, QueueFull, DiskFailed) none. When this
        returns they are on this machine's synced disk.

        A value is any number, also numpy's; beyond 64 bits it is sent as a float. InvalidInput: no usable patient or
        timestamp, a ``raw_payload`` that UTF-8 cannot write, or a value that is no number: what cannot be parsed is
        given as ``raw_payload`` with value None. ``source``: see ``Queue.put``.
        """
        self._put([as_sent(reading) for reading in readings], source)
