"""What committed entries leave in the tables follows from the entries alone, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfzmq.clinical.alarm.facts import Action, Clock
from hfzmq.clinical.report import Report
from hfzmq.core.contract import Apply, Persist
from hfzmq.core.types import BATCH, CONFIG, START, Entry, HardState, Origin, chained
from hfzmq.errors import DiskFailed
from hfzmq.storage import Reader, Store
from hfzmq.wire.readings import JudgedReading
from tests.integration.storage_world import (
    EPOCH,
    STAMP_MS,
    Tape,
    expected_of,
    founded,
    held_by,
    mesh,
    report,
    stored_row,
)

PUBLIC = ("id", *Report._fields[:9], "alert_sent")  # patient_id to tier, as product.md lists them


def rows_of(store: Store) -> list[tuple[object, ...]]:
    reader = Reader(store.path)
    rows = reader.reports(limit=100_000)
    reader.close()
    return rows


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path, 1, mesh())
    yield opened
    opened.close()


def test_the_public_columns_come_first_and_in_their_order(store: Store) -> None:
    reader = Reader(store.path)
    assert ",".join(PUBLIC) == (
        "id,patient_id,timestamp,age,serum_sodium,serum_creatinine,ejection_fraction,day,probability,tier,alert_sent"
    )
    assert reader.fields[:11] == PUBLIC
    assert reader.fields[11:] == ("probability_study", "model_id", "flags", "created_at", "log_index")


def test_a_batch_becomes_rows_in_its_order_with_rising_ids(store: Store) -> None:
    tape = Tape()
    tape.write(store, [report(1), report(2)])
    tape.write(store, [report(3, "bed Å")])
    assert rows_of(store) == [
        stored_row(1, report(1), 1),
        stored_row(2, report(2), 1),
        stored_row(3, report(3, "bed Å"), 2, alert=1),  # RED
    ]
    assert store.reports_stored == 3


def test_every_column_holds_what_its_name_says(store: Store) -> None:
    Tape().write(store, [report(4)])
    reader = Reader(store.path)
    row = dict(zip(reader.fields, rows_of(store)[0], strict=True))
    assert row == {
        **report(4)._asdict(),
        "id": 1,
        "alert_sent": 0,
        "created_at": STAMP_MS,
        "log_index": 1,
    }


def test_a_value_that_nobody_measured_is_stored_as_none_and_survives_a_restart(tmp_path: Path) -> None:
    flags = "missing:day,missing:serum_creatinine,probability_low:0.118604"
    one = report(4)._replace(serum_creatinine=None, day=None, probability=0.7, tier="UNKNOWN", flags=flags)
    store = Store.open(tmp_path, 1, mesh())
    Tape().write(store, [one])
    store.close()
    again = Store.open(tmp_path, 1, mesh())
    assert rows_of(again) == [stored_row(1, one, 1, alert=1)]  # what is not known may be RED
    again.close()


def test_the_same_entries_give_two_stores_the_same_hash_ids_and_rows(tmp_path: Path) -> None:
    """One peer applies each entry as it comes, the other, which was away, all of them at once."""
    tape = Tape()
    steady, late = (Store.open(tmp_path / name, peer, mesh()) for name, peer in (("a", 1), ("b", 2)))
    effects: list[Persist | Apply] = []
    for number in range(12):
        entry = tape.noop() if number % 5 == 0 else tape.batch([report(number), report(number + 50)])
        step: list[Persist | Apply] = [tape.persist(entry), tape.apply()]
        effects += step
        last = steady.write(step)
    entries = tuple(entry for effect in effects if isinstance(effect, Apply) for entry in effect.entries)
    fresh = tuple(one for effect in effects if isinstance(effect, Apply) for one in effect.fresh)
    assert late.write([Persist(1, HardState(4, 2), None, entries)]) is None
    assert late.write([Apply(entries, fresh)]) == last == (12, tape.state_hash)
    assert rows_of(steady) == rows_of(late) == tape.rows
    for store in (steady, late):
        store.close()


HOLES = report(4)._replace(age=None, day=None, probability_study=-0.0, tier="UNKNOWN", flags="missing:age,missing:day")
WRITE: dict[str, Callable[[Tape, int], Entry]] = {
    "one": lambda tape, number: tape.batch([report(number)], f"client {number % 3}"),
    "many": lambda tape, number: tape.batch([report(number + at) for at in range(40)]),
    "none": lambda tape, number: tape.batch([]),
    "with holes": lambda tape, number: tape.batch([report(number), HOLES, report(number)]),
    "again": lambda tape, number: tape.batch([report(number)], seq=1),
    "readings": lambda tape, number: tape.readings([JudgedReading("bed-1", STAMP_MS, 72.5, "", number % 2)] * 3),
    "facts": lambda tape, number: tape.facts(Clock()),
    "no-op": lambda tape, number: tape.noop(),
}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(tuple(WRITE)), min_size=1, max_size=16), st.sets(st.integers(1, 15)))
def test_any_entries_leave_the_same_however_many_are_applied_at_once(
    tmp_path: Path, kinds: list[str], cuts: set[int]
) -> None:
    """One peer applies each entry as it comes; another one some at once, and starts anew between them."""
    tape, data_dir = Tape(), Path(mkdtemp(dir=tmp_path))
    steady, late = Store.open(data_dir / "a", 1, mesh()), Store.open(data_dir / "b", 2, mesh())
    effects: list[Apply] = []
    for number, kind in enumerate(kinds, 1):
        tape.now_ms += 700
        persist = tape.persist(WRITE[kind](tape, number))
        effects.append(tape.apply())
        assert steady.write([persist, effects[-1]]) == (number, tape.state_hash)
    stops = [*sorted(cut for cut in cuts if cut < len(kinds)), len(kinds)]
    for first, stop in zip([0, *stops], stops, strict=False):
        entries = tuple(tape.log[first:stop])
        fresh = tuple(one for effect in effects[first:stop] for one in effect.fresh)
        late.write([Persist(1, None, None, entries), Apply(entries, fresh)])
        late.close()
        late = Store.open(data_dir / "b", 2, mesh())
    steady.close()
    steady = Store.open(data_dir / "a", 1, mesh())
    assert held_by(steady) == held_by(late) == expected_of(tape)
    for store in (steady, late):
        store.close()


def test_an_alert_is_resolved_by_a_report_that_was_applied_with_it(store: Store) -> None:
    """Which alerts an alarm stood for is known after each entry, not once for all that are applied at once."""
    tape, calm = Tape(), report(1, "bed-1")._replace(probability=0.1)
    entries = [tape.batch([calm])]
    for _ in range(4):
        tape.now_ms += 10_000
        entries.append(tape.facts(Clock()))
    entries.append(tape.facts(Action("ack", "bed-1", "a nurse")))  # of NO_DATA
    entries.append(tape.readings([JudgedReading("bed-1", STAMP_MS, None, "x", 7)]))
    entries.append(tape.batch([calm._replace(timestamp=calm.timestamp + 60_000)]))
    persist, apply = tape.persist(*entries), tape.apply()
    store.write([persist, apply])
    store.close()
    again = Store.open(store.path.parent, 1, mesh())
    assert held_by(again) == expected_of(tape)
    again.close()
    (alert,) = tape.tables.rows()["heartbeat_alerts"]
    assert alert[6] == 1  # resolved


def test_the_history_is_that_of_the_first_entry_that_says_anything_for_good(tmp_path: Path) -> None:
    store, tape = Store.open(tmp_path, 1, mesh()), Tape()
    opened = tape.noop()
    store.write([tape.persist(opened), tape.apply()])
    assert store.history == b"", "an entry without a body may be the same in two meshes"
    founding, later = tape.config(founded()), tape.config(founded(3))
    store.write([tape.persist(founding, later)])
    assert store.history == b"", "what is not applied may be dropped"
    assert store.write([tape.apply()]) == (3, tape.state_hash)
    assert store.history == founding.chain
    tape.write(store, [report(1)])
    store.close()
    again = Store.open(tmp_path, 1, mesh())
    assert again.history == founding.chain == tape.history
    again.close()


@pytest.mark.parametrize("change", ["fresh", "other rows", "other term"])
def test_another_history_gives_another_hash(tmp_path: Path, change: str) -> None:
    one, other = Tape(), Tape()
    if change == "other term":
        other.hard_state = HardState(2, 1)
    one.batch([report(1)])
    other.batch([report(2 if change == "other rows" else 1)])
    hashes: list[bytes] = []
    for tape in (one, other):
        store = Store.open(tmp_path / str(len(hashes)), 1, mesh())
        fresh = not (change == "fresh" and tape is other)
        written = store.write([tape.persist(*tape.log), Apply(tuple(tape.log), (fresh,))])
        assert written is not None
        hashes.append(written[1])
        store.close()
    assert hashes[0] != hashes[1]


def test_an_entry_that_repeats_stores_nothing_and_moves_the_applied_index(store: Store) -> None:
    tape = Tape()
    tape.write(store, [report(1)])
    again = tape.batch([report(1)], seq=1)
    apply = tape.apply()
    assert apply.fresh == (False,)
    assert store.write([tape.persist(again), apply]) == (2, tape.state_hash)
    assert rows_of(store) == [stored_row(1, report(1), 1)]
    path = store.path
    store.close()
    reopened = Store.open(path.parent, 1, mesh())
    session = reopened.recovered.sessions[("bed", EPOCH)]
    assert (session.seq, session.index) == (1, 1)
    reopened.close()


def test_a_batch_without_rows_uses_its_seq_up(store: Store) -> None:
    tape = Tape()
    tape.write(store, [])
    tape.write(store, [report(1)])
    assert rows_of(store) == [stored_row(1, report(1), 2)]
    store.close()
    reopened = Store.open(store.path.parent, 1, mesh())
    assert reopened.recovered.sessions[("bed", EPOCH)].seq == 2
    reopened.close()


@pytest.mark.parametrize("kind", [0, CONFIG])
def test_an_entry_of_another_kind_stores_no_rows(store: Store, kind: int) -> None:
    tape = Tape()
    entry = chained(tape.last, 1, kind, None, b"not rows")
    assert store.write([Persist(1, None, None, (entry,)), Apply((entry,), (True,))])
    assert store.reports_stored == 0


def test_reports_hold_nothing_where_a_vital_is_missing(store: Store) -> None:
    """Columns of vitals take NULL (a later issue sends it); the judgement's columns do not."""
    columns = apsw.Connection(str(store.path)).execute(
        "SELECT name, \"notnull\" FROM pragma_table_info('risk_reports')"
    )
    nullable = {name for name, refuses in columns if not refuses}
    assert nullable == {"id", "age", "serum_sodium", "serum_creatinine", "ejection_fraction", "day"}


