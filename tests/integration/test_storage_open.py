"""A data directory is opened with the settings that durability rests on, by one process, or refused in plain words."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from hfzmq.clinical.alarm.types import Bed, Episode
from hfzmq.config import Config
from hfzmq.core.contract import Compact, Persist
from hfzmq.core.types import HardState
from hfzmq.errors import DataDirError
from hfzmq.storage import Store
from hfzmq.storage import connection as connection_module
from hfzmq.storage.connection import PRAGMAS, open_writer
from tests.integration.storage_world import (
    REPOSITORY,
    FaultyDisk,
    Tape,
    amnesia,
    founded,
    held_by,
    mesh,
    public_directory,
    report,
    without_privileges,
)


def refusal(data_dir: Path, peer_id: int = 1, config: Config | None = None) -> str:
    """The words of the refusal, hint included."""
    with pytest.raises(DataDirError) as caught:
        Store.open(data_dir, peer_id, config or mesh())
    assert caught.value.hint
    return f"{caught.value} | {caught.value.hint}"


# ------------------------------------------------------------------------------------------------------------- settings


def test_the_settings_that_durability_rests_on_are_in_force(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "x.db")
    found = {name: connection.execute(f"PRAGMA {name}").get for name, _, _ in PRAGMAS}
    assert found == {
        "synchronous": 2,
        "journal_mode": "wal",
        "wal_autocheckpoint": 0,
        "foreign_keys": 0,
        "busy_timeout": connection_module.BUSY_MS,
    }


@pytest.mark.parametrize("name", [name for name, _, _ in PRAGMAS])
def test_a_setting_that_does_not_hold_refuses_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    wrong = {"synchronous": "NORMAL", "journal_mode": "DELETE", "wal_autocheckpoint": "5", "foreign_keys": "ON"}
    changed = [(n, wrong.get(n, "7") if n == name else value, expected) for n, value, expected in PRAGMAS]
    monkeypatch.setattr(connection_module, "PRAGMAS", changed)
    assert f"will not keep {name}" in refusal(tmp_path)


def test_every_table_is_strict_and_has_the_indexes_that_its_questions_need(tmp_path: Path) -> None:
    store = Store.open(tmp_path, 1, mesh())
    store.close()
    connection = apsw.Connection(str(store.path))
    tables = {row[0]: row[1] for row in connection.execute("SELECT name, strict FROM pragma_table_list")}
    own = {name: strict for name, strict in tables.items() if not name.startswith("sqlite_")}
    assert set(own) == {
        "meta",
        "hard_state",
        "log",
        "log_base",
        "membership",
        "applied",
        "sessions",
        "risk_reports",
        "heartbeats",
        "heartbeat_alerts",
        "alarm_beds",
        "alarm_episodes",
        "alarm_events",
        "alarm_rules",
        "access_keys",
    }
    assert set(own.values()) == {1}
    indexes = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
    assert [row[0] for row in indexes] == [
        "risk_reports_by_patient",
        "risk_reports_by_tier",
        "heartbeats_by_patient",
        "heartbeats_by_status",
        "heartbeat_alerts_by_patient",
        "heartbeat_alerts_by_category",
        "heartbeat_alerts_unresolved",
        "alarm_episodes_by_state",
        "alarm_episodes_by_patient",
        "alarm_events_by_episode",
    ]


def test_every_column_of_the_schema_says_what_it_holds() -> None:
    """Each column line has a comment, save a few whose name is the whole story."""
    plain = {"crc", "client", "patient_id", "term"}
    lines = (REPOSITORY / "hfzmq/storage/schema.sql").read_text(encoding="utf-8").splitlines()
    columns = [line for line in lines if line.startswith("    ") and not line.strip().startswith("PRIMARY KEY")]
    bare = {line.split()[0] for line in columns if "--" not in line and line.split()[0] not in ("id", "idx")}
    assert bare <= plain
    for number, line in enumerate(lines):
        if line.startswith("CREATE"):
            assert lines[number - 1].startswith("--"), line


@pytest.mark.parametrize(("table", "kind"), [("alarm_beds", Bed), ("alarm_episodes", Episode)])
def test_the_columns_of_alarms_are_the_fields_of_what_they_hold(tmp_path: Path, table: str, kind: type) -> None:
    store = Store.open(tmp_path, 1, mesh())
    store.close()
    rows = apsw.Connection(str(store.path)).execute(f"SELECT name FROM pragma_table_info('{table}') ORDER BY cid")
    assert [row[0] for row in rows] == [*kind._fields, "crc"]  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------------------------ new files


def test_a_missing_directory_is_made_for_its_user_only_and_its_parents_for_whoever_must_pass(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "a" / "b", 3, mesh())
    assert store.path == tmp_path / "a" / "b" / "hfzmq_3.db"
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o755 & ~umask, "a service's user must pass it"
    store.close()


@contextmanager
def umask(bits: int) -> Iterator[None]:
    before = os.umask(bits)
    try:
        yield
    finally:
        os.umask(before)


def modes(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


def test_every_file_of_a_peer_is_for_its_user_alone_whatever_the_umask_and_the_directory(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with umask(0o000):
        store = Store.open(tmp_path, 1, mesh())
        names = ("hfzmq_1.db", "hfzmq_1.db-shm", "hfzmq_1.db-wal", "hfzmq_1.lock", "hfzmq_1.mark")
        assert modes(tmp_path) == dict.fromkeys(names, 0o600)
        assert store.doubts == []
        store.close()


def test_files_that_everybody_could_read_are_closed_at_the_start_and_a_groups_rights_stay(tmp_path: Path) -> None:
    Store.open(tmp_path, 1, mesh()).close()
    (tmp_path / "hfzmq_1.db").chmod(0o644)
    (tmp_path / "hfzmq_1.mark").chmod(0o640)
    (tmp_path / "hfzmq_12.db").touch(0o644)  # another peer's
    store = Store.open(tmp_path, 1, mesh())
    found = modes(tmp_path)
    other = found.pop("hfzmq_12.db")
    assert (other & 0o077 != 0, found.pop("hfzmq_1.mark")) == (True, 0o640)
    assert set(found.values()) == {0o600}
    (told,) = store.doubts
    assert "every user of this machine had rights to hfzmq_1.db, hfzmq_1.db-shm, hfzmq_1.db-wal; now" in told
    store.close()


def test_a_file_that_cannot_be_closed_to_others_is_told_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.open(tmp_path, 1, mesh()).close()
    (tmp_path / "hfzmq_1.mark").chmod(0o644)

    def refuse(path: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(os, "chmod", refuse)
        store = Store.open(tmp_path, 1, mesh())
    (told,) = store.doubts
    assert told.endswith(f"chmod 600 {tmp_path}/hfzmq_1.mark")
    store.close()


def test_a_directory_in_which_everybody_may_write_is_told_with_the_command(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    store = Store.open(tmp_path, 1, mesh())
    (told,) = store.doubts
    assert told.startswith(f"{tmp_path} has mode 777: ")
    assert told.endswith(f": chmod 700 {tmp_path}")
    store.close()


def test_each_new_directory_and_file_is_synced_into_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def spy(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    Store.open(tmp_path / "a" / "b", 1, mesh()).close()
    b = tmp_path / "a" / "b"  # the database's name, the mark, the mark's name
    assert synced == [str(tmp_path), str(tmp_path / "a"), str(b), str(b / "hfzmq_1.mark"), str(b)]


def test_who_the_peer_is_stands_in_the_file_itself_not_only_in_its_wal(tmp_path: Path) -> None:
    """Else a WAL that SQLite drops for one bad bit would make an old peer look new."""
    store = Store.open(tmp_path / "live", 1, mesh())
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / store.path.name).write_bytes(store.path.read_bytes())
    copied = Store.open(tmp_path / "copy", 1, mesh())
    assert copied.identity.incarnation == store.identity.incarnation
    copied.close()
    store.close()


def test_the_boot_number_is_on_synced_storage_before_open_returns(tmp_path: Path) -> None:
    disk = FaultyDisk("boot")
    Store.open(tmp_path, 1, mesh()).close()
    store = Store.open(tmp_path, 1, mesh(), vfs="boot")
    wal = [operation for operation, file in disk.calls if file.endswith("-wal")]
    assert "write" in wal
    assert wal[-1] == "sync"
    store.close()
    disk.unregister()


# --------------------------------------------------------------------------------------------------------- who may open


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from hfzmq.storage import Store;"
        "from tests.integration.storage_world import mesh;"
        "store = Store.open(Path(sys.argv[1]), 1, mesh()); print('open', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin
    assert holder.stdout
    with holder:
        assert holder.stdout.readline() == "open\n"
        message = refusal(tmp_path)
        assert "another process holds it" in message
        assert f"pid {holder.pid}" in message
        holder.kill()
    Store.open(tmp_path, 1, mesh()).close()  # the lock went with the process


def test_a_second_store_in_this_process_is_refused(tmp_path: Path) -> None:
    store = Store.open(tmp_path, 1, mesh())
    assert f"pid {os.getpid()}" in refusal(tmp_path)
    store.close()
    store.close()
    Store.open(tmp_path, 1, mesh()).close()


def test_two_peers_may_share_a_directory(tmp_path: Path) -> None:
    stores = [Store.open(tmp_path, peer, mesh()) for peer in (1, 2)]
    assert [store.path.name for store in stores] == ["hfzmq_1.db", "hfzmq_2.db"]
    for store in stores:
        store.close()


def test_another_peers_file_is_refused(tmp_path: Path) -> None:
    Store.open(tmp_path, 1, mesh()).close()
    (tmp_path / "hfzmq_1.db").rename(tmp_path / "hfzmq_2.db")
    message = refusal(tmp_path, peer_id=2)
    assert "holds peer 1, asked was peer 2" in message
    assert "--id 1" in message


def test_another_meshs_file_is_refused(tmp_path: Path) -> None:
    Store.open(tmp_path, 1, mesh()).close()
    other = mesh(mesh_id=b"another mesh's id"[:16], name="icu")
    message = refusal(tmp_path, config=other)
    assert f"holds mesh {mesh().mesh_id.hex()}, asked was mesh {other.mesh_id.hex()} (icu)" in message


def test_other_first_peers_are_refused_and_both_lists_shown(tmp_path: Path) -> None:
    Store.open(tmp_path, 1, mesh()).close()
    assert "founded with peers 1, 2, 3, asked was a mesh of peers 1, 2" in refusal(tmp_path, config=mesh((1, 2)))


def test_once_the_mesh_is_founded_peers_yaml_may_list_others(tmp_path: Path) -> None:
    """The members stand in the log from then on, also when the log is compacted past the founding."""
    store, tape = Store.open(tmp_path, 1, mesh()), Tape()
    founding = tape.config(founded())
    store.write([tape.persist(founding)])
    store.close()
    store = Store.open(tmp_path, 1, mesh((1, 2, 3, 4)))
    tape.write(store, [report(1)])
    store.write([tape.apply(), Compact(tape.last, founded(founding.index))])
    store.close()
    store = Store.open(tmp_path, 1, mesh((1, 5)))
    assert store.recovered.membership == founded(founding.index)
    assert store.recovered.log.last.index == store.recovered.log.base.index == tape.last.index
    store.close()


def test_other_addresses_are_no_other_mesh(tmp_path: Path) -> None:
    Store.open(tmp_path, 1, mesh()).close()
    moved = mesh()._replace(peers=tuple(peer._replace(host="10.0.0.9") for peer in mesh().peers))
    Store.open(tmp_path, 1, moved).close()


def test_a_file_of_a_newer_hfzmq_is_refused(tmp_path: Path) -> None:
    store = Store.open(tmp_path, 1, mesh())
    store.close()
    connection = apsw.Connection(str(store.path))
    connection.execute("UPDATE meta SET schema_version = 8")
    connection.close()
    message = refusal(tmp_path)
    assert "newer hfzmq (schema 8, this one knows 7)" in message


def test_a_file_of_an_older_hfzmq_is_refused_and_not_called_damaged(tmp_path: Path) -> None:
    store = Store.open(tmp_path, 1, mesh())
    store.close()
    connection = apsw.Connection(str(store.path))
    connection.execute("UPDATE meta SET schema_version = 1")
    connection.close()
    message = refusal(tmp_path)
    assert "older hfzmq (schema 1, this one knows 7)" in message
    assert "damaged" not in message


# ----------------------------------------------------------------------------------- what stands where the file belongs


def a_file_for_a_directory(directory: Path) -> Path:
    (directory / "taken").write_text("")
    return directory / "taken"


def a_file_for_a_parent(directory: Path) -> Path:
    return a_file_for_a_directory(directory) / "data"


def a_directory_for_the_file(directory: Path) -> Path:
    (directory / "hfzmq_1.db").mkdir()
    return directory


def a_directory_for_the_lock(directory: Path) -> Path:
    (directory / "hfzmq_1.lock").mkdir()
    return directory


def no_database(directory: Path) -> Path:
    (directory / "hfzmq_1.db").write_bytes(b"patient,age\n" * 500)
    return directory


def another_programs_database(directory: Path) -> Path:
    connection = apsw.Connection(str(directory / "hfzmq_1.db"))
    connection.execute("CREATE TABLE notes (text)")
    connection.close()
    return directory


def a_wal_without_its_database(directory: Path) -> Path:
    (directory / "hfzmq_1.db-wal").write_bytes(b"acknowledged")
    return directory


def a_wal_beside_an_empty_database(directory: Path) -> Path:
    (directory / "hfzmq_1.db").write_bytes(b"")
    return a_wal_without_its_database(directory)


@pytest.mark.parametrize("prepare", [a_wal_without_its_database, a_wal_beside_an_empty_database])
def test_what_a_cut_left_of_a_founding_is_begun_anew_and_is_no_amnesia(
    tmp_path: Path, prepare: Callable[[Path], Path]
) -> None:
    store = Store.open(prepare(tmp_path), 1, mesh())
    store.close()
    assert store.amnesia is None
    assert not list(tmp_path.glob("aside-*"))


def a_cut_database(directory: Path) -> Path:
    store = Store.open(directory, 1, mesh())
    store.close()
    store.path.write_bytes(store.path.read_bytes()[:6000])
    return directory


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (a_file_for_a_directory, "not a directory"),
        (a_file_for_a_parent, "not a directory"),
        (a_directory_for_the_file, "a directory stands where the file belongs"),
        (a_directory_for_the_lock, "a directory stands where the file belongs"),
        (no_database, "not a database"),
        (another_programs_database, "a database of another program"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_no_peers_file_is_refused(tmp_path: Path, prepare: Callable[[Path], Path], words: str) -> None:
    data_dir = prepare(tmp_path)
    before = sorted(tmp_path.glob("*.db*"))
    assert words in refusal(data_dir)
    assert [path for path in before if not path.exists()] == []


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (a_cut_database, "damaged"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_left_of_a_peers_files_is_set_aside(
    tmp_path: Path, prepare: Callable[[Path], Path], words: str
) -> None:
    prepare(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.db*")}
    assert words in amnesia(tmp_path)
    (aside,) = tmp_path.glob("aside-*")
    assert {name: (aside / name).read_bytes() for name in before} == before


def test_an_empty_file_is_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "hfzmq_1.db").write_bytes(b"")
    Store.open(tmp_path, 1, mesh()).close()


# ----------------------------------------------------------------------------------------------------- rights and space


@pytest.mark.parametrize("what", ["parent", "directory", "lock", "database"])
def test_missing_rights_are_told_and_what_is_needed(what: str) -> None:
    with public_directory() as parent:
        data_dir = parent / "data"
        if what != "parent":
            data_dir.mkdir()
        if what in ("lock", "database"):
            store = Store.open(data_dir, 1, mesh())
            store.close()
            os.chmod(data_dir, 0o777)
            os.chmod(store.path, 0o444 if what == "database" else 0o666)
            os.chmod(store.path.with_suffix(".lock"), 0o444 if what == "lock" else 0o666)
        os.chmod(parent if what == "parent" else data_dir, 0o777 if what in ("lock", "database") else 0o555)
        with without_privileges():
            message = refusal(data_dir)
        os.chmod(parent, 0o777)
    assert "permission denied" in message or "read-only" in message
    assert "rights" in message or "may write to" in message


def test_a_full_disk_at_the_start_is_told(tmp_path: Path) -> None:
    def full(operation: str, file: str) -> None:
        if operation == "write":
            raise apsw.FullError("no space")

    disk = FaultyDisk("full", full)
    with pytest.raises(DataDirError, match="no space left") as caught:
        Store.open(tmp_path, 1, mesh(), vfs="full")
    assert "make room" in caught.value.hint
    disk.armed = False
    store = Store.open(tmp_path, 1, mesh(), vfs="full")  # half of a founding is no file
    assert store.identity.boot_no == 1
    store.close()
    disk.unregister()


def test_a_sync_that_fails_while_starting_refuses_the_start(tmp_path: Path) -> None:
    def broken(operation: str, file: str) -> None:
        if operation == "sync":
            raise apsw.IOError("sync")

    Store.open(tmp_path, 1, mesh()).close()
    disk = FaultyDisk("no_sync", broken)
    with pytest.raises(DataDirError):
        Store.open(tmp_path, 1, mesh(), vfs="no_sync")
    disk.unregister()


def test_what_was_written_before_is_there_after_a_start_that_was_refused(tmp_path: Path) -> None:
    tape = Tape()
    store = Store.open(tmp_path, 1, mesh())
    tape.write(store, [report(1)])
    store.write([Persist(9, HardState(3, 2), None, ())])
    store.close()
    refusal(tmp_path, config=mesh((1, 2)))
    store = Store.open(tmp_path, 1, mesh())
    assert held_by(store).rows == tape.rows
    assert store.recovered.hard_state == HardState(3, 2)
    store.close()
