"""Links between real peers that can be hurt message by message: a relay for each port that a peer connects to.

    peer a (DEALER, SUB) --TCP--> relay --TCP--> peer b (ROUTER, PUB)

Touches sockets; one thread relays everything. Must not know: daemons, what messages mean. With a ``Network`` each relay
stands inside the connecting peer's namespace, so that pulled cables and blackholes hurt what it sends, too.

Keeps: of what peer a tells peer b, whole messages are lost, doubled, late or overtaken, as the weather says; the
greeting and commands always pass in order, so that a connection lives on. ``stall`` holds every byte back both ways (a
cable); ``reset`` ends connections with RST.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterable
from typing import Any

from tests.nemesis.netns import Network
from tests.nemesis.weather import CALM, Air, Weather
from tests.nemesis.zmtp import Splitter

CHUNK_BYTES = 1 << 16
BACKLOG_BYTES = 1 << 20  # beyond it the sender is not read from: it feels that nothing gets through
TURN_S = 0.05
TALKS, LISTENS = "talks", "listens"  # who speaks: the side that connects (DEALER), or the other one (PUB)


class Relay:
    """What ``source`` connects to at ``target``: ``address``. ``voice`` tells which side's messages have weather."""

    def __init__(self, source: int, target: int, address: tuple[str, int], voice: str, net: Network | None) -> None:
        self.source, self.target, self.address, self.voice, self.net = source, target, address, voice, net
        self.listener = net.listener(source) if net else socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.port: int = self.listener.getsockname()[1]
        self.way = (source, target) if voice == TALKS else (target, source)  # of the messages
        self.air = Air(f"{source} {target} {voice}")
        self.stalled = False
        self.pairs: list[Pair] = []

    def far_socket(self) -> socket.socket:
        """An unconnected socket on the connecting peer's machine."""
        return self.net.stream(self.source) if self.net else socket.socket()


class End:
    """One side of a connection."""

    def __init__(self, pair: Pair, sock: socket.socket, speaks: bool) -> None:
        self.pair, self.sock, self.speaks = pair, sock, speaks
        self.splitter = Splitter()
        self.out = bytearray()
        self.open = True  # False while it is still connecting

    @property
    def other(self) -> End:
        """The other side."""
        return self.pair.far if self is self.pair.near else self.pair.near


class Pair:
    """A connection from the source through the relay to the target."""

    def __init__(self, relay: Relay, near: socket.socket, far: socket.socket) -> None:
        self.relay = relay
        self.near = End(self, near, relay.voice == TALKS)
        self.far = End(self, far, relay.voice == LISTENS)
        self.far.open = False
        self.ready = False  # once a message has come through: then echoes may go here

    @property
    def hearer(self) -> End:
        """The side that the messages with weather go to."""
        return self.far if self.near.speaks else self.near


