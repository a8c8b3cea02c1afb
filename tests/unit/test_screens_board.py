"""The board: no number is ever wrong, cut or stale, at any width; what is not live says so."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from hfzmq.cli.bed_view import Bed
from hfzmq.cli.board_feed import BoardStatus
from hfzmq.cli.format import number
from hfzmq.cli.screens.board import DISCLAIMER, board, lines
from hfzmq.cli.screens.plain import plain_line
from hfzmq.cli.screens.words import probability
from hfzmq.clinical.report import VITALS, Report
from hfzmq.clinical.tiers import tier_of
from hfzmq.config import Thresholds
from tests.unit.cli_world import NEW_DISK, NOW_MS, OLD_DISK, bed, board_status, lives, members_told, row, says

WIDTHS = st.integers(40, 240)


def drawn(status: BoardStatus, width: int = 120, height: int = 60, now_ms: int = NOW_MS, keys: str = "q quit") -> str:
    """What a terminal of this size shows."""
    console = Console(width=width, file=io.StringIO(), color_system=None, legacy_windows=False)
    console.print(board(status, width, height, now_ms, keys))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def words_of(screen: str) -> list[str]:
    """The screen's words, without frames."""
    return re.sub("[│╭╮╰╯─]", " ", screen).split()


vitals = st.fixed_dictionaries(
    {
        "age": st.one_of(st.integers(18, 120), st.floats(18, 120)),
        "serum_sodium": st.one_of(st.integers(100, 180), st.floats(100, 180), st.sampled_from([118, 118.0, 137.5])),
        "serum_creatinine": st.floats(0.1, 20),
        "ejection_fraction": st.one_of(st.integers(5, 90), st.floats(5, 90)),
        "day": st.integers(0, 36_500),
    }
)
names = st.text(st.characters(whitelist_categories=["L", "N"], max_codepoint=0x2FF), min_size=1, max_size=64)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    chance = draw(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.2999, 0.3, 0.5996, 0.6, 0.995, 1.0])))
    tier = draw(st.sampled_from([tier_of(chance), "UNKNOWN"]))
    made = row(draw(names), chance, tier, draw(st.integers(0, 100_000)))
    values: dict[str, Any] = draw(vitals)
    return made._replace(**values)


@st.composite
def wards(draw: st.DrawFn) -> list[Bed]:
    made = draw(st.lists(reports(), min_size=1, max_size=5, unique_by=lambda report: report.patient_id))
    return [bed(report, draw(st.integers(0, 200_000)), draw(st.booleans())) for report in made]


@settings(max_examples=150, deadline=None)
@given(WIDTHS, wards(), st.booleans())
def test_every_vital_and_probability_is_shown_whole_at_every_width(width: int, beds: list[Bed], live: bool) -> None:
    screen = drawn(board_status(*beds, polled_ago_ms=0 if live else 60_000), width, 400)
    left = words_of(screen)
    for one in beds:
        values = [number(getattr(one.report, vital.name)) for vital in VITALS]
        for value in [*values, probability(one.report.probability, Thresholds())]:
            assert value in left, (value, screen)
            left.remove(value)
        for vital, value in zip(VITALS, values, strict=True):
            assert float(value) == getattr(one.report, vital.name)
    assert "…" not in screen


@settings(max_examples=100, deadline=None)
@given(WIDTHS, st.integers(1, 60), wards(), st.integers(0, 2**63 - 1))
def test_no_line_is_wider_and_no_screen_is_higher_than_the_terminal(
    width: int, height: int, beds: list[Bed], index: int
) -> None:
    told = {1: says(1, "leader", last_index=index), 2: says(2, state_hash="cd" * 16), 3: None}
    status = board_status(*beds, status=told)
    made = lines(status, width, height, NOW_MS, story=["killed the leader, peer 1, with SIGKILL"] * 3)
    assert len(made) <= height
    assert max(line.cell_len for line in made) <= width
    assert len(drawn(status, width, height).splitlines()) <= height


