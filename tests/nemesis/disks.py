"""Small disks for peers: a tmpfs on a data directory, which can be filled and which outlives the mount as plain files.

Touches mounts (root needed, see means.py), directories. Must not know: how a daemon is run. Keeps: a disk that nobody
has filled has room for the files and for what the daemon wants free beside them, or a fault would never heal;
``close`` takes every mount away and leaves what was in it; what a killed run left mounted is swept by the next one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from hfzmq.daemon.outgoing import room_needed
from tests.nemesis.means import run

MOUNT = "hfzmq-nemesis-"  # and the process id of the run


class SmallDisks:
    """Mounts below ``folder``, each for a database and a WAL of ``files_mib`` together; ``numbers``: those that have
    one."""

    def __init__(self, folder: Path, files_mib: int) -> None:
        sweep()
        self._folder = folder
        files_bytes = files_mib << 20
        self.size_bytes = files_bytes + room_needed(files_bytes)
        self.numbers: set[int] = set()

    def add(self, number: int) -> None:
        """A small disk as ``folder/number``."""
        directory = self._folder / str(number)
        directory.mkdir(mode=0o700)
        run("mount", "-t", "tmpfs", "-o", f"size={self.size_bytes},mode=700", f"{MOUNT}{os.getpid()}", directory)
        self.numbers.add(number)

    def filler(self, number: int) -> Path:
        """The file that takes the space."""
        return self._folder / str(number) / "filler"

    def close(self) -> None:
        """A mounted disk's files outlive the mount: they are what one looks at after a violation."""
        for number in sorted(self.numbers):
            directory, kept = self._folder / str(number), self._folder / f"{number}.kept"
            self.filler(number).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                shutil.copytree(directory, kept)
            with contextlib.suppress(OSError):
                run("umount", "--lazy", directory)
                directory.rmdir()
                kept.rename(directory)
        self.numbers.clear()


def sweep() -> None:
    """Take away the small disks of runs that are dead by now."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        source, directory = line.split()[:2]
        if source.startswith(MOUNT) and not Path("/proc", source[len(MOUNT) :]).exists():
            with contextlib.suppress(OSError):
                run("umount", "--lazy", directory)
