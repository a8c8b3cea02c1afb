"""A peer whose disk may have forgotten comes back as another incarnation; one that only lost power does not."""

from __future__ import annotations

import errno
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from hfzmq.core.types import HardState
from hfzmq.errors import DataDirError, DiskFailed
from hfzmq.storage import Store, aside, mark, recovery, walscan
from hfzmq.storage.mark import Mark, MarkFile
from tests.integration.storage_world import FaultyDisk, Tape, amnesia, expected_of, held_by, mesh, report

FRAME = 24 + 4096


def written(directory: Path, entries: int = 8) -> tuple[Path, Tape]:
    """The files as a killed process leaves them: nothing is back in the database."""
    live = directory / "live"
    store, tape = Store.open(live, 1, mesh()), Tape()
    for number in range(entries):
        tape.write(store, [report(number)])
    left = directory / "left"
    left.mkdir()
    for name in ("hfzmq_1.db", "hfzmq_1.db-wal", "hfzmq_1.mark"):
        shutil.copy(live / name, left / name)
    store.close()
    return left, tape


def flip(path: Path, at: int, bits: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= bits
    path.write_bytes(content)


def ends(wal: Path) -> list[int]:
    """The WAL's frames that end a transaction, from 0 on."""
    content = wal.read_bytes()
    heads = range(32, len(content) - 24, FRAME)
    return [number for number, at in enumerate(heads) if content[at + 4 : at + 8] != bytes(4)]


# ------------------------------------------------------------------------------------------------------------- the WAL


def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    left, tape = written(tmp_path)
    assert walscan.scan(left / "hfzmq_1.db").verdict == walscan.CLEAN
    store = Store.open(left, 1, mesh())
    assert store.amnesia is None
    assert held_by(store) == expected_of(tape)
    store.close()


def test_a_torn_tail_is_no_damage_and_takes_the_last_transaction_only(tmp_path: Path) -> None:
    left, _ = written(tmp_path)
    wal = left / "hfzmq_1.db-wal"
    for place in range(ends(wal)[-2] + 1, ends(wal)[-1] + 1):
        for at in (0, 5, 20, 24, 4000):
            copy = tmp_path / f"{place}-{at}"
            shutil.copytree(left, copy)
            flip(copy / wal.name, 32 + place * FRAME + at)
            scan = walscan.scan(copy / "hfzmq_1.db")
            assert (scan.verdict, scan.frames) == (walscan.TORN, ends(wal)[-2] + 1), f"{place} {at}"


@pytest.mark.parametrize("at", [0, 4, 7, 8, 12, 16, 20, 24, 2000, 4119])
def test_a_flipped_bit_before_the_last_transactions_is_damage_and_sqlite_would_not_say_so(
    tmp_path: Path, at: int
) -> None:
    left, tape = written(tmp_path)
    wal = left / "hfzmq_1.db-wal"
    for place in range(ends(wal)[-4] + 1):
        copy = tmp_path / f"{place}"
        shutil.copytree(left, copy)
        flip(copy / wal.name, 32 + place * FRAME + at, 0x40)
        assert walscan.scan(copy / "hfzmq_1.db").verdict == walscan.DAMAGED, place
    plain = apsw.Connection(str(copy / "hfzmq_1.db"))
    assert plain.execute("PRAGMA integrity_check").get == "ok"
    assert plain.execute("SELECT count(*) FROM log").get < len(tape.log)
    plain.close()


@pytest.mark.parametrize("at", [0, 7, 16, 2000])
def test_a_flipped_bit_in_the_last_transactions_is_found_by_the_mark_though_the_scan_takes_it_for_torn(
    tmp_path: Path, at: int
) -> None:
    left, _ = written(tmp_path)
    wal = left / "hfzmq_1.db-wal"
    for place in range(ends(wal)[-3] + 1, ends(wal)[-1] + 1):
        copy = tmp_path / f"{place}"
        shutil.copytree(left, copy)
        flip(copy / wal.name, 32 + place * FRAME + at, 0x40)
        assert walscan.scan(copy / "hfzmq_1.db").verdict == walscan.TORN, place
        assert "behind its mark" in amnesia(copy), place


SALTS = struct.pack(">II", 11, 12)


def wal_of(path: Path, *generations: tuple[int, tuple[int, ...]]) -> list[int]:
    """Write a WAL: each generation goes on after so many frames of the one before, with transactions of so many frames;
    what it does not reach stays. Returns where the last one's transactions end, in frames."""
    head = struct.pack(">IIII", 0x377F0682, 3007000, 4096, 0) + SALTS
    sums = [walscan.checksum(head, (0, 0), "<")]  # after each frame of the generation that is written
    frames: list[bytes] = []
    ends: list[int] = []
    for number, (kept, sizes) in enumerate(generations):
        del sums[kept + 1 :]
        at, ends = kept, []
        for size in sizes:
            for left in range(size - 1, -1, -1):
                start = struct.pack(">II", at + 1, 0 if left else 100)
                page = bytes([number + 1]) * 4096
                sums.append(walscan.checksum(start + page, sums[-1], "<"))
                frames[at : at + 1] = [start + SALTS + struct.pack(">II", *sums[-1]) + page]
                at += 1
            ends.append(at)
    path.write_bytes(head + struct.pack(">II", *walscan.checksum(head, (0, 0), "<")) + b"".join(frames))
    return ends


def test_an_apply_that_the_power_cut_tore_before_a_commit_was_synced_is_no_damage(tmp_path: Path) -> None:
    database = tmp_path / "hfzmq_1.db"
    *_, synced, applied, persisted = wal_of(walscan.wal_path(database), (0, (3, 2, 4, 3)))
    for place in range(synced, persisted):
        wal_of(walscan.wal_path(database), (0, (3, 2, 4, 3)))
        flip(walscan.wal_path(database), 32 + place * FRAME + 24)
        scan = walscan.scan(database)
        assert scan[:2] == (walscan.TORN, synced if place < applied else applied), place


def test_a_bad_frame_is_damage_once_two_transactions_after_its_own_were_begun(tmp_path: Path) -> None:
    database = tmp_path / "hfzmq_1.db"
    first, *_ = wal_of(walscan.wal_path(database), (0, (3, 2, 4, 1)))
    for place in range(first + 1):
        wal_of(walscan.wal_path(database), (0, (3, 2, 4, 1)))
        flip(walscan.wal_path(database), 32 + place * FRAME + 24)
        assert walscan.scan(database).verdict == walscan.DAMAGED, place


def test_what_two_power_cuts_have_left_behind_one_another_is_not_added_up(tmp_path: Path) -> None:
    # The first tore an apply of eight frames and left the end of it and the commit after it; the start that followed
    # wrote one frame over it, then came an apply of two frames and a commit of two, and the power went again.
    database = tmp_path / "hfzmq_1.db"
    wal_of(walscan.wal_path(database), (0, (1, 8, 2)), (1, (1, 2, 2)))
    flip(walscan.wal_path(database), 32 + 2 * FRAME + 24)
    assert walscan.scan(database)[:2] == (walscan.TORN, 2)


@pytest.mark.parametrize("at", range(0, 32, 3))
def test_a_damaged_header_is_damage_as_long_as_its_frames_are_needed(tmp_path: Path, at: int) -> None:
    left, tape = written(tmp_path)
    flip(left / "hfzmq_1.db-wal", at)
    assert "header is damaged" in amnesia(left)
    redundant, tape = written(tmp_path / "second")
    store = Store.open(redundant, 1, mesh())
    store._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)  # all is in the database now
    copy = tmp_path / "copy"
    shutil.copytree(redundant, copy)
    store.close()
    flip(copy / "hfzmq_1.db-wal", at)
    store = Store.open(copy, 1, mesh())
    assert store.amnesia is None
    assert held_by(store) == expected_of(tape)
    store.close()


