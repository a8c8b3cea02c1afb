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

from pathlib import Path
from typing import Any, NamedTuple

import apsw

from hfzmq.client.queue_file import Connection, open_queue_file
from hfzmq.client.traffic import READINGS, REPORTS, Traffic
from hfzmq.config import Config
from hfzmq.errors import DataDirError, InvalidInput, NotFound


class QueueFacts(NamedTuple):
    """What lies in a queue. ``next_seq``: the number of the next request; ``rows``: neither acknowledged nor refused;
    ``in_flight``: how many of them have been sent, perhaps; ``dead_letters``: refused for good."""

    directory: Path
    client_id: str
    mesh_id: bytes
    traffic: str
    next_seq: int
    rows: int
    in_flight: int
    dead_letters: int


def look(directory: Path) -> QueueFacts:
    """What lies in the queue in ``directory``. NotFound: there is none; DataDirError: a client has it open, or it is
    damaged."""
    file = _opened(directory)
    try:
        return _facts(file, directory)
    finally:
        file.close()


def move(directory: Path, from_mesh: bytes, to: Config) -> QueueFacts:
    """Give the queue in ``directory``, which is of ``from_mesh`` (16 bytes), to the mesh ``to``, synced. Once more is
    harmless. NotFound, DataDirError as with ``look``; InvalidInput: it is of a third mesh."""
    file = _opened(directory)
    try:
        before = _facts(file, directory)
        if before.mesh_id == to.mesh_id:
            return before
        if before.mesh_id != from_mesh:
            raise InvalidInput(
                "--from",
                f"the mesh of this queue, {before.mesh_id.hex()}",
                got=from_mesh.hex(),
                hint="hfzmq backup verify FILE says which mesh a backup is of",
            )
        with file.db:
            file.db.execute("UPDATE meta SET mesh_id = ?", (to.mesh_id,))
            file.db.execute("DELETE FROM members")  # where the old mesh's peers were; their number may be a higher one
        return _facts(file, directory)
    except (apsw.Error, OSError) as error:
        raise DataDirError(f"{directory}: cannot be written: {error}", hint="free some space, check the disk") from None
    finally:
        file.close()


def _opened(directory: Path) -> Connection:
    path = directory / "queue.db"
    if not path.is_file():
        raise NotFound(f"no queue in {directory}", hint="the directory that a client was started with: --queue DIR")
    mesh_id, traffic = _whose(path)
    return open_queue_file(directory, None, mesh_id, traffic)


def _whose(path: Path) -> tuple[bytes, Traffic]:
    try:
        database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            version = database.execute("PRAGMA user_version").get
            op = REPORTS.op if version < 2 else database.execute("SELECT op FROM op").get
            return database.execute("SELECT mesh_id FROM meta").get, READINGS if op == READINGS.op else REPORTS
        finally:
            database.close()
    except (apsw.Error, TypeError) as error:
        raise DataDirError(f"{path}: cannot be read: {error}", hint="is it a client's queue?") from None


def _facts(file: Connection, directory: Path) -> QueueFacts:
    def one(query: str) -> Any:
        return file.db.execute(query).get

    traffic = REPORTS.op if one("PRAGMA user_version") < 2 else one("SELECT op FROM op")
    return QueueFacts(
        directory,
        file.client_id,
        one("SELECT mesh_id FROM meta"),
        traffic,
        one("SELECT next_seq FROM meta"),
        one("SELECT count(*) FROM rows"),
        one("SELECT coalesce(sum(count), 0) FROM in_flight"),
        one("SELECT count(*) FROM dead_letters"),
    )
