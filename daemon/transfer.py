"""Snapshots between peers: what the loop calls for both sides of it.

Touches the disk and threads, through its two halves (outgoing.py, incoming.py). Must not know: sockets, who leads.
For the loop's thread; no call takes longer than reading or writing about a megabyte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hfzmq.core.types import Place
from hfzmq.daemon.incoming import Incoming
from hfzmq.daemon.outgoing import Outgoing
from hfzmq.daemon.worker import Work, in_thread
from hfzmq.wire.transfer import CHUNK_BYTES_MAX, Chunk, Pull


class Transfers:
    """Hands out snapshots of the file at ``db_path`` and pulls those of others into ``data_dir``/incoming.

    ``send``: to a peer; may be lost. ``oldest``: the index after which this peer's log begins. ``chunk_bytes``: of a
    piece; it must fit into a message between peers. Times are of a monotonic clock, in ms."""

    def __init__(
        self,
        data_dir: Path,
        db_path: Path,
        send: Callable[[int, Pull | Chunk], None],
        counters: Counter[str],
        *,
        oldest: Callable[[], int] = lambda: 0,
        chunk_bytes: int = CHUNK_BYTES_MAX,
        work: Work = in_thread,
    ) -> None:
        chunk_bytes = min(chunk_bytes, CHUNK_BYTES_MAX)
        self._out = Outgoing(data_dir / "outgoing", db_path, send, counters, chunk_bytes, oldest, work)
        self._in = Incoming(data_dir / "incoming", db_path.stem, send, counters, work)

    def received(self, now_ms: float, sender: int, message: Pull | Chunk) -> None:
        """A peer asks for a piece, or gives one."""
        if isinstance(message, Pull):
            self._out.pulled(now_ms, sender, message)
        else:
            self._in.arrived(now_ms, sender, message)

    def fetch(self, now_ms: float, source: int, beyond: int = 0) -> None:
        """Pull a snapshot from ``source``; of use only if it reaches beyond the entry ``beyond``. To be said as often
        as one likes; another source goes on where the last one was, if it has the same snapshot."""
        self._in.fetch(now_ms, source, beyond)

    def complete(self) -> tuple[Path, Place] | None:
        """The file and the place of its last entry, once all of it is here, synced and hashed; until ``forget``."""
        return self._in.complete()

    def forget(self) -> None:
        """It was used, or is not wanted any more."""
        self._in.forget()

    def tick(self, now_ms: float) -> None:
        """Let time pass; to be called once a turn, no later than ``wake_at_ms``."""
        self._out.tick(now_ms)
        self._in.tick(now_ms)

    def wake_at_ms(self) -> float:
        """When ``tick`` is due; infinite when nothing goes on."""
        return min(self._out.wake_at_ms(), self._in.wake_at_ms())

    def close(self) -> None:
        """The process ends. What was pulled stays, to be gone on with."""
        self._out.close()