# ------------------------------------------------------------------------------------------------------------ the mark


def remove(name: str) -> Callable[[Path], None]:
    return lambda left: (left / name).unlink()


def roll_back(left: Path) -> None:
    """The database is an older copy, the mark is not."""
    old = left.parent / "live" / "hfzmq_1.db"
    shutil.copy(left / "hfzmq_1.mark", left / "kept")
    for name in ("hfzmq_1.db-wal", "hfzmq_1.mark"):
        (left / name).unlink()
    other = left.parent / "older"
    store = Store.open(other, 1, mesh())
    store.close()
    assert old.exists()
    shutil.copy(other / "hfzmq_1.db", left / "hfzmq_1.db")
    (left / "kept").rename(left / "hfzmq_1.mark")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (remove("hfzmq_1.db-wal"), "behind its mark"),
        (remove("hfzmq_1.db"), "missing or empty"),
        (remove("hfzmq_1.mark"), "the mark is missing"),
        (lambda left: (left / "hfzmq_1.db").write_bytes(b""), "missing or empty"),
        (lambda left: (left / "hfzmq_1.mark").write_bytes(b""), "neither of its slots"),
        (lambda left: (left / "hfzmq_1.mark").write_bytes(os.urandom(8192)), "neither of its slots"),
        (roll_back, "another incarnation"),
        (lambda left: aside.distrust(left / "hfzmq_1.db", "the others hold something else"), "the others hold"),
    ],
)
def test_what_was_taken_away_or_put_back_is_found_and_kept(
    tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    left, _ = written(tmp_path)
    before = Store.open(tmp_path / "live", 1, mesh())
    before.close()
    damage(left)
    kept = {path.name: path.read_bytes() for path in left.iterdir()}
    store = Store.open(left, 1, mesh())
    assert words in (store.amnesia or "")
    assert store.identity.incarnation != before.identity.incarnation
    assert held_by(store) == expected_of(Tape())
    fresh = Tape()
    fresh.write(store, [report(1)])
    store.close()
    (place,) = left.glob("aside-*")
    assert {name: (place / name).read_bytes() for name in kept if not name.endswith("-shm")} == {
        name: data for name, data in kept.items() if not name.endswith("-shm")
    }
    assert words in (place / "why.txt").read_text()
    assert amnesia(left) == ""


def test_a_term_and_a_vote_are_marked_synced_before_they_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(tmp_path, 1, mesh())
    synced = []
    monkeypatch.setattr(MarkFile, "sync", lambda self: synced.append(self.mark))
    tape = Tape()
    for state in (HardState(1, 0), HardState(1, 2), HardState(4, 0)):
        store.write([tape.persist(hard_state=state)])
        assert (synced[-1].term, synced[-1].vote) == (state.term, state.vote)
    count = len(synced)
    tape.write(store, [report(1)])
    assert len(synced) == count
    assert store._mark.mark.last_index == 1
    store.close()


def test_a_mark_survives_the_loss_of_the_slot_that_was_not_synced(tmp_path: Path) -> None:
    first = Mark(b"i" * 16, 1, 2, 3, 4, b"c" * 16, 5)
    file = MarkFile.create(tmp_path / "x.mark", first)
    file.note(first._replace(term=7))
    file.note(first._replace(term=8))
    file.close()
    for at in range(4096, 4096 + mark._SLOT.size + 4):
        flip(tmp_path / "x.mark", at)
        again = MarkFile.open(tmp_path / "x.mark")
        assert again is not None
        assert again.mark == first
        again.close()
        flip(tmp_path / "x.mark", at)
    again = MarkFile.open(tmp_path / "x.mark")
    assert again is not None
    assert again.mark == first._replace(term=8)
    again.close()


NOW = Mark(b"i" * 16, 5, 4, 2, 10, b"c" * 16, 30)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (NOW, ""),
        (NOW._replace(boot_no=6, term=5, vote=0, last_index=12, probe=31), ""),
        (NOW._replace(boot_no=4), "start 4"),
        (NOW._replace(term=3), "term 3"),
        (NOW._replace(vote=0), "vote 0 in term 4"),
        (NOW._replace(vote=3), "vote 3 in term 4"),
        (NOW._replace(term=5, vote=3), ""),
        (NOW._replace(last_index=9), "the log ends with 9"),
        (NOW._replace(probe=29), "29 transactions"),
        (NOW._replace(incarnation=b"j" * 16), "another incarnation"),
    ],
)
def test_behind_is_less_than_the_mark_says_and_never_more(found: Mark, words: str) -> None:
    said = mark.behind(NOW, found, lambda index: NOW.chain)
    assert said == "" if not words else words in said


