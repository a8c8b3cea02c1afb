"""One daemon in the foreground, from its start to its end: log, descriptors, node, health desk, signals.

Touches the process. Must not know: how the loop works. Keeps: READY is said once the file is open and all ports are
bound, without waiting for a quorum; what it cannot run without is an HfzmqError, and everything it opened is closed; no
file that it makes is for other users, for its log names patients, too.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import NamedTuple

from hfzmq.config import Config, PeerAddress
from hfzmq.daemon import door, garbage, muster
from hfzmq.daemon.logs import Logs, LogSettings
from hfzmq.daemon.node import Node
from hfzmq.daemon.notify.doubts import say_doubts
from hfzmq.daemon.signals import Signals
from hfzmq.daemon.socket_options import bracketed
from hfzmq.errors import PortInUse

UMASK = 0o077

log = logging.getLogger("hfzmq.node")


class HttpAddress(NamedTuple):
    """Where health checks and Prometheus are answered."""

    host: str
    port: int


def serve(
    config: Config,
    peer_id: int,
    data_dir: Path,
    logging_: LogSettings | None = None,
    joins: bool = False,
    http: HttpAddress | None = None,
) -> int:
    """Run one daemon; 0 after SIGTERM. HfzmqError where it cannot run or must stop."""
    os.umask(UMASK)
    with Logs(logging_ or LogSettings(), peer_id, config.mesh_name) as logs:
        door.make_room()
        say_doubts(config)
        with Signals() as signals:
            found = muster.assembled(config, peer_id, data_dir, signals)
            if found is None:
                return 0
            node = Node(found, peer_id, data_dir, joins)
            try:
                _open(node, found, peer_id, http, logs)
                garbage.settle()
                node.run(signals)
            finally:
                node.close()
        log.info("stopped")
    return 0


def _open(node: Node, config: Config, peer_id: int, http: HttpAddress | None, logs: Logs) -> None:
    here, vitals = config.peer(peer_id), node.vitals
    vitals.lines_lost = lambda: logs.lost
    vitals.reads = lambda: node.queries.alive
    where = ""
    if http:
        try:
            port = vitals.open_desk(*http)
        except PortInUse as error:
            raise _own_port(here, http) or error from None
        where = f", health and metrics on {bracketed(http.host)}:{port}"
    log.info(
        "ready: peer %d of mesh %s, clients on %s:%d%s, %d entries in %s",
        peer_id, config.mesh_name, here.host, here.client_port, where, node.replica.log.last.index, node.store.path,
    )  # fmt: skip
    vitals.ready()


def _own_port(here: PeerAddress, http: HttpAddress) -> PortInUse | None:
    """What to say where it is this process itself that holds the port."""
    own = [name for name, port in zip(here._fields[2:], here[2:], strict=True) if port == http.port]
    if not own:
        return None
    place = bracketed(http.host)
    return PortInUse(
        f"{place}:{http.port} (health and metrics) is this peer's own {own[0]}, as peers.yaml says",
        hint=f"another port: --http {place}:PORT, or HFZMQ_HTTP; without a port it is the client port + 3",
    )
