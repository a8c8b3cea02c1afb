"""Files that must not be believed any more are moved out of the way, whole, with the reason: evidence is never deleted.

Touches the disk. Must not know: what the files hold. Keeps: when ``set_aside`` returns, no file of the peer stands in
its place any more, and that is synced; wherever a crash comes in between, the next start finds files that are not whole
or the note that they are distrusted, and sets aside the rest.

    hfzmq_1.db  hfzmq_1.db-wal  hfzmq_1.mark ...  --set_aside-->  aside-20260102T030405Z-1/ with the same and why.txt
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from hfzmq.errors import DataDirError
from hfzmq.storage import directory
from hfzmq.storage.directory import DIRECTORY_MODE, FILE_MODE

ASIDE_MAX = 10  # who loses its files so often needs a person, and must not fill the disk
WHY_CHARS_MAX = 2000


def distrusted_path(path: Path) -> Path:
    """Where the note lies that the database at ``path`` must not be believed."""
    return path.with_suffix(".distrusted")


def distrust(path: Path, why: str) -> None:
    """Leave word, synced, that the files must be set aside at the next start. OSError when that cannot be."""
    _write(distrusted_path(path), why)
    directory.sync(path.parent)


def distrusted(path: Path) -> str:
    """Why the files must be set aside; '' when nobody said so."""
    try:
        said = distrusted_path(path).read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return ""
    return said or "distrusted, the reason was not written down whole"


def set_aside(path: Path, why: str) -> Path:
    """Move every file of the database at ``path`` into a new directory beside it; that directory.

    DataDirError when ASIDE_MAX of them stand there already; OSError when the disk fails."""
    taken = sorted(path.parent.glob("aside-*"))
    if len(taken) >= ASIDE_MAX:
        raise DataDirError(
            f"{path}: damaged: {why}; {len(taken)} directories of damaged files stand beside it already",
            hint="look at the disk; then keep aside-* elsewhere or delete them, and start again",
        )
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    number = 1 + max((_number(one) for one in taken), default=0)
    target = path.parent / f"aside-{stamp}-{number}"
    target.mkdir(mode=DIRECTORY_MODE)
    _write(target / "why.txt", why)
    note = distrusted_path(path)
    if not note.exists():
        distrust(path, why)  # or a crash could leave what is left of the files looking whole
    _move([name for name in _files(path) if name != note.name], path.parent, target)
    _move([note.name], path.parent, target)  # last, when all else is moved for good
    return target


def earlier(path: Path) -> str:
    """Why files were last set aside here; '' when none were. For a start that finds nothing but that."""
    taken = [one for one in path.parent.glob("aside-*") if (one / path.name).exists()]
    if not taken:
        return ""
    try:
        newest = max(taken, key=lambda one: one.name)
        return (newest / "why.txt").read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return "its files were set aside"


def count(path: Path) -> int:
    """How often files of the database at ``path`` were set aside and still lie there. OSError."""
    return sum(name.startswith("aside-") for name in os.listdir(path.parent))


def _number(one: Path) -> int:
    last = one.name.rsplit("-", 1)[1]
    return int(last) if last.isdigit() else 0


def _files(path: Path) -> list[str]:
    beside = [path.name + end for end in ("", "-journal", "-wal", "-shm")]
    names = [*beside, path.with_suffix(".mark").name, distrusted_path(path).name]
    return [name for name in names if path.with_name(name).exists()]


def _move(names: list[str], home: Path, target: Path) -> None:
    for name in names:
        os.rename(home / name, target / name)
    directory.sync(target)
    directory.sync(home)


def _write(path: Path, why: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    try:
        os.pwrite(descriptor, (why[:WHY_CHARS_MAX] + "\n").encode(), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
