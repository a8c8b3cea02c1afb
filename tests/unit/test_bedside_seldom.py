"""A bed that speaks more seldom than the mesh waits for it is told so, on the screens for as long as it runs."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from hfzmq.cli.bedside.seldom import seldom_words
from hfzmq.cli.bedside.status import StatusBook
from hfzmq.cli.screens.bedside import lines as bedside_lines
from hfzmq.cli.screens.stream import lines as stream_lines
from hfzmq.clinical.alarm.rules import DEFAULT_RULES, Expected
from hfzmq.config import Thresholds
from tests.unit.test_bedside_screen import CONNECTED, NOW, WALL, bed
from tests.unit.test_bedside_screen import status as bedside_status
from tests.unit.test_stream_screen import status as stream_status

OWN = DEFAULT_RULES._replace(expected=(Expected("bed-1", 10_000), Expected("bed-2")))
SAID = seldom_words(DEFAULT_RULES, 40, (), "--interval")


def test_an_interval_within_the_limits_is_not_spoken_of() -> None:
    assert seldom_words(DEFAULT_RULES, 2, ("bed-1",), "--interval") == ""
    assert seldom_words(DEFAULT_RULES, 29, (), "--interval") == ""
    assert seldom_words(OWN, 9, ("bed-1", "bed-2"), "--interval") == ""
    assert seldom_words(OWN, 20, ("bed-2",), "--interval") == ""


def test_an_interval_beyond_them_says_both_numbers_the_rule_and_what_to_give() -> None:
    for words in ("40 s apart", "NO DATA of a bed after 30 s", "alarms.rules.silent_ms", "--interval 29 or less"):
        assert words in SAID
    said = seldom_words(OWN, 20, ("bed-1", "bed-2"), "--interval")
    for words in ("20 s apart", "NO DATA of bed-1 after 10 s", "alarms.rules.expected", "--interval 9 or less"):
        assert words in said


def test_a_stream_is_measured_by_the_rates_that_can_be_believed() -> None:
    said = seldom_words(DEFAULT_RULES, 1 / 0.03, (), "--rate")
    assert "a heart rate that can be believed comes every 33.3 s" in said
    assert "a higher --rate" in said
    assert "never comes" in seldom_words(DEFAULT_RULES, math.inf, (), "--rate")


def test_many_beds_with_limits_of_their_own_are_counted() -> None:
    names = [f"bed-{number}" for number in range(9)]
    rules = DEFAULT_RULES._replace(expected=tuple(Expected(name, 5000) for name in names))
    assert "and of 6 more" in seldom_words(rules, 40, names, "--interval")


@given(st.integers(40, 240))
def test_the_screens_say_it_whole_at_every_width(width: int) -> None:
    for shown in (
        bedside_lines(bedside_status(bed(), doubt=SAID), width),
        stream_lines(stream_status(doubt=SAID), width),
    ):
        assert all(line is None or line.cell_len <= width for line in shown)
        assert SAID in " ".join(" ".join(line.plain for line in shown if line is not None).split())
    assert SAID not in " ".join(line.plain.strip() for line in bedside_lines(bedside_status(bed()), width))


def test_a_run_keeps_its_doubt() -> None:
    book = StatusBook("ward", ["P"], Thresholds(), 40.0, SAID)
    assert book.snapshot(CONNECTED, NOW, WALL).doubt == SAID
