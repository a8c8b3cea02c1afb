"""A peer's data directory: made, synced, held by one process, and closed to all other users.

Touches the disk. Must not know: SQLite, what the files hold. Keeps: of two processes that want one peer's files at most
one has them; the lock goes with the process, however it ends, and the lock file itself stays (removing it would let two
processes hold two locks of one name). Patients' data are for the daemon's user alone, whatever the umask and the
directory's mode; what a group may do, and nobody else, is the operator's choice and stays.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

from hfzmq.errors import DataDirError

DIRECTORY_MODE = 0o700
PARENT_MODE = 0o755
FILE_MODE = 0o600
OTHERS = stat.S_IRWXO


def database_path(data_dir: Path, peer_id: int) -> Path:
    """Where a peer's file lies."""
    return data_dir / f"hfzmq_{peer_id}.db"


def may(path: Path, mode: int) -> bool:
    """Whether this process has the rights ``mode`` (of os.access) to a file; the file is not opened, for closing it
    again would let go of the locks that SQLite holds on it in this process."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def disk_free_bytes(data_dir: Path) -> int:
    """How much this user may still write there. OSError."""
    found = os.statvfs(data_dir)
    return found.f_bavail * found.f_frsize


def prepare(data_dir: Path) -> None:
    """Make the directory and its parents where they are missing, durably; it alone is closed to others, for a service's
    user must pass what lies above it. OSError when that cannot be."""
    made = []
    at = data_dir
    while not at.is_dir():  # a file in the way is told by mkdir
        made.append(at)
        if at == at.parent:
            break
        at = at.parent
    for directory in reversed(made):
        directory.mkdir(mode=DIRECTORY_MODE if directory == data_dir else PARENT_MODE, exist_ok=True)
        sync(directory.parent)


def create(path: Path) -> None:
    """Make the database's file, empty, where there is none: SQLite would leave its rights to the umask, and gives the
    WAL those that it finds. OSError."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))


def close_to_others(path: Path) -> list[str]:
    """Take the files of the database at ``path`` from everybody who is neither this user nor of a group; what is worth
    a warning, in words: what was open until now, and what still is."""
    were, are = [], []
    for file in sorted(path.parent.glob(f"{path.stem}.*")):
        with suppress(OSError):  # the WAL goes with its last reader; another's file stays as it is
            mode = file.lstat().st_mode
            if stat.S_ISREG(mode) and mode & OTHERS:
                are.append(file)
                os.chmod(file, FILE_MODE)
                if not file.lstat().st_mode & OTHERS:
                    were.append(are.pop())
    doubts = []
    if were:
        names = ", ".join(file.name for file in were)
        doubts.append(f"{path.parent}: every user of this machine had rights to {names}; now its owner alone has")
    if are:
        files = " ".join(map(str, are))
        doubts.append(f"patients' data: every user of this machine has rights to them: chmod {FILE_MODE:o} {files}")
    mode = stat.S_IMODE(path.parent.stat().st_mode)
    if mode & stat.S_IWOTH:
        doubts.append(
            f"{path.parent} has mode {mode:o}: every user of this machine may put files there or take them away: "
            f"chmod {DIRECTORY_MODE:o} {path.parent}"
        )
    return doubts


def sync(directory: Path) -> None:
    """fsync a directory: without it a new file's name may be lost with the power."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Lock:
    """An flock on ``path``; DataDirError when another process holds it."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE)
        try:
            self._take(path)
        except BaseException:
            os.close(self._descriptor)
            raise

    def _take(self, path: Path) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            pid = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise DataDirError(
                f"{path.parent}: another process holds it (pid {pid})",
                hint=f"is this peer already running? stop it, or give another --data-dir; lock file: {path.name}",
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others have it. Twice is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
