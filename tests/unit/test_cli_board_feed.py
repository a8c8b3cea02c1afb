"""The feed: one good poll is a whole new value; whatever fails leaves the old value and its age standing."""

from __future__ import annotations

import threading
from typing import Any

from hfzmq.cli.board_feed import EVENTS_MAX, BoardFeed, empty_status, now_ms, updated
from hfzmq.cli.screens.mesh_lines import mesh_lines
from hfzmq.cli.screens.plain import plain_line
from hfzmq.client.key_faults import UNKNOWN
from hfzmq.client.line import AUTH
from hfzmq.errors import HfzmqError
from tests.unit.cli_world import CONFIG, NOW_MS, WALL_MS, beds_answer, row, says

STATUS: dict[int, Any] = {1: says(1, "leader"), 2: says(2), 3: None}
BEDS: dict[int, Any] = {1: beds_answer(seen=[(5, row())]), 2: None, 3: None}
NOBODY: dict[int, Any] = {1: None, 2: None, 3: None}


def test_a_poll_is_good_when_a_peer_told_of_the_mesh_and_of_the_beds() -> None:
    start = empty_status(CONFIG, NOW_MS)
    assert start.polled_at_ms is None
    assert updated(start, CONFIG, STATUS, BEDS, NOW_MS + 5).polled_at_ms == NOW_MS + 5
    assert updated(start, CONFIG, STATUS, NOBODY, NOW_MS + 5).polled_at_ms is None
    assert updated(start, CONFIG, NOBODY, BEDS, NOW_MS + 5).polled_at_ms is None
    assert updated(start, CONFIG, STATUS, {1: {"status": "BUSY"}}, NOW_MS + 5).polled_at_ms is None


def test_a_bad_poll_keeps_beds_events_and_the_time_of_the_last_good_one() -> None:
    told = {**STATUS, 2: says(2, events=[[5, "leader of term 7"]])}
    good = updated(empty_status(CONFIG, NOW_MS), CONFIG, told, BEDS, NOW_MS + 5)
    bad = updated(good, CONFIG, NOBODY, NOBODY, NOW_MS + 900)
    assert (bad.polled_at_ms, bad.beds, bad.events) == (NOW_MS + 5, good.beds, good.events)
    assert bad.mesh.reached == 0
    assert dict(bad.answered_at_ms) == {1: NOW_MS + 5, 2: NOW_MS + 5}


def test_events_of_all_peers_stand_once_each_in_the_order_of_time_and_bounded() -> None:
    told = {1: says(1, events=[[20, "b"], [40, "d"], "x", [1]]), 2: says(2, events=[[10, "a"], [30, "c"]])}
    status = updated(empty_status(CONFIG, 0), CONFIG, told, {}, 5)
    status = updated(status, CONFIG, told, {}, 6)
    assert [(event.at_ms, event.peer_id, event.text) for event in status.events] == [
        (10, 2, "a"),
        (20, 1, "b"),
        (30, 2, "c"),
        (40, 1, "d"),
    ]
    many = {1: says(1, events=[[n, "e"] for n in range(500)])}
    assert len(updated(status, CONFIG, many, {}, 7).events) == EVENTS_MAX


def pulse_answer(patient: str, reading_id: int, applied: int) -> dict[str, Any]:
    """A peer's answer to ``beds``: one heart rate, one report."""
    told = [reading_id, [patient, WALL_MS, 70.0, "valid", None, WALL_MS]]
    return {**beds_answer(seen=[(5, row(patient))]), "applied_index": applied, "readings": [told]}


def test_of_two_histories_a_board_shows_the_one_that_goes_on_alone() -> None:
    status = {1: says(1, "leader", history="aa"), 2: says(2, history="bb"), 3: says(3, history="aa")}
    beds = {1: pulse_answer("new", 9, 129), 2: pulse_answer("old", 700, 855), 3: None}
    board = updated(empty_status(CONFIG, NOW_MS), CONFIG, status, beds, NOW_MS + 5)
    assert [bed.patient_id for bed in board.beds] == ["new"]
    assert [pulse.patient_id for pulse in board.pulses] == ["new"]
    nobody_leads = {2: says(2, history="bb"), 3: says(3, history="aa")}
    later = updated(board, CONFIG, nobody_leads, beds, NOW_MS + 9)
    assert [bed.patient_id for bed in later.beds] == ["new"], "which one goes on does not change with who answers"


