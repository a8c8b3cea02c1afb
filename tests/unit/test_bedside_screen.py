"""The bedside's screen: whatever the width, every number is whole and is the value; what is old says so."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from hfzmq.cli.bedside.status import LOCAL, QUEUED, STORED, BedNow, BedsideStatus, LogLine, StatusBook
from hfzmq.cli.screens.bedside import DISCLAIMER, bedside, lines
from hfzmq.cli.screens.big import big
from hfzmq.cli.screens.words import probability, vital_text
from hfzmq.client import ClientState
from hfzmq.clinical.tiers import tier_of
from hfzmq.config import Thresholds

NOW = 10_000_000
WALL = 1_760_000_000_000
CONNECTED = ClientState("connected", 1, 2, 3, 40, 1, 12, WALL)
VITALS = (72.0, 133.4, 1.93, 31.0, 57)


def bed(patient: str = "P-001", p: float = 0.71, age_ms: int = 500, **other: object) -> BedNow:
    made = BedNow(patient, VITALS, p, 0.5, tier_of(p), (), NOW - age_ms, QUEUED, (0.2, 0.4, p))
    return made._replace(**other)  # type: ignore[arg-type]


def status(*beds: BedNow, **other: object) -> BedsideStatus:
    made = BedsideStatus("ward", beds, CONNECTED, Thresholds(), (), 2000, NOW, NOW, WALL)
    return made._replace(**other)  # type: ignore[arg-type]


def shown(what: BedsideStatus, width: int, height: int | None = None) -> str:
    console = Console(width=width, height=100, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(bedside(what, width, height))
    return capture.get()


def flat(screen: str) -> str:
    """The words of a screen in reading order, without frames."""
    return " ".join(re.sub(r"[│╭╮╰╯─█]", " ", screen).split())


names = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20).filter(lambda name: "│" not in name)
vitals = st.tuples(
    st.floats(18, 120) | st.integers(18, 120),
    st.floats(100, 180),
    st.floats(0.1, 20),
    st.floats(5, 90),
    st.integers(0, 36_500),
)
beds = st.builds(
    lambda name, values, p, study, age_ms, trend: BedNow(
        name, values, p, study, tier_of(p), ("day_driven",), NOW - age_ms, QUEUED, tuple(trend)
    ),
    names,
    vitals,
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 10**9),
    st.lists(st.floats(0, 1), min_size=1, max_size=20),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(beds, min_size=1, max_size=7, unique_by=lambda bed: bed.patient_id), st.integers(40, 240))
def test_at_any_width_every_number_of_every_bed_is_whole_and_is_the_value(several: list[BedNow], width: int) -> None:
    what = status(*several)
    assert all(line.cell_len <= width for line in lines(what, width))
    screen = flat(shown(what, width))
    for one in several:
        assert one.vitals is not None
        age, sodium, creatinine, fraction, day = (re.escape(vital_text(value)) for value in one.vitals)
        risk = re.escape(probability(one.probability, what.thresholds))
        in_a_row = rf"{risk} [^0-9]*{age} {sodium} {creatinine} {fraction} {day} "
        stacked = rf"age {age} years Na {sodium} mEq/L creat {creatinine} mg/dL EF {fraction} % day {day}( |$)"
        large = (
            rf"(?:risk|was GREEN) {risk} .*age {age} years sodium {sodium} mEq/L creatinine {creatinine} mg/dL "
            rf"ejection fraction {fraction} % follow-up {day} days"
        )
        assert any(re.search(form, screen) for form in (in_a_row, stacked, large)), screen
        assert re.search(rf"(^| ){risk}( |$)", screen), screen
    assert DISCLAIMER in screen


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 30), st.integers(40, 240), st.integers(5, 60))
def test_what_does_not_fit_is_counted_and_nothing_red_hides_behind_it(count: int, width: int, height: int) -> None:
    several = [bed(f"P-{place:03d}", 0.1) for place in range(count)] + [bed("worst", 0.9)]
    found = lines(status(*several), width, height)
    assert len(found) <= height
    screen = flat("\n".join(line.plain for line in found))
    if height >= 14:
        assert "worst" in screen
        hidden = re.search(r"\+(\d+) more", screen)
        assert screen.count("P-0") + (int(hidden[1]) if hidden else 0) == count


def test_the_tier_is_a_sign_and_a_word_and_red_comes_first() -> None:
    screen = shown(status(bed("a", 0.1), bed("b", 0.4), bed("c", 0.9), BedNow("d")), 120)
    order = [re.search(word, screen[screen.index("tier") :]) for word in ("■ RED", "✕ NO DATA", "▲ AMBER", "● GREEN")]
    starts = [found.start() for found in order if found]
    assert len(starts) == 4
    assert starts == sorted(starts)


@pytest.mark.parametrize("width", [40, 60, 80, 120, 240])
@pytest.mark.parametrize("several", [1, 3])
def test_data_older_than_3_s_and_the_interval_say_stale(width: int, several: int) -> None:
    fresh = [bed(f"P{place}", age_ms=4900) for place in range(several)]
    assert "STALE" not in shown(status(*fresh), width)
    old = [bed(f"P{place}", age_ms=5100) for place in range(several)]
    assert shown(status(*old), width).count("STALE 5 s ago") == several


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_green_bed_that_fell_silent_is_no_longer_calm(width: int) -> None:
    screen = shown(status(bed("a", 0.1, age_ms=60_000), bed("b", 0.9, age_ms=60_000)), width)
    assert "● GREEN" not in screen
    assert "✕ NO DATA" in screen
    assert "was GREEN" in screen
    assert "■ RED" in screen


@pytest.mark.parametrize("width", [40, 80, 120])
def test_without_a_sign_of_life_from_the_work_behind_it_the_screen_says_not_live(width: int) -> None:
    assert "NOT LIVE" not in shown(status(bed(), turned_at_ms=NOW - 2900), width)
    assert "NOT LIVE for 4 s" in flat(shown(status(bed(), turned_at_ms=NOW - 4000), width))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (CONNECTED, ["connected to peer 1", "leader: peer 2", "3 queued", "40 acknowledged", "1 rejected", "12 ms"]),
        (CONNECTED._replace(link="searching", peer=None, leader=None), ["searching for the mesh", "leader unknown"]),
        (CONNECTED._replace(link="no quorum", leader=None), ["no quorum", "3 queued"]),
    ],
)
@pytest.mark.parametrize("width", [40, 80, 200])
def test_link_leader_and_queue_are_always_said(state: ClientState, words: list[str], width: int) -> None:
    screen = flat(shown(status(bed(), state=state), width))
    for word in words:
        assert word in screen


def test_a_patient_alone_is_large_and_a_low_screen_still_holds_all_of_it() -> None:
    screen = shown(status(bed(p=0.62)), 100, 30)
    for row in big("0.62"):
        assert row in screen
    low = flat(shown(status(bed(p=0.62)), 100, 10))
    assert "risk 0.62" in low
    assert "age 72 years Na 133.4 mEq/L creat 1.93 mg/dL EF 31 % day 57" in low


def test_a_probability_beside_a_threshold_never_reads_like_the_other_tier() -> None:
    screen = flat(shown(status(bed(p=0.5996), bed("b", 0.2999)), 120))
    assert "0.5996" in screen
    assert "0.2999" in screen


def test_a_name_cannot_move_the_cursor_and_the_log_wraps_between_words() -> None:
    what = status(bed("a\x1b[2J\nb"), log=(LogLine(WALL, "rejected: some/file.csv:12: age: 18 to 120 years"),))
    for width in (40, 120):
        screen = shown(what, width)
        assert "\x1b" not in screen
        assert "18 to 120 years" in flat(screen)


def test_colour_is_off_when_no_color_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(width=100, force_terminal=True)
    with console.capture() as capture:
        console.print(bedside(status(bed()), 100))
    assert not re.search(r"\x1b\[[0-9;]*(3[0-7]|4[0-7])m", capture.get())
    assert "■ RED" in capture.get()


def test_large_digits_refuse_what_they_cannot_draw() -> None:
    assert len({len(big("0.62")), 5}) == 1
    with pytest.raises(ValueError, match="n"):
        big("nan")


# ----------------------------------------------------------------------------------------------------- events to status


def reading(patient: str = "P", at: int = WALL) -> dict[str, object]:
    values = zip(("age", "serum_sodium", "serum_creatinine", "ejection_fraction", "day"), VITALS, strict=True)
    return {"event": "reading", "patient": patient, "timestamp": at, **dict(values)}


def risk(p: float, patient: str = "P") -> dict[str, object]:
    told = {"event": "risk", "patient": patient, "timestamp": WALL, "probability": p, "tier": tier_of(p)}
    return told | {"probability_study": 0.5, "flags": ["day_driven"]}


def test_a_bed_follows_its_events_from_reading_to_acknowledgement() -> None:
    book = StatusBook("ward", ["P", "Q"], Thresholds(), 2.0)
    ack = {"event": "ack", "patient": "P", "seq": 1, "term": 1, "index": 1, "elapsed_ms": 5}
    book.take(reading(at=WALL - 700), NOW, WALL)
    assert book.snapshot(CONNECTED, NOW, WALL).beds[0].vitals is None  # a value is never shown without its risk
    book.take(risk(0.7), NOW, WALL)
    first, second = book.snapshot(CONNECTED, NOW, WALL).beds
    assert (first.vitals, first.tier, first.taken_at_ms, first.delivery) == (VITALS, "RED", NOW - 700, QUEUED)
    assert second == BedNow("Q")
    book.take(reading(), NOW, WALL)
    book.take(risk(0.8), NOW, WALL)
    book.take(ack, NOW, WALL)
    assert book.snapshot(CONNECTED, NOW, WALL).beds[0].delivery == QUEUED  # the ack was for the first one
    book.take(ack, NOW, WALL)
    assert book.snapshot(CONNECTED, NOW, WALL).beds[0].delivery == STORED
    book.take(reading(), NOW, WALL)
    book.take(risk(0.1), NOW, WALL)
    last = book.snapshot(CONNECTED, NOW, WALL).beds[0]
    assert (last.delivery, last.trend) == (LOCAL, (0.7, 0.8, 0.1))
    book.take(reading(), NOW, WALL)
    book.take(risk(0.9) | {"tier": "UNKNOWN", "flags": ["missing:age", "probability_low:0.050000"]}, NOW, WALL)
    assert book.snapshot(CONNECTED, NOW, WALL).beds[0].trend == (0.7, 0.8, 0.1)  # an end of a range is no point


def test_a_file_of_many_patients_keeps_the_newest_thousand() -> None:
    book = StatusBook("ward", (), Thresholds(), 0.0)
    for place in range(1100):
        book.take(reading(f"P{place}"), NOW + place, WALL)
        book.take(risk(0.5, f"P{place}"), NOW + place, WALL)
    kept = book.snapshot(CONNECTED, NOW, WALL).beds
    assert [one.patient_id for one in kept] == [f"P{place}" for place in range(100, 1100)]
    book.take({"event": "ack", "patient": "P0", "seq": 1, "term": 1, "index": 1, "elapsed_ms": 5}, NOW, WALL)


def test_an_acknowledgement_from_an_earlier_life_marks_no_bed() -> None:
    book = StatusBook("ward", ["P"], Thresholds(), 2.0)
    book.take({"event": "ack", "patient": "P", "seq": 1, "term": 1, "index": 1, "elapsed_ms": 5}, NOW, WALL)
    assert book.snapshot(CONNECTED, NOW, WALL).beds[0] == BedNow("P")


def test_an_answer_to_a_row_of_an_earlier_run_does_not_say_that_this_report_is_stored() -> None:
    book = StatusBook("ward", ["P"], Thresholds(), 2.0, earlier=2)
    book.take(reading(), NOW, WALL)
    book.take(risk(0.7), NOW, WALL)
    ack = {"event": "ack", "patient": "P", "seq": 1, "term": 1, "index": 1, "elapsed_ms": 5}
    for delivery in (QUEUED, QUEUED, STORED):
        book.take(ack, NOW, WALL)
        assert book.snapshot(CONNECTED, NOW, WALL).beds[0].delivery == delivery


def test_a_report_that_was_refused_is_not_called_queued_for_ever() -> None:
    book = StatusBook("ward", ["P"], Thresholds(), 2.0)
    book.take(reading(), NOW, WALL)
    book.take(risk(0.7), NOW, WALL)
    refusal = {"event": "rejected", "by": "mesh", "patient": "P", "field": "age", "bound": "a number", "hint": ""}
    book.take({**refusal, "by": "input"}, NOW, WALL)
    assert book.snapshot(CONNECTED, NOW, WALL).beds[0].delivery == QUEUED, "that was another line, never queued"
    book.take(refusal, NOW, WALL)
    assert book.snapshot(CONNECTED, NOW, WALL).beds[0].delivery == "refused"


# -------------------------------------------------------------------------------------------- what stands beside a risk

RAW = ("day_raw", "extrapolated:day")
FAR = ("extrapolated:age", "day_clamped", "probability_low:0.709999")


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_a_bed_by_the_raw_day_and_one_unlike_the_others_say_so_at_any_width(width: int) -> None:
    beds = [bed("P-1", 0.71, flags=RAW), bed("P-2", 0.64, flags=FAR[:2]), bed("P-3", 0.2)]
    screen = flat(shown(status(*beds), width))
    assert "RAW DAY" in screen
    assert "RAW ~0.71" in screen
    assert "~0.64" in screen
    assert "~0.20" not in screen
    assert "~ 2 outside" in screen
    calm = flat(shown(status(*(one._replace(flags=()) for one in beds)), width))
    assert "RAW" not in calm
    assert "~" not in calm


@pytest.mark.parametrize("width", [40, 120])
def test_one_bed_says_in_words_what_its_number_is_of_and_what_it_is_outside_of(width: int) -> None:
    screen = flat(shown(status(bed(flags=FAR)), width))
    assert "risk 0.71" in screen
    assert "of death within about 90 days" in screen
    assert "~ outside what it learned: age" in screen
    assert "by the raw day 0.50" in screen
    for no_news in ("day_clamped", "probability_low", "flags"):
        assert no_news not in screen
    raw = flat(shown(status(bed(flags=RAW)), width))
    assert "died by the end of that follow-up" in raw
    assert "within about 90 days" not in raw
    assert "by the raw day 0.50" not in raw


def test_the_number_by_the_raw_day_is_two_ends_where_the_day_is_missing_and_no_range_reads_as_one_number() -> None:
    flags = ("missing:day", "probability_low:0.064001", "study_low:0.020000")
    screen = flat(shown(status(bed(p=0.0642, probability_study=0.8, flags=flags)), 120))
    assert "by the raw day 0.02-0.80" in screen
    assert "risk 0.06 " in screen
    assert "0.06-0.06" not in screen


def test_a_bed_without_data_has_no_large_number_and_says_what_it_was_and_when() -> None:
    silent = bed(p=0.06, age_ms=60_000)
    screen = shown(status(silent), 100)
    assert "█" not in screen
    assert "█" in shown(status(bed(p=0.06)), 100)
    at = datetime.fromtimestamp(WALL / 1000 - 60).strftime("%H:%M")
    assert f"was GREEN 0.06 at {at}" in flat(screen)
    assert "risk 0.06" not in flat(screen)
