"""A snapshot takes the place of a peer's file: in steps, each of which may be the last before a crash.

Touches the disk, SQLite's own side files too. Must not know: what the files hold. Keeps: whoever opens the file after a
crash finds the old one whole (with its WAL) or the new one whole (without that WAL: SQLite does not know which database
a WAL belongs to, and would play the old one's pages over the new file).

    snapshot, synced --rename, sync--> FILE-new --remove FILE-wal, sync--> --rename, sync--> FILE
                                          `--- from here on a crash is made good by ``finish``, at the next start

Connections that were open before go on with the old file, which has no name any more, and its side files likewise.
A connection of *this process* must not be opened between those steps: with the old file and the new one's side files it
would undo the writer's locks. Hence OPENING.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from hfzmq.storage import directory

OPENING = threading.RLock()
"""Held while a connection to a peer's file is opened (until its first read is done), and while one is exchanged."""

_SIDES = ("-wal", "-shm", "-journal")


def waiting(path: Path) -> Path:
    """Where a file waits that is to take the place of ``path``."""
    return path.with_name(path.name + "-new")


def promise(path: Path, snapshot: Path) -> None:
    """The point of no return: from here on ``finish`` must come before anything else is done with ``path``. OSError
    (``snapshot`` is still where it was: nothing has happened)."""
    home = snapshot.parent
    os.rename(snapshot, waiting(path))
    directory.sync(path.parent)
    if home != path.parent:
        directory.sync(home)


def finish(path: Path) -> bool:
    """Carry a promised exchange to its end; False when none was promised. Nothing may have ``path`` open to write.
    OSError: to be finished at the next start."""
    new = waiting(path)
    if not new.exists():
        return False
    with OPENING:
        directory.sync(path.parent)  # the promise, should a crash have come before its sync
        for side in _SIDES:
            with suppress(FileNotFoundError):
                os.unlink(path.with_name(path.name + side))
        directory.sync(path.parent)
        os.rename(new, path)
        directory.sync(path.parent)
    return True


def file_number(path: Path) -> tuple[int, int] | None:
    """Which file has this name now; None: none. Told apart from an older one as long as that is open."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
