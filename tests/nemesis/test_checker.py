"""The checker finds each way to be wrong, and calls a good history good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.nemesis.checker import Row, check, check_files
from tests.nemesis.history import Event, History, load, longest_gap_s

Tables = dict[int, list[Row]]


def submit(t: float, seq: int, *patients: str, who: str = "c", index: int | None = None, term: int = 1) -> list[Event]:
    """A request; acknowledged 0.1 s later where ``index`` is given."""
    events: list[Event] = [
        {"t": t, "process": who, "type": "invoke", "op": "submit", "seq": seq, "patients": list(patients)}
    ]
    if index is not None:
        events.append(
            {
                "t": t + 0.1,
                "process": who,
                "type": "ok",
                "op": "submit",
                "seq": seq,
                "peer": 1,
                "term": term,
                "index": index,
            }
        )
    return events


def read(t: float, *rows: tuple[int, str], op: str = "read") -> list[Event]:
    """A read that began at ``t`` and showed ``rows``."""
    return [
        {"t": t, "process": "r", "type": "invoke", "op": op},
        {"t": t + 0.1, "process": "r", "type": "ok", "op": op, "peer": 2, "rows": [list(row) for row in rows]},
    ]


def status(peer: int, **more: Any) -> Event:
    """What a peer says about itself."""
    said = {
        "role": "follower",
        "serves": False,
        "term": 3,
        "commit": 7,
        "applied": 7,
        "state": "aa",
        "boot": 1,
        "life": 0,
    }
    return {"t": 9.0, "process": "watch", "type": "ok", "op": "status", "peer": peer, **said, **more}


def good() -> tuple[list[Event], Tables]:
    """Two clients, three batches and one that nobody was told about; all peers equal."""
    events = [
        *submit(1.0, 1, "a", "b", index=2),
        *submit(2.0, 2, "c", index=3),
        *submit(2.5, 1, "x", who="d"),
        *read(3.0, (4, "x"), (3, "c"), (2, "b")),
        *read(3.5, (1, "a"), op="peek"),
        status(1, role="leader"),
        status(2),
        status(2, term=4, commit=9, applied=8, state="bb"),
    ]
    rows = [Row(1, "a", 2), Row(2, "b", 2), Row(3, "c", 3), Row(4, "x", 4)]
    return events, {peer: list(rows) for peer in (1, 2, 3)}


def kinds(events: list[Event], tables: Tables) -> set[str]:
    """The kinds of what is wrong."""
    return {violation.kind for violation in check(events, tables)}


def everywhere(tables: Tables, rows: list[Row]) -> None:
    """The same rows at every peer."""
    for peer in tables:
        tables[peer] = list(rows)


def test_a_good_history_is_called_good() -> None:
    assert check(*good()) == []


def test_an_acknowledged_report_that_no_peer_has_is_lost() -> None:
    events, tables = good()
    everywhere(tables, [Row(1, "a", 2), Row(2, "b", 2), Row(3, "x", 4)])
    assert kinds(events, tables) >= {"lost"}


def test_an_acknowledged_report_that_one_peer_lacks_is_lost_and_the_peers_are_unequal() -> None:
    events, tables = good()
    del tables[2][3:]
    tables[2][2] = Row(3, "x", 4)
    assert kinds(events, tables) == {"lost", "unequal"}


def test_a_report_that_is_stored_twice_is_doubled() -> None:
    events, tables = good()
    everywhere(tables, [*tables[1], Row(5, "c", 5)])
    assert "doubled" in kinds(events, tables)


def test_a_report_that_nobody_sent_is_a_phantom() -> None:
    events, tables = good()
    everywhere(tables, [*tables[1], Row(5, "nobody", 5)])
    assert kinds(events, tables) == {"phantom"}


def test_batches_of_a_session_in_another_order_are_seen() -> None:
    events, tables = good()
    everywhere(tables, [Row(1, "c", 3), Row(2, "a", 2), Row(3, "b", 2), Row(4, "x", 4)])
    assert "order" in kinds(events, tables)


def test_rows_of_a_batch_in_another_order_are_seen() -> None:
    events, tables = good()
    everywhere(tables, [Row(1, "b", 2), Row(2, "a", 2), Row(3, "c", 3), Row(4, "x", 4)])
    assert "order" in kinds(events, tables)


def test_half_a_batch_is_torn_even_when_nobody_was_told_that_it_is_kept() -> None:
    events, tables = good()
    events += submit(4.0, 3, "half", "other half")
    everywhere(tables, [*tables[1], Row(5, "half", 5)])
    assert kinds(events, tables) == {"torn"}


def test_a_batch_at_two_places_of_the_log_is_torn() -> None:
    events, tables = good()
    events += submit(4.0, 3, "half", "other half")
    everywhere(tables, [*tables[1], Row(5, "half", 5), Row(6, "other half", 6)])
    assert kinds(events, tables) == {"torn"}


def test_other_ids_at_one_peer_and_holes_in_them_are_seen() -> None:
    events, tables = good()
    tables[3][3] = Row(5, "x", 4)
    assert kinds(events, tables) == {"unequal"}


def test_one_request_acknowledged_at_two_places_has_moved() -> None:
    events, tables = good()
    events.insert(2, {**events[1], "term": 2})
    assert kinds(events, tables) == {"moved"}


def test_a_report_stored_elsewhere_than_acknowledged_has_moved() -> None:
    events, tables = good()
    everywhere(tables, [*tables[1][:2], Row(3, "c", 9), tables[1][3]])
    assert kinds(events, tables) == {"moved"}


def test_a_consistent_read_without_what_was_acknowledged_before_it_is_stale() -> None:
    events, tables = good()
    assert kinds([*events, *read(4.0, (2, "b"), (1, "a"))], tables) == {"stale"}
    assert kinds([*events, *read(4.0)], tables) == {"stale"}


def test_a_consistent_read_need_not_show_what_is_acknowledged_while_it_runs() -> None:
    events, tables = good()
    late = [*read(1.95, (2, "b"), (1, "a")), *events]
    assert check(sorted(late, key=lambda event: event["t"]), tables) == []


def test_a_peek_may_be_old_and_is_not_called_stale() -> None:
    events, tables = good()
    assert check([*events, *read(4.0, (1, "a"), op="peek")], tables) == []


@pytest.mark.parametrize("op", ["read", "peek"])
def test_a_read_of_what_is_not_kept_in_the_end_is_unread(op: str) -> None:
    events, tables = good()
    assert kinds([*events, *read(4.0, (5, "gone"), (4, "x"), op=op)], tables) == {"unread"}


@pytest.mark.parametrize("answer", ["CONFLICT", "GAP", "REFUSED"])
def test_a_client_in_order_that_is_told_otherwise_is_disowned(answer: str) -> None:
    events, tables = good()
    events.append({"t": 5.0, "process": "c", "type": "info", "op": "submit", "seq": 2, "peer": 3, "status": answer})
    assert kinds(events, tables) == {"disowned"}


def test_two_leaders_of_one_term_are_seen() -> None:
    events, tables = good()
    assert kinds([*events, status(3, role="leader")], tables) == {"two leaders"}


def test_two_states_at_one_index_are_seen() -> None:
    events, tables = good()
    assert kinds([*events, status(3, state="cc")], tables) == {"unequal state"}


def test_a_peer_that_sees_others_differ_or_distrusts_its_own_disk_is_seen() -> None:
    events, tables = good()
    assert kinds([*events, status(3, differs=[1])], tables) == {"unequal state"}
    assert kinds([*events, status(3, amnesia="damaged")], tables) == {"distrust"}


@pytest.mark.parametrize("back", [{"term": 2}, {"applied": 6, "state": "99"}, {"commit": 6}, {"boot": 0}])
def test_a_peer_that_goes_back_is_seen(back: dict[str, Any]) -> None:
    events, tables = good()
    assert kinds([*events, status(1, **back)], tables) == {"went back"}


def test_commit_may_go_back_with_a_restart_and_everything_with_a_lost_disk() -> None:
    events, tables = good()
    assert check([*events, status(1, boot=2, commit=0)], tables) == []
    assert check([*events, status(1, life=1, term=1, applied=0, state="", commit=0)], tables) == []


def test_other_values_in_the_same_rows_of_the_files_are_seen(tmp_path: Path) -> None:
    files = {}
    for peer, tier in ((1, "RED"), (2, "RED"), (3, "AMBER")):
        files[peer] = tmp_path / f"{peer}.db"
        database = apsw.Connection(str(files[peer]))
        database.execute("create table risk_reports (id integer primary key, patient_id, tier, log_index)")
        database.execute("insert into risk_reports values (1, 'a', ?, 2)", (tier,))
        database.close()
    events = submit(1.0, 1, "a", index=2)
    assert [(found.kind, "3" in found.story) for found in check_files(events, files)] == [("unequal", True)]
    del files[3]
    assert check_files(events, files) == []


def test_a_history_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    with History(tmp_path / "h.jsonl") as history:
        began = history.add("c", "invoke", "submit", seq=1, patients=["ä"])
        acked = history.add("c", "ok", "submit", seq=1, peer=1, term=1, index=2)
        assert load(tmp_path / "h.jsonl") == history.events()
        assert history.acks(began) == [acked]
        assert history.acks(acked + 1) == []


def test_the_longest_silence_counts_the_edges_of_the_window() -> None:
    assert longest_gap_s([2.0, 3.0, 99.0], 0.0, 7.0) == 4.0
    assert longest_gap_s([], 1.0, 6.0) == 5.0
