"""docs/protocol.md is enough: a short program with pyzmq and msgpack alone gets its report acknowledged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.system.mesh import Mesh

SCRIPT = Path(__file__).parent / "stranger.py"


def test_a_stranger_s_script_submits_a_report_and_gets_its_ack(tmp_path: Path) -> None:
    text = SCRIPT.read_text()
    assert len(text.splitlines()) <= 40
    assert "hfzmq" not in text.split('"""')[2], "it must not know our code"
    with Mesh(tmp_path, keyed=False) as mesh:
        addresses = [f"{peer.host}:{peer.client_port}" for peer in reversed(mesh.config.peers)]
        done = subprocess.run(
            [sys.executable, str(SCRIPT), mesh.config.mesh_id.hex(), *addresses],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert (answer["status"], answer["seq"], answer["rejected"]) == ("ACK", 1, [])
        rows = mesh.assert_equal_rows()
        assert [(row[1], row[9]) for row in rows] == [("stranger", "RED")]
