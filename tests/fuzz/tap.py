"""A tap on one port: whoever connects through it is passed on, and every byte that comes back is counted.

Touches TCP, a thread. Must not know: what the bytes mean.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

WAIT_S = 0.05


class Tap:
    """In front of ``host``:``port``, on ``self.port``. ``back``: bytes that came from there, for each connection in its
    order; ``ended``: those that were closed by either side."""

    def __init__(self, host: str, port: int) -> None:
        self.back: list[int] = []
        self.ended = 0
        self._there = (host, port)
        self._here = socket.create_server((host, 0))
        self._here.setblocking(False)
        self.port = int(self._here.getsockname()[1])
        self._selector = selectors.DefaultSelector()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tap", daemon=True)

    def __enter__(self) -> Tap:
        self._selector.register(self._here, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(self, *about: object) -> None:
        self._over.set()
        self._thread.join(5)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]  # all of them are sockets
        self._selector.close()

    def _work(self) -> None:
        while not self._over.is_set():
            for key, _ in self._selector.select(WAIT_S):
                if key.data is None:
                    self._let_in()
                elif key.data[0].fileno() >= 0:  # it was not closed together with its other half a moment ago
                    self._pass(*key.data)

    def _let_in(self) -> None:
        with contextlib.suppress(OSError):
            near, _ = self._here.accept()
            far = socket.create_connection(self._there, timeout=1)
            self.back.append(0)
            for source, sink, number in ((near, far, -1), (far, near, len(self.back) - 1)):
                self._selector.register(source, selectors.EVENT_READ, (source, sink, number))

    def _pass(self, source: socket.socket, sink: socket.socket, number: int) -> None:
        try:
            data = source.recv(1 << 16)
            if number >= 0:
                self.back[number] += len(data)
            if data:
                sink.sendall(data)
                return
        except OSError:
            pass
        for one in (source, sink):
            self._selector.unregister(one)
            one.close()
        self.ended += 1
