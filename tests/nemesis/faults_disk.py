"""Faults of disks: full, failing, slow.

    full        a file takes the space of a peer's small tmpfs; later the space comes back
    failing     strace lets every sync fail with EIO: the daemon must stop at once, and not try again
    slow        strace makes every sync take longer than a lease while the process goes on otherwise
    too large   the kernel refuses every write beyond what the files have (RLIMIT_FSIZE): no rights needed

Touches the World, strace, limits. Must not know: clients.
"""

from __future__ import annotations

import contextlib
import errno
import resource
import signal
import subprocess
import time
from typing import Any

from tests.nemesis.faults import DISK, Fault
from tests.nemesis.means import PRLIMIT, STRACE, TMPFS, tracing

FULL_CHUNK_BYTES = 1 << 16
ATTACH_S = 5.0


class _Disk(Fault):
    kind = DISK
    hold_s = 2.0
    leads = True  # whether it is done to the leader

    def victim(self) -> int:
        """Whose disk; its daemon may end."""
        self.hurt = self.leader() if self.leads else self.follower()
        self.world.excused.add(self.hurt)
        self._restart_at = 0.0
        return self.hurt

    def tick(self) -> None:
        """What systemd does: start it again, whether or not its disk is any better."""
        if self.world.runs(self.hurt):
            self._restart_at = 0.0
        elif not self._restart_at:
            self._restart_at = time.monotonic() + self.world.restart_s
        elif time.monotonic() >= self._restart_at:
            self._restart_at = 0.0
            self.world.start(self.hurt)


class DiskFullLeader(_Disk):
    """No space on the leader's disk; then there is again."""

    name, says, needs = (
        "disk_full_leader",
        "a leader whose disk is full stops, and is back when there is space",
        (TMPFS,),
    )

    def victim(self) -> int:
        """Only some have a small disk; when the one who should be hurt has none, another one is."""
        super().victim()
        small = self.world.disks.numbers
        if self.hurt not in small:
            self.hurt = self.chance.choice(sorted(small))
            self.world.excused.add(self.hurt)
        return self.hurt

    def start(self) -> str:
        """See the class."""
        number = self.victim()
        role = "leads" if number == self.world.leader() else "follows"
        self._filler = self.world.disks.filler(number)
        with self._filler.open("wb", buffering=0) as file:
            size = FULL_CHUNK_BYTES
            while size:
                try:
                    file.write(bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2
        return f"disk of {number}, which {role}"

    def tick(self) -> None:
        """What little the daemon gave back when it ended is taken, too."""
        super().tick()
        with contextlib.suppress(OSError), self._filler.open("ab", buffering=0) as file:
            file.write(bytes(4096))

    def stop(self) -> None:
        """Space."""
        self._filler.unlink(missing_ok=True)


class DiskFullFollower(DiskFullLeader):
    """No space on a follower's disk."""

    name, says, leads = "disk_full_follower", "a follower whose disk is full stops, and catches up later", False


class _Strace(_Disk):
    needs = (STRACE,)
    what = ""
    delay_leases = 0.0

    def start(self) -> str:
        """Attach to the running daemon."""
        number = self.victim()
        process = self.world.processes[number]
        what = self.what or f"delay_enter={int(self.delay_leases * self.world.config.timing.lease_ms * 1000)}"
        self._tracer: subprocess.Popen[Any] = self.world.helper(tracing(process.pid, what))
        until = time.monotonic() + ATTACH_S
        while not _traced(process.pid) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        return f"syncs of {number}: {what}"

    def stop(self) -> None:
        """Let go of it; a daemon that hangs in a slow sync is let go of when that is over."""
        self._tracer.send_signal(signal.SIGTERM)
        try:
            self._tracer.wait(10)
        except subprocess.TimeoutExpired:
            self._tracer.kill()
            self._tracer.wait()


class SyncFailsLeader(_Strace):
    """Each fsync of the leader fails with EIO."""

    name, says, what = "fsync_eio_leader", "a leader whose sync failed acknowledges nothing more", "error=EIO"


class SyncFailsFollower(_Strace):
    """Each fsync of a follower fails with EIO."""

    name, says, what = "fsync_eio_follower", "a follower whose sync failed promises nothing more", "error=EIO"
    leads = False


class SyncFailsOnce(_Strace):
    """One fsync of the leader fails with EIO, the next ones succeed: the pages are gone all the same."""

    name, says, what = "fsync_eio_once", "a sync that fails once is never tried again", "error=EIO:when=3"


class SlowSyncLeader(_Strace):
    """Each fsync of the leader takes one and a half leases."""

    name, says, hold_s = "fsync_slow_leader", "a leader whose disk hangs looks dead to the others, and is replaced", 4.0
    delay_leases = 1.5


class SlowSyncFollower(_Strace):
    """Each fsync of a follower takes 0.4 leases."""

    name, says, leads = "fsync_slow_follower", "one slow disk does not slow the others", False
    delay_leases = 0.4


class FileLimitLeader(_Disk):
    """No file of the leader may grow."""

    name, says, needs = "write_refused_leader", "a leader that cannot write stops and promises nothing", (PRLIMIT,)

    def start(self) -> str:
        """See the class."""
        number = self.victim()
        with contextlib.suppress(ProcessLookupError):
            pid = self.world.processes[number].pid
            self._limit(pid, 4096)
        return f"writes of {number}"

    def _limit(self, pid: int, size: int) -> None:
        hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))

    def stop(self) -> None:
        """A daemon that has not written since may go on."""
        process = self.world.processes[self.hurt]
        if process.poll() is None:
            with contextlib.suppress(OSError):
                self._limit(process.pid, resource.RLIM_INFINITY)


class FileLimitFollower(FileLimitLeader):
    """No file of a follower may grow."""

    name, says, leads = "write_refused_follower", "a follower that cannot write stops, and catches up later", False


def _traced(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/status") as file:
            return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in file)
    except OSError:
        return False