class Proxy:
    """All relays of a mesh. Everything public may be called from any thread."""

    def __init__(self, net: Network | None = None) -> None:
        self._net = net
        self._selector = selectors.DefaultSelector()
        self._relays: list[Relay] = []
        self._lock = threading.RLock()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="proxy", daemon=True)

    def add(self, source: int, target: int, address: tuple[str, int], voice: str) -> int:
        """A relay; returns the port that ``source`` must connect to on 127.0.0.1."""
        relay = Relay(source, target, address, voice, self._net)
        self._relays.append(relay)
        self._selector.register(relay.listener, selectors.EVENT_READ, relay)
        return relay.port

    def start(self) -> None:
        """Begin to relay."""
        self._thread.start()

    # ------------------------------------------------------------ faults

    def _of(self, ways: Iterable[tuple[int, int]]) -> list[Relay]:
        wanted = set(ways)
        return [relay for relay in self._relays if relay.way in wanted]

    def weather(self, ways: Iterable[tuple[int, int]], weather: Weather) -> None:
        """From now on, for messages on these ways, each (from, to)."""
        with self._lock:
            for relay in self._of(ways):
                relay.air.weather = weather

    def stall(self, ways: Iterable[tuple[int, int]]) -> None:
        """Nothing passes on these ways' connections, in neither direction, and nobody is told."""
        with self._lock:
            for relay in self._of(ways):
                relay.stalled = True
                for pair in relay.pairs:
                    self._watch(pair)

    def reset(self, ways: Iterable[tuple[int, int]]) -> int:
        """End the connections of these ways at once; how many."""
        with self._lock:
            pairs = [pair for relay in self._of(ways) for pair in relay.pairs]
            for pair in pairs:
                self._drop(pair, reset=True)
            return len(pairs)

    def mend(self) -> None:
        """Calm weather, nothing late in the air any more; what was stalled is closed and connects anew."""
        with self._lock:
            for relay in self._relays:
                relay.air.weather = CALM
                relay.air.clear()
                if relay.stalled:
                    relay.stalled = False
                    for pair in list(relay.pairs):
                        self._drop(pair)

    def close(self) -> None:
        """Stop relaying."""
        self._stopping = True
        if self._thread.is_alive():
            self._thread.join(5)
        for relay in self._relays:
            relay.listener.close()
            for pair in list(relay.pairs):
                self._drop(pair)
        self._selector.close()

    # ------------------------------------------------------------ the thread

    def _work(self) -> None:
        while not self._stopping:
            ready = self._selector.select(self._wait_s())
            with self._lock:
                for key, events in ready:
                    self._handle(key.data, events)
                now = time.monotonic()
                for relay in self._relays:
                    self._land(relay, now)

    def _wait_s(self) -> float:
        with self._lock:
            due = [relay.air.due for relay in self._relays if relay.air.due is not None and not relay.stalled]
        return max(0.0, min([TURN_S, *(moment - time.monotonic() for moment in due)]))

    def _handle(self, thing: Relay | End, events: int) -> None:
        if isinstance(thing, Relay):
            self._accept(thing)
            return
        pair = thing.pair
        if pair not in pair.relay.pairs or pair.relay.stalled:
            return  # it has ended in this very turn
        try:
            if not thing.open:
                self._connected(thing)
            if events & selectors.EVENT_WRITE and thing.out:
                del thing.out[: thing.sock.send(thing.out)]
            if events & selectors.EVENT_READ and not self._read(thing):
                self._drop(pair)
                return
        except BlockingIOError:
            pass
        except OSError:
            self._drop(pair)
            return
        self._watch(pair)

    def _accept(self, relay: Relay) -> None:
        try:
            near, _ = relay.listener.accept()
        except OSError:
            return
        far = relay.far_socket()
        for sock in (near, far):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if far.connect_ex(relay.address) not in (0, errno.EINPROGRESS):
            near.close()
            far.close()
            return
        pair = Pair(relay, near, far)
        relay.pairs.append(pair)
        self._watch(pair)

    def _connected(self, end: End) -> None:
        error = end.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, "connect")
        end.open = True

    def _read(self, end: End) -> bool:
        data = end.sock.recv(CHUNK_BYTES)
        if not data:
            return False
        if not end.speaks:
            end.other.out += data
            return True
        for piece in end.splitter.feed(data):
            if piece.message:
                end.pair.ready = True
                end.pair.relay.air.take(time.monotonic(), piece.data)
            else:
                end.other.out += piece.data
        return True

    def _land(self, relay: Relay, now: float) -> None:
        """Messages whose time has come go out on the newest connection; without one they are lost."""
        if relay.stalled:
            return
        pairs = [pair for pair in relay.pairs if pair.ready]
        for message in relay.air.landed(now):
            if pairs:
                pairs[-1].hearer.out += message
        for pair in pairs[-1:]:
            self._watch(pair)

    def _watch(self, pair: Pair) -> None:
        """Tell the selector what is worth knowing about both sides."""
        for end in (pair.near, pair.far):
            wanted = 0
            if not pair.relay.stalled:
                if not end.open or end.out:
                    wanted |= selectors.EVENT_WRITE
                if pair.far.open and len(end.other.out) < BACKLOG_BYTES:
                    wanted |= selectors.EVENT_READ
            known: Any = self._selector.get_map().get(end.sock)
            if known is None and wanted:
                self._selector.register(end.sock, wanted, end)
            elif known is not None and not wanted:
                self._selector.unregister(end.sock)
            elif known is not None and known.events != wanted:
                self._selector.modify(end.sock, wanted, end)

    def _drop(self, pair: Pair, reset: bool = False) -> None:
        with contextlib.suppress(ValueError):
            pair.relay.pairs.remove(pair)
        for end in (pair.near, pair.far):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(end.sock)
            if reset:
                with contextlib.suppress(OSError):
                    end.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.sock.close()
