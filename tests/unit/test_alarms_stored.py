"""What alarms are reckoned from: their stamps are of the log's clock, and so is now."""

from __future__ import annotations

import pytest

from hfzmq.cli.alarms.stored import Ward
from hfzmq.cli.page_source import MeshSource, Page
from tests.unit.cli_world import CONFIG, WALL_MS

AN_HOUR_MS = 3_600_000


@pytest.mark.parametrize(("told_ms", "now_ms"), [(WALL_MS + AN_HOUR_MS, WALL_MS + AN_HOUR_MS), (None, WALL_MS)])
def test_now_is_what_the_log_s_clock_shows_whatever_this_machine_s_does(
    monkeypatch: pytest.MonkeyPatch, told_ms: int | None, now_ms: int
) -> None:
    page = Page((), [], False, log_now_ms=told_ms)
    monkeypatch.setattr(MeshSource, "page", lambda *about: page)
    assert Ward(CONFIG, None, WALL_MS).now_ms == now_ms
