"""Links between real peers that a test can cut: one small TCP relay for each direction in which a peer connects.

A cut link swallows nothing and answers nothing (like an unplugged cable); mending closes what hung, so that both sides
connect anew. One thread relays everything.
"""

from __future__ import annotations

import selectors
import socket
import threading

CHUNK_BYTES = 65_536


class Relay:
    """Listens on ``port`` of the loopback and relays to ``target``."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.port: int = self.listener.getsockname()[1]
        self.cut = False
        self.pairs: dict[socket.socket, socket.socket] = {}


class Links:
    """All relays of a mesh, by (from, to, port of the target)."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._relays: dict[tuple[int, int, int], Relay] = {}
        self._lock = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, daemon=True)

    def add(self, source: int, target: int, target_port: int) -> int:
        """A relay for what ``source`` connects to at ``target``; returns its port."""
        relay = Relay(target_port)
        self._relays[(source, target, target_port)] = relay
        self._selector.register(relay.listener, selectors.EVENT_READ, relay)
        return relay.port

    def start(self) -> None:
        """Begin to relay."""
        self._thread.start()

    def split(self, one: set[int], other: set[int]) -> None:
        """Nothing passes between the two groups any more."""
        with self._lock:
            for (source, target, _), relay in self._relays.items():
                if (source in one and target in other) or (source in other and target in one):
                    relay.cut = True
                    for end in relay.pairs:
                        self._unregister(end)  # what nobody reads must not keep the selector busy

    def mend(self) -> None:
        """Everything passes again; what hung is closed and connects anew."""
        with self._lock:
            for relay in self._relays.values():
                if relay.cut:
                    relay.cut = False
                    for end in list(relay.pairs):
                        self._drop(relay, end)

    def close(self) -> None:
        """Stop relaying."""
        self._stopping = True
        self._thread.join(5)
        for relay in self._relays.values():
            relay.listener.close()
            for end in list(relay.pairs):
                end.close()

    def _work(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select(0.05):
                with self._lock:
                    relay: Relay = key.data
                    if key.fileobj is relay.listener:
                        self._accept(relay)
                    elif not relay.cut:
                        self._pass_on(relay, key.fileobj)  # type: ignore[arg-type]

    def _accept(self, relay: Relay) -> None:
        try:
            near, _ = relay.listener.accept()
        except OSError:
            return
        try:
            far = socket.create_connection(("127.0.0.1", relay.target), 1) if not relay.cut else None
        except OSError:
            far = None
        if far is None:
            near.close()
            return
        for one, other in ((near, far), (far, near)):
            relay.pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ, relay)

    def _pass_on(self, relay: Relay, end: socket.socket) -> None:
        if end not in relay.pairs:
            return
        try:
            data = end.recv(CHUNK_BYTES)
            if data:
                relay.pairs[end].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(relay, end)

    def _drop(self, relay: Relay, end: socket.socket) -> None:
        for one in (end, relay.pairs.get(end)):
            if one is not None and relay.pairs.pop(one, None) is not None:
                self._unregister(one)
                one.close()

    def _unregister(self, end: socket.socket) -> None:
        if end in self._selector.get_map():
            self._selector.unregister(end)
