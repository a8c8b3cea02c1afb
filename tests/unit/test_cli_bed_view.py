"""The newest word of each bed: by the reading's own time, over all peers, and never younger than it is."""

from __future__ import annotations

from hfzmq.cli import bed_view
from hfzmq.cli.bed_view import merge_beds
from tests.unit.cli_world import NOW_MS, beds_answer, row


def test_what_is_seen_is_newer_than_what_is_stored() -> None:
    red, green = row(probability=0.8, age_ms=5000), row(probability=0.1, tier="GREEN", age_ms=1000)
    found = merge_beds({}, [beds_answer(seen=[(900, green)], reported=[(7, red)])], NOW_MS)
    assert found["bed-1"].report == green
    assert found["bed-1"].seen
    assert found["bed-1"].heard_at_ms == NOW_MS - 900


def test_what_is_stored_stands_when_it_is_newer_than_what_is_seen() -> None:
    old, new = row(probability=0.1, tier="GREEN", age_ms=9000), row(probability=0.8, age_ms=2000)
    found = merge_beds({}, [beds_answer(seen=[(8900, old)], reported=[(7, new)])], NOW_MS)
    assert found["bed-1"].report == new
    assert not found["bed-1"].seen
    assert found["bed-1"].heard_at_ms == NOW_MS - 2000


def test_seen_stands_before_stored_for_one_and_the_same_reading_in_either_order() -> None:
    one = row(age_ms=3000)
    for answers in (
        [beds_answer(seen=[(2500, one)]), beds_answer(reported=[(7, one)])],
        [beds_answer(reported=[(7, one)]), beds_answer(seen=[(2500, one)])],
    ):
        found = merge_beds({}, answers, NOW_MS)
        assert found["bed-1"].seen
        assert found["bed-1"].heard_at_ms == NOW_MS - 2500


def test_all_peers_are_heard_and_the_newest_reading_wins() -> None:
    old, new = row(probability=0.3, age_ms=8000), row(probability=0.7, age_ms=1000)
    found = merge_beds({}, [beds_answer(seen=[(7900, old)]), None, beds_answer(seen=[(950, new)])], NOW_MS)
    assert found["bed-1"].report == new


def test_of_one_reading_heard_twice_the_longer_age_stands() -> None:
    one = row(age_ms=4000)
    found = merge_beds({}, [beds_answer(seen=[(1000, one)]), beds_answer(seen=[(4000, one)])], NOW_MS)
    assert found["bed-1"].heard_at_ms == NOW_MS - 4000


def test_the_picture_does_not_fall_back_when_the_peer_that_had_seen_a_bed_is_gone() -> None:
    red, green = row(probability=0.8, age_ms=60_000), row(probability=0.1, tier="GREEN", age_ms=1000)
    known = merge_beds({}, [beds_answer(seen=[(900, green)])], NOW_MS)
    later = merge_beds(known, [None, beds_answer(reported=[(7, red)])], NOW_MS + 5000)
    assert later["bed-1"].report == green
    assert later["bed-1"].heard_at_ms == NOW_MS - 900


def test_the_trend_joins_what_is_stored_and_what_was_seen_in_the_order_of_time() -> None:
    first, second = row(probability=0.5, age_ms=3000), row(probability=0.2, tier="GREEN", age_ms=1000)
    stored = {"bed-1": [[first.timestamp - 2000, 0.7], [first.timestamp - 1000, 0.6]]}
    known = merge_beds({}, [beds_answer(seen=[(3000, first)], trends=stored)], NOW_MS)
    later = merge_beds(known, [beds_answer(seen=[(10, second)])], NOW_MS + 2000)
    assert [p for _, p in later["bed-1"].trend] == [0.7, 0.6, 0.5, 0.2]


def test_what_lies_between_two_ends_is_no_point_of_a_trend() -> None:
    known, between = row(probability=0.5, age_ms=3000), row(probability=0.9, tier="UNKNOWN", age_ms=1000)
    between = between._replace(flags="missing:serum_sodium,probability_low:0.200000")
    found = merge_beds({}, [beds_answer(seen=[(3000, known)])], NOW_MS)
    found = merge_beds(found, [beds_answer(seen=[(1000, between)])], NOW_MS)
    assert found["bed-1"].report == between
    assert [p for _, p in found["bed-1"].trend] == [0.5]


