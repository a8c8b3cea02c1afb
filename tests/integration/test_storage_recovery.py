"""What a store was told to keep is what it finds again; what was altered under it is found before it is believed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfzmq.core.contract import Apply, Compact, Persist
from hfzmq.core.membership import bootstrap
from hfzmq.core.types import BATCH, CHAIN_START, Entry, HardState, Origin
from hfzmq.storage import Reader, Store, checksums, tables
from tests.integration.storage_world import Tape, amnesia, expected_of, founded, held_by, mesh, report

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "batch",
                "batch",
                "noop",
                "repeat",
                "gap",
                "vote",
                "probe",
                "config",
                "truncate",
                "apply",
                "apply",
                "compact",
                "commit",
            ]
        ),
        st.integers(0, 5),
        st.booleans(),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lives=st.lists(STEPS, min_size=1, max_size=3))
def test_after_any_history_a_reopened_store_holds_what_it_was_told(lives: list[list[tuple[str, int, bool]]]) -> None:
    tape = Tape()
    with tempfile.TemporaryDirectory() as directory:
        for boot, steps in enumerate(lives, 1):
            store = Store.open(Path(directory), 1, mesh())
            assert store.identity.boot_no == boot
            assert held_by(store) == expected_of(tape)
            gathered: list[Persist | Apply | Compact] = []
            for what, number, second_client in steps:
                if what == "commit":
                    store.write(gathered)
                    gathered = []
                else:
                    gathered += effects_of(tape, what, number, "other" if second_client else "bed")
            written = store.write(gathered)
            if any(isinstance(effect, Apply) for effect in gathered):
                assert written == (tape.applied, tape.state_hash)
            else:
                assert written is None
            assert store.reports_stored == len(tape.rows)
            store.close()
        store = Store.open(Path(directory), 1, mesh())
        assert held_by(store) == expected_of(tape)
        store.close()


def effects_of(tape: Tape, what: str, number: int, client: str) -> list[Persist | Apply | Compact]:
    start = len(tape.rows)
    if what == "batch":
        return [tape.persist(tape.batch([report(start + n) for n in range(number)], client))]
    if what == "noop":
        return [tape.persist(tape.noop(), tape.noop(), hard_state=HardState(tape.hard_state.term + 1, number))]
    if what == "repeat":
        last = max((e.origin.seq for e in tape.log if e.origin and e.origin.client == client), default=1)
        return [tape.persist(tape.batch([report(start)], client, seq=last))]
    if what == "gap":
        return [tape.persist(tape.batch([report(start)], client, seq=90 + number))]
    if what == "vote":
        return [tape.persist(hard_state=HardState(tape.hard_state.term + 1, number))]
    if what == "config":
        return [tape.persist(tape.config(founded(0, (1, 2, 3 + number))))]
    if what == "compact":
        return [tape.compact(max(tape.base, tape.applied - number))]
    if what == "truncate" and len(tape.log) > tape.applied:
        index = max(tape.applied + 1, len(tape.log) - number)
        cut = tape.truncate(index)
        return [tape.persist(tape.noop(), truncate_from=cut)]
    if what == "apply" and len(tape.log) > tape.applied:
        return [tape.apply(tape.applied + 1 + number)]
    return [tape.persist()]


def test_each_start_has_a_greater_boot_number_and_the_same_incarnation(tmp_path: Path) -> None:
    seen = []
    for _ in range(3):
        store = Store.open(tmp_path, 2, mesh())
        seen.append(store.identity)
        store.close()
    assert [who.boot_no for who in seen] == [1, 2, 3]
    assert {(who.mesh_id, who.peer_id) for who in seen} == {(mesh().mesh_id, 2)}
    assert len({who.incarnation for who in seen}) == 1
    assert len(seen[0].incarnation) == 16


def test_two_files_have_two_incarnations(tmp_path: Path) -> None:
    stores = [Store.open(tmp_path / name, 1, mesh()) for name in ("a", "b")]
    assert stores[0].identity.incarnation != stores[1].identity.incarnation
    for store in stores:
        store.close()


def written(directory: Path) -> Path:
    """A closed file with ten applied entries, a tail of three, and a second term."""
    tape = Tape()
    store = Store.open(directory, 1, mesh())
    for number in range(10):
        tape.write(store, [report(2 * number), report(2 * number + 1)])
    store.write([tape.persist(tape.noop(), hard_state=HardState(2, 1))])
    store.write([tape.persist(tape.batch([report(50)]), tape.batch([report(51)]))])
    store.close()
    return store.path


def alter(path: Path, statement: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(statement)
    connection.close()


# Each statement is a change that SQLite itself finds nothing wrong with.
DAMAGE = [
    ("UPDATE log SET body = zeroblob(length(body)) WHERE idx = 3", "log entry 3"),
    ("UPDATE log SET body = X'' WHERE idx = 13", "log entry 13"),
    ("UPDATE log SET term = 3 WHERE idx = 13", "log entry 13"),
    ("UPDATE log SET kind = 0 WHERE idx = 2", "log entry 2"),
    ("UPDATE log SET kind = 7 WHERE idx = 2", "log entry 2"),
    ("UPDATE log SET seq = seq + 1 WHERE idx = 5", "log entry 5"),
    ("UPDATE log SET seq = NULL WHERE idx = 5", "log entry 5"),
    ("UPDATE log SET client = 'bad' WHERE idx = 5", "log entry 5"),
    ("UPDATE log SET client = CAST(X'ff' AS TEXT) WHERE idx = 5", "log entry 5"),
    ("UPDATE log SET client = NULL WHERE idx = 5", "log entry 5"),
    ("UPDATE log SET digest = zeroblob(16) WHERE idx = 5", "log entry 5"),
    ("UPDATE log SET chain = zeroblob(16) WHERE idx = 5", "log entry 5"),
    ("UPDATE log SET crc = crc + 1 WHERE idx = 5", "log entry 5"),
    ("DELETE FROM log WHERE idx = 1", "log entry 1: missing, after 0 comes 2"),
    ("DELETE FROM log WHERE idx = 6", "log entry 6: missing, after 5 comes 7"),
    ("DELETE FROM log WHERE idx > 8", "log entry 10: applied, but the log ends with 8"),
    ("DELETE FROM log", "log entry 10"),
    ("UPDATE hard_state SET vote = 2", "table hard_state"),
    ("UPDATE hard_state SET term = 1", "table hard_state"),
    ("DELETE FROM hard_state", "table hard_state"),
    ("UPDATE log_base SET idx = 3", "table log_base"),
    ("UPDATE applied SET idx = 9", "table applied"),
    ("UPDATE applied SET applied_hash = zeroblob(16)", "table applied"),
    ("UPDATE applied SET next_id = 20", "table applied"),
    ("UPDATE membership SET idx = 3", "table membership"),
    ("UPDATE membership SET members = CAST(replace(members, '5001', '5009') AS BLOB)", "table membership"),
    ("DELETE FROM membership", "table membership"),
    ("UPDATE sessions SET seq = seq + 1", "table sessions"),
    ("UPDATE sessions SET digest = zeroblob(16)", "table sessions"),
    ("UPDATE sessions SET client = CAST(X'ff' AS TEXT)", "table sessions"),
    ("UPDATE meta SET boot_no = 0", "table meta"),
    ("UPDATE meta SET schema_version = 0", "table meta"),
    ("DELETE FROM meta", "table meta"),
]


@pytest.mark.parametrize(("statement", "place"), DAMAGE)
def test_an_altered_row_sets_the_file_aside_and_names_the_place(tmp_path: Path, statement: str, place: str) -> None:
    path = written(tmp_path)
    alter(path, statement)
    altered = path.read_bytes()
    store = Store.open(tmp_path, 1, mesh())
    assert (store.amnesia or "").startswith(f"damaged: {place}")
    assert held_by(store) == expected_of(Tape())
    assert store.identity.boot_no == 1
    store.close()
    (aside,) = tmp_path.glob("aside-*")
    assert (aside / path.name).read_bytes() == altered
    assert place in (aside / "why.txt").read_text()


def test_a_row_whose_checksum_fits_but_whose_chain_does_not_is_found(tmp_path: Path) -> None:
    """Two good files, one row carried over: each checksum is right, only the chain tells."""
    other = tmp_path / "other"
    path, tape, store = written(tmp_path), Tape(), Store.open(other, 1, mesh())
    store.write([tape.persist(*(tape.batch([report(90 + n)]) for n in range(5)))])
    store.close()
    columns = "idx, term, kind, client, epoch, seq, digest, chain, crc, body"
    connection = apsw.Connection(str(path))
    connection.execute("ATTACH ? AS other", (str(store.path),))
    connection.execute(f"REPLACE INTO log ({columns}) SELECT {columns} FROM other.log WHERE idx = 4")
    connection.close()
    assert "damaged: log entry 4: does not follow" in amnesia(tmp_path)


def copied(directory: Path, content: bytes, number: int) -> Path:
    """A data directory of its own with that database and the mark."""
    copy = directory / f"copy-{number}"
    copy.mkdir()
    (copy / "hfzmq_1.db").write_bytes(content)
    (copy / "hfzmq_1.mark").write_bytes((directory / "hfzmq_1.mark").read_bytes())
    return copy


def test_a_flipped_byte_in_a_stored_body_is_found(tmp_path: Path) -> None:
    path = written(tmp_path)
    content = bytearray(path.read_bytes())
    # The last entry's report is not applied, so that its text stands in the log alone.
    at = content.find(b"bed-2", content.find(b"bed-2") + 1)
    flips = 0
    while at >= 0:
        content[at + 4] ^= 0x01
        why = amnesia(copied(tmp_path, bytes(content), len(content) + at))
        content[at + 4] ^= 0x01
        assert "damaged: log entry" in why or "damaged: table risk_reports" in why or "damaged: the tree" in why
        flips += "log entry" in why
        at = content.find(b"bed-2", at + 5)
    assert flips >= 3


def test_any_flipped_byte_of_a_log_page_is_found_or_changes_nothing(tmp_path: Path) -> None:
    """Every byte of every page in turn would take minutes; a stride that is prime to the page size visits all sorts."""
    path = written(tmp_path)
    good = path.read_bytes()
    reader = Reader(path)
    pages = [row[0] for row in apsw.Connection(str(path)).execute("SELECT pageno FROM dbstat WHERE name = 'log'")]
    rows = reader.reports(limit=1000)
    reader.close()
    found = 0
    for page in pages:
        for offset in range((page - 1) * 4096, page * 4096, 37):
            flipped = good[:offset] + bytes([good[offset] ^ 0x10]) + good[offset + 1 :]
            store = Store.open(copied(tmp_path, flipped, offset), 1, mesh())
            if store.amnesia:
                found += 1
            else:
                assert store.recovered.log.last.index == 13
                assert store.recovered.applied == 10
                assert held_by(store).rows == rows
            store.close()
    assert found > 20


def test_a_session_ahead_of_what_is_applied_is_damage(tmp_path: Path) -> None:
    path = written(tmp_path)
    origin = Origin("bed", b"epoch of the bed", 11, b"d" * 16)
    row = tables.session_row(origin, Entry(12, 2, BATCH, origin, b"", CHAIN_START))  # its checksum is right
    connection = apsw.Connection(str(path))
    connection.execute(tables.UPSERT_SESSION, row)
    connection.close()
    assert "damaged: table sessions, row 1: knows entry 12" in amnesia(tmp_path)


def test_members_whose_checksum_fits_but_that_are_no_members_are_damage(tmp_path: Path) -> None:
    path = written(tmp_path)
    row = checksums.sealed(0, b'{"members": [], "removed": []}')
    connection = apsw.Connection(str(path))
    connection.execute(tables.UPDATE_MEMBERSHIP, row)
    connection.close()
    assert "damaged: table membership" in amnesia(tmp_path)


def test_a_new_file_holds_the_first_peers_of_peers_yaml_as_they_are_to_be_founded(tmp_path: Path) -> None:
    store = Store.open(tmp_path, 1, mesh())
    assert store.recovered.membership == bootstrap(mesh().peers)
    assert not store.recovered.membership.founded
    store.close()