# ------------------------------------------------------------------------------------------ what no core would hand out


def refused(store: Store, *effects: Persist | Apply) -> str:
    """The words of the refusal; the store is dead afterwards, and nothing of the transaction is in the file."""
    with pytest.raises(DiskFailed) as caught:
        store.write(effects)
    assert caught.value.__cause__ is not None
    with pytest.raises(DiskFailed, match="nothing is written any more"):
        store.write([Persist(99, HardState(9, 1), None, ())])
    store.close()
    reopened = Store.open(store.path.parent, 1, mesh())
    assert reopened.recovered.hard_state == HardState(0, 0)
    reopened.close()
    return str(caught.value)


def test_nothing_at_or_below_the_applied_index_is_truncated(store: Store) -> None:
    tape = Tape()
    tape.write(store, [report(1)])
    tape.write(store, [report(2)])
    message = refused(store, Persist(3, HardState(5, 1), 2, ()))
    assert "entries from 2 on cannot be dropped: 2 are applied" in message


def test_a_hole_in_the_log_is_refused(store: Store) -> None:
    tape = Tape()
    tape.noop()
    assert "entry 2 cannot stand after 0" in refused(store, tape.persist(tape.noop(), hard_state=HardState(5, 1)))


def test_a_hole_in_what_is_applied_is_refused(store: Store) -> None:
    tape = Tape()
    entries = (tape.noop(), tape.noop())
    message = refused(store, Persist(1, HardState(5, 1), None, entries), Apply(entries[1:], (True,)))
    assert "entry 2 cannot be applied after 0" in message


def test_nothing_is_applied_that_the_log_does_not_hold(store: Store) -> None:
    tape = Tape()
    tape.noop()
    message = refused(store, Persist(1, HardState(5, 1), None, ()), tape.apply())
    assert "the log ends with 0" in message


@pytest.mark.parametrize("body", [b"", b"\x02of another version", b"\x01" + bytes(8) + b"\x91\x90"])
def test_a_body_that_cannot_be_read_stops_the_peer_and_is_named(store: Store, body: bytes) -> None:
    """To store less than was acknowledged would be worse."""
    entry = chained(START, 1, BATCH, Origin("bed", EPOCH, 1, b"d" * 16), body)
    message = refused(store, Persist(1, HardState(5, 1), None, (entry,)), Apply((entry,), (True,)))
    assert "entry 1 cannot be read" in message


def test_a_value_that_no_column_takes_stops_the_peer(store: Store) -> None:
    tape = Tape()
    entry = tape.batch([report(1)._replace(probability="high")])  # type: ignore[arg-type]
    message = refused(store, tape.persist(entry, hard_state=HardState(5, 1)), Apply((entry,), (True,)))
    assert "report 1 is none" in message