@settings(max_examples=60, deadline=None)
@given(WIDTHS, st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_every_index_of_the_mesh_is_shown_whole_at_every_width(width: int, last: int, applied: int) -> None:
    told = {1: says(1, "leader", last_index=last, applied_index=applied), 2: None, 3: None}
    shown = words_of(drawn(board_status(status=told), width, 100))
    assert str(applied) in shown
    if width >= 120:
        assert str(last) in shown


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_units_stand_beside_the_vitals(width: int) -> None:
    shown = words_of(drawn(board_status(bed(row())), width))
    for unit in ("years", "mEq/L", "mg/dL", "%"):
        assert unit in shown


@pytest.mark.parametrize("width", [40, 80, 120])
def test_tiers_have_a_sign_and_a_word_and_the_most_urgent_stand_first(width: int) -> None:
    beds = [
        bed(row("green", 0.1, "GREEN")),
        bed(row("amber", 0.4, "AMBER")),
        bed(row("unknown", 0.2, "UNKNOWN")),
        bed(row("red-61", 0.61, "RED")),
        bed(row("red-90", 0.90, "RED")),
    ]
    screen = drawn(board_status(*beds), width)
    at = [screen.index(name) for name in ("red-90", "red-61", "unknown", "amber", "green")]
    assert at == sorted(at)
    for badge in ("■ RED", "? UNKNOWN", "▲ AMBER", "● GREEN"):
        assert badge in screen


def test_a_probability_never_looks_like_one_of_another_tier() -> None:
    assert "0.5996" in words_of(drawn(board_status(bed(row("a", 0.5996, "AMBER")))))
    assert probability(0.62, Thresholds()) == "0.62"
    assert probability(0.599612345678, Thresholds()) == "0.5996"
    assert probability(0.6, Thresholds()) == "0.60"
    assert probability(0.29999999, Thresholds()) == repr(0.29999999)


def test_each_bed_says_how_old_its_reading_is() -> None:
    screen = drawn(board_status(bed(row("a"), 2_900), bed(row("b"), 5 * 60_000, seen=False), bed(row("c"), 9_000)))
    text = {
        line.split()[3]: line for line in screen.splitlines() if "RED" in line and "bed" not in line and "0.72" in line
    }
    assert "2 s ago" in text["a"]
    assert "STALE" not in text["a"]
    assert "STALE reported 5 min ago" in text["b"]
    assert "STALE" not in text["c"]


def test_a_reading_ages_while_nothing_new_comes_and_becomes_stale_after_10_s() -> None:
    status = board_status(bed(row("a", 0.4, "AMBER"), 0))
    assert "STALE" not in drawn(status, now_ms=NOW_MS + 10_000)
    assert "STALE 10 s ago" in drawn(status, now_ms=NOW_MS + 10_001)


def test_a_green_bed_that_fell_silent_is_no_data_and_stands_before_a_live_green() -> None:
    screen = drawn(board_status(bed(row("silent", 0.1, "GREEN"), 45_000), bed(row("calm", 0.2, "GREEN"), 100)))
    assert screen.count("● GREEN") == 1
    assert "✕ NO DATA" in screen
    assert "STALE 45 s ago, was GREEN" in screen
    assert screen.index("silent") < screen.index("calm")


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.integers(0, 200), st.sampled_from(["RED", "AMBER", "GREEN", "UNKNOWN"]))
def test_no_stale_bed_pushes_a_live_red_off_an_80_x_24_board(reds: int, stale: int, tier: str) -> None:
    beds = [bed(row(f"gone-{n}", 0.99, tier), 11_000) for n in range(stale)]
    beds += [bed(row(f"live-{n}", 0.61, "RED")) for n in range(reds)]
    screen = drawn(board_status(*beds), 80, 24)
    assert [name for name in (f"live-{n}" for n in range(reds)) if name not in words_of(screen)] == []
    assert f"■ {reds} RED" in screen.splitlines()[0]


