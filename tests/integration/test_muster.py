"""A restored peer that waits for the others is there for whoever asks, whatever was sent to it before."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from hfzmq.cli.processes import free_addresses
from hfzmq.config import Config
from hfzmq.daemon import muster
from hfzmq.daemon.curve import PARTS_MAX
from hfzmq.daemon.signals import Signals
from hfzmq.storage import Store, backup
from hfzmq.storage.restore import restore
from hfzmq.wire.requests import decode_reply, encode_request
from tests.integration.storage_world import Tape, founded, mesh, report

WITHIN_MS = 5000


class Waiting:
    """Peer 1 of two, restored: it waits for the other one, which never comes. ``went_on``: what became of that."""

    def __init__(self, folder: Path) -> None:
        tape = Tape()
        tape.config(founded(1))
        tape.batch([report(1)])
        store = Store.open(folder / "old", 1, mesh())
        store.write([tape.persist(*tape.log, hard_state=tape.hard_state), tape.apply()])
        made = backup.make(store.path, folder / "ward.backup")
        store.close()
        self.config = Config("ward", b"another mesh's id"[:16], free_addresses(2))
        restore(made.path, self.config, 1, folder / "new")
        self.signals = Signals()
        self.went_on: list[Config | None] = []
        self._thread = threading.Thread(target=self._wait, args=(folder / "new",))
        self._thread.start()

    def _wait(self, directory: Path) -> None:
        self.went_on.append(muster.assembled(self.config, 1, directory, self.signals))

    def close(self) -> None:
        self.signals._writing.send(bytes([signal.SIGTERM]))
        self._thread.join(WITHIN_MS / 1000)
        assert self.went_on == [None], "it was asked to stop"


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    made = Waiting(tmp_path)
    yield made
    made.close()


def test_a_peer_that_waits_after_a_message_without_end_is_heard_and_can_be_stopped(waiting: Waiting) -> None:
    here, ask = waiting.config.peers[0], encode_request(waiting.config.mesh_id, "status")
    with zmq.Context() as context, context.socket(zmq.DEALER) as client:
        client.setsockopt(zmq.LINGER, 0)
        client.setsockopt(zmq.RECONNECT_IVL, 20)
        client.connect(f"tcp://127.0.0.1:{here.client_port}")
        client.send_multipart([b""] * PARTS_MAX)  # and the routing id
        for _ in range(WITHIN_MS // 50):  # what is said while nobody is connected may be lost
            client.send_multipart([b"", ask])
            if client.poll(50):
                break
        assert client.poll(0), "it hears nobody any more"
        reply = decode_reply(client.recv_multipart()[-1])
    assert reply["peer"]["restored"].startswith("waits for peer 2")
