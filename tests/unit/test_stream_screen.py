"""The stream's account and its screen: each answer finds its verdict, and no number is cut at any width."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from hfzmq.cli.bedside.status import LogLine
from hfzmq.cli.format import thousands
from hfzmq.cli.screens.stream import lines, stream
from hfzmq.cli.stream.output import sentence_of, summary_of
from hfzmq.cli.stream.status import Reach, StreamBook, StreamStatus
from hfzmq.cli.stream.tally import Count, Tally
from hfzmq.client import ClientState
from hfzmq.clinical.heart_rate import STATUSES, VERDICTS, HeartRateRules, Reading

CONNECTED = ClientState("connected", 2, 1, 12, 3456, 0, 7, 0)
NOW, WALL = 1_000_000, 1_700_000_000_000

numbers = st.integers(0, 10**9)
counts = st.builds(
    lambda acked, rejected, more: Count(acked + rejected + more, acked, rejected), numbers, numbers, numbers
)


def status(**other: object) -> StreamStatus:
    made = StreamStatus(
        "ward", "10 patients, seed 1", CONNECTED, tuple((verdict, Count(9, 5, 1)) for verdict in VERDICTS), Count(), 0,
        10.0, 8.5, None, (), NOW, NOW, WALL,
    )  # fmt: skip
    return made._replace(**other)  # type: ignore[arg-type]


def shown(what: StreamStatus, width: int, height: int | None = None) -> str:
    console = Console(width=width, height=200, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(stream(what, width, height))
    return capture.get()


def flat(screen: str) -> str:
    return " ".join(re.sub(r"[│╭╮╰╯─━╸╺]", " ", screen).split())


@settings(max_examples=200, deadline=None)
@given(st.lists(counts, min_size=len(VERDICTS), max_size=len(VERDICTS)), counts, st.integers(40, 240), st.booleans())
def test_at_any_width_every_count_of_every_verdict_is_whole_and_is_the_value(
    found: list[Count], earlier: Count, width: int, replays: bool
) -> None:
    reach = Reach("recording.csv", 5, 9, 1234567) if replays else None
    state = CONNECTED._replace(acked=found[0].acked, pending=found[0].pending)
    what = status(counts=tuple(zip(VERDICTS, found, strict=True)), earlier=earlier, reach=reach, state=state)
    assert all(line is None or line.cell_len <= width for line in lines(what, width))
    screen = flat(shown(what, width))
    for verdict, count in what.counts:
        if not count.read:
            continue
        name = verdict.status if verdict.anomaly is None else f"{verdict.status}: {verdict.anomaly}"
        read, acked, waiting = (re.escape(thousands(n)) for n in (count.read, count.acked, count.pending))
        row = rf"{name} {read} {acked} {waiting}( |$)"
        stacked = rf"{name} {read} read {acked} acknowledged {waiting} waiting( |$)"
        assert re.search(row, screen) or re.search(stacked, screen), screen
    assert re.search(rf"(^| ){state.pending} queued", screen)
    assert re.search(rf"(^| ){state.acked} acknowledged", screen)
    if replays:
        assert "line 1,234,567" in screen
        assert "55 %" in screen
        bars = [line for line in shown(what, width).splitlines() if re.fullmatch(r"[━╸╺ ]+", line)]
        assert len(bars) == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(40, 240), st.integers(5, 60))
def test_the_screen_keeps_to_its_height(width: int, height: int) -> None:
    log = tuple(LogLine(WALL, f"connected to peer {n}, peer 1 leads") for n in range(9))
    assert len(lines(status(log=log, reach=Reach("r.csv", 1, 2, 3)), width, height)) <= height


@pytest.mark.parametrize(("silent_ms", "live"), [(0, True), (3000, True), (3001, False), (60_000, False)])
def test_without_a_sign_of_life_the_screen_says_so(silent_ms: int, live: bool) -> None:
    assert ("NOT LIVE" not in shown(status(turned_at_ms=NOW - silent_ms), 100)) == live


@pytest.mark.parametrize("width", [40, 80, 160])
@pytest.mark.parametrize(
    ("link", "words"),
    [("connected", "connected to peer 2"), ("searching", "searching"), ("no quorum", "readings wait here")],
)
def test_the_link_and_the_leader_are_told(width: int, link: str, words: str) -> None:
    screen = flat(shown(status(state=CONNECTED._replace(link=link)), width))
    assert words in screen
    assert "leader: peer 1" in screen


def test_a_name_that_would_move_the_cursor_is_shown_as_an_escape() -> None:
    assert "\x1b" not in shown(status(client_id="a\x1b[2J", reach=Reach("x\x1b[2J.csv", 1, 2, 3)), 80)


# ------------------------------------------------------------ the account


def tally(earlier: int = 0) -> Tally:
    return Tally(HeartRateRules(), earlier)


@settings(max_examples=100)
@given(st.lists(st.sampled_from(VERDICTS), max_size=60), st.integers(0, 9), st.lists(st.booleans(), max_size=90))
def test_each_answer_is_counted_for_the_oldest_row_that_waits(
    verdicts: list[object], earlier: int, answers: list[bool]
) -> None:
    made = tally(earlier)
    made.queued(verdicts)  # type: ignore[arg-type]
    for acked in answers:
        made.answered(acked=acked)
    mine = list(zip(verdicts, answers[earlier:], strict=False))
    for verdict in VERDICTS:
        found = made.of(verdict)
        assert found.read == verdicts.count(verdict)
        assert found.acked == mine.count((verdict, True))
        assert found.rejected == mine.count((verdict, False))
    assert made.earlier.pending == max(0, earlier - len(answers))
    table = made.table()
    for status_name in STATUSES:
        of_it = [made.of(verdict) for verdict in VERDICTS if verdict.status == status_name]
        assert table[status_name]["read"] == sum(count.read for count in of_it)
        assert table[status_name]["pending"] == sum(count.pending for count in of_it)


def test_the_verdict_expected_is_the_one_that_the_mesh_comes_to() -> None:
    assert tally().expect(Reading("P", WALL, -999, ""), WALL).anomaly == "sensor_off"
    assert tally().expect(Reading("P", WALL + 60_000, 72, ""), WALL).anomaly == "future"
    assert tally().expect(Reading("P", WALL, None, "E04"), WALL).status == "corrupted"


def test_rates_are_of_the_last_seconds_and_fall_to_nothing() -> None:
    made = tally()
    book = StreamBook("ward", "", made, lambda: None)
    acked = 0
    for second in range(20):
        made.queued([VERDICTS[0]] * 100)
        acked += 50
        found = book.snapshot(CONNECTED._replace(acked=acked), NOW + 1000 * second, WALL)
    assert found.read_rate == pytest.approx(100)
    assert found.ack_rate == pytest.approx(50)
    for second in range(20, 40):
        found = book.snapshot(CONNECTED._replace(acked=acked), NOW + 1000 * second, WALL)
    assert (found.read_rate, found.ack_rate) == (0, 0)


def test_the_summary_names_all_that_was_read_and_what_waits() -> None:
    made = tally(3)
    made.queued([VERDICTS[0], VERDICTS[0], VERDICTS[1], VERDICTS[7]])
    for _ in range(5):
        made.answered(acked=True)
    earlier = made.earlier
    event = {
        "event": "summary", "readings": 4, "acked": 5, "rejected": 0, "pending": 2, "elapsed_s": 1.0,
        "verdicts": made.table(), "earlier": {**earlier._asdict(), "pending": earlier.pending},
    }  # fmt: skip
    assert summary_of(event) == (
        "4 readings: 2 valid, 1 invalid_physiological (1 high; 1 waiting), 0 invalid_system, "
        "1 corrupted (1 unparsable; 1 waiting); 5 acknowledged, 3 of 3 of an earlier run among them, 0 rejected, "
        "2 waiting on disk; 1.0 s"
    )


def test_single_readings_are_no_persons_business_but_the_link_is() -> None:
    ack = {"event": "ack", "patient": "P", "seq": 1, "term": 1, "index": 1, "elapsed_ms": 5}
    assert sentence_of(ack) == ""
    assert sentence_of({"event": "connected", "peer": 2, "leader": 1}) == "connected to peer 2, peer 1 leads"
