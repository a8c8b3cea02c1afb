"""Child processes of a demo or a scenario: daemons and clients on this machine, and none of them stays behind.

Touches processes, ports of 127.0.0.1, one directory. Must not know: stories, screens. Keeps: every child dies with
this process, however it ends (Linux: the kernel sees to it; elsewhere: atexit); what a child says goes to a log file;
ctrl-c reaches this process only, so that it can end the children in order; ports that one process has chosen here are
chosen by no other while it lives, also before a daemon listens there and while it is down.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import IO

from hfzmq.config import Config, PeerAddress
from hfzmq.errors import HfzmqError

PR_SET_PDEATHSIG = 1
PORT_LOW = 10_000
PORTS_A_BLOCK = 30  # ten peers
TERMINATED_WITHIN_S = 6.0
TRIES = 200


class Processes:
    """Children by name. ``directory`` takes their logs. Start them from the main thread: on Linux a child dies with the
    *thread* that made it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._before_exec = _die_with_parent()
        atexit.register(self.kill_all)

    def start(
        self, name: str, *arguments: str, piped: bool = False, output: Path | None = None, module: str = "hfzmq"
    ) -> subprocess.Popen[bytes]:
        """Run ``hfzmq`` (or another ``module``) with ``arguments``; its log is ``name.log``, its stdout too unless it
        is ``piped`` or goes to the end of the file ``output``."""
        with contextlib.ExitStack() as files:
            log = files.enter_context((self.directory / f"{name}.log").open("ab"))
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else files.enter_context(output.open("ab")) if output else log,
                stderr=log,
                start_new_session=True,
                preexec_fn=self._before_exec,
            )
        self._running[name] = process
        return process

    def alive(self, name: str) -> bool:
        """Whether it runs."""
        process = self._running.get(name)
        return process is not None and process.poll() is None

    def pid(self, name: str) -> int:
        """Of one that was started."""
        return self._running[name].pid

    def exit_code(self, name: str) -> int | None:
        """How it ended (negative: by which signal); None while it runs, or when it never did."""
        process = self._running.get(name)
        return None if process is None else process.poll()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self.alive(name):
            self._running[name].send_signal(number)

    def kill(self, name: str) -> None:
        """End it at once, as a power cut would (SIGKILL), and collect it."""
        process = self._running[name]
        process.kill()
        process.wait()

    def terminate(self, *names: str, within_s: float = TERMINATED_WITHIN_S) -> list[str]:
        """Ask all of ``names`` to end (SIGTERM), kill what does not; the names that had to be killed."""
        for name in names:
            if self.alive(name):
                self._running[name].terminate()
        until = time.monotonic() + within_s
        late = []
        for name in names:
            try:
                self._running[name].wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.kill(name)
                late.append(name)
        return late

    def kill_all(self) -> None:
        """No child is left after this."""
        for process in self._running.values():
            if process.poll() is None:
                process.kill()
        for process in self._running.values():
            process.wait()
            stdout: IO[bytes] | None = process.stdout
            if stdout is not None:
                stdout.close()

    def last_words(self, name: str, lines: int = 3) -> str:
        """The end of its log."""
        try:
            return "\n".join((self.directory / f"{name}.log").read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


def free_addresses(count: int, rng: Random | None = None) -> tuple[PeerAddress, ...]:
    """Addresses of ``count`` peers on 127.0.0.1 with ports that are free now, below those that the kernel gives to
    outgoing connections: a killed peer must find its port free when it comes back. Two demos, or two tests, may choose
    at the same time: the blocks of ports are held until this process ends. HfzmqError when there are none."""
    rng = rng or Random()
    high = _ephemeral_low()
    blocks = -(-3 * count // PORTS_A_BLOCK)
    for turn in range(TRIES):
        base = PORT_LOW + PORTS_A_BLOCK * rng.randrange((high - PORT_LOW) // PORTS_A_BLOCK - blocks + 1)
        held = _hold(base + PORTS_A_BLOCK * n for n in range(blocks))
        ports = [base + n for n in range(3 * count)]
        if (held or turn >= TRIES // 2) and all(map(_is_free, ports)):  # where all are held, free ones must do
            return tuple(PeerAddress(n + 1, "127.0.0.1", *ports[3 * n : 3 * n + 3]) for n in range(count))
        for descriptor in held:
            os.close(descriptor)
    raise HfzmqError("no free ports on 127.0.0.1", hint=f"between {PORT_LOW} and {high}")


def serve_arguments(config: Config, peer_id: int, directory: Path) -> tuple[str, ...]:
    """What starts one daemon."""
    place = str(directory / f"peer-{peer_id}")
    return ("serve", "--id", str(peer_id), "--config", config.path, "--data-dir", place, "--log-format", "human")


def _hold(ports: Iterable[int]) -> list[int]:
    """Descriptors that keep others from holding ``ports``, as long as they are open; none where somebody does already.

    UDP, so that a daemon can listen there (TCP); the kernel lets go of them when this process ends, however it does."""
    held: list[int] = []
    for port in ports:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
            try:
                holder.bind(("127.0.0.1", port))
            except OSError:
                for descriptor in held:
                    os.close(descriptor)
                return []
            held.append(holder.detach())
    return held


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _ephemeral_low() -> int:
    try:
        return max(PORT_LOW + 1000, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]))
    except (OSError, ValueError, IndexError):
        return 32_768


def _die_with_parent() -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here: after a fork only what is already loaded may be used
    parent = os.getpid()

    def before_exec() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel knew of the wish
            os._exit(1)

    return before_exec
