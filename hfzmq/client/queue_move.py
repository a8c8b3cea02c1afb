"""A client's queue looked at, and given to another mesh: to the one that was restored from its own mesh's backup.

Touches one queue directory, which no client may have open. Must not know: sockets. What waits stays as it is, under the
same session and the same numbers; the mesh tells what it knows of that session:

    the backup knows all that the old mesh had acknowledged  -> the next number goes on; a repeated one is acknowledged
                                                                again and stored once
    the backup is older than some acknowledgement            -> GAP: what waits goes out under a new session; what was
                                                                acknowledged since the backup is not in the queue any
                                                                more, so nothing is stored twice, and nothing that
                                                                waits is lost
Keeps: a queue is never given to a mesh by accident: whoever moves it names the mesh that it is from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from hfzmq.client import queue_mark, queue_schema
from hfzmq.client.queue_connection import ASIDE, Connection
from hfzmq.client.queue_file import locked, open_queue_file
from hfzmq.client.queue_sums import seal_meta
from hfzmq.client.traffic import READINGS, REPORTS
from hfzmq.config import Config
from hfzmq.errors import DataDirError, InvalidInput, NotFound


class QueueFacts(NamedTuple):
    """What lies in a queue. ``next_seq``: the number of the next request; ``rows``: neither acknowledged nor refused;
    ``in_flight``: how many of them have been sent, perhaps; ``dead_letters``: refused for good, or damaged;
    ``lost``: what is gone of what it accepted, '' for nothing."""

    directory: Path
    client_id: str
    mesh_id: bytes
    traffic: str
    next_seq: int
    rows: int
    in_flight: int
    dead_letters: int
    lost: str


def look(directory: Path) -> QueueFacts:
    """What lies in the queue in ``directory``, which stays as it is. NotFound: there is none; DataDirError: a client
    has it open, or it cannot be read."""
    path = _path(directory)
    try:
        lock = locked(directory)
    except OSError as error:
        raise DataDirError(f"{directory}: {error.strerror}", hint="look as the user that the client runs as") from None
    try:
        with _for_reading(path) as database:
            return _facts(database, directory)
    finally:
        os.close(lock)


def move(directory: Path, from_mesh: bytes, to: Config) -> QueueFacts:
    """Give the queue in ``directory``, which is of ``from_mesh`` (16 bytes), to the mesh ``to``, synced. Once more is
    harmless. NotFound, DataDirError as with ``look``; InvalidInput: it is of a third mesh."""
    file = _opened(directory)
    try:
        before = _facts(file.db, directory)
        if before.mesh_id == to.mesh_id:
            return before
        if before.mesh_id != from_mesh:
            raise InvalidInput(
                "--from",
                f"the mesh of this queue, {before.mesh_id.hex()}",
                got=from_mesh.hex(),
                hint="hfzmq backup verify FILE says which mesh a backup is of",
            )

        def give() -> None:
            file.db.execute("UPDATE meta SET mesh_id = ?", (to.mesh_id,))
            seal_meta(file.db)
            file.db.execute("DELETE FROM members")  # where the old mesh's peers were; their number may be a higher one

        file.write(give)
        return _facts(file.db, directory)
    finally:
        file.close()


def _opened(directory: Path) -> Connection:
    with _for_reading(_path(directory)) as database:
        mesh_id: bytes = database.execute("SELECT mesh_id FROM meta").get
        traffic = READINGS if queue_schema.op_of(database) == READINGS.op else REPORTS
    return open_queue_file(directory, None, mesh_id, traffic)


def _path(directory: Path) -> Path:
    path = directory / "queue.db"
    if not path.is_file():
        gone = ": queue.db is gone" if queue_mark.mark_path(directory).exists() else ""
        hint = "the directory that a client was started with: --queue DIR"
        raise NotFound(f"no queue in {directory}{gone}", hint=hint)
    return path


@contextmanager
def _for_reading(path: Path) -> Iterator[apsw.Connection]:
    """The file at ``path``; what its WAL still has stays there. DataDirError: something in it cannot be read."""
    try:
        database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            database.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            yield database
        finally:
            database.close()
    except (apsw.Error, UnicodeDecodeError, TypeError) as error:
        raise DataDirError(f"{path}: cannot be read: {error}", hint=f"is it a client's queue? then {ASIDE}") from None


def _facts(db: apsw.Connection, directory: Path) -> QueueFacts:
    def one(query: str) -> Any:
        return db.execute(query).get

    return QueueFacts(
        directory,
        str(one("SELECT client_id FROM meta")),
        one("SELECT mesh_id FROM meta"),
        queue_schema.op_of(db),
        one("SELECT next_seq FROM meta"),
        one("SELECT count(*) FROM rows"),
        one("SELECT coalesce(sum(count), 0) FROM in_flight"),
        one("SELECT count(*) FROM dead_letters"),
        queue_mark.lost(queue_mark.read(directory), queue_schema.mark_of(db)),
    )
