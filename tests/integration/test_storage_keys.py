"""Keys that the log issues and revokes: what their table holds follows from the entries, however they came."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from hfzmq.access import ADMIN, CLIENT, PEER
from hfzmq.core.types import HardState
from hfzmq.storage import Store
from hfzmq.storage.snapshot import inspect, make
from hfzmq.wire.access import Issued, Revoked
from tests.integration.storage_world import Tape, amnesia, expected_of, founded, held_by, mesh, report

BED, NIGHT, PEER_2, UNHEARD_OF = (letter * 40 for letter in "abcd")


def told() -> Tape:
    """Each way in which a key may be issued and revoked, once, twice and in the wrong order."""
    tape = Tape()
    tape.hard_state = HardState(3, 1)
    tape.config(founded(1))
    tape.batch([report(1)])
    tape.access(Issued(BED, CLIENT, "bed", 0), Issued(PEER_2, PEER, "peer-2", 2))
    tape.access(Revoked(UNHEARD_OF), Issued(BED, ADMIN, "a-raise-that-is-none", 0))
    tape.access(Revoked(BED), Revoked(BED), Issued(NIGHT, ADMIN, "night", 0))
    tape.access(Issued(BED, CLIENT, "back", 0), Issued(UNHEARD_OF, CLIENT, "late", 0))
    return tape


def test_the_table_holds_what_the_log_says_at_once_one_by_one_and_after_a_restart(tmp_path: Path) -> None:
    at_once, one_by_one = told(), told()
    first, second = (Store.open(tmp_path / str(peer), peer, mesh()) for peer in (1, 2))
    first.write([at_once.persist(*at_once.log, hard_state=at_once.hard_state), at_once.apply()])
    second.write([one_by_one.persist(*one_by_one.log, hard_state=one_by_one.hard_state)])
    for index in range(1, len(one_by_one.log) + 1):
        second.write([one_by_one.apply(index)])
    for peer, store, tape in ((1, first, at_once), (2, second, one_by_one)):
        assert [one.name for one in store.keys.issued] == ["bed", "peer-2", "night"]
        assert store.keys.revoked == {BED, UNHEARD_OF}
        store.close()
        again = Store.open(tmp_path / str(peer), peer, mesh())
        assert again.amnesia is None
        assert held_by(again) == expected_of(tape)
        assert [one.name for one in again.keys.issued] == ["bed", "peer-2", "night"]
        assert again.keys.revoked == {BED, UNHEARD_OF}
        again.close()
    assert at_once.state_hash == one_by_one.state_hash


def test_a_snapshot_brings_them_and_a_key_more_or_less_is_another_state(tmp_path: Path) -> None:
    tape = told()
    store = Store.open(tmp_path / "1", 1, mesh())
    store.write([tape.persist(*tape.log, hard_state=tape.hard_state), tape.apply()])
    _, cursor = inspect(make(store.path, tmp_path / "snapshot").path, mesh().mesh_id)
    assert cursor.alarms.keys.issued == store.keys.issued
    assert cursor.alarms.keys.revoked == store.keys.revoked
    assert cursor.applied.state_hash == tape.state_hash
    without = cursor.applied.alarms._replace(kept=0)
    assert cursor.applied._replace(alarms=without).state_hash != tape.state_hash
    store.close()


@pytest.mark.parametrize(
    "change",
    [
        "update access_keys set role = 'admin' where name = 'bed'",
        "update access_keys set revoked_at = 0 where name = 'bed'",
        "delete from access_keys where name = ''",
    ],
)
def test_a_key_that_was_altered_or_is_gone_sets_the_file_aside(tmp_path: Path, change: str) -> None:
    tape = told()
    store = Store.open(tmp_path, 1, mesh())
    store.write([tape.persist(*tape.log, hard_state=tape.hard_state), tape.apply()])
    store.close()
    assert amnesia(tmp_path) == ""
    database = apsw.Connection(str(store.path))
    database.execute(change)
    assert database.changes()
    database.close()
    assert "the tables of alarms" in amnesia(tmp_path)
