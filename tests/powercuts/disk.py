"""What a disk was told, call by call, and what it may hold after the power went.

``Recorder`` is a VFS over the real disk, and stands in for ``os`` in the storage's own modules: it notes each call that
changes something. ``Platter`` plays the notes back and builds outages: what was synced is there; of each write since,
all, a part or nothing, in any order; of names made, moved or deleted since their directory was synced, any.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from hfzmq.storage import aside, directory, mark

Image = dict[str, bytes]
"""File name -> content."""

WRITE, CUT, SYNC, CREATE, DELETE, RENAME, SYNC_NAMES = (
    "write",
    "cut",
    "sync",
    "create",
    "delete",
    "rename",
    "sync names",
)
SECTOR_BYTES = 512


class Call(NamedTuple):
    """One call: its kind, the file, where (bytes; for a rename ``data`` is the new name), and what."""

    kind: str
    file: str
    at: int = 0
    data: bytes = b""


class Recorder(apsw.VFS):
    """Notes calls in ``calls``; ``clock_s`` is the time that the storage is told."""

    def __init__(self, name: str) -> None:
        self.vfs_name = name
        self.calls: list[Call] = []
        self.clock_s = 1000.0
        self._descriptors: dict[int, str] = {}
        super().__init__(name, base="")

    def note(self, kind: str, file: str, at: int = 0, data: bytes = b"") -> None:
        """One more call on a file that matters."""
        name = os.path.basename(file)
        if not name.endswith(".lock"):
            self.calls.append(Call(kind, name, at, data))

    # ------------------------------------------------------------ as SQLite's VFS

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        is_new = not os.path.exists(path)
        file = _File(self, path, name, flags)
        if is_new and flags[0] & apsw.SQLITE_OPEN_CREATE:
            self.note(CREATE, path)
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self.note(DELETE, filename)
        if syncdir:
            self.note(SYNC_NAMES, "")

    # ------------------------------------------------------------ as the module os, and as the module time

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def monotonic(self) -> float:
        return self.clock_s

    def open(self, path: str | Path, flags: int, mode: int = 0o777) -> int:
        is_new = not os.path.exists(path)
        descriptor = os.open(path, flags, mode)
        if is_new:
            self.note(CREATE, str(path))
        self._descriptors[descriptor] = "" if flags & os.O_DIRECTORY else str(path)
        return descriptor

    def pwrite(self, descriptor: int, data: bytes, at: int) -> int:
        self.note(WRITE, self._descriptors[descriptor], at, bytes(data))
        return os.pwrite(descriptor, data, at)

    def fsync(self, descriptor: int) -> None:
        path = self._descriptors[descriptor]
        self.note(SYNC if path else SYNC_NAMES, path)

    def fdatasync(self, descriptor: int) -> None:
        self.fsync(descriptor)

    def rename(self, source: str | Path, target: str | Path) -> None:
        os.rename(source, target)
        self.note(RENAME, str(source), 0, "/".join(Path(target).parts[-2:]).encode())

    @contextmanager
    def installed(self) -> Iterator[None]:
        """While inside, the storage's own modules speak to this disk."""
        kept = [(module, name, getattr(module, name)) for module, name in _SPEAK_TO_THE_DISK]
        for module, name, _ in kept:
            setattr(module, name, self)
        try:
            yield
        finally:
            for module, name, was in kept:
                setattr(module, name, was)


_SPEAK_TO_THE_DISK = ((mark, "os"), (mark, "time"), (directory, "os"), (aside, "os"))


class _File(apsw.VFSFile):
    """One file of a Recorder. Like SQLite's own: the first sync of a new journal or WAL syncs its name, too."""

    def __init__(self, disk: Recorder, path: str, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self.disk = disk
        self.path = path
        journal = flags[0] & (apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL)
        self._syncs_name = bool(journal and flags[0] & apsw.SQLITE_OPEN_CREATE)
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:
        self.disk.note(WRITE, self.path, offset, bytes(data))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self.disk.note(CUT, self.path, newsize)
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        self.disk.note(SYNC, self.path)
        if self._syncs_name:
            self.disk.note(SYNC_NAMES, "")
            self._syncs_name = False


class _Inode:
    """What a file holds on the disk, and what was written to it since it was synced."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = bytearray(content)
        self.since: list[Call] = []


class Platter:
    """The disk after some calls. ``play`` takes the next one."""

    def __init__(self, image: Image) -> None:
        self._names = {name: _Inode(content) for name, content in image.items()}  # as they are in the cache
        self._synced_names = dict(self._names)
        self._since: list[tuple[Call, _Inode]] = []

    def play(self, call: Call) -> None:
        kind, name = call.kind, call.file
        if kind in (WRITE, CUT):
            self._names[name].since.append(call)
        elif kind == SYNC:
            inode = self._names[name]
            _carry_out(inode.content, inode.since)
            inode.since = []
        elif kind == SYNC_NAMES:
            self._synced_names = dict(self._names)
            self._since = []
        else:
            inode = _Inode() if kind == CREATE else self._names[name]
            self._since.append((call, inode))
            _rename(self._names, call, inode)

    def whole(self) -> Image:
        """All that was written: what a killed process leaves."""
        return {name: bytes(_carry_out(bytearray(one.content), one.since)) for name, one in self._names.items()}

    def outage(self, rng: random.Random) -> Image:
        """What a power cut may leave."""
        names = dict(self._synced_names)
        for call, inode in _some(rng, self._since):
            _rename(names, call, inode)
        left = {}
        for name, inode in names.items():
            survived = [part for call in _some(rng, inode.since) for part in _parts(rng, call)]
            left[name] = bytes(_carry_out(bytearray(inode.content), survived))
        return left


def _rename(names: dict[str, _Inode], call: Call, inode: _Inode) -> None:
    if call.kind == CREATE:
        names[call.file] = inode
    elif names.get(call.file) is inode:
        del names[call.file]
        if call.kind == RENAME:
            names[call.data.decode()] = inode


def _carry_out(content: bytearray, calls: list[Call]) -> bytearray:
    for kind, _, at, data in calls:
        if kind == CUT:
            del content[at:]
        else:
            content.extend(bytes(max(0, at - len(content))))
            content[at : at + len(data)] = data
    return content


def _some(rng: random.Random, calls: list[Any]) -> list[Any]:
    """None, all, the first few, all but one, or any of them."""
    how = rng.randrange(6)
    if not calls or how == 0:
        return []
    if how == 1:
        return calls
    if how == 2:
        return calls[: rng.randint(0, len(calls))]
    if how == 3:
        without = rng.randrange(len(calls))
        return calls[:without] + calls[without + 1 :]
    keep = rng.choice((0.2, 0.5, 0.9))
    return [call for call in calls if rng.random() < keep]


def _parts(rng: random.Random, call: Call) -> list[Call]:
    """A write that survives does so whole, or torn at any byte, or some of its sectors do."""
    chance = rng.random()
    if call.kind == CUT or chance < 0.8:
        return [call]
    if chance < 0.9:
        return [call._replace(data=call.data[: rng.randrange(len(call.data) + 1)])]
    parts, start, end = [], call.at, call.at + len(call.data)
    while start < end:
        stop = min(end, (start // SECTOR_BYTES + 1) * SECTOR_BYTES)
        if rng.random() < 0.5:
            parts.append(call._replace(at=start, data=call.data[start - call.at : stop - call.at]))
        start = stop
    return parts
