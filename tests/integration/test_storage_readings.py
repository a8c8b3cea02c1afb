"""Heart-rate readings and their alerts in a real file: each once, with its verdict, and found when it rots."""

from __future__ import annotations

import hashlib
import math
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfzmq.clinical.heart_rate import CATEGORIES, CATEGORY_OF, STATUSES, VERDICTS, HeartRateRules, Reading, judge
from hfzmq.core.contract import Apply, Persist
from hfzmq.core.types import BATCH, START, Entry, HardState, Origin, chained
from hfzmq.errors import DiskFailed, InvalidInput
from hfzmq.storage import Reader, Store
from hfzmq.storage.board import _LAST_READINGS
from hfzmq.storage.pages import page_query
from hfzmq.storage.reading_rows import NO_READINGS, UPDATE_RESOLVED, VerdictCounts, resolved
from hfzmq.storage.scrub import Scrubber
from hfzmq.storage.snapshot import inspect, make
from hfzmq.wire.body import READINGS, encode_body
from hfzmq.wire.readings import judge_rows
from hfzmq.wire.requests import digest, encode_rows
from tests.integration.storage_world import EPOCH, STAMP_MS, Tape, amnesia, mesh, place_of, report

RULES = HeartRateRules()
VALUES: list[float | None] = [72, 50.5, 180, 31.25, 0, -999, 500, None, None]
PAYLOADS = ["", "", "180", "", "0", "", "500", "#?!", ""]


def reading(number: int) -> Reading:
    """The ``number``-th reading of a ward of five beds; of nine kinds in turn."""
    value, payload = VALUES[number % 9], PAYLOADS[number % 9]
    return Reading(f"bed-{number % 5}", STAMP_MS + number, value, payload)


def entry_of(before: Entry | None, rows: Sequence[Reading], seq: int, stamp_ms: int = STAMP_MS) -> Entry:
    """What the leader proposes for a ``submit_readings``."""
    packed = encode_rows(rows)
    judged, rejected = judge_rows(packed, 1000, stamp_ms, RULES)
    assert not rejected
    origin = Origin("stream", EPOCH, seq, digest(packed))
    place = place_of(before) if before else START
    return chained(place, 1, BATCH, origin, encode_body(stamp_ms, judged, READINGS))


def filled(directory: Path, batches: int = 6, each: int = 9) -> Store:
    """A store with ``batches`` times ``each`` readings, of each verdict in turn."""
    store = Store.open(directory, 1, mesh())
    last: Entry | None = None
    for batch in range(batches):
        last = entry_of(last, [reading(batch * each + n) for n in range(each)], batch + 1)
        store.write([Persist(batch, None, None, (last,)), Apply((last,), (True,))])
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = filled(tmp_path)
    yield opened
    opened.close()


def all_of(store: Store) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], VerdictCounts]:
    reader = Reader(store.path)
    try:
        return reader.readings(limit=100_000), reader.alerts(limit=100_000), store.readings_stored
    finally:
        reader.close()


def test_the_public_columns_come_first_and_in_their_order(store: Store) -> None:
    reader = Reader(store.path)
    assert ",".join(reader.reading_fields[:8]) == (
        "id,timestamp,patient_id,heartbeat_value,validation_status,anomaly_type,raw_payload,created_at"
    )
    assert ",".join(reader.alert_fields[:8]) == (
        "alert_id,heartbeat_id,timestamp,patient_id,heartbeat_value,alert_category,resolved_flag,created_at"
    )
    reader.close()


