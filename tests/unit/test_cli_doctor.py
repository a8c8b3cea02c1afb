"""``hfzmq doctor``: each finding is found where it is, and only there; each says what to do; it changes nothing."""

from __future__ import annotations

import json
import os
import resource
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apsw
import pytest

from hfzmq.access import CLIENT, AccessList, Listed
from hfzmq.cli.doctor import disk, keys, machine, mesh, versions
from hfzmq.cli.doctor.disk import Mount, Speed
from hfzmq.cli.doctor.findings import CRITICAL, NEEDS_DOING, NOTE, OK, WARNING, Finding, sorted_findings
from hfzmq.cli.doctor.mesh import Clock
from hfzmq.config import PeerAddress, Timing, load, render
from hfzmq.errors import KeysError
from hfzmq.secret_files import read_secret, secret_files, write_secret
from hfzmq.storage import Store, aside
from tests.integration.storage_world import mesh as storage_mesh
from tests.unit.cli_world import CONFIG, members_told, run, says, two_histories

LEASE_MS = 1000
HERE = Path("/srv/hfzmq")


def only(found: Any) -> Finding:
    (one,) = found
    assert isinstance(one, Finding)
    assert one.severity not in NEEDS_DOING or (one.why and one.do)
    return one


# ------------------------------------------------------------ versions


@pytest.mark.parametrize(
    ("version", "has"),
    [
        ("3.6.23", False),
        ("3.7.0", True),
        ("3.40.1", True),
        ("3.44.5", True),
        ("3.44.6", False),
        ("3.45.0", True),
        ("3.46.1", True),
        ("3.50.6", True),
        ("3.50.7", False),
        ("3.51.0", True),
        ("3.51.2", True),
        ("3.51.3", False),
        ("3.53.0", False),
        ("4.0.0", False),
    ],
)
def test_the_releases_with_the_wal_reset_bug_are_known(version: str, has: bool) -> None:
    assert versions.has_wal_reset_bug(versions.parsed(version)) is has


def test_sqlite_that_hfzmq_uses_must_be_mended_and_the_systems_own_is_a_note() -> None:
    first, second = versions.sqlite("3.51.2", "3.40.1")
    assert (first.severity, second.severity) == (WARNING, NOTE)
    assert "pip install --upgrade 'apsw>=3.51.3.0,<4'" in first.do
    assert only(versions.sqlite("3.52.0", "3.53.0")).severity == WARNING
    assert only(versions.sqlite("3.51.3", "3.53.0")).severity == OK


def test_what_is_installed_here_needs_nothing() -> None:
    assert not [one for one in versions.look() if one.severity in NEEDS_DOING]


# ------------------------------------------------------------ the disk

EXT4 = Mount("ext4", "8:1", "/")


@pytest.mark.parametrize(
    ("speed", "mount", "turns", "severity", "words"),
    [
        (Speed(0.8, 4.0), EXT4, False, OK, "p50 0.80 ms, p99 4.00 ms"),
        (Speed(9.0, 30.0), EXT4, True, OK, ""),
        (Speed(0.004, 0.02), EXT4, False, WARNING, "too quick for any device"),
        (Speed(0.4, 0.9), EXT4, True, WARNING, "too quick for a disk that turns"),
        (Speed(0.4, 0.9), None, False, OK, "an unknown file system"),
        (Speed(20.0, 251.0), EXT4, False, WARNING, "gives the lead up"),
        (Speed(0.002, 0.01), Mount("tmpfs", "0:1", "/"), False, CRITICAL, "memory"),
        (Speed(2.0, 9.0), Mount("nfs4", "0:2", "/"), False, CRITICAL, "local disk"),
    ],
)
def test_the_speed_of_a_sync_is_judged_by_what_lies_below(
    speed: Speed, mount: Mount | None, turns: bool, severity: str, words: str
) -> None:
    one = only(disk.judge_speed(HERE, speed, mount, turns, LEASE_MS))
    assert one.severity == severity
    assert words in f"{one.what} {one.why}"


def test_a_containers_own_layer_is_told() -> None:
    _, layer = disk.judge_speed(HERE, Speed(1.0, 2.0), Mount("overlay", "0:3", "/"), False, LEASE_MS)
    assert layer.severity == WARNING
    assert "container" in layer.why


