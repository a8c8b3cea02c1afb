"""A client that asks one peer of one's choice and no other: whether a minority acknowledges anything.

Touches sockets (through client.ask), one history. Must not know: who leads, what is cut. Keeps: a request that was not
acknowledged is sent again, the same bytes, whoever is asked; the history reads like that of any other client.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from hfzmq.cli.scenario.writer import report_of
from hfzmq.client.ask import ask
from hfzmq.config import Config
from hfzmq.wire.requests import EPOCH_BYTES, digest, encode_request, encode_rows

TIMEOUT_MS = 300


class Probe:
    """The session ``name``, which writes its history to ``path``."""

    def __init__(self, config: Config, name: str, path: Path) -> None:
        self.acked = 0
        self._config = config
        self._name = name
        self._path = path
        self._epoch = os.urandom(EPOCH_BYTES)
        self._base_ms = time.time_ns() // 1_000_000
        self._sent = 0
        self._tell(event="started", base_ms=self._base_ms, batch=1)

    def ask(self, peer: int) -> str:
        """Ask this peer to keep the next report, or the last one again; the status it answers, '' for none."""
        if self._sent == self.acked:
            self._sent += 1
            self._tell(event="sent", to=self._sent)
        rows = encode_rows([report_of(self._name, self._base_ms, self._sent)])
        fields = {"client": self._name, "epoch": self._epoch, "seq": self._sent, "rows": rows, "digest": digest(rows)}
        address = self._config.peer(peer)
        request = encode_request(self._config.mesh_id, "submit", **fields)
        reply = ask(address.host, address.client_port, request, TIMEOUT_MS, self._config.keys, peer) or {}
        if reply.get("status") == "ACK":
            self.acked = self._sent
            self._tell(event="ack", to=self.acked, index=reply["index"], term=reply["term"], seq=reply["seq"])
        return str(reply.get("status", ""))

    def _tell(self, **event: Any) -> None:
        event |= {"session": self._name, "at_ms": time.monotonic_ns() // 1_000_000}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")
