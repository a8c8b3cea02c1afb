"""Links between peers that can be cut: one TCP relay for each direction in which a peer connects to another.

Touches sockets of 127.0.0.1, in a thread of its own. Must not know: what passes through. Keeps: a cut link is an
unplugged cable: it closes nothing, answers nothing and passes nothing on; what was under way arrives late, when it is
mended. That is the harder case for whoever sits at the ends, and the true one.

    listening --somebody connects--> connecting to the target --> passing on, both ways <--cut, mend--> holding
                                            |                           |
                                            +-- refused ----------------+-- one end closed --> both closed
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import threading
from collections.abc import Set as AbstractSet

CHUNK_BYTES = 65_536
HELD_BYTES_MAX = 1 << 20  # read from one end and not yet taken by the other
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
UNDER_WAY = (0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR)


class _Relay:
    """What ``source`` opens towards ``target``."""

    def __init__(self, source: int, target: int, target_port: int) -> None:
        self.source = source
        self.target = target
        self.target_port = target_port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.cut = False

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.listener.getsockname()[1])


class _End:
    """One socket of a connection; ``waiting`` is what it still has to take from ``other``."""

    other: _End

    def __init__(self, relay: _Relay, sock: socket.socket, connected: bool) -> None:
        self.relay = relay
        self.sock = sock
        self.connected = connected
        self.waiting = bytearray()

    @property
    def wants(self) -> int:
        """The events that this end waits for now."""
        if self.relay.cut:
            return 0
        if not self.connected:
            return WRITE
        room = self.other.connected and len(self.other.waiting) < HELD_BYTES_MAX
        return (READ if room else 0) | (WRITE if self.waiting else 0)


class Links:
    """All relays of a mesh. ``add`` them, then ``start``; ``split`` and ``mend`` at any time; ``close`` at the end."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._relays: list[_Relay] = []
        self._ends: set[_End] = set()
        self._mutex = threading.Lock()
        self._stopping = False
        self._wake_out, self._wake_in = os.pipe()
        self._selector.register(self._wake_out, READ, None)
        self._thread = threading.Thread(target=self._work, name="links", daemon=True)

    def add(self, source: int, target: int, target_port: int) -> int:
        """A relay for what peer ``source`` connects to at ``target``; returns the port to connect to."""
        relay = _Relay(source, target, target_port)
        self._relays.append(relay)
        self._selector.register(relay.listener, READ, relay)
        return relay.port

    def start(self) -> None:
        """Begin to relay."""
        self._thread.start()

    def split(self, one: AbstractSet[int], other: AbstractSet[int]) -> None:
        """Nothing passes between the two groups from now on."""
        with self._mutex:
            for relay in self._relays:
                relay.cut = (relay.source in one and relay.target in other) or (
                    relay.source in other and relay.target in one
                )
            self._watch_all()

    def mend(self) -> None:
        """Everything passes again, what was held first."""
        self.split(frozenset(), frozenset())

    def close(self) -> None:
        """Stop relaying and close everything. Twice is harmless."""
        if self._stopping:
            return
        self._stopping = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join(5)
        for end in list(self._ends):
            self._drop(end)
        for relay in self._relays:
            relay.listener.close()
        self._selector.close()
        os.close(self._wake_in)
        os.close(self._wake_out)

    # ------------------------------------------------------------------------------------------------- in the thread

    def _work(self) -> None:
        while not self._stopping:
            for key, events in self._selector.select():
                with self._mutex:
                    if key.data is None:
                        os.read(self._wake_out, 64)
                    elif isinstance(key.data, _Relay):
                        self._accept(key.data)
                    elif key.data in self._ends:
                        self._serve(key.data, events)

    def _accept(self, relay: _Relay) -> None:
        if relay.cut:  # its first bytes wait for the mending with all others
            return
        try:
            near, _ = relay.listener.accept()
        except OSError:
            return
        far = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        one, other = _End(relay, near, True), _End(relay, far, False)
        one.other, other.other = other, one
        for end in (one, other):
            end.sock.setblocking(False)
            end.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._ends.add(end)
        if far.connect_ex(("127.0.0.1", relay.target_port)) not in UNDER_WAY:
            self._drop(one)
            return
        self._watch(one, other)

    def _serve(self, end: _End, events: int) -> None:
        if end.relay.cut:
            return
        try:
            if not end.connected:
                failure = end.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if failure:
                    raise OSError(failure, "refused")
                end.connected = True
            elif events & WRITE and end.waiting:
                del end.waiting[: end.sock.send(end.waiting)]
            if events & READ:
                data = end.sock.recv(CHUNK_BYTES)
                if not data:
                    raise OSError(errno.ECONNRESET, "closed")
                end.other.waiting += data
        except BlockingIOError:
            pass
        except OSError:
            self._drop(end)
            return
        self._watch(end, end.other)

    def _drop(self, end: _End) -> None:
        for one in (end, end.other):
            if one in self._ends:
                self._ends.remove(one)
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(one.sock)
                one.sock.close()

    def _watch(self, *ends: _End) -> None:
        for end in ends:
            watched = end.sock in self._selector.get_map()
            if end.wants and watched:
                self._selector.modify(end.sock, end.wants, end)
            elif end.wants:
                self._selector.register(end.sock, end.wants, end)
            elif watched:
                self._selector.unregister(end.sock)

    def _watch_all(self) -> None:
        self._watch(*self._ends)
        for relay in self._relays:
            watched = relay.listener in self._selector.get_map()
            if relay.cut and watched:
                self._selector.unregister(relay.listener)
            elif not relay.cut and not watched:
                self._selector.register(relay.listener, READ, relay)
        self._wake()

    def _wake(self) -> None:
        os.write(self._wake_in, b"!")