def test_the_stale_stand_by_their_last_tier_and_what_was_red_before_a_live_amber() -> None:
    beds = [
        bed(row("green", 0.1, "GREEN")),
        bed(row("was-green", 0.2, "GREEN"), 11_000),
        bed(row("was-amber", 0.4, "AMBER"), 11_000),
        bed(row("was-red", 0.9, "RED"), 11_000),
        bed(row("amber", 0.4, "AMBER")),
        bed(row("red", 0.7, "RED")),
    ]
    screen = drawn(board_status(*beds))
    at = [screen.index(f" {name} ") for name in ("red", "was-red", "amber", "was-amber", "was-green", "green")]
    assert at == sorted(at)


def test_the_header_counts_live_beds_by_tier_and_the_stale_apart() -> None:
    beds = [bed(row(f"r{n}")) for n in range(2)] + [bed(row("a", 0.4, "AMBER"))]
    beds += [bed(row(f"g{n}", 0.1, "GREEN")) for n in range(3)]
    beds += [bed(row(f"s{n}", 0.9, "RED"), 11_000) for n in range(27)]
    status = board_status(*beds)
    counts = " ".join(drawn(status, 80, 24).splitlines()[0].split())
    assert "■ 2 RED ▲ 1 AMBER ✕ 27 STALE ● 3 GREEN" in counts
    assert plain_line(status, NOW_MS).endswith(
        "beds: 2 RED, 1 AMBER, 27 STALE (27 were RED), 3 GREEN, 1,000 heart rates, 200 alerts"
    )


def test_hidden_stale_beds_that_were_red_are_shouted() -> None:
    beds = [bed(row(f"s{n}", 0.9, "RED"), 11_000) for n in range(30)]
    made = next(line for line in lines(board_status(*beds), 120, 16, NOW_MS) if "more beds" in line.plain)
    assert re.search(r"\+(\d+) more beds, \1 STALE \(\1 were RED\)", made.plain)
    assert any("on red" in str(span.style) for span in made.spans)


def test_a_stale_red_is_dimmed_but_still_red() -> None:
    made = next(line for line in lines(board_status(bed(row("a"), 90_000)), 120, 40, NOW_MS) if "0.72" in line.plain)
    styles = {span.style for span in made.spans}
    assert "dim" in styles
    assert "bold red" in styles


def test_not_live_stands_in_the_header_as_soon_as_no_good_poll_came_for_3_s() -> None:
    status = board_status(bed(row()), polled_ago_ms=0)
    for width in (40, 80, 200):
        assert "NOT LIVE" not in drawn(status, width, now_ms=NOW_MS + 3_000)
        first = drawn(status, width, now_ms=NOW_MS + 3_001).splitlines()[0]
        assert "NOT LIVE" in first
    assert "no answer for 7 s" in drawn(status, now_ms=NOW_MS + 7_500)


def test_a_feed_that_failed_says_why_and_one_that_never_answered_is_not_live() -> None:
    never = board_status()._replace(polled_at_ms=None, started_at_ms=NOW_MS)
    assert "CONNECTING" in drawn(never, now_ms=NOW_MS + 100)
    assert "NOT LIVE" in drawn(never, now_ms=NOW_MS + 3_100)
    failed = drawn(never._replace(failure="HfzmqError: no sockets"), now_ms=NOW_MS + 100)
    assert "NOT LIVE" in failed
    assert "no sockets" in failed


def test_more_beds_than_lines_are_counted_by_tier_and_a_hidden_red_is_shouted() -> None:
    beds = [bed(row(f"red-{n}", 0.9 - n / 100, "RED")) for n in range(12)] + [bed(row("g", 0.1, "GREEN"))]
    screen = drawn(board_status(*beds), 120, 16)
    shown = sum(1 for line in screen.splitlines() if "0." in line and "RED" in line)
    assert 3 <= shown < 12
    assert f"+{13 - shown} more beds, {12 - shown} RED, 1 GREEN" in screen
    made = next(line for line in lines(board_status(*beds), 120, 16, NOW_MS) if "more beds" in line.plain)
    assert any("on red" in str(span.style) for span in made.spans)


