"""One-off questions: to one peer, to all of them at once, to whoever leads. For commands that look and then end.

Touches sockets. Keeps: all peers are asked in parallel, so the slowest costs its own time and no more; a peer that
refuses the connection is known to be away at once; a status is asked of every member of the mesh and of whoever asks to
be one, also of those that peers.yaml does not know: the first answer that names them brings them in.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import zmq

from hfzmq.client.key_faults import UNKNOWN, key_fault
from hfzmq.client.line import SERVER, Curve, Line, curve_for, wait
from hfzmq.client.pirate import KEY_FIELD, Pirate
from hfzmq.config import Config
from hfzmq.errors import InvalidInput, KeysError, NoDaemonReached, NoLeader, TimedOut, WireError
from hfzmq.key_section import Keys
from hfzmq.secret_files import COMMAND_KEY, with_own_key
from hfzmq.wire import members
from hfzmq.wire.requests import decode_reply, encode_request

NO_DAEMON_HINT = "start one: hfzmq serve --id N --config peers.yaml --data-dir DIR"

Answer = dict[str, Any]
Where = tuple[int, str, int]  # a peer's id, host and client port
_Asked = tuple[Where, Curve | None]  # once with each key that somebody says it serves with


def ask(
    host: str, port: int, request: bytes, timeout_ms: int = 1000, keys: Keys | None = None, peer: int = 0
) -> dict[str, Any] | None:
    """What the peer at ``host:port`` answers to ``request``; None: no answer of this protocol within ``timeout_ms``.
    Where the mesh has ``keys``: ``peer`` is its id."""
    return _ask_each([(peer, host, port)], request, timeout_ms, keys)[0].get(peer)


def ask_all(
    config: Config,
    op: str,
    fields: dict[str, object] | None = None,
    timeout_ms: int = 700,
    only: int | None = None,
    refusing: dict[int, str] | None = None,
) -> dict[int, dict[str, Any] | None]:
    """Each peer's answer by its id, in the order of ids; None for a peer that gave none within ``timeout_ms``.

    Peers: those of ``config``; for the op ``status`` also those that the answers name. ``only``: ask this peer alone
    (ConfigError when neither ``config`` nor, where that does not name it, the mesh has one of that id). KeysError:
    nobody answered, and somebody would not have our key. ``refusing`` takes those who would not, by id, with the fault
    (key_faults.sentence), when somebody else answered.
    """
    config = with_own_key(config, COMMAND_KEY, os.environ)
    if only is not None:
        config = knowing(config, only, timeout_ms)
    peers = config.peers if only is None else (config.peer(only),)
    request = encode_request(config.mesh_id, op, **(fields or {}))
    where = [(peer.id, peer.host, peer.client_port) for peer in peers]
    answers, faults = _ask_each(where, request, timeout_ms, config.keys, grow=op == "status" and only is None)
    if faults and not any(answers.values()):
        raise key_fault(config, faults)
    if refusing is not None:
        refusing.update((peer, fault) for peer, fault in faults.items() if not answers.get(peer))
    return answers


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
    quorum. TimedOut: it was too busy all the time. KeysError: our key is refused, or may not ask for this.
    """
    config = with_own_key(config, COMMAND_KEY, os.environ)
    with short_context() as context:
        pirate = Pirate(
            config.peers,
            rng=Random(),
            context=context,
            timeout_ms=min(1000, timeout_ms),
            mesh_id=config.mesh_id,
            keys=config.keys,
        )
        request = encode_request(config.mesh_id, op, **(fields or {}))
        reply = pirate.ask(request, deadline=time.monotonic() + timeout_ms / 1000)
        if reply is None and pirate.refusals:
            reply = next(iter(pirate.refusals.values()))
        if reply is not None:
            if reply["status"] == "REFUSED" and reply["field"] == KEY_FIELD:
                raise not_allowed(config, reply)
            if reply["status"] == "REFUSED":
                raise InvalidInput(reply["field"], reply["bound"], hint=reply["hint"])
            return reply
        raise _unanswered(pirate, config, timeout_ms)


