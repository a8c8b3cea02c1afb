"""docs/protocol.md is enough: a short program with pyzmq and msgpack alone gets its report acknowledged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hfzmq.secret_files import read_secret
from tests.system.mesh import Mesh

SCRIPT = Path(__file__).parent / "stranger.py"


@pytest.mark.parametrize("keyed", [False, True])
def test_a_stranger_s_script_submits_a_report_and_gets_its_ack(tmp_path: Path, keyed: bool) -> None:
    text = SCRIPT.read_text()
    assert len(text.splitlines()) <= 44
    assert "hfzmq" not in text.split('"""')[2], "it must not know our code"
    with Mesh(tmp_path, keyed=keyed) as mesh:
        addresses = [f"{peer.host}:{peer.client_port}" for peer in reversed(mesh.config.peers)]
        environ = dict(os.environ)
        if mesh.config.keys is not None:
            ward = read_secret(tmp_path / "keys" / "ward.secret")
            environ["PAIR"] = f"{ward.public} {ward.secret}"
            servers = [mesh.config.keys.key_of(peer.id) for peer in reversed(mesh.config.peers)]
            addresses = [f"{where}={server}" for where, server in zip(addresses, servers, strict=True)]
        done = subprocess.run(
            [sys.executable, str(SCRIPT), mesh.config.mesh_id.hex(), *addresses],
            cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert (answer["status"], answer["seq"], answer["rejected"]) == ("ACK", 1, [])
        rows = mesh.assert_equal_rows()
        assert [(row[1], row[9]) for row in rows] == [("stranger", "RED")]
