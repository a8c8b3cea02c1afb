"""A small HTTP desk beside the mesh: /healthz, /readyz, /metrics.

    /healthz  200 while the loop turns, else 503                        (restart it, if this lasts)
    /readyz   200 while the peer is of use, else 503, a reason a line   (send clients elsewhere)
    /metrics  for Prometheus

Touches one TCP port, threads of its own. Must not know: the loop, the disk; it looks at what the loop has published.
Keeps: whoever asks, however badly, takes nothing from the mesh: at most CONNECTIONS_MAX at once, REQUEST_BYTES_MAX from
each, CONNECTION_S for each from the first byte to the last.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hfzmq.daemon.metrics import CONTENT_TYPE, Exposition
from hfzmq.daemon.readiness import dead_because, unready_because
from hfzmq.daemon.socket_options import bracketed
from hfzmq.daemon.vitals import Vitals
from hfzmq.errors import HfzmqError, PortInUse

CONNECTIONS_MAX = 8
REQUEST_BYTES_MAX = 8192
CONNECTION_S = 5.0
IDLE_S = 0.5  # who has asked nothing for so long gives its place to the next, where there are too many
LOOK_S = 0.2  # at connections that have lasted too long
TEXT = "text/plain; charset=utf-8"

log = logging.getLogger("hfzmq.health")


class HealthDesk:
    """Listens on ``host``:``port`` (0: any) for ``vitals``. PortInUse or HfzmqError where it cannot."""

    def __init__(self, vitals: Vitals, host: str, port: int) -> None:
        try:
            self._server = _Server(host, port, vitals)
        except OSError as error:
            raise _cannot_listen(host, port, error) from None
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(LOOK_S,), name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more; whoever is being answered is cut off."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(2 * LOOK_S)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = CONNECTIONS_MAX

    def __init__(self, host: str, port: int, vitals: Vitals) -> None:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        self.address_family = family
        self.vitals = vitals
        self.exposition = Exposition(vitals)
        self._until: dict[Any, float] = {}  # connections, the oldest first, and when each must be over
        self._asked: set[Any] = set()  # of them those that have asked something
        self._lock = threading.Lock()
        super().__init__((str(place[0]), int(place[1])), _Handler)

    def server_bind(self) -> None:
        """As a plain TCP server does: http.server would ask DNS for a name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def get_request(self) -> tuple[Any, Any]:
        """The next connection; where there are no descriptors for it, not at once again."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(LOOK_S)
            raise

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Let it in; where there are enough, in the place of one that has asked nothing for IDLE_S, if there is one."""
        now = time.monotonic()
        with self._lock:
            if len(self._until) >= CONNECTIONS_MAX:
                since = now + CONNECTION_S - IDLE_S
                idle = next(
                    (one for one, until in self._until.items() if one not in self._asked and until < since), None
                )
                if idle is None:
                    return False
                del self._until[idle]
                _cut_off(idle)
            self._until[request] = now + CONNECTION_S
            return True

    def asked(self, request: Any) -> None:
        """It has asked something, and is answered."""
        with self._lock:
            self._asked.add(request)

    def shutdown_request(self, request: Any) -> None:
        """It is over."""
        with self._lock:
            self._until.pop(request, None)
            self._asked.discard(request)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off who takes too long, a byte at a time or none."""
        now = time.monotonic()
        with self._lock:
            for request, until in self._until.items():
                if now > until:
                    _cut_off(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who has gone away is nobody's business; all else is one line."""
        error = sys.exc_info()[1]
        if not isinstance(error, (OSError, ValueError)):
            log.error("a health check failed: %r", error)


class _Bounded(io.RawIOBase):
    """A request of so many bytes and no more: what is longer ends there."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._left = REQUEST_BYTES_MAX

    def readable(self) -> bool:
        return True

    def readline(self, limit: int | None = -1) -> bytes:
        """One line, or what there is of it."""
        line: bytes = self._inner.readline(self._left if limit is None or limit < 0 else min(limit, self._left))
        self._left -= len(line)
        return line


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = CONNECTION_S
    server_version = "hfzmq"
    sys_version = ""

    def setup(self) -> None:
        """See http.server."""
        super().setup()
        self.rfile: Any = _Bounded(self.rfile)

    def do_GET(self) -> None:
        """Answer one question."""
        self.server.asked(self.connection)
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, CONTENT_TYPE, self.server.exposition.text())
        elif path in ("/healthz", "/readyz"):
            vitals = self.server.vitals
            pulse = vitals.turn_age_ms(), vitals.writing_ms(), vitals.excused()
            if path == "/healthz":
                reasons = dead_because(*pulse)
            else:
                reasons = unready_because(vitals.gauge, *pulse, vitals.stopping)
            lines = "\n".join(reasons or ["ok"]) + "\n"
            self._answer(503 if reasons else 200, TEXT, lines.encode())
        else:
            self._answer(404, TEXT, b"/healthz /readyz /metrics\n")

    do_HEAD = do_GET

    def _answer(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if getattr(self, "command", None) != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Without the words of whoever asked."""
        self._answer(code, TEXT, f"{code}\n".encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Health checks are no events."""


def _cut_off(request: Any) -> None:
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


def _cannot_listen(host: str, port: int, error: OSError) -> HfzmqError:
    host = bracketed(host)
    if error.errno == errno.EADDRINUSE:
        return PortInUse(
            f"{host}:{port} (health and metrics) is in use by another process",
            hint=f"who: ss -ltnp 'sport = :{port}'; another port: --http {host}:PORT, or HFZMQ_HTTP",
        )
    return HfzmqError(
        f"cannot listen on {host}:{port} for health and metrics: {error.strerror or error}",
        hint="--http takes an address of this machine, such as 127.0.0.1:7103",
    )
