"""What somebody names as a file and is none is refused at once, in words of its own, and nothing is done to it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hfzmq.config import render
from hfzmq.plain_file import NoPlainFile, open_plain, refuse_special
from tests.provenance import ROOT
from tests.unit.cli_world import CONFIG


@pytest.fixture
def special(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    if request.param == "pipe":
        os.mkfifo(tmp_path / "pipe")
    return Path("pipe") if request.param == "pipe" else Path("/dev/zero")


@pytest.mark.parametrize(("special", "kind"), [("pipe", "a named pipe"), ("device", "a device")], indirect=["special"])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("status", "--config"), 6),
        (("config", "check", "--config"), 6),
        (("status", "--config", "peers.yaml", "--key"), 7),
        (("reports", "--db"), 6),
    ],
)
def test_a_pipe_or_a_device_is_refused_at_once_and_nobody_is_told_to_change_its_mode(
    tmp_path: Path, special: Path, kind: str, words: tuple[str, ...], code: int
) -> None:
    (tmp_path / "peers.yaml").write_text(render(CONFIG).replace("security: plain", "keys: {peers: {}, admins: {}}"))
    done = subprocess.run(
        [sys.executable, "-m", "hfzmq", *words, str(special)], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == code, done
    error, hint = done.stderr.splitlines()
    assert str(special) in error
    assert f"it is {kind}, no file" in error
    assert "chmod" not in hint


def test_files_are_opened_and_all_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with open_plain(tmp_path / "file") as file:
        assert file.read() == b"text"
    refuse_special(tmp_path / "file")
    refuse_special(tmp_path)
    with pytest.raises(IsADirectoryError):
        open_plain(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_plain(tmp_path / "none")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "socket"))
        with pytest.raises(NoPlainFile, match="a socket"):
            refuse_special(tmp_path / "socket")
