"""The client: give it judged reports, it brings each of them to the mesh once.

Touches a directory (Queue) and, through a thread of its own (Sender), the mesh. Must not know: the model, a screen.

    submit --> checked --> on synced disk, and only then it returns --> (Sender) --> acknowledged by the mesh

Keeps: what submit has returned for reaches the mesh exactly once and in its order, whatever dies between. Should this
process die too, the queue's directory brings the rest back: the next Client on it goes on with the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from types import TracebackType
from urllib.parse import quote

from hfzmq.client.ledger import ClientState, Event, Ledger
from hfzmq.client.queue import Queue
from hfzmq.client.queue_file import default_client_id
from hfzmq.client.queue_types import Places
from hfzmq.client.sender import Sender
from hfzmq.clinical.report import Report, check_row
from hfzmq.config import Config, load
from hfzmq.errors import InvalidInput, TimedOut
from hfzmq.wire.requests import CLIENT_CHARS_MAX


class Client:
    """Brings reports to a mesh, exactly once, through whatever fails.

    >>> from hfzmq import Client
    >>> from hfzmq.clinical.report import Report
    >>> with Client("peers.yaml", "bed-7") as client:  # doctest: +SKIP
    ...     client.submit(Report("P-001", 1700000000000, 71.0, 134.0, 1.4, 32.0, 9, 0.64, "RED", 0.61, "mine", ""))
    ...     client.wait(10)

    ``config``: a Config, or the path of a peers.yaml. ``client_id``: 1 to 64 printable characters, the same in every
    life of this client (None: the queue's own, or this machine's name). ``queue_dir``: where its queue lies (None: see
    ``default_queue_dir``); one client at a time. ``seed`` replays the jitter of its rests.

    ``on_event`` is called with a dict, from the submitting or the sending thread, and must return soon:
    ``queued`` {patient, timestamp, tier, pending}, ``ack`` {patient, seq, term, index, elapsed_ms}, one for each row;
    ``rejected`` {by, patient, field, bound, hint, seq or peer}; ``connected`` {peer, leader}; ``disconnected`` {link}.

    What ``on_event`` raises, and what ends the sender (DiskFailed), is raised by the next call of a method.
    Raises ConfigError, InvalidInput, DataDirError.
    """

    def __init__(
        self,
        config: Config | str | Path,
        client_id: str | None = None,
        queue_dir: str | Path | None = None,
        on_event: Callable[[Event], None] | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        self.config = config if isinstance(config, Config) else load(config)
        if client_id is not None:
            check_client_id(client_id)
        mesh_id = self.config.mesh_id
        directory = queue_dir or default_queue_dir(client_id or default_client_id(), mesh_id)
        self._queue = Queue.open(directory, client_id, mesh_id)
        self._ledger = Ledger(on_event)
        self._sender = Sender(self.config, self._queue, self._ledger, Random(seed))

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is None:
            self._ledger.raise_failure()

    def submit(self, report: Report) -> None:
        """Have one report stored by the mesh. When this returns it is on this machine's synced disk.

        InvalidInput: a field is out of bounds. QueueFull, DiskFailed: it was not taken.
        """
        self.submit_many((report,))

    def submit_many(self, reports: Sequence[Report], *, source: tuple[Places, Places] | None = None) -> None:
        """Have several reports stored, in their order: all are taken or (InvalidInput, QueueFull, DiskFailed) none.

        ``source`` goes to the queue in the same transaction: see ``Queue.put``.
        """
        self._ledger.raise_failure()
        for number, report in enumerate(reports):
            refusal = check_row(report)
            if refusal:
                name = f"reports[{number}].{refusal.field}" if len(reports) > 1 else refusal.field
                raise InvalidInput(name, refusal.bound, hint=refusal.hint)
        with self._ledger.changed:  # so that no row's ack is told before it was told to be queued
            last_id = self._queue.put(reports, source)
            if reports:
                self._ledger.queued(last_id, reports, self._queue.pending())

    def seen(self, reports: Iterable[Report]) -> None:
        """Tell the mesh's boards the last reading of each bed, of any tier. A hint: never waits, may be lost
        (but for the last one ``close`` waits a little)."""
        self._ledger.raise_failure()
        self._sender.seen(report for report in reports if check_row(report) is None)

    def wait(self, timeout_s: float | None = None) -> None:
        """Return when everything queued is acknowledged (or refused for good); TimedOut after ``timeout_s``."""
        with self._ledger.changed:
            self._ledger.changed.wait_for(lambda: not self._queue.pending() or self._ledger.failure, timeout_s)
        self._ledger.raise_failure()
        pending = self._queue.pending()
        if pending:
            raise TimedOut(
                f"{pending} reports are not acknowledged yet",
                hint=f"they are kept in {self._queue.directory} and are sent when this client runs again",
            )

    def close(self) -> None:
        """Stop sending and release the queue; what is not acknowledged stays on disk. Waits up to 0.5 s for a peer to
        take the last hints of ``seen``. May be called twice."""
        self._sender.close()
        self._queue.close()

    @property
    def state(self) -> ClientState:
        """How it stands now; also after ``close``."""
        return self._ledger.state(self._queue.pending())

    @property
    def client_id(self) -> str:
        """This client's name in the mesh."""
        return self._queue.client_id

    @property
    def queue(self) -> Queue:
        """The queue on disk: its directory, its dead letters, its sources."""
        return self._queue


def check_client_id(client_id: object) -> None:
    """InvalidInput unless ``client_id`` can name a client on the wire."""
    if not isinstance(client_id, str) or not 1 <= len(client_id) <= CLIENT_CHARS_MAX or not client_id.isprintable():
        raise InvalidInput("client_id", f"1 to {CLIENT_CHARS_MAX} printable characters", got=client_id)


def default_queue_dir(client_id: str, mesh_id: bytes) -> Path:
    """``$XDG_STATE_HOME/hfzmq/<client id>/<start of the mesh id>``: one queue for all lives of a client in a mesh."""
    state = os.environ.get("XDG_STATE_HOME") or ""
    home = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    name = quote(client_id, safe=" ")
    return home / "hfzmq" / (name if name.strip(".") else f"_{name}") / mesh_id.hex()[:8]
