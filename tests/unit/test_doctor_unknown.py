"""What the doctor cannot know without the mesh, or without its configuration, is said to be so: nothing that may be in
force is to be moved away, and all that needs neither is looked at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hfzmq.access import AccessList
from hfzmq.cli.doctor import keys
from hfzmq.cli.doctor.findings import NOTE, OK, WARNING, Finding
from hfzmq.config import load, render
from hfzmq.secret_files import secret_files, write_secret
from tests.unit.cli_world import CONFIG, run


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    """A peers.yaml with keys, and beside them the secret of an admin whom the file does not list."""
    path = tmp_path / "peers.yaml"
    path.write_text(render(CONFIG, security=False))
    assert run("keys", "init", "--config", str(path)).code == 0
    write_secret(tmp_path / "keys" / "admin-2.secret", "admin-2", "admin")
    return path


def judged(ward: Path, told: AccessList | None, led: bool = True) -> list[Finding]:
    config = load(ward)
    assert config.keys is not None
    files = secret_files(ward.parent / "keys")
    found = keys.in_force(config, config.keys, files, [1], told, None, led)
    return [one for one in found if one.severity != OK]


@pytest.mark.parametrize("told", [None, AccessList()])
def test_an_unlisted_key_is_a_note_and_stays_where_it_is_unless_somebody_who_leads_knows_better(
    ward: Path, told: AccessList | None
) -> None:
    (one,) = judged(ward, told, led=False)
    assert one.severity == NOTE
    assert "admin-2.secret: not known whether this key is in force" in one.what
    assert "mv " not in one.do
    (sure,) = judged(ward, AccessList())
    assert (sure.severity, "mv " in sure.do) == (WARNING, True)


def test_this_machines_own_key_that_the_file_does_not_list_is_not_to_be_exchanged_in_an_outage(ward: Path) -> None:
    words = ("keys", "issue", "peer-1-new", "--role", "peer", "--id", "1", "--offline", "--config", str(ward))
    assert run(*words).code == 0
    mine = next(one for one in judged(ward, None) if "peer-1.secret: " in one.what)
    assert mine.severity == NOTE
    assert f"{ward.parent / 'keys' / 'peer-1-new.secret'} is another of peer 1" in mine.what
    assert "cp " not in mine.do


def test_a_peer_whose_key_only_the_mesh_may_know_is_a_note(ward: Path) -> None:
    third = next(line for line in ward.read_text().splitlines() if line.startswith("    3: "))
    ward.write_text(ward.read_text().replace(third + "\n", ""))
    assert "not known whether peer 3 has a key in force" in next(iter(judged(ward, None))).what
    assert {one.severity for one in judged(ward, None)} == {NOTE}
    assert "peer 3 has no key in force" in [one.what for one in judged(ward, AccessList())]


def test_a_directory_of_keys_that_is_named_in_two_ways_is_looked_at_once(
    ward: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ward.parent)
    (ward.parent / "keys" / "ward.secret").chmod(0o644)
    done = run("doctor", "--data-dir", ".", "--config", "peers.yaml")
    assert done.out.count("ward.secret has mode 644") == 1


def test_with_a_peers_yaml_that_cannot_be_read_all_that_needs_none_is_looked_at(ward: Path) -> None:
    ward.write_text(ward.read_text().replace("mesh:", "mseh:", 1))
    (ward.parent / "keys" / "ward.secret").chmod(0o644)
    done = run("doctor", "--data-dir", str(ward.parent), "--config", str(ward), "-o", "json")
    assert (done.code, done.err) == (1, "")
    found = {one["check"]: one for one in json.loads(done.out)[::-1]}
    assert (found["config"]["severity"], "mseh: unknown key" in found["config"]["what"]) == ("critical", True)
    assert f"hfzmq config check --config {ward}" in found["config"]["do"]
    assert "ward.secret has mode 644" in found["keys"]["what"]
    assert "space" in found
    assert "reach" not in found
    assert run("doctor", "--config", str(ward.parent / "nowhere.yaml")).code == 6
