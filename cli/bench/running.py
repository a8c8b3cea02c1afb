"""A mesh that runs already, as something to be measured: loaded, read back over the wire, and left in good order.

Touches sockets (through the client's questions), one folder for the load. Must not know: its processes. Keeps: what it
cannot see (CPU, memory, the WAL) is told as unknown; the beds that were made up are discharged, so that nobody is told
later that they fell silent. Their reports stay: nothing is ever deleted from a mesh.
"""

from __future__ import annotations

import heapq
import math
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

from hfzmq.cli.alarms.act import Actor
from hfzmq.cli.bench.measure import LOAD
from hfzmq.cli.bench.readback import Acked, read_back
from hfzmq.cli.bench.reports import Writer
from hfzmq.cli.page_source import REPORTS, Filter, MeshSource, read_all
from hfzmq.cli.processes import Processes
from hfzmq.cli.stored_rows import CHANGING
from hfzmq.client.ask import ask_all
from hfzmq.config import Config
from hfzmq.errors import HfzmqError, NoDaemonReached, NotFound

BY = "hfzmq bench"
DISCHARGE_WITHIN_S = 60.0  # all of them
LAST_ANSWERS_WITHIN_S = 5.0
DISCHARGE = "discharge"


class RunningSystem:
    """See the module and systems.System. ``warn`` is told what stays to be done; ``key``: a file with the secret key
    that the load speaks with."""

    def __init__(self, config: Config, folder: Path, warn: Callable[[str], None], key: str = "") -> None:
        folder.mkdir(parents=True)
        self._config = config
        self._warn = warn
        self._folder = folder
        self._before: dict[str, float] = {}
        self._beds: tuple[str, ...] = ()
        self.name = f"bench-{secrets.token_hex(3)}"  # no other run's beds
        self.processes = Processes(folder)
        self.spec = {"config": config.path, "port": 0, "key": key}

    def start(self) -> None:
        """See System: it runs. KeysError, before anything is stored: our key may not discharge beds."""
        with suppress(NotFound):
            Actor(self._config, BY, DISCHARGE_WITHIN_S).act(DISCHARGE, self.name)
        self._before = self._bytes()

    def leader(self) -> str:
        """See System: its process is not known here."""
        return ""

    def peers(self) -> list[str]:
        """See System: likewise."""
        return []

    def term(self) -> int:
        """See System."""
        return max(int(said["term"]) for said in self._said().values())

    def wal_bytes(self) -> int:
        """See System: the peers say so."""
        return max(int(said["wal_bytes"]) for said in self._said().values())

    def settle(self) -> None:
        """See System: it goes on."""

    def writes(self, writers: Sequence[Writer]) -> None:
        """These are about to: their beds are discharged in the end."""
        self._beds = tuple(bed for writer in writers for bed in writer.beds)

    def read_back(self, ledger: Sequence[Acked]) -> float:
        """See System: from the leader, after a quorum round; by how much the largest file has grown."""
        rows = chain.from_iterable(self._rows_of(one.writer) for one in ledger)
        read_back("the mesh", rows, ledger)
        grown = [after - self._before.get(peer, math.nan) for peer, after in self._bytes().items()]
        return max(grown, default=math.nan)

    def close(self) -> None:
        """See System. Never an error: what was measured, or why it failed, is more than this."""
        if self.processes.alive(LOAD):  # a report that came after its bed's discharge would wake it
            self.processes.terminate(LOAD, within_s=LAST_ANSWERS_WITHIN_S)
        self.processes.kill_all()
        shutil.rmtree(self._folder, ignore_errors=True)
        left, actor = list(self._beds), Actor(self._config, BY, DISCHARGE_WITHIN_S)
        try:
            while left:
                with suppress(NotFound):  # it never came so far
                    actor.act(DISCHARGE, left[-1])
                left.pop()
        except HfzmqError as error:
            self._warn(
                f"{len(left)} made-up beds of {self.name} are not discharged and will be told as NO DATA: {error}\n"
                f"when the mesh is well: hfzmq alarms discharge {left[-1]}, and so on (hfzmq alarms ls)"
            )

    def _rows_of(self, writer: Writer) -> Iterator[list[Any]]:
        """All that is stored of a writer, in the order of ids; without what stands among a report's columns."""

        def of(bed: str) -> Iterator[list[Any]]:
            for page in read_all(MeshSource(self._config, consistent=True, table=REPORTS), 0, Filter(bed)):
                among = page.fields.index(CHANGING)
                for row in page.rows:
                    yield [*row[:among], *row[among + 1 :]]

        return heapq.merge(*map(of, writer.beds), key=itemgetter(0))

    def _said(self) -> dict[int, dict[str, Any]]:
        answers = ask_all(self._config, "status", timeout_ms=2000)
        said = {peer: answer["peer"] for peer, answer in answers.items() if answer and "peer" in answer}
        if not said:
            raise NoDaemonReached("no daemon answers", hint="which there are: hfzmq status")
        if not all(isinstance(one.get("db_bytes"), int) for one in said.values()):
            raise HfzmqError("a daemon answered in a way this version does not know", hint="hfzmq status shows its")
        return said

    def _bytes(self) -> dict[str, float]:
        return {str(peer): float(said["db_bytes"] + said["wal_bytes"]) for peer, said in self._said().items()}
