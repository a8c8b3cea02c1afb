"""One-off questions: to one peer, to all of them at once, to whoever leads. For commands that look and then end.

Touches sockets. Keeps: all peers are asked in parallel, so the slowest costs its own time and no more; a peer that
refuses the connection is known to be away at once; a status is asked of every member of the mesh and of whoever asks to
be one, also of those that peers.yaml does not know: the first answer that names them brings them in; of several
processes with one id the member's answer counts, however late it comes; and a peer whose key was changed through the
mesh is asked with the new one, as soon as another peer tells it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, NamedTuple

import zmq

from hfzmq.client.key_faults import BEHIND, UNKNOWN, key_fault
from hfzmq.client.line import AUTH, SERVER, Curve, Line, curves_for, wait
from hfzmq.client.pirate import KEY_FIELD, Pirate
from hfzmq.config import Config
from hfzmq.errors import HfzmqError, InvalidInput, KeysError, NoDaemonReached, NoLeader, TimedOut, WireError
from hfzmq.key_section import Keys
from hfzmq.secret_files import COMMAND_KEY, with_own_key
from hfzmq.wire import members
from hfzmq.wire.requests import READ, decode_reply, encode_request

NO_DAEMON_HINT = "start one: hfzmq serve --id N --config peers.yaml --data-dir DIR"

Answer = dict[str, Any]
Where = tuple[int, str, int]  # a peer's id, host and client port
_Way = tuple[Where, Curve | None]  # once with each key that somebody says it serves with


def ask(
    host: str, port: int, request: bytes, timeout_ms: int = 1000, keys: Keys | None = None, peer: int = 0
) -> dict[str, Any] | None:
    """What the peer at ``host:port`` answers to ``request``; None: no answer of this protocol within ``timeout_ms``.
    Where the mesh has ``keys``: ``peer`` is its id."""
    return _ask_each([(peer, host, port)], request, timeout_ms, keys).answers.get(peer)


def ask_all(
    config: Config,
    op: str,
    fields: dict[str, object] | None = None,
    timeout_ms: int = 700,
    only: int | None = None,
    refusing: dict[int, str] | None = None,
    served: dict[int, str] | None = None,
) -> dict[int, dict[str, Any] | None]:
    """Each peer's answer by its id, in the order of ids; None for a peer that gave none within ``timeout_ms``.

    Peers: those of ``config``; for the op ``status`` also those that the answers name. ``only``: ask this peer alone
    (ConfigError when neither ``config`` nor, where that does not name it, the mesh has one of that id). KeysError:
    nobody answered, and somebody would not have our key. ``refusing`` takes those who would not, by id, with the fault
    (key_faults.sentence), also before KeysError; ``served`` takes the key that each peer which answered has proven to
    serve with.
    """
    config = with_own_key(config, COMMAND_KEY, os.environ)
    if only is not None:
        config = knowing(config, only, timeout_ms)
    peers = config.peers if only is None else (config.peer(only),)
    request = encode_request(config.mesh_id, op, **(fields or {}))
    where = [(peer.id, peer.host, peer.client_port) for peer in peers]
    asked = _ask_each(where, request, timeout_ms, config.keys, grow=op == "status" and only is None)
    answers, faults = asked.answers, {peer: one for peer, one in asked.faults.items() if not asked.answers.get(peer)}
    if any(fault in (SERVER, UNKNOWN) for fault in faults.values()):
        _ask_with_newer_keys(config, where, request, timeout_ms, asked, faults)
    told = members.newest(answers.values()) if AUTH in faults.values() else None
    if told is not None:
        faults |= {peer: BEHIND for peer, fault in faults.items() if fault == AUTH and _newcomer(told, peer)}
    if refusing is not None:
        refusing.update(faults)
    if served is not None:
        served.update(asked.served)
    if faults and not any(answers.values()):
        raise key_fault(config, faults, [peer for peer in answers if peer not in faults])
    return answers


def _newcomer(told: members.Told, peer: int) -> bool:
    """Whether it asks to join, with whatever disk, or catches up: it may lack the keys that stand in the log."""
    member = told.of(peer)
    return told.asks(peer) is not None or (member is not None and member.role == members.LEARNER)


def knowing(config: Config, peer: int | None, timeout_ms: int = 700) -> Config:
    """``config``, with what the mesh says about its members where ``config`` does not know ``peer``; ConfigError when
    that does not help. As it is where ``peer`` is None."""
    if peer is None or peer in config.peer_ids:
        return config
    config = members.with_members(config, members.newest(ask_all(config, "status", timeout_ms=timeout_ms).values()))
    config.peer(peer)
    return config


def ask_leader(
    config: Config,
    op: str,
    fields: dict[str, object] | None = None,
    timeout_ms: int = 3000,
    meanwhile: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """The leader's answer (status OK or ACK), found through whatever peers say, within ``timeout_ms``. ``meanwhile``
    is called some times a second while it is waited for.

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
            meanwhile=meanwhile,
            keys=config.keys,
        )
        request = encode_request(config.mesh_id, op, **(fields or {}))
        reply = pirate.ask(request, deadline=time.monotonic() + timeout_ms / 1000)
        if reply is None and pirate.refusals:
            reply = next(iter(pirate.refusals.values()))
        if reply is not None:
            if reply["status"] == "REFUSED" and reply["field"] == KEY_FIELD:
                raise not_allowed(config, reply)
            if reply["status"] == "REFUSED" and reply["field"] == READ:
                raise HfzmqError(f"the leader cannot read it: {reply['bound']}", hint=reply["hint"] or "hfzmq doctor")
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


