"""A mesh that keeps its files from one measurement to the next, and is filled with reports in between.

Touches processes (through MeshSystem), one folder. Must not know: which sizes are measured, figures. Keeps: the mesh is
filled only while it stands still (fill.py), and must start on what was filled, all peers alike; of a measurement those
rows are read back that came after the filling, from every disk.

    begun --fill--> stands still --start, load, settle, read back--> stands still --fill--> ...
"""

from __future__ import annotations

import json
import math
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from hfzmq.cli.bench.fill import UNEQUAL, Spec
from hfzmq.cli.bench.proc import size
from hfzmq.cli.bench.readback import Acked, all_equal, read_back
from hfzmq.cli.bench.systems import MeshSystem
from hfzmq.cli.stored_rows import StoredRows
from hfzmq.client.ask import ask_all
from hfzmq.errors import HfzmqError
from hfzmq.storage import Reader

FILL, FILL_MODULE = "fill", "hfzmq.cli.bench.fill"
LOOK_EVERY_S = 0.1
FILL_TRIES = 3
STARTED_WITHIN_S, ASK_MS = 120.0, 100
TOO_MANY = 1.5  # times the reports that are wanted: a mesh that holds more, by its own load, is begun anew

Tick = Callable[[], None]
Say = Callable[[float], None]


class Grown(NamedTuple):
    """Of one measurement: reports in each file before it; the time from the start of a peer to its first answer; the
    largest peer's folder after it."""

    stored: int
    start_s: float
    disk_bytes: int


class GrownSystem(MeshSystem):
    """See the module and systems.System; ``close`` leaves the files, ``remove`` nothing."""

    def __init__(self, folder: Path, tick: Tick, lease_ms: int) -> None:
        super().__init__(folder, True, tick, lease_ms)
        self._tick = tick
        self.stored = 0
        self.grown = Grown(0, math.nan, 0)

    def begin(self) -> None:
        """Found the mesh; it stands still afterwards, and holds nothing."""
        try:
            super().start()
            self.settle()
        except BaseException:
            self.remove()
            raise

    def fill(self, reports: int, beds: int, report_bytes: int, say: Say) -> None:
        """So many more, on every disk; ``say`` gets the share that is done."""
        for _ in range(FILL_TRIES):
            code = self._fill(reports, beds, report_bytes, say)
            if code == 0:
                told = json.loads(self.processes.last_words(FILL, 1))
                if told.get("stored") != self.stored + reports:
                    raise HfzmqError(f"{self.stored} and {reports} reports should be there: {told}")
                self.stored += reports
                return
            if code != UNEQUAL:
                raise HfzmqError(f"the files could not be filled: {self.processes.last_words(FILL, 1) or code}")
            super().start()  # a new leader wrote something as the others ended
            self.settle()
        raise HfzmqError("the peers' files did not end alike, however often they were asked to")

    def _fill(self, reports: int, beds: int, report_bytes: int, say: Say) -> int:
        data_dirs = [str(self.stage.data_dir(peer)) for peer in self.stage.config.peer_ids]
        spec = Spec(self.stage.config.path, data_dirs, reports, beds, report_bytes, time.time_ns() // 1_000_000)
        path = self.processes.directory / "fill.json"
        path.write_text(json.dumps(spec._asdict()), encoding="utf-8")
        self.processes.start(FILL, str(path), module=FILL_MODULE)
        while (code := self.processes.exit_code(FILL)) is None:
            self._tick()
            say(self._filled() / reports)
            time.sleep(LOOK_EVERY_S)
        return code

    def _filled(self) -> int:
        try:
            return int(json.loads(self.processes.last_words(FILL, 1)).get("done", 0))
        except ValueError:
            return 0

    def start(self) -> None:
        """See System; how long a peer takes is measured at one that is started again while the others serve."""
        super().start()
        config = self.stage.config
        peer = max(config.peer_ids)
        self.stage.stop(peer)
        began = time.monotonic()
        self.stage.start(peer)

        def answers() -> bool:
            return ask_all(config, "status", timeout_ms=ASK_MS, only=peer)[peer] is not None

        self.stage.wait(f"peer {peer} answers", answers, STARTED_WITHIN_S)
        self.grown = Grown(self.stored, time.monotonic() - began, 0)
        self.stage.level()

    def read_back(self, ledger: Sequence[Acked]) -> float:
        """See System: all rows that this load has brought, from every disk; of the largest disk their share."""
        found: dict[str, bytes] = {}
        counts = set()
        for peer in self.stage.config.peer_ids:
            reader = Reader(self.stage.file(peer))
            counts.add(reader.count())
            with StoredRows(reader, self.stored) as rows:
                rows.lasting()
                found[f"peer {peer}"] = read_back(f"peer {peer}", rows, ledger)
        all_equal(found)
        (count,) = counts  # equal: all_equal has seen the same rows behind the same id
        disk_bytes = max(size(*self.stage.data_dir(peer).iterdir()) for peer in self.stage.config.peer_ids)
        brought, self.stored = count - self.stored, count
        self.grown = self.grown._replace(disk_bytes=disk_bytes)
        return disk_bytes * brought / count if count else math.nan

    def close(self) -> None:
        """See System; the files stay."""
        self.processes.kill_all()

    def remove(self) -> None:
        """No process of it, and no file, is left."""
        super().close()


class Growing:
    """The one mesh that grows, made when it is needed, and anew when it holds too much."""

    def __init__(self, place: Path, tick: Tick, lease_ms: int) -> None:
        self._place = place
        self._tick = tick
        self._lease_ms = lease_ms
        self._now: GrownSystem | None = None

    def holding(self, reports: int, beds: int, report_bytes: int, say: Say) -> GrownSystem:
        """A mesh that stands still and holds about so many reports: at least those, at most TOO_MANY times as many."""
        if self._now is not None and self._now.stored > reports * TOO_MANY:
            self.close()
        if self._now is None:
            made = GrownSystem(self._place / f"grown-{secrets.token_hex(4)}", self._tick, self._lease_ms)
            made.begin()
            self._now = made
        if self._now.stored < reports:
            self._now.fill(reports - self._now.stored, beds, report_bytes, say)
        return self._now

    def close(self) -> None:
        """Nothing of it is left."""
        if self._now is not None:
            self._now.remove()
        self._now = None
