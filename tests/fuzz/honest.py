"""Honest clients: steady writers, each with its own session, that time every acknowledgement and later look for it.

Touches sockets (the client library's). Must not know: attacks. Keeps: one request in flight for each writer, the same
bytes until it is acknowledged; every report has a name of its own.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any, NamedTuple

from hfzmq.client.pirate import Pirate
from hfzmq.config import Config
from hfzmq.wire.requests import digest, encode_request, encode_rows

PACE_S = 0.05
GIVE_UP_S = 30.0


class Ack(NamedTuple):
    """When a report was sent for the first time (monotonic), and how long until its acknowledgement came."""

    at_s: float
    took_ms: float


class Writer(threading.Thread):
    """``acks``: all so far, in order; ``wrong``: what an honest client must never be told, '' for nothing."""

    def __init__(self, config: Config, name: str, pace_s: float = PACE_S) -> None:
        super().__init__(name=name, daemon=True)
        self.acks: list[Ack] = []
        self.wrong = ""
        self._config = config
        self._pace_s = pace_s
        self._over = threading.Event()

    def run(self) -> None:
        try:
            self._write()
        except BaseException as error:
            self.wrong = repr(error)

    def _write(self) -> None:
        config, epoch = self._config, os.urandom(16)
        pirate = Pirate(config.peers, rng=Random(self.name), keys=config.keys)
        while not self._over.is_set() and not self.wrong:
            seq = len(self.acks) + 1
            rows = encode_rows([_row(f"{self.name}/{seq}")])
            request = encode_request(
                config.mesh_id, "submit", client=self.name, epoch=epoch, seq=seq, rows=rows, digest=digest(rows)
            )
            began = time.monotonic()
            reply = pirate.ask(request, deadline=began + GIVE_UP_S)
            if reply is None or reply["status"] != "ACK" or reply["seq"] != seq or reply["rejected"]:
                self.wrong = f"to report {seq}: {reply}"
            else:
                self.acks.append(Ack(began, (time.monotonic() - began) * 1000))
            self._over.wait(self._pace_s)
        pirate.close()

    def end(self) -> None:
        """Stop once nothing is in flight."""
        self._over.set()
        self.join(GIVE_UP_S + 5)

    def misses(self, rows: Iterable[Sequence[Any]]) -> str:
        """'' when each acknowledged report stands in a peer's ``rows`` once, in order; else what is wrong."""
        found = [row[1] for row in rows if row[1].startswith(f"{self.name}/")]
        wanted = [f"{self.name}/{number}" for number in range(1, len(self.acks) + 1)]
        if found[: len(wanted)] != wanted or len(found) > len(wanted) + 1:
            return f"{self.name}: {len(wanted)} acknowledged, {len(found)} stored, lost, doubled or out of order"
        return ""


def _row(patient: str) -> list[object]:
    return [patient, int(time.time() * 1000), 60.0, 135.0, 1.5, 40.0, 5, 0.4, "AMBER", 0.4, "m", ""]
