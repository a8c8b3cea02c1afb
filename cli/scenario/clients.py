"""The clients of a round: those who write steadily and ``hfzmq client``, as processes, each with a history of its own.

Touches processes (through Processes) and one folder. Must not know: peers, faults. Keeps: each client's history is a
file that the client writes itself; a client that ends though nobody ended it is noticed at once.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

from hfzmq.cli.processes import Processes
from hfzmq.cli.scenario.account import History
from hfzmq.cli.scenario.acks import Acks
from hfzmq.cli.scenario.probe import Probe
from hfzmq.cli.scenario.writer import LAST_ACK_WITHIN_S, Sessions
from hfzmq.config import Config

BEDSIDE_PATIENTS, BEDSIDE_INTERVAL_S, BEDSIDE_SEED = "4", "0.25", "8"
WRITER_ENDS_WITHIN_S = LAST_ACK_WITHIN_S + 5.0
BEDSIDE_ENDS_WITHIN_S = 10.0


class Clients:
    """See the module. ``acks`` follows all their histories."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        self.acks = Acks()
        self.histories: list[History] = []
        self._folder = folder
        self._processes = processes
        self._running: dict[str, float] = {}  # name: how long its orderly end may take

    def write(self, name: str, sessions: Sessions, config_path: str, steady: bool) -> None:
        """Start a process that writes; its history is ``<name>.jsonl``. ``steady``: its silences count."""
        history = History(self._folder / f"{name}.jsonl")
        words = ("--name", sessions.name, "--sessions", str(sessions.number), "--batch", str(sessions.batch))
        self._processes.start(
            name,
            *("scenario", "write", "--config", config_path, "--queue", str(self._folder / "queues")),
            *(*words, "--interval", str(sessions.interval_s)),
            output=history.path,
        )
        self._follow(name, history, steady, WRITER_ENDS_WITHIN_S)

    def bedside(self, name: str, config_path: str) -> None:
        """Start ``hfzmq client`` with simulated patients."""
        history = History(self._folder / f"{name}.jsonl", bedside=True)
        self._processes.start(
            name,
            *("client", "--patients", BEDSIDE_PATIENTS, "--config", config_path, "--headless", "-o", "jsonl"),
            *("--interval", BEDSIDE_INTERVAL_S, "--seed", BEDSIDE_SEED, "--client-id", name),
            *("--queue", str(self._folder / "queues" / name)),
            output=history.path,
        )
        self._follow(name, history, False, BEDSIDE_ENDS_WITHIN_S)

    def probe(self, name: str, config: Config) -> Probe:
        """A client in this process that asks one peer of one's choice."""
        history = History(self._folder / f"{name}.jsonl")
        self.histories.append(history)
        self.acks.add(name, history.path, steady=False)
        return Probe(config, name, history.path)

    def ended_by_itself(self) -> str:
        """The name of one that is gone, with its last words; '' when all run. Each is told once."""
        for name in list(self._running):
            if not self._processes.alive(name):
                del self._running[name]
                return f"{name} ended by itself: {self._processes.last_words(name) or 'it said nothing'}"
        return ""

    def end(self, turn: Callable[[], None]) -> list[str]:
        """Ask all to end and wait for their last acknowledgements, calling ``turn`` meanwhile; what went wrong."""
        self.acks.end(time.monotonic_ns() // 1_000_000)
        names, self._running = self._running, {}
        for name in names:
            self._processes.signal(name, signal.SIGTERM)
        until = time.monotonic() + max(names.values(), default=0.0)
        while time.monotonic() < until and any(map(self._processes.alive, names)):
            turn()
        problems = []
        for name in names:
            code = self._processes.exit_code(name)
            if code is None:
                self._processes.kill(name)
                problems.append(f"{name} did not end when asked to")
            elif code:
                words = self._processes.last_words(name) or "it said nothing"
                problems.append(f"{name} ended with exit code {code}: {words}")
        return problems

    def _follow(self, name: str, history: History, steady: bool, ends_within_s: float) -> None:
        self._running[name] = ends_within_s
        self.histories.append(history)
        self.acks.add(name, history.path, steady)