@contextmanager
def short_context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
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


def not_allowed(config: Config, reply: Answer) -> KeysError:
    """The error for a REFUSED whose field is KEY_FIELD."""
    path = config.keys.own.path if config.keys is not None and config.keys.own is not None else "this key"
    return KeysError(f"{path} does not allow that: it takes {reply['bound']}", hint=reply["hint"])


def _unanswered(pirate: Pirate, config: Config, timeout_ms: int) -> Exception:
    if pirate.last_status is None and pirate.key_faults:
        return key_fault(config, pirate.key_faults)
    if pirate.last_status is None:
        hosts = ", ".join(f"{peer.host}:{peer.client_port}" for peer in config.peers)
        return NoDaemonReached(f"no daemon answered ({hosts})", hint=NO_DAEMON_HINT)
    if pirate.last_status == "BUSY":
        return TimedOut(f"the leader was busy for {timeout_ms} ms", hint="ask again; hfzmq status shows how it is")
    return NoLeader("daemons answer, but none of them leads a quorum", hint="see which are away: hfzmq status")


def _ask_each(
    where: Iterable[Where], request: bytes, timeout_ms: int, keys: Keys | None, grow: bool = False
) -> tuple[dict[int, Answer | None], dict[int, str]]:
    """The answers of the peers at ``where``, and who would not have our key and why; with ``grow`` also of those whom
    the answers name."""
    with short_context() as context:
        asking = _Asking(context, request, keys, grow)
        asking.run(where, time.monotonic() + timeout_ms / 1000)
        return dict(sorted(asking.answers.items())), asking.faults


class _Asking:
    """One request to several peers at once."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], request: bytes, keys: Keys | None, grow: bool) -> None:
        self.answers: dict[int, Answer | None] = {}
        self.faults: dict[int, str] = {}
        self._context = context
        self._request = request
        self._keys = keys
        self._grow = grow
        self._asked: set[_Asked] = set()
        self._doubted: set[_Asked] = set()  # asked once more
        self._waiting: dict[_Asked, Line] = {}

    def run(self, where: Iterable[Where], until: float) -> None:
        """Ask, and wait until all have answered or are lost, or ``until`` (monotonic, seconds)."""
        self._begin(where)
        while self._waiting:
            for asked, line in list(self._waiting.items()):
                self._look(asked, line)
            if time.monotonic() >= until:
                break
            if self._waiting:
                wait(list(self._waiting.values()), until)

    def _begin(self, places: Iterable[Where]) -> None:
        for place in places:
            if self.answers.get(place[0]) is not None:
                continue
            self.answers.setdefault(place[0], None)
            try:
                curve = curve_for(self._keys, place[0])
            except KeyError:  # until an answer says which key it serves with
                self.faults[place[0]] = UNKNOWN
                continue
            asked = (place, curve)
            if asked in self._asked:
                continue
            self._asked.add(asked)
            self._ask(asked)

    def _ask(self, asked: _Asked) -> None:
        place, curve = asked
        self._waiting[asked] = line = Line(self._context, *place[1:], curve)
        line.send(self._request)

    def _look(self, asked: _Asked, line: Line) -> None:
        frame = line.reply()
        if frame is None and not line.lost:
            return
        place = asked[0]
        self._waiting.pop(asked).close()
        if line.fault == SERVER and asked not in self._doubted:  # so does one that ends in the middle of a handshake
            self._doubted.add(asked)
            self._ask(asked)
            return
        if line.fault:
            self.faults[place[0]] = line.fault
        if frame is None or self.answers[place[0]] is not None:
            return
        self.answers[place[0]] = answer = _decoded(frame)
        if self._grow:
            told = members.told_by(answer)
            if self._keys is not None and told is not None:
                self._keys = self._keys.knowing(dict(told.keys))
            self._begin(_named(answer))


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
