"""The daemon's sockets: three to bind, one DEALER and one subscription for each other peer.

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
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable

import zmq

from hfzmq.config import Config, PeerAddress
from hfzmq.daemon import curve, zap
from hfzmq.daemon.clocks import monotonic_ms
from hfzmq.daemon.door import BACKLOG_OF_PEERS, RESERVE_OF_PEERS, Door
from hfzmq.daemon.entrance import Entrance, scatter_routing_ids
from hfzmq.daemon.keyring import Keyring
from hfzmq.daemon.refused import Refused
from hfzmq.daemon.weight import Weight
from hfzmq.errors import HfzmqError, PortInUse

SEND_QUEUE_MESSAGES = 64
HEARTBEAT_QUEUE_MESSAGES = 10
PEER_QUEUE_MESSAGES = 128  # from one peer; more than it has under way
CLIENT_QUEUE_MESSAGES = 16  # of one client, each way: an honest one has one under way
BEAT_BYTES_MAX = 4096
SUBSCRIPTION_BYTES_MAX = 512  # a handshake takes 300
KNOWN_MAX = 128  # peers that are spoken to, members or not
MOVES_EVERY_MS = 1000  # so often at most somebody who is no member is believed to be elsewhere now
BEATS = "beats"  # the name of the subscription among the watched
PEERS_THREAD, CLIENTS_THREAD = 1, 2  # of ZeroMQ: what floods the clients' port leaves the peers alone

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
        self._dealers: dict[int, zmq.Socket[bytes]] = {}
        self._refused = Refused()
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
        self.beats_in = self._context.socket(zmq.SUB)
        self._common(self.beats_in)
        self.beats_in.setsockopt(zmq.RCVHWM, 8 * HEARTBEAT_QUEUE_MESSAGES)
        self.beats_in.setsockopt(zmq.MAXMSGSIZE, BEAT_BYTES_MAX)
        self.beats_in.setsockopt(zmq.SUBSCRIBE, b"")
        if keyring is not None:
            self._refused.watch(BEATS, self.beats_in)
        self.answers = self._context.socket(zmq.PAIR)  # the query thread's answers come in here
        self.answers.bind("inproc://answers")
        for socket in (self.beats_in, self.answers, *([self.zap.socket] if self.zap else [])):
            self.poller.register(socket, zmq.POLLIN)
        self._addresses: dict[int, PeerAddress] = {}  # of whom this peer speaks to
        self._listening: dict[int, PeerAddress] = {}  # of whom it hears the heartbeats
        self._acquainted_ms: dict[int, float] = {}  # when, with those who are no members
        self._shown: dict[int, str] = {}  # the keys that they were expected to serve with
        self.connect(config.peers)

    @property
    def peers(self) -> zmq.Socket[bytes]:
        """Where other peers' messages come in."""
        return self._peers.socket

    @property
    def clients(self) -> zmq.Socket[bytes]:
        """Where clients ask."""
        return self._clients.socket

    def connect(self, peers: Iterable[PeerAddress]) -> None:
        """Speak and listen to these, and to nobody else; whoever has left can still be told so. A connection stays as
        long as the key that it was made for is in force, also when there is a newer one: a peer serves with the newer
        one from its next start on."""
        wanted = {peer.id: peer for peer in peers if peer.id != self._me and self._can_show(peer.id)}
        changed = {peer for peer, key in self._shown.items() if self._peer_of(key) != peer}
        for peer, address in list(self._listening.items()):
            if wanted.get(peer) != address or peer in changed:
                self.beats_in.disconnect(_beats_of(address))
                del self._listening[peer]
        for peer in changed & self._dealers.keys():
            self._close_dealer(peer)
            self._addresses.pop(peer, None)
        for peer, address in wanted.items():
            if self._addresses.get(peer) != address:
                self._close_dealer(peer)
                self._addresses[peer] = address
                self._dealers[peer] = self._dealer(address)
            if peer not in self._listening:
                self._listen_to(address)
                self._listening[peer] = address

    def acquaint(self, address: PeerAddress) -> None:
        """Be able to answer somebody who is no member as far as this peer knows; of these a bounded number."""
        if address.id == self._me or address.id in self._listening or self._addresses.get(address.id) == address:
            return
        if address.id not in self._addresses and len(self._addresses) >= KNOWN_MAX:
            return
        now_ms = monotonic_ms()
        if not self._can_show(address.id) or now_ms - self._acquainted_ms.get(address.id, -math.inf) < MOVES_EVERY_MS:
            return
        self._acquainted_ms[address.id] = now_ms
        self._close_dealer(address.id)
        self._addresses[address.id] = address
        self._dealers[address.id] = self._dealer(address)

    def answers_sender(self) -> zmq.Socket[bytes]:
        """The other end of ``answers``, for the query thread to own."""
        sender: zmq.Socket[bytes] = self._context.socket(zmq.PAIR)
        sender.setsockopt(zmq.LINGER, 0)
        sender.connect("inproc://answers")
        return sender

    # ------------------------------------------------------------ keys

    def take(self, socket: zmq.Socket[bytes]) -> tuple[list[bytes], str]:
        """A message of ``peers`` or ``clients``, and the key it came with ('' where there are no keys). zmq.Again."""
        return curve.take(socket, self._keyring is not None)

    def mute_the_revoked(self) -> None:
        """A peer's key is out of force: whoever listens to the heartbeats has to show a key again."""
        self._beats_out.renew()

    def make_refused_anew(self, now_ms: float) -> None:
        """Try again where the other side would not have this peer: its key may have been issued by now."""
        known = set(self._refused.why)
        for name, endpoint in self._refused.look(now_ms):
            if name == BEATS:
                for address in self._listening.values():
                    if _beats_of(address) == endpoint:
                        self.beats_in.disconnect(endpoint)
                        self._listen_to(address)
            elif isinstance(name, int) and name in self._dealers:
                self._close_dealer(name)
                self._dealers[name] = self._dealer(self._addresses[name])
        for key in set(self._refused.why) - known:
            log.warning("%s does not let this peer in: %s", key[1], self._refused.why[key])

    def _key_of(self, peer: int) -> str | None:
        return None if self._keyring is None else self._keyring.in_force.key_of(peer)

    def _peer_of(self, key: str) -> int:
        return 0 if self._keyring is None else self._keyring.peer_of(key)

    def _can_show(self, peer: int) -> bool:
        """Whether there is a key by which ``peer`` is known; always without keys."""
        return self._keyring is None or self._key_of(peer) is not None

    def _show(self, socket: zmq.Socket[bytes], peer: int) -> None:
        key = self._key_of(peer)
        if self._keyring is not None and key is not None:
            curve.show(socket, self._keyring.own, key)
            self._shown[peer] = key

    # ------------------------------------------------------------ sending

    def send(self, peer: int, frame: bytes) -> None:
        """To one peer, or nowhere."""
        if len(frame) > self._config.limits.peer_message_bytes_max:
            self._counters["peer_message_too_large"] += 1
            return
        dealer = self._dealers.get(peer)
        if dealer is None:
            self._counters["peer_message_to_nobody"] += 1
            return
        try:
            dealer.send(frame, zmq.DONTWAIT)
        except zmq.Again:
            self._counters["peer_message_not_sent"] += 1

    def publish(self, frame: bytes) -> None:
        """To every peer that listens."""
        try:
            self._beats_out.socket.send(frame, zmq.DONTWAIT)
        except zmq.Again:
            self._counters["heartbeat_not_sent"] += 1

    def answer(self, frames: list[bytes]) -> None:
        """To the client whose routing id is the first frame."""
        try:
            self.clients.send_multipart(frames, zmq.DONTWAIT)
        except zmq.Again:
            self._counters["client_answer_dropped"] += 1
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._counters["client_gone"] += 1

    def renew(self, peer: int) -> None:
        """A peer was judged dead: its DEALER goes with everything that waits in it; its heartbeats too."""
        address = self._addresses.get(peer)
        if address is None:
            return  # it has no key any more
        self._close_dealer(peer)
        self._dealers[peer] = self._dealer(address)
        if peer in self._listening:
            self.beats_in.disconnect(_beats_of(address))
            self._listen_to(address)

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
        self._refused.close()
        self._clients.close(linger_ms)
        self._beats_out.close(linger_ms)
        for dealer in self._dealers.values():
            dealer.close(linger_ms)
        self._peers.close(0)
        for socket in (self.beats_in, self.answers, *([self.zap.socket] if self.zap else [])):
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
        where = f"tcp://{_bracketed(host)}:{port}"
        try:
            return Entrance(door, where, lambda: self._server(kind, size_max, domain), self.poller, kind == zmq.ROUTER)
        except zmq.ZMQError as error:
            raise self._cannot_listen(host, port, error.errno, error.strerror) from None

    def _server(self, kind: int, size_max: int, domain: bytes) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        self._common(socket)
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

    def _dealer(self, peer: PeerAddress) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        self._common(socket)
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.SNDHWM, SEND_QUEUE_MESSAGES)
        self._show(socket, peer.id)
        if self._keyring is not None:
            self._refused.watch(peer.id, socket)
        socket.connect(f"tcp://{_bracketed(peer.host)}:{peer.peer_port}")
        return socket

    def _close_dealer(self, peer: int) -> None:
        dealer = self._dealers.pop(peer, None)
        if dealer is not None:
            if self._keyring is not None:
                dealer.disable_monitor()
                self._refused.forget(peer)
            dealer.close(0)

    def _listen_to(self, address: PeerAddress) -> None:
        self._show(self.beats_in, address.id)
        self.beats_in.connect(_beats_of(address))

    def _common(self, socket: zmq.Socket[bytes]) -> None:
        socket.setsockopt(zmq.AFFINITY, PEERS_THREAD)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        socket.setsockopt(zmq.CONNECT_TIMEOUT, 2000)
        # Never ZMTP heartbeats: with a full receive queue they abort the process (libzmq issues 3937, 4364, 4767; seen
        # here after SIGSTOP and SIGCONT). Half-open TCP is found by keep-alive and by the mesh's own heartbeats.
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 10)
        socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 5)
        socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)
        socket.setsockopt(zmq.IPV6, 1)


def _door_of_peers(host: str, port: int) -> Door:
    return Door(host, port, "peers", RESERVE_OF_PEERS, BACKLOG_OF_PEERS)


def _beats_of(peer: PeerAddress) -> str:
    return f"tcp://{_bracketed(peer.host)}:{peer.beat_port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
