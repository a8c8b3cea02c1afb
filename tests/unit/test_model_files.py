"""The files of a training: whenever the process is killed, no file is cut and no sums vouch for a mixed set."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from hfzmq.errors import InvalidInput
from hfzmq.model.modelfile import load
from hfzmq.model.train import put_in_place

NAMES = ("a.npz", "b.h5", "c.keras", "SUMS")


class Killed(BaseException):
    """Nothing may catch it."""


def written(folder: Path, said: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in NAMES:
        (folder / name).write_text(said)
    return folder


def found(out: Path) -> dict[str, str]:
    return {name: (out / name).read_text() for name in NAMES if (out / name).exists()}


@pytest.mark.parametrize("kill_at", range(20))
def test_killed_at_any_step_the_sums_lie_only_beside_files_of_one_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at: int
) -> None:
    out = written(tmp_path / "out", "old")
    steps = 0
    synced: list[str] = []

    def step(real: Any, note: bool = False) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            nonlocal steps
            if steps == kill_at:
                raise Killed
            steps += 1
            if note:
                synced.append(os.readlink(f"/proc/self/fd/{args[0]}") if os.path.isdir("/proc/self/fd") else "")
            return real(*args, **named)

        return call

    made = written(out / "made", "new")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", step(Path.replace))
        patched.setattr(Path, "unlink", step(Path.unlink))
        patched.setattr(os, "fsync", step(os.fsync, note=True))
        try:
            put_in_place(made, out, NAMES)
        except Killed:
            pass
        else:
            assert kill_at >= steps
            assert found(out) == dict.fromkeys(NAMES, "new")
    now = found(out)
    assert set(now.values()) <= {"old", "new"}
    if "SUMS" in now:
        assert now == dict.fromkeys(NAMES, now["SUMS"])
    if "new" in now.values():
        assert len(synced) > len(NAMES)  # everything was on the disk before anything changed
    put_in_place(written(out / "made", "newer"), out, NAMES)
    assert found(out) == dict.fromkeys(NAMES, "newer")


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_model_packed_in_another_way_and_broken_is_refused_and_no_accident(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "hf_model.npz"
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("mean.npy", bytes(range(256)) * 40)
    content = bytearray(path.read_bytes())
    content[50:90] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(InvalidInput):
        load(path)