def _ask_with_newer_keys(
    config: Config,
    where: list[Where],
    request: bytes,
    timeout_ms: int,
    first: _Asked,
    faults: dict[int, str],
) -> None:
    """Ask those again that serve with another key than ``config`` lists for them, with the keys that the other peers
    say they serve with: a key that was changed through the mesh stands in its log, and in no file."""
    answers = first.answers
    doubted = {peer for peer, fault in faults.items() if fault in (SERVER, UNKNOWN)}
    others = [(peer.id, peer.host, peer.client_port) for peer in config.peers if peer.id not in doubted]
    if not doubted or not others or config.keys is None:
        return
    asked = encode_request(config.mesh_id, "members")
    said = map(members.told_by, _ask_each(others, asked, timeout_ms, config.keys).answers.values())
    tried = {(peer, key) for peer in doubted for key in config.keys.keys_of(peer)}
    for peer, key in sorted({pair for told in said if told for pair in told.keys if pair[0] in doubted} - tried):
        if answers.get(peer):
            continue
        places = [place for place in where if place[0] == peer]
        again = _ask_each(places, request, timeout_ms, config.keys.knowing({peer: key})._replace(former=()))
        if again.answers.get(peer):
            answers.update(again.answers)
            first.served.update(again.served)
            faults.pop(peer, None)
        else:
            faults.update(again.faults)


class _Asked(NamedTuple):
    """By peer: its answer, why it would not have our key, the key that it has proven to serve with."""

    answers: dict[int, Answer | None]
    faults: dict[int, str]
    served: dict[int, str]


def _ask_each(where: Iterable[Where], request: bytes, timeout_ms: int, keys: Keys | None, grow: bool = False) -> _Asked:
    """What the peers at ``where`` say; with ``grow`` also those whom the answers name."""
    with short_context() as context:
        asking = _Asking(context, request, keys, grow)
        asking.run(where, time.monotonic() + timeout_ms / 1000)
        return _Asked(dict(sorted(asking.answers.items())), asking.faults, asking.served)


class _Asking:
    """One request to several peers at once."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], request: bytes, keys: Keys | None, grow: bool) -> None:
        self.answers: dict[int, Answer | None] = {}
        self.faults: dict[int, str] = {}
        self._context = context
        self._request = request
        self._keys = keys
        self._grow = grow
        self.served: dict[int, str] = {}
        self._asked: set[_Way] = set()
        self._doubted: set[_Way] = set()  # asked once more
        self._waiting: dict[_Way, Line] = {}

    def run(self, where: Iterable[Where], until: float) -> None:
        """Ask, and wait until all have answered or are lost, or ``until`` (monotonic, seconds)."""
        self._begin(where)
        while self._waiting:
            for way, line in list(self._waiting.items()):
                self._look(way, line)
            if time.monotonic() >= until:
                break
            if self._waiting:
                wait(list(self._waiting.values()), until)

    def _begin(self, places: Iterable[Where]) -> None:
        for place in places:
            if self.answers.get(place[0]) is not None and not self._is_of_another(place[0]):
                continue
            self.answers.setdefault(place[0], None)
            try:
                curves = curves_for(self._keys, place[0])
            except KeyError:  # until an answer says which key it serves with
                self.faults[place[0]] = UNKNOWN
                continue
            for way in ((place, curve) for curve in curves):
                if way not in self._asked:
                    self._asked.add(way)
                    self._ask(way)

    def _ask(self, way: _Way) -> None:
        place, curve = way
        self._waiting[way] = line = Line(self._context, *place[1:], curve)
        line.send(self._request)

    def _look(self, way: _Way, line: Line) -> None:
        frame = line.reply()
        if frame is None and not line.lost:
            return
        place, curve = way
        self._waiting.pop(way).close()
        if line.fault == SERVER and way not in self._doubted:  # so does one that ends in the middle of a handshake
            self._doubted.add(way)
            self._ask(way)
            return
        if line.fault:
            self.faults[place[0]] = line.fault
        if frame is None:
            return
        answer = _decoded(frame)
        if self.answers[place[0]] is not None and (answer is None or not self._is_of_another(place[0], answer)):
            return
        self.answers[place[0]] = answer
        if curve is not None:
            self.served[place[0]] = curve.server
        if answer is not None and "peer" in answer:  # a status
            answer[members.REACHED] = place
        if self._grow:
            told = members.told_by(answer)
            if self._keys is not None and told is not None:
                self._keys = self._keys.knowing(dict(told.keys))
            self._begin(_named(answer))

    def _is_of_another(self, peer: int, instead: Answer | None = None) -> bool:
        """Whether the answer to this id is of another process than the member; with ``instead``: and that one of the
        member, by what both and all others say."""
        told = members.newest([*self.answers.values(), instead])
        ours = instead is None or not members.of_another_disk(told, peer, instead)
        return ours and members.of_another_disk(told, peer, self.answers[peer])


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
