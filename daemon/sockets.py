"""The daemon's sockets: three that others connect to, and its own links to the other peers.

    peers  --DEALER--> ROUTER   messages, one way: an answer goes back through one's own DEALER
    peers  --PUB-----> SUB      heartbeats, which may be lost
    clients --REQ----> ROUTER   requests and answers

Touches ZeroMQ. Must not know: what the bytes mean. Keeps the rules that ZeroMQ's traps ask for (docs/decisions.md):
bounded queues, never a blocking send, a DEALER that holds nothing for a dead peer's next life, limits on the size of
messages. One thread owns all of them. With a ``keyring`` every socket speaks CURVE: whom ZAP (zap.py) lets in is asked
before a connection passes a word, and each message's key can be asked for again (``take``).
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Container

import zmq

from hfzmq.config import Config
from hfzmq.daemon import curve, zap
from hfzmq.daemon.door import BACKLOG_OF_PEERS, RESERVE_OF_PEERS, Door
from hfzmq.daemon.entrance import Entrance, scatter_routing_ids
from hfzmq.daemon.keyring import Keyring
from hfzmq.daemon.links import Links
from hfzmq.daemon.socket_options import (
    CLIENTS_THREAD,
    DONTWAIT,
    DONTWAIT_MORE,
    HEARTBEAT_QUEUE_MESSAGES,
    bracketed,
    common,
)
from hfzmq.daemon.weight import Weight
from hfzmq.errors import HfzmqError, PortInUse

PEER_QUEUE_MESSAGES = 128  # from one peer; more than it has under way
CLIENT_QUEUE_MESSAGES = 16  # of one client, each way: an honest one has one under way
SUBSCRIPTION_BYTES_MAX = 512  # a handshake takes 300

log = logging.getLogger("hfzmq.sockets")


class Sockets:
    """All sockets of one daemon. Sends never block; what cannot be sent is dropped and counted."""

    def __init__(self, config: Config, me: int, counters: Counter[str], keyring: Keyring | None = None) -> None:
        self._config = config
        self._me = me
        self._counters = counters
        self._keyring = keyring
        scatter_routing_ids()
        self._context = zmq.Context(2)
        self._weight = Weight(config.limits)
        self.poller = zmq.Poller()  # of all that is read here
        here, limits = config.peer(me), config.limits
        self.zap = None if keyring is None else zap.Zap(self._context, keyring, counters)  # before anything binds
        self._doors: list[Door] = []
        try:
            self.door = self._listen(here.client_port, Door)
            self._peers = self._entrance(
                zmq.ROUTER, here.peer_port, self._listen(here.peer_port, _door_of_peers),
                limits.peer_message_bytes_max, zap.PEERS,
            )  # fmt: skip
            self._beats_out = self._entrance(
                zmq.PUB, here.beat_port, self._listen(here.beat_port, _door_of_peers), SUBSCRIPTION_BYTES_MAX, zap.BEATS
            )
            self._clients = self._entrance(
                zmq.ROUTER, here.client_port, self.door, limits.client_message_bytes_max, zap.CLIENTS
            )
        except HfzmqError:
            self.close()
            raise
        self.door.inner = tuple(self._doors[1:])
        self.links = Links(self._context, config, me, counters, keyring)
        self.answers = self._context.socket(zmq.PAIR)  # the query thread's answers come in here
        self.answers.bind("inproc://answers")
        for socket in (self.links.beats_in, self.answers, *([self.zap.socket] if self.zap else [])):
            self.poller.register(socket, zmq.POLLIN)

    @property
    def peers(self) -> zmq.Socket[bytes]:
        """Where other peers' messages come in."""
        return self._peers.socket

    @property
    def clients(self) -> zmq.Socket[bytes]:
        """Where clients ask."""
        return self._clients.socket

    def answers_sender(self) -> zmq.Socket[bytes]:
        """The other end of ``answers``, for the query thread to own."""
        sender: zmq.Socket[bytes] = self._context.socket(zmq.PAIR)
        sender.setsockopt(zmq.LINGER, 0)
        sender.connect("inproc://answers")
        return sender

    # ------------------------------------------------------------ keys

    def take(self, socket: zmq.Socket[bytes]) -> tuple[list[bytes], str]:
        """A message of ``peers`` or ``clients``, and its key ('' where there are no keys). zmq.Again: there is none,
        or one without end, because of which everybody has to connect anew: ZeroMQ skips no part of a message."""
        try:
            return curve.take(socket, self._keyring is not None)
        except curve.Endless:
            self._counters["message_of_too_many_parts"] += 1
            entrance = self._peers if socket is self.peers else self._clients
            entrance.renew()
            raise zmq.Again from None

    def mute_the_revoked(self) -> None:
        """A peer's key is out of force: whoever listens to the heartbeats has to show a key again."""
        self._beats_out.renew()

    # ------------------------------------------------------------ sending

    def publish(self, frame: bytes) -> None:
        """To every peer that listens."""
        try:
            self._beats_out.socket.send(frame, zmq.DONTWAIT)
        except zmq.Again:
            self._counters["heartbeat_not_sent"] += 1

    def answer(self, frames: list[bytes]) -> None:
        """To the client whose routing id is the first frame."""
        clients = self.clients
        try:
            for part in frames[:-1]:
                clients.send(part, DONTWAIT_MORE)  # it is the first one that is refused, or none
            clients.send(frames[-1], DONTWAIT)
        except zmq.Again:
            self._counters["client_answer_dropped"] += 1
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._counters["client_gone"] += 1

    def has_visitors(self, ready: Container[object]) -> bool:
        """Whether somebody was let in, as the poller tells."""
        return any(entrance.monitor in ready for entrance in (self._clients, self._peers, self._beats_out))

    def mind_the_door(self, now_ms: float) -> None:
        """Let no more in than there are descriptors for."""
        came = sum(entrance.came() for entrance in (self._clients, self._peers, self._beats_out))
        was_shut = self.door.shut
        self.door.look(now_ms, came)
        self._counters["client_door_shut"] += self.door.shut and not was_shut

    def mind_the_weight(self, now_ms: float) -> None:
        """Where memory grows without bound, whatever others have made this process hold for them goes: everybody out.
        Who is welcome comes back by itself."""
        if not self._weight.is_too_much(now_ms):
            return
        self._counters["connections_put_out"] += 1
        log.warning("memory has grown by %d MiB: everybody has to connect anew", self._weight.grown_mib)
        for entrance in (self._beats_out, self._peers, self._clients):
            entrance.renew()

    # ------------------------------------------------------------ construction

    def close(self) -> None:
        """Close everything; what was not sent is dropped."""
        self._close_doors()
        self._context.destroy(linger=0)

    def flush_and_close(self, linger_ms: int) -> None:
        """Close everything, giving the last answers so long to leave."""
        self._close_doors()
        self._clients.close(linger_ms)
        self._beats_out.close(linger_ms)
        self.links.close(linger_ms)
        self._peers.close(0)
        for socket in (self.answers, *([self.zap.socket] if self.zap else [])):
            socket.close(0)
        # A read that hangs still holds the query thread's socket, and ``term`` waits for it: the process ends anyway.
        ending = threading.Thread(target=self._context.term, name="ending", daemon=True)
        ending.start()
        ending.join(linger_ms / 1000 + 1)

    def _close_doors(self) -> None:
        for door in self._doors:
            door.close()

    def _listen(self, port: int, make: Callable[[str, int], Door]) -> Door:
        host = self._config.peer(self._me).host
        try:
            self._doors.append(make(host, port))
        except OSError as error:
            raise self._cannot_listen(host, port, error.errno, error.strerror) from None
        return self._doors[-1]

    def _cannot_listen(self, host: str, port: int, number: int | None, why: str | None) -> HfzmqError:
        here, file = self._config.peer(self._me), self._config.path or "peers.yaml"
        name = next((name for name, value in here._asdict().items() if value == port), "port")
        which = f"{host}:{port}, {name} of peer {self._me}"
        if number == zmq.EADDRINUSE:
            return PortInUse(
                f"{which}: in use by another process",
                hint=f"is this peer running already? who has it: ss -ltnp 'sport = :{port}'; other ports: {file}, on "
                "all machines",
            )
        hint = f"is this the machine of peer {self._me}? its host in {file} must be an address of this machine"
        return HfzmqError(f"{which}: cannot listen there: {why}", hint=hint)

    def _entrance(self, kind: int, port: int, door: Door, size_max: int, domain: bytes) -> Entrance:
        host = self._config.peer(self._me).host
        where = f"tcp://{bracketed(host)}:{port}"
        try:
            return Entrance(door, where, lambda: self._server(kind, size_max, domain), self.poller, kind == zmq.ROUTER)
        except zmq.ZMQError as error:
            raise self._cannot_listen(host, port, error.errno, error.strerror) from None

    def _server(self, kind: int, size_max: int, domain: bytes) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        common(socket)
        if self._keyring is not None:
            curve.serve(socket, self._keyring.own, domain)
        if domain == zap.CLIENTS:
            socket.setsockopt(zmq.AFFINITY, CLIENTS_THREAD)
        if kind == zmq.ROUTER:
            queue = CLIENT_QUEUE_MESSAGES if domain == zap.CLIENTS else PEER_QUEUE_MESSAGES
            socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
            socket.setsockopt(zmq.SNDHWM, queue)
            socket.setsockopt(zmq.RCVHWM, queue)
        else:
            socket.setsockopt(zmq.SNDHWM, HEARTBEAT_QUEUE_MESSAGES)
        socket.setsockopt(zmq.MAXMSGSIZE, size_max)  # it holds before a handshake, too
        return socket


def _door_of_peers(host: str, port: int) -> Door:
    return Door(host, port, "peers", RESERVE_OF_PEERS, BACKLOG_OF_PEERS)
