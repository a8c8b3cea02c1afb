"""Files by their names: whatever is none (a pipe, a device, a socket, a directory) is refused at once; and which file a
name leads to.

Touches the disk, reading only. Keeps: nobody waits for a pipe into which nobody writes, and no device is read.
"""

from __future__ import annotations

import errno
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NoPlainFile(OSError):
    """What the name leads to is there, and is no file; ``strerror`` says what it is."""


def open_plain(path: Path) -> BinaryIO:
    """A file, to be read. OSError: NoPlainFile for what is none, others as with ``open``."""
    refuse_special(path)  # before: to open a pipe would wait for who writes
    return path.open("rb")


def refuse_special(path: Path) -> None:
    """NoPlainFile where ``path`` leads to something that is no file and no directory; other OSErrors as ``stat``."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        kind = next((words for is_one, words in _KINDS if is_one(mode)), "something else")
        raise NoPlainFile(errno.EINVAL, f"it is {kind}, no file", str(path))


def identity_of(path: Path) -> tuple[int, int] | None:
    """Which file a name leads to, None where it leads to none. To remove or replace a file gives its name to another
    one or to none, and whoever has it open does not notice."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