def test_the_innermost_mount_counts(tmp_path: Path) -> None:
    inner = tmp_path / "with blank"
    inner.mkdir()
    point = str(inner.resolve()).replace(" ", "\\040")
    table = f"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:5 / {point} rw,x shared:1 - tmpfs t rw\n"
    table += f"3 1 0:6 / {point}2 rw - nfs x rw\n"
    assert disk.mount_of(inner, table) == Mount("tmpfs", "0:5", str(inner.resolve()))
    assert disk.mount_of(tmp_path, table) == Mount("ext4", "8:1", "/")
    assert disk.mount_of(tmp_path, "nonsense\n") is None


def test_measuring_leaves_nothing_behind(tmp_path: Path) -> None:
    speed = disk.measure(tmp_path, 5)
    assert 0 < speed.p50_ms <= speed.p99_ms
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("free", "severity"), [(2 << 30, OK), (900 << 20, WARNING), (100 << 20, CRITICAL)])
def test_room_is_judged(free: int, severity: str) -> None:
    found: Any = SimpleNamespace(f_bavail=free // 4096, f_frsize=4096, f_blocks=1 << 24, f_files=0, f_favail=0)
    assert only(disk.space(HERE, found)).severity == severity
    assert f"{'2.0 of 64.0 GiB' if free > 1 << 30 else f'{free >> 20}.0 of 65,536.0 MiB'} free" in (
        only(disk.space(HERE, found)).what
    )


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Of peer 1, which has stopped."""
    Store.open(tmp_path / "1", 1, storage_mesh()).close()
    return tmp_path / "1"


def doing(found: Any) -> list[Finding]:
    return [one for one in found if one.severity in NEEDS_DOING]


def test_a_peers_directory_as_it_is_made_needs_nothing(data_dir: Path) -> None:
    found = list(disk.contents(data_dir))
    assert not doing(found)
    assert "schema 7" in only(found).what


def test_each_fault_of_a_directory_is_found(data_dir: Path) -> None:
    path = data_dir / "hfzmq_1.db"
    os.chmod(path, 0o644)
    os.chmod(data_dir, 0o701)
    assert {one.do for one in doing(disk.contents(data_dir))} == {f"chmod 700 {data_dir}", f"chmod 600 {path}"}
    os.chmod(data_dir, 0o700)
    wal = data_dir / "hfzmq_1.db-wal"
    with wal.open("wb") as file:
        file.truncate(65 << 20)
    assert "65 MiB" in doing(disk.contents(data_dir))[0].what
    wal.unlink()
    aside.distrust(path, "one flipped bit")
    assert "one flipped bit" in only(doing(disk.contents(data_dir))).what
    kept = aside.set_aside(path, "one flipped bit")
    one = only(doing(disk.contents(data_dir)))
    assert str(kept) in one.what
    assert one.why == "damaged once: one flipped bit"


def test_of_two_peers_files_in_one_directory_none_is_to_be_moved_away(data_dir: Path) -> None:
    Store.open(data_dir, 2, storage_mesh()).close()
    one = only(doing(disk.contents(data_dir)))
    assert "holds hfzmq_1.db, hfzmq_2.db" in one.what
    assert "mv " not in one.do
    assert "they may be the only good ones" in one.do


def test_a_file_of_another_schema_or_none_is_told(data_dir: Path) -> None:
    path = data_dir / "hfzmq_1.db"
    database = apsw.Connection(str(path))
    database.execute("update meta set schema_version = 3")
    database.close()
    assert "schema 3, this hfzmq knows 7" in only(doing(disk.contents(data_dir))).what
    path.write_bytes(b"no database" * 1000)
    assert "is damaged: file is not a database" in only(doing(disk.contents(data_dir))).what


def test_a_directory_that_is_not_there_is_one_finding(tmp_path: Path) -> None:
    assert "no such directory" in only(disk.look(tmp_path / "x", LEASE_MS)).what


# ------------------------------------------------------------ the machine


@pytest.mark.parametrize(
    ("hard", "severity"), [(resource.RLIM_INFINITY, OK), (20_000, OK), (900, WARNING), (300, CRITICAL)]
)
def test_the_limit_of_open_files_is_judged(monkeypatch: pytest.MonkeyPatch, hard: int, severity: str) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (hard, hard))
    assert only(machine.descriptors()).severity == severity


def test_a_port_is_free_or_held_by_whom() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        port = one.getsockname()[1]
        config = CONFIG._replace(peers=(PeerAddress(1, "127.0.0.1", port, 1, 2),))
        assert not machine.is_free("127.0.0.1", port)
        told = only(machine.ports(config, [1]))
        assert told.severity == WARNING
        assert f"{port} by pid {os.getpid()} (" in told.what
        assert f":{port}'" in told.do
    assert machine.is_free("127.0.0.1", port)
    with socket.socket() as first, socket.socket() as second, socket.socket() as third:
        sockets = first, second, third
        for one in sockets:
            one.bind(("127.0.0.1", 0))
            one.listen()
        numbers = [one.getsockname()[1] for one in sockets]
        config = CONFIG._replace(peers=(PeerAddress(1, "127.0.0.1", *numbers),))
        told = only(machine.ports(config, [1]))
        assert f"{', '.join(map(str, numbers))} by pid {os.getpid()} (" in told.what
        assert told.what.count("pid") == 1
    assert machine.is_here("127.0.0.1")
    assert not machine.is_here("192.0.2.1")


# ------------------------------------------------------------ keys


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    """A peers.yaml with keys, beside them."""
    path = tmp_path / "peers.yaml"
    path.write_text(render(CONFIG, security=False))
    assert run("keys", "init", "--config", str(path)).code == 0
    return path


def judged_keys(ward: Path, here: tuple[int, ...] = (1, 2, 3), told: AccessList | None = None) -> list[Finding]:
    """What is to be done about the keys of a file."""
    config = load(ward)
    assert config.keys is not None
    files = secret_files(ward.parent / "keys")
    found = list(keys.in_force(config, config.keys, files, list(here), told))
    assert all(one.check == "keys" and (one.severity == OK or one.do) for one in found)
    return [one for one in found if one.severity != OK]


def test_keys_as_they_are_made_need_nothing(ward: Path) -> None:
    assert only(keys.modes(ward.parent / "keys")).severity == OK
    assert judged_keys(ward) == []


def test_a_key_that_others_can_read_or_replace_is_critical_with_the_mode_that_daemons_refuse(ward: Path) -> None:
    directory = ward.parent / "keys"
    secret = directory / "peer-1.secret"
    for mode in (0o640, 0o604, 0o620, 0o610):
        secret.chmod(mode)
        with pytest.raises(KeysError):
            read_secret(secret)
        one = only(keys.modes(directory))
        assert (one.severity, f"chmod 600 {secret}" in one.do) == (CRITICAL, True)
    secret.chmod(0o600)
    directory.chmod(0o770)
    assert only(keys.modes(directory)).do == f"chmod 700 {directory}"


def test_where_the_newer_secret_lies_here_it_is_to_be_copied_and_nothing_is_issued(ward: Path) -> None:
    directory = ward.parent / "keys"
    words = ("keys", "issue", "peer-1-new", "--role", "peer", "--id", "1", "--offline", "--config", str(ward))
    assert run(*words).code == 0
    one = only(judged_keys(ward, told=AccessList()))
    assert "nobody lists this key" in one.what
    assert f"cp {directory / 'peer-1-new.secret'} {directory / 'peer-1.secret'}" in one.do
    assert "issue" not in one.do


def test_of_who_is_no_member_any_more_no_key_is_wanted_and_its_secret_is_to_be_put_away(ward: Path) -> None:
    own = {one.name: one.public for one in secret_files(ward.parent / "keys")}
    told = AccessList(revoked=[own["peer-2"], own["ward"]])
    config = load(ward)
    assert config.keys is not None
    files = secret_files(ward.parent / "keys")
    found = [one for one in keys.in_force(config, config.keys, files, [1, 2, 3], told, [1, 3]) if one.severity != OK]
    assert {one.severity for one in found} == {WARNING}
    assert len(found) == 2
    assert all(one.do.startswith("mv ") and "--role" not in one.do for one in found)


def test_a_key_that_is_revoked_unlisted_or_somebody_elses_is_found(ward: Path) -> None:
    directory = ward.parent / "keys"
    own = {one.name: one.public for one in secret_files(directory)}
    told = AccessList(revoked=[own["ward"], own["peer-2"]])
    said = {one.what: one.severity for one in judged_keys(ward, told=told)}
    assert said == {
        "peer 2 has no key in force": WARNING,
        f"{directory / 'peer-2.secret'} is revoked": CRITICAL,
        f"{directory / 'ward.secret'} is revoked": WARNING,
    }
    write_secret(directory / "odd.secret", "odd", "client")
    assert f"{directory / 'odd.secret'}: nobody lists this key" in only(judged_keys(ward, told=AccessList())).what
    issued = AccessList([Listed(read_secret(directory / "odd.secret").public, CLIENT, "odd")])
    assert judged_keys(ward, told=issued) == [], "it was issued through the mesh"
    (directory / "odd.secret").unlink()
    os.replace(directory / "peer-2.secret", directory / "peer-1.secret")
    other, missing = judged_keys(ward)
    assert (other.severity, missing.severity) == (CRITICAL, NOTE)
    assert "peer-1.secret: this is the key of peer-2" in other.what
    assert "keys/peer-2.secret is not here" in missing.what


def test_a_file_that_is_no_key_is_told_and_a_plain_mesh_is_a_note(ward: Path) -> None:
    (ward.parent / "keys" / "admin.secret").write_text("nothing")
    assert (
        "not a secret key"
        in only(one for one in keys.look(None, [ward.parent / "keys"], []) if one.severity != OK).what
    )
    one = only(keys.look(CONFIG, [], []))
    assert (one.severity, "plain" in one.what) == (NOTE, True)


def test_without_a_key_of_ones_own_all_that_needs_none_is_looked_at(ward: Path) -> None:
    for path in (ward.parent / "keys").iterdir():
        path.unlink()
    done = run("doctor", "--config", str(ward))
    assert done.code == 1
    assert "keys: no secret key: " in done.out
    assert "do:  bring one from where hfzmq keys init ran, or name one: --key FILE" in done.out
    assert "ports: peer 1" in done.out
    assert done.err == ""


# ------------------------------------------------------------ the mesh


def judged(**answers: Any) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for one in mesh.judge(CONFIG, {int(name[1:]): answer for name, answer in answers.items()}):
        assert one.severity not in NEEDS_DOING or (one.why and one.do)
        found.setdefault(one.check, []).append(one)
    return found


def test_a_mesh_that_is_well_needs_nothing_and_each_fault_is_found() -> None:
    told = members_told()
    lead, second, third = says(1, "leader", **told), says(2, **told), says(3, **told)
    assert [one.severity for one in judged(p1=lead, p2=second, p3=third)["quorum"]] == [OK]
    away = judged(p1=lead, p2=second, p3=None)
    assert "hfzmq serve --id 3" in only(away["reach"]).do
    assert only(judged(p1=None)["quorum"]).severity == CRITICAL
    assert only(judged(p1=says(1, serves=False, **told))["quorum"]).severity == CRITICAL
    unbegun = only(judged(p1=says(1, **members_told(0, founded=False)))["quorum"])
    assert unbegun.severity == CRITICAL
    assert unbegun.what.startswith("the mesh has not begun: waiting for peers 2 and 3: ")
    assert only(judged(p1=lead, p2=says(2, state_hash="cd" * 16, **told), p3=third)["states"]).severity == CRITICAL
    assert "peer 2 runs 0.0.9" in only(judged(p1=lead, p2=says(2, version="0.0.9", **told), p3=third)["versions"]).what
    assert "peer 3" in only(judged(p1=lead, p2=says(2, refused_peers=[3], **told), p3=third)["reach"]).what
    old: dict[str, Any] = {"incarnation": "aa" * 16, "uptime_ms": 90_000}
    new: dict[str, Any] = {"incarnation": "bb" * 16, "uptime_ms": 90_000}
    apart = judged(p1=says(1, "leader", **told, **old), p2=says(2, **told, **old))
    assert any(one.what == "peers 1 and 2 do not hear each other" for one in apart["reach"])
    alone = judged(p1=says(1, **told, **new), p2=says(2, **told, **old), p3=says(3, **told, **new))
    assert only(alone["quorum"]).do.startswith("do not touch peer 2; hfzmq backup --peer 2")
    assert only(judged(p1=lead, p2=says(2, files_aside=1, **told), p3=third)["aside"]).severity == WARNING


def test_who_runs_with_another_file_is_named_and_whether_it_is_the_one_that_is_here() -> None:
    one, other = {"timing.lease_ms": 1000}, {"timing.lease_ms": 5000}
    answers = {1: says(1, "leader", settings=one), 2: says(2, settings=one), 3: says(3), 4: None}
    assert list(mesh.settings(CONFIG, answers)) == []
    answers[3] = says(3, settings=other)
    odd = only(list(mesh.settings(CONFIG, answers)))
    assert odd.what == "peer 3's peers.yaml differs: timing.lease_ms 5000 against 1000"
    assert odd.severity == WARNING
    assert odd.do.endswith("then the same file on all of them, and restart peer 3")
    assert "newer" not in odd.do
    newer = only(list(mesh.settings(CONFIG._replace(timing=Timing(lease_ms=5000)), answers)))
    assert newer.what == f"{odd.what}; it runs with peers.yaml as it is here"
    assert newer.do == (
        f"is that the newer file? then bring it to all machines, and restart peers 1 and 2; if not: {odd.do}"
    )


def test_a_clock_is_off_only_beyond_its_error_and_the_odd_one_is_named() -> None:
    well = {1: Clock(20.0, 5.0), 2: Clock(-30.0, 5.0), 3: Clock(0.0, 1.0)}
    assert only(mesh.clocks(CONFIG, well)).severity == OK
    assert "peer 2's clock is 2.0 s behind" in only(mesh.clocks(CONFIG, well | {2: Clock(-2000.0, 5.0)})).what
    assert only(mesh.clocks(CONFIG, well | {2: Clock(-2000.0, 1500.0)})).severity == OK
    assert only(mesh.clocks(CONFIG, well | {3: Clock(6000.0, 5.0)})).severity == CRITICAL
    mine = {peer: Clock(-3000.0, 2.0) for peer in (1, 2, 3)}
    assert "this machine's clock is 3.0 s ahead" in only(mesh.clocks(CONFIG, mine)).what
    assert not list(mesh.clocks(CONFIG, {}))


def test_a_logs_clock_that_is_ahead_of_all_peers_is_told() -> None:
    def ahead(*told: int) -> dict[int, dict[str, Any] | None]:
        return {peer: {"status": "OK", "peer": {"log_ahead_ms": one}} for peer, one in enumerate(told, 1)}

    assert not list(mesh.log_clock(ahead(0, 3, 0)))
    assert not list(mesh.log_clock(ahead(0, 3_600_000, 0))), "one peer's own clock is behind: told by clocks"
    found = only(mesh.log_clock(ahead(3_540_000, 3_539_990, 3_540_000)))
    assert (found.severity, found.what[:41]) == (NOTE, "the log's clock is 3540 s ahead of the pe")


# ------------------------------------------------------------ the command


def test_the_worst_come_first() -> None:
    found = [Finding(name, "x", name) for name in (OK, WARNING, NOTE, CRITICAL)]
    assert [one.severity for one in sorted_findings(found)] == [CRITICAL, WARNING, NOTE, OK]


def test_it_exits_1_when_something_is_to_be_done_and_changes_nothing(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(disk, "measure", lambda _: Speed(1.0, 2.0))
    before = {path.name: path.read_bytes() for path in data_dir.iterdir()}
    done = run("doctor", "--data-dir", str(data_dir), "-o", "json")
    assert not [one for one in json.loads(done.out) if one["severity"] in NEEDS_DOING], done.out
    assert done.code == 0
    assert {path.name: path.read_bytes() for path in data_dir.iterdir()} == before
    os.chmod(data_dir, 0o755)
    os.chmod(data_dir / "hfzmq_1.db", 0o600)
    done = run("doctor", "--data-dir", str(data_dir))
    assert done.code == 1
    assert "do:  chmod 700" in done.out
    assert done.out.endswith("1 to be done\n")


def test_a_mesh_that_does_not_answer_is_told(tmp_path: Path) -> None:
    file = tmp_path / "peers.yaml"
    file.write_text(render(CONFIG))
    done = run("doctor", "--config", str(file))
    assert done.code == 1
    assert "quorum: no peer answers" in done.out
    assert "error" not in done.err


def test_two_histories_are_critical_before_all_else() -> None:
    told = two_histories()
    found = judged(p1=told[1], p2=told[2], p3=told[3])
    one = only(found["history"])
    assert one.severity == CRITICAL
    assert one.what.startswith("peer 2 holds another history of this mesh (until entry 855) than peers 1 and 3 ")
    assert one.do.startswith("touch no disk, back both up: hfzmq backup --peer 2 FILE, ")
    assert "reach" not in found
    lone = judged(p1=says(1, **{**told[1]["peer"], "serves": False, "role": "follower"}), p2=told[2], p3=None)
    assert only(lone["quorum"]).do == "as under history, before all else"


def test_rules_with_which_no_daemon_starts_are_critical_though_the_mesh_runs_with_others(tmp_path: Path) -> None:
    file = tmp_path / "peers.yaml"
    text = "mesh: {name: ward, id: 00112233445566778899aabbccddeeff}\nsecurity: plain\npeers:\n"
    peer = "  - {id: 1, host: 127.0.0.1, client_port: 7101, peer_port: 7102, beat_port: 7103}\n"
    file.write_text(text + peer + "alarms: {rules: {red_on: 60}}\n")
    done = run("doctor", "--config", str(file))
    assert done.code == 1
    assert "red_on" in done.out
    assert "no peer starts with it" in done.out
