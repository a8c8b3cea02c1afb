"""The scrub finds what rots while the daemon runs, and takes nothing that the daemon does for rot."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from hfzmq.access import CLIENT
from hfzmq.core.types import HardState
from hfzmq.errors import DiskFailed
from hfzmq.storage import Scrubber, Store
from hfzmq.storage.snapshot import make
from hfzmq.wire.access import Issued
from tests.integration.storage_world import Tape, founded, mesh, report

KEY = "a" * 40


def filled(directory: Path) -> tuple[Store, Tape]:
    """Thirty requests of two reports, two keys, the log cut at ten."""
    store, tape = Store.open(directory, 1, mesh()), Tape()
    for number in range(30):
        tape.write(store, [report(2 * number), report(2 * number + 1)])
    keys = tape.access(Issued(KEY, CLIENT, "bed", 0), Issued("b" * 40, CLIENT, "other", 0))
    store.write([tape.persist(keys), tape.apply()])
    store.write([tape.compact(10), tape.persist(tape.config(founded()), tape.noop())])
    return store, tape


def whole_pass(scrubber: Scrubber, rows_max: int = 7) -> str | None:
    """Steps until a pass is done or something is found."""
    passes = scrubber.passes
    while scrubber.passes == passes:
        found = scrubber.step(rows_max)
        if found:
            return found
    return None


def test_a_whole_file_passes_whatever_the_size_of_a_step(tmp_path: Path) -> None:
    store, _ = filled(tmp_path)
    scrubber = Scrubber(store.path)
    for rows_max in (1, 7, 1000):
        assert whole_pass(scrubber, rows_max) is None
    assert scrubber.passes == 3
    scrubber.close()
    store.close()


def test_a_step_through_large_entries_ends_after_so_many_bytes_and_the_pass_still_sees_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hfzmq.storage.scrub.BYTES_A_STEP", 1)  # each entry alone is more
    store, tape = filled(tmp_path)
    scrubber = Scrubber(store.path)
    seen = []
    while scrubber.passes == 0:
        assert scrubber.step() is None
        seen.append(scrubber._place.index if scrubber._place else 0)
    assert set(range(11, tape.last.index + 1)) <= set(seen)
    store._connection.execute("UPDATE log SET body = zeroblob(length(body)) WHERE idx = 30")
    assert "log entry 30: wrong checksum" in (whole_pass(scrubber, 1000) or "")
    scrubber.close()
    store.close()


ROT = [
    ("UPDATE log SET body = zeroblob(length(body)) WHERE idx = 20", "log entry 20: wrong checksum"),
    ("DELETE FROM log WHERE idx = 20", "log entry 20: missing"),
    ("UPDATE risk_reports SET probability = 0.25 WHERE id = 3", "report 3: wrong checksum"),
    ("UPDATE risk_reports SET tier = 'GREEN' WHERE id = 3", "report 3: wrong checksum"),
    ("UPDATE risk_reports SET patient_id = CAST(X'ff' AS TEXT) WHERE id = 9", "damaged: "),
    ("UPDATE risk_reports SET serum_sodium = NULL WHERE id = 60", "report 60: wrong checksum"),
    ("UPDATE risk_reports SET log_index = 1 WHERE id = 60", "report 60: wrong checksum"),
    ("UPDATE risk_reports SET crc = crc + 1 WHERE id = 60", "report 60: wrong checksum"),
    ("DELETE FROM risk_reports WHERE id = 31", "report 31: missing, after 30 comes 32"),
    ("DELETE FROM risk_reports WHERE id = 60", "60 were applied, 59 are there"),
    ("UPDATE sessions SET seq = seq + 1", "table sessions: wrong checksum"),
    ("UPDATE alarm_beds SET tier = 'GREEN' WHERE patient_id = 'bed-3'", "table alarm_beds: wrong checksum"),
    ("UPDATE alarm_beds SET patient_id = CAST(X'ff' AS TEXT) WHERE patient_id = 'bed-6'", "damaged: "),
    ("INSERT INTO alarm_rules VALUES (1, '{}', 7)", "table alarm_rules: wrong checksum"),
    ("UPDATE access_keys SET role = 'admin' WHERE name = 'other'", "table access_keys: wrong checksum"),
    ("UPDATE applied SET idx = idx - 1", "table applied: wrong checksum"),
    ("UPDATE hard_state SET vote = 3", "table hard_state: wrong checksum"),
]


@pytest.mark.parametrize(("statement", "words"), ROT)
def test_an_altered_row_is_found_and_named(tmp_path: Path, statement: str, words: str) -> None:
    store, _ = filled(tmp_path)
    scrubber = Scrubber(store.path)
    assert whole_pass(scrubber) is None
    store._connection.execute(statement)
    assert words in (whole_pass(scrubber) or "")
    scrubber.close()
    store.close()


def test_a_byte_that_rots_in_a_file_that_nobody_writes_is_found_though_it_was_looked_at_before(tmp_path: Path) -> None:
    store, _ = filled(tmp_path)
    store._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    scrubber = Scrubber(store.path)
    assert whole_pass(scrubber, 1000) is None  # all pages are in its memory now, and nothing tells it to drop them
    data = store.path.read_bytes()
    with store.path.open("r+b") as raw:
        raw.seek(data.rindex(b"REDm") if b"REDm" in data else data.rindex(b"RED"))
        raw.write(b"rED")
    assert "damaged: " in (whole_pass(scrubber, 1000) or "")
    scrubber.close()
    store.close()


def test_a_report_that_its_index_does_not_find_is_damage(tmp_path: Path) -> None:
    store, _ = filled(tmp_path)
    root = store._connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'risk_reports_by_patient'").get
    store.close()
    content = bytearray(store.path.read_bytes())
    at = content.rindex(b"bed-5", (root - 1) * 4096, root * 4096)
    content[at + 4] = ord("6")
    store.path.write_bytes(content)
    scrubber = Scrubber(store.path)
    assert "index by patient" in (whole_pass(scrubber) or "")
    scrubber.close()


def test_what_is_written_cut_or_exchanged_between_two_steps_is_no_damage(tmp_path: Path) -> None:
    store, tape = filled(tmp_path / "one")
    ahead, other = filled(tmp_path / "two")
    for number in range(20):
        other.write(ahead, [report(number)])
    scrubber = Scrubber(store.path)
    for number in range(60):
        assert scrubber.step(3) is None
        tape.write(store, [report(number)])
        if number % 3 == 0:
            tape.hard_state = HardState(tape.hard_state.term + 1, 0)
            store.write([tape.persist(tape.noop(), tape.noop(), hard_state=tape.hard_state)])
            store.write([tape.persist(truncate_from=tape.truncate(tape.last.index - 1))])
        if number % 10 == 0:
            store.write([tape.compact(tape.applied)])
    for number in range(100):
        other.write(ahead, [report(number)])
    store.install(make(ahead.path, tmp_path / "snapshot").path)
    assert whole_pass(scrubber) is None
    scrubber.close()
    store.close()
    ahead.close()


def test_a_file_that_cannot_be_read_is_a_failed_disk_not_damage(tmp_path: Path) -> None:
    scrubber = Scrubber(tmp_path / "none.db")
    with pytest.raises(DiskFailed, match="cannot be read"):
        scrubber.step()


def test_damage_that_a_write_meets_is_remembered_for_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, tape = filled(tmp_path)

    def rotten(*_: object) -> None:
        raise apsw.CorruptError("database disk image is malformed")

    with monkeypatch.context() as patched:
        patched.setattr("hfzmq.storage.store.apply", rotten)
        with pytest.raises(DiskFailed):
            store.write([tape.persist(tape.batch([report(1)])), tape.apply()])
    store.close()
    store = Store.open(tmp_path, 1, mesh())
    assert "malformed, while it was written" in (store.amnesia or "")
    store.close()