def test_a_trend_keeps_its_last_points_only() -> None:
    points = [[1_750_000_000_000 + n, n / 100] for n in range(50)]
    found = merge_beds({}, [beds_answer(seen=[(1, row(probability=0.9))], trends={"bed-1": points})], NOW_MS)
    assert len(found["bed-1"].trend) == bed_view.TREND_POINTS
    assert found["bed-1"].trend[-1][1] == 0.9


def test_a_row_that_is_no_report_is_left_out_and_the_others_stay() -> None:
    answer = beds_answer(seen=[(1, row("good"))])
    wrong = list(row("wrong"))
    wrong[2] = 500
    answer["seen"] += [[1, wrong], [1, "x"], "x", [None, list(row("no-age"))], [1]]
    answer["reported"] = [[3, wrong], None]
    answer["trends"] = {"good": [[1], "x", [1, "x"]]}
    assert list(merge_beds({}, [answer, {"status": "BUSY"}, {"status": "OK"}], NOW_MS)) == ["good"]


def test_a_bed_whose_clock_is_ahead_is_not_heard_from_the_future() -> None:
    found = merge_beds({}, [beds_answer(reported=[(7, row(age_ms=-60_000))])], NOW_MS)
    assert found["bed-1"].heard_at_ms == NOW_MS


def test_there_is_a_bound_and_the_beds_heard_longest_ago_go() -> None:
    many = [(n, row(f"bed-{n}")) for n in range(bed_view.BEDS_MAX + 5)]
    found = merge_beds({}, [beds_answer(seen=many)], NOW_MS)
    assert len(found) == bed_view.BEDS_MAX
    assert "bed-0" in found
    assert f"bed-{bed_view.BEDS_MAX + 4}" not in found


def test_a_clock_that_was_wrong_once_does_not_freeze_a_bed() -> None:
    tomorrow = row(probability=0.1, tier="GREEN", age_ms=-86_400_000)
    now = row(probability=0.8, age_ms=1000)
    known = merge_beds({}, [beds_answer(seen=[(0, tomorrow)])], NOW_MS)
    for answers in (
        [beds_answer(seen=[(900, now)])],
        [beds_answer(seen=[(60_000, tomorrow)]), beds_answer(seen=[(900, now)])],
        [beds_answer(seen=[(900, now)]), beds_answer(reported=[(9, tomorrow)])],
    ):
        assert merge_beds(known, answers, NOW_MS + 60_000)["bed-1"].report == now


def test_a_stored_reading_from_the_future_is_not_called_fresh() -> None:
    found = merge_beds({}, [beds_answer(reported=[(7, row(age_ms=-86_400_000))])], NOW_MS)
    assert found["bed-1"].heard_at_ms <= NOW_MS - 86_400_000


def test_readings_of_one_stamp_stand_in_the_order_in_which_they_came_and_the_last_is_the_number_shown() -> None:
    low, high = row(probability=0.71), row(probability=0.97)
    known = merge_beds({}, [beds_answer(seen=[(500, low)])], NOW_MS)
    later = merge_beds(known, [beds_answer(seen=[(300, high)])], NOW_MS + 1000)
    assert later["bed-1"].report == high
    assert [p for _, p in later["bed-1"].trend] == [0.71, 0.97]
    again = merge_beds(later, [beds_answer(seen=[(300, low)])], NOW_MS + 2000)
    assert [p for _, p in again["bed-1"].trend] == [0.97, 0.71]
    stored = beds_answer(reported=[(8, high)], trends={"bed-1": [[low.timestamp, 0.71], [high.timestamp, 0.97]]})
    found = merge_beds(merge_beds({}, [beds_answer(reported=[(7, low)])], NOW_MS), [stored], NOW_MS)
    assert found["bed-1"].report == high
    assert [p for _, p in found["bed-1"].trend] == [0.71, 0.97]


def test_a_recording_that_begins_again_has_a_trend_that_ends_in_what_is_shown() -> None:
    early, late = row(probability=0.2, tier="GREEN", age_ms=60_000), row(probability=0.8, age_ms=1000)
    known = merge_beds({}, [beds_answer(seen=[(500, late)])], NOW_MS)
    found = merge_beds(known, [beds_answer(seen=[(500, early)])], NOW_MS + 60_000)
    assert found["bed-1"].report == early
    assert found["bed-1"].trend == ((early.timestamp, 0.2),)