def test_another_chain_at_the_marked_entry_is_behind_and_a_compacted_one_is_not() -> None:
    assert "entry 10" in mark.behind(NOW, NOW, lambda index: b"d" * 16)
    assert mark.behind(NOW, NOW, lambda index: None) == ""


# --------------------------------------------------------------------------------------------------------------- aside


def test_the_eleventh_time_is_refused_and_nothing_is_deleted(tmp_path: Path) -> None:
    for number in range(1, aside.ASIDE_MAX + 1):
        store = Store.open(tmp_path, 1, mesh())
        store.distrust(f"reason {number}")
        store.close()
        assert f"reason {number}" in amnesia(tmp_path)
    store = Store.open(tmp_path, 1, mesh())
    store.distrust("once too often")
    store.close()
    with pytest.raises(DataDirError, match="10 directories of damaged files") as caught:
        Store.open(tmp_path, 1, mesh())
    assert "aside-*" in caught.value.hint
    assert len(list(tmp_path.glob("aside-*"))) == aside.ASIDE_MAX
    assert store.path.exists()


def test_a_failed_store_can_still_be_distrusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(tmp_path, 1, mesh())
    with pytest.raises(DiskFailed):
        store.write([Tape().persist(truncate_from=0)])
    store.distrust("another state hash")
    store.close()
    assert "another state hash" in amnesia(tmp_path)


