"""One-off questions: to one peer, to all of them at once, to whoever leads. For commands that look and then end.

Touches sockets. Keeps: all peers are asked in parallel, so the slowest costs its own time and no more; a peer that
refuses the connection is known to be away at once.
"""

from __future__ import annotations

import time
from random import Random
from typing import Any

import zmq

from hfzmq.client.line import Line, wait
from hfzmq.client.pirate import Pirate
from hfzmq.config import Config
from hfzmq.errors import InvalidInput, NoDaemonReached, NoLeader, TimedOut, WireError
from hfzmq.wire.requests import decode_reply, encode_request

_START = "start one: hfzmq serve --id N --config peers.yaml --data-dir DIR"


def ask(host: str, port: int, request: bytes, timeout_ms: int = 1000) -> dict[str, Any] | None:
    """What the peer at ``host:port`` answers to ``request``; None: no answer of this protocol within ``timeout_ms``."""
    return _ask_each({0: (host, port)}, request, timeout_ms)[0]


def ask_all(
    config: Config, op: str, fields: dict[str, object] | None = None, timeout_ms: int = 700, only: int | None = None
) -> dict[int, dict[str, Any] | None]:
    """Each peer's answer by its id, in the order of ids; None for a peer that gave none within ``timeout_ms``.

    ``only``: ask this peer alone (ConfigError when the mesh has none of that id).
    """
    peers = config.peers if only is None else (config.peer(only),)
    request = encode_request(config.mesh_id, op, **(fields or {}))
    return _ask_each({peer.id: (peer.host, peer.client_port) for peer in peers}, request, timeout_ms)


def ask_leader(
    config: Config, op: str, fields: dict[str, object] | None = None, timeout_ms: int = 3000
) -> dict[str, Any]:
    """The leader's answer (status OK or ACK), found through whatever peers say, within ``timeout_ms``.

    InvalidInput: the request was refused. NoDaemonReached: nobody answered. NoLeader: somebody did, and nobody leads a
    quorum. TimedOut: it was too busy all the time.
    """
    pirate = Pirate(config.peers, rng=Random(), timeout_ms=min(1000, timeout_ms))
    try:
        request = encode_request(config.mesh_id, op, **(fields or {}))
        reply = pirate.ask(request, deadline=time.monotonic() + timeout_ms / 1000)
        if reply is None and pirate.refusals:
            reply = next(iter(pirate.refusals.values()))
        if reply is not None:
            if reply["status"] == "REFUSED":
                raise InvalidInput(reply["field"], reply["bound"], hint=reply["hint"])
            return reply
        raise _unanswered(pirate, config, timeout_ms)
    finally:
        pirate.close()


def _unanswered(pirate: Pirate, config: Config, timeout_ms: int) -> Exception:
    if pirate.last_status is None:
        hosts = ", ".join(f"{peer.host}:{peer.client_port}" for peer in config.peers)
        return NoDaemonReached(f"no daemon answered ({hosts})", hint=_START)
    if pirate.last_status == "BUSY":
        return TimedOut(f"the leader was busy for {timeout_ms} ms", hint="ask again; hfzmq status shows how it is")
    return NoLeader("daemons answer, but none of them leads a quorum", hint="see which are away: hfzmq status")


def _ask_each(
    addresses: dict[int, tuple[str, int]], request: bytes, timeout_ms: int
) -> dict[int, dict[str, Any] | None]:
    answers: dict[int, dict[str, Any] | None] = dict.fromkeys(addresses)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    lines = {key: Line(context, host, port) for key, (host, port) in addresses.items()}
    until = time.monotonic() + timeout_ms / 1000
    try:
        for line in lines.values():
            line.send(request)
        open_lines = dict(lines)
        while open_lines:
            for key, line in list(open_lines.items()):
                frame = line.reply()
                if frame is not None:
                    answers[key] = _decoded(frame)
                if frame is not None or line.lost:
                    del open_lines[key]
            if time.monotonic() >= until:
                break
            if open_lines:
                wait(list(open_lines.values()), until)
    finally:
        for line in lines.values():
            line.close()
        context.term()
    return answers


def _decoded(frame: bytes) -> dict[str, Any] | None:
    try:
        return decode_reply(frame)
    except WireError:
        return None
