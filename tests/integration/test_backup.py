"""A backup holds what its peer held at one moment, says so, and is refused when one bit of it has changed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import apsw
import pytest

from hfzmq.access import ADMIN, CLIENT, PEER
from hfzmq.clinical.alarm.facts import Action, RulesSet
from hfzmq.clinical.alarm.rules import AlarmRules
from hfzmq.clinical.heart_rate import VERDICTS
from hfzmq.config import Config
from hfzmq.core import sessions
from hfzmq.core.types import BATCH, HardState, Origin, chained
from hfzmq.errors import ConfigError, DataDirError, HfzmqError, InvalidInput, NotFound
from hfzmq.key_section import Keys
from hfzmq.storage import Store, backup, report_rows, restored
from hfzmq.storage.backup import Backup
from hfzmq.storage.mark import mark_path
from hfzmq.storage.restore import restore
from hfzmq.wire.access import Issued, Revoked
from hfzmq.wire.readings import JudgedReading
from tests.integration.storage_world import STAMP_MS, FaultyDisk, Tape, founded, mesh, report

NEW = mesh(mesh_id=b"another mesh's id")
PEER_1, PEER_2, PEER_2_NEW, PEER_4, BED, BED_OLD, BOSS, STOLEN = (letter * 40 for letter in "abcdefgh")  # keys


@pytest.fixture
def tape() -> Tape:
    """A mesh that has begun, with reports, readings and alarms, and a log that was cut."""
    tape = Tape()
    tape.hard_state = HardState(3, 1)
    tape.config(founded(1))
    tape.facts(RulesSet(AlarmRules(amber_ms=20_000)))
    tape.batch([report(number) for number in range(1, 40)])
    tape.readings([JudgedReading(f"p{n}", STAMP_MS + n, 60.0 + n, "", n % len(VERDICTS)) for n in range(30)])
    tape.facts(Action("ack", 1, "ann"))
    tape.access(
        Issued(PEER_4, PEER, "peer-4", 4),
        Issued(BED, CLIENT, "bed", 0),
        Issued(BOSS, ADMIN, "boss", 0),
        Revoked(STOLEN),
    )
    tape.access(Issued(PEER_2_NEW, PEER, "peer-2-new", 2), Issued(BED_OLD, CLIENT, "bed-old", 0))
    tape.access(Revoked(BED_OLD), Revoked(PEER_2))
    return tape


@pytest.fixture
def store(tmp_path: Path, tape: Tape) -> Iterator[Store]:
    """The peer that holds it, running."""
    store = Store.open(tmp_path / "1", 1, mesh())
    store.write([tape.persist(*tape.log, hard_state=tape.hard_state), tape.apply()])
    store.write([tape.compact(2)])
    yield store
    store.close()


@pytest.fixture
def made(store: Store, tmp_path: Path) -> Backup:
    return backup.make(store.path, tmp_path / "ward.backup")


def table_rows(path: Path, table: str) -> list[object]:
    database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return list(database.execute(f"select * from {table}"))
    finally:
        database.close()


def test_a_backup_holds_what_the_peer_holds_and_leaves_nothing_else_behind(
    store: Store, tape: Tape, made: Backup, tmp_path: Path
) -> None:
    assert (made.place.index, made.state_hash) == (tape.applied, tape.state_hash)
    assert made.mesh_id == mesh().mesh_id
    assert made.rows["risk_reports"] == 39
    assert made.rows["heartbeats"] == 30
    assert made.rows["alarm_episodes"] > 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["1", "ward.backup"]
    for table in ("risk_reports", "heartbeats", "heartbeat_alerts", "alarm_episodes", "alarm_events", "sessions"):
        assert table_rows(made.path, table) == table_rows(store.path, table), table
    assert backup.verify(made.path) == made


def test_the_peer_writes_on_while_it_is_copied_and_the_backup_is_of_one_moment(
    store: Store, tape: Tape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "PAGES_A_STEP", 3)
    before = tape.applied
    copied = []

    def write(what: str, share: float) -> None:
        if what == backup.COPYING:
            copied.append(share)
            tape.write(store, [report(100 + len(copied))])

    made = backup.make(store.path, tmp_path / "ward.backup", write)
    assert len(copied) > 5
    assert made.place.index == before
    assert tape.applied == before + len(copied)
    assert backup.make(store.path, tmp_path / "later.backup").place.index == tape.applied


@pytest.fixture
def survivor(store: Store, tape: Tape) -> Store:
    """Its leader died before it said that the last entries are committed: they are in the log and in no table."""
    last = tape.batch([report(number) for number in range(300, 317)], client="bed-9")
    tail = [last, tape.readings([JudgedReading("p1", STAMP_MS + 99, 61.0, "", 0)])]
    tail += [tape.facts(Action("ack", 1, "bob")), tape.config(founded(0, (1, 2)))]
    origin = last.origin
    assert origin
    again = chained(
        tape.last, 4, BATCH, origin, last.body
    )  # the same request, which the next leader appended once more
    tape.log.append(again)
    tail += [again, tape.batch([report(400)], client="bed-9")]
    store.write([tape.persist(*tail)])
    return store


def test_the_log_of_the_last_survivor_is_taken_in_as_the_mesh_would_have_applied_it(
    survivor: Store, tape: Tape, tmp_path: Path
) -> None:
    before = survivor.path.read_bytes(), tape.applied
    made = backup.make(survivor.path, tmp_path / "ward.backup", tail=True)
    assert (survivor.path.read_bytes(), tape.applied) == before
    plain = backup.make(survivor.path, tmp_path / "plain.backup")
    assert (plain.place.index, plain.tail_entries, plain.rows["risk_reports"]) == (tape.applied, 0, 39)
    survivor.write([tape.apply()])  # as if a leader had come after all
    assert (made.place.index, made.state_hash) == (tape.applied, tape.state_hash)
    assert made.tail_entries == 6
    assert made.rows["risk_reports"] == 39 + 17 + 1, "what stands twice in the log is stored once"
    assert [member.peer for member in made.members.members] == [1, 2]
    for table in ("risk_reports", "heartbeats", "alarm_episodes", "alarm_events", "sessions"):
        assert table_rows(made.path, table) == table_rows(survivor.path, table), table
    assert backup.verify(made.path) == made._replace(tail_entries=0)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["1", "plain.backup", "ward.backup"]


def test_a_client_that_sends_what_was_in_the_tail_again_is_recognised_by_the_restored_mesh(
    survivor: Store, tape: Tape, tmp_path: Path
) -> None:
    made = backup.make(survivor.path, tmp_path / "ward.backup", tail=True)
    restore(made.path, NEW, 1, tmp_path / "new")
    new = Store.open(tmp_path / "new", 1, NEW)
    known, last = sessions.Sessions(new.recovered.sessions), tape.log[-1].origin
    assert last
    assert known.judge(last)[0] == sessions.AGAIN
    assert known.judge(Origin(last.client, last.epoch, last.seq + 1, last.digest))[0] == sessions.NEW
    new.close()


def test_a_survivor_that_knew_nothing_to_be_committed_is_backed_up_too(tmp_path: Path) -> None:
    tape, store = Tape(), Store.open(tmp_path / "1", 1, mesh())
    with pytest.raises(DataDirError, match="holds nothing"):
        backup.make(store.path, tmp_path / "ward.backup", tail=True)
    store.write([tape.persist(tape.config(founded(1)), tape.batch([report(1)]), hard_state=HardState(1, 1))])
    with pytest.raises(DataDirError, match="holds nothing"):
        backup.make(store.path, tmp_path / "ward.backup")
    made = backup.make(store.path, tmp_path / "ward.backup", tail=True)
    assert (made.place.index, made.tail_entries, made.rows["risk_reports"]) == (2, 2, 1)
    store.close()


def test_an_entry_of_the_tail_that_cannot_be_read_is_told_and_leaves_nothing(
    store: Store, tape: Tape, tmp_path: Path
) -> None:
    bad = chained(tape.last, 3, BATCH, None, b"\xff what no version has written")
    store.write([tape.persist(bad)])
    with pytest.raises(DataDirError, match=f"damaged, not backed up: entry {bad.index} cannot be read"):
        backup.make(store.path, tmp_path / "ward.backup", tail=True)
    assert [one.name for one in tmp_path.iterdir()] == ["1"]


def test_no_file_is_ever_overwritten(store: Store, tmp_path: Path) -> None:
    to = tmp_path / "ward.backup"
    to.write_text("mine")
    with pytest.raises(InvalidInput, match="does not exist yet"):
        backup.make(store.path, to)
    assert to.read_text() == "mine"


def test_a_peers_file_that_lost_its_last_entries_says_so_and_one_that_is_written_meanwhile_never(
    store: Store, tape: Tape, tmp_path: Path
) -> None:
    def write(what: str, share: float) -> None:
        tape.write(store, [report(500 + tape.applied)])

    assert backup.make(store.path, tmp_path / "a.backup", write).forgotten == ""
    store.close()
    store = Store.open(tmp_path / "1", 1, mesh())
    tape.write(store, [report(900)])
    old, alone = tmp_path / "old" / "hfzmq_1.db", tmp_path / "alone" / "hfzmq_1.db"
    for copy in (old, alone):
        copy.parent.mkdir()
        shutil.copy(store.path, copy)  # without its WAL
    shutil.copy(mark_path(store.path), mark_path(old))
    assert backup.make(old, tmp_path / "b.backup").forgotten == "start 1, but 2 were counted"
    assert "hfzmq_1.mark, is not beside it" in backup.make(alone, tmp_path / "c.backup").forgotten
    mark_path(old).write_bytes(bytes(9000))
    assert "cannot be read" in backup.make(old, tmp_path / "d.backup").forgotten
    store.close()
    assert backup.make(store.path, tmp_path / "e.backup").forgotten == ""


@pytest.mark.parametrize("full", [".copy", ".part", ".part-raw"])
def test_a_disk_that_is_full_is_called_that_and_nothing_stays_on_it(
    store: Store, tmp_path: Path, full: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def before(operation: str, file: str) -> None:
        if operation == "write" and file.endswith(f"ward.backup{full}"):
            raise apsw.FullError

    disk = FaultyDisk("full", before)
    monkeypatch.setattr(apsw, "Connection", partial(apsw.Connection, vfs=disk.vfs_name))
    with pytest.raises(DataDirError, match=r"ward\.backup: no backup was made: no space left on the disk") as told:
        backup.make(store.path, tmp_path / "ward.backup")
    assert f"df -h {tmp_path}" in told.value.hint
    assert [one.name for one in tmp_path.iterdir()] == ["1"]


def test_on_a_disk_without_hard_links_it_gets_its_name_likewise_and_overwrites_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(code: int) -> None:
        def link(source: Path, to: Path) -> None:
            raise OSError(code, os.strerror(code), str(source), None, str(to))

        monkeypatch.setattr(os, "link", link)

    refuses(errno.EPERM)
    made = backup.make(store.path, tmp_path / "ward.backup")
    assert backup.verify(tmp_path / "ward.backup") == made
    part = tmp_path / "part"
    part.write_text("another")
    with pytest.raises(FileExistsError):
        backup.name(part, tmp_path / "ward.backup")
    assert backup.verify(tmp_path / "ward.backup") == made
    part.unlink()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["1", "ward.backup"]
    refuses(errno.EIO)
    with pytest.raises(DataDirError, match="Input/output error"):
        backup.make(store.path, tmp_path / "other.backup")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["1", "ward.backup"]


def test_every_changed_row_is_found_whatever_table_it_is_in(made: Backup, tmp_path: Path) -> None:
    changes = (
        "update risk_reports set probability = 0.123 where id = 3",
        "delete from heartbeats where id = 30",
        "update heartbeats set validation_status = 'valid' where id = 2",
        "update alarm_events set detail = 'bob' where id = 2",
        "delete from alarm_beds",
        "delete from alarm_episodes where id = 1",
        "delete from sessions",
        "update applied set lines = lines - 1",
        "update alarm_rules set rules = '{}'",
        "update access_keys set revoked_at = 0 where revoked_at",
        "delete from access_keys where revoked_at",
    )
    for number, change in enumerate(changes):
        copy = tmp_path / f"{number}.backup"
        shutil.copy(made.path, copy)
        database = apsw.Connection(str(copy))
        database.execute(change)
        assert database.changes(), change
        database.close()
        with pytest.raises(DataDirError, match="damaged"):
            backup.verify(copy)


def test_numbers_that_a_start_believes_are_counted_anew(made: Backup) -> None:
    """A row that was sealed anew passes its own checksum; what stands in other rows tells."""
    database = apsw.Connection(str(made.path))
    row = database.execute(report_rows.SELECT_REPORT, (1,)).fetchone()
    assert row
    flipped = (*row[:10], 1 - row[10], *row[11:-1])
    database.execute(report_rows.UPDATE_ALERT_SENT, (flipped[10], report_rows.report_crc(flipped), 1))
    database.close()
    with pytest.raises(DataDirError, match="marked"):
        backup.verify(made.path)


def test_one_flipped_bit_anywhere_in_the_used_pages_is_found_or_harmless(made: Backup, tmp_path: Path) -> None:
    """Where a bit is found harmless, what is read is what was written."""
    data = made.path.read_bytes()
    found = 0
    for at in range(101, len(data), len(data) // 60):
        copy = tmp_path / "flipped"
        copy.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        try:
            seen = backup.verify(copy)
        except HfzmqError:
            found += 1
        else:
            assert (seen.place, seen.state_hash, seen.rows) == (made.place, made.state_hash, made.rows)
            assert table_rows(copy, "risk_reports") == table_rows(made.path, "risk_reports")
    assert found > 10


def test_a_peers_own_damage_is_not_backed_up(store: Store, tmp_path: Path) -> None:
    store.close()
    database = apsw.Connection(str(store.path))
    database.execute("update risk_reports set age = 99 where id = 7")
    database.close()
    with pytest.raises(DataDirError, match=r"damaged, not backed up.*risk_reports"):
        backup.make(store.path, tmp_path / "ward.backup")
    assert [one.name for one in tmp_path.iterdir()] == ["1"]


@pytest.mark.parametrize("content", [b"", b"no database at all, but text" * 100])
def test_what_is_no_backup_is_refused_with_a_reason(content: bytes, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "what"
    with pytest.raises(NotFound, match="what: no such file"):
        backup.verify(path)
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="a file that hfzmq backup made"):
        backup.verify(path)
    with pytest.raises(InvalidInput, match="the file of a peer"):
        backup.make(path, tmp_path / "to")
    with pytest.raises(InvalidInput) as refused:
        backup.verify(store.path)
    assert "hfzmq backup --db" in refused.value.hint


def test_a_backup_put_in_a_peers_place_by_hand_is_refused_at_the_start(made: Backup, tmp_path: Path) -> None:
    (tmp_path / "2").mkdir()
    shutil.copy(made.path, tmp_path / "2" / "hfzmq_2.db")
    with pytest.raises(DataDirError, match="holds peer 0, asked was peer 2"):
        Store.open(tmp_path / "2", 2, mesh())


# ------------------------------------------------------------ restore


def restored_tables(path: Path) -> list[list[object]]:
    names = ("sessions", "risk_reports", "heartbeats", "heartbeat_alerts", "alarm_episodes", "alarm_rules")
    return [table_rows(path, name) for name in names]


def test_all_first_peers_agree_without_having_talked(made: Backup, tmp_path: Path) -> None:
    stores = []
    for peer in (1, 2, 3):
        restore(made.path, NEW, peer, tmp_path / f"new{peer}")
        stores.append(Store.open(tmp_path / f"new{peer}", peer, NEW))
    one = stores[0].recovered
    assert one.membership.founded
    assert one.membership.voters == (1, 2, 3)
    assert one.hard_state == HardState(made.place.term + 1, 0)
    for peer, store in enumerate(stores, 1):
        assert store.recovered.membership == one.membership
        assert store.recovered.log.last == made.place
        assert (store.recovered.applied, store.recovered.state_hash) == (made.place.index, one.state_hash)
        assert one.membership.counts(peer, store.identity.incarnation)
        assert store.identity.mesh_id == NEW.mesh_id
        assert store.amnesia is None
        assert restored_tables(store.path) == restored_tables(made.path)
        assert store.history == b"", "the old mesh may have gone on after this backup, and so may another restored one"
        for table in ("applied", "access_keys"):
            assert table_rows(store.path, table) == table_rows(stores[0].path, table)
        store.close()
    again = Store.open(tmp_path / "new1", 1, NEW)
    assert again.amnesia is None
    again.close()


def test_nobody_of_the_old_mesh_or_of_another_restore_is_a_member(
    store: Store, tape: Tape, made: Backup, tmp_path: Path
) -> None:
    restore(made.path, NEW, 1, tmp_path / "new")
    new = Store.open(tmp_path / "new", 1, NEW)
    members = new.recovered.membership
    new.close()
    assert not any(members.counts(peer, bytes([peer]) * 16) for peer in (1, 2, 3))
    assert not members.counts(1, store.identity.incarnation)
    tape.write(store, [report(500)])
    later = backup.make(store.path, tmp_path / "later")
    for other in (
        restored.incarnations(later.digest, NEW),
        restored.incarnations(made.digest, mesh(mesh_id=b"a third mesh, its")),
        restored.incarnations(made.digest, mesh((1, 2, 3, 4), mesh_id=NEW.mesh_id)),
    ):
        assert not any(members.counts(peer, life) for peer, life in other.items())


def refused(made: Path, config: Config, peer: int, directory: Path) -> str:
    with pytest.raises(HfzmqError) as error:
        restore(made, config, peer, directory)
    return str(error.value)


def test_restore_refuses_what_would_be_dangerous(made: Backup, tmp_path: Path) -> None:
    assert "another one than the backup's own" in refused(made.path, mesh(), 1, tmp_path / "a")
    with pytest.raises(ConfigError, match="no peer with id 9"):
        restore(made.path, NEW, 9, tmp_path / "a")
    full = tmp_path / "full"
    full.mkdir()
    (full / "letter").write_text("mine")
    assert "an empty directory" in refused(made.path, NEW, 1, full)
    assert [one.name for one in full.iterdir()] == ["letter"]
    damaged = tmp_path / "damaged"
    damaged.write_bytes(made.path.read_bytes())
    database = apsw.Connection(str(damaged))
    database.execute("update risk_reports set age = 99 where id = 7")
    database.close()
    assert "damaged" in refused(damaged, NEW, 1, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_new_mesh_keeps_who_was_revoked_and_all_keys_but_those_of_the_old_peers(made: Backup, tmp_path: Path) -> None:
    assert made.revoked == {STOLEN, BED_OLD, PEER_2}
    peer = restore(made.path, NEW, 1, tmp_path / "new")
    new = Store.open(tmp_path / "new", 1, NEW)
    in_force = [(one.key, one.role) for one in new.keys.issued if one.key not in new.keys.revoked]
    assert in_force == [(BED, CLIENT), (BOSS, ADMIN)]
    assert new.keys.revoked == made.revoked
    assert new.recovered.state_hash == peer.state_hash != made.state_hash
    new.close()


def test_a_peer_whose_key_the_backup_knows_as_revoked_or_that_has_none_is_refused(made: Backup, tmp_path: Path) -> None:
    def keyed(*peers: tuple[int, str]) -> Config:
        return NEW._replace(keys=Keys(peers), path="new.yaml")

    old = keyed((1, PEER_1), (2, PEER_2), (3, PEER_4))
    assert "new.yaml: the key of peer 2 is revoked" in refused(made.path, old, 1, tmp_path / "a")
    assert "the key of peer 3 is not listed" in refused(made.path, keyed((1, PEER_1), (2, BED)), 1, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    restore(made.path, keyed((1, PEER_1), (2, PEER_2_NEW), (3, PEER_4)), 1, tmp_path / "a")


def test_the_note_goes_with_the_file_and_can_be_read(made: Backup, tmp_path: Path) -> None:
    peer = restore(made.path, NEW, 2, tmp_path / "new")
    note = restored.read_note(peer.path)
    assert note is not None
    assert (note.place, note.state_hash) == (made.place, peer.state_hash)
    assert note.incarnations[2] == peer.incarnation
    assert restored.others(note, 2) == [1, 3]
    restored.note_path(peer.path).write_text("{")
    with pytest.raises(DataDirError, match="cannot be read"):
        restored.read_note(peer.path)
    restored.drop_note(peer.path)
    assert restored.read_note(peer.path) is None