def test_another_peers_files_in_the_same_directory_stay(tmp_path: Path) -> None:
    Store.open(tmp_path, 2, mesh()).close()
    store = Store.open(tmp_path, 1, mesh())
    store.distrust("why not")
    store.close()
    assert amnesia(tmp_path, 1)
    assert amnesia(tmp_path, 2) == ""


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.ENOSPC])
@pytest.mark.parametrize("what", ["the WAL", "the mark"])
def test_what_the_device_refuses_is_no_amnesia(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, code: int
) -> None:
    left, tape = written(tmp_path)

    def broken(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(*((walscan, "scan", broken) if what == "the WAL" else (MarkFile, "open", broken)))
        with pytest.raises(DataDirError):
            Store.open(left, 1, mesh())
    assert list(left.glob("aside-*")) == []
    store = Store.open(left, 1, mesh())
    assert held_by(store) == expected_of(tape)
    store.close()


def test_a_mark_that_cannot_be_synced_fails_the_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(tmp_path, 1, mesh())

    def broken(self: MarkFile) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(MarkFile, "sync", broken)
    with pytest.raises(DiskFailed):
        store.write([Tape().persist(hard_state=HardState(2, 1))])
    with pytest.raises(DiskFailed, match="nothing is written any more"):
        store.write([Tape().persist()])
    store.close()


def test_a_read_error_of_the_database_is_no_amnesia(tmp_path: Path) -> None:
    left, _ = written(tmp_path)

    def broken(operation: str, file: str) -> None:
        raise apsw.IOError("disk I/O error")

    disk = FaultyDisk("unreadable", broken)
    with pytest.raises(DataDirError):
        Store.open(left, 1, mesh(), vfs="unreadable")
    disk.unregister()
    assert list(left.glob("aside-*")) == []


# ------------------------------------------------------------------------------------------------------------- reports


def test_reports_are_checked_at_the_start_where_they_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for few in (True, False):
        left, _ = written(tmp_path / str(few))
        connection = apsw.Connection(str(left / "hfzmq_1.db"))
        connection.execute("UPDATE risk_reports SET probability = 0.125 WHERE id = 4")
        connection.close()
        if not few:
            monkeypatch.setattr(recovery, "ROWS_AT_START", 3)
            monkeypatch.setattr(recovery.recover, "__defaults__", (3,))
        assert amnesia(left) == ("damaged: table risk_reports: wrong checksum" if few else "")


def test_a_report_with_a_negative_zero_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    store, tape = Store.open(tmp_path, 1, mesh()), Tape()
    store.write([tape.persist(tape.batch([report(1)._replace(probability=-0.0, age=-0.0)])), tape.apply()])
    store.close()
    assert amnesia(tmp_path) == ""
