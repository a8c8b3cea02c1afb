"""Five real peers whose links are cut two from three: the three go on, the two refuse at once, nothing is missing."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

from hfzmq.client.ask import ask
from hfzmq.wire.requests import digest, encode_request, encode_rows
from tests.system.mesh import ROOT, Mesh, hfzmq, wait_for

MINORITY, MAJORITY = {1, 2}, {3, 4, 5}


class Writer:
    """One session of requests, sent by hand to a peer of one's choice."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.epoch = os.urandom(16)
        self.seq = 1
        self.acked: list[str] = []

    def send(self, peer: int) -> dict[str, Any] | None:
        """The next request, or the same again when it was not acknowledged."""
        name = f"p{self.seq}"
        rows = encode_rows([[name, int(time.time() * 1000), 60.0, 135.0, 1.5, 40.0, 5, 0.7, "RED", 0.8, "m", ""]])
        request = encode_request(
            self.mesh.config.mesh_id, "submit", client="writer", epoch=self.epoch, seq=self.seq,
            rows=rows, digest=digest(rows),
        )  # fmt: skip
        address = self.mesh.config.peer(peer)
        reply = ask(address.host, address.client_port, request, 1000, self.mesh.config.keys, peer)
        if reply and reply["status"] == "ACK":
            self.acked.append(name)
            self.seq += 1
        return reply

    def send_until_acked(self, peer: int) -> None:
        """Ask again until it is kept."""
        before = len(self.acked)
        wait_for(f"an ack from {peer}", lambda: self.send(peer) and len(self.acked) > before, 20)


def test_the_majority_goes_on_and_the_minority_refuses_at_once(tmp_path: Path) -> None:
    with Mesh(tmp_path, peers=5, links=True) as mesh:
        assert mesh.links is not None
        writer = Writer(mesh)
        leader = mesh.wait_for_leader(1)
        for _ in range(5):
            writer.send_until_acked(leader)

        mesh.links.split(MINORITY, MAJORITY)
        leader = mesh.wait_for_leader(*MAJORITY)
        for _ in range(20):
            writer.send_until_acked(leader)

        # The old leader has stepped down by now; whoever asks the minority is told so, not left to wait.
        for number in MINORITY:
            began = time.monotonic()
            reply = writer.send(number)
            assert reply is not None
            assert reply["status"] == "NO_QUORUM", (reply, mesh.status())
            assert time.monotonic() - began < 0.5
            assert not mesh.status()[number]["serves"]

        mesh.links.mend()
        leader = mesh.wait_for_leader(1)  # the lowest id is handed the lead again
        writer.send_until_acked(leader)
        rows = mesh.assert_equal_rows()
        assert [row[1] for row in rows] == writer.acked


def test_two_peers_that_live_and_do_not_hear_each_other_are_named_while_the_third_still_holds_it_together(
    tmp_path: Path,
) -> None:
    with Mesh(tmp_path, links=True) as mesh:
        assert mesh.links is not None
        mesh.wait_for_leader(1)
        mesh.links.split({1}, {3})

        def check() -> subprocess.CompletedProcess[str]:
            line = hfzmq("check", "--config", mesh.path)
            return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

        wait_for("check names them", lambda: "peers 1 and 3 do not hear each other" in check().stdout, 60)
        mesh.links.mend()
        # What stays is that each peer's file names other ports for the others: those of the relays.
        wait_for("they hear each other again", lambda: "do not hear" not in check().stdout, 60)