def test_a_board_forgets_what_it_has_shown_of_a_mesh_that_was_begun_anew() -> None:
    before = {1: says(1, "leader", history="bb"), 2: says(2, history="bb"), 3: None}
    board = updated(empty_status(CONFIG, NOW_MS), CONFIG, before, {1: pulse_answer("bed-1", 700, 855)}, NOW_MS + 5)
    after = {1: says(1, "leader", history="aa"), 2: says(2, history="aa"), 3: None}
    board = updated(board, CONFIG, after, {1: pulse_answer("bed-1", 9, 129)}, NOW_MS + 9)
    assert [pulse.reading_id for pulse in board.pulses] == [9]
    board = updated(board, CONFIG, {1: None, 2: None, 3: None}, {}, NOW_MS + 12)
    assert len(board.beds) == 1, "nobody answers: it stands, and grows old"


def test_who_runs_with_a_key_that_nobody_has_told_is_shown_as_that_and_not_as_silent() -> None:
    told = updated(empty_status(CONFIG, 0), CONFIG, STATUS, BEDS, 5, {3: UNKNOWN})
    cells = " ".join("\n".join(line.plain for line in mesh_lines(told, 200, 5)).split())
    assert "runs, with a key that nobody has told" in cells
    assert "no answer" not in cells
    assert "peer 3 runs, with a key that nobody has told" in plain_line(told, 5)


def test_where_the_leader_does_not_speak_with_us_nobody_is_said_to_have_lost_the_quorum() -> None:
    others = {1: None, 2: says(2), 3: says(3)}
    told = updated(empty_status(CONFIG, 0), CONFIG, others, {2: beds_answer()}, 5, {1: AUTH})
    for said in (plain_line(told, 5), " ".join(line.plain for line in mesh_lines(told, 200, 5))):
        assert "who leads is not known, 2 of 3 peers answer" in said
        assert "quorum" not in said
    assert "no leader in term 7, quorum NO" in plain_line(updated(told, CONFIG, others, {2: beds_answer()}, 6), 6)


def test_the_thread_polls_publishes_and_stops() -> None:
    asked = []
    enough = threading.Event()

    def ask(op: str) -> dict[int, Any]:
        asked.append(op)
        if len(asked) >= 6:
            enough.set()
        return STATUS if op == "status" else BEDS

    feed = BoardFeed(CONFIG, 0.001, ask).start()
    assert feed.first_poll(10)
    assert enough.wait(10)
    feed.close()
    assert asked[:4] == ["status", "beds", "status", "beds"]
    assert feed.latest.mesh.leader == 1
    assert [bed.patient_id for bed in feed.latest.beds] == ["bed-1"]


def is_good(feed: BoardFeed) -> bool:
    return feed.latest.polled_at_ms is not None and not feed.latest.failure


def test_an_error_in_the_feed_is_told_in_the_status_and_the_next_poll_may_be_good() -> None:
    failing = threading.Event()
    failing.set()

    def ask(op: str) -> dict[int, Any]:
        if failing.is_set():
            raise HfzmqError("no sockets left", hint="ulimit -n")
        return STATUS if op == "status" else BEDS

    feed = BoardFeed(CONFIG, 0.001, ask).start()
    try:
        assert feed.first_poll(10)
        assert (feed.latest.failure, feed.latest.hint) == ("no sockets left", "ulimit -n")
        assert feed.latest.polled_at_ms is None
        failing.clear()
        until = now_ms() + 10_000
        while not is_good(feed) and now_ms() < until:
            threading.Event().wait(0.005)
        assert is_good(feed)
    finally:
        feed.close()
