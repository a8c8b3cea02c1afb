"""One-off questions: to one peer, to all of them at once, to whoever leads. For commands that look and then end.

Touches sockets. Keeps: all peers are asked in parallel, so the slowest costs its own time and no more; a peer that
refuses the connection is known to be away at once; a status is asked of every member of the mesh and of whoever asks to
be one, also of those that peers.yaml does not know: the first answer that names them brings them in.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import zmq

from hfzmq.client.line import Line, wait
from hfzmq.client.pirate import Pirate
from hfzmq.config import Config
from hfzmq.errors import InvalidInput, NoDaemonReached, NoLeader, TimedOut, WireError
from hfzmq.wire import members
from hfzmq.wire.requests import decode_reply, encode_request

_START = "start one: hfzmq serve --id N --config peers.yaml --data-dir DIR"

Answer = dict[str, Any]
Where = tuple[int, str, int]  # a peer's id, host and client port


def ask(host: str, port: int, request: bytes, timeout_ms: int = 1000) -> dict[str, Any] | None:
    """What the peer at ``host:port`` answers to ``request``; None: no answer of this protocol within ``timeout_ms``."""
    return _ask_each([(0, host, port)], request, timeout_ms).get(0)


def ask_all(
    config: Config, op: str, fields: dict[str, object] | None = None, timeout_ms: int = 700, only: int | None = None
) -> dict[int, dict[str, Any] | None]:
    """Each peer's answer by its id, in the order of ids; None for a peer that gave none within ``timeout_ms``.

    Peers: those of ``config``; for the op ``status`` also those that the answers name. ``only``: ask this peer alone
    (ConfigError when neither ``config`` nor, where that does not name it, the mesh has one of that id).
    """
    if only is not None:
        config = knowing(config, only, timeout_ms)
    peers = config.peers if only is None else (config.peer(only),)
    request = encode_request(config.mesh_id, op, **(fields or {}))
    where = [(peer.id, peer.host, peer.client_port) for peer in peers]
    return _ask_each(where, request, timeout_ms, grow=op == "status" and only is None)


def knowing(config: Config, peer: int | None, timeout_ms: int = 700) -> Config:
    """``config``, with what the mesh says about its members where ``config`` does not know ``peer``; ConfigError when
    that does not help. As it is where ``peer`` is None."""
    if peer is None or peer in config.peer_ids:
        return config
    config = members.with_members(config, members.newest(ask_all(config, "status", timeout_ms=timeout_ms).values()))
    config.peer(peer)
    return config


def ask_leader(
    config: Config, op: str, fields: dict[str, object] | None = None, timeout_ms: int = 3000
) -> dict[str, Any]:
    """The leader's answer (status OK or ACK), found through whatever peers say, within ``timeout_ms``.

    InvalidInput: the request was refused. NoDaemonReached: nobody answered. NoLeader: somebody did, and nobody leads a
    quorum. TimedOut: it was too busy all the time.
    """
    with _context() as context:
        pirate = Pirate(
            config.peers, rng=Random(), context=context, timeout_ms=min(1000, timeout_ms), mesh_id=config.mesh_id
        )
        request = encode_request(config.mesh_id, op, **(fields or {}))
        reply = pirate.ask(request, deadline=time.monotonic() + timeout_ms / 1000)
        if reply is None and pirate.refusals:
            reply = next(iter(pirate.refusals.values()))
        if reply is not None:
            if reply["status"] == "REFUSED":
                raise InvalidInput(reply["field"], reply["bound"], hint=reply["hint"])
            return reply
        raise _unanswered(pirate, config, timeout_ms)


@contextmanager
def _context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """A context that ends with the block, and all sockets with it. Not when Ctrl-C broke into it: a socket may be half
    made then, for which the end would wait for ever; it goes with the memory."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        yield context
    except KeyboardInterrupt:
        raise
    except BaseException:
        context.destroy(linger=0)
        raise
    context.destroy(linger=0)


def _unanswered(pirate: Pirate, config: Config, timeout_ms: int) -> Exception:
    if pirate.last_status is None:
        hosts = ", ".join(f"{peer.host}:{peer.client_port}" for peer in config.peers)
        return NoDaemonReached(f"no daemon answered ({hosts})", hint=_START)
    if pirate.last_status == "BUSY":
        return TimedOut(f"the leader was busy for {timeout_ms} ms", hint="ask again; hfzmq status shows how it is")
    return NoLeader("daemons answer, but none of them leads a quorum", hint="see which are away: hfzmq status")


def _ask_each(where: Iterable[Where], request: bytes, timeout_ms: int, grow: bool = False) -> dict[int, Answer | None]:
    """The answers of the peers at ``where``; with ``grow`` also of those whom the answers name."""
    with _context() as context:
        return dict(sorted(_answers(context, where, request, timeout_ms, grow).items()))


def _answers(
    context: zmq.Context[zmq.Socket[bytes]], where: Iterable[Where], request: bytes, timeout_ms: int, grow: bool
) -> dict[int, Answer | None]:
    answers: dict[int, Answer | None] = {}
    asked: set[Where] = set()
    waiting: dict[Where, Line] = {}
    until = time.monotonic() + timeout_ms / 1000

    def begin(places: Iterable[Where]) -> None:
        for place in places:
            if place not in asked and answers.get(place[0]) is None:
                asked.add(place)
                answers.setdefault(place[0], None)
                waiting[place] = Line(context, *place[1:])
                waiting[place].send(request)

    begin(where)
    while waiting:
        for place, line in list(waiting.items()):
            frame = line.reply()
            if frame is None and not line.lost:
                continue
            waiting.pop(place).close()
            if frame is not None and answers[place[0]] is None:
                answers[place[0]] = _decoded(frame)
                if grow:
                    begin(_named(answers[place[0]]))
        if time.monotonic() >= until:
            break
        if waiting:
            wait(list(waiting.values()), until)
    return answers


def _named(answer: Answer | None) -> list[Where]:
    told = members.told_by(answer)
    if told is None:
        return []
    return [(member.id, member.host, member.client_port) for member in told.members] + [
        (one.id, one.host, one.client_port) for one in told.asking
    ]


def _decoded(frame: bytes) -> Answer | None:
    try:
        return decode_reply(frame)
    except WireError:
        return None
