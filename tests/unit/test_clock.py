"""Ages on screens go on while the machine sleeps."""

from __future__ import annotations

import sys
import time

import pytest

from hfzmq.cli.bedside import sources
from hfzmq.cli.bedside.status import StatusBook
from hfzmq.cli.board_feed import now_ms
from hfzmq.cli.screens.bedside import lines
from hfzmq.client import ClientState
from hfzmq.config import Thresholds
from tests.unit.test_bedside_screen import WALL, reading, risk

NIGHT_MS = 8 * 3_600_000
LINK = ClientState("connected", 1, 1, 0, 0, 0, None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="CLOCK_BOOTTIME")
def test_a_machine_that_slept_shows_the_age_that_a_number_has(monkeypatch: pytest.MonkeyPatch) -> None:
    slept_ms = 0

    def told(which: int) -> int:
        """As Linux counts: 100 s after the start, and the time in which it slept, by one of the two clocks."""
        return (100_000 + (slept_ms if which == time.CLOCK_BOOTTIME else 0)) * 1_000_000

    monkeypatch.setattr(time, "clock_gettime_ns", told)
    monkeypatch.setattr(time, "monotonic_ns", lambda: told(time.CLOCK_MONOTONIC))
    book = StatusBook("ward", ["P"], Thresholds(), 2.0)
    for event in (reading(), risk(0.7)):
        book.take(event, sources.mono_ms(), WALL)
    slept_ms = NIGHT_MS
    assert sources.mono_ms() == now_ms() == 100_000 + NIGHT_MS, "a screen is drawn by the clock of its beds"
    drawn = lines(book.snapshot(LINK, now_ms(), WALL + NIGHT_MS), 80)
    screen = " ".join(" ".join(one.plain for one in drawn).split())
    assert "8 h ago" in screen
    assert "STALE" in screen
