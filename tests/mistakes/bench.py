"""Where a mistake is made: a folder with a mesh of three in a peers.yaml and its keys, and ``hfzmq`` run in it.

What is said is told without what differs from one run to the next: the ports are those of ``hfzmq config init``,
numbers of processes, meshes' ids, times and the like have names (``PID``, ``MESH_ID``).
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from hfzmq.cli.config_commands import DEFAULT_BASE_PORT, PORTS_APART
from hfzmq.cli.processes import free_addresses
from hfzmq.cli.throwaway import with_throwaway_keys
from hfzmq.config import Config, PeerAddress, load, render
from hfzmq.storage import Store
from tests.provenance import ROOT
from tests.system.mesh import wait_for
from tests.unit.cli_world import run

PROCESS_S = 60.0
DAEMON_S = 60.0
FILES = ("peers.yaml", "keys")

_PLACEHOLDERS = (
    (r"\b[0-9a-f]{64}\b", "SHA256"),
    (r"\b[0-9a-f]{32}\b", "MESH_ID"),
    (r"\bpid \d+", "pid PID"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*", "TIME"),
    (r"holds entry \d+ of it, the backup ends with \d+", "holds entry N of it, the backup ends with N"),
    (r"peer \d wants a key", "peer N wants a key"),
    (r"from peer \d, which leads", "from peer N, which leads"),
    (r"give or take \d+ ms", "give or take N ms"),
    (r"^\d\d:\d\d:\d\d ", "HH:MM:SS "),
    (r"[0-9a-zA-Z.:+=^!/*?&<>()\[\]{}@%$#-]{40}(?![0-9a-zA-Z])", "KEY"),
)


class Said(NamedTuple):
    """What a command line did."""

    code: int
    out: str
    err: str


class Made(NamedTuple):
    """A mistake that was made: what was typed, and what came of it."""

    typed: str
    said: Said


@functools.cache
def addresses() -> tuple[PeerAddress, ...]:
    """Ports where nobody listens, held by this process."""
    return free_addresses(4)


def found_ward(folder: Path) -> None:
    """Write the peers.yaml of a mesh of three, and its keys."""
    config = Config("ward", os.urandom(16), addresses()[:3])
    config = with_throwaway_keys(config, folder, range(1, 5))
    assert config.keys is not None
    listed = config.keys._replace(peers=config.keys.peers[:3])
    (folder / "peers.yaml").write_text(render(config._replace(keys=listed)))


class Bench:
    """``folder``: where everything happens; the ``typed`` line of the last ``hfzmq`` is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment: dict[str, str] = {}
        self._daemons: list[subprocess.Popen[str]] = []

    @property
    def file(self) -> Path:
        """peers.yaml."""
        return self.folder / "peers.yaml"

    @property
    def config(self) -> Config:
        """What it says."""
        return load(self.file)

    def edit(self, old: str, new: str) -> None:
        """Change peers.yaml; the first ``old`` (a pattern) that it has."""
        text, count = re.subn(old, new, self.file.read_text(), count=1, flags=re.MULTILINE)
        assert count == 1, f"{old} is not in peers.yaml"
        self.file.write_text(text)

    def write(self, name: str, text: str) -> None:
        """A file in the folder."""
        (self.folder / name).write_text(text)

    def store(self, peer: int, name: str = "data") -> Path:
        """Found the file of a peer in a data directory; where it is."""
        Store.open(self.folder / name, peer, self.config).close()
        return self.folder / name / f"hfzmq_{peer}.db"

    # ------------------------------------------------------------ running it

    def hfzmq(self, *words: object) -> Made:
        """In this process: what needs no daemon of its own."""
        line = [str(word) for word in words]
        with _standing_in(self.folder), mock.patch.dict(os.environ, self._environ(), clear=True):
            done = run(*line)
        return self._made(line, Said(*done))

    def process(
        self, *words: object, stdin: str = "", before: Callable[[], None] | None = None, within: tuple[str, ...] = ()
    ) -> Made:
        """In a process of its own; ``before`` is called in it, to take something from it; ``within``: the words of a
        program that runs it."""
        line = [str(word) for word in words]
        done = subprocess.run(
            [*within, sys.executable, "-m", "hfzmq", *line],
            cwd=self.folder, env=self._environ(), input=stdin, capture_output=True, text=True,
            timeout=PROCESS_S, check=False, preexec_fn=before,
        )  # fmt: skip
        return self._made(line, Said(done.returncode, done.stdout, done.stderr))

    def serve(self, *words: object, within: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """A daemon (``within`` as with ``process``); returned when it serves. It is ended with the bench."""
        line = ["serve", *map(str, words)]
        log = self.folder / f"daemon{len(self._daemons)}.log"
        with log.open("w") as file:
            daemon = subprocess.Popen(
                [*within, sys.executable, "-m", "hfzmq", *line],
                cwd=self.folder, env=self._environ(), stdout=file, stderr=file, text=True,
            )  # fmt: skip
        self._daemons.append(daemon)
        wait_for(log.read_text, lambda: "ready: peer" in log.read_text() or daemon.poll() is not None, DAEMON_S)
        assert daemon.poll() is None, log.read_text()
        return daemon

    def ended(self, daemon: subprocess.Popen[str], *words: object) -> Made:
        """What a daemon (started with ``words``) said at its end, which is waited for; its log is left out."""
        code = daemon.wait(DAEMON_S)
        text = (self.folder / f"daemon{self._daemons.index(daemon)}.log").read_text()
        last = text[text.index("error: ") :] if "error: " in text else text
        return self._made(["serve", *map(str, words)], Said(code, "", last))

    def close(self) -> None:
        """End the daemons."""
        for daemon in self._daemons:
            if daemon.poll() is None:
                daemon.send_signal(signal.SIGKILL)
            daemon.wait()

    def _environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TMPDIR")}
        home = {"HOME": str(self.folder), "XDG_STATE_HOME": str(self.folder / "state"), "USER": "op", "LOGNAME": "op"}
        return {**kept, **home, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **self.environment}

    # ------------------------------------------------------------ telling it

    def _made(self, line: list[str], said: Said) -> Made:
        typed = " ".join(["hfzmq", *(f"'{word}'" if re.search(r"[ ;*]", word) or not word else word for word in line)])
        return Made(self.told(typed), Said(said.code, self.told(said.out), self.told(said.err)))

    def told(self, text: str) -> str:
        """``text`` without what differs from run to run."""
        for number, peer in enumerate(addresses()):
            for place, port in enumerate(peer[2:]):
                text = text.replace(str(port), str(DEFAULT_BASE_PORT + PORTS_APART * number + place))
        text = text.replace(str(self.folder) + "/", "/home/op/").replace(str(self.folder), "/home/op")
        for pattern, name in _PLACEHOLDERS:
            text = re.sub(pattern, name, text, flags=re.MULTILINE)
        return text


def few_files(limit: int) -> Callable[[], None]:
    """For ``Bench.process``: it may open no more files."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def small_files(limit_bytes: int) -> Callable[[], None]:
    """For ``Bench.process``: no file may grow larger, as where a quota is used up."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))


def without_rights() -> tuple[str, ...]:
    """For ``Bench.process``: root may do what every user may, and no more."""
    taken = "-dac_override,-dac_read_search"
    return ("setpriv", "--inh-caps", taken, "--bounding-set", taken) if os.getuid() == 0 else ()


@functools.cache
def rights_stay() -> str:
    """Why ``without_rights`` cannot be had here."""
    if os.getuid() != 0:
        return ""
    if not shutil.which("setpriv"):
        return "root may do everything, and there is no setpriv"
    trial = subprocess.run([*without_rights(), "true"], capture_output=True, check=False)
    return "root's rights cannot be taken from it here" * (trial.returncode != 0)


def copy_ward(ward: Path, folder: Path) -> None:
    """The files of a mesh, for somebody to spoil."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if (ward / name).is_dir():
            shutil.copytree(ward / name, folder / name)
        else:
            shutil.copy(ward / name, folder / name)


@contextlib.contextmanager
def _standing_in(folder: Path) -> Iterator[None]:
    before, stdin = Path.cwd(), sys.stdin
    os.chdir(folder)
    sys.stdin = io.StringIO("")
    try:
        yield
    finally:
        sys.stdin = stdin
        os.chdir(before)
