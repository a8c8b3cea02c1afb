"""The data directory: how fast it syncs and whether that can be true, where it lies, how full it is, what lies in it.

Touches the data directory (it writes one small file of its own and removes it), /proc and /sys. Must not know: the
mesh. Keeps: a peer's files are only read.
"""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hfzmq.cli.doctor import database
from hfzmq.cli.doctor.findings import CRITICAL, NOTE, OK, WARNING, Finding

SYNCS = 50
BLOCK_BYTES = 4096
IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs", "hugetlbfs")
LAYERED = ("overlay", "aufs")
FAR = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "fuse.sshfs", "fuse.glusterfs", "virtiofs")
TOO_QUICK_MS = 0.015  # no device of any kind has it on stable storage by then
TURNS_MS = 1.5  # nor a disk that turns by then: one turn takes 8 ms at 7,200 a minute
GIB = 1 << 30
FREE_WARNING_BYTES, FREE_CRITICAL_BYTES = GIB, 200 << 20
INODES_WARNING = 1000


class Mount(NamedTuple):
    """Where a path lies: the file system's ``kind``, its ``device`` as 'major:minor', and where it is mounted."""

    kind: str
    device: str
    point: str


class Speed(NamedTuple):
    """Of SYNCS syncs of one block each, ms."""

    p50_ms: float
    p99_ms: float


def look(data_dir: Path, lease_ms: int) -> Iterator[Finding]:
    """The directory and what lies in it. ``lease_ms``: of the mesh; a sync that takes as long deposes a leader."""
    if not data_dir.is_dir():
        yield Finding(
            WARNING, "directory", f"{data_dir}: no such directory", "there is nothing to look at", f"ls -ld {data_dir}"
        )
        return
    mount = mount_of(data_dir, _read("/proc/self/mountinfo"))
    try:
        speed = measure(data_dir)
    except OSError as error:
        user = os.environ.get("USER", "the daemon's user")
        yield Finding(
            CRITICAL,
            "directory",
            f"{data_dir}: cannot be written to: {error.strerror}",
            f"the daemon writes here; this is {user}",
            f"ls -ld {data_dir}; df {data_dir}; mount | grep {mount.point if mount else data_dir}",
        )
    else:
        yield from judge_speed(data_dir, speed, mount, mount is not None and _turns(mount), lease_ms)
    yield from space(data_dir, os.statvfs(data_dir))
    yield from contents(data_dir)


def measure(data_dir: Path, count: int = SYNCS) -> Speed:
    """Write a block and sync it, so many times, in a file that is removed again. OSError."""
    descriptor, name = tempfile.mkstemp(prefix=".hfzmq-doctor-", dir=data_dir)
    times: list[float] = []
    try:
        block = os.urandom(BLOCK_BYTES)
        for number in range(count + 1):
            began = time.perf_counter()
            os.pwrite(descriptor, block, number * BLOCK_BYTES)
            os.fsync(descriptor)
            times.append((time.perf_counter() - began) * 1000)
    finally:
        os.close(descriptor)
        os.unlink(name)
    ordered = sorted(times[1:])  # the first one also makes the file
    return Speed(ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))])


def mount_of(path: Path, mountinfo: str) -> Mount | None:
    """The file system that ``path`` lies on; None where the system does not tell."""
    best: Mount | None = None
    where = str(path.resolve())
    for line in mountinfo.splitlines():
        head, _, tail = line.partition(" - ")
        fields, kind = head.split(), tail.split()
        if len(fields) < 5 or not kind:
            continue
        point = fields[4].replace("\\040", " ")
        inside = point == "/" or where == point or where.startswith(point + "/")
        if inside and (best is None or len(point) >= len(best.point)):
            best = Mount(kind[0], fields[2], point)
    return best


def _turns(mount: Mount) -> bool:
    """Whether the device says that it is a disk that turns; a virtual one says so of anything."""
    if "hypervisor" in _read("/proc/cpuinfo"):
        return False
    home = Path(f"/sys/dev/block/{mount.device}").resolve()  # a partition's queue is its disk's
    return any(_read(str(one / "queue" / "rotational")).strip() == "1" for one in (home, home.parent))


