"""The why-line: it explains the number that is shown, on both screens, or says nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hfzmq.cli.bed_view import Bed
from hfzmq.cli.bedside.judge import judge
from hfzmq.cli.bedside.readings import Reading
from hfzmq.cli.bedside.status import WHYS_A_FRAME, StatusBook
from hfzmq.cli.board_feed import BoardFeed
from hfzmq.cli.screens.bed_lines import bed_lines
from hfzmq.cli.screens.bedside import lines
from hfzmq.cli.why import Whys
from hfzmq.client import ClientState
from hfzmq.clinical.report import VITALS, Report
from hfzmq.config import Thresholds
from hfzmq.errors import InvalidInput
from hfzmq.model import RiskModel
from hfzmq.model.explain import explain
from tests.unit.cli_world import CONFIG, NOW_MS, WALL_MS, beds_answer, says

MODEL = RiskModel.load()
SICK = Reading("P-1", WALL_MS, 75.0, 130.0, 1.9, 20.0, 40)
CALM = Reading("P-2", WALL_MS, 45.0, 138.0, 0.9, 50.0, 40)
HOLE = Reading("P-3", WALL_MS, 70.0, 134.0, None, 30.0, 40)
STATE = ClientState("connected", 1, 1, 0, 0, 0, None, None)


def report_of(reading: Reading) -> Report:
    return judge(MODEL, Thresholds(), reading).report


def plain(lines_: Any) -> str:
    return "\n".join(line.plain for line in lines_)


def test_the_why_names_the_two_values_that_moved_the_probability_most() -> None:
    found = explain(MODEL, 75.0, 130.0, 1.9, 20.0, 40)
    top = found.top()
    assert Whys(MODEL).of_report(report_of(SICK)) == (f"EF 20 {top[0][1]:+.2f}", f"creat 1.9 {top[1][1]:+.2f}")
    assert [round(moved, 2) for _, moved in top] == [0.22, 0.12]


def test_green_needs_no_why_and_a_hole_is_named() -> None:
    assert Whys(MODEL).of_report(report_of(CALM)) == ()
    assert Whys(MODEL).of_report(report_of(HOLE)) == ("creat not known",)


def test_a_day_that_nobody_knows_explains_no_number_but_the_one_that_reads_it() -> None:
    guarded = report_of(SICK._replace(day=None))
    assert Whys(MODEL).of_report(guarded) == Whys(MODEL).of_report(report_of(SICK)) != ()
    by_the_raw_day = judge(RiskModel.load(raw_day=True), Thresholds(), SICK._replace(day=None)).report
    assert by_the_raw_day.probability != guarded.probability
    assert Whys(MODEL).of_report(by_the_raw_day) == ("day not known",)


@pytest.mark.parametrize("change", [{"model_id": "another"}, {"probability": 0.62}, {"age": 1000.0}])
def test_a_number_that_this_model_did_not_give_is_not_explained(change: dict[str, Any]) -> None:
    assert Whys(MODEL).of_report(report_of(SICK)._replace(**change)) == ()


def test_without_a_model_there_is_no_why_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object = None) -> None:
        raise InvalidInput("hf_model.npz", "a whole one")

    monkeypatch.setattr(RiskModel, "load", refuse)
    assert Whys().of_report(report_of(SICK)) == ()


# ---------------------------------------------------------------------------------------------------------- the board


def board_lines(width: int, height: int, *readings: Reading) -> str:
    beds = [Bed(report_of(one), True, NOW_MS, ((WALL_MS, report_of(one).probability),)) for one in readings]
    whys = {bed.patient_id: Whys(MODEL).of_report(bed.report) for bed in beds}
    found, shown = bed_lines(beds, Thresholds(), width, height, NOW_MS, True, whys=whys)
    assert shown == len(readings)
    assert len(found) <= height
    assert max(line.cell_len for line in found) <= width
    return plain(found)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160, 240])
def test_the_board_tells_the_why_at_every_width_that_has_the_height(width: int) -> None:
    screen = board_lines(width, 40, SICK, HOLE, CALM)
    for part in ("EF 20 +0.22", "creat 1.9 +0.12", "creat not known"):
        assert part in screen, screen
    assert ("why" in screen.splitlines()[0] or "why" in screen.splitlines()[1]) == (width >= 100)


def test_where_there_is_no_height_the_why_makes_way_and_every_bed_stays() -> None:
    readings = [SICK._replace(patient_id=f"P-{n}") for n in range(8)]
    assert "why" not in board_lines(80, 10, *readings)
    assert board_lines(80, 18, *readings).count("why") == 8


def test_the_feed_explains_what_this_model_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = report_of(SICK)._replace(patient_id="other", model_id="x")
    seen = [(0, report_of(SICK)), (0, report_of(CALM)), (0, strange)]
    answers = {"status": {1: says(1, "leader")}, "beds": {1: beds_answer(seen=seen)}}
    feed = BoardFeed(CONFIG, 1.0, lambda op: answers[op])
    feed.poll()
    assert set(feed.latest.whys) == {"P-1"}
    assert len(feed.latest.beds) == 3


# -------------------------------------------------------------------------------------------------------- the bedside


def told(book: StatusBook, reading: Reading) -> None:
    report = report_of(reading)
    vitals = {vital.name: value for vital, value in zip(VITALS, reading.vitals, strict=True)}
    who = {"patient": reading.patient_id, "timestamp": reading.timestamp}
    book.take({"event": "reading", **who, **vitals}, NOW_MS, WALL_MS)
    flags = [flag for flag in report.flags.split(",") if flag]
    risk = {"probability": report.probability, "tier": report.tier, "probability_study": 0.5, "flags": flags}
    book.take({"event": "risk", **who, **risk}, NOW_MS, WALL_MS)


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_the_bedside_tells_the_why_of_one_bed_and_of_several(width: int) -> None:
    book = StatusBook("ward", (), Thresholds(), 2.0, whys=Whys(MODEL))
    told(book, SICK)
    one = plain(lines(book.snapshot(STATE, NOW_MS, WALL_MS), width, 60))
    assert "EF 20 +0.22" in one
    assert "creat 1.9 +0.12" in one
    told(book, HOLE)
    told(book, CALM)
    several = plain(lines(book.snapshot(STATE, NOW_MS, WALL_MS), width, 60))
    for part in ("EF 20 +0.22", "creat 1.9 +0.12", "creat not known"):
        assert part in several, several


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_bedside_shows_both_tiers_and_both_ends_of_what_is_not_known(width: int) -> None:
    book = StatusBook("ward", (), Thresholds(), 2.0, whys=Whys(MODEL))
    told(book, HOLE)
    screen = plain(lines(book.snapshot(STATE, NOW_MS, WALL_MS), width, 60))
    judged = MODEL.judge(70.0, 134.0, None, 30.0, 40)
    assert "? GREEN/AMBER" in screen
    assert f"{judged.probability_low:.2f}-{judged.probability:.2f}" in screen
    assert re.search(r"creat(inine)? +\?", screen)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_without_the_day_the_risk_is_one_number_and_that_by_the_raw_day_two_ends(width: int) -> None:
    book = StatusBook("ward", (), Thresholds(), 2.0)
    reading = SICK._replace(day=None)
    told(book, reading)
    screen = plain(lines(book.snapshot(STATE, NOW_MS, WALL_MS), width, 60))
    assert f"{report_of(reading).probability:.2f}" in screen
    assert re.findall(r"0\.\d+-0\.\d+", screen) == ["0.00-0.50"]  # the fixture's 0.50 is below what the flag says
    assert "by the raw day 0.00-0.50" in screen
    told(book, SICK)
    assert "by the raw day 0.50" in plain(lines(book.snapshot(STATE, NOW_MS, WALL_MS), width, 60))


def test_a_frame_makes_only_so_many_whys_and_the_next_one_the_rest() -> None:
    book = StatusBook("ward", (), Thresholds(), 2.0, whys=Whys(MODEL))
    for number in range(WHYS_A_FRAME + 3):
        told(book, SICK._replace(patient_id=f"P-{number}", age=60.0 + number))
    explained = [sum(bool(bed.why) for bed in book.snapshot(STATE, NOW_MS, WALL_MS).beds) for _ in range(2)]
    assert explained == [WHYS_A_FRAME, WHYS_A_FRAME + 3]


def test_the_sentence_of_an_unknown_names_both_tiers_and_both_ends() -> None:
    book = StatusBook("ward", (), Thresholds(), 2.0)
    told(book, HOLE)
    status = book.snapshot(STATE, NOW_MS, WALL_MS)
    judged = MODEL.judge(70.0, 134.0, None, 30.0, 40)
    ends = f"{judged.probability_low:.2f}-{judged.probability:.2f}"
    assert f"P-3 ? GREEN/AMBER {ends}" in status.log[-1].words


# -------------------------------------------------------------------------------------------------------- the raw day


def test_by_the_raw_day_the_why_explains_that_number_whoever_made_it() -> None:
    raw = RiskModel.load(raw_day=True)
    report = judge(raw, Thresholds(), SICK._replace(day=4)).report
    found = explain(MODEL, 75.0, 130.0, 1.9, 20.0, 4, study=True)
    assert found.top()[0][0] == "day"
    for model in (raw, MODEL):
        why = Whys(model).of_report(report)
        assert why[0] == f"day 4 {found.top()[0][1]:+.2f}"
    book = StatusBook("ward", (), Thresholds(), 2.0, whys=Whys(raw))
    vitals = {vital.name: value for vital, value in zip(VITALS, SICK._replace(day=4).vitals, strict=True)}
    who = {"patient": "P-1", "timestamp": WALL_MS}
    book.take({"event": "reading", **who, **vitals}, NOW_MS, WALL_MS)
    numbers = {"probability": report.probability, "tier": report.tier, "probability_study": report.probability_study}
    book.take({"event": "risk", **who, **numbers, "flags": report.flags.split(",")}, NOW_MS, WALL_MS)
    status = book.snapshot(STATE, NOW_MS, WALL_MS)
    screen = plain(lines(status, 120, 60))
    assert "why, risk moved by day 4 +" in " ".join(screen.replace("│", " ").split())
    assert status.log[-1].words.endswith(", RAW DAY")
