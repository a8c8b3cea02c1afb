"""The mesh that is hurt: daemons in their namespaces or on the loopback, their links, their disks, their clocks.

Touches processes, the network, mounts. Must not know: which fault is on, what clients do. Keeps: ``close`` ends every
daemon and takes away every namespace and mount, whatever happened; a daemon never outlives this process.

    namespaces: peer N listens on 10.x.y.N     loopback: on 127.0.0.1, ports of its own
    links:      what a peer connects to is a relay (proxy.py); ``direct`` leaves them out
    disks:      folder/N; for some of them a small tmpfs of its own, where this machine can
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hfzmq import config as configuration
from hfzmq.cli.processes import free_addresses
from hfzmq.cli.throwaway import with_throwaway_keys
from hfzmq.clinical.alarm.rules import DAY_MS
from hfzmq.config import Config, Limits, PeerAddress, RuleSetting, Timing
from tests.nemesis.disks import SmallDisks
from tests.nemesis.launch import BUG_VARIABLE, write_clocks
from tests.nemesis.means import NETNS, TMPFS, available
from tests.nemesis.netns import Network
from tests.nemesis.proxy import LISTENS, TALKS, Proxy
from tests.system.mesh import ROOT, Mesh, wait_for

FILES_MIB = 64  # a peer's database and WAL: so much in a few minutes, and some more
LOG_ENTRIES_KEEP = 200  # few: who was away for seconds needs a snapshot
CONVERGE_S = 60.0
RECOVERED_TRAIL = 200  # entries that a peer may still trail by, when clients are stopped to look
ALARM_RULES = (  # each report is a bed of its own: what comes later of its alarm would keep the log moving for minutes
    RuleSetting("amber_ms", 0, 0),
    RuleSetting("silent_ms", DAY_MS, 0),
    RuleSetting("steps_ms", (0,), 0),
)
RESTART_LEASES = 1.0  # like systemd's RestartSec (1 s): who has ended is started again after so long


class World(Mesh):
    """``peers`` daemons; with ``bug`` planted in each (launch.py). ``net``: a Network, None on the loopback."""

    def __init__(
        self,
        folder: Path,
        peers: int = 5,
        only_loopback: bool = False,
        direct: bool = False,
        bug: str = "",
        files_mib: int = FILES_MIB,
        log_entries_keep: int = LOG_ENTRIES_KEEP,
        timing: Timing | None = None,
    ) -> None:
        self.bug = bug
        self.folder = folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.links = None
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.rates: dict[int, float] = {}
        self.lives: dict[int, int] = {}  # how often a peer's disk was lost
        self.excused: set[int] = set()  # peers that a fault may have ended, until it is over
        self.falls: list[str] = []  # daemons that ended by themselves, and why that is wrong
        self._read_to: dict[int, int] = {}
        self._tended_at = 0.0
        self._helpers: list[subprocess.Popen[Any]] = []
        self.disks = SmallDisks(self.folder, files_mib)
        self.net = Network(range(1, peers + 1)) if not only_loopback and not available()[NETNS] else None
        self.proxy = None if direct else Proxy(self.net)
        try:
            limits = Limits(log_entries_keep=log_entries_keep)
            self._lay_out(peers, timing or Timing(handover_settle_ms=3000), limits)
        except BaseException:
            self.close()
            raise

    def _lay_out(self, peers: int, timing: Timing, limits: Limits) -> None:
        if self.net:
            addresses = tuple(
                PeerAddress(n, self.net.address(n), 7100 + 10 * n, 7101 + 10 * n, 7102 + 10 * n)
                for n in range(1, peers + 1)
            )
        else:
            addresses = free_addresses(peers)
        self.config = Config("nemesis", os.urandom(16), addresses, timing, limits, alarm_rules=ALARM_RULES)
        self.path = self.folder / "peers.yaml"
        if not self.proxy:  # no relay, which would double and hold back messages that CURVE numbers
            self.config = with_throwaway_keys(self.config, self.folder)
        self.path.write_text(configuration.render(self.config))
        for peer in addresses:
            self._links_of(peer.id).write_text(json.dumps(self._relays_of(peer.id), indent=1))
            write_clocks(self.clocks(peer.id))
        if not available()[TMPFS]:
            for number in {1, 2, peers}:
                self.disks.add(number)
        if self.proxy:
            self.proxy.start()

    def _relays_of(self, me: int) -> dict[str, str]:
        """What a peer connects to -> the relay that it is led to instead."""
        relays: dict[str, str] = {}
        for peer in self.config.peers:
            if self.proxy and peer.id != me:
                for port, voice in ((peer.peer_port, TALKS), (peer.beat_port, LISTENS)):
                    relay = self.proxy.add(me, peer.id, (peer.host, port), voice)
                    relays[f"tcp://{peer.host}:{port}"] = f"tcp://127.0.0.1:{relay}"
        return relays

    # ------------------------------------------------------------ life

    def __enter__(self) -> World:
        try:
            for number in self.config.peer_ids:
                self.start(number)
            self.wait_for_leader(within_s=CONVERGE_S)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *about: object) -> None:
        self.close()

    def close(self) -> None:
        """End and remove everything; twice is harmless."""
        for process in [*self._helpers, *self.processes.values()]:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
        if self.proxy:
            self.proxy.close()
        self.disks.close()
        if self.net:
            self.net.close()

    # ------------------------------------------------------------ peers

    @property
    def restart_s(self) -> float:
        """How long after its end a daemon is started again."""
        return RESTART_LEASES * self.config.timing.lease_ms / 1000

    @property
    def peers(self) -> list[int]:
        """All ids, rising."""
        return list(self.config.peer_ids)

    def clocks(self, number: int) -> Path:
        """Where a daemon's wrong clocks are kept."""
        return self.folder / f"{number}.clocks"

    def _links_of(self, number: int) -> Path:
        return self.folder / f"{number}.links.json"

    def start(self, number: int, *options: str) -> None:
        """Start a peer; its words go to ``<number>.log``."""
        if self.runs(number):
            return
        write_clocks(self.clocks(number), rate=self.rates.get(number, 1.0))
        words: list[object] = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        words += self.net.command(number) if self.net else []
        words += [sys.executable, "-m", "tests.nemesis.launch", self._links_of(number), self.clocks(number)]
        words += ["serve", "--id", number, "--config", self.path, "--data-dir", self.folder / str(number), *options]
        environment = {**os.environ, BUG_VARIABLE: self.bug}
        with (self.folder / f"{number}.log").open("ab") as log:
            self.processes[number] = subprocess.Popen(
                [*map(str, words)], cwd=ROOT, stdout=log, stderr=log, env=environment
            )

    def runs(self, number: int) -> bool:
        """Whether a peer's process lives."""
        process = self.processes.get(number)
        return process is not None and process.poll() is None

    def stop(self, number: int, how: signal.Signals = signal.SIGKILL, within_s: float = 10.0) -> None:
        """Signal a peer and wait for its end (SIGKILL, SIGTERM)."""
        process = self.processes[number]
        process.send_signal(how)
        try:
            process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.falls.append(f"peer {number} did not stop within {within_s:g} s of {how.name}")
            process.kill()
            process.wait()

    def signal(self, number: int, what: signal.Signals) -> None:
        """SIGSTOP, SIGCONT."""
        if self.runs(number):
            self.processes[number].send_signal(what)

    def wipe(self, number: int) -> None:
        """A stopped peer's disk is lost."""
        self.lives[number] = self.lives.get(number, 0) + 1
        for path in (self.folder / str(number)).iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def helper(self, words: list[str]) -> subprocess.Popen[Any]:
        """Run something beside the daemons, to be ended with the world."""
        log = (self.folder / "helpers.log").open("ab")
        with log:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._helpers.append(process)
        return process

    def tend(self) -> None:
        """What systemd does: start those who have ended; who ended without excuse is remembered."""
        for number in self.peers:
            if not self.runs(number):
                self._note_fall(number)
                self.start(number)

    def note_falls(self) -> None:
        """Look for daemons that ended although no fault excuses it."""
        for number in set(self.peers) - self.excused:
            if not self.runs(number):
                self._note_fall(number)

    def note_tracebacks(self) -> None:
        """No daemon ever shows one, whether or not it goes on."""
        for number in self.peers:
            words = self._new_words(number)
            if "Traceback" in words:
                self.falls.append(f"peer {number} shows a traceback: {words[words.index('Traceback') :][:600]}")

    def _note_fall(self, number: int) -> None:
        process = self.processes[number]
        code, words = process.poll(), self._new_words(number)
        if "Traceback" in words or code in (-signal.SIGABRT, -signal.SIGSEGV):
            self.falls.append(f"peer {number} crashed with {code}: {words.strip()[-600:]}")
        elif number not in self.excused and code is not None:
            self.falls.append(f"peer {number} ended with {code} unasked: {words.strip()[-300:]}")
        self.excused.add(number)  # told once

    def _new_words(self, number: int) -> str:
        words = self.log(number)
        new = words[self._read_to.get(number, 0) :]
        self._read_to[number] = len(words)
        return new

    # ------------------------------------------------------------ healing

    def recover(self, within_s: float = CONVERGE_S) -> None:
        """Until every peer is up and nearly level, and one of them serves. AssertionError."""
        wait_for("all peers up, one leader", lambda: self._well(self._tended(), trail_max=RECOVERED_TRAIL), within_s)

    def converge(self, within_s: float = CONVERGE_S) -> None:
        """Until one leader serves, every peer is up and all have applied the same. AssertionError."""
        wait_for("equal state everywhere, one leader", lambda: self._well(self._tended(), trail_max=0), within_s)
        self.excused.clear()

    def _tended(self) -> dict[int, dict[str, Any]]:
        if time.monotonic() - self._tended_at > self.restart_s:
            self._tended_at = time.monotonic()
            self.tend()
        return self.status()

    def _well(self, peers: dict[int, dict[str, Any]], trail_max: int) -> bool:
        applied = [peer["applied_index"] for peer in peers.values()]
        return (
            len(peers) == len(self.peers)
            and sum(peer["serves"] for peer in peers.values()) == 1
            and max(peer["last_index"] for peer in peers.values()) - min(applied) <= trail_max
            and (trail_max > 0 or len({peer["state_hash"] for peer in peers.values()}) == 1)
        )

    def others(self, *without: int) -> list[int]:
        """All ids but these."""
        return [number for number in self.peers if number not in without]

    def ways(self, sources: Iterable[int], targets: Iterable[int]) -> list[tuple[int, int]]:
        """Every (from, to) between two groups."""
        targets = list(targets)
        return [(source, target) for source in sources for target in targets if source != target]
