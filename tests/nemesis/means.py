"""Which means this machine has to hurt a mesh: found by trying, never assumed.

Touches the system: makes and removes a network namespace, a small tmpfs, a traced child. Must not know: faults, peers.
Keeps: ``available`` never raises and leaves nothing behind; what is missing comes with the reason, for people.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

NETNS, TMPFS, STRACE, PRLIMIT = "netns", "tmpfs", "strace", "prlimit"
REJOIN, PEER_COMMAND = "rejoin", "peer command"
TRY_S = 10

# A child that syncs until it fails: 7 when it saw the injected error.
_SYNCS = """
import os, sys, tempfile, time
with tempfile.TemporaryFile() as file:
    print(flush=True)
    until = time.monotonic() + 8
    while time.monotonic() < until:
        try:
            os.fdatasync(file.fileno())
        except OSError:
            sys.exit(7)
        time.sleep(0.01)
"""


@cache
def available() -> dict[str, str]:
    """Each means -> '' where this machine has it, else why not."""
    return {name: _why_not(probe) for name, probe in _PROBES.items()}


def missing(needs: tuple[str, ...]) -> str:
    """Why not all of ``needs`` are there; '' when they are."""
    found = available()
    return "; ".join(f"{name}: {found[name]}" for name in needs if found[name])


def run(*words: object) -> None:
    """Run a tool of the system; OSError with its own words when it fails."""
    done = subprocess.run(
        [*map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TRY_S, check=False
    )
    if done.returncode:
        raise OSError(f"{' '.join(map(str, words))}: {(done.stderr or done.stdout).strip() or done.returncode}")


# ------------------------------------------------------------ probes: each raises where it fails


def _netns() -> None:
    _needs_root()
    _needs_tool("ip")
    name = f"hzt{os.getpid()}"
    with _undone("ip", "netns", "delete", name):
        run("ip", "netns", "add", name)
        run("ip", "netns", "exec", name, "true")
        with _undone("ip", "link", "delete", name):
            run("ip", "link", "add", name, "type", "bridge")
            run("ip", "link", "add", f"{name}v", "type", "veth", "peer", "name", "eth0", "netns", name)
            run("ip", "link", "set", f"{name}v", "master", name)
            run("ip", "-n", name, "route", "add", "blackhole", "192.0.2.1/32")


def _tmpfs() -> None:
    _needs_root()
    _needs_tool("mount")
    with tempfile.TemporaryDirectory() as folder:
        run("mount", "-t", "tmpfs", "-o", "size=64k", "hfzmq-nemesis", folder)
        with _undone("umount", folder):
            try:
                (Path(folder) / "file").write_bytes(bytes(1 << 20))
            except OSError:
                return
            raise OSError("a full tmpfs takes more")


def _strace() -> None:
    _needs_tool("strace")
    child = subprocess.Popen([sys.executable, "-c", _SYNCS], stdout=subprocess.PIPE)
    tracer: subprocess.Popen[str] | None = None
    try:
        assert child.stdout is not None
        child.stdout.readline()
        tracer = subprocess.Popen(tracing(child.pid, "error=EIO"), stderr=subprocess.PIPE, text=True)
        if child.wait(TRY_S) != 7:
            raise OSError("strace injects nothing: " + tracer.communicate(timeout=TRY_S)[1].strip()[-200:])
    finally:
        for process in (child, tracer):
            if process is not None:
                process.kill()
                process.communicate()


def tracing(pid: int, what: str) -> list[str]:
    """The command that injects ``what`` (strace's words) into every sync of a running process; ending it ends that."""
    calls = "fsync,fdatasync,sync_file_range,msync"
    return [
        "strace",
        "-q",
        "-f",
        "-p",
        str(pid),
        "-o",
        os.devnull,
        "-e",
        f"trace={calls}",
        "-e",
        f"inject={calls}:{what}",
    ]


def _prlimit() -> None:
    limit = resource.prlimit(os.getpid(), resource.RLIMIT_FSIZE)
    if limit[0] != resource.RLIM_INFINITY:
        raise OSError("the size of files is limited already")


def _rejoin() -> None:
    if not (Path(__file__).resolve().parents[2] / "hfzmq" / "core" / "membership.py").is_file():
        raise OSError("this hfzmq does not take a wiped peer back yet")


def _peer_command() -> None:
    from hfzmq.cli.main import COMMANDS

    if "peer" not in COMMANDS:
        raise OSError("this hfzmq has no 'hfzmq peer' yet")


_PROBES: dict[str, Callable[[], None]] = {
    NETNS: _netns,
    TMPFS: _tmpfs,
    STRACE: _strace,
    PRLIMIT: _prlimit,
    REJOIN: _rejoin,
    PEER_COMMAND: _peer_command,
}


# ------------------------------------------------------------ parts


def _why_not(probe: Callable[[], None]) -> str:
    try:
        probe()
    except Exception as error:  # whatever it is, this machine cannot do it
        return " ".join(str(error).split()) or type(error).__name__
    return ""


def _needs_root() -> None:
    if os.geteuid():
        raise OSError("not root")


def _needs_tool(name: str) -> None:
    if shutil.which(name) is None:
        raise OSError(f"no {name} here")


@contextlib.contextmanager
def _undone(*words: object) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            run(*words)