def test_each_reading_is_a_row_and_each_that_is_not_valid_an_alert(store: Store) -> None:
    rows, alerts, counts = all_of(store)
    assert len(rows) == 54
    expected_alerts: list[tuple[Any, ...]] = []
    for number, row in enumerate(rows):
        one = reading(number)
        verdict = judge(one.value, one.timestamp, STAMP_MS, RULES, one.raw_payload)
        stored = (one.timestamp, one.patient_id, one.value, *verdict, one.raw_payload, STAMP_MS, number // 9 + 1)
        assert row == (number + 1, *stored)
        assert row[3] is None or isinstance(row[3], float)
        if verdict.status != "valid":
            about = (number + 1, one.timestamp, one.patient_id, one.value, CATEGORY_OF[verdict.status], 0, STAMP_MS)
            expected_alerts.append((len(expected_alerts) + 1, *about, number // 9 + 1))
    assert alerts == expected_alerts
    assert counts.by_status() == dict(Counter(row[4] for row in rows))
    assert counts.by_category() == dict(Counter(row[5] for row in alerts))
    assert (counts.readings, counts.alerts) == (54, 42)


def test_the_same_entries_give_a_peer_that_was_away_the_same_rows_and_hash(tmp_path: Path) -> None:
    first = entry_of(None, [reading(n) for n in range(20)], 1)
    second = entry_of(first, [reading(n) for n in range(20, 40)], 2)
    steady, late = Store.open(tmp_path / "a", 1, mesh()), Store.open(tmp_path / "b", 2, mesh())
    for entry in (first, second):
        last = steady.write([Persist(1, None, None, (entry,)), Apply((entry,), (True,))])
    assert late.write([Persist(1, None, None, (first, second)), Apply((first, second), (True, True))]) == last
    assert all_of(steady) == all_of(late)
    for store in (steady, late):
        store.close()


def test_other_verdicts_on_the_same_readings_give_another_hash(tmp_path: Path) -> None:
    """Peers whose leader judged otherwise must not look equal."""
    rows, hashes = [Reading("bed-1", STAMP_MS + 60_000, 72, "")], []
    for name, stamp_ms in (("a", STAMP_MS), ("b", STAMP_MS + 60_000)):
        store = Store.open(tmp_path / name, 1, mesh())
        entry = entry_of(None, rows, 1, stamp_ms)
        hashes.append(store.write([Persist(1, None, None, (entry,)), Apply((entry,), (True,))]))
        store.close()
    assert hashes[0] != hashes[1]


def test_the_hash_covers_how_many_readings_of_each_verdict_there_are(tmp_path: Path) -> None:
    """Else a peer that counted otherwise, and so gave other ids, would look equal: the chain is of the log alone."""
    store = Store.open(tmp_path, 1, mesh())
    entry = entry_of(None, [reading(n) for n in range(9)], 1)
    counts = struct.pack(">8Q", 2, 1, 1, 2, 1, 0, 1, 1)
    step = bytes(16) + entry.chain + struct.pack(">BIQ", True, 0, 1) + counts
    expected = hashlib.blake2b(step, digest_size=16).digest()
    store.write([Persist(1, None, None, (entry,)), Apply((entry,), (True,))])
    with closing(apsw.Connection(str(store.path), flags=apsw.SQLITE_OPEN_READONLY)) as file:
        assert file.execute("SELECT applied_hash FROM applied").get == expected
    store.close()


def test_a_batch_that_repeats_stores_nothing(store: Store) -> None:
    before = all_of(store)
    log = store.recovered.log
    assert log.last.index == 0, "what was recovered at the start; the log has grown since"
    again = chained(store._last, 1, BATCH, Origin("stream", EPOCH, 6, bytes(16)), encode_body(1, b"\x90", READINGS))
    store.write([Persist(9, None, None, (again,)), Apply((again,), (False,))])
    assert all_of(store) == before


def test_reports_and_readings_have_ids_of_their_own(tmp_path: Path) -> None:
    store, tape = Store.open(tmp_path, 1, mesh()), Tape()
    tape.write(store, [report(1), report(2)])
    mixed = entry_of(tape.log[-1], [reading(n) for n in range(9)], 1)
    store.write([Persist(7, None, None, (mixed,)), Apply((mixed,), (True,))])
    reader = Reader(store.path)
    assert [row[0] for row in reader.reports()] == [1, 2]
    assert [row[0] for row in reader.readings()] == list(range(1, 10))
    assert store.reports_stored == 2
    reader.close()
    store.close()


def test_readings_survive_a_start_and_go_on_with_the_next_ids(tmp_path: Path) -> None:
    filled(tmp_path).close()
    store = Store.open(tmp_path, 1, mesh())
    assert store.amnesia is None
    assert (store.readings_stored.readings, store.readings_stored.alerts) == (54, 42)
    last = store.recovered.log.between(0, 6)[-1]
    more = entry_of(last, [reading(2)], 7)
    store.write([Persist(7, None, None, (more,)), Apply((more,), (True,))])
    rows, alerts, _ = all_of(store)
    assert (rows[-1][0], alerts[-1][:2]) == (55, (43, 55))
    store.close()


def test_a_snapshot_carries_the_readings(store: Store, tmp_path: Path) -> None:
    made = make(store.path, tmp_path / "snapshot")
    _, cursor = inspect(made.path, mesh().mesh_id)
    assert cursor.applied.verdicts == store.readings_stored
    other = Store.open(tmp_path / "other", 2, mesh())
    other.write([Persist(1, HardState(1, 0), None, ())])
    other.install(made.path)
    assert all_of(other) == all_of(store)
    assert other.readings_stored == store.readings_stored
    other.close()


# ------------------------------------------------------------------------------------------------------------ questions


def test_pages_are_by_id_and_of_one_patient_status_or_category(store: Store) -> None:
    reader = Reader(store.path)
    rows, alerts = reader.readings(limit=100), reader.alerts(limit=100)
    assert reader.readings(after_id=50) == rows[50:]
    assert reader.readings(before_id=0, limit=3) == rows[:-4:-1]
    assert reader.readings(before_id=10, limit=2) == [rows[8], rows[7]]
    assert reader.readings(patient="bed-3") == [row for row in rows if row[2] == "bed-3"]
    for status in STATUSES:
        assert reader.readings(status=status) == [row for row in rows if row[4] == status]
    for category in CATEGORIES:
        assert reader.alerts(category=category) == [row for row in alerts if row[5] == category]
    assert reader.alerts(before_id=0, limit=2, patient="bed-3") == [row for row in alerts if row[3] == "bed-3"][:-3:-1]
    assert reader.readings(patient="bed-3", status="corrupted") == [
        row for row in rows if row[2] == "bed-3" and row[4] == "corrupted"
    ]
    last = {row[2]: (row[0], row[2], row[1], row[3], row[4], row[5], row[7]) for row in rows}
    assert reader.board.picture().readings == sorted(last.values(), reverse=True)
    with pytest.raises(InvalidInput, match="limit"):
        reader.alerts(limit=0)
    reader.close()


@pytest.mark.parametrize(
    "query",
    [
        page_query("heartbeats", ("id", "timestamp"), 0, None, 20, [("patient_id", "bed-3")])[0],
        page_query("heartbeats", ("id", "timestamp"), None, 0, 20, [("validation_status", "corrupted")])[0],
        page_query("heartbeats", ("id", "timestamp"), None, 0, 20, [("patient_id", "x"), ("validation_status", "y")])[
            0
        ],
        page_query("heartbeat_alerts", ("alert_id", "timestamp"), None, 9, 20, [("patient_id", "bed-3")])[0],
        page_query("heartbeat_alerts", ("alert_id", "timestamp"), 0, None, 20, [("alert_category", "x")])[0],
        _LAST_READINGS,
    ],
)
def test_no_question_scans_a_table_or_sorts_it(store: Store, query: str) -> None:
    reader = Reader(store.path)
    plan = [row[3] for row in reader._rows(f"EXPLAIN QUERY PLAN {query}", (1,) * query.count("?"))]
    assert any("INDEX heartbeat" in step for step in plan), plan
    if "patient_id = ?" in query:
        assert any("by_patient (patient_id=? AND " in step for step in plan), plan
    assert not any(step.startswith("SCAN heart") and "INDEX" not in step for step in plan), plan
    if query != _LAST_READINGS:
        assert not any("TEMP B-TREE" in step for step in plan), plan
    reader.close()


def test_the_queries_that_users_already_have_run_on_the_file(store: Store) -> None:
    """As they were written for another database, but for its casts."""
    rows, alerts, _ = all_of(store)
    db = apsw.Connection(str(store.path), flags=apsw.SQLITE_OPEN_READONLY)

    recent = "SELECT * FROM heartbeats ORDER BY created_at DESC, id DESC LIMIT 10"
    assert [row[:9] for row in db.execute(recent)] == rows[:-11:-1]

    by_status = "SELECT validation_status, COUNT(*) FROM heartbeats GROUP BY validation_status"
    assert dict(db.execute(by_status)) == {
        "valid": 12,
        "invalid_physiological": 12,
        "invalid_system": 24,
        "corrupted": 6,
    }

    by_patient = """SELECT patient_id, MIN(heartbeat_value), MAX(heartbeat_value), AVG(heartbeat_value), COUNT(*)
        FROM heartbeats WHERE validation_status = 'valid' GROUP BY patient_id ORDER BY patient_id"""
    for patient, low, high, mean, count in db.execute(by_patient):
        mine = [row[3] for row in rows if row[2] == patient and row[4] == "valid"]
        assert (low, high, count) == (min(mine), max(mine), len(mine))
        assert math.isclose(mean, sum(mine) / len(mine))

    recent_alerts = """SELECT a.alert_id, a.patient_id, a.heartbeat_value, a.alert_category, h.anomaly_type
        FROM heartbeat_alerts a JOIN heartbeats h ON h.id = a.heartbeat_id
        WHERE a.resolved_flag = FALSE ORDER BY a.timestamp DESC LIMIT 5"""
    newest = sorted(alerts, key=lambda row: -row[2])[:5]
    assert [row[:4] for row in db.execute(recent_alerts)] == [(a[0], a[3], a[4], a[5]) for a in newest]

    by_category = "SELECT alert_category, COUNT(*) FROM heartbeat_alerts GROUP BY alert_category"
    assert dict(db.execute(by_category)) == {
        "physiological_anomaly": 12,
        "system_anomaly": 24,
        "data_corruption": 6,
    }
    by_type = "SELECT anomaly_type, COUNT(*) FROM heartbeats WHERE anomaly_type IS NOT NULL GROUP BY anomaly_type"
    assert dict(db.execute(by_type)) == {
        "high": 6, "low": 6, "sensor_off": 12, "impossible": 6, "missing": 6, "unparsable": 6,
    }  # fmt: skip
    db.close()


# -------------------------------------------------------------------------------------------------------------- damage

ROT = [
    ("UPDATE heartbeats SET heartbeat_value = 71 WHERE id = 1", "reading 1: wrong checksum"),
    ("UPDATE heartbeats SET heartbeat_value = NULL WHERE id = 1", "reading 1: wrong checksum"),
    ("UPDATE heartbeats SET heartbeat_value = 0 WHERE id = 8", "reading 8: wrong checksum"),
    ("UPDATE heartbeats SET timestamp = timestamp + 1 WHERE id = 2", "reading 2: wrong checksum"),
    ("UPDATE heartbeats SET patient_id = 'bed-9' WHERE id = 2", "reading 2: wrong checksum"),
    ("UPDATE heartbeats SET validation_status = 'valid' WHERE id = 3", "reading 3: wrong checksum"),
    ("UPDATE heartbeats SET anomaly_type = NULL WHERE id = 3", "reading 3: wrong checksum"),
    ("UPDATE heartbeats SET raw_payload = '' WHERE id = 3", "reading 3: wrong checksum"),
    ("UPDATE heartbeats SET created_at = 5 WHERE id = 3", "reading 3: wrong checksum"),
    ("UPDATE heartbeats SET log_index = 5 WHERE id = 3", "reading 3: wrong checksum"),
    ("DELETE FROM heartbeats WHERE id = 20", "missing, after 19 comes 21"),
    ("DELETE FROM heartbeats WHERE id = 54", "54 were applied"),
    ("UPDATE heartbeat_alerts SET alert_category = 'data_corruption' WHERE alert_id = 1", "alert 1: wrong checksum"),
    ("UPDATE heartbeat_alerts SET resolved_flag = 1 WHERE alert_id = 1", "alert 1: wrong checksum"),
    ("UPDATE heartbeat_alerts SET heartbeat_id = 1 WHERE alert_id = 1", "alert 1: wrong checksum"),
    ("DELETE FROM heartbeat_alerts WHERE alert_id = 42", "42 were applied"),
    ("UPDATE applied SET verdicts = zeroblob(64)", "table applied: wrong checksum"),
]


@pytest.mark.parametrize(("statement", "words"), ROT)
def test_an_altered_row_is_found_by_the_scrub_and_sets_the_file_aside_at_the_next_start(
    tmp_path: Path, statement: str, words: str
) -> None:
    store = filled(tmp_path)
    scrubber = Scrubber(store.path)
    assert whole_pass(scrubber) is None
    store._connection.execute(statement)
    assert words in (whole_pass(scrubber) or "")
    scrubber.close()
    store.close()
    assert words.split(": ")[-1].split(", ")[0] in amnesia(tmp_path)


@pytest.mark.parametrize("index", ["by_patient", "by_status"])
def test_a_reading_that_its_index_does_not_find_is_damage(tmp_path: Path, index: str) -> None:
    store = filled(tmp_path)
    root = store._connection.execute(f"SELECT rootpage FROM sqlite_schema WHERE name = 'heartbeats_{index}'").get
    store.close()
    content = bytearray(store.path.read_bytes())
    text = b"bed-4" if index == "by_patient" else b"valid"
    at = content.rindex(text, (root - 1) * 4096, root * 4096)
    content[at + 4] = ord("x")
    store.path.write_bytes(content)
    scrubber = Scrubber(store.path)
    assert f"index {index.replace('_', ' ')}" in (whole_pass(scrubber) or "")
    scrubber.close()


def whole_pass(scrubber: Scrubber) -> str | None:
    before = scrubber.passes
    while scrubber.passes == before:
        found = scrubber.step(7)
        if found:
            return found
    return None


def test_an_alert_can_be_resolved_and_is_sound_afterwards(store: Store) -> None:
    whole: Any = store._connection.execute("SELECT * FROM heartbeat_alerts WHERE alert_id = 5").fetchone()
    store._connection.execute(UPDATE_RESOLVED, resolved(whole, True))
    scrubber = Scrubber(store.path)
    assert whole_pass(scrubber) is None
    scrubber.close()
    assert all_of(store)[1][4][6] == 1


@pytest.mark.parametrize("row", [["bed", "x", 72, "", 0], ["bed", 1, "x", "", 0], ["bed", 2**63, 72, "", 1]])
def test_a_value_that_no_column_takes_stops_the_peer(tmp_path: Path, row: list[object]) -> None:
    store = Store.open(tmp_path, 1, mesh())
    body = encode_body(STAMP_MS, encode_rows([row]), READINGS)
    entry = chained(START, 1, BATCH, Origin("bed", EPOCH, 1, bytes(16)), body)
    with pytest.raises(DiskFailed, match="reading 1 is none"):
        store.write([Persist(1, None, None, (entry,)), Apply((entry,), (True,))])
    store.close()


@given(st.lists(st.integers(0, 2**40), max_size=len(VERDICTS)))
@settings(max_examples=50)
def test_counts_are_packed_and_unpacked_and_a_file_with_fewer_verdicts_has_none_of_the_later_ones(
    counts: list[int],
) -> None:
    whole = VerdictCounts((*counts, *(0,) * (len(VERDICTS) - len(counts))))
    assert VerdictCounts.unpack(whole.pack()) == whole
    assert VerdictCounts.unpack(whole.pack()[: 8 * len(counts)]) == whole
    assert whole.readings == sum(whole.by_status().values())
    assert whole.alerts == sum(whole.by_category().values()) == whole.readings - whole.by_status()["valid"]
    assert VerdictCounts.unpack(b"") == NO_READINGS
    with pytest.raises(ValueError, match="not known"):
        VerdictCounts.unpack(bytes(8 * (len(VERDICTS) + 1)))