@settings(max_examples=80, deadline=None)
@given(WIDTHS, st.integers(12, 40), st.integers(40, 3000))
def test_shown_and_counted_beds_are_all_beds_at_every_size(width: int, height: int, count: int) -> None:
    tiers = ("RED", "AMBER", "GREEN", "UNKNOWN")
    beds = [bed(row(f"b{n}", 0.5, tiers[n % 4])) for n in range(count)]
    told = " ".join(words_of(drawn(board_status(*beds), width, height)))
    rest = re.search(r"(?:\+(\d+) more|(?<!\S)(\d+)) beds, ((?:\d+ (?:RED|UNKNOWN|AMBER|GREEN),? ?)+|all GREEN)", told)
    assert rest is not None, told
    hidden = int(rest[1] or rest[2])
    assert len(re.findall(r"(?<!\S)b\d+(?!\S)", told)) + hidden == count
    if not rest[3].startswith("all"):
        assert sum(map(int, re.findall(r"\d+", rest[3]))) == hidden


def test_hidden_beds_that_are_all_green_are_said_to_be() -> None:
    beds = [bed(row(f"g-{n}", 0.1, "GREEN")) for n in range(30)]
    assert re.search(r"\+\d+ more beds, all GREEN", drawn(board_status(*beds), 120, 24))


def test_on_a_low_terminal_the_beds_stay_and_the_mesh_makes_way() -> None:
    beds = [bed(row(f"b{n}")) for n in range(3)]
    screen = drawn(board_status(*beds), 120, 9)
    for name in ("b0", "b1", "b2", DISCLAIMER):
        assert name in screen
    assert "follower" not in screen


def test_the_footer_says_that_it_is_no_medical_device_and_which_keys_there_are() -> None:
    for width in (40, 120):
        screen = drawn(board_status(), width, keys="k kill the leader  q quit")
        assert DISCLAIMER in screen
        assert "q quit" in screen


def test_the_mesh_says_who_leads_who_is_away_and_whether_there_is_a_quorum() -> None:
    screen = drawn(board_status(status={1: says(1, "leader"), 2: says(2, last_index=800), 3: None}))
    assert "peer 1 leads in term 7, quorum yes, 2 of 3 peers answer" in screen
    assert "★ leader" in screen
    assert "○ follower" in screen
    third = next(line for line in screen.splitlines() if "✕ unreachable" in line)
    assert "never" in third
    lost = drawn(board_status(status={1: None, 2: says(2), 3: None}))
    assert "no leader in term 7, quorum NO, 1 of 3 peers answer" in lost


def test_a_peer_that_went_away_says_how_long_ago_it_answered() -> None:
    status = board_status(status={1: says(1, "leader"), 2: says(2), 3: None})
    status = status._replace(answered_at_ms=((1, NOW_MS), (2, NOW_MS), (3, NOW_MS - 13_000)))
    assert "13 s ago" in next(line for line in drawn(status).splitlines() if "✕ unreachable" in line)


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_differing_states_are_an_alarm_on_the_board(width: int) -> None:
    told = {1: says(1, "leader"), 2: says(2), 3: says(3, state_hash="cd" * 16)}
    screen = " ".join(words_of(drawn(board_status(status=told), width)))
    assert "!!! ALARM: state differs at applied index 810" in screen
    assert "ALARM" in plain_line(board_status(status=told), NOW_MS)


@pytest.mark.parametrize(("width", "height"), [(40, 60), (80, 24), (120, 60), (80, 12)])
def test_a_peer_that_lost_its_data_is_an_alarm_on_the_board(width: int, height: int) -> None:
    told = {1: says(1, "candidate"), 2: says(2, "leader", refused_peers=[1]), 3: says(3, refused_peers=[1])}
    status = board_status(bed(row()), status=told)
    alarm = "ALARM: peer 1 came back with other data than before: 2 and 3 do not listen to it; it must be replaced"
    assert alarm in " ".join(words_of(drawn(status, width, height)))
    assert alarm in plain_line(status, NOW_MS)


