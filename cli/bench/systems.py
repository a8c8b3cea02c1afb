"""What is measured: a mesh of daemons, or the sketch's three processes, each with disks of its own in one folder.

Touches processes (through Stage and Processes), one folder. Must not know: loads, figures. Keeps: both are started anew
for each measurement and leave no process behind; reports are read from the files, after the processes have ended.
"""

from __future__ import annotations

import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from hfzmq.cli.bench.proc import size
from hfzmq.cli.bench.readback import Acked, all_equal, read_back
from hfzmq.cli.bench.reports import Writer
from hfzmq.cli.processes import Processes, free_addresses
from hfzmq.cli.scenario.stage import TIMING, Stage
from hfzmq.cli.stored_rows import StoredRows
from hfzmq.client.ask import ask_all
from hfzmq.errors import HfzmqError
from hfzmq.storage import Reader

PEERS = 3
WRITERS = "bench"  # what those of a new system are called
MESH, PLAIN, SKETCH = "hfzmq", "hfzmq plain", "sketch"
SYSTEMS = (MESH, PLAIN, SKETCH)
SKETCH_MODULE, LOAD_MODULE = "hfzmq.cli.bench.sketch", "hfzmq.cli.bench.load"
SKETCH_WITHIN_S = 60.0
LOOK_EVERY_S = 0.05
TERM_TRIES = 15
SELECT_ALL = "SELECT * FROM risk_reports ORDER BY id"


class System(Protocol):
    """See the module. ``name``: what the writers are called; ``processes`` takes the load, too; ``spec``: where the
    load is to go, as Spec's keys."""

    name: str
    processes: Processes
    spec: dict[str, Any]

    def start(self) -> None:
        """Until it takes requests."""

    def leader(self) -> str:
        """The name of the process that leads."""

    def peers(self) -> list[str]:
        """The names of all processes that store."""

    def term(self) -> int:
        """Of whoever leads: it rises with each election."""

    def wal_bytes(self) -> int:
        """Of the largest WAL now."""

    def writes(self, writers: Sequence[Writer]) -> None:
        """These are about to."""

    def settle(self) -> None:
        """Wait until all hold the same, then stop them in order."""

    def read_back(self, ledger: Sequence[Acked]) -> float:
        """After ``settle``: NotKept unless every disk holds what was acknowledged; how many bytes one disk holds."""

    def close(self) -> None:
        """No process of the bench, and no file, is left."""


