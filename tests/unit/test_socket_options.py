"""What every TCP socket of a daemon is told."""

from __future__ import annotations

import zmq

from hfzmq.daemon.socket_options import common
from hfzmq.settings import Timing


def test_a_peer_that_comes_back_is_connected_to_within_a_heartbeat_however_long_it_was_away() -> None:
    """An append that finds no connection waits for the next heartbeat, and writers with it."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        common(socket)
        rest_ms = sum(
            int(socket.getsockopt(one)) for one in (zmq.RECONNECT_IVL_MAX, zmq.RECONNECT_IVL)
        )  # with its jitter
    assert 0 < rest_ms < Timing().heartbeat_ms


def test_a_socket_never_waits_for_what_it_could_not_send() -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        common(socket)
        assert socket.getsockopt(zmq.LINGER) == 0
