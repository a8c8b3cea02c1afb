"""The file that a backup is pulled into, until it is whole: NAME.part.

Touches the disk. Must not know: sockets, who gives it. Keeps: nothing is under the name that was asked for before all
of it is there, synced, hashed and counted row by row; nothing is ever written over; what is given up leaves nothing.

    NAME.part --begin, write ...--> --finish: hash, sync, count--> NAME        (discard: gone)
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from hfzmq.errors import DataDirError
from hfzmq.storage.backup import Backup, name, refuse_existing, verify
from hfzmq.storage.directory import FILE_MODE
from hfzmq.storage.snapshot import sync_and_hash

ROOM_LEFT_BYTES = 1 << 20
_HINT = "is there room, and the right to write?"


class Part:
    """For a backup that is to be ``to``. ``have``: the bytes that are there, without a hole. InvalidInput: there is
    something already; DataDirError, here and in each method: this disk refuses."""

    def __init__(self, to: Path) -> None:
        refuse_existing(to)
        self.to = to
        self.path = to.with_name(to.name + ".part")
        self.have = 0
        try:
            self._descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, FILE_MODE)
        except FileExistsError:
            raise DataDirError(
                f"{self.path}: exists already", hint="another backup runs, or was killed: then remove it"
            ) from None
        except OSError as error:
            raise self._failed(error) from None

    def begin(self, size: int) -> None:
        """A backup of ``size`` bytes comes; what there was of another one goes."""
        try:
            os.ftruncate(self._descriptor, 0)
            self.have = 0
            free = shutil.disk_usage(self.path.parent).free
        except OSError as error:
            raise self._failed(error) from None
        if free < size + ROOM_LEFT_BYTES:
            raise DataDirError(
                f"{self.to}: the backup has {size} bytes, {free} are free there",
                hint="free some space, or another disk",
            )

    def write(self, data: bytes) -> None:
        """The next piece."""
        try:
            if os.pwrite(self._descriptor, data, self.have) != len(data):
                raise OSError("written in part: is the disk full?")
        except OSError as error:
            raise self._failed(error) from None
        self.have += len(data)

    def is_whole(self, size: int, sha256: bytes) -> bool:
        """Whether what lies on the disk, synced now, is what was promised."""
        try:
            return sync_and_hash(self.path) == (size, sha256)
        except OSError as error:
            raise self._failed(error) from None

    def finish(self, mesh_id: bytes) -> Backup:
        """Count everything in it, and give it its name; what it holds. DataDirError also when it is damaged or of
        another mesh."""
        made = verify(self.path)
        if made.mesh_id != mesh_id:
            raise DataDirError(f"what came is a backup of mesh {made.mesh_id.hex()}, not of {mesh_id.hex()}")
        try:
            name(self.path, self.to)
        except FileExistsError:
            raise DataDirError(f"{self.to}: somebody has made it meanwhile", hint="take another name") from None
        except OSError as error:
            raise self._failed(error) from None
        return made._replace(path=self.to)

    def discard(self) -> None:
        """Leave nothing but what ``finish`` has named. May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            with suppress(OSError):
                self.path.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> DataDirError:
        return DataDirError(f"{self.to}: no backup can be written there: {error.strerror or error}", hint=_HINT)
