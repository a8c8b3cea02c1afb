"""How a bench's clients speak to what is measured: to a mesh by docs/protocol.md, to the sketch by its own two frames.

Touches nothing by itself; to find a mesh's leader it asks the peers. Must not know: sockets of the load, clocks.
Keeps: what is under way is sent again as the same bytes; a batch counts as acknowledged only by the answer to it.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple, Protocol

from hfzmq.cli.bench.reports import Writer
from hfzmq.client.ask import ask_all
from hfzmq.client.line import Curve, curve_for
from hfzmq.config import Config
from hfzmq.errors import HfzmqError, NoLeader, WireError
from hfzmq.wire.members import newest, with_members
from hfzmq.wire.requests import EPOCH_BYTES, decode_reply, digest, encode_request, encode_rows

ACKED, AGAIN, ELSEWHERE = "acked", "again", "elsewhere"  # what an answer says: done; later; whoever leads now
LEADER_WITHIN_S = 30.0
ASK_EVERY_S = 0.1
ASK_TIMEOUT_MS = 700


class Where(NamedTuple):
    """Whom to connect to. ``curve``: None where there are no keys."""

    host: str
    port: int
    curve: Curve | None


class Session:
    """A writer with one request under way: ``frame``, of the reports up to ``sent``, since ``since`` (monotonic s)."""

    __slots__ = ("acked", "epoch", "frame", "sent", "seq", "since", "writer")

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.epoch = os.urandom(EPOCH_BYTES)
        self.seq = self.sent = self.acked = 0
        self.frame = b""
        self.since = 0.0


class Speaker(Protocol):
    """What differs between a mesh and the sketch."""

    def where(self) -> Where:
        """Whom to send to now; HfzmqError when nobody takes anything."""

    def next_request(self, session: Session, batch: int) -> None:
        """Fix the session's next request in ``session.frame``."""

    def verdict(self, session: Session, reply: bytes) -> str:
        """One of ACKED, AGAIN, ELSEWHERE; HfzmqError for what must not be."""


class MeshSpeaker:
    """To the mesh of ``config``, which has the key to speak with."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def where(self) -> Where:
        """See Speaker: the leader."""
        until = time.monotonic() + LEADER_WITHIN_S
        while time.monotonic() < until:
            answers = ask_all(self._config, "status", timeout_ms=ASK_TIMEOUT_MS)
            config = with_members(self._config, newest(answers.values()))  # the leader may have joined, or moved
            for peer, answer in answers.items():
                said = (answer or {}).get("peer")
                if isinstance(said, dict) and said.get("serves") is True and said.get("role") == "leader":
                    address = config.peer(peer)
                    return Where(address.host, address.client_port, curve_for(config.keys, peer))
            time.sleep(ASK_EVERY_S)
        raise NoLeader(f"nobody has led for {LEADER_WITHIN_S:g} s", hint="see who is well: hfzmq status")

    def next_request(self, session: Session, batch: int) -> None:
        """See Speaker."""
        rows = encode_rows(session.writer.rows(session.sent + 1, batch))
        session.sent += batch
        session.seq += 1
        session.frame = encode_request(
            self._config.mesh_id,
            "submit",
            client=session.writer.name,
            epoch=session.epoch,
            seq=session.seq,
            rows=rows,
            digest=digest(rows),
        )

    def verdict(self, session: Session, reply: bytes) -> str:
        """See Speaker."""
        said = decode_reply(reply)
        status = said["status"]
        if status == "ACK" and said.get("seq") == session.seq and not said["rejected"]:
            return ACKED
        if status == "BUSY":
            return AGAIN
        if status in ("NOT_LEADER", "NO_QUORUM"):
            return ELSEWHERE
        raise HfzmqError(f"{session.writer.name}: request {session.seq} was answered with {said}")


class SketchSpeaker:
    """To the leader of a sketch on this machine."""

    def __init__(self, port: int) -> None:
        self._port = port

    def where(self) -> Where:
        """See Speaker."""
        return Where("127.0.0.1", self._port, None)

    def next_request(self, session: Session, batch: int) -> None:
        """See Speaker."""
        session.frame = encode_rows(session.writer.rows(session.sent + 1, batch))
        session.sent += batch
        session.seq += 1

    def verdict(self, session: Session, reply: bytes) -> str:
        """See Speaker: its only answer is the tag, which is empty."""
        if reply:
            raise WireError("reply", "an empty frame")
        return ACKED
