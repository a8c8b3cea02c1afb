"""What every TCP socket of a daemon is told, and how its addresses are written.

Touches nothing but the socket it is handed. Keeps: the rules that ZeroMQ's traps ask for (docs/decisions.md).
"""

from __future__ import annotations

import zmq

HEARTBEAT_QUEUE_MESSAGES = 10
DONTWAIT, DONTWAIT_MORE = int(zmq.DONTWAIT), int(zmq.DONTWAIT | zmq.SNDMORE)  # plain: an enum costs more than a send
RECONNECT_MS, RECONNECT_MAX_MS = 20, 40
PEERS_THREAD, CLIENTS_THREAD = 1, 2  # of ZeroMQ: what floods the clients' port leaves the peers alone


def common(socket: zmq.Socket[bytes]) -> None:
    """Of any kind, before it binds or connects."""
    socket.setsockopt(zmq.AFFINITY, PEERS_THREAD)
    socket.setsockopt(zmq.LINGER, 0)
    # Short, and never longer: a follower that was restarted counts for no majority until the leader has connected to
    # it, and writers wait for that. (Doubling up to 500 ms: 319 ms at a rolling restart; so: 115 ms, a heartbeat.)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
    socket.setsockopt(zmq.CONNECT_TIMEOUT, 2000)
    # Never ZMTP heartbeats: with a full receive queue they abort the process (libzmq issues 3937, 4364, 4767; seen
    # here after SIGSTOP and SIGCONT). Half-open TCP is found by keep-alive and by the mesh's own heartbeats.
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 10)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 5)
    socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)
    socket.setsockopt(zmq.IPV6, 1)


def bracketed(host: str) -> str:
    """An address of IPv6 in brackets, as an endpoint has it."""
    return f"[{host}]" if ":" in host else host