class MeshSystem:
    """Daemons of hfzmq, as many as ``peers`` says. ``keys``: whether they speak CURVE, as a mesh does unless it is told
    otherwise."""

    def __init__(
        self,
        folder: Path,
        keys: bool,
        tick: Callable[[], None],
        lease_ms: int = TIMING.lease_ms,
        peers: int = PEERS,
    ) -> None:
        folder.mkdir(parents=True)
        timing = TIMING._replace(lease_ms=lease_ms, heartbeat_ms=min(TIMING.heartbeat_ms, lease_ms // 10))
        self._folder = folder
        self.name = WRITERS
        self.stage = Stage(folder, peers, keys=keys, timing=timing, tick=tick)
        self.processes = self.stage.processes
        self.spec = {"config": self.stage.config.path, "port": 0}

    def start(self) -> None:
        """See System."""
        self.stage.begin(steady=False)

    def leader(self) -> str:
        """See System."""
        return f"peer-{self.stage.leader()}"

    def peers(self) -> list[str]:
        """See System."""
        return [f"peer-{peer}" for peer in self.stage.config.peer_ids]

    def term(self) -> int:
        """See System."""
        for _ in range(TERM_TRIES):
            answers = ask_all(self.stage.config, "status", timeout_ms=2000).values()
            if any(answers):
                return max(int(answer["peer"]["term"]) for answer in answers if answer)
        raise HfzmqError("no daemon of the bench has answered", hint="is the machine busy with something else?")

    def wal_bytes(self) -> int:
        """See System."""
        files = [self.stage.file(peer) for peer in self.stage.config.peer_ids]
        return max(size(file.with_name(file.name + "-wal")) for file in files)

    def writes(self, writers: Sequence[Writer]) -> None:
        """See System."""

    def settle(self) -> None:
        """See System."""
        self.stage.equal()
        problems = self.stage.end_peers()
        if problems:
            raise HfzmqError("; ".join(problems))

    def read_back(self, ledger: Sequence[Acked]) -> float:
        """See System."""
        found: dict[str, bytes] = {}
        for peer in self.stage.config.peer_ids:
            with StoredRows(Reader(self.stage.file(peer))) as rows:
                rows.lasting()
                found[f"peer {peer}"] = read_back(f"peer {peer}", rows, ledger)
        all_equal(found)
        return max(size(*self.stage.data_dir(peer).iterdir()) for peer in self.stage.config.peer_ids)

    def close(self) -> None:
        """See System."""
        self.stage.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class SketchSystem:
    """The three processes of sketch.py."""

    def __init__(self, folder: Path, tick: Callable[[], None]) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._tick = tick
        self.name = WRITERS
        self.processes = Processes(folder)
        self._ports = [address.client_port for address in free_addresses(PEERS)]
        self.files = [folder / f"sketch-{number}" / "sketch.db" for number in range(1, PEERS + 1)]
        self.spec = {"config": "", "port": self._ports[0]}

    def start(self) -> None:
        """See System."""
        for number in range(PEERS, 0, -1):
            port, file = self._ports[number - 1], self.files[number - 1]
            file.parent.mkdir()
            followers = [str(other) for other in self._ports[1:]] if number == 1 else []
            role = "leader" if number == 1 else "follower"
            self.processes.start(f"sketch-{number}", role, str(port), str(file), *followers, module=SKETCH_MODULE)

    def leader(self) -> str:
        """See System."""
        return "sketch-1"

    def peers(self) -> list[str]:
        """See System."""
        return [f"sketch-{number}" for number in range(1, PEERS + 1)]

    def term(self) -> int:
        """See System: there are no elections."""
        return 0

    def wal_bytes(self) -> int:
        """See System."""
        return max(size(file.with_name(file.name + "-wal")) for file in self.files)

    def writes(self, writers: Sequence[Writer]) -> None:
        """See System."""

    def settle(self) -> None:
        """See System."""
        until = time.monotonic() + SKETCH_WITHIN_S
        while len({_count(file) for file in self.files}) > 1:
            dead = [name for name in self.peers() if not self.processes.alive(name)]
            if dead or time.monotonic() > until:
                said = "; ".join(self.processes.last_words(name) for name in dead)
                raise HfzmqError(f"the sketch's followers do not come after its leader: {said}")
            self._tick()
            time.sleep(LOOK_EVERY_S)
        late = self.processes.terminate(*self.peers())
        if late:
            raise HfzmqError(f"{', '.join(late)} did not end when asked to")

    def read_back(self, ledger: Sequence[Acked]) -> float:
        """See System."""
        found = {file.parent.name: read_back(file.parent.name, _rows(file), ledger) for file in self.files}
        all_equal(found)
        return max(size(*file.parent.iterdir()) for file in self.files)

    def close(self) -> None:
        """See System."""
        self.processes.kill_all()
        shutil.rmtree(self._folder, ignore_errors=True)


def system_of(name: str, folder: Path, tick: Callable[[], None], lease_ms: int = TIMING.lease_ms) -> System:
    """One of SYSTEMS, in a new folder below ``folder``; it is not running yet."""
    place = folder / f"{name.replace(' ', '-')}-{secrets.token_hex(4)}"
    if name == SKETCH:
        return SketchSystem(place, tick)
    return MeshSystem(place, name == MESH, tick, lease_ms)


def _count(file: Path) -> int:
    with closing(_reading(file)) as database:
        (count,) = database.execute("SELECT count(*) FROM risk_reports").fetchone()
        return int(count)


def _rows(file: Path) -> Iterator[tuple[Any, ...]]:
    with closing(_reading(file)) as database:
        yield from database.execute(SELECT_ALL)


def _reading(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)