def judge_speed(data_dir: Path, speed: Speed, mount: Mount | None, turns: bool, lease_ms: int) -> Iterator[Finding]:
    """What the speed and the place of the directory say. ``turns``: the device says that it is a disk that turns."""
    kind = mount.kind if mount else "an unknown file system"
    told = f"{SYNCS} syncs in {data_dir} ({kind}): p50 {speed.p50_ms:.2f} ms, p99 {speed.p99_ms:.2f} ms"
    here = f"df -T {data_dir}"
    if kind in IN_MEMORY:
        yield Finding(CRITICAL, "fsync", told, "this is memory: with the power all of it is gone", _elsewhere(here))
    elif kind in FAR:
        yield Finding(CRITICAL, "fsync", told, "SQLite's WAL needs a local disk, no network share", _elsewhere(here))
    elif speed.p50_ms < TOO_QUICK_MS or (turns and speed.p50_ms < TURNS_MS):
        device = "a disk that turns" if turns else "any device"
        why = f"too quick for {device}: something says that it has synced and has not; a power cut can lose reports"
        yield Finding(WARNING, "fsync", told, why, f"lsblk -D -o NAME,ROTA,MODEL; hdparm -W /dev/DISK; {here}")
    elif speed.p99_ms > lease_ms / 4:
        why = f"a leader whose disk syncs nothing for {lease_ms} ms gives the lead up; reports wait for each sync"
        yield Finding(WARNING, "fsync", told, why, "iostat -x 1 5; another --data-dir, on a disk with less to do")
    else:
        yield Finding(OK, "fsync", told)
    if kind in LAYERED:
        why = "this is a container's own layer: it goes with the container"
        yield Finding(
            WARNING, "directory", f"{data_dir} lies on {kind}", why, "mount a volume there: -v /srv/hfzmq:DIR"
        )


def _elsewhere(here: str) -> str:
    return f"{here}; another --data-dir, on a local disk: the peer is brought up by the others"


def space(data_dir: Path, found: os.statvfs_result) -> Iterator[Finding]:
    """How much room is left."""
    free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    unit, name = (GIB, "GiB") if free >= GIB else (1 << 20, "MiB")
    told = f"{data_dir}: {free / unit:,.1f} of {total / unit:,.1f} {name} free"
    why = "a peer whose disk is full stops; a snapshot needs room for the database once more"
    do = f"df -h {data_dir}; du -sh {data_dir}/*"
    if free < FREE_CRITICAL_BYTES:
        yield Finding(CRITICAL, "space", told, why, do)
    elif free < FREE_WARNING_BYTES:
        yield Finding(WARNING, "space", told, why, do)
    else:
        yield Finding(OK, "space", told)
    if found.f_files and found.f_favail < INODES_WARNING:
        yield Finding(
            WARNING, "space", f"{data_dir}: {found.f_favail} files more can be made", why, f"df -i {data_dir}"
        )


def contents(data_dir: Path) -> Iterator[Finding]:
    """A peer's files, what was set aside, what was left behind, and who may read them."""
    databases = sorted(data_dir.glob("hfzmq_*.db"))
    if not databases:
        yield Finding(NOTE, "files", f"{data_dir} holds no peer's file", "a first start makes it")
    for path in databases:
        yield from database.look(path)
    if len(databases) > 1:
        names = ", ".join(path.name for path in databases)
        why = "one directory belongs to one peer; two volumes mounted the wrong way round look so, too"
        do = (
            "hfzmq status; which of these peers belongs here? stop it, and bring the other files to their own peer's "
            "directory, with it stopped: they may be the only good ones that it has; remove none"
        )
        yield Finding(WARNING, "files", f"{data_dir} holds {names}", why, do)
    for one in sorted(data_dir.glob("aside-*")):
        why = "damaged once: " + (_read(str(one / "why.txt")).strip() or "the reason is not there")
        yield Finding(
            WARNING, "aside", f"{one}: damaged files", why, f"look at the disk (dmesg, smartctl -a), then: rm -r {one}"
        )
    yield from _modes(data_dir, databases)


def _modes(data_dir: Path, databases: Sequence[Path]) -> Iterator[Finding]:
    closed = not stat.S_IMODE(data_dir.stat().st_mode) & 0o007  # then nobody else gets at what is in it
    for path in (data_dir, *databases):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o007 and not closed:
            right = "700" if path is data_dir else "600"
            why = "patients' data: others on this machine may look at it"
            yield Finding(WARNING, "modes", f"{path} has mode {mode:o}", why, f"chmod {right} {path}")
        if path.stat().st_uid != data_dir.stat().st_uid:
            owner = data_dir.stat().st_uid
            why = "the daemon's user must own its files"
            yield Finding(WARNING, "modes", f"{path} belongs to another user", why, f"chown {owner} {path}")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
