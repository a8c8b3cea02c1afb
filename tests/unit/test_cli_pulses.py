"""Heart rates on the board: the newest of each bed, whole at every width, never a number that nobody believes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfzmq.cli.board_feed import BoardStatus, updated
from hfzmq.cli.format import number
from hfzmq.cli.pulse_view import Pulse, merge_pulses
from hfzmq.cli.screens.board import lines
from hfzmq.cli.screens.pulses import pulse_text, pulse_words
from hfzmq.clinical.heart_rate import VERDICTS, Verdict
from tests.unit.cli_world import CONFIG, NOW_MS, WALL_MS, bed, beds_answer, board_status, row, says

VALID, HIGH, LOW, SENSOR_OFF, IMPOSSIBLE, FUTURE, MISSING, UNPARSABLE = VERDICTS


def pulse(patient: str = "bed-1", value: float | None = 72.0, verdict: Verdict = VALID, ago_ms: int = 1000) -> Pulse:
    return Pulse(patient, value, verdict, 1, NOW_MS - ago_ms)


def screen(status: BoardStatus, width: int = 120, height: int = 60) -> str:
    made = lines(status, width, height, NOW_MS)
    assert all(line.cell_len <= width for line in made)
    assert len(made) <= height
    return "\n".join(line.plain for line in made)


def words_of(shown: str) -> list[str]:
    return re.sub("[│╭╮╰╯─,]", " ", shown).split()


def answer(*readings: Any, now_ms: Any = WALL_MS) -> dict[str, Any]:
    return beds_answer() | {"readings": list(readings), "now_ms": now_ms}


def told(number_: int, patient: str = "bed-1", age_ms: int = 0, value: Any = 72.0) -> list[Any]:
    return [number_, [patient, WALL_MS - age_ms, value, "valid", None, WALL_MS - 500]]


# ------------------------------------------------------------ the newest


def test_the_highest_id_stands_whoever_told_it_and_in_whatever_order() -> None:
    known = merge_pulses({}, [answer(told(5, value=80.0)), None, answer(told(9, value=90.0)), answer(told(7))], NOW_MS)
    assert (known["bed-1"].value, known["bed-1"].reading_id) == (90.0, 9)
    later = merge_pulses(known, [answer(told(5))], NOW_MS + 1000)
    assert later == known


def test_a_reading_ages_from_poll_to_poll_and_never_grows_younger() -> None:
    first = merge_pulses({}, [answer(told(5, age_ms=4000))], NOW_MS)
    assert first["bed-1"].heard_at_ms == NOW_MS - 4000
    again = merge_pulses(first, [answer(told(5, age_ms=4000))], NOW_MS + 9000)
    assert again["bed-1"].heard_at_ms == NOW_MS - 4000


def test_a_stamp_from_the_future_makes_a_reading_no_younger_than_when_it_came_in() -> None:
    found = merge_pulses({}, [answer(told(1, age_ms=-3_600_000))], NOW_MS)
    assert found["bed-1"].heard_at_ms == NOW_MS - 500


def test_how_long_ago_it_came_in_is_told_by_the_clock_of_the_log_that_stamped_it() -> None:
    ahead = 60_000
    future = [1, ["bed-1", WALL_MS + 3_600_000, 72.0, "valid", None, WALL_MS + ahead - 5000]]
    found = merge_pulses({}, [answer(future) | {"log_now_ms": WALL_MS + ahead}], NOW_MS)
    assert found["bed-1"].heard_at_ms == NOW_MS - 5000


@pytest.mark.parametrize(
    "wrong",
    [
        7,
        [1],
        ["1", ["bed-1", WALL_MS, 72.0, "valid", None]],
        [1, ["bed-1", WALL_MS, 72.0, "valid", None]],
        [1, ["bed-1", WALL_MS, 72.0, "valid", None, 7.5]],
        [1, ["", WALL_MS, 72.0, "valid", None, WALL_MS]],
        [1, ["bed-1", "now", 72.0, "valid", None, WALL_MS]],
        [1, ["bed-1", WALL_MS, "72", "valid", None, WALL_MS]],
        [1, ["bed-1", WALL_MS, True, "valid", None, WALL_MS]],
        [1, ["bed-1", WALL_MS, float("nan"), "valid", None, WALL_MS]],
        [1, ["bed-1", WALL_MS, None, "valid", None, WALL_MS]],
        [1, ["bed-1", WALL_MS, 72.0, "fine", None, WALL_MS]],
        [1, ["bed-1", WALL_MS, 72.0, ["valid"], None, WALL_MS]],
        [1, ["bed-1", WALL_MS, 72.0, "valid", 7, WALL_MS]],
        [1, ["bed-1", WALL_MS, 72.0, "corrupted", "\x1b[2J", WALL_MS]],
    ],
)
def test_what_is_no_reading_is_left_out(wrong: Any) -> None:
    assert list(merge_pulses({}, [answer(wrong, told(2, "bed-2"))], NOW_MS)) == ["bed-2"]


def test_an_answer_of_an_older_peer_has_no_heart_rates() -> None:
    assert merge_pulses({}, [beds_answer(), answer(told(1), now_ms="x"), {"status": "BUSY"}], NOW_MS) == {}


def test_a_poll_brings_them_to_the_board() -> None:
    before = board_status()
    after = updated(before, CONFIG, {1: says(1, "leader")}, {1: answer(told(3, value=64.5))}, NOW_MS)
    assert [(one.patient_id, one.value) for one in after.pulses] == [("bed-1", 64.5)]


# ------------------------------------------------------------ the words


@pytest.mark.parametrize(
    ("value", "verdict", "words"),
    [
        (72.0, VALID, "72"),
        (72.25, VALID, "72.25"),
        (131.0, HIGH, "131 high"),
        (35.5, LOW, "35.5 low"),
        (0.0, SENSOR_OFF, "✕ sensor off"),
        (500.0, IMPOSSIBLE, "✕ impossible"),
        (88.0, FUTURE, "✕ future"),
        (None, MISSING, "✕ missing"),
        (None, UNPARSABLE, "✕ unparsable"),
    ],
)
def test_the_verdict_stands_where_the_number_is_not_to_be_believed(
    value: float | None, verdict: Verdict, words: str
) -> None:
    assert pulse_words(pulse(value=value, verdict=verdict), NOW_MS) == words
    shown = pulse_text(pulse(value=value, verdict=verdict), NOW_MS, live=True)
    assert (shown.style == "") == (verdict == VALID), "only a valid one is calm"
    assert pulse_words(pulse(value=value, verdict=verdict, ago_ms=300_000), NOW_MS) == f"{words}, 5 min ago"


def test_a_bed_without_a_heart_rate_shows_none_and_a_ward_without_any_has_no_column() -> None:
    with_one = board_status(bed(row("bed-1")), bed(row("bed-2")))._replace(pulses=(pulse("bed-1", 64.5),))
    assert "HR" in words_of(screen(with_one))
    assert words_of(screen(with_one)).count("64.5") == 1
    assert "HR" not in words_of(screen(with_one._replace(pulses=())))


def test_beds_of_which_only_the_heart_rate_is_known_are_listed_the_invalid_first_and_the_rest_counted() -> None:
    lone = [pulse(f"bed-{n}") for n in range(200)] + [pulse("bed-x", 140.0, HIGH), pulse("bed-y", None, UNPARSABLE)]
    shown = screen(board_status()._replace(pulses=tuple(lone)), 80, 30)
    assert "no bed has been heard of" not in shown
    assert shown.index("bed-x 140 high") < shown.index("bed-0 72")
    assert "bed-y ✕ unparsable" in shown
    (more,) = re.findall(r"\+(\d+) more", shown)
    assert len(re.findall(r"bed-\w+ ", shown)) + int(more) == 202


def test_a_heart_rate_pushes_no_live_red_off_an_80_x_24_board() -> None:
    beds = [bed(row(f"live-{n}", 0.61, "RED")) for n in range(8)]
    shown = screen(board_status(*beds)._replace(pulses=tuple(pulse(f"bed-{n}") for n in range(50))), 80, 24)
    for n in range(8):
        assert f"live-{n}" in shown


@pytest.mark.parametrize("reds", [2, 8, 30])
def test_heart_rates_of_others_cost_no_live_red_its_place(reds: int) -> None:
    beds = [bed(row(f"live-{n}", 0.61, "RED")) for n in range(reds)]
    many = tuple(pulse(f"bed-{n}") for n in range(50))
    for height in range(8, 40):
        without = screen(board_status(*beds), 80, height)
        shown = screen(board_status(*beds)._replace(pulses=many), 80, height)
        assert [n for n in range(reds) if f"live-{n} " in without and f"live-{n} " not in shown] == []


def test_a_number_is_not_broken_where_its_bed_has_a_long_name() -> None:
    shown = screen(board_status()._replace(pulses=(pulse("a-bed-with-a-long-name", 1.6454795191160656),)), 40)
    assert "1.6454795191160656" in shown


names = st.text(st.characters(whitelist_categories=["L", "N"], max_codepoint=0x2FF), min_size=1, max_size=64)
pulses = st.builds(
    lambda patient, value, verdict, ago: pulse(patient, value + 0.0, verdict, ago),
    names,
    st.integers(1, 300) | st.floats(0.001, 300),
    st.sampled_from([VALID, HIGH, LOW]),
    st.integers(0, 10_000_000),
)


@settings(max_examples=150, deadline=None)
@given(st.integers(40, 240), st.lists(pulses, min_size=1, max_size=6, unique_by=lambda one: one.patient_id), st.data())
def test_every_heart_rate_is_shown_whole_at_every_width(width: int, found: list[Pulse], data: st.DataObject) -> None:
    with_report = data.draw(st.sets(st.sampled_from([one.patient_id for one in found])))
    beds = [bed(row(patient)) for patient in sorted(with_report)]
    shown = screen(board_status(*beds)._replace(pulses=tuple(found)), width, 400)
    left = words_of(shown)
    for one in found:
        assert one.value is not None
        assert number(one.value) in left, (one, shown)
        left.remove(number(one.value))
        assert float(number(one.value)) == one.value
    assert "…" not in shown


@settings(max_examples=60, deadline=None)
@given(st.integers(40, 240), st.integers(1, 60), st.lists(pulses, max_size=40, unique_by=lambda one: one.patient_id))
def test_no_screen_is_wider_or_higher_than_the_terminal(width: int, height: int, found: list[Pulse]) -> None:
    beds = [bed(row(one.patient_id)) for one in found[::3]]
    screen(board_status(*beds)._replace(pulses=tuple(found)), width, height)