LEARNING = members_told(roles={1: "voter", 2: "voter", 4: "learner"}, asking={5: "bb" * 16})


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_the_board_shows_who_catches_up_who_asks_and_who_is_no_member(width: int) -> None:
    told = {1: says(1, "leader", **LEARNING), 2: says(2, **LEARNING), 4: says(4, last_index=800, **LEARNING)}
    status = board_status(bed(row()), status={**told, 5: says(5, **LEARNING)})
    screen = " ".join(words_of(drawn(status, width, 80)))
    assert "quorum yes, 3 of 3 peers answer" in screen
    assert "◔ learner" in screen
    assert "? asks to join" in screen
    assert "- no member, ✕ unreachable" in screen
    notes = ("peer 4 is a learner, 12 of 812 entries behind", "peer 5 asks to join: hfzmq peer add 5")
    for note in notes:
        assert note in screen
        assert note in plain_line(status, NOW_MS)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_board_of_a_mesh_that_has_not_begun_says_for_whom_it_waits(width: int) -> None:
    young = members_told(0, founded=False)
    status = board_status(status={1: says(1, leader=0, quorum=False, **young), 2: None, 3: None})
    waits = "waiting for peers 2 and 3: a new mesh begins when all its first peers are up"
    assert waits in " ".join(words_of(drawn(status, width)))
    assert waits in plain_line(status, NOW_MS)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_board_names_the_peer_that_alone_holds_data(width: int) -> None:
    told, empty = members_told(), members_told(index=0, founded=False)
    new = {"last_index": 0, "applied_index": 0, "reports": 0, "quorum": False, "leader": 0}
    lost = {
        1: says(1, **lives(empty, NEW_DISK, **new)),
        2: says(2, **lives(told, OLD_DISK, quorum=False, leader=0, last_index=5434)),
        3: says(3, **lives(empty, NEW_DISK, amnesia="no database", **new)),
    }
    status = board_status(status=lost)
    alone = "peer 2 alone holds data, until entry 5,434"
    assert alone in " ".join(words_of(drawn(status, width)))
    assert alone in plain_line(status, NOW_MS)
    assert "do not touch peer 2" in plain_line(status, NOW_MS)


def test_a_peer_that_does_not_trust_its_disk_is_an_alarm_on_the_board() -> None:
    told = {1: says(1, "leader", **LEARNING), 4: says(4, amnesia="a damaged row", **LEARNING)}
    screen = " ".join(words_of(drawn(board_status(status=told))))
    assert "!!! ALARM: peer 4 does not trust its disk: a damaged row; it comes back as a learner" in screen


def test_the_last_events_and_the_story_are_told() -> None:
    told = {1: says(1, "leader", events=[[NOW_MS, "leader of term 7"]]), 2: None, 3: None}
    screen = drawn(board_status(status=told))
    assert "peer 1: leader of term 7" in screen


def test_the_plain_line_says_the_same_in_one_line() -> None:
    status = board_status(bed(row()), bed(row("b", 0.1, "GREEN")))
    assert plain_line(status, NOW_MS).endswith(
        " live, peer 1 leads in term 7, quorum yes, 3 of 3 peers answer, "
        "beds: 1 RED, 1 GREEN, 1,000 heart rates, 200 alerts"
    )
    assert " NOT LIVE, " in plain_line(status, NOW_MS + 4_000)


def test_the_board_right_after_the_leader_died_can_be_drawn_as_a_picture() -> None:
    from hfzmq.cli.dashboard import picture

    status = board_status(bed(row()), status={1: None, 2: says(2, "candidate", term=8), 3: says(3)})
    svg = picture(status, story=["killed the leader, peer 1, with SIGKILL"])
    assert svg.startswith("<svg")
    for words in ("unreachable", "candidate", "SIGKILL", "0.72"):
        assert words in svg


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_a_bed_by_the_raw_day_and_one_unlike_the_others_say_so_on_the_board(width: int) -> None:
    beds = [
        bed(row("raw", 0.72)._replace(flags="day_raw")),
        bed(row("far", 0.64)._replace(flags="unusual_combination")),
        bed(row("x", 0.61)),
    ]
    screen = " ".join(drawn(board_status(*beds), width, 40).split())
    assert "RAW DAY" in screen
    assert "RAW 0.72" in screen
    assert "~0.64" in screen
    assert "~ 1 outside" in screen
    assert "~0.61" not in screen
