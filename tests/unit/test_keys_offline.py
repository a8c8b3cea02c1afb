"""``hfzmq keys`` where the file is all there is: what it cannot know it does not say, a peer is not cut off without a
yes, and what fails leaves nothing behind."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import pytest

from hfzmq.access import AccessList
from hfzmq.config import load
from hfzmq.errors import KeysError
from hfzmq.secret_files import write_secret
from tests.unit.cli_world import Ran, keyed_config, run


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    return keyed_config(tmp_path)


def keys(ward: Path, *words: str) -> Ran:
    return run("keys", *words, "--config", str(ward))


def in_force(done: Ran) -> dict[str, str]:
    return {row["name"]: row["in_force"] for row in json.loads(done.out)}


def test_by_the_file_alone_no_key_is_said_to_be_in_force(ward: Path) -> None:
    write_secret(ward.parent / "keys" / "bed-9.secret", "bed-9", "client")
    assert keys(ward, "revoke", "ward", "--offline").code == 0
    for words in (("--offline",), ()):  # nobody answers
        done = keys(ward, "show", *words, "-o", "json")
        assert set(in_force(done).values()) == {"by the file", "revoked"}
        assert in_force(done)["ward"] == "revoked"
        assert "peers.yaml alone" in done.err
        assert "bed-9.secret: " in done.err
        assert "the mesh may know it" in done.err
        assert "nobody knows" not in done.err
    assert "REVOKED" in keys(ward, "show", "--offline").out


def test_a_peers_one_key_is_revoked_in_the_file_only_with_a_yes_and_never_that_of_a_majority(ward: Path) -> None:
    before = ward.read_text()
    asked = keys(ward, "revoke", "peer-1", "--offline")
    assert (asked.code, "needs a yes" in asked.err, "the one key of peer 1" in asked.err) == (1, True, True)
    assert ward.read_text() == before
    done = keys(ward, "revoke", "peer-1", "--offline", "--yes")
    assert done.code == 0
    assert "hfzmq keys issue peer-1-new --role peer --id 1 --offline" in done.err
    stops = keys(ward, "revoke", "peer-2", "--offline", "--yes")
    assert (stops.code, "only 1 of 3 peers would have a key left" in stops.err) == (7, True)
    former = dict(listed(ward))[2]
    assert keys(ward, "issue", "peer-1-new", "--role", "peer", "--id", "1", "--offline").code == 0
    assert keys(ward, "issue", "peer-2-new", "--role", "peer", "--id", "2", "--offline").code == 0
    assert keys(ward, "revoke", former, "--offline").code == 0, "nobody is cut off by that"


def test_of_a_peer_that_the_file_has_no_more_no_yes_is_asked(ward: Path) -> None:
    lines = ward.read_text().splitlines()
    kept = [line for line in lines if not re.search(r"\bid: 3\b", line)]  # the mesh's own id may begin with a 3
    ward.write_text("\n".join(kept) + "\n")
    assert load(ward).peer_ids == (1, 2)
    assert keys(ward, "revoke", "peer-3", "--offline").code == 0


def listed(ward: Path) -> tuple[tuple[int, str], ...]:
    found = load(ward).keys
    assert found is not None
    return found.peers


def test_a_place_where_nobody_may_look_is_named_with_the_next_step(ward: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = ward.parent / "loop"
    loop.symlink_to(loop)  # nobody may look behind it, not even root
    monkeypatch.setattr("hfzmq.cli.access.mesh.Mesh.check_issue", lambda *about: AccessList())
    for words in (("--offline",), ()):
        done = keys(ward, "issue", "foo", "--role", "client", "--dir", str(loop / "k"), *words)
        assert done.code == 7, done
        assert f"{loop / 'k' / 'foo.secret'}: a secret key cannot be kept there" in done.err
        assert "--dir DIR" in done.err


def test_a_file_that_cannot_be_written_is_said_to_be_as_it_was(ward: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*about: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("os.replace", no)
    done = keys(ward, "revoke", "ward", "--offline")
    assert done.code == 7
    assert "Read-only file system" in done.err
    assert "it is as it was" in done.err
    assert f"ls -ld {ward.parent}" in done.err


def test_a_full_disk_leaves_no_half_of_a_secret_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    tmp_path.joinpath("keys").mkdir()
    with pytest.raises(KeysError, match="No space left"):
        write_secret(tmp_path / "keys" / "a.secret", "a", "client")
    assert not list((tmp_path / "keys").iterdir())
